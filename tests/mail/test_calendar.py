"""Moments and days in words: ours in English, the CLDR's in the other languages."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from distributor.core.timing import describe
from distributor.errors import EmbargoUnclear
from distributor.mail import calendar

LIFT = datetime(2026, 12, 1, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize("language", ["en", "en-GB", "cy", "x-none"])
def test_english_and_languages_without_words_are_written_as_the_desk_writes(language: str) -> None:
    assert calendar.moment(LIFT, "Europe/London", language) == describe(LIFT, "Europe/London")
    assert calendar.short_moment(LIFT, "America/New_York", language) == "19:01 Mon 30 Nov"
    assert calendar.day(date(2026, 12, 1), language) == "1 December 2026"


@pytest.mark.parametrize(
    ("language", "zone", "moment", "short", "day"),
    [
        (
            "de",
            "Europe/Berlin",
            "Dienstag, 1. Dezember 2026, 01:01 Uhr, Europe/Berlin (MEZ, UTC+01:00)",
            "01:01 Di., 1. Dez.",
            "1. Dezember 2026",
        ),
        (
            "fr-FR",
            "Europe/Paris",
            "mardi 1er décembre 2026 à 01:01, Europe/Paris (CET, UTC+01:00)",
            "01:01 mar. 1er déc.",
            "1er décembre 2026",
        ),
        (
            "es",
            "America/Bogota",
            "lunes, 30 de noviembre de 2026, 19:01 h, America/Bogota (UTC-05:00)",
            "19:01 lun, 30 nov",
            "1 de diciembre de 2026",
        ),
    ],
)
def test_other_languages_are_written_as_they_are_there(
    language: str, zone: str, moment: str, short: str, day: str
) -> None:
    assert calendar.moment(LIFT, zone, language) == moment
    assert calendar.short_moment(LIFT, zone, language) == short
    assert calendar.day(date(2026, 12, 1), language) == day


def test_a_region_that_is_not_known_is_written_as_its_language() -> None:
    assert calendar.day(date(2026, 12, 1), "de-XX") == "1. Dezember 2026"


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_moment_in_an_unknown_zone_is_refused(language: str) -> None:
    with pytest.raises(EmbargoUnclear):
        calendar.moment(LIFT, "Europe/Lodnon", language)
    with pytest.raises(EmbargoUnclear):
        calendar.short_moment(LIFT, "Europe/Lodnon", language)
