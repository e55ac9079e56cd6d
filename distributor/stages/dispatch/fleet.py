"""The fleet: the couriers of every relay, who carry what waits in one line."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from distributor.stages.dispatch.couriers import Call, Couriers
from distributor.stages.dispatch.parcels import Line
from distributor.stages.dispatch.recording import Recorder

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Sequence

    from distributor.clock import GuardedClock
    from distributor.core.model import Delivery
    from distributor.core.policy import SendingPolicy
    from distributor.mail.flightlog import FlightLog
    from distributor.mail.relays import Relays
    from distributor.stages.dispatch.claims import Claims, Holding
    from distributor.stages.dispatch.parcels import Parcel
    from distributor.store.database import Database


class Fleet:
    """Every courier, and one recorder for each relay, so that its name stands in its results."""

    def __init__(  # noqa: PLR0913 - a room where everything comes together
        self,
        database: Database,
        relays: Relays,
        claims: Claims,
        *,
        clock: GuardedClock,
        policy: SendingPolicy,
        worker: str,
        flight: FlightLog,
    ) -> None:
        """Nobody carries yet."""
        self.relays = relays
        self._call = Call()
        self._line = Line()
        self._recorders = [
            Recorder(database, claims, policy, worker=worker, relay=relay.name) for relay in relays
        ]
        self.crews = [
            Couriers(
                relay,
                relays,
                self._line,
                self._call,
                claims=claims,
                recorder=recorder,
                clock=clock,
                flight=flight,
            )
            for relay, recorder in zip(relays, self._recorders, strict=True)
        ]

    # --- its tasks ------------------------------------------------------------------------------

    def recorders(self) -> Iterator[Coroutine[None, None, None]]:
        """What writes results, until :meth:`finish`."""
        return (recorder.run() for recorder in self._recorders)

    def couriers(self) -> Iterator[Coroutine[None, None, None]]:
        """What carries, until cancelled."""
        for crew in self.crews:
            for number in range(crew.relay.policy.connections):
                yield crew.carry(number)

    def finish(self) -> None:
        """Let the recorders end once all is written."""
        for recorder in self._recorders:
            recorder.finish()

    # --- what dispatch asks ---------------------------------------------------------------------

    @property
    def wanted(self) -> bool:
        """Whether connections are wanted."""
        return self._call.wanted.is_set()

    @property
    def closed(self) -> bool:
        """Whether every relay's day is used up: nothing can leave for hours."""
        return all(relay.allowance.used_up for relay in self.relays)

    def call(self, *, warm_until_s: float = 0.0) -> None:
        """Have connections opened, and kept at least until that monotonic instant."""
        self._call.warm_until_s = max(self._call.warm_until_s, warm_until_s)
        self._call.wanted.set()

    def try_anew(self) -> None:
        """A wave begins: relays that failed before get a fresh try, not the rest of their rest."""
        for crew in self.crews:
            crew.try_anew()

    async def ready(self, wait_s: float) -> bool:
        """Whether a connection stands; waits so long for one."""
        self._call.wanted.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._call.standing.wait()
        return self._call.standing.is_set()

    async def room(self, wait_s: float) -> bool:
        """Whether few enough parcels wait to bring more; waits so long for it."""
        return await self._line.room(wait_s)

    def take(self, parcels: Sequence[Parcel]) -> None:
        """Take parcels to carry, in their order."""
        self._line.add(parcels)

    def withdraw(self, holding: Holding) -> list[Delivery]:
        """Hand out again what waits of that claim; what is on the wire is finished."""
        return self._line.withdraw(holding)
