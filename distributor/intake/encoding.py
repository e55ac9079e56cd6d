"""Which encoding bytes of text are in, and whether that is known or guessed."""

from __future__ import annotations

import re
from typing import Final

from charset_normalizer import from_bytes

#: Byte order marks; those of UTF-32 stand first because UTF-16's begins them.
_MARKS: Final = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
#: Bytes that are enough to guess an encoding from.
_GUESSED_FROM: Final = 1_000_000
#: Signs beside letters that western texts hold beyond ASCII.
_WESTERN_SIGNS: Final = frozenset(
    "\u2018\u2019\u201c\u201d\u2013\u2014\u2026\u2022€£§©®°·«»½¼¾™\u00a0"
)


def guess_encoding(data: bytes) -> tuple[str | None, bool]:
    """The encoding of ``data`` and whether it is sure: a byte order mark or valid UTF-8 is.

    None when it looks like no text in any known encoding. A few accents in a sea of ASCII are too
    little for statistics, so UTF-16 and Windows-1252 are tried by their look first.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding, True
    wide = _wide(data)
    if wide:
        return wide, False
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        return "utf-8", True
    if _looks_western(data):
        return "cp1252", False
    best = from_bytes(data[:_GUESSED_FROM]).best()
    return (best.encoding if best else None), False


def _wide(data: bytes) -> str | None:
    """UTF-16 without a mark: every second byte of western text is zero."""
    start = data[:2_000]
    half = len(start) // 2
    if half and start[1::2].count(0) * 10 > half * 7 and start[0::2].count(0) == 0:
        return "utf-16-le"
    if half and start[0::2].count(0) * 10 > half * 7 and start[1::2].count(0) == 0:
        return "utf-16-be"
    return None


def _looks_western(data: bytes) -> bool:
    """Read as Windows-1252, every word beyond ASCII looks like one of a western language."""
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        return False
    words = {word for word in re.split(r"[^\w\x80-\uffff]+", text) if not word.isascii()}
    return all(_western_word(word) for word in words)


def _western_word(word: str) -> bool:
    foreign = [sign for sign in word if not sign.isascii()]
    if not all(sign.isalpha() or sign in _WESTERN_SIGNS for sign in foreign):
        return False
    letters = sum(sign.isalpha() for sign in foreign)
    # Capitals with marks in the middle of a word are how other encodings look from here.
    return letters * 2 <= len(word) and not re.search(r"[a-z][\u00c0-\u00de\u0160\u017d]", word)
