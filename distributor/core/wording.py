"""What a release's mail says around the release: its release line, and its text as blocks.

The release line has one source (practice statement 61): :func:`release_line`. Subject, text and
HTML all take their wording from it. The choice behind it: a general wave leaves at the lift, so its
mail arrives when the embargo is over and must not tell a journalist to wait. It says *when* the
embargo lifted, so that a copy passed on still carries the time. Only an advance copy, which arrives
before, is headed EMBARGOED.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from distributor.core.furniture import Furniture
    from distributor.core.model import PressContact

#: A line at least this long was broken by a mail program, so the next line goes on with it.
_WRAPPED_AT: Final = 50
_BULLET: Final = re.compile(r"\s*[•·‣▪◦●○*-]\s+(?=\S)")
_NUMBER: Final = re.compile(r"\s*(\d{1,2})[.)]\s+(?=\S)")
_RIGHT_TO_LEFT: Final = frozenset({"ar", "dv", "fa", "he", "ku", "ps", "sd", "ug", "ur", "yi"})


@dataclass(frozen=True, slots=True)
class ReleaseLine:
    """When a release may be used: the sentence at its head, and what heads its subject."""

    text: str
    subject_prefix: str
    embargoed: bool


def release_line(words: Furniture, moment: str | None, short: str, *, lifted: bool) -> ReleaseLine:
    """The release line of a mail, for an embargo at a ``moment`` in words, or for none.

    ``short`` is that moment as a subject has room for it; ``lifted`` says whether the embargo is
    over when the mail arrives.
    """
    if moment is None:
        return ReleaseLine(words.immediate, "", embargoed=False)
    if lifted:
        return ReleaseLine(words.lifted.format(when=moment), "", embargoed=False)
    return ReleaseLine(
        words.embargoed.format(when=moment),
        f"{words.embargoed_sign} {short}: ",
        embargoed=True,
    )


def direction(language: str) -> Literal["ltr", "rtl"]:
    """Which way the text of a language tag runs (statement 53)."""
    return "rtl" if language.partition("-")[0].lower() in _RIGHT_TO_LEFT else "ltr"


def telephone(contact: PressContact) -> str:
    """The number for a ``tel:`` link (RFC 3966): E.164 where known, else the digits as written."""
    return contact.phone_e164 or re.sub(r"[^0-9+]", "", contact.phone or "")


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph (one item), or a list. ``first`` is the number of a numbered list's first item.

    An item may hold line feeds: line breaks that somebody meant.
    """

    kind: Literal["paragraph", "bullets", "numbers"]
    items: tuple[str, ...]
    first: int = 1


class _Reader:
    """Puts the lines of a text together again."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._last = ""

    def take(self, line: str) -> None:
        bullet, number = _BULLET.match(line), _NUMBER.match(line)
        if bullet:
            self._item("bullets", line[bullet.end() :].strip(), 1)
        elif number:
            self._item("numbers", line[number.end() :].strip(), int(number[1]))
        elif not line.strip():
            pass
        elif self._continues(line):
            self._extend(line.strip())
        else:
            self.blocks.append(Block("paragraph", (line.strip(),)))
        self._last = line

    def _item(self, kind: Literal["bullets", "numbers"], text: str, number: int) -> None:
        last = self.blocks[-1] if self.blocks else None
        follows = last is not None and last.kind == kind
        if last and follows and (kind == "bullets" or number == last.first + len(last.items)):
            self.blocks[-1] = Block(kind, (*last.items, text), last.first)
        else:
            self.blocks.append(Block(kind, (text,), number))

    def _continues(self, line: str) -> bool:
        if not self._last.strip():
            return False
        indented = line[:1] in " \t"
        wrapped = len(self._last) >= _WRAPPED_AT
        return self.blocks[-1].kind == "paragraph" or indented or wrapped

    def _extend(self, text: str) -> None:
        last = self.blocks[-1]
        joint = " " if len(self._last) >= _WRAPPED_AT or last.kind != "paragraph" else "\n"
        *before, item = last.items
        self.blocks[-1] = Block(last.kind, (*before, f"{item}{joint}{text}"), last.first)


def blocks(text: str) -> tuple[Block, ...]:
    """A plain text taken apart into paragraphs and lists; every word of it is kept.

    One numbered line alone is a paragraph ("1. Dezember …" opens many German sentences).
    """
    reader = _Reader()
    for line in text.split("\n"):
        reader.take(line)
    return tuple(
        Block("paragraph", (f"{block.first}. {block.items[0]}",))
        if block.kind == "numbers" and len(block.items) == 1
        else block
        for block in reader.blocks
    )


def unnumbered(notes: tuple[str, ...]) -> tuple[str, ...]:
    """Notes without the numbers they were written with, where those count 1, 2, 3."""
    found = [_NUMBER.match(note) for note in notes]
    if all(match and int(match[1]) == at for at, match in enumerate(found, start=1)):
        return tuple(note[match.end() :] for note, match in zip(notes, found, strict=True) if match)
    return notes
