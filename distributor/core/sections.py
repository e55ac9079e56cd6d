"""The parts of a release text: main text, contacts, notes, "About X", what follows the end.

Every line goes to exactly one part, in the order of the text; nothing is read here yet.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from distributor.core.paragraphs import Block, Line, is_bullet, undecorated, without_mark
from distributor.core.presscontacts import has_reach, is_contact_head, is_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Part(StrEnum):
    """What a section is."""

    MAIN = "main"
    CONTACTS = "contacts"
    NOTES = "notes"
    ABOUT = "about"
    AFTER = "after"


@dataclass(slots=True)
class Section:
    """Blocks of one part. ``title`` is the organisation of an "About X"."""

    part: Part
    blocks: list[Block] = field(default_factory=list[Block])
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Outline:
    """The sections of a text, its end marker as written, and the lines of further ones."""

    sections: tuple[Section, ...]
    end_marker: str | None = None
    more_markers: tuple[int, ...] = ()


_END_WORD = re.compile(
    r"[\s*#_~=<>/\\.()\[\]:|\u2013\u2014-]{0,12}"
    r"(?:ends?|ende|end of (?:press |news |media )?(?:release|statement))"
    r"[\s*#_~=<>/\\.()\[\]:|!\u2013\u2014-]{0,12}",
    re.IGNORECASE,
)
_END_HASHES = re.compile(r"\\?#(?: ?\\?#){1,5}")
_END_THIRTY = re.compile(r"(?:[-\u2013\u2014] ?30 ?[-\u2013\u2014]|[\"\u201c]30[\"\u201d])")
_NOTES_HEAD = re.compile(
    r"(?:notes?\s(?:to|for)\s(?:the\s)?(?:news\s)?editors?|editors?['\u2019]?s?['\u2019]?\snotes?|"
    r"background\snotes?|further\sbackground|background\sinformation|additional\sinformation|notes?)"
    r"\s*(?:[:.\u2013-]\s*(?P<rest>.*))?",
    re.IGNORECASE,
)
_BACKGROUND = re.compile(
    r"(?:background|for more information|more information)\s*:?", re.IGNORECASE
)
_ABOUT_HEAD = re.compile(
    r"about (?P<title>(?:the |our )?[A-Z0-9][^:.!?]{0,80}?)\s*(?:[:]\s*(?P<rest>.*))?",
    re.IGNORECASE,
)
_BOILERPLATE_HEAD = re.compile(r"(?:boilerplate|about us)\s*:?", re.IGNORECASE)

_PROSE_WORDS = 20  # more words than this without a way to reach anybody are no contact line
_SENTENCE_WORDS = 9  # fewer make no sentence worth keeping apart from contacts
_WRAPPED_WORDS = 8  # more than this in each line: wrapped prose, not contacts
_HEAD_LIMIT = 400


def is_end_marker(text: str) -> bool:
    """Whether a line is nothing but the end of the release: ENDS, ###, -30- (practice 1.1)."""
    if not text or len(text) > 60:  # noqa: PLR2004 - longer than any marker
        return False
    return any(mark.fullmatch(text) for mark in (_END_WORD, _END_HASHES, _END_THIRTY))


def outline(blocks: Sequence[Block]) -> Outline:
    """Part a text into its sections."""
    walk = _Walk(_last_marker(blocks))
    for block in blocks:
        walk.block(block)
    return Outline(tuple(walk.sections), walk.end_marker, tuple(walk.more_markers))


def _last_marker(blocks: Sequence[Block]) -> int:
    """The number of the last line that marks an end, 0 when there is none."""
    numbers = [line.number for block in blocks for line in block if is_end_marker(line.text)]
    return numbers[-1] if numbers else 0


class _Walk:
    """Goes through a text block by block and decides where each line belongs."""

    def __init__(self, last_marker: int) -> None:
        self.sections = [Section(Part.MAIN)]
        self.end_marker: str | None = None
        self.more_markers: list[int] = []
        self._last_marker = last_marker

    def block(self, block: Block) -> None:
        """One block, parted before each heading and around each end marker."""
        self._fall_back(block)
        run: list[Line] = []
        for line in block:
            if is_end_marker(line.text) and not self._is_too_early(line):
                self._keep(run)
                run = []
                self._end(line)
                continue
            opened = self._opens(line)
            if opened:
                self._keep(run)
                self.sections.append(opened[0])
                run = [opened[1]] if opened[1].text else []
            else:
                run.append(line)
        self._keep(run)

    def _keep(self, run: Iterable[Line]) -> None:
        block = tuple(run)
        if block:
            self.sections[-1].blocks.append(block)

    def _end(self, line: Line) -> None:
        if self.end_marker is None:
            self.end_marker = line.text
        else:
            self.more_markers.append(line.number)
        if self.sections[-1].part is not Part.AFTER:
            self.sections.append(Section(Part.AFTER))

    def _is_too_early(self, line: Line) -> bool:
        """A first line cannot end a text: "###" there is a heading somebody left empty."""
        return not any(section.blocks for section in self.sections) and line.text[:1] in "#\\"

    def _opens(self, line: Line) -> tuple[Section, Line] | None:
        """The section that a heading opens, and what of its line belongs into it."""
        text = undecorated(line.text)[:_HEAD_LIMIT]
        if is_contact_head(undecorated(without_mark(text))) and self._may_hold(line):
            return Section(Part.CONTACTS), line
        notes = _NOTES_HEAD.fullmatch(text)
        if notes and self._has_body():
            return Section(Part.NOTES), Line(line.number, notes["rest"] or "")
        if not self._has_body():
            return None
        if _BACKGROUND.fullmatch(text) and (self.end_marker or text.casefold().startswith("for")):
            return Section(Part.NOTES), Line(line.number, "")
        if _BOILERPLATE_HEAD.fullmatch(text):
            return Section(Part.ABOUT), Line(line.number, "")
        return _about(text, line)

    def _may_hold(self, line: Line) -> bool:
        """In numbered notes a contact is one note among others; it does not end them."""
        return self.sections[-1].part is not Part.NOTES or without_mark(line.text) == line.text

    def _has_body(self) -> bool:
        main = sum(len(s.blocks) for s in self.sections if s.part is Part.MAIN)
        return main > 1 or self.end_marker is not None

    def _fall_back(self, block: Block) -> None:
        """Leave a contact section where prose begins; open one where contacts stand unannounced."""
        here = self.sections[-1].part
        reaches = any(has_reach(line.text) for line in block)
        if here is Part.CONTACTS and not reaches and self._leaves(block):
            # A text that is still to be marked as ended goes on; a list below contacts does not.
            ahead = self._last_marker > block[0].number and not is_bullet(block[0].text)
            main = Part.MAIN if ahead or not self._has_body() else Part.AFTER
            self.sections.append(Section(Part.AFTER if self.end_marker else main))
        elif reaches and not _is_prose(block) and here in {Part.AFTER, Part.ABOUT, Part.MAIN}:
            # A first block may hold the headline as well: its lines are looked at one by one.
            first = block[0].text
            if self.sections[0].blocks or has_reach(first) or is_name(first):
                self.sections.append(Section(Part.CONTACTS))

    def _leaves(self, block: Block) -> bool:
        """Whether a block without number or address ends the contacts before it.

        Above the text it does as soon as there was one: the headline is short, too.
        """
        reached = any(has_reach(line.text) for run in self.sections[-1].blocks for line in run)
        return _is_prose(block) or (reached and not self._has_body())


def _is_prose(block: Block) -> bool:
    """Bullets, a sentence or a long line; wrapped prose has many words in every line."""
    counts = [len(line.text.split()) for line in block]
    last = block[-1].text
    ends = last[-1:] in set('.!?\u201d"') and sum(counts) >= _SENTENCE_WORDS
    return (
        ends
        or max(counts) > _PROSE_WORDS
        or (sum(counts) > _PROSE_WORDS and sum(counts) / len(block) > _WRAPPED_WORDS)
        or any(is_bullet(line.text) for line in block)
    )


def _about(text: str, line: Line) -> tuple[Section, Line] | None:
    match = _ABOUT_HEAD.fullmatch(text)
    if match is None or len(match["title"].split()) > 10:  # noqa: PLR2004 - no name has more
        return None
    title = match["title"]
    if not any(character.isupper() for character in title):
        return None
    bare = re.sub(r"^(?:the|our) ", "", title, flags=re.IGNORECASE)
    return Section(Part.ABOUT, title=bare), Line(line.number, match["rest"] or "")
