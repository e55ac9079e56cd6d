"""The release line's wordings, and plain text taken apart into blocks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.core.furniture import ENGLISH, FRENCH, GERMAN, SPANISH, Furniture, furniture
from distributor.core.model import PressContact
from distributor.core.wording import (
    Block,
    blocks,
    direction,
    release_line,
    telephone,
    unnumbered,
)

EVERY = (ENGLISH, GERMAN, FRENCH, SPANISH)


def test_statement_61_a_mail_that_leaves_at_the_lift_does_not_claim_to_be_embargoed() -> None:
    line = release_line(ENGLISH, "noon on Tuesday", "12:00 Tue", lifted=True)
    assert line.text == "Embargo lifted at noon on Tuesday"
    assert line.subject_prefix == ""
    assert not line.embargoed


def test_statement_61_an_advance_copy_carries_the_banner_and_the_subject_form() -> None:
    line = release_line(ENGLISH, "noon on Tuesday", "12:00 Tue", lifted=False)
    assert line.text == "EMBARGOED until noon on Tuesday"
    assert line.subject_prefix == "EMBARGOED 12:00 Tue: "
    assert line.embargoed


def test_statement_61_without_embargo_the_line_is_for_immediate_release() -> None:
    for lifted in (True, False):
        assert release_line(ENGLISH, None, "", lifted=lifted).text == "For immediate release"


@pytest.mark.parametrize("words", EVERY)
def test_in_every_language_the_line_holds_its_moment_and_the_sign_stands_in_it(
    words: Furniture,
) -> None:
    for lifted in (True, False):
        line = release_line(words, "MOMENT", "SHORT", lifted=lifted)
        assert line.text.endswith("MOMENT")
        assert line.text.startswith(words.embargoed_sign) is not lifted
        assert line.subject_prefix == ("" if lifted else f"{words.embargoed_sign} SHORT: ")


def test_the_words_are_those_of_the_language_whatever_its_region_and_english_for_others() -> None:
    assert furniture("de-AT") is GERMAN
    assert furniture("FR") is FRENCH
    assert furniture("es-419") is SPANISH
    assert furniture("en-US") is ENGLISH
    assert furniture("cy") is ENGLISH


def test_no_two_languages_share_a_sentence_and_none_is_empty() -> None:
    names = Furniture.__dataclass_fields__
    for name in ("immediate", "lifted", "embargoed", "label", "notes", "sent_by", "no_more"):
        assert len({getattr(words, name) for words in EVERY}) == len(EVERY), name
    assert all(getattr(words, name).strip() for words in EVERY for name in names)


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
    assert telephone(PressContact(phone="0207 010 (0851)")) == "02070100851"
    assert telephone(PressContact(phone="x", phone_e164="+442070100851")) == "+442070100851"
    assert telephone(PressContact()) == ""
    assert direction("ar-EG") == "rtl"
    assert direction("en-GB") == "ltr"
    assert unnumbered(("1. a", "2) b")) == ("a", "b")
    assert unnumbered(("1. a", "b")) == ("1. a", "b")
