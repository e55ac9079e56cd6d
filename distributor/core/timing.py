"""Wall time and zone to instant, an instant in words, and the gate: may this leave now?

Invariant: nothing here reads a clock; ``now`` is an argument. Instants are compared in UTC only:
two datetimes of one zone compare by their hands, which is an hour wrong twice a year.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from enum import StrEnum
from functools import cache
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from distributor.core.model import WallTime, WaveKind
from distributor.core.states import WaveState
from distributor.errors import EmbargoUnclear

#: Facts about a wave older than this are not trusted (I7), seconds.
STALE_AFTER_S: Final = 0.75
#: No mail starts this close to the end of the batch's lease, seconds (design section 6).
LEASE_MARGIN_S: Final = 5.0

WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS: Final = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)

#: What people write for a zone, and the places they may mean by it. None of these is exact.
ABBREVIATIONS: Final[dict[str, tuple[str, ...]]] = {
    "GMT": ("Europe/London", "UTC"),
    "BST": ("Europe/London",),
    "IST": ("Asia/Kolkata", "Europe/Dublin", "Asia/Jerusalem"),
    "WET": ("Europe/Lisbon",),
    "WEST": ("Europe/Lisbon",),
    "CET": ("Europe/Brussels", "Europe/Berlin", "Europe/Paris"),
    "CEST": ("Europe/Brussels", "Europe/Berlin", "Europe/Paris"),
    "MET": ("Europe/Brussels", "Europe/Berlin"),
    "EET": ("Europe/Athens", "Europe/Helsinki"),
    "EEST": ("Europe/Athens", "Europe/Helsinki"),
    "ET": ("America/New_York",),
    "EST": ("America/New_York",),
    "EDT": ("America/New_York",),
    "CT": ("America/Chicago",),
    "CST": ("America/Chicago", "Asia/Shanghai"),
    "CDT": ("America/Chicago",),
    "MT": ("America/Denver",),
    "MST": ("America/Denver", "America/Phoenix"),
    "MDT": ("America/Denver",),
    "PT": ("America/Los_Angeles",),
    "PST": ("America/Los_Angeles",),
    "PDT": ("America/Los_Angeles",),
    "HST": ("Pacific/Honolulu",),
    "JST": ("Asia/Tokyo",),
    "HKT": ("Asia/Hong_Kong",),
    "SGT": ("Asia/Singapore",),
    "AEST": ("Australia/Sydney", "Australia/Brisbane"),
    "AEDT": ("Australia/Sydney",),
    "SAST": ("Africa/Johannesburg",),
}

_FIRST_YEAR, _LAST_YEAR = 1970, 2199
_WHEN_LIMIT = 100  # characters; no exact time is longer
_EXAMPLE = "2026-12-01 00:01 Europe/London"
_ZONE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+\-]*(?:/[A-Za-z0-9_+\-]+){0,2}")
_WHEN = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ](?P<time>[0-9]{2}:[0-9]{2}(?::[0-9]{2})?))?"
    r"(?: ?(?P<offset>Z|[+-][0-9]{2}:[0-9]{2}))?"
    r"(?: (?P<zone>.+))?",
)


_MONTH_NAMES = "|".join(f"{name}|{name[:3]}" for name in MONTHS) + "|Sept"
_SPELLED_DAY = re.compile(
    rf"(?:(?P<weekday>{'|'.join(WEEKDAYS)}),? )?"
    rf"(?P<d>[0-9]{{1,2}})(?:st|nd|rd|th)? (?P<m>{_MONTH_NAMES})\.?,? (?P<y>[0-9]{{4}})(?![0-9])",
    re.IGNORECASE,
)
_TIME_BEFORE = re.compile(r"(?P<time>[0-9]{2}:[0-9]{2}(?::[0-9]{2})?),? (?:on )?")
_JOINT = re.compile(r"^,? ?(?:at )?")


def find_zone(name: str) -> ZoneInfo:
    """The zone of an IANA ``name``.

    Abbreviations (EST, CET, GMT …) are refused although the database knows some of them: it takes
    them for a fixed offset, while people go on writing them when the clocks have changed
    (practice 58). ``UTC`` is exact and stays.

    Raises:
        EmbargoUnclear: There is no such zone; near matches are offered.

    """
    if name == "UTC" or (name.upper() not in ABBREVIATIONS and _ZONE_NAME.fullmatch(name)):
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass  # ValueError: a path out of the database; OSError: a region, "Europe"
    near = near_zones(name)
    known = f"did you mean {' or '.join(near)}?" if near else "name it like Europe/London"
    raise EmbargoUnclear(f"{_quoted(name)} is not a known time zone: {known}", choices=near)


def zone_spelled(name: str) -> str | None:
    """The IANA zone whose whole name is ``name``, in any case; None when there is none."""
    zone = _zones_by_city().get(name.casefold())
    return zone if zone is not None and zone.casefold() == name.casefold() else None


def near_zones(name: str) -> tuple[str, ...]:
    """Up to three IANA zones a person may have meant by ``name``."""
    if name.upper() in ABBREVIATIONS:
        return ABBREVIATIONS[name.upper()]
    by_city = _zones_by_city()
    wanted = name.strip()[:_WHEN_LIMIT].replace(" ", "_").casefold()
    matches = get_close_matches(wanted, by_city, n=3, cutoff=0.7)
    return tuple(dict.fromkeys(by_city[match] for match in matches))


@cache
def _zones_by_city() -> dict[str, str]:
    """Every zone under its whole name and its last part. Cached: it reads the zone database."""
    by_city: dict[str, str] = {}
    for zone in sorted(zone for zone in available_timezones() if "/" in zone or zone == "UTC"):
        by_city.setdefault(zone.casefold(), zone)
        by_city.setdefault(zone.rpartition("/")[2].casefold(), zone)
    return by_city


def instants(wall: datetime, zone: str) -> tuple[datetime, ...]:
    """The UTC instants at which the clocks of ``zone`` show ``wall``, earliest first.

    None when the hands jump over it, two when they pass it twice, else one.

    Raises:
        EmbargoUnclear: Unknown zone, or a year outside 1970-2199.

    """
    if wall.tzinfo is not None:
        raise ValueError("a wall time is naive")
    if not _FIRST_YEAR <= wall.year <= _LAST_YEAR:
        raise EmbargoUnclear(
            f"the year {wall.year} cannot be meant: give one from {_FIRST_YEAR} to {_LAST_YEAR}",
        )
    place = find_zone(zone)
    shown = [wall.replace(tzinfo=place, fold=fold).astimezone(UTC) for fold in (0, 1)]
    plain = wall.replace(fold=0)
    return tuple(
        sorted({at for at in shown if at.astimezone(place).replace(tzinfo=None, fold=0) == plain}),
    )


def resolve(local: WallTime) -> datetime:
    """The UTC instant of a wall time; ``local.fold`` chooses when it comes twice (PEP 495).

    Raises:
        EmbargoUnclear: Unknown zone (near matches offered), or a time that the clocks jump over
            (both neighbours offered; practice 57).

    """
    found = instants(local.wall, local.zone)
    if found:
        return found[local.fold if len(found) > 1 else 0]
    raise _skipped(local.wall, local.zone)


def parse_when(text: str, *, zone: str | None) -> tuple[WallTime, datetime]:
    """An exact time, as ``2026-12-01 00:01 Europe/London``: the wall time and its UTC instant.

    An offset before the zone (``2026-10-25T01:30+01:00 Europe/London``) chooses between the two
    readings of an hour that comes twice, and must be one of that zone's. ``Z`` without a zone is
    UTC. ``zone`` is taken when the text names none. The day may have its month by name, as in
    ``1 December 2026 06:00 Europe/London`` or ``06:00 on Tuesday 1 December 2026, Europe/London``;
    never all in figures, and nothing is reckoned from today.

    Raises:
        EmbargoUnclear: Anything else; the message says what is wrong and how to write it.

    """
    match = _WHEN.fullmatch(_in_figures(text)) if len(text) <= _WHEN_LIMIT else None
    if match is None:
        raise EmbargoUnclear(f"{_quoted(text)} is not an exact time: write it like {_EXAMPLE}")
    if match["time"] is None:
        raise EmbargoUnclear(f"{_quoted(text)} names no time of day: write it like {_EXAMPLE}")
    try:
        wall = datetime.fromisoformat(f"{match['date']} {match['time']}")
        offset = _offset(match["offset"])
    except ValueError:
        raise EmbargoUnclear(
            f"{_quoted(text)} is not a date and time of the calendar: write it like {_EXAMPLE}",
        ) from None
    place = match["zone"] or ("UTC" if match["offset"] == "Z" else zone)
    if place is None:
        raise _unplaced(wall, offset)
    return _choose(wall, place, offset)


def exact(at: datetime, zone: str) -> str:
    """``at`` in the spelling that :func:`parse_when` reads back to the same instant."""
    local = at.astimezone(find_zone(zone))
    wall = local.replace(tzinfo=None).isoformat(timespec=_precision(local))
    return f"{wall}{_offset_of(local)} {zone}"


def describe(at: datetime, zone: str) -> str:
    """``at`` in words: weekday, date, time, zone, its name then and its offset (practice 56).

    For example ``00:01 on Tuesday 1 December 2026, Europe/London (GMT, UTC+00:00)``.
    """
    local = at.astimezone(find_zone(zone))
    name = local.tzname() or ""
    called = f"{name}, " if name.isalpha() and name != "UTC" else ""
    return (
        f"{_hands(local)} on {WEEKDAYS[local.weekday()]} {_day(local)}, {zone} "
        f"({called}UTC{_offset_of(local)})"
    )


class Shut(StrEnum):
    """Why the gate is shut."""

    EMBARGO = "embargo"
    SEND_TIME = "send time"
    HELD = "held"
    STOPPED = "stopped"
    CLOCK = "clock"
    STALE = "stale"
    LEASE = "lease"
    MUTED = "muted"


@dataclass(frozen=True, slots=True)
class GateFacts:
    """What the gate must know of a wave. Instants in UTC.

    ``marks_age_s`` is the age of these facts, ``lease_left_s`` what remains of the batch's lease,
    both by the monotonic clock. ``clock_agrees`` is I2; ``muted`` is I11; ``before_lift`` as a
    wave has it.
    """

    embargo_at: datetime | None
    send_at: datetime
    kind: WaveKind
    state: WaveState
    marks_age_s: float
    lease_left_s: float
    clock_agrees: bool
    muted: bool
    before_lift: bool = False

    def __post_init__(self) -> None:
        """Refuse instants that are not in UTC: they would compare by their hands."""
        for at in (self.embargo_at, self.send_at):
            if at is not None:
                _require_utc(at)


def gate(facts: GateFacts, *, now: datetime) -> Shut | None:
    """Whether a mail of this wave may leave at ``now``: None opens, anything else is why not.

    The one function that decides (I1, I2, I7, I10, I11): asked in the claim, before each MAIL and
    before the first byte of the body. An advance wave goes to people who accepted the embargo, so
    its send time alone holds it; so does that of a correction or withdrawal of what they have by
    such a wave, and of nothing else. Facts that are too old say nothing, so their age is judged
    first.
    """
    _require_utc(now)
    standing = _standing(facts)
    if standing is not None:
        return standing
    bound = None if _by_consent(facts) else facts.embargo_at
    if bound is not None and now < bound:
        return Shut.EMBARGO
    if now < facts.send_at:
        return Shut.SEND_TIME
    # Written the way round that a NaN shuts the gate.
    return None if facts.lease_left_s >= LEASE_MARGIN_S else Shut.LEASE


def _by_consent(facts: GateFacts) -> bool:
    """Whether its recipients may have it before the lift: they accepted the embargo's terms."""
    replaces = facts.kind in {WaveKind.CORRECTION, WaveKind.WITHDRAWAL}
    return facts.kind is WaveKind.ADVANCE or (replaces and facts.before_lift)


def _standing(facts: GateFacts) -> Shut | None:
    """What shuts the gate whatever the time is."""
    if not 0 <= facts.marks_age_s <= STALE_AFTER_S:  # a NaN is not within either
        return Shut.STALE
    if facts.muted:
        return Shut.MUTED
    if facts.state in {WaveState.STOPPING, WaveState.CANCELLED, WaveState.FINISHED}:
        return Shut.STOPPED
    if facts.state not in {WaveState.READY, WaveState.SENDING}:
        # Planned and preparing: it was put back, and its rows wait as those of a held wave do.
        return Shut.HELD
    return None if facts.clock_agrees else Shut.CLOCK


def _require_utc(at: datetime) -> None:
    if at.tzinfo is not UTC:
        raise ValueError("instants are compared in UTC only")


def _in_figures(text: str) -> str:
    """``text`` with a day whose month is a name written as ``2026-12-01``; else as it is.

    Raises:
        EmbargoUnclear: The day is not that weekday.

    """
    words = " ".join(text.split())
    day = _SPELLED_DAY.search(words)
    before = words[: day.start()] if day else ""
    first = _TIME_BEFORE.fullmatch(before)
    if day is None or (before and first is None):
        return words
    rest = _JOINT.sub("", words[day.end() :], count=1)
    month = next(at for at, name in enumerate(MONTHS, 1) if name[:3] == day["m"][:3].title())
    figures = f"{day['y']}-{month:02}-{int(day['d']):02}"
    _require_weekday(day["weekday"], figures, text)
    return " ".join(part for part in (figures, first and first["time"], rest) if part)


def _require_weekday(weekday: str | None, figures: str, text: str) -> None:
    try:
        day = datetime.fromisoformat(figures)
    except ValueError:
        return  # told as a day that the calendar does not have
    if weekday and weekday.title() != WEEKDAYS[day.weekday()]:
        raise EmbargoUnclear(
            f"{_quoted(text)}: {_day(day)} is a {WEEKDAYS[day.weekday()]}: correct day or weekday",
        )


def _choose(wall: datetime, zone: str, offset: timedelta | None) -> tuple[WallTime, datetime]:
    found = instants(wall, zone)
    if not found:
        raise _skipped(wall, zone)
    if offset is not None:
        kept = tuple(at for at in found if wall.replace(tzinfo=UTC) - at == offset)
        if not kept:
            raise EmbargoUnclear(
                f"the offset {_sign(offset)} is not that of {zone} at {_hands(wall)} on "
                f"{_day(wall)}: correct the one or the other",
                choices=tuple(exact(at, zone) for at in found),
            )
        chosen = kept[0]
    elif len(found) == 1:
        chosen = found[0]
    else:
        raise EmbargoUnclear(
            f"{_hands(wall)} on {_day(wall)} comes twice in {zone}: say which by its offset",
            choices=tuple(exact(at, zone) for at in found),
        )
    fold: Literal[0, 1] = 1 if found.index(chosen) else 0
    return WallTime(wall, zone, fold), chosen


def _unplaced(wall: datetime, offset: timedelta | None) -> EmbargoUnclear:
    if offset is None:
        return EmbargoUnclear(
            f"{_hands(wall)} on {_day(wall)} names no time zone: write it like {_EXAMPLE}",
        )
    return EmbargoUnclear(
        f"the offset {_sign(offset)} names no time zone: add one, like Europe/London, or say UTC",
        choices=(_spell(wall - offset, "UTC"),),
    )


def _skipped(wall: datetime, zone: str) -> EmbargoUnclear:
    before, after = _neighbours(wall, zone)
    return EmbargoUnclear(
        f"{_hands(wall)} on {_day(wall)} does not exist in {zone}: the clocks jump over it, "
        f"and its neighbours are {_hands(before)} and {_hands(after)}",
        choices=(_spell(before, zone), _spell(after, zone)),
    )


def _neighbours(wall: datetime, zone: str) -> tuple[datetime, datetime]:
    """The last minute before the hands jump over ``wall``, and where they land."""
    place = find_zone(zone)
    reads = sorted(wall.replace(tzinfo=place, fold=fold).astimezone(UTC) for fold in (0, 1))
    early, late = reads
    old = early.astimezone(place).utcoffset()
    while late - early > timedelta(seconds=1):
        middle = early + (late - early) / 2
        if middle.astimezone(place).utcoffset() == old:
            early = middle
        else:
            late = middle
    # The jump is at a whole second: the first one that has the new offset.
    jump = late.replace(microsecond=0)
    before = (jump - timedelta(minutes=1)).astimezone(place).replace(tzinfo=None, fold=0)
    return before, jump.astimezone(place).replace(tzinfo=None, fold=0)


def _offset(text: str | None) -> timedelta | None:
    if text is None:
        return None
    if text == "Z":
        return timedelta(0)
    hours, minutes = int(text[1:3]), int(text[4:6])
    if hours > 14 or minutes > 59:  # noqa: PLR2004 - the widest offset on Earth is +14:00
        raise ValueError(text)
    size = timedelta(hours=hours, minutes=minutes)
    return -size if text[0] == "-" else size


def _offset_of(local: datetime) -> str:
    return _sign(local.utcoffset() or timedelta(0))


def _sign(offset: timedelta) -> str:
    minutes = int(offset.total_seconds()) // 60
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def _hands(wall: datetime) -> str:
    return wall.strftime("%H:%M:%S" if wall.second else "%H:%M")


def _day(wall: datetime) -> str:
    # Not strftime: its month names follow the locale of the machine.
    return f"{wall.day} {MONTHS[wall.month - 1]} {wall.year}"


def _precision(wall: datetime) -> str:
    return "seconds" if wall.second else "minutes"


def _spell(wall: datetime, zone: str) -> str:
    return f"{wall.isoformat(sep=' ', timespec=_precision(wall))} {zone}"


def _quoted(text: str) -> str:
    shown = text if len(text) <= _WHEN_LIMIT else f"{text[:_WHEN_LIMIT]}…"
    return f"“{shown if shown.isprintable() else ascii(shown)[1:-1]}”"
