"""Wall times, zones and instants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.core.model import WallTime
from distributor.core.timing import describe, exact, find_zone, instants, parse_when, resolve
from distributor.errors import EmbargoUnclear

LONDON = "Europe/London"
AUTUMN_TWICE = datetime(2026, 10, 25, 1, 30)  # noqa: DTZ001 - a wall time is naive
SPRING_GAP = datetime(2027, 3, 28, 1, 30)  # noqa: DTZ001
DECEMBER = datetime(2026, 12, 1, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "zone", "at"),
    [
        ("2026-12-01 00:01 Europe/London", None, DECEMBER),
        ("2026-12-01 00:01", LONDON, DECEMBER),
        ("  2026-12-01   00:01   Europe/London ", None, DECEMBER),
        ("2026-12-01T00:01+00:00 Europe/London", None, DECEMBER),
        ("2026-12-01T00:01Z", None, DECEMBER),
        ("2026-12-01T00:01:00 Z", None, DECEMBER),
        ("2026-12-01T00:01Z Europe/London", None, DECEMBER),
        ("2026-11-30 19:01 America/New_York", LONDON, DECEMBER),
        ("2026-12-01 00:01:30 UTC", None, DECEMBER + timedelta(seconds=30)),
        ("1 December 2026 00:01 Europe/London", None, DECEMBER),
        ("1 December 2026, 00:01 Europe/London", None, DECEMBER),
        ("1st december 2026 at 00:01", LONDON, DECEMBER),
        ("Tuesday, 01 Dec. 2026 00:01 Europe/London", None, DECEMBER),
        ("00:01 on Tuesday 1 December 2026, Europe/London", None, DECEMBER),
        ("00:01 1 Dec 2026 Europe/London", None, DECEMBER),
        ("1 December 2026 00:01Z", None, DECEMBER),
        ("1 December 2026 00:01+00:00 Europe/London", None, DECEMBER),
        ("1 Sept 2026 00:01 UTC", None, datetime(2026, 9, 1, 0, 1, tzinfo=UTC)),
        ("2026-10-25T01:30+01:00 Europe/London", None, datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("2026-10-25T01:30+00:00 Europe/London", None, datetime(2026, 10, 25, 1, 30, tzinfo=UTC)),
        ("2026-07-01 05:31+05:30", "Asia/Kolkata", datetime(2026, 7, 1, 0, 1, tzinfo=UTC)),
    ],
)
def test_exact_time_is_read(text: str, zone: str | None, at: datetime) -> None:
    local, found = parse_when(text, zone=zone)
    assert found == at
    assert found.tzinfo is UTC
    assert resolve(local) == at


@pytest.mark.parametrize(
    ("text", "says", "remedy"),
    [
        ("2026-12-01 00:01", "no time zone", "2026-12-01 00:01 Europe/London"),
        ("2026-12-01", "no time of day", "2026-12-01 00:01 Europe/London"),
        ("tomorrow at nine", "not an exact time", "2026-12-01 00:01 Europe/London"),
        ("1/12/2026 00:01 Europe/London", "not an exact time", "2026-12-01 00:01 Europe/London"),
        ("1 December 2026", "no time of day", "2026-12-01 00:01 Europe/London"),
        ("1 December 2026 06:00", "no time zone", "2026-12-01 00:01 Europe/London"),
        ("1 December 06:00 Europe/London", "not an exact time", "2026-12-01 00:01 Europe/London"),
        ("1 December 26 06:00 UTC", "not an exact time", "2026-12-01 00:01 Europe/London"),
        ("Tuesday 06:00 Europe/London", "not an exact time", "2026-12-01 00:01 Europe/London"),
        ("tomorrow 1 December 2026 06:00 UTC", "not an exact time", "2026-12-01 00:01"),
        ("1 December 2026 6:00 UTC", "names no time", "2026-12-01 00:01"),
        ("1 December 2026 6am UTC", "names no time", "2026-12-01 00:01"),
        ("06:00 1 December 2026 07:00 UTC", "not a known time zone", ""),
        ("Monday 1 December 2026 06:00 UTC", "1 December 2026 is a Tuesday", ""),
        ("30 February 2026 06:00 UTC", "not a date and time of the calendar", "2026-12-01"),
        ("2026-02-30 00:01 UTC", "not a date and time of the calendar", "2026-12-01"),
        ("2026-12-01 24:00 UTC", "not a date and time of the calendar", "2026-12-01"),
        ("2026-12-01 00:01+25:00 UTC", "not a date and time of the calendar", "2026-12-01"),
        ("2026-12-01 00:01 Europe/Londno", "Europe/Londno", "Europe/London"),
        ("2026-12-01 00:01 New York", "New York", "America/New_York"),
        ("2026-07-01 00:01 EST", "EST", "America/New_York"),
        ("2026-07-01 00:01 GMT", "GMT", "Europe/London"),
        ("2026-12-01 00:01 ../../etc/passwd", "not a known time zone", "name it like"),
        ("2026-12-01 00:01 Europe", "Europe", "Europe/"),
        ("2026-12-01 00:01+01:00", "names no time zone", "2026-11-30 23:01 UTC"),
        ("2026-12-01 00:01+01:00 Europe/London", "is not that of", "2026-12-01T00:01+00:00"),
        ("9999-12-31 00:00 UTC", "the year 9999", "from 1970"),
        ("", "not an exact time", "2026-12-01"),
        ("\x00\x1b[2J", r"\x00\x1b[2J", "2026-12-01"),
        ("9" * 10_000, "not an exact time", "2026-12-01"),
    ],
)
def test_inexact_time_is_refused_with_what_is_wrong_and_the_remedy(
    text: str,
    says: str,
    remedy: str,
) -> None:
    with pytest.raises(EmbargoUnclear) as refused:
        parse_when(text, zone=None)
    assert says in str(refused.value)
    assert remedy in f"{refused.value} {refused.value.remedy}"
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("zone", "wall", "before", "after"),
    [
        (LONDON, "2027-03-28 01:30", "2027-03-28 00:59", "2027-03-28 02:00"),
        ("America/New_York", "2027-03-14 02:00", "2027-03-14 01:59", "2027-03-14 03:00"),
        ("Australia/Lord_Howe", "2026-10-04 02:15", "2026-10-04 01:59", "2026-10-04 02:30"),
        ("Pacific/Apia", "2011-12-30 12:00", "2011-12-29 23:59", "2011-12-31 00:00"),
    ],
)
def test_wall_time_that_does_not_exist_is_refused_with_both_neighbours(
    zone: str,
    wall: str,
    before: str,
    after: str,
) -> None:
    for attempt in (
        lambda: parse_when(f"{wall} {zone}", zone=None),
        lambda: resolve(WallTime(datetime.fromisoformat(wall), zone)),
    ):
        with pytest.raises(EmbargoUnclear, match="does not exist") as refused:
            attempt()
        assert refused.value.choices == (f"{before} {zone}", f"{after} {zone}")
    for choice in refused.value.choices:
        parse_when(choice, zone=None)


def test_wall_time_that_comes_twice_asks_which_and_both_choices_can_be_typed_back() -> None:
    with pytest.raises(EmbargoUnclear, match="twice") as refused:
        parse_when("2026-10-25 01:30 Europe/London", zone=None)
    read = [parse_when(choice, zone=None) for choice in refused.value.choices]
    assert [local.fold for local, _ in read] == [0, 1]
    assert read[1][1] - read[0][1] == timedelta(hours=1)


def test_fold_chooses_between_the_two_instants_of_one_wall_time() -> None:
    early = resolve(WallTime(AUTUMN_TWICE, LONDON, 0))
    late = resolve(WallTime(AUTUMN_TWICE, LONDON, 1))
    assert (early, late) == instants(AUTUMN_TWICE, LONDON)
    assert late - early == timedelta(hours=1)
    assert instants(SPRING_GAP, LONDON) == ()


def test_fold_of_a_time_that_comes_once_changes_nothing() -> None:
    wall = DECEMBER.replace(tzinfo=None)
    assert resolve(WallTime(wall, LONDON, 1)) == DECEMBER


def test_aware_wall_time_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="naive"):
        resolve(WallTime(DECEMBER, LONDON))


@pytest.mark.parametrize(
    ("at", "zone", "words"),
    [
        (DECEMBER, LONDON, "00:01 on Tuesday 1 December 2026, Europe/London (GMT, UTC+00:00)"),
        (
            DECEMBER,
            "America/New_York",
            "19:01 on Monday 30 November 2026, America/New_York (EST, UTC-05:00)",
        ),
        (DECEMBER, "UTC", "00:01 on Tuesday 1 December 2026, UTC (UTC+00:00)"),
        (DECEMBER, "Asia/Dubai", "04:01 on Tuesday 1 December 2026, Asia/Dubai (UTC+04:00)"),
        (
            DECEMBER.replace(second=9),
            "Asia/Kolkata",
            "05:31:09 on Tuesday 1 December 2026, Asia/Kolkata (IST, UTC+05:30)",
        ),
    ],
)
def test_instant_is_told_with_weekday_zone_name_and_offset(
    at: datetime,
    zone: str,
    words: str,
) -> None:
    assert describe(at, zone) == words


def test_unknown_zone_without_a_near_match_still_says_how_to_name_one() -> None:
    with pytest.raises(EmbargoUnclear, match="name it like Europe/London") as refused:
        find_zone("qqqqqq")
    assert refused.value.choices == ()


ZONES = st.sampled_from(
    [LONDON, "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia", "UTC"],
)


@given(
    st.datetimes(
        datetime(1972, 1, 1),  # noqa: DTZ001 - hypothesis wants naive bounds
        datetime(2100, 1, 1),  # noqa: DTZ001
        timezones=st.just(UTC),
    ),
    ZONES,
)
def test_every_instant_is_read_back_from_its_exact_spelling(at: datetime, zone: str) -> None:
    at = at.replace(microsecond=0)
    assert parse_when(exact(at, zone), zone=None)[1] == at


@given(st.text(max_size=60))
def test_any_text_is_an_exact_time_or_refused(text: str) -> None:
    try:
        local, at = parse_when(text, zone=LONDON)
    except EmbargoUnclear:
        return
    assert resolve(local) == at
