"""A stated embargo beside what the text says: the same, explained by a doubt, or refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.core.agreement import contradicts
from distributor.core.embargo import Found, find_embargo
from distributor.core.model import Embargo, EmbargoState
from distributor.core.timing import MONTHS, WEEKDAYS, parse_when

RECEIVED = date(2026, 11, 23)
LONDON = "Europe/London"
NO_ZONE = "EMBARGOED UNTIL 06:00 ON 27 NOVEMBER 2026"
WITH_NOTHING = "EMBARGOED"


def find(text: str, zone: str = LONDON) -> Found:
    lines = f"{text}\n\nA bridge opens\n\nThe bridge opened today.\n\nENDS".splitlines()
    return find_embargo(lines, received=RECEIVED, zone=zone)


def state(text: str) -> Embargo:
    if text in {"immediate", "none"}:
        return Embargo(EmbargoState(text), text=text)
    local, at = parse_when(text, zone=None)
    return Embargo(EmbargoState.EMBARGOED, at, local, text)


def refused(text: str, stated: str, zone: str = LONDON) -> bool:
    return contradicts(find(text, zone).said, state(stated))


CONTRADICTIONS = [
    (NO_ZONE, "2026-12-01 09:00 Europe/London"),
    (NO_ZONE, "2026-11-27 07:00 Europe/London"),
    (NO_ZONE, "2026-11-27 06:01 Europe/London"),
    (NO_ZONE, "2026-11-26 06:00 Europe/London"),
    (NO_ZONE, "2027-11-27 06:00 Europe/London"),
    (NO_ZONE, "immediate"),
    (NO_ZONE, "none"),
    (WITH_NOTHING, "immediate"),
    ("EMBARGOED UNTIL TBC", "none"),
    ("EMBARGOED UNTIL 27 NOVEMBER 2026", "2026-11-28 06:00 Europe/London"),
    ("EMBARGOED UNTIL 06:00 GMT", "2026-11-27 07:00 Europe/London"),
    ("EMBARGOED UNTIL 06:00 GMT FRIDAY", "2026-11-28 06:00 Europe/London"),
    ("EMBARGOED UNTIL 06:00 GMT 27 NOVEMBER", "2026-12-27 06:00 Europe/London"),
    ("EMBARGOED UNTIL 06:00 GMT FRIDAY 27 NOVEMBER", "2027-11-27 06:00 Europe/London"),
    ("EMBARGOED UNTIL 06:00 GMT 03/04/2027", "2027-05-03 06:00 Europe/London"),
    ("EMBARGOED UNTIL 06:00 GMT 27/11/2026, TBC", "2026-11-28 06:00 Europe/London"),
    ("EMBARGOED UNTIL 06:00 GMT 27 NOVEMBER 2026 (TBC)", "2026-12-04 06:00 Europe/London"),
    ("EMBARGOED UNTIL 9:30 GMT 27 NOVEMBER 2026", "2026-11-27 10:30 Europe/London"),
    ("EMBARGOED UNTIL MIDNIGHT GMT 27 NOVEMBER 2026", "2026-11-29 00:00 Europe/London"),
    ("EMBARGOED UNTIL MIDNIGHT GMT 27 NOVEMBER 2026", "2026-11-27 12:00 Europe/London"),
    ("EMBARGOED UNTIL 12:01 A.M. GMT 27 NOV 2026", "2026-11-27 01:01 Europe/London"),
    ("EMBARGOED UNTIL 06:00 IST 27 NOVEMBER 2026", "2026-11-27 06:00 Asia/Tokyo"),
    ("EMBARGOED UNTIL 09:00 EST 1 JULY 2027", "2027-07-01 11:00 America/New_York"),
    ("EMBARGOED UNTIL 09:00 EST 1 JULY 2027", "2027-07-01 09:00 Australia/Sydney"),
    ("EMBARGOED UNTIL 09:00 UTC+05:30 1 DEC 2026", "2026-12-01 09:00 Europe/London"),
    ("EMBARGOED UNTIL 06:00 GMT WEDNESDAY 27 NOVEMBER 2026", "2026-12-09 06:00 Europe/London"),
    ("EMBARGOED UNTIL 01:30 28 MARCH 2027 Europe/London", "2027-03-28 03:00 Europe/London"),
    ("EMBARGOED UNTIL 09:00 GMT 1 DECEMBER 2025", "2026-12-02 09:00 Europe/London"),
    ("FOR IMMEDIATE RELEASE 1 DECEMBER 2026", "2026-12-02 09:00 Europe/London"),
    ("EMBARGOED\nEMBARGOED UNTIL 27 NOVEMBER 2026", "2026-11-28 09:00 Europe/London"),
    ("EMBARGOED UNTIL FRIDAY\n\nEMBARGOED UNTIL 27 NOV 2026", "2026-12-04 09:00 Europe/London"),
    ("EMBARGOED UNTIL 9am ET / 3pm GMT 1 DEC 2026", "2026-12-01 16:00 Europe/London"),
]


@pytest.mark.parametrize(("text", "stated"), CONTRADICTIONS)
def test_a_stated_embargo_that_no_doubt_of_the_text_explains_contradicts_it(
    text: str, stated: str
) -> None:
    assert find(text).embargo.state is EmbargoState.UNCLEAR
    assert refused(text, stated)


HONEST = [
    (NO_ZONE, "2026-11-27 06:00 Europe/London"),
    (NO_ZONE, "2026-11-27 06:00 America/New_York"),
    (NO_ZONE, "2026-11-27 07:00 Europe/Berlin"),
    (WITH_NOTHING, "2026-11-27 06:00 Europe/London"),
    ("EMBARGO: none needed", "immediate"),
    ("EMBARGO: lifted", "none"),
    ("A report on the arms embargo", "immediate"),
    ("The report goes to journalists under embargo.", "immediate"),
    ("The report goes to journalists under embargo.", "2026-11-27 06:00 Europe/London"),
    ("EMBARGOED UNTIL 27 NOVEMBER 2026", "2026-11-27 06:00 Europe/London"),
    ("EMBARGOED UNTIL 06:00 GMT", "2026-11-27 06:00 Europe/London"),
    ("EMBARGOED UNTIL 06:00 GMT FRIDAY", "2026-11-27 06:00 Europe/London"),
    ("EMBARGOED UNTIL 06:00 GMT 27 NOVEMBER", "2026-11-27 06:00 Europe/London"),
    ("EMBARGOED UNTIL 06:00 GMT 03/04/2027", "2027-04-03 06:00 UTC"),
    ("EMBARGOED UNTIL 06:00 GMT 03/04/2027", "2027-03-04 06:00 Europe/London"),
    ("EMBARGOED UNTIL 9:30 GMT 27 NOVEMBER 2026", "2026-11-27 21:30 Europe/London"),
    ("EMBARGOED UNTIL MIDNIGHT GMT 27 NOVEMBER 2026", "2026-11-27 00:01 Europe/London"),
    ("EMBARGOED UNTIL MIDNIGHT GMT 27 NOVEMBER 2026", "2026-11-28 00:00 Europe/London"),
    ("EMBARGOED UNTIL MIDNIGHT GMT 27 NOVEMBER 2026", "2026-11-27 23:59 Europe/London"),
    ("EMBARGOED UNTIL 24:00 GMT 27 NOVEMBER 2026", "2026-11-28 00:00 Europe/London"),
    ("EMBARGOED UNTIL 12:01 A.M. GMT 27 NOV 2026", "2026-11-27 12:01 Europe/London"),
    ("EMBARGOED UNTIL 06:00 IST 27 NOVEMBER 2026", "2026-11-27 06:00 Europe/Dublin"),
    ("EMBARGOED UNTIL 09:00 EST 1 JULY 2027", "2027-07-01 09:00 America/New_York"),
    ("EMBARGOED UNTIL 09:00 EST 1 JULY 2027", "2027-07-01 10:00 America/New_York"),
    ("EMBARGOED UNTIL 09:00 GMT 1 JULY 2027", "2027-07-01 09:00 UTC"),
    ("EMBARGOED UNTIL 09:00 UTC+05:30 1 DEC 2026", "2026-12-01 09:00 Asia/Kolkata"),
    ("EMBARGOED UNTIL 09:00 LOCAL TIME 1 DEC 2026", "2026-12-01 09:00 Asia/Tokyo"),
    ("EMBARGOED UNTIL 09:00 UTC+99:99 1 DEC 2026", "2026-12-01 09:00 UTC"),
    ("EMBARGOED UNTIL 06:00 GMT WEDNESDAY 27 NOVEMBER 2026", "2026-11-27 06:00 Europe/London"),
    ("EMBARGOED UNTIL 06:00 GMT WEDNESDAY 27 NOVEMBER 2026", "2026-11-25 06:00 Europe/London"),
    ("EMBARGOED UNTIL 01:30 28 MARCH 2027 Europe/London", "2027-03-28 02:00 Europe/London"),
    ("EMBARGOED UNTIL 01:30 28 MARCH 2027", "2027-03-28 00:59 Europe/London"),
    ("EMBARGOED UNTIL 01:30 31 OCTOBER 2027", "2027-10-31T01:30+01:00 Europe/London"),
    ("EMBARGOED UNTIL 09:00 GMT 1 DECEMBER 2025", "2026-12-01 09:00 Europe/London"),
    ("EMBARGOED UNTIL 09:00 GMT 1 DECEMBER 2025", "immediate"),
    ("FOR IMMEDIATE RELEASE 1 DECEMBER 2026", "immediate"),
    ("FOR IMMEDIATE RELEASE 1 DECEMBER 2026", "2026-12-01 09:00 Europe/London"),
    (f"FOR IMMEDIATE RELEASE\n{NO_ZONE}", "immediate"),
    (f"FOR IMMEDIATE RELEASE\n{NO_ZONE}", "2026-11-27 06:00 Europe/London"),
    ("EMBARGOED UNTIL 9am ET / 3pm GMT 1 DEC 2026", "2026-12-01 15:00 Europe/London"),
    (f"{NO_ZONE}\n\nEMBARGOED UNTIL 07:00 28 NOV 2026", "2026-11-28 07:00 Europe/London"),
]


@pytest.mark.parametrize(("text", "stated"), HONEST)
def test_a_stated_embargo_that_settles_a_doubt_of_the_text_is_taken(text: str, stated: str) -> None:
    assert not refused(text, stated)


def test_the_desks_own_zone_is_meant_where_its_clocks_are_called_so() -> None:
    text = "EMBARGOED UNTIL 06:00 IST 27 NOVEMBER"
    assert not refused(text, "2026-11-27 06:00 Asia/Kolkata", zone="Asia/Kolkata")
    text = "EMBARGOED UNTIL 06:00 EST 27 NOVEMBER"
    assert not refused(text, "2026-11-27 06:00 Australia/Sydney", zone="Australia/Sydney")
    text = "EMBARGOED UNTIL 06:00 CE(S)T 27 NOVEMBER"
    assert not refused(text, "2026-11-27 06:00 Europe/Vienna", zone="Europe/Vienna")


SPELLED = [
    (NO_ZONE, ["2026-11-27 06:00 Europe/London"]),
    (WITH_NOTHING, []),
    ("EMBARGOED UNTIL 27 NOVEMBER 2026", ["2026-11-27 HH:MM Europe/London"]),
    ("EMBARGOED UNTIL 06:00 GMT", ["YYYY-MM-DD 06:00 Europe/London"]),
    ("EMBARGOED UNTIL 06:00 GMT FRIDAY", ["2026-11-27 06:00 Europe/London"]),
    (
        "EMBARGOED UNTIL 06:00 GMT 03/04/2027",
        ["2027-04-03 06:00 Europe/London", "2027-03-04 06:00 Europe/London"],
    ),
    (
        "EMBARGOED UNTIL MIDNIGHT 27 NOVEMBER 2026",
        ["2026-11-27 00:00 Europe/London", "2026-11-28 00:00 Europe/London"],
    ),
    (
        "EMBARGOED UNTIL 01:30 31 OCTOBER 2027",
        ["2027-10-31T01:30+01:00 Europe/London", "2027-10-31T01:30+00:00 Europe/London"],
    ),
    (
        "EMBARGOED UNTIL 01:30 28 MARCH 2027",
        ["2027-03-28T00:59+00:00 Europe/London", "2027-03-28T02:00+01:00 Europe/London"],
    ),
    (
        "EMBARGOED UNTIL 06:00 GMT WEDNESDAY 27 NOVEMBER 2026",
        ["2026-11-27 06:00 Europe/London", "2026-11-25 06:00 Europe/London"],
    ),
    ("EMBARGOED UNTIL 09:00 GMT 1 DECEMBER 2025", ["YYYY-MM-DD 09:00 Europe/London"]),
    ("EMBARGOED UNTIL 09:00 UTC+05:30 1 DEC 2026", ["2026-12-01 03:30 UTC"]),
    ("EMBARGOED UNTIL 09:00 LOCAL TIME 1 DEC 2026", ["2026-12-01 09:00 Area/City"]),
    ("FOR IMMEDIATE RELEASE 1 DECEMBER 2026", ["immediate", "2026-12-01 HH:MM Europe/London"]),
]


@pytest.mark.parametrize(("text", "readings"), SPELLED)
def test_an_unclear_embargo_is_spelled_as_far_as_it_was_read(
    text: str, readings: list[str]
) -> None:
    assert list(find(text).embargo.readings) == readings


def test_a_certain_embargo_has_no_readings_to_choose_from() -> None:
    assert find("EMBARGOED UNTIL 06:00 GMT 27 NOVEMBER 2026").embargo.readings == ()


# --- any day, hour and zone ---------------------------------------------------------------------

DAYS = st.dates(date(2026, 11, 25), date(2027, 11, 20))
CLOCKS = st.times(time(0, 0), time(23, 59)).map(
    lambda clock: clock.replace(second=0, microsecond=0)
)
ZONES = st.sampled_from(["Europe/London", "America/New_York", "Asia/Kolkata", "Pacific/Auckland"])


def written(day: date, clock: time | None = None, *, weekday: bool = False) -> str:
    name = f"{WEEKDAYS[day.weekday()]} " if weekday else ""
    hour = f"{clock:%H:%M} hrs on " if clock else ""
    return f"EMBARGOED UNTIL {hour}{name}{day.day} {MONTHS[day.month - 1]} {day.year}"


def stated_at(wall: datetime, zone: str) -> Embargo | None:
    """That wall time stated; None where the clocks of the zone show it never or twice."""
    shown = {wall.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC) for fold in (0, 1)}
    return state(f"{wall:%Y-%m-%d %H:%M} {zone}") if len(shown) == 1 else None


@given(DAYS, CLOCKS, ZONES)
def test_the_same_wall_time_never_contradicts_a_text_without_zone(
    day: date, clock: time, zone: str
) -> None:
    stated = stated_at(datetime.combine(day, clock), zone)
    for text in (written(day), written(day, clock), written(day, clock, weekday=True)):
        found = find(text)
        assert found.said
        assert stated is None or not contradicts(found.said, stated)


@given(DAYS, CLOCKS, DAYS, CLOCKS, ZONES, ZONES)
def test_what_passes_beside_a_text_without_zone_shows_its_wall_time_there_or_at_the_desk(
    day: date, clock: time, other: date, later: time, zone: str, desk: str
) -> None:
    stated = stated_at(datetime.combine(other, later), zone)
    wall = datetime.combine(day, clock)
    if stated is None or stated.at is None or stated_at(wall, desk) is None:
        return
    at_desk = stated.at.astimezone(ZoneInfo(desk)).replace(tzinfo=None)
    passes = wall in {datetime.combine(other, later), at_desk}
    assert contradicts(find(written(day, clock), desk).said, stated) is not passes


@given(DAYS, CLOCKS, st.integers(1, 600_000), st.sampled_from([-1, 1]))
def test_a_shift_of_a_minute_or_of_a_year_contradicts_a_text_in_the_desks_zone(
    day: date, clock: time, minutes: int, sign: int
) -> None:
    wall = datetime.combine(day, clock)
    stated = stated_at(wall + sign * timedelta(minutes=minutes), LONDON)
    if stated is not None and stated_at(wall, LONDON) is not None:
        assert contradicts(find(written(day, clock)).said, stated)


@given(DAYS, CLOCKS, st.integers(1, 28), st.sampled_from([" (TBC)", ", or later", ""]))
def test_no_doubt_lets_another_day_pass(day: date, clock: time, away: int, doubt: str) -> None:
    for text in (written(day) + doubt, written(day, clock) + doubt):
        stated = stated_at(datetime.combine(day + timedelta(days=away), clock), LONDON)
        assert stated is None or contradicts(find(text).said, stated)


@given(st.text(max_size=60), CLOCKS)
def test_whatever_stands_beside_the_word_embargo_is_compared_without_a_fall(
    text: str, clock: time
) -> None:
    found = find(f"EMBARGOED UNTIL {text}")
    contradicts(found.said, state(f"2026-12-01 {clock:%H:%M} UTC"))


@given(DAYS, CLOCKS, ZONES)
def test_every_reading_offered_that_is_whole_agrees_with_the_text(
    day: date, clock: time, desk: str
) -> None:
    for text in (written(day, clock), written(day, clock) + " EST", written(day, clock) + " IST"):
        found = find(text, desk)
        for spelled in found.embargo.readings:
            assert not contradicts(found.said, state(spelled))
