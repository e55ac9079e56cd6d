"""The one long-lived task: claims are fed to the couriers, returns go to the recorder."""

from __future__ import annotations

import asyncio
import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import structlog

from distributor.core.message import CompiledMessage
from distributor.core.timing import Shut
from distributor.errors import IllegalMove, MessageError, StoreError
from distributor.mail.compiling import letter_of
from distributor.stages.dispatch.claims import RETRY_S, Claims, persist
from distributor.stages.dispatch.couriers import IDLE_S
from distributor.stages.dispatch.fleet import Fleet
from distributor.stages.dispatch.parcels import Parcel
from distributor.stages.dispatch.quotas import Quotas
from distributor.store import attachments, releases

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from distributor.clock import GuardedClock
    from distributor.core.letter import Letter
    from distributor.core.model import Delivery
    from distributor.core.policy import SendingPolicy
    from distributor.mail.flightlog import FlightLog
    from distributor.mail.relays import Relays
    from distributor.mail.signing import Signing
    from distributor.stages.dispatch.claims import Holding
    from distributor.store.database import Database

log = structlog.get_logger(__name__)

#: How often hold, embargo and suppression marks are read again, in seconds (I7).
LOOK_S = 0.25
#: Claims in hand at once: while one is written up the next is already on the wire.
CLAIMS = 3
#: The longest nap between two looks for something to claim, in seconds.
NAP_S = 1.0
#: What a clock may be read early by when sleeping towards an instant, in seconds.
MARGIN_S = 0.001
#: How often a wave that should be there by now is looked for, in seconds.
OVERDUE_S = 0.02
#: How long a stop waits for the answers still owed, in seconds. What is owed after that is left
#: to the flight log: the next worker reads there how far each mail came.
GRACE_S = 30.0
_CORES = os.cpu_count() or 1


class Dispatch:
    """Claims, sends, records, until stopped."""

    def __init__(  # noqa: PLR0913 - a room where everything comes together
        self,
        database: Database,
        relays: Relays,
        clock: GuardedClock,
        policy: SendingPolicy,
        *,
        worker: str,
        flight: FlightLog,
        signing: Signing | None = None,
    ) -> None:
        """Wire the parts; nothing moves before :meth:`run`."""
        self._signing = signing
        self._signers = _signers() if signing is not None else None
        self._database = database
        self._clock = clock
        self._policy = policy
        self._flight = flight
        self.claims = Claims(database, clock, policy, worker=worker)
        self._fleet = Fleet(
            database,
            relays,
            self.claims,
            clock=clock,
            policy=policy,
            worker=worker,
            flight=flight,
        )
        lease_s = policy.lease_s
        self._quotas = Quotas(database, self._fleet, clock, worker=worker, lease_s=lease_s)
        self._letters: dict[int, dict[int, Letter]] = {}
        self._feeding = asyncio.Lock()
        self._loading = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._wake = asyncio.Event()
        self._expected_s: float | None = None
        self._slots = asyncio.Semaphore(CLAIMS)

    def expect(self, send_at: datetime | None) -> None:
        """Say when the next wave is due: connections are opened shortly before (at -30 s)."""
        if send_at is None:
            self._expected_s = None
            return
        away_s = (send_at - self._clock.reading().now).total_seconds()
        self._expected_s = self._clock.monotonic() + away_s
        if away_s <= self._policy.warm_before_s:
            self._fleet.call(warm_until_s=self._expected_s + IDLE_S)

    def wake(self) -> None:
        """Look for something to claim at once."""
        self._wake.set()

    def stop(self) -> None:
        """Finish what is on the wire, give the rest back, and let :meth:`run` return."""
        self._stopping.set()
        self._wake.set()

    async def run(self) -> bool:
        """Work until :meth:`stop`; True when everything in hand was settled and recorded.

        False when an answer was still owed after the time of grace. Whatever else ends the work
        is raised: then nothing is given back, and the flight log tells the rest.
        """
        life = asyncio.create_task(self._live())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({life, stopping}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({life}, timeout=GRACE_S)
            settled = life.done()
        finally:
            stopping.cancel()
            life.cancel()
            await asyncio.wait({life})
            if self._signers is not None:
                self._signers.shutdown(wait=False)
        if settled:
            life.result()
        else:
            log.warning("Answers still owed", action="stopped_unsettled")
        return settled

    async def _live(self) -> None:
        async with asyncio.TaskGroup() as group:
            recorders = [group.create_task(run) for run in self._fleet.recorders()]
            others = [
                group.create_task(self._every(LOOK_S, self._look)),
                group.create_task(self._every(self._policy.lease_s / 4, self.claims.renew)),
                group.create_task(self._every(LOOK_S, self._quotas.tend)),
                *(group.create_task(carry) for carry in self._fleet.couriers()),
            ]
            await self._claim_until_stopped()
            # Nothing is on the wire any more: the couriers have only to say goodbye.
            for other in others:
                other.cancel()
            self._fleet.finish()
            await asyncio.gather(*recorders)
            with contextlib.suppress(StoreError):
                await self._quotas.give_back()

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        pause_s = seconds
        while True:
            await asyncio.sleep(pause_s)
            pause_s = seconds
            try:
                await work()
            except StoreError as error:
                # A look that fails ages the marks until the gate shuts by itself.
                log.debug("Marks or lease not renewed", action="look_failed", reason=str(error))
                pause_s = min(seconds, RETRY_S)

    async def _look(self) -> None:
        if self.claims.any:
            await self.claims.look()

    # --- claims ---------------------------------------------------------------------------------

    async def _claim_until_stopped(self) -> None:
        async with asyncio.TaskGroup() as working:
            while not self._stopping.is_set():
                await self._slots.acquire()
                begins = not self.claims.any
                holding = await self._claim()
                self._drop_letters()
                if holding is None:
                    self._slots.release()
                    await self._nap()
                    continue
                if begins:
                    self._fleet.try_anew()
                self._fleet.call()
                working.create_task(self._work(holding))

    async def _claim(self) -> Holding | None:
        self._wake.clear()
        if self._stopping.is_set() or self._fleet.closed:
            return None
        try:
            return await self.claims.take()
        except StoreError as error:
            log.debug("Nothing can be claimed", action="claim_failed", reason=str(error))
        except IllegalMove as error:
            # Another worker began it in the same instant: there is more in it for us.
            log.debug("Wave had moved already", action="wave_moved_already", reason=str(error))
            self._wake.set()
        return None

    async def _nap(self) -> None:
        """Sleep until woken, until the expected instant, or for a second."""
        nap_s = NAP_S
        if self._expected_s is not None:
            left_s = self._expected_s - self._clock.monotonic()
            if left_s > -NAP_S:
                nap_s = min(nap_s, left_s + MARGIN_S if left_s > 0 else OVERDUE_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(nap_s):
                await self._wake.wait()

    async def _work(self, holding: Holding) -> None:
        """See one claim through: feed, settle, and again while some came back unsent.

        A failure on the way is not tidied up after: what is known is in the flight log.
        """
        await self._load_letters(holding)
        while holding.waits and await self._feed(holding):
            await self._settle(holding)
        await self._settle(holding)
        await self.claims.give_back(holding)
        self._slots.release()
        if not self.claims.any:
            # Every outcome is committed: the flight log has nothing left to tell. One that cannot
            # be cut only stays longer; what it says of old claims is not asked.
            with contextlib.suppress(OSError):
                self._flight.clear()

    def _drop_letters(self) -> None:
        """Let go of the letters of which nothing is held, now that the next batch would be.

        One with attachments is large, and another release may be sent for hours; but the batches
        in hand may all end before the next one of their wave is claimed.
        """
        held = self.claims.versions
        self._letters = {key: kept for key, kept in self._letters.items() if key in held}

    async def _feed(self, holding: Holding) -> bool:
        """Hand a claim's queued rows to the couriers; False when there is none to hand out."""
        if not await self._turn(holding):
            return False
        fed = False
        try:
            while not self._must_stop(holding):
                if self._fleet.closed:
                    return False
                if not await self._fleet.ready(LOOK_S):
                    continue
                if not await self._fleet.room(LOOK_S):
                    continue
                group = await persist(lambda: self.claims.mark(holding))
                if group:
                    fed = True
                    await self._hand_out(holding, group)
                if not holding.waits:
                    break
        finally:
            self._feeding.release()
        return fed and not self._must_stop(holding)

    async def _turn(self, holding: Holding) -> bool:
        """Wait for this claim's turn: one is fed at a time. False when it must stop first."""
        while not self._must_stop(holding):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    return await self._feeding.acquire()
        return False

    async def _hand_out(self, holding: Holding, group: list[Delivery]) -> None:
        letters = self._letters[holding.wave.version_id]
        parcels = [Parcel(holding, delivery, letters[delivery.compiled_id]) for delivery in group]
        # Rendering waits for another process, and signing takes longer than all else of a mail: on
        # other threads, while mails leave.
        if self._signers is not None or any(letter.render for letter in letters.values()):
            loop = asyncio.get_running_loop()
            shares = [parcels[at::_CORES] for at in range(_CORES)]
            await asyncio.gather(
                *(loop.run_in_executor(self._signers, _make, share) for share in shares)
            )
        self._fleet.take(parcels)

    def _must_stop(self, holding: Holding) -> bool:
        """Whether no more of this claim should go out. Stale marks are waited for instead."""
        if self._stopping.is_set() or holding.lost:
            return True
        return self.claims.shut(holding) not in {None, Shut.STALE}

    async def _settle(self, holding: Holding) -> None:
        """Wait until everything given out is recorded; what need not go any more is taken back."""
        while not holding.settled.is_set():
            if self._must_stop(holding) or self._fleet.closed:
                await self.claims.take_back(holding, self._fleet.withdraw(holding))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await holding.settled.wait()

    async def _load_letters(self, holding: Holding) -> None:
        version_id = holding.wave.version_id
        # One at a time: claims that begin together would each put the attachments together.
        async with self._loading:
            if version_id not in self._letters:
                self._letters[version_id] = await persist(
                    lambda: asyncio.to_thread(self._read_letters, version_id),
                )

    def _read_letters(self, version_id: int) -> dict[int, Letter]:
        with self._database.read() as tx:
            sender = releases.version_of(tx, version_id).sender
            compiled = releases.compiled_of(tx, version_id)
        return {
            key: letter_of(
                CompiledMessage.from_json(item.content),
                sender,
                None if self._signing is None else self._signing.sign,
                attachments.reader(self._database),
            )
            for key, item in compiled.items()
        }


def _signers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_CORES, thread_name_prefix="signer")


def _make(parcels: list[Parcel]) -> None:
    """Make these copies; one that must not leave is told of when its turn comes."""
    for parcel in parcels:
        try:
            parcel.copy = parcel.made()
        except MessageError as fault:
            parcel.fault = fault
