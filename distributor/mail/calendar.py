"""Moments and days in words, as a language writes them. The only importer of Babel.

English is the house's own wording (:func:`distributor.core.timing.describe`): day before month,
never an ambiguous number. The other languages are written as the CLDR has them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_skeleton, get_timezone_name

from distributor.core.furniture import ENGLISH, furniture
from distributor.core.timing import MONTHS, WEEKDAYS, describe, find_zone

if TYPE_CHECKING:
    from datetime import date, datetime

    from distributor.core.model import Dateline

#: Between the day and the time of day, and behind it: "1. Dezember 2026, 00:01 Uhr".
_TIME_OF_DAY: Final = {"de": ", {time} Uhr", "fr": " à {time}", "es": ", {time} h"}


def moment(at: datetime, zone: str, language: str) -> str:
    """An instant in words: weekday, date, time, zone, its name then and its offset.

    Raises:
        EmbargoUnclear: there is no such zone.

    """
    locale = _locale(language)
    if locale is None:
        return describe(at, zone)
    local = at.astimezone(find_zone(zone))
    day = _first(format_date(local, "full", locale=locale), local, locale)
    time = _TIME_OF_DAY[locale.language].format(time=f"{local:%H:%M}")
    names = (get_timezone_name(local, "short", locale=locale), local.tzname() or "")
    name = next((name for name in names if name.isalpha()), "")
    sign = f"{local:%z}"
    offset = f"{sign[:3]}:{sign[3:5]}"
    called = f"{name}, " if name not in {"", "UTC"} else ""
    return f"{day}{time}, {zone} ({called}UTC{offset})"


def short_moment(at: datetime, zone: str, language: str) -> str:
    """The local time and day for a subject line: ``00:01 Tue 1 Dec``.

    Raises:
        EmbargoUnclear: there is no such zone.

    """
    local = at.astimezone(find_zone(zone))
    locale = _locale(language)
    if locale is None:
        day = f"{WEEKDAYS[local.weekday()][:3]} {local.day} {MONTHS[local.month - 1][:3]}"
    else:
        day = _first(format_skeleton("MMMEd", local, locale=locale), local, locale)
    return f"{local:%H:%M} {day}"


def day(on: date, language: str) -> str:
    """A day: ``1 December 2026``."""
    locale = _locale(language)
    if locale is None:
        return f"{on.day} {MONTHS[on.month - 1]} {on.year}"
    return _first(format_date(on, "long", locale=locale), on, locale)


def dateline(written: Dateline | None, language: str) -> str:
    """``London, 1 December 2026``, or the half of it that is known, or nothing."""
    if written is None:
        return ""
    on = day(written.date, language) if written.date else ""
    return ", ".join(part for part in (written.place, on) if part)


def _first(written: str, on: date, locale: Locale) -> str:
    """The first of a month as the French write it, and the CLDR does not: ``1er décembre``."""
    if on.day != 1 or locale.language != "fr":
        return written
    return re.sub(r"\b1\b", "1er", written, count=1)


def _locale(language: str) -> Locale | None:
    """The locale of a language tag; None for English, and for what we have no words of."""
    if furniture(language) is ENGLISH:
        return None
    try:
        return Locale.parse(language, sep="-")
    except (UnknownLocaleError, ValueError):
        return Locale.parse(language.partition("-")[0].lower())
