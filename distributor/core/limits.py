"""What a mail server lets us send: limits, and when the next mail may go to it.

A limit of 0 is no limit. Windows slide: in no stretch of a second, a minute or 24 hours are there
more mails than allowed, wherever the stretch begins. That also keeps a limit counted by calendar
days, whatever zone those days are counted in.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Stands for every recipient domain that has no limits of its own.
ANY_DOMAIN: Final = "*"
#: When a domain is looked at again while as many mails as may are on their way there, in seconds:
#: nobody knows when one of them comes back.
BUSY_S: Final = 0.02
_MINUTE_S: Final = 60.0
#: Domains remembered before those with nothing to remember are let go.
_MANY: Final = 10_000


@dataclass(frozen=True, slots=True)
class DomainLimits:
    """Mails on their way to one recipient domain at once, and mails begun in a minute."""

    connections: int = 0
    per_minute: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """Mails begun in a second, a minute and 24 hours; ``domains`` by their name in lower case.

    Those of a day and of the rates hold for all workers together, what is on its way at once for
    one process.
    """

    per_second: int = 0
    per_minute: int = 0
    per_day: int = 0
    domains: Mapping[str, DomainLimits] = field(default_factory=dict[str, DomainLimits])

    def of_domain(self, domain: str) -> DomainLimits | None:
        """The limits towards a recipient domain (in lower case); None when there are none."""
        return self.domains.get(domain) or self.domains.get(ANY_DOMAIN)

    def __str__(self) -> str:
        """The limits in words, the tightest kind last; empty without any."""
        every = ((self.per_second, "second"), (self.per_minute, "minute"), (self.per_day, "day"))
        return ", ".join(f"{number:,} a {span}" for number, span in every if number)


def domain_of(address: str) -> str:
    """The recipient domain of an address, as limits name it."""
    return address.rpartition("@")[2].lower()


class Window:
    """At most ``limit`` mails in any ``span_s`` seconds. Instants are monotonic, in seconds."""

    __slots__ = ("_begun", "_limit", "_span_s")

    def __init__(self, limit: int, span_s: float, *, workers: int = 1) -> None:
        """Remember nothing begun yet."""
        self._begun: deque[float] = deque()
        self.share(limit, span_s, workers=workers)

    def share(self, limit: int, span_s: float, *, workers: int) -> None:
        """Take one worker's part of a limit: fewer mails, or one in a longer span."""
        self._limit = max(limit // workers, 1)
        self._span_s = span_s * max(workers / limit, 1.0)

    def wait_s(self, now_s: float) -> float:
        """Seconds until one more mail may begin; 0 when it may now."""
        begun = self._begun
        while begun and begun[0] + self._span_s <= now_s:
            begun.popleft()
        if len(begun) < self._limit:
            return 0.0
        return begun[len(begun) - self._limit] + self._span_s - now_s

    def take(self, now_s: float) -> None:
        """One mail begins."""
        self._begun.append(now_s)

    def is_empty(self, now_s: float) -> bool:
        """Whether nothing begun counts any more."""
        self.wait_s(now_s)
        return not self._begun


@dataclass(slots=True)
class _Domain:
    """One recipient domain: what began lately, and what is on its way."""

    limits: DomainLimits
    begun: Window | None
    on_the_way: int = 0


class Allowance:
    """What one worker may still send to one relay. Instants are monotonic, in seconds.

    Of a day's limit it may only spend what it was granted: grants come from what all workers
    share, and what is not spent goes back there.
    """

    def __init__(self, limits: Limits) -> None:
        """Begin with nothing sent and nothing granted, for one worker."""
        self.limits = limits
        self._workers = 1
        rates = ((limits.per_second, 1.0), (limits.per_minute, _MINUTE_S))
        self._rates = [(Window(limit, span_s), limit, span_s) for limit, span_s in rates if limit]
        self._domains: dict[str, _Domain] = {}
        self._unspent = 0
        #: True once nothing more was granted of the day.
        self.used_up = False

    @property
    def is_shared(self) -> bool:
        """Whether it matters how many workers there are."""
        return bool(self._rates) or any(each.per_minute for each in self.limits.domains.values())

    @property
    def unspent(self) -> int:
        """Mails of the day's limit that were granted and have not begun."""
        return self._unspent

    def grant(self, mails: int) -> None:
        """Add to what may be spent of the day's limit; take from it with a negative number."""
        self._unspent += mails

    def share(self, workers: int) -> None:
        """Divide the rates by so many workers."""
        if workers == self._workers or workers < 1:
            return
        self._workers = workers
        for window, limit, span_s in self._rates:
            window.share(limit, span_s, workers=workers)
        for domain in self._domains.values():
            if domain.begun is not None:
                domain.begun.share(domain.limits.per_minute, _MINUTE_S, workers=workers)

    def wait_s(self, now_s: float) -> float:
        """Seconds until a mail may begin; 0 when it may now, infinite when the day is used up."""
        if self.limits.per_day and self._unspent <= 0:
            return inf
        return self._rates_wait_s(now_s)

    def is_at_limit(self, now_s: float) -> bool:
        """Whether another relay should carry: not while a portion of the day is only on its way."""
        return self.used_up or self._rates_wait_s(now_s) > 0

    def _rates_wait_s(self, now_s: float) -> float:
        return max((window.wait_s(now_s) for window, _, _ in self._rates), default=0.0)

    def domain_wait_s(self, domain: str, now_s: float) -> float:
        """Seconds until a mail to that domain may begin, as far as its own limits go."""
        known = self._known(domain, now_s)
        if known is None:
            return 0.0
        if 0 < known.limits.connections <= known.on_the_way:
            return BUSY_S
        return known.begun.wait_s(now_s) if known.begun is not None else 0.0

    def begin(self, domain: str, now_s: float) -> None:
        """One mail to that domain begins."""
        for window, _, _ in self._rates:
            window.take(now_s)
        if self.limits.per_day:
            self._unspent -= 1
        known = self._known(domain, now_s)
        if known is not None:
            known.on_the_way += 1
            if known.begun is not None:
                known.begun.take(now_s)

    def end(self, domain: str, *, sent: bool) -> None:
        """One mail is back. What was not sent has spent nothing of the day."""
        if self.limits.per_day and not sent:
            self._unspent += 1
        known = self._domains.get(domain)
        if known is not None:
            known.on_the_way -= 1

    def _known(self, domain: str, now_s: float) -> _Domain | None:
        if not self.limits.domains:
            return None
        known = self._domains.get(domain)
        if known is None:
            limits = self.limits.of_domain(domain)
            if limits is None:
                return None
            if len(self._domains) >= _MANY:
                self._forget(now_s)
            begun = None
            if limits.per_minute:
                begun = Window(limits.per_minute, _MINUTE_S, workers=self._workers)
            known = self._domains[domain] = _Domain(limits, begun)
        return known

    def _forget(self, now_s: float) -> None:
        self._domains = {
            name: known
            for name, known in self._domains.items()
            if known.on_the_way or (known.begun is not None and not known.begun.is_empty(now_s))
        }
