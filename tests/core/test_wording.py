"""The release line's wordings, and plain text taken apart into blocks."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.core.model import Dateline, PressContact
from distributor.core.wording import (
    Block,
    blocks,
    dateline_text,
    direction,
    release_line,
    telephone,
    unnumbered,
)
from distributor.errors import EmbargoUnclear

LIFT = datetime(2026, 12, 1, 0, 1, tzinfo=UTC)


def test_statement_61_a_mail_that_leaves_at_the_lift_does_not_claim_to_be_embargoed() -> None:
    line = release_line(LIFT, "Europe/London", lifted=True)
    assert line.text == (
        "Embargo lifted at 00:01 on Tuesday 1 December 2026, Europe/London (GMT, UTC+00:00)"
    )
    assert line.subject_prefix == ""
    assert not line.embargoed


def test_statement_61_an_advance_copy_carries_the_banner_and_the_subject_form() -> None:
    line = release_line(LIFT, "America/New_York", lifted=False)
    assert line.text.startswith(
        "EMBARGOED until 19:01 on Monday 30 November 2026, America/New_York"
    )
    assert line.subject_prefix == "EMBARGOED 19:01 Mon 30 Nov: "
    assert line.embargoed


def test_statement_61_without_embargo_the_line_is_for_immediate_release() -> None:
    for lifted in (True, False):
        assert release_line(None, None, lifted=lifted).text == "For immediate release"


def test_a_release_line_in_an_unknown_zone_is_refused() -> None:
    with pytest.raises(EmbargoUnclear):
        release_line(LIFT, "Europe/Lodnon", lifted=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("One.\n\n\nTwo.", (Block("paragraph", ("One.",)), Block("paragraph", ("Two.",)))),
        ("Dear\nfriend", (Block("paragraph", ("Dear\nfriend",)),)),
        (f"{'long ' * 11}\nrest", (Block("paragraph", (f"{'long ' * 11}".strip() + " rest",)),)),
        (
            "Found:\n- a\n  more\n- b",
            (Block("paragraph", ("Found:",)), Block("bullets", ("a more", "b"))),
        ),
        ("  • a\n\n  • b\nThen.", (Block("bullets", ("a", "b")), Block("paragraph", ("Then.",)))),
        (f"* {'long ' * 11}\nrest", (Block("bullets", (f"{'long ' * 11}".strip() + " rest",)),)),
        ("3. c\n4. d", (Block("numbers", ("c", "d"), 3),)),
        ("1. Dezember", (Block("paragraph", ("1. Dezember",)),)),
        ("-5 degrees", (Block("paragraph", ("-5 degrees",)),)),
        ("1. a\n- b", (Block("paragraph", ("1. a",)), Block("bullets", ("b",)))),
    ],
)
def test_text_is_taken_apart(text: str, expected: tuple[Block, ...]) -> None:
    assert blocks(text) == expected


@given(st.text(st.sampled_from("ab •-*1.2)\n\t “é"), max_size=120))
def test_no_word_of_a_text_is_lost(text: str) -> None:
    shown = "".join(item for block in blocks(text) for item in block.items)
    assert [sign for sign in text if sign.isalpha()] == [sign for sign in shown if sign.isalpha()]


def test_small_facts_are_worded() -> None:
    assert dateline_text(None) == ""
    assert dateline_text(Dateline("London", date(2026, 12, 1))) == "London, 1 December 2026"
    assert dateline_text(Dateline("London")) == "London"
    assert telephone(PressContact(phone="0207 010 (0851)")) == "02070100851"
    assert telephone(PressContact(phone="x", phone_e164="+442070100851")) == "+442070100851"
    assert telephone(PressContact()) == ""
    assert direction("ar-EG") == "rtl"
    assert direction("en-GB") == "ltr"
    assert unnumbered(("1. a", "2) b")) == ("a", "b")
    assert unnumbered(("1. a", "b")) == ("1. a", "b")
