"""The one long-lived task: claims are fed to the connections, returns to the recorder."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import structlog

from distributor.core.letter import Letter
from distributor.core.message import CompiledMessage
from distributor.core.model import Outcome
from distributor.core.outcome import Blame, Phase, TransactionFacts
from distributor.core.states import DeliveryState
from distributor.core.timing import Shut
from distributor.errors import IllegalMove, MessageError, RelayError, StoreError
from distributor.mail.transaction import Envelope
from distributor.stages.dispatch.claims import Claims
from distributor.stages.dispatch.recording import Recorder
from distributor.store import releases

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from distributor.clock import GuardedClock
    from distributor.core.model import Delivery
    from distributor.core.policy import SendingPolicy
    from distributor.mail.flightlog import FlightLog
    from distributor.mail.relay import Relay
    from distributor.mail.transaction import Session
    from distributor.stages.dispatch.claims import Holding
    from distributor.store.database import Database

log = structlog.get_logger(__name__)
T = TypeVar("T")

#: How often hold, embargo and suppression marks are read again, in seconds (I7).
LOOK_S = 0.25
#: Claims in hand at once: while one is written up the next is already on the wire.
CLAIMS = 3
#: An idle connection is let go after so many seconds without anything to expect.
IDLE_S = 60.0
#: A connection kept for something to come is shown to be alive so often, in seconds.
NOOP_S = 20.0
#: The longest nap between two looks for something to claim, in seconds.
NAP_S = 1.0
#: What a clock may be read early by when sleeping towards an instant, in seconds.
MARGIN_S = 0.001
#: Pause after something that is tried again, in seconds.
RETRY_S = 0.5


@dataclass(frozen=True, slots=True)
class Parcel:
    """One delivery on its way to a connection."""

    holding: Holding
    delivery: Delivery


class Dispatch:
    """Claims, sends, records, until stopped."""

    def __init__(
        self,
        database: Database,
        relay: Relay,
        clock: GuardedClock,
        policy: SendingPolicy,
        *,
        worker: str,
        flight: FlightLog,
    ) -> None:
        """Wire the parts; nothing moves before :meth:`run`."""
        self._database = database
        self._relay = relay
        self._clock = clock
        self._policy = policy
        self._flight = flight
        self.claims = Claims(database, clock, policy, worker=worker)
        self._recorder = Recorder(
            database,
            self.claims,
            policy,
            worker=worker,
            relay=relay.policy.name,
        )
        self._parcels: asyncio.Queue[Parcel] = asyncio.Queue(relay.policy.connections * 2)
        self._letters: dict[int, Letter] = {}
        self._loaded: set[int] = set()
        self._feeding = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._wake = asyncio.Event()
        self._wanted = asyncio.Event()
        self._connected = asyncio.Event()
        self._alive = 0
        self._expected_s: float | None = None
        self._warm_until_s = 0.0
        self._slots = asyncio.Semaphore(CLAIMS)
        self._finished = asyncio.Event()

    def expect(self, send_at: datetime | None) -> None:
        """Say when the next wave is due: connections are opened shortly before (at -30 s)."""
        if send_at is None:
            self._expected_s = None
            return
        away_s = (send_at - self._clock.reading().now).total_seconds()
        self._expected_s = self._clock.monotonic() + away_s
        if away_s <= self._policy.warm_before_s:
            self._warm_until_s = self._expected_s + IDLE_S
            self._wanted.set()

    def wake(self) -> None:
        """Look for something to claim at once."""
        self._wake.set()

    def stop(self) -> None:
        """Finish what is on the wire, give the rest back, and let :meth:`run` return."""
        self._stopping.set()
        self._wake.set()

    async def run(self) -> None:
        """Work until :meth:`stop`; everything in hand is settled and recorded on return."""
        async with asyncio.TaskGroup() as group:
            recorder = group.create_task(self._recorder.run())
            keepers = [
                group.create_task(self._every(LOOK_S, self.claims.look)),
                group.create_task(self._every(self._policy.lease_s / 4, self.claims.renew)),
            ]
            carriers = [
                group.create_task(self._carry()) for _ in range(self._relay.policy.connections)
            ]
            await self._claim_until_stopped()
            self._finished.set()
            self._wanted.set()
            await asyncio.gather(*carriers)
            await self._recorder.finish()
            await recorder
            for keeper in keepers:
                keeper.cancel()

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            if self.claims.any:
                # A look that fails ages the marks until the gate shuts by itself.
                with contextlib.suppress(StoreError):
                    await work()

    # --- claims ---------------------------------------------------------------------------------

    async def _claim_until_stopped(self) -> None:
        async with asyncio.TaskGroup() as working:
            while not self._stopping.is_set():
                await self._slots.acquire()
                holding = await self._claim()
                if holding is None:
                    self._slots.release()
                    await self._nap()
                    continue
                self._wanted.set()
                working.create_task(self._work(holding))

    async def _claim(self) -> Holding | None:
        self._wake.clear()
        if self._stopping.is_set():
            return None
        try:
            return await self.claims.take()
        except StoreError as error:
            log.warning("Nothing can be claimed", action="claim_failed", reason=str(error))
        except IllegalMove as error:
            log.debug("Wave had moved already", action="wave_moved_already", reason=str(error))
        return None

    async def _nap(self) -> None:
        """Sleep until woken, until the expected instant, or for a second."""
        nap_s = NAP_S
        if self._expected_s is not None:
            left_s = self._expected_s - self._clock.monotonic()
            if left_s > -NAP_S:
                nap_s = min(nap_s, max(left_s, 0.0) + MARGIN_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(nap_s):
                await self._wake.wait()

    async def _work(self, holding: Holding) -> None:
        """See one claim through: feed, settle, and again while some came back unsent."""
        try:
            await self._load_letters(holding)
            while await self._feed(holding):
                await self._settle(holding)
        finally:
            await self._settle(holding)
            await self._persist(lambda: self.claims.give_back(holding))
            self._slots.release()
            if not self.claims.any:
                # Every outcome is committed: the flight log has nothing left to tell.
                self._flight.clear()

    async def _feed(self, holding: Holding) -> bool:
        """Hand a claim's queued rows to the connections; False when there is none to hand out."""
        fed = False
        async with self._feeding:
            while not self._must_stop(holding):
                if not await self._is_connected():
                    continue
                group = await self._persist(lambda: self.claims.mark(holding))
                if not group:
                    break
                fed = True
                holding.sent_out(len(group))
                await self._hand_out(holding, group)
        return fed and not self._must_stop(holding)

    async def _hand_out(self, holding: Holding, group: list[Delivery]) -> None:
        for at, delivery in enumerate(group):
            while not self._must_stop(holding):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await self._parcels.put(Parcel(holding, delivery))
                        break
            else:
                await self._take_back(holding, group[at:])
                return

    def _must_stop(self, holding: Holding) -> bool:
        """Whether no more of this claim should go out. Stale marks are waited for instead."""
        if self._stopping.is_set() or holding.lost:
            return True
        return self.claims.shut(holding) not in {None, Shut.STALE}

    async def _settle(self, holding: Holding) -> None:
        """Wait until everything given out is recorded; what need not go any more is taken back."""
        while not holding.settled.is_set():
            if self._must_stop(holding):
                await self._withdraw(holding)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await holding.settled.wait()

    async def _withdraw(self, holding: Holding) -> None:
        waiting: list[Parcel] = []
        while not self._parcels.empty():
            waiting.append(self._parcels.get_nowait())
        for parcel in waiting:
            if parcel.holding is not holding:
                self._parcels.put_nowait(parcel)
        back = [parcel.delivery for parcel in waiting if parcel.holding is holding]
        if back:
            await self._take_back(holding, back)

    async def _take_back(
        self,
        holding: Holding,
        back: list[Delivery],
        to: DeliveryState = DeliveryState.QUEUED,
    ) -> None:
        await self._persist(lambda: self.claims.unmark(holding, back, to))
        holding.came_back(len(back))

    async def _persist(self, work: Callable[[], Awaitable[T]]) -> T:
        """Write, and try again for as long as the database cannot be written."""
        while True:
            try:
                return await work()
            except StoreError as error:
                log.warning("Not written yet", action="write_failed", reason=str(error))
                await asyncio.sleep(RETRY_S)

    async def _load_letters(self, holding: Holding) -> None:
        version_id = holding.wave.version_id
        if version_id not in self._loaded:
            loaded = await self._persist(lambda: asyncio.to_thread(self._read_letters, version_id))
            self._letters.update(loaded)
            self._loaded.add(version_id)

    def _read_letters(self, version_id: int) -> dict[int, Letter]:
        with self._database.read() as tx:
            sender = releases.version_of(tx, version_id).sender
            compiled = releases.compiled_of(tx, version_id)
        return {
            key: Letter(
                CompiledMessage.from_json(item.content),
                sender,
                self._policy.return_path or sender.address,
            )
            for key, item in compiled.items()
        }

    # --- connections ----------------------------------------------------------------------------

    async def _is_connected(self) -> bool:
        """Whether a connection stands; waits a moment for one."""
        self._wanted.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await self._connected.wait()
        return self._connected.is_set()

    async def _carry(self) -> None:
        """Keep one connection and send one parcel after the other over it."""
        while not self._finished.is_set():
            await self._wanted.wait()
            if self._finished.is_set():
                return
            session = await self._connect()
            if session is None:
                continue
            self._alive += 1
            self._connected.set()
            try:
                await self._carry_on(session)
            finally:
                self._alive -= 1
                if not self._alive:
                    self._connected.clear()
                await session.quit()

    async def _connect(self) -> Session | None:
        try:
            return await self._relay.connect()
        except RelayError as error:
            log.warning("Relay not reached", action="relay_failed", reason=str(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RETRY_S):
                    await self._finished.wait()
            return None

    async def _carry_on(self, session: Session) -> None:
        """Send parcels while the connection stands and is wanted."""
        idle_s = 0.0
        setbacks = 0
        while session.alive and not self._finished.is_set():
            parcel = await self._next_parcel()
            if parcel is None:
                idle_s += NAP_S
                if not self.claims.any and self._clock.monotonic() >= self._warm_until_s:
                    if idle_s >= IDLE_S:
                        self._wanted.clear()
                        return
                elif idle_s >= NOOP_S:
                    idle_s = 0.0
                    await session.noop()
                continue
            idle_s = 0.0
            if await self._send(session, parcel):
                setbacks = 0
            else:
                setbacks += 1
                await asyncio.sleep(min(RETRY_S * 2**setbacks, 30.0))

    async def _next_parcel(self) -> Parcel | None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(NAP_S):
                return await self._parcels.get()
        return None

    async def _send(self, session: Session, parcel: Parcel) -> bool:
        """Carry out one transaction and hand in what came of it; False after the relay's fault."""
        holding, delivery = parcel.holding, parcel.delivery
        if self.claims.is_suppressed(delivery):
            await self._take_back(holding, [delivery], DeliveryState.SUPPRESSED)
            return True
        began = self._clock.reading().now
        facts = await self._transact(session, parcel)
        judgement = await self._recorder.take(
            holding,
            delivery,
            facts,
            began=began,
            ended=self._clock.reading().now,
        )
        if judgement.blame is Blame.RELAY:
            self._relay.failed(RelayError(facts.reply, code=facts.code))
        return facts.shut is not None or judgement.outcome is not Outcome.NOT_SENT

    async def _transact(self, session: Session, parcel: Parcel) -> TransactionFacts:
        holding, delivery = parcel.holding, parcel.delivery
        letter = self._letters[delivery.compiled_id]
        try:
            data = letter.copy_for(
                delivery.recipient,
                reference=delivery.reference,
                date=delivery.dated_at,
            )
        except MessageError as error:
            text = f"5.6.0 {error} (local)"
            return TransactionFacts(Phase.RCPT, 554, "5.6.0", text, local=True)
        envelope = Envelope(
            mail_from=letter.return_path,
            rcpt_to=delivery.recipient.address,
            data=data,
            delivery=delivery.id,
            token=holding.claim.token,
        )
        return await session.send(
            envelope,
            gate=lambda: self.claims.shut(holding),
            flight=self._flight,
            lease_ok=lambda: self.claims.shut(holding) is not Shut.LEASE,
        )
