"""Health of the way to a relay: rests after failures, fewer connections, breaker, trial, stop."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from distributor.errors import RelayError

#: Seconds to rest after the first failure; doubled after each, up to the longest. Not longer than
#: a minute: a relay that restarts at the lift must not cost more.
FIRST_REST_S: Final = 1.0
LONGEST_REST_S: Final = 60.0
#: Failures in a row after which one connection at a time may try.
BREAKER: Final = 5
#: How soon after another a connection comes back that a failure took away, in seconds.
GROW_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Health:
    """How the way to a relay has been. Instants are on the loop's monotonic clock, in s.

    ``trial_until``: somebody is trying until then, the others wait. ``unproven``: it failed with a
    connection in hand, so a connection alone proves nothing; a mail must be taken. ``fewer``: so
    many connections less than there might be.
    """

    failures: int = 0
    retry_at: float = 0.0
    trial_until: float = 0.0
    stopped_by: RelayError | None = None
    unproven: bool = False
    fewer: int = 0
    more_at: float = 0.0

    @property
    def well(self) -> bool:
        """Nothing has failed since it last worked."""
        return self.failures == 0 and self.stopped_by is None

    @property
    def broken(self) -> bool:
        """The breaker is open: one connection at a time may try."""
        return self.failures >= BREAKER

    def after_failure(
        self,
        error: RelayError,
        *,
        at: float,
        jitter: float,
        connections: int = 1,
        carrying: bool = False,
    ) -> Health:
        """Return the health after ``error``; ``jitter`` in 0..1 spreads the next tries.

        ``carrying``: it happened with a mail in hand. Of the relay's ``connections`` half of what
        is left may go on, one at least. Failures side by side count as one. A permanent error
        stops the relay: trying again cannot help, and may lock the account.
        """
        if error.permanent:
            return Health(self.failures + 1, stopped_by=error)
        if at < self.retry_at:
            return replace(self, unproven=self.unproven or carrying)
        rest_s = min(FIRST_REST_S * 2 ** min(self.failures, 20), LONGEST_REST_S)
        return Health(
            self.failures + 1,
            retry_at=at + rest_s * (1 + jitter) / 2,
            unproven=self.unproven or carrying,
            fewer=connections - max((connections - self.fewer) // 2, 1),
            more_at=at + GROW_S,
        )

    def after_connecting(self) -> Health:
        """Return the health after a connection was had: enough, unless a mail must prove it."""
        if self.unproven:
            return replace(self, trial_until=0.0)
        return Health(fewer=self.fewer, more_at=self.more_at)

    def after_success(self, *, at: float) -> Health:
        """Return the health after a mail was answered as it should be."""
        if self.well and not self.fewer:
            return self
        if not self.fewer or at < self.more_at:
            return Health(fewer=self.fewer, more_at=self.more_at)
        return Health(fewer=self.fewer - 1, more_at=at + GROW_S)

    def may_carry(self, at: float) -> bool:
        """Whether a connection that stands may take a mail: after failures one tries for all."""
        if self.stopped_by is not None:
            return False
        return not self.unproven or at >= max(self.retry_at, self.trial_until)
