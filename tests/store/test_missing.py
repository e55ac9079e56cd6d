"""Who has not got it: each person once, by the answer that decides."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, insert, select

from distributor.core.address import key_of
from distributor.core.audience import ExclusionReason
from distributor.core.model import WaveKind
from distributor.core.states import DeliveryState
from distributor.store import missing, releases
from distributor.store.schema import contacts, exclusions
from distributor.store.schema import deliveries as rows
from tests.builders import NOON, a_list, a_release, a_sequel, a_wave, approved

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from distributor.core.model import Version, Wave
    from distributor.store.database import Database

ANN, BOB, NEW = "ann@herald.example", "bob@times.example", "ann@paper.example"
ACCEPTED, COMPLAINED = DeliveryState.ACCEPTED, DeliveryState.COMPLAINED
REFUSED, CANCELLED = DeliveryState.REFUSED, DeliveryState.CANCELLED
QUEUED, UNCERTAIN, EXPIRED = DeliveryState.QUEUED, DeliveryState.UNCERTAIN, DeliveryState.EXPIRED
SUPPRESSED, BOUNCED = DeliveryState.SUPPRESSED, DeliveryState.BOUNCED


def delivered(
    tx: Connection, wave: Wave, state: DeliveryState, address: str = ANN, **said: Any
) -> None:
    """A row of a wave as it ended: tried once unless it was stopped before, or waits."""
    number = tx.execute(select(func.count()).select_from(rows)).scalar_one()
    values = {
        "wave_id": wave.id,
        "version_id": wave.version_id,
        "compiled_id": next(iter(releases.compiled_of(tx, wave.version_id))),
        "reference": f"r{number}",
        "address": address,
        "address_key": key_of(address),
        "state": state,
        "attempts": 0 if state in {CANCELLED, QUEUED, SUPPRESSED} else 1,
        "at": NOON,
    }
    tx.execute(insert(rows).values(values | said))


def edited(tx: Connection, version: Version) -> Version:
    return approved(tx, releases.add_draft(tx, replace(version, sequel=None), by="ann"))


def resend(tx: Connection, version: Version) -> Wave:
    return a_wave(tx, version, kind=WaveKind.RESEND)


def named(database: Database, *waves: Wave, outlet: str | None = None) -> list[tuple[str, str]]:
    with database.read() as tx:
        found = missing.missing(tx, [wave.id for wave in waves], outlet)
    return [(line.address, line.state.value) for line in found]


@pytest.mark.parametrize(
    ("states", "shown"),
    [
        ((ACCEPTED,), None),
        ((COMPLAINED,), None),
        ((REFUSED,), "refused"),
        ((QUEUED,), "queued"),
        ((UNCERTAIN,), "uncertain"),
        ((BOUNCED,), "bounced"),
        ((REFUSED, ACCEPTED), None),
        ((REFUSED, CANCELLED, ACCEPTED), None),
        ((REFUSED, EXPIRED), "expired"),
        ((EXPIRED, REFUSED, UNCERTAIN), "uncertain"),
        ((REFUSED, QUEUED), "queued"),
        ((REFUSED, SUPPRESSED), "suppressed"),
        # What was stopped before it was tried tells nothing of the address.
        ((REFUSED, CANCELLED), "refused"),
        ((CANCELLED, REFUSED), "refused"),
        ((CANCELLED, CANCELLED), "cancelled"),
    ],
)
def test_each_person_is_missing_once_by_the_latest_answer_unless_it_was_accepted(
    database: Database, states: tuple[DeliveryState, ...], shown: str | None
) -> None:
    def work(tx: Connection) -> list[Wave]:
        version = a_release(tx)
        waves = [a_wave(tx, version), *(resend(tx, version) for _ in states[1:])]
        for wave, state in zip(waves, states, strict=True):
            delivered(tx, wave, state)
        delivered(tx, waves[0], REFUSED, BOB)
        return waves

    waves = database.write(work).result()
    assert sorted(named(database, *waves)) == [
        *([(ANN, shown)] if shown else []),
        (BOB, "refused"),
    ]


def test_whoever_got_it_at_a_mended_address_is_not_missing_at_the_old_one(
    database: Database,
) -> None:
    def work(tx: Connection) -> tuple[Wave, Wave]:
        version = a_release(tx)
        first, again = a_wave(tx, version, a_list(tx, "press", [ANN])), resend(tx, version)
        ann = tx.execute(select(contacts.c.id)).scalar_one()
        delivered(tx, first, REFUSED, ANN, contact_id=ann)
        delivered(tx, first, REFUSED, BOB)
        delivered(tx, again, ACCEPTED, NEW, contact_id=ann)
        return first, again

    first, again = database.write(work).result()
    assert named(database, first, again) == [(BOB, "refused")]
    assert named(database, first) == [(ANN, "refused"), (BOB, "refused")]


@pytest.mark.parametrize(
    ("first", "second", "shown"),
    [
        (REFUSED, ACCEPTED, []),
        (ACCEPTED, REFUSED, [(ANN, "refused")]),
        (ACCEPTED, None, []),
        (REFUSED, None, [(ANN, "refused")]),
    ],
)
def test_of_an_edited_text_the_newest_edition_that_somebody_was_to_get_decides(
    database: Database,
    first: DeliveryState,
    second: DeliveryState | None,
    shown: list[tuple[str, str]],
) -> None:
    def work(tx: Connection) -> tuple[Wave, Wave]:
        version = a_release(tx)
        one, two = a_wave(tx, version), a_wave(tx, edited(tx, version))
        delivered(tx, one, first)
        if second is not None:
            delivered(tx, two, second)
        return one, two

    assert named(database, *database.write(work).result()) == shown


def test_a_follow_up_that_arrived_does_not_stand_in_for_what_it_follows(
    database: Database,
) -> None:
    def work(tx: Connection) -> tuple[Wave, Wave]:
        general = a_wave(tx, a_release(tx))
        news = a_wave(tx, a_sequel(tx, general, WaveKind.FOLLOW_UP), kind=WaveKind.FOLLOW_UP)
        delivered(tx, general, UNCERTAIN, ANN)
        delivered(tx, news, ACCEPTED, ANN)
        delivered(tx, general, UNCERTAIN, BOB)
        delivered(tx, news, REFUSED, BOB)
        return general, news

    found = named(database, *database.write(work).result())
    assert found == [(ANN, "uncertain"), (BOB, "refused")]


def test_the_outlet_is_compared_as_people_write_it(database: Database) -> None:
    def work(tx: Connection) -> Wave:
        wave = a_wave(tx, a_release(tx))
        delivered(tx, wave, REFUSED, ANN, outlet="Écho")
        delivered(tx, wave, REFUSED, BOB, outlet="Times")
        delivered(tx, wave, ACCEPTED, NEW, outlet="ÉCHO")
        return wave

    wave = database.write(work).result()
    assert named(database, wave, outlet="écho") == [(ANN, "refused")]
    with database.read() as tx:
        assert missing.count_arrived(tx, [wave.id], "écho") == 1
        assert missing.count_arrived(tx, [wave.id], "Times") == 0


def test_addresses_count_once_and_whoever_has_it_already_was_not_left_out(
    database: Database,
) -> None:
    def exclude(tx: Connection, wave: Wave, address: str, reason: ExclusionReason) -> None:
        said = {"wave_id": wave.id, "address": address, "reason": reason.value}
        tx.execute(insert(exclusions).values(said))

    def work(tx: Connection) -> tuple[Wave, Wave]:
        version = a_release(tx)
        first, again = a_wave(tx, version), resend(tx, version)
        delivered(tx, first, COMPLAINED, ANN)
        delivered(tx, again, ACCEPTED, ANN)
        for wave in (first, again):
            exclude(tx, wave, BOB, ExclusionReason.SUPPRESSED)
        exclude(tx, again, "carl@c.example", ExclusionReason.ALREADY_SENT)
        exclude(tx, again, ANN, ExclusionReason.EXCLUDED_LIST)
        return first, again

    first, again = database.write(work).result()
    keys = [first.id, again.id]
    with database.read() as tx:
        assert missing.count_arrived(tx, keys) == 1
        assert missing.count_left_out(tx, keys) == 1
        assert missing.missing(tx, [], None) == []
        assert missing.count_arrived(tx, []) == missing.count_left_out(tx, []) == 0
