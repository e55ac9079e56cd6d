from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError

from distributor.core.approval import seal_of
from distributor.core.letter import Letter
from distributor.core.model import EmbargoState, Recipient, Sender
from distributor.core.states import VersionState
from distributor.desk.releases import (
    Changes,
    Releases,
    orders_that_state,
    overruled,
    read_text,
    stated_embargo,
)
from distributor.errors import (
    DistributorError,
    EmbargoUnclear,
    InputError,
    MessageError,
    NotFound,
    Refused,
)
from distributor.review import Review
from distributor.shipped import shipped
from distributor.store import audit, releases
from distributor.store.database import open_database
from distributor.store.schema import versions
from tests.builders import a_version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from distributor.core.model import Version
    from distributor.desk.releases import Reading
    from distributor.store.database import Database

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
RECEIVED = date(2026, 11, 23)
SENDER = Sender("Press Desk", "press@desk.example", organisation="The Desk")
TEXT = """\
EMBARGOED until 00:01 GMT on Tuesday 1 December 2026

A bridge opens for all

The bridge at Mordale opens to everybody on Tuesday, the county said today.

ENDS

Contact: Ines Falk, 0191 498 0142
"""
UNDATED = TEXT.split("\n\n", 1)[1]


class Room(NamedTuple):
    """The desk's room for releases, with templates of its own."""

    database: Database
    folder: Path
    desk: Releases
    review: Review

    def reading(self, text: str | bytes = TEXT, name: str = "bridge.txt") -> Reading:
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_text(path, received=RECEIVED, zone="Europe/London", language="en")

    def bring(
        self,
        text: str = TEXT,
        embargo: str | None = None,
        *,
        sender: Sender = SENDER,
        language: str | None = None,
    ) -> Version:
        return self.desk.bring_in(
            self.reading(text),
            sender=sender,
            embargo=embargo,
            language=language,
            by="ann",
            now=NOW,
        )

    def edit(self, ref: str, **changes: Any) -> Version:
        return self.desk.edit(ref, Changes(**changes), by="ann", now=NOW)

    def approve(self, ref: str, *, now: datetime = NOW) -> Version:
        return self.desk.approve(ref, by="ann", now=now)[0]

    def stored(self) -> int:
        return len(self.review.releases())


@pytest.fixture
def room(migrated_url: str, tmp_path: Path) -> Iterator[Room]:
    database = open_database(migrated_url)
    templates = tmp_path / "templates"
    shutil.copytree(shipped("templates"), templates)
    yield Room(database, tmp_path, Releases(database, templates), Review(database, templates))
    database.close()


sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


def test_a_text_becomes_a_draft_of_a_new_release_with_its_audit_row(room: Room) -> None:
    version = room.bring()
    assert (version.ref, version.number, version.state) == ("R-1", 1, VersionState.DRAFT)
    assert version.draft.headline == "A bridge opens for all"
    assert version.draft.embargo.at == datetime(2026, 12, 1, 0, 1, tzinfo=UTC)
    assert version.source == TEXT
    [entry] = room.review.audit("R-1")
    assert (entry.actor, entry.action, entry.at) == ("ann", "imported", NOW)
    assert room.bring().ref == "R-2"


@sqlite
@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("empty", b"", "is empty"),
        ("blank", b" \r\n\t\n", "is empty"),
        ("binary", bytes(range(256)) * 40, "not text"),
        ("50 MB", b"a long line\n" * (50 * 1024 * 1024 // 12), "more than 20 MB"),
    ],
)
def test_a_file_that_is_no_text_is_refused_by_name_and_nothing_is_stored(
    room: Room,
    name: str,
    data: bytes,
    said: str,
) -> None:
    with pytest.raises(InputError, match=said) as refused:
        room.reading(data, f"{name}.txt")
    assert f"{name}.txt" in str(refused.value)
    assert refused.value.remedy
    assert room.stored() == 0


@sqlite
def test_an_encoding_that_must_be_guessed_is_said(room: Room) -> None:
    reading = room.reading(UNDATED.replace("everybody", "jeden ab März").encode("cp1252"))
    assert "März" in reading.draft.body
    assert any("not UTF-8" in finding.message for finding in reading.findings)


@sqlite
def test_an_unknown_encoding_is_refused(room: Room) -> None:
    with pytest.raises(InputError, match="not text in any known encoding"):
        room.reading(bytes(range(128, 256)) * 30)


@sqlite
@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("EMBARGOED until 00:01 GMT on Tuesday 1 December 2026\n\n", "headline"),
        ("A headline and nothing under it\n", "body"),
    ],
)
def test_a_text_without_headline_or_body_is_refused(room: Room, text: str, field: str) -> None:
    with pytest.raises(Refused, match=f"no {field}"):
        room.bring(text)
    assert room.stored() == 0


@sqlite
def test_two_embargoes_that_disagree_wait_for_a_person(room: Room) -> None:
    second = "Strictly embargoed until 09:00 GMT on Wednesday 2 December 2026\n\nENDS"
    version = room.bring(TEXT.replace("ENDS", second))
    assert version.draft.embargo.state is EmbargoState.UNCLEAR
    with pytest.raises(Refused, match="unclear") as refused:
        room.approve(version.ref)
    assert "release edit R-1 --embargo" in (refused.value.remedy or "")
    room.edit(version.ref, embargo="2026-12-02 09:00 Europe/London")
    assert room.approve(version.ref).state is VersionState.APPROVED


@sqlite
def test_an_embargo_in_the_past_is_not_taken_for_no_embargo(room: Room) -> None:
    version = room.bring(TEXT.replace("2026", "2020"))
    assert version.draft.embargo.state is EmbargoState.UNCLEAR
    with pytest.raises(Refused, match="past"):
        room.approve(version.ref)


@sqlite
def test_an_embargo_that_passed_before_approval_must_be_stated_anew(room: Room) -> None:
    version = room.bring()
    with pytest.raises(Refused, match="has passed") as refused:
        room.approve(version.ref, now=NOW + timedelta(days=30))
    assert refused.value.remedy == "distributor release edit R-1 --embargo immediate"


@pytest.mark.parametrize(
    ("stated", "said", "choices"),
    [
        ("2026-03-29 01:30 Europe/London", "does not exist", ("00:59", "02:00")),
        ("2027-10-31 01:30 Europe/London", "comes twice", ("+01:00", "+00:00")),
        ("2026-12-01 00:01 Mars/Base", "not a known time zone", ()),
        ("2026-12-01 00:01 EST", "not a known time zone", ()),
        ("2026-12-01 00:01", "names no time zone", ()),
        ("2026-02-30 10:00 Europe/London", "not a date", ()),
        ("tomorrow", "not an exact time", ()),
        ("", "not an exact time", ()),
        ("9999-12-31 23:59 America/New_York", "cannot be meant", ()),
    ],
)
def test_an_embargo_that_is_not_exact_asks(stated: str, said: str, choices: tuple[str]) -> None:
    with pytest.raises(EmbargoUnclear, match=said) as refused:
        stated_embargo(stated, now=NOW)
    assert all(choice in (refused.value.remedy or "") for choice in choices)


def test_a_stated_embargo_in_the_past_is_refused() -> None:
    with pytest.raises(Refused, match="lies in the past"):
        stated_embargo("2026-11-23 09:59 Europe/London", now=NOW)


@pytest.mark.parametrize("word", ["immediate", " Immediate ", "none", "NONE"])
def test_none_and_immediate_are_stated_in_words(word: str) -> None:
    assert stated_embargo(word, now=NOW).state.value == word.strip().lower()


@sqlite
@pytest.mark.parametrize(
    ("text", "stated"),
    [
        (TEXT, "2026-12-01 00:00 Europe/London"),
        (TEXT, "immediate"),
        (TEXT, "none"),
        (f"FOR IMMEDIATE RELEASE\n\n{UNDATED}", "2026-12-01 00:01 Europe/London"),
    ],
)
def test_an_order_that_contradicts_the_text_is_refused(room: Room, text: str, stated: str) -> None:
    with pytest.raises(EmbargoUnclear, match="disagree") as refused:
        room.bring(text, stated)
    assert "--embargo" in (refused.value.remedy or "")
    assert room.stored() == 0


NO_ZONE = TEXT.replace("00:01 GMT on Tuesday 1 December", "06:00 ON 27 NOVEMBER")


@sqlite
@pytest.mark.parametrize(
    "stated", ["2026-12-01 09:00 Europe/London", "2026-11-27 07:00 Europe/London", "immediate"]
)
def test_an_order_that_contradicts_what_an_unclear_text_does_say_is_refused_with_both(
    room: Room, stated: str
) -> None:
    with pytest.raises(EmbargoUnclear, match="disagree") as refused:
        room.bring(NO_ZONE, stated)
    assert "“EMBARGOED until 06:00 ON 27 NOVEMBER 2026”" in str(refused.value)
    assert f"“{stated}”" in str(refused.value)
    assert '--embargo "2026-11-27 06:00 Europe/London"' in (refused.value.remedy or "")
    assert "take it out of the text" in (refused.value.remedy or "")
    assert room.stored() == 0


@sqlite
def test_an_order_that_says_what_an_unclear_text_says_settles_it(room: Room) -> None:
    version = room.bring(NO_ZONE, "2026-11-27 06:00 Europe/London")
    assert version.draft.embargo.at == datetime(2026, 11, 27, 6, 0, tzinfo=UTC)


def test_the_orders_that_state_an_unclear_embargo_are_what_was_read_and_are_kept(
    room: Room,
) -> None:
    order = "distributor release edit R-1 --embargo"
    version = room.bring(NO_ZONE.replace("27 NOVEMBER 2026", "03/04/2027"))
    lines = [
        f'{order} "2027-04-03 06:00 Europe/London"',
        f'{order} "2027-03-04 06:00 Europe/London"',
    ]
    assert list(orders_that_state(version)) == lines
    stored = room.review.release("R-1").version
    assert stored.draft.embargo.readings == version.draft.embargo.readings
    with pytest.raises(Refused, match="unclear") as refused:
        room.approve("R-1")
    assert (refused.value.remedy or "").splitlines() == lines
    edited = room.edit("R-1", embargo="2027-04-03 06:00 Europe/London")
    assert edited.draft.embargo.readings == ()


@sqlite
def test_where_nothing_was_read_the_order_has_no_date_to_be_taken_over(room: Room) -> None:
    version = room.bring(f"EMBARGOED\n\n{UNDATED}")
    [order] = orders_that_state(version)
    assert order.endswith('--embargo "YYYY-MM-DD HH:MM Europe/London"')
    with pytest.raises(EmbargoUnclear, match="not an exact time"):
        room.edit("R-1", embargo="YYYY-MM-DD HH:MM Europe/London")


def test_a_contacts_office_is_in_the_mail_and_a_version_stored_without_it_is_read(
    room: Room,
) -> None:
    text = TEXT.replace("Ines Falk,", "Ines Falk, press office,")
    version = room.bring(text, "2026-12-01 00:01 Europe/London")
    assert "Ines Falk, press office" in room.review.preview("R-1", None, now=NOW).text
    with room.database.read() as tx:
        stored = tx.execute(select(versions.c.text)).scalar_one()
    for contact in stored["contacts"]:
        del contact["role"]
    room.database.write(lambda tx: tx.execute(update(versions).values(text=stored))).result()
    [contact] = room.review.release("R-1").version.draft.contacts
    assert contact == replace(version.draft.contacts[0], role=None)


@sqlite
def test_an_edit_may_move_an_embargo_and_what_it_overrules_is_known(room: Room) -> None:
    room.bring(NO_ZONE)
    same = room.edit("R-1", embargo="2026-11-27 06:00 Europe/London")
    assert overruled(same, zone="Europe/London") is None
    moved = room.edit("R-1", embargo="2026-12-01 09:00 Europe/London")
    wording = overruled(moved, zone="Europe/London")
    assert wording == "“EMBARGOED until 06:00 ON 27 NOVEMBER 2026”"


@sqlite
def test_an_order_that_says_what_the_text_says_is_taken(room: Room) -> None:
    version = room.bring(TEXT, "2026-12-01 00:01 Europe/London")
    assert version.draft.embargo.at == datetime(2026, 12, 1, 0, 1, tzinfo=UTC)


INJECTIONS = [
    ({"headline": "x\r\nBcc: a@b.example"}, "headline|subject", "carriage return"),
    ({"headline": "x\nBcc: a@b.example"}, "headline|subject", "line feed"),
    ({"headline": "x\u2028y"}, "headline|subject", "line separator"),
    ({"headline": "x\0"}, "headline|subject", "NUL"),
    ({"headline": "=?utf-8?q?x=0D=0ABcc:_a@b.example?="}, "headline", "encoded word"),
    ({"headline": "Hello =?UTF-8?B?DQpCY2M6?= all"}, "headline", "encoded word"),
    ({"sender_name": "a\nBcc: a@b.example"}, "sender's name", "line"),
    ({"sender_name": "=?utf-8?q?a=0D=0AX:_y?="}, "sender's name", "encoded word"),
    ({"sender_name": "elpmaxe\u202e"}, "sender's name", "writing direction"),
    ({"sender_name": "  "}, "sender's name", "empty"),
    ({"reply_to": "a@b.example\r\nBcc: c@d.example"}, "reply-to", "line"),
    ({"reply_to": "nonsense"}, "reply-to", "no @"),
    ({"reply_to": "a@b.example, c@d.example"}, "reply-to", "@"),
    ({"language": "en\r\nX: y"}, "language", "tag"),
    ({"language": "klingonese"}, "language", "tag"),
]


@sqlite
@pytest.mark.parametrize(("changes", "field", "reason"), INJECTIONS)
def test_row_1_and_2_what_no_header_carries_is_refused_at_entry(
    room: Room,
    changes: dict[str, str],
    field: str,
    reason: str,
) -> None:
    ref = room.bring().ref
    with pytest.raises(MessageError, match=field) as refused:
        room.edit(ref, **changes)
    assert reason in str(refused.value)
    view = room.review.release(ref)
    assert view.version.number == 1


@sqlite
@pytest.mark.parametrize(
    ("sender", "language"),
    [
        (replace(SENDER, name="a\r\nBcc: x@y.example"), None),
        (replace(SENDER, reply_to="nobody"), None),
        (SENDER, "x\r"),
    ],
)
def test_row_1_holds_for_what_is_stated_at_the_import(
    room: Room,
    sender: Sender,
    language: str | None,
) -> None:
    with pytest.raises(MessageError):
        room.bring(sender=sender, language=language)
    assert room.stored() == 0


@sqlite
def test_a_headline_with_an_equals_sign_and_a_question_mark_is_only_a_headline(room: Room) -> None:
    room.bring()
    assert room.edit("R-1", headline="Is 2+2=? Ask us?").draft.headline == "Is 2+2=? Ask us?"


@sqlite
def test_a_reply_address_is_kept_as_it_goes_on_the_wire(room: Room) -> None:
    room.bring()
    assert room.edit("R-1", reply_to="info@bücher.example").sender.reply_to == (
        "info@xn--bcher-kva.example"
    )


@sqlite
def test_an_emptied_headline_is_refused(room: Room) -> None:
    room.bring()
    with pytest.raises(Refused, match="no headline"):
        room.edit("R-1", headline="   ")


@sqlite
def test_an_unknown_release_is_named(room: Room) -> None:
    for order in (room.approve, room.edit, room.review.release):
        with pytest.raises(NotFound, match="There is no release R-9"):
            order("R-9")


# --- I6: what was approved is what is sent --------------------------------------------------------


def test_i6_an_edit_makes_a_new_draft_that_needs_its_own_approval(room: Room) -> None:
    room.bring()
    approved = room.approve("R-1")
    edited = room.edit("R-1", headline="A bridge opens early")
    assert (edited.number, edited.state, edited.seal) == (2, VersionState.DRAFT, None)
    with room.database.read() as tx:
        assert releases.version_of(tx, approved.id) == approved
    again = room.approve("R-1")
    assert again.state is VersionState.APPROVED
    assert again.seal != approved.seal
    with room.database.read() as tx:
        assert releases.version_of(tx, approved.id).state is VersionState.SUPERSEDED


def test_i6_an_embargo_moved_earlier_needs_a_new_approval(room: Room) -> None:
    room.bring()
    room.approve("R-1")
    earlier = room.edit("R-1", embargo="2026-11-30 00:01 Europe/London")
    assert earlier.state is VersionState.DRAFT
    assert earlier.draft.embargo.at == datetime(2026, 11, 30, 0, 1, tzinfo=UTC)
    # There is no other door: the database refuses to change what was approved.
    with pytest.raises(DBAPIError):
        room.database.write(
            lambda tx: tx.execute(
                update(versions)
                .where(versions.c.number == 1)
                .values(embargo_at=datetime(2026, 11, 1, tzinfo=UTC)),
            ),
        ).result()


@sqlite
def test_i6_templates_changed_on_disk_change_nothing_approved(room: Room) -> None:
    room.bring()
    room.approve("R-1")
    before = room.review.preview("R-1", None, now=NOW)
    for template in (room.folder / "templates").rglob("*.j2"):
        template.write_text("changed\n", encoding="utf-8")
    after = room.review.preview("R-1", None, now=NOW)
    assert after.data == before.data
    assert before.approved


@sqlite
def test_i6_the_templates_of_the_moment_are_what_a_draft_is_shown_with(room: Room) -> None:
    room.bring()
    before = room.review.preview("R-1", None, now=NOW)
    assert not before.approved
    body = room.folder / "templates" / "release" / "body.txt.j2"
    body.write_text("A new letterhead\n" + body.read_text(encoding="utf-8"), encoding="utf-8")
    assert "A new letterhead" in room.review.preview("R-1", None, now=NOW).text


@sqlite
def test_approving_twice_is_refused(room: Room) -> None:
    room.bring()
    room.approve("R-1")
    with pytest.raises(Refused, match="approved already"):
        room.approve("R-1")


@sqlite
def test_a_draft_edited_while_it_was_being_approved_is_not_approved(
    room: Room,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    room.bring()
    real = seal_of

    def edited_meanwhile(version: Version, digests: tuple[str, ...]) -> str:
        room.edit("R-1", headline="Another headline")
        return real(version, digests)

    monkeypatch.setattr("distributor.desk.releases.seal_of", edited_meanwhile)
    with pytest.raises(Refused, match="not a draft any more"):
        room.approve("R-1")
    assert room.review.release("R-1").version.state is VersionState.DRAFT


_WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(headline=_WORDS, body=_WORDS, name=_WORDS, digest=st.text("0123456789abcdef", max_size=8))
def test_i6_the_seal_differs_on_any_change(
    headline: str,
    body: str,
    name: str,
    digest: str,
) -> None:
    version = a_version()
    draft = replace(version.draft, headline=headline, body=body)
    other = replace(version, draft=draft, sender=replace(version.sender, name=name))
    same = other == version and digest == "d"
    assert (seal_of(other, (digest,)) == seal_of(version, ("d",))) is same


@sqlite
def test_every_order_is_in_the_audit(room: Room) -> None:
    room.bring()
    room.edit("R-1", headline="Another")
    room.approve("R-1")
    with room.database.read() as tx:
        entries = audit.entries(tx, subject="release R-1")
    assert [entry.action for entry in entries] == ["approved", "edited", "superseded", "imported"]
    assert entries[0].facts["seal"] == room.review.release("R-1").version.seal


@sqlite
def test_an_order_that_fails_leaves_no_audit_row(room: Room) -> None:
    room.bring()
    with pytest.raises(DistributorError):
        room.edit("R-1", headline="x\r\ny")
    assert len(room.review.audit("R-1")) == 1


# --- preview --------------------------------------------------------------------------------------


@sqlite
def test_a_preview_is_byte_for_byte_the_mail_that_the_stored_message_makes(room: Room) -> None:
    room.bring()
    version = room.approve("R-1")
    shown = room.review.preview("R-1", None, now=NOW)
    compiled = room.review.compiled(version)
    assert compiled is not None
    letter = Letter(compiled, version.sender)
    sample = Recipient("jane.doe@herald.example", "Jane Doe", "Jane", "The Herald")
    assert letter.copy_for(sample, reference="preview", date=NOW) == shown.data
    assert shown.subject == "A bridge opens for all"
    assert "The bridge at Mordale" in shown.text
    assert "The bridge at Mordale" in shown.html
