from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from distributor.core.approval import seal_of
from distributor.core.model import (
    Attachment,
    Boilerplate,
    Dateline,
    Embargo,
    EmbargoState,
    Picture,
    PressContact,
    Sequel,
    WallTime,
    WaveKind,
)
from tests.builders import DESK, EMBARGOED, NOON, a_draft, a_version

if TYPE_CHECKING:
    from distributor.core.model import Version

PLAN = Attachment("a" * 64, "plan.pdf", "application/pdf", 5)
DIGESTS = ("aa", "bb")
SEALED = a_version(release_id=7, number=1)

LATER = replace(EMBARGOED, at=NOON + timedelta(hours=1))
FOLDED = replace(EMBARGOED, local=WallTime(datetime(2026, 12, 1, 12), "Europe/London", 1))  # noqa: DTZ001


@pytest.mark.parametrize(
    "edited",
    [
        replace(SEALED, number=2),
        replace(SEALED, release_id=8),
        replace(SEALED, sender=replace(DESK, name="Another Desk")),
        replace(SEALED, sender=replace(DESK, reply_to="reply@desk.example")),
        replace(SEALED, draft=a_draft(headline="A newer bridge")),
        replace(SEALED, draft=a_draft(body="It opens on Tuesday!")),
        replace(SEALED, draft=a_draft(subheadline="")),
        replace(SEALED, draft=a_draft(language="fr")),
        replace(SEALED, draft=a_draft(quotes=("We are glad.",))),
        replace(SEALED, draft=a_draft(contacts=(PressContact(name="Ann"),))),
        replace(SEALED, draft=a_draft(boilerplate=(Boilerplate("About us."),))),
        replace(SEALED, draft=a_draft(dateline=Dateline("Leeds", date(2026, 12, 1)))),
        replace(SEALED, draft=a_draft(notes=("Photos on request.",))),
        replace(SEALED, draft=a_draft(attachments=(PLAN,))),
        replace(SEALED, draft=a_draft(attachments=(replace(PLAN, digest="b" * 64),))),
        replace(SEALED, draft=a_draft(attachments=(replace(PLAN, name="other.pdf"),))),
        replace(SEALED, draft=a_draft(attachments=(replace(PLAN, picture=Picture("x", 1, 1)),))),
        replace(SEALED, draft=a_draft(embargo=LATER)),
        replace(SEALED, draft=a_draft(embargo=FOLDED)),
        replace(SEALED, draft=a_draft(embargo=Embargo(EmbargoState.NONE))),
        replace(SEALED, draft=a_draft(embargo=replace(EMBARGOED, text="UNTIL 12"))),
    ],
)
def test_i6_any_edit_gives_another_seal(edited: Version) -> None:
    assert seal_of(edited, DIGESTS) != seal_of(SEALED, DIGESTS)


@pytest.mark.parametrize("digests", [(), ("aa",), ("aa", "bc"), ("aa", "bb", "bb")])
def test_i6_another_message_gives_another_seal(digests: tuple[str, ...]) -> None:
    assert seal_of(SEALED, digests) != seal_of(SEALED, DIGESTS)


def test_the_order_of_messages_and_when_it_was_stored_do_not_count() -> None:
    stored = replace(SEALED, id=99, created_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert seal_of(stored, reversed(DIGESTS)) == seal_of(SEALED, DIGESTS)


def test_a_seal_binds_what_a_version_says_of_an_earlier_one() -> None:
    sequel = Sequel(WaveKind.CORRECTION, "A figure was wrong.", 1, date(2026, 12, 1))
    plain = a_version()
    seals = {
        seal_of(replace(plain, sequel=each), ("digest",))
        for each in (None, sequel, replace(sequel, reason="Another."), replace(sequel, base_id=2))
    }
    assert len(seals) == 4
