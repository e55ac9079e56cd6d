"""Quotas: what this worker takes of each relay's day, and what it says of how relays fare.

Of a day's limit it holds a portion while something is to be sent, and gives the rest back after.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from distributor.core.forecast import span_of
from distributor.stages.dispatch.claims import commit
from distributor.store import relays as stored
from distributor.store import workers

if TYPE_CHECKING:
    from datetime import datetime

    from distributor.clock import GuardedClock
    from distributor.mail.relay import Relay
    from distributor.stages.dispatch.fleet import Fleet
    from distributor.store.database import Database

log = structlog.get_logger(__name__)

#: How soon a day that was used up is asked about again, in seconds.
_ASK_AGAIN_S = 10.0
#: How often the workers are counted that share the rates, in seconds.
_COUNT_S = 1.0
#: The least that is taken at once, and what part of a day's limit otherwise.
_LEAST = 10
_PART = 50


class Quotas:
    """The portions of one worker."""

    def __init__(
        self,
        database: Database,
        fleet: Fleet,
        clock: GuardedClock,
        *,
        worker: str,
        lease_s: float,
    ) -> None:
        """Hold nothing yet."""
        self._database = database
        self._fleet = fleet
        self._clock = clock
        self._worker = worker
        self._alive_within = timedelta(seconds=lease_s)
        self._taken_at: dict[str, datetime] = {}
        self._ask_again_s: dict[str, float] = {}
        self._count_again_s = 0.0
        self._told: dict[str, tuple[str, int | None]] = {}

    async def tend(self) -> None:
        """Take what is needed, give back what is not, count who shares, tell how relays fare.

        Raises:
            StoreError: The database is away; what is held is still held.

        """
        await self._count()
        for crew in self._fleet.crews:
            if crew.relay.policy.limits.per_day:
                await self._mind(crew.relay)
            await self._report(crew.relay, standing=crew.alive > 0)

    async def give_back(self) -> None:
        """Give back every portion."""
        for relay in self._fleet.relays:
            await self._return(relay)

    async def _mind(self, relay: Relay) -> None:
        now, now_s = self._clock.reading().now, self._clock.monotonic()
        taken_at = self._taken_at.get(relay.name)
        stale = taken_at is not None and span_of(taken_at) != span_of(now)
        if stale or not self._fleet.wanted:
            # A portion counts as sent when it was taken: it must not be spent much later.
            await self._return(relay)
        if not self._fleet.wanted and not relay.allowance.used_up:
            return
        per_day = relay.policy.limits.per_day
        portion = max(per_day // _PART, _LEAST)
        if relay.allowance.unspent > portion // 2:
            return
        if now_s < self._ask_again_s.get(relay.name, 0.0):
            return
        granted = await commit(
            self._database,
            lambda tx: stored.reserve(tx, relay.name, per_day=per_day, wanted=portion, now=now),
        )
        if granted:
            self._taken_at[relay.name] = now
            relay.allowance.grant(granted)
        else:
            self._ask_again_s[relay.name] = now_s + _ASK_AGAIN_S
        self._tell_if_used_up(relay, granted)

    def _tell_if_used_up(self, relay: Relay, granted: int) -> None:
        used_up = not granted and relay.allowance.unspent <= 0
        if used_up and not relay.allowance.used_up:
            log.warning("Day used up", action="relay_day_used_up", relay=relay.name)
        relay.allowance.used_up = used_up

    async def _return(self, relay: Relay) -> None:
        taken_at = self._taken_at.pop(relay.name, None)
        unspent = relay.allowance.unspent
        if taken_at is None or unspent <= 0:
            return
        relay.allowance.grant(-unspent)
        await commit(
            self._database,
            lambda tx: stored.give_back(tx, relay.name, mails=unspent, taken_at=taken_at),
        )

    async def _count(self) -> None:
        now_s = self._clock.monotonic()
        limited = [relay for relay in self._fleet.relays if relay.allowance.is_shared]
        if not limited or now_s < self._count_again_s:
            return
        self._count_again_s = now_s + _COUNT_S
        since = self._clock.reading().now - self._alive_within
        alive = await asyncio.to_thread(self._alive_since, since)
        for relay in limited:
            relay.allowance.share(max(alive, 1))

    def _alive_since(self, since: datetime) -> int:
        with self._database.read() as tx:
            return workers.count_alive(tx, since)

    async def _report(self, relay: Relay, *, standing: bool) -> None:
        state, says = relay.fares
        told = (state, relay.size_max)
        if told == self._told.get(relay.name) or (state == "well" and not standing):
            return
        now = self._clock.reading().now
        report = stored.Report(relay.name, self._worker, now, state, says, relay.size_max)
        await commit(self._database, lambda tx: stored.report(tx, report))
        self._told[relay.name] = told
