"""One wording about a release time, read clause by clause into a wall time, with every doubt.

Invariant: nothing is passed over in silence. A word that is not understood, a part that is missing
or completed from the desk's own day and zone, and every second meaning is a doubt.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from distributor.core.model import WallTime
from distributor.core.timing import ABBREVIATIONS, MONTHS, WEEKDAYS, describe, find_zone, instants
from distributor.core.vocabulary import Day, Hour, Kind, Place, Word, is_date, plain, read_words
from distributor.errors import EmbargoUnclear

if TYPE_CHECKING:
    from distributor.core.notice import Notice

#: An embargo further ahead than this is taken for a slip of the year (practice 58), days.
FAR_AHEAD_DAYS: Final = 366

TIMED = frozenset({Kind.DATE, Kind.TIME, Kind.ZONE, Kind.WEEKDAY})
#: Words after the time that may change it.
_LOADED = frozenset(
    {
        *("or", "unless", "except", "but", "not", "if", "only", "exclusive", "exclusively", "tbc"),
        *(
            "before",
            "after",
            "earlier",
            "later",
            "extended",
            "changed",
            "moved",
            "cancelled",
            "tba",
        ),
        *("lifted", "print", "online", "broadcast", "broadcasters", "agencies", "then", "first"),
        *("provisional", "provisionally", "tentative", "approximately", "about", "circa"),
        *("delivery", "speech", "today", "tomorrow", "tonight", "expected"),
    },
)
#: Abbreviations that several countries use at once; the desk's own zone does not settle them.
SHARED = {
    "IST": "Indian, Irish or Israel time",
    "CST": "US Central or China time",
}
#: Names that stay the same in summer and winter, so that the season proves nothing.
_SEASONLESS = frozenset({"ET", "CT", "MT", "PT", "SGT"})


#: Instead of a time: there is no embargo, or none any more.
_DENIED: Final = re.compile(
    r"\b(?:no|not|none|nil|never|n/a|lifted|over|cancelled|expired|without)\b", re.IGNORECASE
)

#: The doubt of a wording that names neither day nor hour.
NO_TIME: Final = "The wording states no time: until when is it embargoed?"


@dataclass(slots=True)
class Clause:
    """One time of day with the date, weekday and zones that stand with it."""

    hour: Hour | None = None
    days: list[Day] = field(default_factory=list["Day"])
    weekdays: list[int] = field(default_factory=list[int])
    places: list[tuple[str, Place]] = field(default_factory=list["tuple[str, Place]"])


@dataclass(frozen=True, slots=True)
class Reading:
    """One statement. ``local`` is the best reading, ``at`` its instant when there is one.

    ``is_only_short``: what is in doubt was left out, and nothing was said that contradicts it.
    ``denied``: a "not" stands with it, so that there may be no embargo at all.
    """

    text: str
    line: int
    doubts: tuple[str, ...] = ()
    local: WallTime | None = None
    at: datetime | None = None
    parts: frozenset[Kind] = frozenset()
    is_only_short: bool = False
    day: Day | None = None
    hour: Hour | None = None
    clauses: tuple[Clause, ...] = ()
    denied: bool = False

    @property
    def is_certain(self) -> bool:
        """Whether nothing is in doubt."""
        return self.at is not None and not self.doubts


@dataclass(slots=True)
class _Doubts:
    """What must be asked, and how much of it only because it was left out."""

    asked: list[str] = field(default_factory=list[str])
    left_out: int = 0

    def ask(self, *doubts: str) -> None:
        """Something said has a second meaning, or two things said do not agree."""
        self.asked.extend(doubts)

    def ask_left_out(self, doubt: str) -> None:
        """Something was not said."""
        self.asked.append(doubt)
        self.left_out += 1


@dataclass(frozen=True, slots=True)
class Desk:
    """What the desk knows: the day it got the text, and its own zone."""

    received: date
    zone: str


def read_clauses(notice: Notice, wording: str, desk: Desk, *, text: str | None = None) -> Reading:
    """What ``wording`` says, with every doubt; ``text`` is how it is shown, else as noticed."""
    shown = text or notice.text
    words = _settle_numbers(read_words(plain(wording)))
    parts = frozenset(word.kind for word in words if word.kind in TIMED)
    doubts = _Doubts()
    if notice.negated:
        doubts.ask(f"“{shown}” says not, unless or if: does an embargo hold, and until when?")
    doubts.ask(*_strange(words))
    clauses = _clauses(words)
    if not parts - {Kind.ZONE}:
        doubts.ask_left_out(NO_TIME)
        read: list[tuple[WallTime | None, datetime | None]] = [(None, None)]
    else:
        read = [_read_clause(clause, desk, doubts) for clause in clauses]
    if len({at for _, at in read}) > 1:
        times = "; ".join(describe(at, local.zone) for local, at in read if local and at)
        doubts.ask(f"The times given are not the same instant ({times}): which holds?")
    local, at = read[0]
    return Reading(
        shown,
        notice.line,
        tuple(doubts.asked),
        local=local,
        at=at,
        parts=parts,
        is_only_short=len(doubts.asked) == doubts.left_out,
        day=clauses[0].days[0] if clauses[0].days else None,
        hour=clauses[0].hour,
        clauses=tuple(clauses),
        denied=notice.negated or (not parts and bool(_DENIED.search(wording))),
    )


def _settle_numbers(words: tuple[Word, ...]) -> list[Word]:
    """Take a bare number of four digits for the time or the year, where only one is missing."""
    days = [word.value for word in words if isinstance(word.value, Day)]
    has_time = any(word.kind is Kind.TIME for word in words)
    settled: list[Word] = []
    for word in words:
        number = word.value if word.kind is Kind.NUMBER else None
        hour, minute = divmod(number, 100) if isinstance(number, int) else (99, 99)
        if not has_time and hour < 24 and minute < 60 and _dated(days):  # noqa: PLR2004 - a clock
            clock = read_words(f"{hour:02}:{minute:02} hrs")[0].value
            settled.append(replace(word, kind=Kind.TIME, value=clock))
            has_time = True
        elif has_time and len(days) == 1 and days[0].year is None and 19 < hour < 22:  # noqa: PLR2004 - a year
            settled = [_with_year(before, int(word.text)) for before in settled]
        else:
            settled.append(word)
    return settled


def _dated(days: list[Day]) -> bool:
    return bool(days) and all(day.year is not None for day in days)


def _with_year(word: Word, year: int) -> Word:
    day = word.value
    if not isinstance(day, Day) or not is_date(year, day.month, day.day):
        return word
    return replace(word, value=replace(day, year=year))


def _strange(words: list[Word]) -> list[str]:
    """A doubt for each word that may change the meaning of the time."""
    last = max((index for index, word in enumerate(words) if word.kind in TIMED), default=-1)
    left = [
        word.text
        for index, word in enumerate(words)
        if word.kind in {Kind.UNKNOWN, Kind.NUMBER}
        and (
            index < last
            or word.text.casefold() in _LOADED
            or word.text.capitalize() in MONTHS
            or any(character.isdigit() for character in word.text)
        )
    ]
    if not left:
        return []
    return [f"The words “{' '.join(left[:8])}” stand with the time: do they change it?"]


def _clauses(words: list[Word]) -> list[Clause]:
    """Split a wording at its times; what only one of them carries is shared by all."""
    clauses = [Clause()]
    for word in words:
        match word.value:
            case Hour() as hour:
                if clauses[-1].hour is not None:
                    clauses.append(Clause())
                clauses[-1].hour = hour
            case Day() as day:
                clauses[-1].days.append(day)
            case Place() as place:
                clauses[-1].places.append((word.text, place))
            case int() as number if word.kind is Kind.WEEKDAY:
                clauses[-1].weekdays.append(number)
            case _:
                pass
    _share(clauses)
    return clauses


def _share(clauses: list[Clause]) -> None:
    dated = [clause for clause in clauses if clause.days]
    if len(dated) == 1:
        for clause in clauses:
            clause.days = dated[0].days
    named = [clause for clause in clauses if clause.weekdays]
    if len(named) == 1 and len(dated) == 1:
        named[0].days = dated[0].days
    placed = [clause for clause in clauses if clause.places]
    if len(placed) == 1 and len({clause.hour for clause in clauses}) == 1:
        for clause in clauses:
            clause.places = placed[0].places


def _read_clause(
    clause: Clause,
    desk: Desk,
    doubts: _Doubts,
) -> tuple[WallTime | None, datetime | None]:
    day = _read_day(clause, desk, doubts)
    if clause.hour is None:
        doubts.ask_left_out(
            "The wording names no time of day: at what time does the embargo end?",
        )
        return None, None
    if clause.hour.doubt:
        doubts.ask(clause.hour.doubt)
    if day is None or clause.hour.clock is None:
        return None, None
    local, at = _read_places(datetime.combine(day, clause.hour.clock), clause.places, desk, doubts)
    if at is not None and local is not None:
        _check_range(at, local, desk, doubts)
    return local, at


def _read_day(clause: Clause, desk: Desk, doubts: _Doubts) -> date | None:
    if not clause.days:
        if len(set(clause.weekdays)) != 1:
            doubts.ask_left_out("The wording names no date: on which day does the embargo end?")
            return None
        day = desk.received + timedelta(days=(clause.weekdays[0] - desk.received.weekday()) % 7)
        doubts.ask_left_out(f"The wording names a weekday but no date: is it {in_words(day)}?")
        return day
    first = clause.days[0]
    if any(not is_same_day(first, other) for other in clause.days):
        doubts.ask("The wording gives two dates: which holds?")
    doubts.ask(*dict.fromkeys(day.doubt for day in clause.days if day.doubt))
    year = next((day.year for day in clause.days if day.year is not None), None)
    day = completed(Day(first.month, first.day, year), desk)
    if year is None:
        doubts.ask_left_out(f"The wording names no year: is it {in_words(day)}?")
    doubts.ask(
        *(
            f"{in_words(day, weekday=False)} is a {WEEKDAYS[day.weekday()]}, but the wording says "
            f"{WEEKDAYS[weekday]}: which is right?"
            for weekday in dict.fromkeys(clause.weekdays)
            if weekday != day.weekday()
        ),
    )
    return day


def is_same_day(one: Day, two: Day) -> bool:
    """Whether two dates as written can be one day."""
    years = {one.year, two.year} - {None}
    return (one.month, one.day) == (two.month, two.day) and len(years) <= 1


def completed(day: Day, desk: Desk) -> date:
    """``day`` in its year or, without one, the next such day from when the text was received."""
    if day.year is not None:
        return date(day.year, day.month, day.day)
    # Eight years hold a 29 February whatever the century.
    years = range(desk.received.year, min(desk.received.year + 9, 9999))
    days = [date(year, day.month, day.day) for year in years if is_date(year, day.month, day.day)]
    ahead = [found for found in days if found >= desk.received]
    return (ahead or days or [desk.received])[0]


def _read_places(
    wall: datetime,
    places: list[tuple[str, Place]],
    desk: Desk,
    doubts: _Doubts,
) -> tuple[WallTime | None, datetime | None]:
    if not places:
        local, at = _at(wall, desk.zone, doubts)
        told = f": is {describe(at, desk.zone)} meant?" if at else f": is it {desk.zone}?"
        doubts.ask_left_out(f"The wording names no time zone{told}")
        return local, at
    read: list[tuple[WallTime | None, datetime | None]] = []
    for written, place in places:
        zone = _zone_of(written, place, wall, desk, doubts)
        read.append(_at(wall, zone, doubts) if zone else (None, None))
    if len({at for _, at in read}) > 1:
        names = " and ".join(f"“{written}”" for written, _ in places)
        doubts.ask(f"The zones {names} do not give the same instant: which holds?")
    return read[0]


def _at(
    wall: datetime,
    zone: str,
    doubts: _Doubts,
) -> tuple[WallTime | None, datetime | None]:
    try:
        found = instants(wall, zone)
    except EmbargoUnclear as refused:
        doubts.ask(f"{str(refused)[:1].upper()}{str(refused)[1:]}.")
        return None, None
    shown = f"{wall:%H:%M} on {in_words(wall.date())}"
    if not found:
        doubts.ask(f"{shown} does not exist in {zone}: the clocks jump over it. Which is meant?")
        return None, None
    if len(found) > 1:
        spelled = " or ".join(describe(at, zone) for at in found)
        doubts.ask(f"{shown} comes twice in {zone}: is it {spelled}?")
    return WallTime(wall, zone), min(found)


def _zone_of(
    written: str,
    place: Place,
    wall: datetime,
    desk: Desk,
    doubts: _Doubts,
) -> str | None:
    """The IANA zone of a zone as written, with a doubt where it may be another."""
    name = place.abbreviation
    if name is None:
        if place.zone is None:
            doubts.ask(f"The wording says “{written}” but not of which place: which zone is it?")
        return place.zone
    if name in SHARED:
        doubts.ask(f"“{written}” may be {SHARED[name]}: which is meant?")
    candidates = ("Europe/Brussels",) if name == "CE(S)T" else ABBREVIATIONS.get(name)
    if candidates is None:
        doubts.ask(f"The offset “{written}” belongs to no zone that is known: which is meant?")
        return None
    own = _name_at(wall, desk.zone)
    if name in {own, "CE(S)T"} and own in {name, "CET", "CEST"}:
        return desk.zone
    zone = candidates[0]
    if name == "BST":
        doubts.ask(
            "“BST” may be British Summer Time or Bangladesh time: is it the time in Europe/London?",
        )
    if name == "EST" and desk.zone.startswith("Australia/"):
        doubts.ask("“EST” may be US or Australian Eastern time: which is meant?")
    used = _name_at(wall, zone)
    if name != "CE(S)T" and name not in _SEASONLESS and used != name:
        doubts.ask(
            f"“{written}” is not what the clocks of {zone} show on {in_words(wall.date())} "
            f"({used} is): is {wall:%H:%M} by those clocks meant?",
        )
    return zone


def _name_at(wall: datetime, zone: str) -> str | None:
    return wall.replace(tzinfo=find_zone(zone)).tzname()


def _check_range(at: datetime, local: WallTime, desk: Desk, doubts: _Doubts) -> None:
    day = at.astimezone(find_zone(desk.zone)).date()
    if day < desk.received:
        doubts.ask(
            f"{describe(at, local.zone)} was already past when the text was received, on "
            f"{in_words(desk.received)}: is it still embargoed, and until when?",
        )
    elif (day - desk.received).days > FAR_AHEAD_DAYS:
        doubts.ask(f"{describe(at, local.zone)} is more than a year ahead: is that year right?")


def in_words(day: date, *, weekday: bool = True) -> str:
    """A day as people say it, in English whatever the locale."""
    name = f"{WEEKDAYS[day.weekday()]} " if weekday else ""
    return f"{name}{day.day} {MONTHS[day.month - 1]} {day.year}"
