"""Orders about what has gone out: what each refuses, what it stops, and what it leaves behind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import update

from distributor.core.changes import Place
from distributor.core.model import Draft, Embargo, EmbargoState, Outcome, WaveKind
from distributor.core.states import DeliveryState, VersionState, WaveState
from distributor.desk.releases import Changes, Reading, Releases
from distributor.desk.sequels import Sequels, Text
from distributor.errors import EmbargoUnclear, MessageError, NotFound, Refused
from distributor.mail.compiling import subject_of
from distributor.review import Review
from distributor.shipped import shipped
from distributor.store import audit, releases, waves
from distributor.store.database import open_database
from distributor.store.schema import batches
from tests.builders import (
    EMBARGOED,
    HOUR,
    LONDON_NOON,
    MORNING,
    NOON,
    a_draft,
    a_ready_wave,
    a_result,
    a_sending_wave,
    a_worker,
    claimed,
    marked,
    recorded,
    wave_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributor.core.model import Wave
    from distributor.desk.sequels import Rewritten
    from distributor.store.database import Database

LATER = NOON + HOUR
NEW = a_draft(body="It opens on Wednesday.", embargo=Embargo())
IMMEDIATE = Embargo(EmbargoState.IMMEDIATE, text="FOR IMMEDIATE RELEASE")


@dataclass
class Room:
    """The desk with R-1 half sent: two of five accepted, one lost, two waiting."""

    database: Database
    desk: Sequels
    texts: Releases
    review: Review
    wave: Wave

    def rewrite(self, draft: Draft = NEW, **said: Any) -> Rewritten:
        text = Text(Reading(draft, (), "source"), said.pop("reason", "A day was wrong."), **said)
        return self.desk.rewrite("R-1", text, by="ann", now=LATER)

    def approve(self) -> None:
        self.texts.approve("R-1", by="bob", now=LATER)


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    database = open_database(migrated_url)
    yield database
    database.close()


@pytest.fixture
def room(database: Database) -> Room:
    wave = a_sending_wave(database, 5)
    database.write(a_worker).result()
    templates = shipped("templates")
    claim = claimed(database)
    assert claim is not None
    first, second = marked(database, claim)
    recorded(
        database,
        a_result(first.id, 7, Outcome.ACCEPTED),
        a_result(second.id, 7, Outcome.UNCERTAIN),
    )
    database.write(lambda tx: waves.note_first_mail(tx, wave.id, NOON)).result()
    return Room(
        database,
        Sequels(database, templates, "Europe/London"),
        Releases(database, templates),
        Review(database, templates),
        wave_of(database, wave),
    )


def test_a_correction_stops_what_has_not_left_and_waits_for_its_approval(room: Room) -> None:
    made = room.rewrite()
    assert made.stopped is not None
    # A worker still holds the batch: what it has in hand is settled first.
    assert made.stopped.state is WaveState.STOPPING
    version = made.version
    assert (version.number, version.state) == (2, VersionState.DRAFT)
    assert version.sequel is not None
    assert version.sequel.base_id == room.wave.version_id
    assert version.sequel.base_on == NOON.date()
    assert version.draft.embargo == EMBARGOED
    assert [change.place for change in made.changes] == [Place.PARAGRAPH]
    assert (made.changes[0].old, made.changes[0].new) == (
        "It opens on Tuesday.",
        "It opens on Wednesday.",
    )
    with room.database.read() as tx:
        newest = audit.entries(tx, subject="release R-1")[0]
    assert (newest.action, newest.actor) == ("correction", "ann")


def test_a_correction_is_scheduled_when_the_old_wave_is_over_and_it_is_approved(room: Room) -> None:
    room.rewrite()
    with pytest.raises(Refused, match="scheduled already"):
        room.desk.schedule("R-1", by="ann", now=LATER)
    give_back(room)
    with pytest.raises(Refused, match="not approved"):
        room.desk.schedule("R-1", by="ann", now=LATER)
    room.approve()
    planned = room.desk.schedule("R-1", by="ann", now=LATER)
    assert planned.wave is not None
    assert (planned.wave.kind, planned.wave.send_at) == (WaveKind.CORRECTION, LATER)
    assert (planned.recipients, planned.excluded) == (2, ())
    assert not planned.wave.before_lift
    view = room.review.release("R-1")
    assert view.waves[0].counts == {
        DeliveryState.ACCEPTED: 1,
        DeliveryState.UNCERTAIN: 1,
        DeliveryState.CANCELLED: 3,
    }


def give_back(room: Room) -> None:
    """The worker lets go of its batch; what was stopped is cancelled."""
    order = audit.Order("ann", LATER)
    freed = {"state": "done", "owner": None, "token": None, "lease_until": None}
    change = update(batches).where(batches.c.state == "claimed").values(**freed)

    def work(tx: Any) -> None:
        tx.execute(change)
        assert waves.complete_stop(tx, waves.get(tx, room.wave.id), order)

    room.database.write(work).result()


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        ({"reason": "  "}, Refused, "A reason is needed"),
        ({"reason": "One\nTwo"}, MessageError, "reason holds a line feed"),
        ({"draft": a_draft(embargo=Embargo())}, Refused, "nothing is changed"),
        ({"draft": replace(NEW, body="")}, Refused, "no body"),
        ({"draft": replace(NEW, headline="a\rb")}, MessageError, "headline|subject"),
        ({"embargo": "2026-12-02 12:00 Europe/London"}, Refused, "cannot be embargoed any more"),
        ({"embargo": "tomorrow"}, EmbargoUnclear, "write it like|time zone"),
        ({"kind": WaveKind.FOLLOW_UP}, Refused, "not over yet"),
    ],
)
def test_an_order_that_is_refused_stops_nothing(
    room: Room, said: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        room.rewrite(**said)
    assert wave_of(room.database, room.wave).state is WaveState.SENDING
    with room.database.read() as tx:
        assert releases.latest(tx, room.wave.release_id).number == 1


def test_what_has_not_gone_out_is_edited_and_not_corrected(database: Database) -> None:
    a_ready_wave(database)
    desk = Sequels(database, shipped("templates"), "Europe/London")
    text = Text(Reading(NEW, (), "source"), "A day was wrong.")
    with pytest.raises(Refused, match="Nothing of R-1 has left yet") as refusal:
        desk.rewrite("R-1", text, by="ann", now=MORNING)
    assert refusal.value.remedy is not None
    assert "unschedule R-1; then: distributor release edit R-1" in refusal.value.remedy
    with pytest.raises(NotFound):
        desk.rewrite("R-9", text, by="ann", now=MORNING)


def test_a_text_of_an_embargoed_release_that_names_another_embargo_is_asked_about(
    room: Room,
) -> None:
    desk, before = room.desk, MORNING + HOUR
    earlier = replace(LONDON_NOON, wall=LONDON_NOON.wall - timedelta(hours=1))
    sooner = Embargo(EmbargoState.EMBARGOED, NOON - HOUR, earlier, "EMBARGOED UNTIL 11")
    for embargo in (IMMEDIATE, sooner):
        reading = Reading(replace(NEW, embargo=embargo), (), "source")
        with pytest.raises(EmbargoUnclear, match="they disagree"):
            desk.rewrite("R-1", Text(reading, "Why."), by="ann", now=before)
    stated = Text(reading, "Why.", embargo="2026-12-01 11:00 Europe/London")
    made = desk.rewrite("R-1", stated, by="ann", now=before)
    assert made.version.draft.embargo.at == NOON - HOUR
    assert Place.EMBARGO in {change.place for change in made.changes}


def test_new_facts_have_an_embargo_of_their_own_or_none(room: Room) -> None:
    stop = audit.Order("ann", LATER)
    room.database.write(lambda tx: waves.move(tx, room.wave, WaveState.STOPPING, stop)).result()
    give_back(room)
    follow_up: dict[str, Any] = {"kind": WaveKind.FOLLOW_UP}
    assert room.rewrite(**follow_up).version.draft.embargo == Embargo()
    made = room.rewrite(embargo="2026-12-02 12:00 Europe/London", **follow_up)
    assert made.version.draft.embargo.at == NOON + timedelta(days=1)
    room.approve()
    planned = room.desk.schedule("R-1", by="ann", now=LATER)
    assert planned.wave is not None
    assert planned.wave.send_at == NOON + timedelta(days=1)
    assert not planned.wave.before_lift


def test_an_edit_of_a_correction_stays_one_until_it_has_gone_out(room: Room) -> None:
    room.rewrite()
    give_back(room)
    edited = room.texts.edit("R-1", Changes(headline="Another bridge"), by="ann", now=LATER)
    assert edited.sequel is not None
    room.approve()
    again = room.texts.edit("R-1", Changes(headline="A third bridge"), by="ann", now=LATER)
    assert again.sequel == edited.sequel
    room.approve()
    shown = room.review.preview("R-1", None, now=LATER)
    assert shown.subject == "CORRECTION: A third bridge"
    assert "“A new bridge” now reads “A third bridge”" in shown.text
    room.desk.schedule("R-1", by="ann", now=LATER)
    with pytest.raises(Refused, match="is scheduled"):
        room.texts.edit("R-1", Changes(headline="Four"), by="ann", now=LATER)


def test_a_correction_binds_reason_and_both_messages_under_its_seal(room: Room) -> None:
    room.rewrite()
    room.approve()
    with room.database.read() as tx:
        version = releases.latest(tx, room.wave.release_id)
        stored = [item.template for item in releases.compiled_of(tx, version.id).values()]
    assert stored == ["correction", "release"]
    assert version.seal is not None
    assert subject_of(room.review.preview("R-1", None, now=LATER).data).startswith("CORRECTION: ")


def test_a_withdrawal_needs_one_order_and_cannot_be_given_twice(room: Room) -> None:
    done = room.desk.withdraw("R-1", "It is not ours.", by="ann", now=LATER)
    assert done.stopped is not None
    assert done.audience.wave is not None
    assert done.audience.wave.kind is WaveKind.WITHDRAWAL
    assert done.audience.recipients == 2
    with room.database.read() as tx:
        version = releases.latest(tx, room.wave.release_id)
        assert releases.is_withdrawn(tx, room.wave.release_id)
    assert version.state is VersionState.APPROVED
    with pytest.raises(Refused, match="withdrawn already"):
        room.desk.withdraw("R-1", "Again.", by="ann", now=LATER)


def test_a_withdrawal_that_was_taken_back_is_scheduled_again_and_its_text_never(
    room: Room,
) -> None:
    room.desk.withdraw("R-1", "It is not ours.", by="ann", now=LATER)
    give_back(room)
    with room.database.read() as tx:
        wave = waves.pending_of(tx, room.wave.release_id)
    assert wave is not None
    room.database.write(lambda tx: waves.discard(tx, wave, audit.Order("ann", LATER))).result()
    planned = room.desk.schedule("R-1", by="ann", now=LATER)
    assert planned.wave is not None
    assert planned.wave.kind is WaveKind.WITHDRAWAL
    assert planned.recipients == 2


def test_a_withdrawal_interrupted_after_the_stop_is_carried_on(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise MessageError("interrupted")

    with monkeypatch.context() as patch:
        patch.setattr("distributor.desk.sequels.compiled_of", broken)
        with pytest.raises(MessageError, match="interrupted"):
            room.desk.withdraw("R-1", "It is not ours.", by="ann", now=LATER)
    assert wave_of(room.database, room.wave).state is WaveState.STOPPING
    give_back(room)
    with pytest.raises(Refused, match="nobody has been told yet"):
        room.desk.resend("R-1", by="ann", now=LATER)
    done = room.desk.withdraw("R-1", "It is not ours.", by="ann", now=LATER)
    assert done.audience.recipients == 2


def test_a_release_of_which_nothing_has_left_is_withdrawn_without_a_mail(
    database: Database,
) -> None:
    wave = a_ready_wave(database)
    desk = Sequels(database, shipped("templates"), "Europe/London")
    done = desk.withdraw("R-1", "It is not ours.", by="ann", now=MORNING)
    assert done.audience.wave is None
    assert wave_of(database, wave).state is WaveState.CANCELLED


@pytest.mark.parametrize("state", [DeliveryState.ACCEPTED, DeliveryState.UNCERTAIN])
def test_only_what_was_refused_or_expired_is_sent_again(room: Room, state: DeliveryState) -> None:
    with pytest.raises(Refused, match="not sent again"):
        room.desk.resend("R-1", [state], by="ann", now=LATER)


def test_a_resend_waits_for_its_wave_and_needs_somebody(room: Room) -> None:
    with pytest.raises(Refused, match="scheduled already"):
        room.desk.resend("R-1", by="ann", now=LATER)
    stop = audit.Order("ann", LATER)
    room.database.write(lambda tx: waves.move(tx, room.wave, WaveState.STOPPING, stop)).result()
    give_back(room)
    with pytest.raises(Refused, match="Nobody would get it"):
        room.desk.resend("R-1", by="ann", now=LATER)
    with pytest.raises(Refused, match="is embargoed until"):
        room.desk.resend("R-1", by="ann", now=MORNING)


def test_a_plain_release_is_not_scheduled_without_a_list(room: Room) -> None:
    stop = audit.Order("ann", LATER)
    room.database.write(lambda tx: waves.move(tx, room.wave, WaveState.STOPPING, stop)).result()
    give_back(room)
    with pytest.raises(Refused, match="speaks of no earlier one"):
        room.desk.schedule("R-1", by="ann", now=LATER)
