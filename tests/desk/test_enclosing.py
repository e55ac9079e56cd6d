"""Orders about a release's attachments: brought in, taken out, approved, and looked at."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, date, datetime
from email import message_from_bytes, policy
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import delete, func, select

from distributor.core.message import CompiledMessage
from distributor.core.model import Sender
from distributor.core.size import SizeLimit
from distributor.desk.enclosing import ATTACHMENTS_MAX
from distributor.desk.releases import Changes, Releases, read_text
from distributor.errors import MessageError, NotFound, Refused
from distributor.intake.attachment import Brought, Words, bring
from distributor.mail.compiling import letter_of
from distributor.review import Review
from distributor.shipped import shipped
from distributor.store import attachments, relays, releases
from distributor.store.database import open_database
from distributor.store.schema import attachment_pieces
from distributor.store.schema import attachments as kept
from tests.pictures import PDF, jpeg, png

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from distributor.core.model import Version
    from distributor.store.database import Database

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
SENDER = Sender("Press Desk", "press@desk.example", organisation="The Desk")
TEXT = "For immediate release\n\nA bridge opens\n\nThe bridge at Mordale opens today.\n\nENDS\n"


class Room:
    def __init__(self, database: Database, folder: Path, **limits: Any) -> None:
        self.database, self.folder = database, folder
        self.desk = Releases(database, shipped("templates"), **limits)
        self.review = Review(database, shipped("templates"))

    def file(self, name: str, data: bytes, words: Words | None = None) -> Brought:
        path = self.folder / name
        path.write_bytes(data)
        return bring(path, words)

    def bring(self, *files: Brought) -> Version:
        path = self.folder / "story.txt"
        path.write_text(TEXT)
        reading = read_text(path, received=date(2026, 11, 23), zone="Europe/London", language="en")
        return self.desk.bring_in(
            replace(reading, files=files),
            sender=SENDER,
            embargo=None,
            language=None,
            by="ann",
            now=NOW,
        )

    def edit(self, ref: str, **changes: Any) -> Version:
        return self.desk.edit(ref, Changes(**changes), by="ann", now=NOW)

    def approve(self, ref: str) -> Version:
        return self.desk.approve(ref, by="ann", now=NOW)[0]

    def count(self, table: Any) -> int:
        with self.database.read() as tx:
            return tx.execute(select(func.count()).select_from(table)).scalar_one()


@pytest.fixture
def room(migrated_url: str, tmp_path: Path) -> Iterator[Room]:
    database = open_database(migrated_url)
    yield Room(database, tmp_path)
    database.close()


def names(version: Version) -> list[str]:
    return [each.name for each in version.draft.attachments]


def test_attachments_come_with_the_first_draft_and_are_kept(room: Room) -> None:
    plan, pier = room.file("plan.pdf", PDF), room.file("pier.png", png(), Words("The pier"))
    version = room.bring(pier, plan)
    assert version.draft.attachments == (pier.attachment, plan.attachment)
    stored = room.review.release(version.ref).version
    assert stored.draft == version.draft
    assert b"".join(attachments.reader(room.database)(plan.attachment.digest)) == PDF


def test_i6_an_edit_of_attachments_is_a_new_version_and_needs_its_own_approval(
    room: Room,
) -> None:
    ref = room.bring(room.file("plan.pdf", PDF)).ref
    first = room.approve(ref)
    second = room.edit(ref, attach=(room.file("pier.jpg", jpeg()),))
    assert (second.number, second.state.value, names(second)) == (
        2,
        "draft",
        ["plan.pdf", "pier.jpg"],
    )
    third = room.edit(ref, detach=("PLAN.pdf",))
    assert names(third) == ["pier.jpg"]
    fourth = room.edit(ref, headline="Another headline")
    assert names(fourth) == ["pier.jpg"]
    approved = room.approve(ref)
    assert approved.seal != first.seal
    with room.database.read() as tx:
        assert names(releases.version_of(tx, first.id)) == ["plan.pdf"]


def test_a_file_can_be_taken_out_and_another_of_its_name_put_in_at_once(room: Room) -> None:
    ref = room.bring(room.file("plan.pdf", PDF)).ref
    other = room.file("plan.pdf", PDF + b"% newer\n")
    version = room.edit(ref, detach=("plan.pdf",), attach=(other,))
    assert version.draft.attachments == (other.attachment,)


def test_the_same_file_in_two_releases_is_kept_once(room: Room) -> None:
    for _ in range(2):
        room.bring(room.file("plan.pdf", PDF))
    assert room.count(kept) == 1


def test_a_name_or_a_file_that_is_there_already_is_refused(room: Room) -> None:
    ref = room.bring(room.file("plan.pdf", PDF)).ref
    with pytest.raises(Refused, match="two files called PLAN"):
        room.edit(ref, attach=(room.file("PLAN.pdf", PDF + b"%\n"),))
    with pytest.raises(Refused, match="is the same file as plan"):
        room.edit(ref, attach=(room.file("copy.pdf", PDF),))
    with pytest.raises(NotFound, match="No file called other") as missed:
        room.edit(ref, detach=("other.pdf",))
    assert missed.value.remedy == "It has plan.pdf."
    files = [room.file(f"{n}.txt", b"%d" % n) for n in range(ATTACHMENTS_MAX + 1)]
    with pytest.raises(Refused, match="31 files"):
        room.bring(*files)
    assert len(room.review.releases()) == 1
    assert room.count(kept) == 1


def test_i6_what_was_approved_holds_the_hash_of_every_attachment(room: Room) -> None:
    ref = room.bring(room.file("plan.pdf", PDF)).ref
    version = room.approve(ref)
    with room.database.read() as tx:
        (stored,) = releases.compiled_of(tx, version.id).values()
    assert hashlib.sha256(PDF).hexdigest() in stored.content
    assert len(stored.content) < 20_000
    message = CompiledMessage.from_json(stored.content)
    letter = letter_of(message, SENDER, octets_of=attachments.reader(room.database))
    assert letter.tail is not None


def test_an_attachment_that_is_lost_stops_its_approval(room: Room) -> None:
    ref = room.bring(room.file("plan.pdf", PDF)).ref
    room.database.write(lambda tx: tx.execute(delete(attachment_pieces))).result()
    with pytest.raises(MessageError, match="not what it was when it was attached"):
        room.approve(ref)
    assert room.review.release(ref).state == "draft"


@pytest.mark.parametrize("approve", [True, False])
def test_a_preview_has_the_attachments_and_shows_the_pictures(
    room: Room,
    approve: bool,  # noqa: FBT001
) -> None:
    pier = room.file("pier.png", png(), Words("The pier", "In May."))
    ref = room.bring(pier, room.file("plan.pdf", PDF)).ref
    if approve:
        room.approve(ref)
    shown = room.review.preview(ref, None, now=NOW)
    mail = message_from_bytes(shown.data, policy=policy.default)
    found = {part.get_filename(): part.get_payload(decode=True) for part in mail.walk()}
    assert (found["plan.pdf"], found["pier.png"]) == (PDF, pier.octets)
    assert "cid:" not in shown.page
    assert 'src="data:image/png;base64,' in shown.page
    assert "[Picture: The pier]\nIn May.\n" in shown.text
    assert [each.name for each in shown.attachments] == ["pier.png", "plan.pdf"]


def test_statement_52_a_mail_above_the_desks_limit_is_not_approved(
    migrated_url: str, tmp_path: Path
) -> None:
    database = open_database(migrated_url)
    room = Room(database, tmp_path, size_limit=SizeLimit(100_000))
    ref = room.bring(room.file("plan.pdf", PDF + bytes(70_000))).ref
    with pytest.raises(Refused, match="; 100 kB is the most") as refused:
        room.approve(ref)
    assert "give a link instead" in (refused.value.remedy or "")
    assert room.review.release(ref).state == "draft"
    room.edit(ref, detach=("plan.pdf",))
    room.approve(ref)
    database.close()


def test_statement_52_a_mail_above_what_a_relay_in_use_says_is_not_approved(
    migrated_url: str, tmp_path: Path
) -> None:
    database = open_database(migrated_url)
    room = Room(database, tmp_path, relays=["main"])

    def tell(name: str, size: int | None) -> None:
        report = relays.Report(name, "w1", NOW, "well", "", size)
        database.write(lambda tx: relays.report(tx, report)).result()

    ref = room.bring(room.file("plan.pdf", PDF + bytes(70_000))).ref
    tell("main", 60_000)
    with pytest.raises(Refused, match=r"60 kB is the most \(so main says\)"):
        room.approve(ref)
    tell("main", None)
    tell("another", 60_000)
    room.approve(ref)
    database.close()
