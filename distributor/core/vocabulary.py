"""English words for dates, times of day, weekdays and zones, read one after the other.

A reading keeps every word: what is not understood comes back as such, so that whoever decides on
the strength of it can see what was left over.

Invariant: no pattern here can run long. Texts are cut to ``LIMIT`` first, every pattern is tried at
one place only, and none repeats a repetition (reliability row 29).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date, time
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from distributor.core.timing import ABBREVIATIONS, MONTHS, WEEKDAYS, zone_spelled
from distributor.core.zonenames import CITIES, NAMED

if TYPE_CHECKING:
    from collections.abc import Callable

#: Characters of a wording that are read; an embargo line is far shorter.
LIMIT: Final = 400


class Kind(StrEnum):
    """What a word was read as."""

    DATE = "date"
    TIME = "time"
    ZONE = "zone"
    WEEKDAY = "weekday"
    NUMBER = "number"
    FILLER = "filler"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Day:
    """A date as written. ``year`` None: not written. ``doubt``: why it may be another date.

    ``turned``: day and month may stand the other way round.
    """

    month: int
    day: int
    year: int | None = None
    doubt: str | None = None
    turned: bool = False


@dataclass(frozen=True, slots=True)
class Hour:
    """A time of day as written. ``clock`` None: not readable as one; ``doubt`` says why.

    ``other`` is the second time of day it may be. ``midnight``: the start or the end of its day.
    """

    clock: time | None
    doubt: str | None = None
    other: time | None = None
    midnight: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """A zone as written: an IANA ``zone``, an abbreviation, or neither (``local time``)."""

    zone: str | None = None
    abbreviation: str | None = None


@dataclass(frozen=True, slots=True)
class Word:
    """One reading: its kind, the text it stands for and, for what was understood, its value.

    ``start`` and ``end`` are offsets in the text that was read.
    """

    kind: Kind
    text: str
    start: int
    end: int
    value: Day | Hour | Place | int | None = None


#: Words that stand in release lines without changing the time they state.
_FILLERS: Final = frozenset(
    {
        *(
            "until",
            "till",
            "to",
            "for",
            "at",
            "on",
            "the",
            "of",
            "is",
            "it",
            "this",
            "time",
            "date",
        ),
        *("release", "publication", "broadcast", "use", "press", "news", "media", "under"),
        *("strict", "strictly", "embargo", "embargoed", "hours", "hrs"),
        *("lifts", "ends", "expires", "notice"),
    },
)


def plain(text: str) -> str:
    """``text`` cut to ``LIMIT``, in compatibility forms, with one kind of blank, dash and quote."""
    text = unicodedata.normalize("NFKC", text[:LIMIT])[: 2 * LIMIT]
    text = re.sub(r"[\u2010-\u2015\u2212]", "-", text)
    text = re.sub(r"[\u2018\u2019\u02bc`]", "'", text)
    text = re.sub(r"[\u201c\u201d\u201e]", '"', text)
    return " ".join(text.split())


def read_words(text: str) -> tuple[Word, ...]:
    """Every word of ``text``, which has gone through :func:`plain`, in order."""
    words: list[Word] = []
    at = 0
    while at < len(text):
        if text[at].isalnum():
            at = _read_one(text, at, words)
        else:
            # An offset is the one thing that starts with a sign: "00:01+01:00".
            at = _read_offset(text, at, words) or at + 1
    return tuple(words)


def is_date(year: int, month: int, day: int) -> bool:
    """Whether the calendar has that day."""
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _read_one(text: str, at: int, words: list[Word]) -> int:
    for pattern, read in _READERS:
        match = pattern.match(text, at)
        found = read(match, words) if match else None
        if match and found:
            words.extend(found)
            return match.end()
    end = at
    while end < len(text) and (text[end].isalnum() or text[end] in "'&"):
        end += 1
    word = text[at:end]
    kind = Kind.FILLER if word.casefold() in _FILLERS else Kind.UNKNOWN
    words.append(Word(kind, word, at, end))
    return end


def _read_offset(text: str, at: int, words: list[Word]) -> int | None:
    match = _OFFSET.match(text, at)
    if match is None or not words or words[-1].kind is not Kind.TIME:
        return None
    words.extend(_fixed_zone(match, words))
    return match.end()


def _word(kind: Kind, match: re.Match[str], value: Day | Hour | Place | int | None) -> list[Word]:
    return [Word(kind, match[0].strip(), match.start(), match.end(), value)]


def _iso(match: re.Match[str], _words: list[Word]) -> list[Word]:
    year, month, day = (int(part) for part in match["iso"].split("-"))
    if not is_date(year, month, day):
        return []
    found = _word(Kind.DATE, match, Day(month, day, year))
    for kind, part in ((Kind.TIME, match["clock"]), (Kind.ZONE, match["zulu"])):
        if part:
            value = (
                Place("UTC") if kind is Kind.ZONE else _hour(int(part[:2]), int(part[3:5]), None)
            )
            found.append(Word(kind, part, match.start(), match.end(), value))
    return found


def _written(match: re.Match[str], _words: list[Word]) -> list[Word]:
    """``1st December 2026`` and ``December 1, 2026``."""
    month = next(
        number for number, name in enumerate(MONTHS, 1) if name[:3] == match["m"][:3].capitalize()
    )
    day, written = int(match["d"]), match["y"]
    year = _year(int(written.lstrip("'"))) if written else None
    if not is_date(year or 2000, month, day):  # 2000 was a leap year: 29 February may be meant
        return []
    short = written is not None and len(written) < 4  # noqa: PLR2004 - the digits of a year
    doubt = f"The year is written “{written}”: is it {year}?" if short else None
    return _word(Kind.DATE, match, Day(month, day, year, doubt))


def _numeric(match: re.Match[str], _words: list[Word]) -> list[Word]:
    """``1/12/2026``: certain only where one order of day and month is possible."""
    first, second, year = int(match["a"]), int(match["b"]), _year(int(match["y"]))
    orders = [
        (month, day)
        for month, day in ((second, first), (first, second))
        if is_date(year, month, day)
    ]
    if not orders:
        return []
    month, day = orders[0]
    doubt = None
    if orders[0] != orders[-1]:
        doubt = (
            f"“{match[0]}” can be {first} {MONTHS[second - 1]} or {second} {MONTHS[first - 1]}: "
            f"which is meant?"
        )
    elif len(match["y"]) < 4:  # noqa: PLR2004 - the digits of a year
        doubt = f"“{match[0]}” has a year of two digits: is it {day} {MONTHS[month - 1]} {year}?"
    return _word(Kind.DATE, match, Day(month, day, year, doubt, orders[0] != orders[-1]))


def _year(written: int) -> int:
    return written + 2000 if written < 100 else written  # noqa: PLR2004 - two digits


def _half_day(match: re.Match[str], _words: list[Word]) -> list[Word]:
    half = match["half"][0].lower()
    return _word(Kind.TIME, match, _hour(int(match["h"]), int(match["m"] or 0), half))


def _full_day(match: re.Match[str], _words: list[Word]) -> list[Word]:
    hour = _hour(int(match["h"]), int(match["m"]), None)
    bare = not match["hours"] and hour.doubt is None
    if bare and match["h"] in set("123456789"):
        # A clock of 24 hours writes 09:30; 9:30 alone may be the evening. 10:30 and 11:30 look the
        # same on both and are taken for the morning.
        late = f"{int(match['h']) + 12}:{match['m']}"
        doubt = f"“{match[0].strip()}” does not say morning or evening: is it {late}?"
        hour = Hour(hour.clock, doubt, _turned(hour.clock))
    elif bare and match["h"] == "12":
        hour = Hour(hour.clock, _twelve(match[0].strip()), _turned(hour.clock))
    return _word(Kind.TIME, match, hour)


def _hour(hour: int, minute: int, half: str | None) -> Hour:
    shown = f"{hour}:{minute:02}"
    if hour == 24 and not minute and not half:  # noqa: PLR2004 - the hour after the last
        doubt = "“24:00” may be either end of the day: give the time as 23:59 or 00:01."
        return Hour(None, doubt, midnight=True)
    first, last = (1, 12) if half else (0, 23)
    if not first <= hour <= last or minute > 59:  # noqa: PLR2004 - the last minute of an hour
        return Hour(None, f"“{shown}” is not a time of day: what time is meant?")
    if not half:
        return Hour(time(hour, minute))
    clock = time(hour % 12 + (12 if half == "p" else 0), minute)
    if hour == last:
        return Hour(clock, _twelve(f"{shown} {half}.m."), _turned(clock))
    return Hour(clock)


def _turned(clock: time | None) -> time | None:
    """The same hands in the other half of the day."""
    return clock and clock.replace(hour=(clock.hour + 12) % 24)


def _twelve(shown: str) -> str:
    return f"“{shown}” is written for both midnight and noon: is it after midnight or after noon?"


def _named_hour(match: re.Match[str], _words: list[Word]) -> list[Word]:
    if match["name"].lower() == "midnight":
        doubt = "“midnight” may be the start or the end of the day: which is meant?"
        return _word(Kind.TIME, match, Hour(time(0), doubt, midnight=True))
    return _word(Kind.TIME, match, Hour(time(12)))


def _military(match: re.Match[str], _words: list[Word]) -> list[Word]:
    return _word(Kind.TIME, match, _hour(int(match["n"][:2]), int(match["n"][2:]), None))


def _number(match: re.Match[str], _words: list[Word]) -> list[Word]:
    return _word(Kind.NUMBER, match, int(match[0]))


def _weekday(match: re.Match[str], _words: list[Word]) -> list[Word]:
    start = match[0][:2].capitalize()
    number = next(index for index, name in enumerate(WEEKDAYS) if name[:2] == start)
    return _word(Kind.WEEKDAY, match, number)


def _fixed_zone(match: re.Match[str], _words: list[Word]) -> list[Word]:
    """A fixed offset. Only whole hours have a zone, named with the sign turned round."""
    sign, size = match["sign"], int(match["h"])
    if int(match["m"] or 0) or size > 12:  # noqa: PLR2004 - Etc/GMT+12 is the last both ways
        return _word(Kind.ZONE, match, Place(abbreviation=match[0]))
    turned = "-" if sign == "+" else "+"
    return _word(Kind.ZONE, match, Place(f"Etc/GMT{turned}{size}" if size else "UTC"))


def _city(match: re.Match[str], _words: list[Word]) -> list[Word]:
    return _word(Kind.ZONE, match, Place(CITIES[match["city"].lower()]))


def _iana(match: re.Match[str], _words: list[Word]) -> list[Word]:
    zone = zone_spelled(match[0])
    return _word(Kind.ZONE, match, Place(zone)) if zone else []


def _abbreviated(match: re.Match[str], words: list[Word]) -> list[Word]:
    # "met", "west" and "et" are words, too: only their capitals or a time before them tell.
    if match[0].isupper() or (words and words[-1].kind is Kind.TIME):
        return _word(Kind.ZONE, match, Place(abbreviation=match[0].upper()))
    return []


def _zone_named(
    zone: str | None,
    abbreviation: str | None,
) -> Callable[[re.Match[str], list[Word]], list[Word]]:
    def read(match: re.Match[str], _words: list[Word]) -> list[Word]:
        return _word(Kind.ZONE, match, Place(zone, abbreviation))

    return read


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII | re.IGNORECASE)


_MONTH = "|".join(
    sorted({name for month in MONTHS for name in (month, month[:3])} | {"Sept"}, reverse=True),
)
_CITY = "|".join(re.escape(name) for name in sorted(CITIES, key=len, reverse=True))
_SHORT = "|".join(sorted(ABBREVIATIONS, key=len, reverse=True))
_NOT_INSIDE = r"(?<![0-9])(?<![0-9][-/.:])"
_YEAR = r"(?:19|20)[0-9]{2}(?![0-9]| ?(?:hrs?|hours?|h)\b|[:.][0-9])"
_HOURS = r"(?: ?(?P<hours>hrs?|hours?|h)\b\.?)"
_OFFSET = _compiled(r"(?P<sign>[+-])(?P<h>[0-9]{2}):(?P<m>[0-9]{2})\b")

#: Tried in this order at each place; a reader that returns nothing leaves it to the next.
_READERS: Final = (
    (
        _compiled(
            _NOT_INSIDE + r"(?P<iso>(?:19|20)[0-9]{2}-[0-9]{2}-[0-9]{2})"
            r"(?:T(?P<clock>[0-9]{2}:[0-9]{2})(?::00)?(?P<zulu>Z\b)?|\b)",
        ),
        _iso,
    ),
    (
        _compiled(
            _NOT_INSIDE + r"(?P<a>[0-9]{1,2})(?P<s>[/.-])(?P<b>[0-9]{1,2})(?P=s)"
            r"(?P<y>[0-9]{4}|[0-9]{2})(?![0-9])",
        ),
        _numeric,
    ),
    (
        _compiled(
            _NOT_INSIDE + r"(?P<d>[0-9]{1,2})(?:st|nd|rd|th)?(?: day)?(?: of)?[ ./-]{0,2}"
            rf"(?P<m>{_MONTH})\b\.?"
            rf"(?:[ ,/-]{{1,2}}(?P<y>{_YEAR}|'[0-9]{{2}}\b|(?<=[/-])[0-9]{{2}}\b))?",
        ),
        _written,
    ),
    (
        _compiled(
            rf"(?P<m>{_MONTH})\b\.?(?: the)? ?(?P<d>[0-9]{{1,2}})(?:st|nd|rd|th)?"
            r"(?![0-9]|[:.][0-9]| ?(?:[ap]\.?m|hrs?|hours?|h)\b)"
            rf"(?:[ ,]{{1,2}}(?P<y>{_YEAR}|'[0-9]{{2}}\b))?",
        ),
        _written,
    ),
    (
        _compiled(
            r"(?:(?:12|00|0)(?:[:.]00)?(?: ?[ap]\.?m\b\.?)? ?)?(?P<name>noon|midday|midnight)\b",
        ),
        _named_hour,
    ),
    (
        _compiled(
            _NOT_INSIDE + r"(?P<h>[0-9]{1,2})(?:[:.](?P<m>[0-9]{2}))?(?:[:.]00)? ?"
            r"(?P<half>[ap]\.? ?m\b)\.?",
        ),
        _half_day,
    ),
    (
        _compiled(
            _NOT_INSIDE + r"(?P<h>[0-9]{1,2})[:.h](?P<m>[0-9]{2})(?:[:.]00)?(?![0-9]|[:.][0-9])"
            rf"{_HOURS}?",
        ),
        _full_day,
    ),
    (_compiled(_NOT_INSIDE + r"(?P<n>[0-9]{4})" + _HOURS), _military),
    (_compiled(_NOT_INSIDE + r"[0-9]{4}(?=z\b|\b)"), _number),
    (
        _compiled(r"(?:mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:day)?\b\.?"),
        _weekday,
    ),
    (
        # "GMT-1 December" is a dash between two things, not an offset.
        _compiled(
            r"(?:UTC|GMT)(?P<sign>[+-])(?P<h>[0-9]{1,2})(?::?(?P<m>[0-9]{2}))?"
            rf"(?![0-9]|[:.][0-9]|st\b|nd\b|rd\b|th\b| ?(?:{_MONTH})\b)",
        ),
        _fixed_zone,
    ),
    *((_compiled(rf"(?:{words})\b"), _zone_named(zone, name)) for words, zone, name in NAMED),
    (_compiled(rf"(?P<city>{_CITY})(?: local)? time\b"), _city),
    (_compiled(rf"(?<=\()(?P<city>{_CITY})(?=\))"), _city),
    (_compiled(r"[a-z]{2,12}/[a-z_]{2,30}\b"), _iana),
    (_compiled(rf"(?:{_SHORT})\b"), _abbreviated),
)
