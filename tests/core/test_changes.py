"""What changed between two texts: where, the old wording and the new one, short enough to read."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from distributor.core.changes import Change, Place, changes, passages
from distributor.core.model import Boilerplate, Draft, PressContact
from distributor.core.sequel import CHANGES_SHOWN, in_words, sequel_words
from tests.builders import a_draft

LONG = " ".join(f"word{number}" for number in range(100))


def between(before: Draft, after: Draft, *, embargo: tuple[str, str] = ("", "")) -> list[Change]:
    old, new = embargo
    return list(
        changes(
            passages(before, embargo=old, dateline=""), passages(after, embargo=new, dateline="")
        )
    )


def bodies(before: str, after: str) -> list[tuple[int | None, str, str]]:
    found = between(a_draft(body=before), a_draft(body=after))
    assert {change.place for change in found} <= {Place.PARAGRAPH}
    return [(change.number, change.old, change.new) for change in found]


def test_the_same_text_has_no_changes() -> None:
    assert between(a_draft(), a_draft()) == []


def test_a_text_that_is_only_broken_into_other_lines_has_no_changes() -> None:
    line = "one two three four five six seven eight nine ten eleven twelve"
    assert bodies(f"{line}\n{line}", f"{line} {line}") == []


def test_a_changed_word_is_shown_with_its_neighbours() -> None:
    old = "It cost the county 3 million pounds in the last year alone."
    assert bodies(old, old.replace("3", "30")) == [
        (1, "… cost the county 3 million pounds in …", "… cost the county 30 million pounds in …"),
    ]


def test_two_changes_far_apart_in_a_paragraph_are_two() -> None:
    old = "The one thing that we know is that it opens on the first of May 2027."
    new = old.replace("one", "only").replace("2027", "2028")
    assert bodies(old, new) == [
        (1, "The one thing that we …", "The only thing that we …"),
        (1, "… first of May 2027.", "… first of May 2028."),
    ]


def test_a_new_paragraph_counts_in_the_new_text_and_one_taken_out_in_the_old() -> None:
    assert bodies("First.\n\nThird.", "First.\n\nSecond.\n\nThird.") == [(2, "", "Second.")]
    assert bodies("First.\n\nSecond.\n\nThird.", "First.\n\nThird.") == [(2, "Second.", "")]


def test_another_paragraph_in_its_place_is_shown_whole() -> None:
    assert bodies("All is well.", "Nobody could have known this.") == [
        (1, "All is well.", "Nobody could have known this."),
    ]


def test_a_long_wording_is_shown_by_its_beginning_and_end() -> None:
    [(_, old, new)] = bodies("Before.", f"Before.\n\n{LONG}")
    assert old == ""
    assert new.startswith("word0 word1 ")
    assert " word17 … word90 " in new
    assert new.endswith(" word99")


def test_every_place_is_looked_at_in_the_order_of_the_text() -> None:
    before = a_draft(
        label="News",
        subheadline="Below",
        contacts=(PressContact("Ann", phone="1"),),
        notes=("1. One.", "2. Two."),
        boilerplate=(Boilerplate("We are many."),),
    )
    after = replace(
        before,
        label="Statement",
        headline="Another bridge",
        subheadline=None,
        contacts=(PressContact("Ann", phone="2"),),
        notes=("1. One.", "2. Too."),
        boilerplate=(Boilerplate("We are few."),),
    )
    found = between(before, after, embargo=("noon", "one"))
    assert [(change.place.value, change.number) for change in found] == [
        ("embargo", None),
        ("label", None),
        ("headline", None),
        ("subheadline", None),
        ("contact", 1),
        ("note", 2),
        ("about", 1),
    ]
    assert (found[3].old, found[3].new) == ("Below", "")


@given(st.text("ab \n", max_size=60), st.text("ab \n", max_size=60))
def test_two_texts_differ_exactly_when_something_is_told(before: str, after: str) -> None:
    def words(text: str) -> list[list[str]]:
        told = passages(a_draft(body=text), embargo="", dateline="")
        return [each.split() for each in told[Place.PARAGRAPH]]

    found = bodies(before, after)
    assert bool(found) == (words(before) != words(after))
    assert all(old or new for _, old, new in found)
    assert all(old != new for _, old, new in found)


def test_of_very_many_changes_a_mail_says_how_many_more_there_are() -> None:
    many = tuple(Change(Place.PARAGRAPH, number, "old", "new") for number in range(1, 21))
    lines = in_words(many, sequel_words("en"))
    assert lines[0] == "Paragraph 1: “old” now reads “new”"
    assert len(lines) == CHANGES_SHOWN + 1
    assert lines[-1] == f"and {20 - CHANGES_SHOWN} more"


def test_every_language_has_a_word_for_every_place_and_kind() -> None:
    english = sequel_words("en")
    for language in ("de", "fr", "es"):
        words = sequel_words(f"{language}-XX")
        assert set(words.places) == set(Place)
        assert set(words.kinds) == set(english.kinds)
        assert words.withdrawn != english.withdrawn
    assert sequel_words("pl") is english


def test_braces_in_a_text_are_text() -> None:
    change = Change(Place.HEADLINE, None, "{old}", "{0}")
    assert in_words((change,), sequel_words("en")) == ["Headline: “{old}” now reads “{0}”"]
