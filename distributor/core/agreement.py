"""Whether a stated embargo contradicts what a text says of it, however little that is.

Invariant: what is doubtful in a wording never lets pass what contradicts the rest of it. A stated
time passes only where a doubt of the wording itself explains how it can be the one meant
(practice 56-58).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import TYPE_CHECKING, Final

from distributor.core.clause import FAR_AHEAD_DAYS, SHARED, completed
from distributor.core.model import EmbargoState, WallTime
from distributor.core.timing import ABBREVIATIONS, exact, find_zone, instants, parse_when, resolve
from distributor.core.vocabulary import Day, is_date
from distributor.errors import EmbargoUnclear

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import tzinfo

    from distributor.core.clause import Clause, Desk, Reading
    from distributor.core.model import Embargo
    from distributor.core.vocabulary import Hour, Place

#: How an embargo is stated of which nothing was read; no date, so that none is taken over.
UNREAD: Final = "YYYY-MM-DD HH:MM Europe/London"
#: Where a zone must be given.
_NO_ZONE: Final = "Area/City"
#: Lines to copy that are offered at most.
_MOST_SPELLINGS: Final = 6
#: Zones people mean by a shared abbreviation beside those of ``ABBREVIATIONS``.
_ALSO: Final = {
    "BST": ("Asia/Dhaka",),
    "CE(S)T": ("Europe/Brussels", "Europe/Berlin", "Europe/Paris"),
}
_DAY: Final = timedelta(days=1)
_NEAR: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Moment:
    """One time as a text says it; what it does not say is empty.

    ``days``: as written, both ways where day and month may be turned, without a year that is in
    doubt. ``dates``: the same days of the calendar, completed. ``zones``: IANA names that may be
    meant, ``offsets`` what an abbreviation or offset says literally. ``any_zone``: none is named.
    ``missed``: the dates that lie in the past.
    """

    days: tuple[Day, ...] = ()
    dates: tuple[date, ...] = ()
    weekdays: tuple[int, ...] = ()
    hour: Hour | None = None
    zones: tuple[str, ...] = ()
    offsets: tuple[timedelta, ...] = ()
    any_zone: bool = True
    missed: frozenset[date] = frozenset()

    @property
    def is_empty(self) -> bool:
        """Whether it says neither a day nor a time of day."""
        return not self.days and not self.weekdays and self.hour is None

    @property
    def clocks(self) -> tuple[time, ...]:
        """Every time of day it may be; none where that is not said."""
        found = (self.hour.clock, self.hour.other) if self.hour else ()
        return tuple(clock for clock in found if clock is not None)

    def allows(self, local: WallTime, at: datetime) -> bool:
        """Whether a stated time can be this one, by its own clocks or those that the text names."""
        walls = [local.wall] if self.any_zone else []
        places: list[tzinfo] = [find_zone(zone) for zone in self.zones]
        places.extend(timezone(offset) for offset in self.offsets)
        walls.extend(at.astimezone(place).replace(tzinfo=None, fold=0) for place in places)
        return any(self._shows(wall) for wall in walls) or self._beside_a_gap(local, at)

    def _shows(self, wall: datetime) -> bool:
        if self.hour is not None and self.hour.midnight:
            # 23:59, 00:00 and 00:01 are how people write either end of a day.
            middle = datetime.combine((wall + _NEAR).date(), time())
            starts = (middle.date(), middle.date() - _DAY)
            return abs(wall - middle) <= _NEAR and any(self._is_day(day) for day in starts)
        return self._is_day(wall.date()) and (not self.clocks or wall.time() in self.clocks)

    def _is_day(self, day: date) -> bool:
        named = not self.weekdays or day.weekday() in self.weekdays
        if not self.days:
            return named
        if any(_is_written(written, day) for written in self.days):
            return named or day in self.dates
        # Date and weekday contradict each other, and it is the weekday that is right.
        wrong = [each for each in self.dates if each.weekday() not in self.weekdays]
        return bool(self.weekdays) and named and any(_is_slip(each, day) for each in wrong)

    def _beside_a_gap(self, local: WallTime, at: datetime) -> bool:
        """Whether the clocks jump over the time said, and a time is stated where they do."""
        zones = {*self.zones, *([local.zone] if self.any_zone else [])}
        for zone in zones:
            day = at.astimezone(find_zone(zone)).date()
            for near in (day, day + _DAY):
                walls = [datetime.combine(near, clock) for clock in self.clocks]
                if self._is_day(near) and any(at in _neighbours(wall, zone) for wall in walls):
                    return True
        return False


@dataclass(frozen=True, slots=True)
class Said:
    """What one statement says, in the order said. ``free``: there may be no embargo at all."""

    moments: tuple[Moment, ...] = ()
    free: bool = False


def said_of(reading: Reading, desk: Desk) -> Said:
    """What a statement says for certain, and what it may mean besides."""
    moments = tuple(_moment(clause, desk) for clause in reading.clauses)
    past = any(moment.dates and moment.missed.issuperset(moment.dates) for moment in moments)
    return Said(moments, free=reading.denied or past)


def contradicts(said: Sequence[Said], stated: Embargo) -> bool:
    """Whether a stated embargo is none of what the statements of one text can mean.

    A statement that says less than another one does not open what the other leaves shut.
    """
    if not said:
        return False
    if stated.at is None or stated.local is None:
        wants = stated.state in {EmbargoState.NONE, EmbargoState.IMMEDIATE}
        return wants and not any(each.free for each in said)
    local, at = stated.local, stated.at
    moments = _fullest([moment for each in said for moment in each.moments])
    if not moments:
        return False
    return not any(moment.allows(local, at) for moment in moments)


def spellings(said: Sequence[Said], desk: Desk, *, at_once: bool = False) -> tuple[str, ...]:
    """Each reading as it would be stated, as far as it was read; none where nothing was."""
    moments = _fullest([moment for each in said for moment in each.moments])
    found = [spelled for moment in moments for spelled in _spelled(moment, desk)]
    unique: dict[str, None] = dict.fromkeys(["immediate"] if at_once else [])
    unique.update(dict.fromkeys(found))
    return tuple(unique)[:_MOST_SPELLINGS]


def _moment(clause: Clause, desk: Desk) -> Moment:
    written = [turn for day in clause.days for turn in _turns(day)]
    dates = [completed(day, desk) for day in written]
    days = [
        Day(day.month, day.day, None if _is_out_of_range(found, desk) else day.year)
        for day, found in zip(written, dates, strict=True)
    ]
    zones: list[str] = []
    offsets: list[timedelta] = []
    any_zone = not clause.places
    for text, place in clause.places:
        if place.zone is not None:
            zones.append(place.zone)
        elif place.abbreviation is None:
            any_zone = True
        else:
            zones.extend(_zones_called(place, desk))
            offsets.extend(_literal(text, place.abbreviation))
    return Moment(
        tuple(dict.fromkeys(days)),
        tuple(dict.fromkeys(dates)),
        tuple(dict.fromkeys(clause.weekdays)),
        clause.hour,
        tuple(dict.fromkeys(zones or ([] if clause.places else [desk.zone]))),
        tuple(offsets),
        any_zone or not (zones or offsets),
        frozenset(found for found in dates if found < desk.received),
    )


def _turns(day: Day) -> Iterator[Day]:
    yield day
    if day.turned and day.year is not None and is_date(day.year, day.day, day.month):
        yield Day(day.day, day.month, day.year)


def _is_out_of_range(day: date, desk: Desk) -> bool:
    """Whether the year is what is asked about: the day is past, or more than a year ahead."""
    return not desk.received <= day <= desk.received + timedelta(days=FAR_AHEAD_DAYS)


def _is_written(written: Day, day: date) -> bool:
    same_year = written.year in {None, day.year}
    return same_year and (written.month, written.day) == (day.month, day.day)


def _is_slip(written: date, day: date) -> bool:
    """Whether somebody who wrote one day can have meant the other: the same week, or next year."""
    same_day = (written.month, written.day) == (day.month, day.day)
    return abs(day - written) < 7 * _DAY or (same_day and abs(day.year - written.year) == 1)


def _zones_called(place: Place, desk: Desk) -> Iterator[str]:
    name = place.abbreviation or ""
    own = {called for called, _ in _names_of(desk.zone)}
    if name in own or (name == "CE(S)T" and own & {"CET", "CEST"}):
        yield desk.zone
        if name not in SHARED:
            return
    if name == "EST" and desk.zone.startswith("Australia/"):
        yield desk.zone
    yield from ABBREVIATIONS.get(name, ())
    yield from _ALSO.get(name, ())


def _names_of(zone: str) -> Iterator[tuple[str, timedelta]]:
    """What the clocks of a zone are called in winter and summer, and their offsets then."""
    for month in (1, 7):
        shown = datetime(2026, month, 1, tzinfo=UTC).astimezone(find_zone(zone))
        yield shown.tzname() or "", shown.utcoffset() or timedelta(0)


def _literal(text: str, name: str) -> Iterator[timedelta]:
    """The offset that an abbreviation has by its own name, or that is written out."""
    for zone in (*ABBREVIATIONS.get(name, ()), *_ALSO.get(name, ())):
        yield from (offset for called, offset in _names_of(zone) if called == name)
    for sign in "+-":
        _, found, digits = text.partition(sign)
        hours, _, minutes = digits.partition(":")
        if found and len(hours) == 4 and not minutes:  # noqa: PLR2004 - "+0530"
            hours, minutes = hours[:2], hours[2:]
        if found and hours.isdecimal() and (minutes or "0").isdecimal():
            size = timedelta(hours=int(hours), minutes=int(minutes or 0))
            if size < _DAY:
                yield -size if sign == "-" else size


def _neighbours(wall: datetime, zone: str) -> tuple[datetime, ...]:
    """The instants on both sides of a jump over ``wall``; none where the clocks show it."""
    try:
        resolve(WallTime(wall, zone))
    except EmbargoUnclear as refused:
        return tuple(parse_when(choice, zone=None)[1] for choice in refused.choices)
    return ()


def _fullest(moments: Iterable[Moment]) -> list[Moment]:
    """The moments that no other one says more exactly."""
    unique = list(dict.fromkeys(moments))
    return [
        moment
        for moment in unique
        if not any(other != moment and _says_all(other, moment) for other in unique)
    ]


def _says_all(fuller: Moment, short: Moment) -> bool:
    """Whether the one says everything that the other says, and more."""
    day = set(short.days) <= set(fuller.days) or (
        bool(short.days)
        and bool(fuller.dates)
        and all(any(_is_written(day, found) for day in short.days) for found in fuller.dates)
    )
    known = set(fuller.weekdays) or {found.weekday() for found in fuller.dates}
    weekday = not short.weekdays or (bool(known) and known <= set(short.weekdays))
    hour = short.hour is None or (bool(fuller.clocks) and set(fuller.clocks) <= set(short.clocks))
    zone = short.any_zone or (not fuller.any_zone and set(fuller.zones) <= set(short.zones))
    return day and weekday and hour and zone and _size(fuller) > _size(short)


def _size(moment: Moment) -> tuple[int, int]:
    years = sum(day.year is not None for day in moment.days)
    said = (moment.days, moment.weekdays, moment.hour, years, not moment.any_zone)
    return sum(bool(each) for each in said), -len(moment.days) - len(moment.clocks)


def _spelled(moment: Moment, desk: Desk) -> Iterator[str]:
    if moment.is_empty:
        return
    midnight = moment.hour is not None and moment.hour.midnight
    clocks: tuple[time | None, ...] = (time(),) if midnight else moment.clocks or (None,)
    for day in _days_of(moment, desk):
        for clock in clocks:
            if not moment.zones:
                yield from _unplaced(day, clock, moment.offsets)
            for zone in _unlike(moment.zones, day or desk.received, clock or time(12)):
                yield from _one(day, clock, zone)
                if midnight and day is not None:
                    yield from _one(day + _DAY, clock, zone)


def _unlike(zones: Sequence[str], day: date, clock: time) -> Iterator[str]:
    """The first of all zones in which those hands are the same instant: GMT is UTC, too."""
    seen: set[object] = set()
    wall = datetime.combine(day, clock)
    for zone in zones:
        offset = wall.replace(tzinfo=find_zone(zone)).utcoffset()
        if offset not in seen:
            seen.add(offset)
            yield zone


def _unplaced(day: date | None, clock: time | None, offsets: Sequence[timedelta]) -> Iterator[str]:
    """A time of which no zone is known; one with an offset is a time in UTC all the same."""
    if day is None or clock is None or not offsets:
        yield _blank(day, clock, _NO_ZONE)
        return
    for offset in offsets:
        wall = datetime.combine(day, clock) - offset
        yield from _one(wall.date(), wall.time(), "UTC")


def _days_of(moment: Moment, desk: Desk) -> Iterator[date | None]:
    """The days to offer; None stands for one that must be given."""
    for day in moment.dates:
        if day in moment.missed:
            yield None
            continue
        yield day
        if moment.weekdays and day.weekday() not in moment.weekdays:
            near = [day + number * _DAY for number in (-1, 1, -2, 2, -3, 3)]
            yield next((each for each in near if each.weekday() in moment.weekdays), None)
    if not moment.dates and len(moment.weekdays) == 1:
        yield desk.received + (moment.weekdays[0] - desk.received.weekday()) % 7 * _DAY
    elif not moment.dates:
        yield None


def _one(day: date | None, clock: time | None, zone: str) -> Iterator[str]:
    if day is None or clock is None:
        yield _blank(day, clock, zone)
        return
    wall = datetime.combine(day, clock)
    try:
        found = instants(wall, zone)
    except EmbargoUnclear:  # a year that cannot be meant
        yield _blank(None, clock, zone)
        return
    if len(found) == 1:
        yield _blank(day, clock, zone)
        return
    yield from (exact(at, zone) for at in found or _neighbours(wall, zone))


def _blank(day: date | None, clock: time | None, zone: str) -> str:
    """A time as it is stated, with letters where something must be given."""
    shown = day.isoformat() if day else "YYYY-MM-DD"
    return f"{shown} {clock.isoformat('minutes') if clock else 'HH:MM'} {zone}"
