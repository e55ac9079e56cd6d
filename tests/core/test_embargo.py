"""Embargo wordings, with evidence: certain, or held and asked."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.core.embargo import find_embargo, read_embargo
from distributor.core.model import Embargo, EmbargoState
from distributor.core.timing import resolve
from distributor.errors import EmbargoUnclear
from tests.effort import read_at_once

RECEIVED = date(2026, 11, 23)
LONDON = "Europe/London"
FIRST = datetime(2026, 12, 1, 0, 1, tzinfo=UTC)


def read(text: str, *, zone: str = LONDON, received: date = RECEIVED) -> Embargo:
    return read_embargo(text, received=received, zone=zone)


@pytest.mark.parametrize(
    ("text", "at", "zone"),
    [
        ("Embargoed until 00:01 GMT, Tuesday 1 December 2026", FIRST, LONDON),
        ("STRICTLY EMBARGOED UNTIL 0001HRS GMT, TUESDAY 1 DECEMBER 2026", FIRST, LONDON),
        ("STRICT EMBARGO: 00.01hrs (UK time), Tuesday 01 December 2026", FIRST, LONDON),
        ("**EMBARGOED UNTIL 00:01 GMT TUESDAY 1ST DECEMBER 2026**", FIRST, LONDON),
        ("EMBARGO \u2013 00:01 GMT 1 DEC 2026", FIRST, LONDON),
        ("Embargoed to 00.01 London time on 1st of December, 2026", FIRST, LONDON),
        ("EMBARGO: 2026-12-01T00:01+00:00", FIRST, "UTC"),
        ("Embargo: 2026-12-01T00:01Z", FIRST, "UTC"),
        ("Embargoed until 2026-12-01 00:01 Europe/London", FIRST, LONDON),
        ("Embargo lifts 00:01 Tuesday 1 December 2026 (GMT)", FIRST, LONDON),
        ("Not for publication before 00:01 GMT on 1 December 2026", FIRST, LONDON),
        (
            "NOT FOR PUBLICATION OR BROADCAST BEFORE 0001 HOURS GMT ON 1 DECEMBER 2026",
            FIRST,
            LONDON,
        ),
        (
            "UNDER STRICT EMBARGO: not for use before 00:01 GMT Tuesday 1 December 2026",
            FIRST,
            LONDON,
        ),
        ("Please do not publish before 00:01 GMT on Tuesday 1 December 2026.", FIRST, LONDON),
        ("FOR RELEASE: 00:01 GMT, 1 December 2026", FIRST, LONDON),
        ("EMBARGOED\nUNTIL 00:01 GMT, Tuesday 1 December 2026", FIRST, LONDON),
        ("EMBARGOED UNTIL\n\n00:01 GMT, Tuesday 1 December 2026", FIRST, LONDON),
        ("Strictly embargoed until 00:01 on Tuesday\n1 December 2026 (UK time)", FIRST, LONDON),
        ("Embargoed until 00:01 GMT on 1\nDecember 2026.", FIRST, LONDON),
        ("EMBARGOED PRESS RELEASE until 00:01 GMT on 1 December 2026", FIRST, LONDON),
        ("Embargoed until 00:01 GMT (UK time) 1 December 2026", FIRST, LONDON),
        ("Embargoed until 00:01 GMT/BST 1 December 2026", FIRST, LONDON),
        ("Embargoed until Tuesday 1 December, 00:01 GMT, 2026", FIRST, LONDON),
        ("Arms embargo study: not for publication before 00:01 GMT 1 Dec 2026", FIRST, LONDON),
        (
            "UNDER EMBARGO until 8:30 a.m. (ET) Friday, December 4, 2026",
            datetime(2026, 12, 4, 13, 30, tzinfo=UTC),
            "America/New_York",
        ),
        (
            "Material in this release is embargoed until USDL-26-0101\n8:30 a.m. (ET) Dec. 4, 2026",
            datetime(2026, 12, 4, 13, 30, tzinfo=UTC),
            "America/New_York",
        ),
        (
            "HOLD FOR RELEASE UNTIL 9 A.M. EST, TUESDAY, DEC. 1, 2026",
            datetime(2026, 12, 1, 14, 0, tzinfo=UTC),
            "America/New_York",
        ),
        (
            "FOR RELEASE 10:00 A.M. EDT, THURSDAY, JULY 1, 2027",
            datetime(2027, 7, 1, 14, 0, tzinfo=UTC),
            "America/New_York",
        ),
        (
            "Embargoed until 6 a.m. Pacific Time on December 1, 2026",
            datetime(2026, 12, 1, 14, 0, tzinfo=UTC),
            "America/Los_Angeles",
        ),
        (
            "Embargoed until 9am ET / 2pm GMT on 1 December 2026",
            datetime(2026, 12, 1, 14, 0, tzinfo=UTC),
            "America/New_York",
        ),
        (
            "Embargoed until noon GMT on Tuesday 1 December 2026",
            datetime(2026, 12, 1, 12, 0, tzinfo=UTC),
            LONDON,
        ),
        (
            "Embargoed: 1600 London time Wednesday 2 December 2026",
            datetime(2026, 12, 2, 16, 0, tzinfo=UTC),
            LONDON,
        ),
        (
            "It is under embargo until 16:00 London time 2 December 2026, when published online.",
            datetime(2026, 12, 2, 16, 0, tzinfo=UTC),
            LONDON,
        ),
        (
            "EMBARGO: 00:01 BST THURSDAY 1 JULY 2027",
            datetime(2027, 6, 30, 23, 1, tzinfo=UTC),
            LONDON,
        ),
        (
            "Embargoed until 10:00 CET, 1 December 2026",
            datetime(2026, 12, 1, 9, 0, tzinfo=UTC),
            "Europe/Brussels",
        ),
        (
            "Embargo: 10:00 Central European Summer Time, 1 July 2027",
            datetime(2027, 7, 1, 8, 0, tzinfo=UTC),
            "Europe/Brussels",
        ),
        (
            "Embargoed until 06:00 GMT+1 on 1 December 2026",
            datetime(2026, 12, 1, 5, 0, tzinfo=UTC),
            "Etc/GMT-1",
        ),
        (
            "EMBARGOED UNTIL 22/12/2026, 09:00 (Brussels)",
            datetime(2026, 12, 22, 8, 0, tzinfo=UTC),
            "Europe/Brussels",
        ),
    ],
)
def test_certain_wording_is_read_to_its_instant(text: str, at: datetime, zone: str) -> None:
    embargo = read(text)
    assert embargo.doubts == ()
    assert embargo.state is EmbargoState.EMBARGOED
    assert embargo.at == at
    assert embargo.local is not None
    assert embargo.local.zone == zone
    assert resolve(embargo.local) == at
    assert embargo.text
    assert all(line in text for line in embargo.text.splitlines())


@pytest.mark.parametrize(
    ("text", "doubts"),
    [
        ("Embargoed until 00:01 on Tuesday 1 December 2026", ["no time zone"]),
        ("Embargoed until 00:01 GMT on Tuesday 1 December", ["no year"]),
        ("Embargoed until Tuesday 1 December 2026 (GMT)", ["no time of day"]),
        ("Embargoed for: 2026-12-01", ["no time of day"]),
        ("Embargoed until 10am GMT Tuesday", ["a weekday but no date: is it Tuesday 24 November"]),
        ("Embargoed until 10am GMT", ["names no date"]),
        ("EMBARGOED", ["states no time"]),
        ("EMBARGOED PRESS RELEASE", ["states no time"]),
        ("Embargoed until publication", ["states no time"]),
        ("Embargo: until delivery", ["“delivery”", "states no time"]),
        (
            "Embargoed until 00:01 GMT Monday 1 December 2026",
            ["is a Tuesday, but the wording says"],
        ),
        ("EMBARGO: 00.01 GMT TUESDAY 2 DECEMBER 2026", ["2 December 2026 is a Wednesday"]),
        ("Embargoed until 00:01 GMT 1/12/2026", ["1 December or 12 January"]),
        ("Embargoed until 09:00 GMT 12/22/26", ["two digits"]),
        ("Embargoed until 00:01 GMT 1 December '26", ["The year is written"]),
        ("Embargoed until midnight GMT on 1 December 2026", ["start or the end"]),
        ("Embargoed until 12 midnight GMT on 1 December 2026", ["start or the end"]),
        ("Embargoed until 24:00 GMT on 1 December 2026", ["either end of the day"]),
        ("Embargoed until 12:01 a.m. EST, December 1, 2026", ["midnight and noon"]),
        ("Embargoed until 12:30pm EST, December 1, 2026", ["midnight and noon"]),
        ("Embargoed until 12:01 GMT 1 December 2026", ["midnight and noon"]),
        ("Embargoed until 8:30 ET, December 4, 2026", ["morning or evening"]),
        ("Embargoed until 25:10 GMT 1 December 2026", ["not a time of day"]),
        ("Embargoed until 00:01 GMT Thursday 1 July 2027", ["“GMT” is not what the clocks"]),
        ("Embargoed until 09:00 BST 1 December 2026", ["BST"]),
        ("Embargoed until 9 a.m. EST July 1, 2027", ["“EST” is not what the clocks"]),
        ("Embargoed until 10:00 CET 1 July 2027", ["“CET” is not what the clocks"]),
        ("Embargoed until 10:00 IST 1 February 2027", ["Indian, Irish or Israel"]),
        ("Embargoed until 10:00 CST 1 February 2027", ["US Central or China"]),
        ("Embargoed until 10:00 local time 1 February 2027", ["which zone"]),
        ("Embargoed until 10:00 UTC+5:30 on 1 February 2027", ["belongs to no zone"]),
        (
            "Embargoed until 10:00 (heure de Paris) 1 February 2027",
            ["“heure de Paris”", "no time z"],
        ),
        ("Embargoed until 4:15 p.m. CT/5:15 p.m. CT December 1, 2026", ["not the same instant"]),
        ("Embargoed until 00:01 GMT / 19:01 ET Tuesday 1 December 2026", ["not the same instant"]),
        ("Embargoed until 00:01 GMT (London time) 1 July 2027", ["GMT", "same instant"]),
        ("Embargoed until 00:01 GMT 1 December or 2 December 2026", ["“or”"]),
        ("Embargoed until 00:01 GMT 1 November 2026", ["already past"]),
        ("Embargoed until 00:01 GMT (Brussels time) 1 December 2026", ["“Brussels time” do not"]),
        ("Embargoed until 00:01 GMT 13/1/1800", ["The year 1800 cannot be meant"]),
        ("Embargoed until 00:01 GMT 2026-13-01", ["“2026 13 01”"]),
        ("Embargoed until 00:01 GMT 31 February 2026", ["“31 February 2026”"]),
        ("Embargoed until 00:01 GMT 31/31/2026", ["“31 31 2026”"]),
        (
            "Embargoed until 29 February, 00:01 GMT, 2027",
            ["no year: is it Tuesday 29 February 2028"],
        ),
        ("Embargoed until 00:01 when we met, 1 December 2026", ["“when we met”"]),
        ("Embargoed until 00:01 GMT 1 December 2028", ["more than a year ahead"]),
        ("Embargoed until 01:30 UK time 28 March 2027", ["does not exist"]),
        ("Embargoed until 01:30 UK time 31 October 2027", ["comes twice"]),
        ("Embargoed until 00:01 GMT 1-3 December 2026", ["“1 3 December"]),
        ("Embargoed until 09:30 GMT 3 December 2026 for print, 07:00 GMT online", ["print"]),
        ("Embargoed until 00:01 GMT 1 December 2026 (TBC)", ["“TBC”"]),
        ("Embargoed until 24 hours after 00:01 GMT 1 December 2026", ["24 hours after", "“24"]),
        ("This report is not embargoed until 00:01 GMT 1 December 2026", ["says not"]),
        ("The report goes to media under embargo, with more copies to follow.", ["states no time"]),
        ("Embargoed copies of the report are available to journalists.", ["states no time"]),
        ("This release is not embargoed", ["states no time"]),
        ("Not for immediate release", ["states no time"]),
        ("Sperrfrist: 1. Dezember 2026, 00.00 Uhr", ["states no time"]),
        ("Embargo hasta el 1 de diciembre de 2026", ["“1 2026”"]),
        ("Release date: 1 December 2026", ["no time of day"]),
        ("FOR IMMEDIATE RELEASE: December 1, 2026", ["at once, or on Tuesday 1 December 2026"]),
        (
            "FOR IMMEDIATE RELEASE\n\nEmbargoed until 00:01 GMT 1 December 2026",
            ["Line 1 says “FOR IMMEDIATE RELEASE” and line 3 says"],
        ),
        (
            "Embargo: 00:01 GMT 1 December 2026\n\nNot for use before 00:01 GMT 2 December 2026",
            ["which holds?"],
        ),
        (
            "Embargoed until 00:01 GMT 1 December 2026\n\nEmbargo: 1 December 2026, online only",
            ["which holds?"],
        ),
    ],
)
def test_wording_in_doubt_is_held_and_every_doubt_named(text: str, doubts: list[str]) -> None:
    embargo = read(text)
    assert embargo.state is EmbargoState.UNCLEAR
    assert embargo.at is None
    assert embargo.text
    said = " ".join(embargo.doubts)
    # One of the words given for a doubt must be quoted back; all doubts are whole sentences.
    assert any(doubt in said for doubt in doubts), said
    assert all(doubt.endswith(("?", ".")) for doubt in embargo.doubts)


@pytest.mark.parametrize(
    "text",
    [
        "FOR IMMEDIATE RELEASE",
        "For immediate publication",
        "**For Immediate Release**",
        "EMBARGO: IMMEDIATE",
        "Embargo: none",
        "NEWS RELEASE \u2013 FOR IMMEDIATE RELEASE",
        "For release: immediately",
        "Acme Ltd      FOR IMMEDIATE RELEASE",
        "FOR IMMEDIATE RELEASE: November 23, 2026",
        "FOR IMMEDIATE RELEASE \u2013 no embargo",
    ],
)
def test_immediate_release_is_read(text: str) -> None:
    embargo = read(text)
    assert (embargo.state, embargo.doubts, embargo.text) == (EmbargoState.IMMEDIATE, (), text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Russia embargo on oil tightened",
        "UK extends arms embargo until 31 December 2027",
        "Embargo on Cuban cigars lifted after 60 years",
        "Embargo to hit farmers",
        "Ministers will lift the trade embargo before 2027, the report says.",
        "NOT FOR RELEASE, PUBLICATION OR DISTRIBUTION IN OR INTO THE UNITED STATES",
        "The film is for release in the UK on 1 December 2026.",
        "Hold the front page",
        "Use before 1 December 2026",
        "He was released on 1 December 2026.",
    ],
)
def test_text_without_a_release_line_has_no_embargo(text: str) -> None:
    assert read(text) == Embargo()


def test_what_the_desk_completes_is_said_in_the_doubts() -> None:
    embargo = read("Embargoed until 00:01, 1 December", zone="America/New_York")
    assert embargo.state is EmbargoState.UNCLEAR
    assert embargo.local is not None
    assert embargo.local.zone == "America/New_York"
    said = " ".join(embargo.doubts)
    assert "no year: is it Tuesday 1 December 2026?" in said
    assert "America/New_York (EST, UTC-05:00) meant?" in said


def test_year_is_completed_to_the_next_such_day() -> None:
    embargo = read("Embargoed until 00:01 GMT 5 January")
    assert "Tuesday 5 January 2027" in embargo.doubts[0]


def test_bst_is_certain_only_for_a_desk_whose_clocks_show_it() -> None:
    text = "Embargoed until 00:01 BST Thursday 1 July 2027"
    assert read(text).state is EmbargoState.EMBARGOED
    assert "Bangladesh" in read(text, zone="America/New_York").doubts[0]


def test_est_is_in_doubt_for_an_australian_desk() -> None:
    doubts = read("Embargoed until 9 a.m. EST 1 December 2026", zone="Australia/Brisbane").doubts
    assert "US or Australian" in doubts[0]


def test_repeated_and_shorter_lines_do_not_contradict_the_full_one() -> None:
    text = (
        "EMBARGOED PRESS RELEASE\n\nHeadline\n\n"
        "Embargoed until 00:01 GMT Tuesday 1 December 2026\n\nText.\n\n"
        "This is embargoed until 00:01 on Tuesday 1 December.\n\n"
        "Embargoed copies of the report are available to media."
    )
    embargo = read(text)
    assert embargo.at == FIRST
    assert embargo.text == "Embargoed until 00:01 GMT Tuesday 1 December 2026"


def test_lines_that_are_nothing_but_the_wording_are_told() -> None:
    lines = ["Embargoed until 00:01", "Tuesday 1 December 2026 GMT", "", "Press release", "Text."]
    assert find_embargo(lines, received=RECEIVED, zone=LONDON).lines == {0, 1}
    prose = ["The survey came out. It is embargoed until 00:01 GMT 1 December 2026."]
    assert find_embargo(prose, received=RECEIVED, zone=LONDON).lines == frozenset()


def test_unknown_zone_of_the_desk_is_refused() -> None:
    with pytest.raises(EmbargoUnclear, match="Londno"):
        read("Embargoed", zone="Europe/Londno")


WORDS = st.sampled_from(
    [
        "embargoed",
        "until",
        "embargo",
        ":",
        "for",
        "immediate",
        "release",
        "not",
        "publication",
        "before",
        "00:01",
        "0001hrs",
        "12:01",
        "a.m.",
        "pm",
        "noon",
        "midnight",
        "GMT",
        "BST",
        "ET",
        "EST",
        "CST",
        "Tuesday",
        "1",
        "31",
        "29",
        "February",
        "December",
        ",",
        "2026",
        "'27",
        "/",
        "1/12/2026",
        "ET)",
        "9999",
        "2026-12-01T00:01+00:00",
        "or",
        ".",
        "under",
        "strict",
        "hold",
        "+14:00",
        "(London time)",
        "\u2013",
        "\n",
    ],
)


@given(st.lists(WORDS, max_size=14).map(" ".join) | st.text(max_size=200))
def test_any_wording_is_read_without_raising_and_certain_only_without_doubt(text: str) -> None:
    embargo = read(text)
    assert (embargo.state is EmbargoState.EMBARGOED) == (embargo.at is not None)
    if embargo.at is not None:
        assert not embargo.doubts
        assert embargo.local is not None
        assert resolve(embargo.local) == embargo.at
    if embargo.state is EmbargoState.UNCLEAR:
        assert embargo.doubts


@given(st.lists(WORDS, max_size=10).map(" ".join))
def test_line_that_begins_with_embargoed_until_is_never_none(rest: str) -> None:
    assert read(f"Embargoed until {rest}").state is not EmbargoState.NONE


@pytest.mark.parametrize(
    "text",
    [
        "embargoed until " + "1" * 100_000,
        "embargoed until " + "1 " * 50_000,
        "embargo " * 12_500,
        "strictly " * 11_000 + "embargoed",
        "not for release " + "a" * 100_000 + " before",
        "not for release" * 7_000,
        "(" * 100_000 + "embargo",
        " " * 100_000 + "embargo until",
        "embargoed until 00:01 " + "u.s. " * 20_000,
        "Embargo. " * 11_000,
    ],
)
def test_hostile_wording_of_100_000_characters_is_read_at_once(text: str) -> None:
    assert read_at_once(read, text)
