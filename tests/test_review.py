from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from distributor.core.letter import Letter
from distributor.core.message import CompiledMessage
from distributor.core.states import DeliveryState, WaveState
from distributor.desk.releases import Changes, Releases
from distributor.desk.suppressions import SuppressionOrder, Suppressions
from distributor.desk.waves import Target, Waves
from distributor.errors import NotFound
from distributor.installation import Installation
from distributor.mail.compiling import decoded_parts, subject_of
from distributor.review import Filter, Review
from distributor.shipped import shipped
from distributor.stages import preparing
from distributor.store import releases
from distributor.store.database import open_database
from tests.builders import (
    MORNING,
    NOON,
    POLICY,
    WORKER,
    a_contact,
    a_list,
    a_version,
    a_worker,
    claimed,
    marked,
    moved,
    nobody_to_ask,
    wave_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from distributor.core.model import Delivery, Wave
    from distributor.store.database import Database

PEOPLE = [
    a_contact("jane@herald.example", name="Jane Doe", given_name="Jane", outlet="The Herald"),
    a_contact("zoe@blatt.example", name="Zoë Åberg <b>&", outlet="Süddeutsches Blatt"),
    a_contact("nobody@plain.example"),
    a_contact("off@plain.example", name="Off"),
]


class Room(NamedTuple):
    """One release, approved under embargo and scheduled to four people."""

    database: Database
    review: Review
    texts: Releases
    waves: Waves

    def sealed(self) -> Wave:
        wave = self.review.release("R-1").waves[-1].wave
        wave = moved(self.database, wave, WaveState.PREPARING)
        preparing.prepare(self.database, POLICY, wave, worker=WORKER, now=MORNING)
        return wave_of(self.database, wave)

    def on_the_wire(self) -> list[Delivery]:
        self.database.write(a_worker).result()
        found: list[Delivery] = []
        while (claim := claimed(self.database)) is not None:
            found += marked(self.database, claim)
        return found


@pytest.fixture
def room(migrated_url: str, tmp_path: Path) -> Iterator[Room]:
    database = open_database(migrated_url)
    templates = shipped("templates")

    def bring_in(tx: Any) -> None:
        release = releases.create_release(tx, MORNING)
        releases.add_draft(tx, a_version(release_id=release), by="ann")
        a_list(tx, "press", PEOPLE)

    database.write(bring_in).result()
    waves = Waves(
        database,
        Installation(database, tmp_path / "state", host="here"),
        POLICY,
        nobody_to_ask(database),
    )
    room = Room(database, Review(database, templates), Releases(database, templates), waves)
    room.texts.approve("R-1", by="ann", now=MORNING)
    waves.schedule("R-1", Target(["press"]), by="ann", now=MORNING)
    yield room
    database.close()


def test_a_preview_is_byte_for_byte_what_dispatch_sends_to_that_contact(room: Room) -> None:
    wave = room.sealed()
    with room.database.read() as tx:
        [stored] = releases.compiled_of(tx, wave.version_id).values()
        version = releases.version_of(tx, wave.version_id)
    letter = Letter(CompiledMessage.from_json(stored.content), version.sender)
    sent = room.on_the_wire()
    assert len(sent) == 4
    for delivery in sent:
        shown = room.review.preview("R-1", delivery.recipient.address, now=NOON)
        leaves = letter.copy_for(
            delivery.recipient,
            reference=delivery.reference,
            date=delivery.dated_at,
        )
        assert shown.data == leaves
        assert shown.approved
        assert (shown.text, shown.html) == decoded_parts(leaves)
        assert shown.subject == subject_of(leaves) == "A new bridge"


def test_a_preview_after_an_edit_is_of_the_draft_and_says_so(room: Room) -> None:
    room.waves.unschedule("R-1", by="ann", now=MORNING)
    room.texts.edit("R-1", Changes(headline="Another bridge"), by="ann", now=MORNING)
    shown = room.review.preview("R-1", "jane@herald.example", now=MORNING)
    assert not shown.approved
    assert shown.subject == "Another bridge"


def test_a_preview_for_somebody_unknown_is_refused(room: Room) -> None:
    with pytest.raises(NotFound, match="There is no contact"):
        room.review.preview("R-1", "x@y.example", now=NOON)


def test_i8_a_preview_names_nobody_but_its_reader(room: Room) -> None:
    data = room.review.preview("R-1", "jane@herald.example", now=NOON).data
    for other in PEOPLE[1:]:
        assert other.address.shown.encode() not in data


def test_the_audience_is_recipients_and_exclusions_with_their_reasons(room: Room) -> None:
    order = SuppressionOrder("off@plain.example", "objection", "by telephone")
    Suppressions(room.database).add(order, by="ann", now=MORNING)
    wave = room.sealed()
    view, members = room.review.audience("R-1")
    assert view is not None
    assert (wave.recipients, wave.exclusions) == (3, 1)
    assert len(members) == 4
    [excluded] = [member for member in members if member.reason]
    assert (excluded.address, excluded.state, excluded.reason) == (
        ("off@plain.example", "excluded", "suppressed")
    )
    assert "objection" in excluded.evidence


def test_a_release_shows_the_state_of_its_newest_wave_or_else_of_its_version(room: Room) -> None:
    assert room.review.release("R-1").state == "planned"
    room.waves.unschedule("R-1", by="ann", now=MORNING)
    assert room.review.release("R-1").state == "approved"
    room.texts.edit("R-1", Changes(headline="Another"), by="ann", now=MORNING)
    assert room.review.release("R-1").state == "draft"


def test_the_log_is_empty_before_the_audience_is_sealed(room: Room) -> None:
    assert list(room.review.log("R-1", Filter())) == []
    room.sealed()
    lines = list(room.review.log("R-1", Filter()))
    assert {line.address for line in lines} == {person.address.shown for person in PEOPLE}
    assert {line.state for line in lines} == {DeliveryState.QUEUED}


def test_a_wave_names_its_lists_and_an_unknown_release_is_refused(room: Room) -> None:
    view = room.review.release("R-1").waves[-1]
    assert view.lists == ("press",)
    with pytest.raises(NotFound, match="R-2"):
        room.review.release("R-2")


def test_workers_count_only_while_they_show_themselves(room: Room) -> None:
    room.database.write(a_worker).result()
    assert room.review.workers_alive(MORNING, within_s=60) == 1
    assert room.review.workers_alive(NOON, within_s=60) == 0
