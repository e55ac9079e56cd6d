from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from distributor.core.model import Embargo, EmbargoState, Outcome
from distributor.core.states import DeliveryState, HoldReason, WaveState
from distributor.desk.releases import Changes, Releases
from distributor.desk.suppressions import SuppressionOrder, Suppressions
from distributor.desk.waves import Decision, Target, Waves
from distributor.errors import EmbargoUnclear, NotFound, Refused
from distributor.installation import Installation
from distributor.review import Review
from distributor.shipped import shipped
from distributor.stages import preparing
from distributor.store import audit, releases, waves
from distributor.store.database import open_database
from distributor.store.waves import Order
from tests.builders import (
    HOUR,
    MINUTE,
    MORNING,
    NOON,
    ORDER,
    POLICY,
    WORKER,
    a_list,
    a_release,
    a_result,
    a_version,
    a_worker,
    addresses,
    assert_accounted_for,
    claimed,
    counts,
    marked,
    moved,
    nobody_to_ask,
    recorded,
    wave_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from distributor.core.model import Version, Wave
    from distributor.desk.waves import Scheduled
    from distributor.store.database import Database

TARGET = Target(["press"])
ADDRESSES = addresses(5)


class Room(NamedTuple):
    """The desk's room for waves, with one approved release under embargo and a list of five."""

    database: Database
    desk: Waves
    texts: Releases
    review: Review
    state: Path

    def schedule(self, target: Target = TARGET, *, now: datetime = MORNING) -> Scheduled:
        return self.desk.schedule("R-1", target, by="ann", now=now)

    def order(self, name: str, **said: Any) -> Any:
        return getattr(self.desk, name)("R-1", by="ann", now=NOON, **said)

    def release(self, **changes: Any) -> Version:
        return self.database.write(lambda tx: a_release(tx, **changes)).result()

    def list(self, name: str, people: list[str]) -> int:
        return self.database.write(lambda tx: a_list(tx, name, people)).result()

    def ready(self) -> Wave:
        """Scheduled and sealed."""
        wave = self.schedule().wave
        wave = moved(self.database, wave, WaveState.PREPARING)
        preparing.prepare(self.database, POLICY, wave, worker=WORKER, now=MORNING)
        return wave_of(self.database, wave)

    def sending(self, *outcomes: Outcome) -> Wave:
        """On its way, the first deliveries with these outcomes, nothing on the wire."""
        wave = self.ready()
        self.database.write(a_worker).result()
        left = list(outcomes)
        while left and (claim := claimed(self.database)) is not None:
            rows = marked(self.database, claim)
            mine, left = left[: len(rows)], left[len(rows) :]
            recorded(
                self.database,
                *(
                    a_result(row.id, claim.token, mine.pop(0) if mine else Outcome.NOT_SENT)
                    for row in rows
                ),
            )
            self.database.write(lambda tx, c=claim: _give_back(tx, c)).result()
        return wave_of(self.database, wave)

    def finished(self, *outcomes: Outcome) -> Wave:
        wave = self.sending(*outcomes)
        assert self.database.write(lambda tx: waves.finish(tx, wave, NOON)).result()
        return wave_of(self.database, wave)

    def actions(self) -> list[str]:
        with self.database.read() as tx:
            return [entry.action for entry in audit.entries(tx, subject="release R-1")]


def _give_back(tx: Any, claim: Any) -> None:
    from distributor.store import batches  # noqa: PLC0415

    batches.give_back(tx, claim, ORDER)


@pytest.fixture
def empty(migrated_url: str, tmp_path: Path) -> Iterator[Room]:
    database = open_database(migrated_url)
    state = tmp_path / "state"
    desk = Waves(
        database, Installation(database, state, host="here"), POLICY, nobody_to_ask(database)
    )
    templates = shipped("templates")
    yield Room(database, desk, Releases(database, templates), Review(database, templates), state)
    database.close()


@pytest.fixture
def room(empty: Room) -> Room:
    empty.release()
    empty.list("press", ADDRESSES)
    return empty


sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


# --- schedule -------------------------------------------------------------------------------------


def test_a_wave_leaves_at_the_embargo_unless_told_otherwise(room: Room) -> None:
    planned = room.schedule()
    assert planned.wave.send_at == NOON
    assert (planned.recipients, planned.exclusions) == (5, 0)
    assert room.review.release("R-1").state == "planned"
    assert room.actions() == ["planned"]


def test_who_is_suppressed_or_on_a_list_left_out_is_counted_as_excluded(room: Room) -> None:
    room.list("rivals", [ADDRESSES[0], "x@paper.example"])
    order = SuppressionOrder(ADDRESSES[1], "objection", "by telephone")
    Suppressions(room.database).add(order, by="ann", now=MORNING)
    planned = room.schedule(Target(["press"], ["rivals"]))
    assert (planned.recipients, planned.exclusions) == (3, 2)


@sqlite
def test_an_unknown_list_is_refused_by_name(room: Room) -> None:
    for target in (Target(["pres"]), Target(["press"], ["rivals"])):
        with pytest.raises(NotFound, match=r'no list "(pres|rivals)"') as refused:
            room.schedule(target)
        assert refused.value.remedy


@sqlite
def test_the_unapproved_is_not_scheduled(empty: Room) -> None:
    empty.list("press", ADDRESSES)
    empty.database.write(
        lambda tx: releases.add_draft(
            tx, a_version(release_id=releases.create_release(tx, MORNING)), by="ann"
        ),
    ).result()
    with pytest.raises(Refused, match="is a draft, not approved") as refused:
        empty.schedule()
    assert refused.value.remedy == "First: distributor release approve R-1"


@sqlite
def test_an_empty_audience_is_refused_with_the_reason(room: Room) -> None:
    room.list("nobody", [])
    with pytest.raises(Refused, match="these lists are empty"):
        room.schedule(Target(["nobody"]))
    with pytest.raises(Refused, match=r"all 5 .* excluded \(5 excluded list\)"):
        room.schedule(Target(["press"], ["press"]))
    assert room.actions() == []


@sqlite
@pytest.mark.parametrize("at", ["2026-12-01 11:59", "2026-12-01 08:01", "now"])
def test_nothing_is_scheduled_before_the_embargo(room: Room, at: str) -> None:
    with pytest.raises(Refused, match="embargoed until 12:00 on Tuesday 1 December 2026"):
        room.schedule(Target(["press"], at=at, zone="Europe/London"))
    assert room.review.release("R-1").waves == ()


@sqlite
def test_a_later_time_than_the_embargo_is_taken(room: Room) -> None:
    planned = room.schedule(Target(["press"], at="2026-12-01 14:30", zone="Europe/Berlin"))
    assert planned.wave.send_at == datetime(2026, 12, 1, 13, 30, tzinfo=UTC)


@sqlite
@pytest.mark.parametrize(
    ("at", "zone", "said"),
    [
        ("2026-12-01 14:30", None, "names no time zone"),
        ("2026-12-01 14:30", "Mars/Base", "not a known time zone"),
        ("2027-03-28 01:30", "Europe/London", "does not exist"),
        ("2027-10-31 01:30", "Europe/London", "comes twice"),
        ("soon", "Europe/London", "not an exact time"),
    ],
)
def test_a_time_that_is_not_exact_asks(room: Room, at: str, zone: str | None, said: str) -> None:
    with pytest.raises(EmbargoUnclear, match=said):
        room.schedule(Target(["press"], at=at, zone=zone))


@sqlite
def test_a_time_in_the_past_is_refused(room: Room) -> None:
    target = Target(["press"], at="2026-12-01 12:30", zone="Europe/London")
    with pytest.raises(Refused, match="2026-12-01 12:30 lies in the past"):
        room.schedule(target, now=NOON + HOUR)


@sqlite
@pytest.mark.parametrize(
    ("embargo", "at"),
    [(Embargo(EmbargoState.IMMEDIATE, text="FOR IMMEDIATE RELEASE"), MORNING), (Embargo(), None)],
)
def test_without_an_embargo_only_the_immediate_leaves_at_once(
    empty: Room,
    embargo: Embargo,
    at: datetime | None,
) -> None:
    empty.release(embargo=embargo)
    empty.list("press", ADDRESSES)
    if at is not None:
        assert empty.schedule().wave.send_at == at
        return
    with pytest.raises(Refused, match="its time must be stated") as refused:
        empty.schedule()
    assert "--at now" in (refused.value.remedy or "")
    assert empty.schedule(Target(["press"], at="NOW")).wave.send_at == MORNING


@sqlite
def test_an_embargo_that_has_passed_asks_for_a_time(room: Room) -> None:
    with pytest.raises(Refused, match="has passed"):
        room.schedule(now=NOON + MINUTE)


def test_scheduling_twice_is_refused(room: Room) -> None:
    room.schedule()
    with pytest.raises(Refused, match="scheduled already") as refused:
        room.schedule()
    assert refused.value.remedy == "First: distributor release unschedule R-1"
    assert len(room.review.release("R-1").waves) == 1


@sqlite
def test_what_is_being_sent_is_not_scheduled_or_edited_again(room: Room) -> None:
    room.sending(Outcome.ACCEPTED)
    for order in (
        room.schedule,
        lambda: room.texts.edit("R-1", Changes(headline="x"), by="ann", now=NOON),
    ):
        with pytest.raises(Refused) as refused:
            order()
        assert "release cancel R-1" in (refused.value.remedy or "")


@sqlite
def test_i6_editing_while_scheduled_is_refused(room: Room) -> None:
    room.schedule()
    with pytest.raises(Refused, match="is scheduled"):
        room.texts.edit("R-1", Changes(headline="x"), by="ann", now=NOON)
    room.order("unschedule")
    assert room.texts.edit("R-1", Changes(headline="x"), by="ann", now=MORNING).number == 2


@sqlite
def test_a_version_that_was_sent_is_not_sent_again(room: Room) -> None:
    room.finished(*[Outcome.ACCEPTED] * 5)
    with pytest.raises(Refused, match="has been sent"):
        room.schedule(Target(["press"], at="2026-12-02 12:00", zone="Europe/London"))


# --- unschedule -----------------------------------------------------------------------------------


@pytest.mark.parametrize("prepared", [False, True])
def test_unscheduling_discards_the_sealed_rows_and_it_may_be_planned_anew(
    room: Room,
    *,
    prepared: bool,
) -> None:
    wave = room.ready() if prepared else room.schedule().wave
    room.order("unschedule")
    assert wave_of(room.database, wave).state is WaveState.CANCELLED
    assert counts(room.database, wave) == {}
    assert room.schedule().recipients == 5


@sqlite
def test_a_running_wave_is_not_unscheduled_even_when_held(room: Room) -> None:
    room.sending(Outcome.ACCEPTED)
    for _ in range(2):
        with pytest.raises(Refused, match="being sent already") as refused:
            room.order("unschedule")
        assert "release cancel R-1" in (refused.value.remedy or "")
        if room.review.release("R-1").state == "sending":
            room.order("hold")


@sqlite
@pytest.mark.parametrize("name", ["unschedule", "hold", "cancel"])
def test_an_order_about_nothing_is_refused(room: Room, name: str) -> None:
    with pytest.raises(NotFound, match="Nothing of R-1 is scheduled"):
        room.order(name)
    with pytest.raises(NotFound, match="no release R-9"):
        getattr(room.desk, name)("R-9", by="ann", now=NOON)


# --- hold and resume ------------------------------------------------------------------------------


@sqlite
@pytest.mark.parametrize("before", [Room.schedule, Room.ready, Room.sending])
def test_a_held_wave_goes_on_where_it_stopped(room: Room, before: Callable[[Room], Any]) -> None:
    before(room)
    state = room.review.release("R-1").state
    held = room.order("hold")
    assert (held.state, held.reason) == (WaveState.HELD, HoldReason.PERSON)
    with pytest.raises(Refused, match="held already") as refused:
        room.order("hold")
    assert refused.value.remedy == "Go on: distributor release resume R-1"
    assert room.order("resume", waive=None).state.value == state
    with pytest.raises(Refused, match="not held"):
        room.order("resume", waive=None)


def _held(room: Room, reason: HoldReason) -> None:
    wave = room.ready()
    room.database.write(
        lambda tx: waves.hold(tx, wave, reason, Order("distributor", NOON))
    ).result()


@sqlite
@pytest.mark.parametrize("reason", [HoldReason.LATE, HoldReason.ZONE, HoldReason.RESTORED])
def test_these_holds_are_waived_by_name_only(room: Room, reason: HoldReason) -> None:
    _held(room, reason)
    for waive in (None, "person", "nonsense", "' OR 1=1 --"):
        with pytest.raises(Refused, match=f"held: {reason}") as refused:
            room.order("resume", waive=waive)
        assert refused.value.remedy == f"distributor release resume R-1 --waive {reason}"
    resumed = room.order("resume", waive=reason.value)
    assert resumed.state is WaveState.READY
    assert reason in resumed.waived


@sqlite
def test_only_the_clock_lifts_a_hold_of_the_clock(room: Room) -> None:
    _held(room, HoldReason.CLOCK)
    for waive in (None, "clock"):
        with pytest.raises(Refused, match="lifts by itself"):
            room.order("resume", waive=waive)


@sqlite
def test_a_waiver_of_another_reason_is_refused(room: Room) -> None:
    _held(room, HoldReason.PERSON)
    with pytest.raises(Refused, match="another reason: person") as refused:
        room.order("resume", waive="late")
    assert refused.value.remedy == "Go on: distributor release resume R-1"


@sqlite
def test_i11_waiving_a_restored_copy_confirms_the_installation(room: Room) -> None:
    _held(room, HoldReason.RESTORED)
    room.order("resume", waive="restored")
    with room.database.read() as tx:
        assert "installation" in {entry.subject for entry in audit.entries(tx, subject=None)}


# --- cancel ---------------------------------------------------------------------------------------


def test_cancel_stops_what_has_not_left_and_the_numbers_are_exact(room: Room) -> None:
    wave = room.sending(Outcome.ACCEPTED, Outcome.REFUSED, Outcome.DEFERRED)
    assert room.order("cancel").state is WaveState.CANCELLED
    assert counts(room.database, wave) == {"accepted": 1, "refused": 1, "cancelled": 3}
    assert_accounted_for(room.database, wave)


def test_cancel_waits_for_what_is_on_the_wire(room: Room) -> None:
    wave = room.ready()
    room.database.write(a_worker).result()
    claim = claimed(room.database)
    assert claim is not None
    rows = marked(room.database, claim)
    assert room.order("cancel").state is WaveState.STOPPING
    assert not room.review.wave(wave.id).settled
    recorded(room.database, *(a_result(row.id, 7, Outcome.ACCEPTED) for row in rows))
    room.database.write(lambda tx: _give_back(tx, claim)).result()
    assert room.order("cancel").state is WaveState.CANCELLED
    assert room.review.wave(wave.id).settled
    assert counts(room.database, wave) == {"accepted": 2, "cancelled": 3}


@sqlite
def test_a_cancelled_wave_leaves_room_for_another(room: Room) -> None:
    room.sending(Outcome.ACCEPTED)
    room.order("cancel")
    planned = room.schedule(Target(["press"], at="2026-12-02 12:00", zone="Europe/London"))
    assert (planned.recipients, planned.exclusions) == (4, 1)


# --- settle ---------------------------------------------------------------------------------------

LOST = (Outcome.UNCERTAIN, Outcome.UNCERTAIN, Outcome.ACCEPTED, Outcome.REFUSED, Outcome.ACCEPTED)


@pytest.mark.parametrize(
    ("decision", "state"),
    [
        (Decision.SENT, DeliveryState.ACCEPTED),
        (Decision.NEVER, DeliveryState.ABANDONED),
        (Decision.RESEND, DeliveryState.QUEUED),
    ],
)
@pytest.mark.parametrize("everybody", [False, True])
def test_a_person_decides_what_is_uncertain(
    room: Room,
    decision: Decision,
    state: DeliveryState,
    *,
    everybody: bool,
) -> None:
    wave = room.finished(*LOST)
    address = None if everybody else ADDRESSES[0].upper()
    assert room.order("settle", address=address, decision=decision) == (2 if everybody else 1)
    left = counts(room.database, wave)
    assert left.get("uncertain", 0) == (0 if everybody else 1)
    assert_accounted_for(room.database, wave)
    [(line, tries)] = room.review.attempts("R-1", ADDRESSES[0])
    assert line.state is state
    assert tries[0].outcome == "uncertain"
    again = WaveState.SENDING if decision is Decision.RESEND else WaveState.FINISHED
    assert wave_of(room.database, wave).state is again
    assert room.actions()[0] == "settled"


@sqlite
@pytest.mark.parametrize("address", [None, ADDRESSES[2], "nobody@paper.example", "%", "' OR ''='"])
def test_settling_where_nothing_is_uncertain_is_refused(room: Room, address: str | None) -> None:
    room.finished(*[Outcome.ACCEPTED] * 5)
    with pytest.raises(NotFound, match="has no uncertain delivery"):
        room.order("settle", address=address, decision=Decision.NEVER)


@sqlite
def test_nothing_of_a_cancelled_wave_is_sent_again(room: Room) -> None:
    wave = room.sending(*LOST)
    room.order("cancel")
    with pytest.raises(Refused, match="was cancelled"):
        room.order("settle", address=None, decision=Decision.RESEND)
    assert counts(room.database, wave)["uncertain"] == 2
    assert room.order("settle", address=None, decision=Decision.SENT) == 2


@sqlite
def test_an_embargo_moved_earlier_leaves_at_its_new_time_only_after_approval(room: Room) -> None:
    earlier = Changes(embargo="2026-12-01 10:00 Europe/London")
    room.texts.edit("R-1", earlier, by="ann", now=MORNING)
    with pytest.raises(Refused, match="version 2 is a draft, not approved"):
        room.schedule()
    room.texts.approve("R-1", by="ann", now=MORNING)
    assert room.schedule().wave.send_at == NOON - timedelta(hours=2)


def test_a_person_takes_over_a_hold_that_would_lift_by_itself(room: Room) -> None:
    wave = room.schedule().wave
    order = Order("distributor", NOON)
    room.database.write(lambda tx: waves.hold(tx, wave, HoldReason.CLOCK, order)).result()
    held = room.order("hold")
    assert (held.state, held.reason) == (WaveState.HELD, HoldReason.PERSON)
    assert held.resume_to is WaveState.PLANNED
    assert room.actions()[0] == "held"


@sqlite
def test_what_would_expire_at_once_is_not_set_going(room: Room) -> None:
    wave = room.sending(Outcome.UNCERTAIN)
    room.database.write(lambda tx: waves.note_first_mail(tx, wave.id, NOON)).result()
    room.order("hold")
    too_late = NOON + timedelta(days=1)
    with pytest.raises(Refused, match="is over: 24 hours after its first mail"):
        room.desk.resume("R-1", waive=None, by="ann", now=too_late)
    with pytest.raises(Refused, match="is over"):
        room.desk.settle("R-1", None, Decision.RESEND, by="ann", now=too_late)
    assert room.desk.settle("R-1", None, Decision.SENT, by="ann", now=too_late) == 1


@sqlite
def test_a_changed_text_that_goes_out_again_is_said_to(room: Room) -> None:
    assert room.schedule().had_before == 0
    room.order("unschedule")
    room.finished(Outcome.ACCEPTED, Outcome.UNCERTAIN, *[Outcome.REFUSED] * 3)
    room.texts.edit("R-1", Changes(embargo="immediate"), by="ann", now=NOON)
    room.texts.approve("R-1", by="ann", now=NOON)
    assert room.schedule(Target(["press"], at="now"), now=NOON + timedelta(days=9)).had_before == 2
