"""Relays: several mail servers in order of preference, and whose turn it is to carry.

Invariant: nothing is moved here. A mail goes to another relay only because its delivery was queued
again, and only one that was certainly not sent is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from distributor.mail.relay import Relay


class Relays:
    """Every relay there is, the preferred one first."""

    def __init__(self, relays: Sequence[Relay]) -> None:
        """Keep their order; there is at least one."""
        self._relays = tuple(relays)

    def __iter__(self) -> Iterator[Relay]:
        """In order of preference."""
        return iter(self._relays)

    @property
    def first(self) -> Relay:
        """The preferred one."""
        return self._relays[0]

    def wait_s(self, relay: Relay, now_s: float) -> float:
        """Seconds until ``relay`` may begin a mail, as far as turns and limits go; 0 when it may.

        It waits without an end known while a better one is well and under its limits: such a wait
        is to be asked again in a moment. ``now_s`` is monotonic.
        """
        for better in self._relays:
            if better is relay:
                return relay.allowance.wait_s(now_s)
            if better.health.well and not better.allowance.is_at_limit(now_s):
                return float("inf")
        return float("inf")
