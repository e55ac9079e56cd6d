"""What people say in a release: the texts between quotation marks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Shorter pieces in marks are terms or titles, unless they are whole sentences; words.
_LEAST_WORDS: Final = 5
#: Speech in single marks: the closing one follows the end of a sentence, an apostrophe does not.
_SINGLE = re.compile(r"(?<!\w)\u2018([^\u2018\u201c\"]{10,3000}?[.,!?\u2026])\u2019(?!\w)")
_OPEN, _CLOSE, _STRAIGHT = "\u201c\u201e\u00ab", "\u201d\u00bb", '"'


def read_quotes(paragraphs: Sequence[str]) -> tuple[str, ...]:
    """Every quotation, without its outer marks; one over several paragraphs stays one.

    Such a quotation opens each paragraph with a mark and closes only the last. Its paragraphs are
    separated by one empty line. A mark that is never closed quotes to the end of its paragraph.
    """
    quotes: list[str] = []
    parts: list[str] = []
    is_open = False
    for index, paragraph in enumerate(paragraphs):
        is_open = _read_paragraph(paragraph, quotes, parts, is_open=is_open)
        following = paragraphs[index + 1] if index + 1 < len(paragraphs) else ""
        if is_open and not _goes_on(following):
            quotes.append("\n\n".join(parts))
            parts.clear()
            is_open = False
    return tuple(quote for quote in map(str.strip, quotes) if _is_speech(quote))


def _read_paragraph(paragraph: str, quotes: list[str], parts: list[str], *, is_open: bool) -> bool:
    text = _SINGLE.sub("\u201c\\1\u201d", paragraph.strip())
    if is_open and text[:1] in (*_OPEN, _STRAIGHT):
        text = text[1:]
    start = 0
    for at, mark in enumerate(text):
        if is_open and _closes(text, at, mark):
            parts.append(text[start:at].strip())
            quotes.append("\n\n".join(parts))
            parts.clear()
            is_open = False
        elif not is_open and (mark in _OPEN or mark == _STRAIGHT):
            start, is_open = at + 1, True
    if is_open:
        parts.append(text[start:].strip())
    return is_open


def _closes(text: str, at: int, mark: str) -> bool:
    if mark in _CLOSE:
        return True
    # A straight mark after a blank opens another piece: the one before was never closed.
    return mark == _STRAIGHT and at > 0 and not text[at - 1].isspace()


def _goes_on(paragraph: str) -> bool:
    """Whether an open quotation runs into ``paragraph``: it opens, or closes before it opens."""
    text = paragraph.strip()
    if not text:
        return False
    if text[0] in _OPEN or text[0] == _STRAIGHT:
        return True
    first = next((mark for mark in text if mark in _OPEN or mark in _CLOSE), "")
    return first in tuple(_CLOSE)


def _is_speech(quote: str) -> bool:
    return len(quote.split()) >= _LEAST_WORDS or (" " in quote and quote[-1:] in ".!?\u2026")
