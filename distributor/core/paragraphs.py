"""A text as clean lines, blocks and paragraphs, with a finding for everything that was not clean.

Invariant: no character vanishes in silence. Blanks are evened out; whatever else is replaced is
told with its line.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from distributor.core.model import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: A text whose longest line is at most this was broken by hand or by old mail, characters.
_WRAPPED_AT_MOST: Final = 100
#: Lines shorter than this are never the wrapped part of a paragraph, characters.
_WRAPPED_AT_LEAST: Final = 50

_INVISIBLE = re.compile(
    "[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]",
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_BULLET = re.compile(r"(?:[\u2022\u2023\u25aa\u25cf\u00b7\uf0b7\u2043]\s*|[-*o\u2013]\s+)(?=\S)")
_NUMBERED = re.compile(r"\(?[0-9]{1,2}[.)]\s+(?=\S)")


@dataclass(frozen=True, slots=True)
class Line:
    """One line: ``number`` counts from 1 in the text as given, ``text`` has no outer blanks."""

    number: int
    text: str


#: Lines with nothing between them.
Block = tuple[Line, ...]


def clean_lines(text: str) -> tuple[tuple[Line, ...], list[Finding]]:
    """Every line of ``text``, empty ones too, with blanks evened out, and what was replaced."""
    findings: list[Finding] = []
    told: set[str] = set()
    lines: list[Line] = []
    for number, raw in enumerate(re.sub(r"\r\n?", "\n", text).split("\n"), 1):
        line, found = _clean(raw, number)
        # The first of each kind: a text in a wrong encoding would have one for every line.
        findings.extend(finding for finding in found if finding.code not in told)
        told.update(finding.code for finding in found)
        lines.append(Line(number, " ".join(line.split())))
    return tuple(lines), findings


def _clean(raw: str, number: int) -> tuple[str, list[Finding]]:
    if raw.isascii() and raw.isprintable():
        return raw, []
    found: list[Finding] = []
    line = raw
    if _SURROGATE.search(line):
        line = _SURROGATE.sub("\ufffd", line)
        message = "Half a character (a lone surrogate) was replaced: the text was cut or misread"
        found.append(Finding("lone-surrogate", "error", message, number))
    if _INVISIBLE.search(line):
        line = _INVISIBLE.sub("", line)
        message = "Invisible characters (zero width or direction marks) were taken out"
        found.append(Finding("invisible-character", "info", message, number))
    controls = {mark for mark in line if mark != "\t" and unicodedata.category(mark) in _CONTROL}
    if controls:
        names = ", ".join(f"U+{ord(mark):04X}" for mark in sorted(controls)[:5])
        line = "".join(" " if mark in controls else mark for mark in line)
        message = f"Control characters ({names}) were replaced by blanks"
        found.append(Finding("control-character", "warning", message, number))
    return line, found


#: Control characters, and the two separators that some programs take for an end of line.
_CONTROL = frozenset({"Cc", "Zl", "Zp"})


def blocks(lines: Iterable[Line]) -> list[Block]:
    """Runs of lines with no empty line, and no left-out number, between them."""
    found: list[list[Line]] = []
    before: Line | None = None
    for line in lines:
        if line.text:
            if before is None or not before.text or line.number != before.number + 1:
                found.append([])
            found[-1].append(line)
        before = line
    return [tuple(block) for block in found]


def width_of(lines: Sequence[Line]) -> int:
    """The column at which a text was wrapped, 0 when its lines are whole paragraphs."""
    longest = max((len(line.text) for line in lines), default=0)
    return longest if _WRAPPED_AT_LEAST <= longest <= _WRAPPED_AT_MOST else 0


def paragraphs(block: Block, width: int) -> list[Line]:
    """The paragraphs of a block: lines joined where a line broke only because it was full.

    A line was full when the next one's first word had no room on it. Bullets and numbers begin
    paragraphs of their own.
    """
    joined: list[Line] = []
    last = ""
    for line in block:
        first = line.text.partition(" ")[0]
        full = bool(width) and len(last) + 1 + len(first) > width
        if joined and full and not is_item(line.text):
            joined[-1] = Line(joined[-1].number, f"{joined[-1].text} {line.text}")
        else:
            joined.append(line)
        last = line.text
    return joined


def is_item(text: str) -> bool:
    """Whether a line begins with a bullet or a number."""
    return bool(_BULLET.match(text) or _NUMBERED.match(text))


def is_bullet(text: str) -> bool:
    """Whether a line begins with a bullet."""
    return bool(_BULLET.match(text))


def without_mark(text: str) -> str:
    """``text`` without the bullet or number it begins with."""
    match = _BULLET.match(text) or _NUMBERED.match(text)
    return text[match.end() :] if match else text


def undecorated(text: str) -> str:
    """``text`` without the marks of headings and emphasis around it."""
    bare = re.sub(r"^#{1,6}\s+", "", text.strip())
    return bare.strip("*_=~ \t").strip()
