"""Scheduling: what is due begins in time, and what must not leave now is held."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from distributor.core.model import AudienceRule, Embargo, EmbargoState, WallTime, WaveKind
from distributor.core.policy import SendingPolicy
from distributor.core.states import HoldReason, WaveState
from distributor.stages import scheduling
from distributor.store import audit, releases, waves
from distributor.store.waves import Order
from tests.builders import (
    HOUR,
    MINUTE,
    NOON,
    a_list,
    a_planned_wave,
    a_ready_wave,
    a_release,
    a_sending_wave,
    a_wave,
    moved,
    wave_of,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from distributor.core.model import Wave
    from distributor.store.database import Database

SECOND = timedelta(seconds=1)
POLICY = SendingPolicy()


def tick(database: Database, now: datetime, *, clock_agrees: bool = True) -> None:
    scheduling.tick(database, POLICY, now=now, clock_agrees=clock_agrees)


def state(database: Database, wave: Wave) -> tuple[WaveState, HoldReason | None]:
    now = wave_of(database, wave)
    return now.state, now.reason


def actions(database: Database) -> list[str]:
    with database.read() as tx:
        return [entry.action for entry in audit.entries(tx)][::-1]


def test_a_planned_wave_is_prepared_a_quarter_of_an_hour_before(database: Database) -> None:
    wave = a_planned_wave(database)
    tick(database, NOON - 15 * MINUTE - SECOND)
    assert state(database, wave) == (WaveState.PLANNED, None)
    tick(database, NOON - 15 * MINUTE)
    assert state(database, wave) == (WaveState.PREPARING, None)
    with database.read() as tx:
        assert waves.next_send_at(tx, NOON - HOUR) == NOON
    tick(database, NOON)
    assert actions(database) == ["planned", "preparing"]


def test_who_has_a_release_is_asked_only_when_nothing_of_it_is_on_its_way(
    database: Database,
) -> None:
    going = a_sending_wave(database)
    rule = AudienceRule((), had=True)

    def plan(tx: Connection) -> Wave:
        version = releases.version_of(tx, going.version_id)
        return a_wave(tx, version, kind=WaveKind.WITHDRAWAL, audience=rule)

    stopping = moved(database, going, WaveState.STOPPING)
    wave = database.write(plan).result()
    tick(database, NOON)
    assert state(database, wave) == (WaveState.PLANNED, None)
    moved(database, stopping, WaveState.CANCELLED)
    tick(database, NOON)
    assert state(database, wave) == (WaveState.PREPARING, None)


def test_i11_a_wave_whose_first_mail_would_be_late_is_held(database: Database) -> None:
    ready, begun = a_ready_wave(database), a_sending_wave(database)
    tick(database, NOON + HOUR)
    assert state(database, ready) == (WaveState.READY, None)
    database.write(lambda tx: waves.note_first_mail(tx, begun.id, NOON)).result()
    tick(database, NOON + HOUR + SECOND)
    assert state(database, ready) == (WaveState.HELD, HoldReason.LATE)
    assert wave_of(database, ready).resume_to is WaveState.READY
    assert state(database, begun) == (WaveState.SENDING, None)


def test_i11_a_waived_lateness_is_not_held_again(database: Database) -> None:
    wave = a_ready_wave(database)
    late = NOON + 2 * HOUR
    tick(database, late)
    held = wave_of(database, wave)
    order = Order("ann", late)
    database.write(lambda tx: waves.resume(tx, held, order, waive="late")).result()
    tick(database, late + HOUR)
    assert state(database, wave) == (WaveState.READY, None)
    assert wave_of(database, wave).waived == {"late"}


def test_an_hour_slept_through_prepares_and_then_asks(database: Database) -> None:
    planned, ready = a_planned_wave(database), a_ready_wave(database)
    tick(database, NOON + 2 * HOUR)
    assert state(database, planned) == (WaveState.PREPARING, None)
    assert state(database, ready) == (WaveState.HELD, HoldReason.LATE)


def test_i2_clocks_that_disagree_hold_what_is_due_and_nothing_else(database: Database) -> None:
    due = a_ready_wave(database)
    sending = a_sending_wave(database)
    later = a_ready_wave(database, send_at=NOON + HOUR)
    tick(database, NOON, clock_agrees=False)
    assert state(database, due) == (WaveState.HELD, HoldReason.CLOCK)
    assert state(database, sending) == (WaveState.HELD, HoldReason.CLOCK)
    assert state(database, later) == (WaveState.READY, None)


def test_i2_a_clock_hold_lifts_by_itself_after_a_minute_of_agreement(database: Database) -> None:
    wave = a_sending_wave(database)
    tick(database, NOON, clock_agrees=False)
    # It goes on for a while: the minute counts from its end.
    tick(database, NOON + 5 * MINUTE, clock_agrees=False)
    tick(database, NOON + 5 * MINUTE + 59 * SECOND)
    assert state(database, wave) == (WaveState.HELD, HoldReason.CLOCK)
    tick(database, NOON + 6 * MINUTE)
    assert state(database, wave) == (WaveState.SENDING, None)
    assert actions(database)[-2:] == ["held", "resumed"]


@pytest.mark.parametrize(
    "reason", [reason for reason in HoldReason if reason is not HoldReason.CLOCK]
)
def test_only_a_clock_hold_lifts_by_itself(database: Database, reason: HoldReason) -> None:
    wave = a_ready_wave(database)
    database.write(lambda tx: waves.hold(tx, wave, reason, Order("ann", NOON))).result()
    tick(database, NOON, clock_agrees=False)
    tick(database, NOON + 30 * MINUTE)
    assert state(database, wave) == (WaveState.HELD, reason)
    assert wave_of(database, wave).held_at == NOON


def a_wave_at(database: Database, wall: str, zone: str, at: datetime = NOON) -> Wave:
    """A planned wave whose embargo was stored for that wall time, at that instant."""
    embargo = Embargo(EmbargoState.EMBARGOED, at, WallTime(datetime.fromisoformat(wall), zone))

    def plan(tx: Connection) -> Wave:
        version = a_release(tx, embargo=embargo)
        return a_wave(tx, version, a_list(tx, "L", ["a@x.example"]))

    return database.write(plan).result()


@pytest.mark.parametrize(
    ("wall", "zone", "held"),
    [
        ("2026-12-01T12:00", "Europe/London", False),
        ("2026-12-01T13:00", "Europe/Brussels", False),
        # The rules of the zone have changed since: noon there is another instant now.
        ("2026-12-01T12:00", "Europe/Brussels", True),
        # Or the wall time exists no longer, or the zone does not.
        ("2026-03-29T01:30", "Europe/London", True),
        ("2026-12-01T12:00", "Europe/Atlantis", True),
    ],
)
def test_an_embargo_that_zone_rules_have_moved_is_held(
    database: Database, wall: str, zone: str, *, held: bool
) -> None:
    wave = a_wave_at(database, wall, zone)
    tick(database, NOON - MINUTE)
    if not held:
        assert state(database, wave) == (WaveState.PREPARING, None)
        return
    assert state(database, wave) == (WaveState.HELD, HoldReason.ZONE)
    now = wave_of(database, wave)
    order = Order("ann", NOON)
    database.write(lambda tx: waves.resume(tx, now, order, waive="zone")).result()
    tick(database, NOON - MINUTE)
    assert state(database, wave) == (WaveState.PREPARING, None)


def test_who_was_first_wins_and_the_other_goes_on(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = a_planned_wave(database), a_planned_wave(database)
    begin = scheduling._begin

    def overtaken(tx: Connection, wave: Wave, now: datetime) -> None:
        if wave.id == first.id:
            waves.hold(tx, wave, HoldReason.PERSON, Order("ann", now))
        begin(tx, wave, now)

    monkeypatch.setattr(scheduling, "_begin", overtaken)
    tick(database, NOON)
    assert state(database, second) == (WaveState.PREPARING, None)
    assert state(database, first) == (WaveState.PLANNED, None)
