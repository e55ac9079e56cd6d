"""Forecast: when the last mail can leave at the earliest, given what the relays let us send."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from typing import TYPE_CHECKING, Final

from distributor.core.timing import describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from distributor.core.limits import Limits

#: What was sent within a day is counted in spans of so long; a span counts until the whole of it
#: is a day old, so that the count is never too low.
SPAN: Final = timedelta(minutes=10)
DAY: Final = timedelta(hours=24)
#: Beyond that nobody plans.
_HORIZON: Final = timedelta(days=366)
#: A delay that is worth no word.
_SOON: Final = timedelta(minutes=1)


def span_of(at: datetime) -> datetime:
    """The beginning of the span an instant (in UTC) falls into."""
    return at - (at - datetime.min.replace(tzinfo=at.tzinfo)) % SPAN


@dataclass(frozen=True, slots=True)
class Quota:
    """One relay's limits, and what of its day is spent: mails by the beginning of their span."""

    relay: str
    limits: Limits
    spent: tuple[tuple[datetime, int], ...] = ()

    @property
    def rate(self) -> float:
        """Mails a second, infinite without a limit."""
        return min(self.limits.per_second or inf, (self.limits.per_minute or inf) / 60)

    def used(self, at: datetime) -> int:
        """Mails that count against the day at that instant."""
        return sum(mails for span, mails in self.spent if span + SPAN + DAY > at)

    def left(self, at: datetime) -> int | None:
        """Mails that may still go at that instant; None without a limit of the day."""
        if not self.limits.per_day:
            return None
        return max(self.limits.per_day - self.used(at), 0)


@dataclass(frozen=True, slots=True)
class Forecast:
    """Not before ``at`` will the last of them have left, because of these limits in words.

    ``at`` is None when that is more than a year away.
    """

    at: datetime | None
    because: str

    def said(self, zone: str) -> str:
        """It in words, in that zone's time."""
        when = f"before {describe(self.at, zone)}" if self.at is not None else "within a year"
        return f"{self.because}: will not finish {when}"

    def misses(self, deadline: datetime) -> bool:
        """Whether the wave stops trying before all have left."""
        return self.at is None or self.at > deadline


def forecast(left: int, quotas: Sequence[Quota], *, start: datetime) -> Forecast | None:
    """When ``left`` mails can have left at the earliest, beginning at ``start`` (in UTC).

    None when no limit delays them by a minute. Every relay is taken to be well and used as far as
    its limits go; limits towards recipient domains are not looked at, so it may well be later.
    """
    because = "; ".join(
        f"{quota.limits} ({quota.relay})" if len(quotas) > 1 else str(quota.limits)
        for quota in quotas
        if str(quota.limits)
    )
    if left <= 0 or not quotas or any(not str(quota.limits) for quota in quotas):
        return None
    at = _finish(float(left), [_Course(quota) for quota in quotas], start)
    if at is not None and at - start < _SOON:
        return None
    return Forecast(at, because)


class _Course:
    """One relay on the way through the forecast."""

    def __init__(self, quota: Quota) -> None:
        self.rate = quota.rate
        self.per_day = quota.limits.per_day or inf
        self._spent = [(span, float(mails)) for span, mails in quota.spent]

    def day_left(self, at: datetime) -> float:
        self._spent = [(span, mails) for span, mails in self._spent if span + SPAN + DAY > at]
        return max(self.per_day - sum(mails for _, mails in self._spent), 0.0)

    def room(self, at: datetime, until: datetime) -> float:
        return min(self.rate * (until - at).total_seconds(), self.day_left(at))

    def spend(self, at: datetime, mails: float) -> None:
        if mails:
            self._spent.append((span_of(at), mails))

    def frees_at(self) -> datetime | None:
        return min((span + SPAN + DAY for span, _ in self._spent), default=None)


def _finish(left: float, courses: list[_Course], start: datetime) -> datetime | None:
    if all(course.per_day == inf for course in courses):
        took_s = left / sum(course.rate for course in courses)
        end = timedelta(seconds=took_s) if took_s < _HORIZON.total_seconds() else None
        return start + end if end is not None else None
    at = start
    while at < start + _HORIZON:
        until = span_of(at) + SPAN
        rooms = [course.room(at, until) for course in courses]
        if sum(rooms) >= left:
            return at + _within(left, courses, at, until)
        for course, room in zip(courses, rooms, strict=True):
            course.spend(at, room)
        left -= sum(rooms)
        at = until if sum(rooms) else _next(courses, at, until)
    return None


def _next(courses: list[_Course], at: datetime, until: datetime) -> datetime:
    """With nothing to be had now: when the oldest mails are a day old."""
    frees = [free for course in courses if (free := course.frees_at()) is not None and free > at]
    return max(min(frees, default=until), until)


def _within(left: float, courses: list[_Course], at: datetime, until: datetime) -> timedelta:
    """How far into a span the rest has left: at once where no rate holds it, else by the rates."""
    at_once = sum(course.day_left(at) for course in courses if course.rate == inf)
    rate = sum(course.rate for course in courses if course.rate != inf)
    if left <= at_once or not rate:
        return timedelta()
    return min(timedelta(seconds=(left - at_once) / rate), until - at)
