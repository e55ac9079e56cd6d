"""What changed between two versions of a text: where, the old wording, and the new one.

A correction says what was changed and where (practice 1.3: the wires' own rule), short enough to be
read in a mail: the words that differ, with a few of their neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from distributor.core.wording import blocks, unnumbered

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from distributor.core.model import Draft, PressContact

#: Unchanged words shown on each side of changed ones.
_NEIGHBOURS: Final = 3
#: A wording of more words is shown by its beginning and its end.
_WORDS_MAX: Final = 30
_HEAD, _TAIL = 18, 10
#: Passages less alike than this are another passage, not a changed one.
_ALIKE: Final = 0.4
_MORE: Final = "…"


class Place(StrEnum):
    """Where in a text something stands."""

    EMBARGO = "embargo"
    LABEL = "label"
    HEADLINE = "headline"
    SUBHEADLINE = "subheadline"
    DATELINE = "dateline"
    PARAGRAPH = "paragraph"
    CONTACT = "contact"
    NOTE = "note"
    ABOUT = "about"


@dataclass(frozen=True, slots=True)
class Change:
    """One change. ``old`` is empty for what is new, ``new`` for what was taken out.

    ``number`` counts the places of a kind from 1, in the new text, or in the old one for what was
    taken out; None where there is but one.
    """

    place: Place
    number: int | None
    old: str
    new: str


#: The passages of a text by place; a place that is counted may hold any number of them.
Passages = dict[Place, list[str]]
_COUNTED: Final = frozenset({Place.PARAGRAPH, Place.CONTACT, Place.NOTE, Place.ABOUT})


def passages(draft: Draft, *, embargo: str, dateline: str) -> Passages:
    """A text as what is compared; its embargo and dateline come in words."""
    return {
        Place.EMBARGO: [embargo],
        Place.LABEL: [draft.label or ""],
        Place.HEADLINE: [draft.headline or ""],
        Place.SUBHEADLINE: [draft.subheadline or ""],
        Place.DATELINE: [dateline],
        Place.PARAGRAPH: ["\n".join(block.items) for block in blocks(draft.body)],
        Place.CONTACT: [_contact(each) for each in draft.contacts],
        Place.NOTE: list(unnumbered(draft.notes)),
        Place.ABOUT: [each.text for each in draft.boilerplate],
    }


def changes(
    before: Mapping[Place, Sequence[str]], after: Mapping[Place, Sequence[str]]
) -> tuple[Change, ...]:
    """Everything that differs, in the order of the text."""
    found: list[Change] = []
    for place in Place:
        for number, old, new in _passages_changed(before[place], after[place]):
            counted = number if place in _COUNTED else None
            found += (Change(place, counted, *words) for words in _wordings(old, new))
    return tuple(found)


def _contact(contact: PressContact) -> str:
    known = (contact.name, contact.belongs, contact.phone, contact.email)
    return ", ".join(part for part in known if part)


def _passages_changed(
    before: Sequence[str], after: Sequence[str]
) -> Iterator[tuple[int, str, str]]:
    """Number, old and new passage of each that differs; empty for none."""
    old = [" ".join(each.split()) for each in before]
    new = [" ".join(each.split()) for each in after]
    matcher = SequenceMatcher(a=old, b=new, autojunk=False)
    for kind, a, a_end, b, b_end in matcher.get_opcodes():
        if kind == "equal":
            continue
        pairs = zip_longest(range(a, a_end), range(b, b_end))
        for was, now in pairs:
            first = old[was] if was is not None else ""
            second = new[now] if now is not None else ""
            at = now if now is not None else was
            if at is not None and (first or second):
                yield at + 1, first, second


def _wordings(old: str, new: str) -> Iterator[tuple[str, str]]:
    """The wordings of a passage that differ, old and new, each with a few neighbours."""
    first, second = old.split(), new.split()
    matcher = SequenceMatcher(a=first, b=second, autojunk=False)
    if not old or not new or matcher.ratio() < _ALIKE:
        yield _short(first), _short(second)
        return
    for group in matcher.get_grouped_opcodes(_NEIGHBOURS):
        a, a_end = group[0][1], group[-1][2]
        b, b_end = group[0][3], group[-1][4]
        yield _excerpt(first, a, a_end), _excerpt(second, b, b_end)


def _excerpt(words: Sequence[str], start: int, end: int) -> str:
    before = f"{_MORE} " if start else ""
    after = f" {_MORE}" if end < len(words) else ""
    return f"{before}{_short(words[start:end])}{after}"


def _short(words: Sequence[str]) -> str:
    if len(words) <= _WORDS_MAX:
        return " ".join(words)
    return " ".join((*words[:_HEAD], _MORE, *words[-_TAIL:]))
