"""Claims: what this worker holds, how long, and whether it may send now.

The gate is asked with facts no older than the last look at the rows; a look that fails ages
them until the gate shuts by itself (I7).
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

import structlog

from distributor.core.states import DeliveryState, HoldReason, WaveState
from distributor.core.timing import GateFacts, Shut, gate
from distributor.errors import IllegalMove, StoreError
from distributor.store import batches, deliveries, recovery, waves, workers
from distributor.store.database import database_now
from distributor.store.waves import DESK, Order

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from distributor.clock import GuardedClock, Reading
    from distributor.core.model import Claim, Delivery, Wave
    from distributor.core.policy import SendingPolicy
    from distributor.store.database import Database

log = structlog.get_logger(__name__)
T = TypeVar("T")

#: Deliveries marked ``sending`` in one transaction: bounds what a power cut leaves in doubt (I5).
GROUP = 50
#: Suppressions made this long before a claim are looked at again, for clocks a little apart.
_OVERLAP = timedelta(minutes=5)
_TOKEN_BITS = 62
#: How long one look at the clocks serves, in seconds.
LATELY_S = 0.001
#: Pause before a write that failed is tried again, in seconds.
RETRY_S = 0.5


class UnknownClaim(Exception):
    """A claim was committed though its answer was lost: nobody works on it.

    Only a fresh start puts that in order, by the same recovery as after any other death.
    """


async def commit(database: Database, work: Callable[[Connection], T]) -> T:
    """Await one write. A cancelled task does not cancel what the writer thread has begun."""
    return await asyncio.shield(asyncio.wrap_future(database.write(work)))


async def persist(work: Callable[[], Awaitable[T]]) -> T:
    """Write, and try again for as long as the database cannot be written."""
    while True:
        try:
            return await work()
        except StoreError as error:
            log.debug("Not written yet", action="write_failed", reason=str(error))
            await asyncio.sleep(RETRY_S)


@dataclass(slots=True)
class Holding:
    """A batch in our hands: its lease, what is known of its wave, what is still on its way."""

    claim: Claim
    leased_until_s: float
    wave: Wave
    seen_s: float
    claimed_at: datetime
    lost: bool = False
    #: When the gate was last found open, until something changed.
    open_s: float = float("-inf")
    outstanding: int = 0
    #: Whether rows of it wait that were never given out, or were and came back to wait.
    waits: bool = True
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    #: How often each delivery was cut off between MAIL and the dot under this claim.
    cut_off: Counter[int] = field(default_factory=Counter[int])

    def __post_init__(self) -> None:
        """Nothing is on its way yet."""
        self.settled.set()

    def sent_out(self, count: int) -> None:
        """So many more deliveries are on their way."""
        self.outstanding += count
        if count:
            self.settled.clear()

    def came_back(self, count: int, *, to_wait: bool = False) -> None:
        """So many are recorded; with ``to_wait`` they are to be given out again."""
        self.outstanding -= count
        self.waits = self.waits or to_wait
        if not self.outstanding:
            self.settled.set()


class Claims:
    """Everything this worker holds."""

    def __init__(
        self,
        database: Database,
        clock: GuardedClock,
        policy: SendingPolicy,
        *,
        worker: str,
    ) -> None:
        """Begin with empty hands."""
        self._database = database
        self._clock = clock
        self._policy = policy
        self._worker = worker
        self._held: dict[int, Holding] = {}
        self._asked_for: int | None = None
        self._reading = clock.reading()
        self._read_s = clock.monotonic()
        self._suppressed: frozenset[str] = frozenset()
        #: True while this database may not mail at all (I11).
        self.muted = False

    @property
    def any(self) -> bool:
        """Whether anything is held."""
        return bool(self._held)

    @property
    def versions(self) -> set[int]:
        """Of which versions something is held."""
        return {holding.wave.version_id for holding in self._held.values()}

    def lately(self) -> Reading:
        """The clocks as they were within the last millisecond.

        One look serves all that is asked at one mail. An older now can only be late, never early.
        """
        monotonic_s = self._clock.monotonic()
        if not 0 <= monotonic_s - self._read_s < LATELY_S:
            self._reading, self._read_s = self._clock.reading(), monotonic_s
        return self._reading

    def shut(self, holding: Holding) -> Shut | None:
        """Ask the gate for this claim, now. That it was open holds for a millisecond."""
        monotonic_s = self._clock.monotonic()
        if 0 <= monotonic_s - holding.open_s < LATELY_S and not self.muted:
            return None
        reading = self.lately()
        left_s = float("-inf") if holding.lost else holding.leased_until_s - monotonic_s
        facts = self._facts(holding.wave, holding.seen_s, left_s, agrees=reading.agrees)
        shut = gate(facts, now=reading.now)
        holding.open_s = monotonic_s if shut is None else float("-inf")
        return shut

    def _facts(self, wave: Wave, seen_s: float, lease_left_s: float, *, agrees: bool) -> GateFacts:
        return GateFacts(
            embargo_at=wave.embargo_at,
            send_at=wave.send_at,
            kind=wave.kind,
            state=wave.state,
            marks_age_s=max(0.0, self._clock.monotonic() - seen_s),
            lease_left_s=lease_left_s,
            clock_agrees=agrees,
            muted=self.muted,
            before_lift=wave.before_lift,
        )

    def is_suppressed(self, delivery: Delivery) -> bool:
        """Whether somebody objected since this delivery was given out."""
        return delivery.address_key in self._suppressed

    async def take(self) -> Holding | None:
        """Claim the next batch that may leave now; None when there is none."""
        reading = self._clock.reading()
        asked_s = self._clock.monotonic()
        if self.muted or not reading.agrees:
            return None
        token = secrets.randbits(_TOKEN_BITS)
        self._asked_for = token
        try:
            holding = await commit(
                self._database,
                lambda tx: self._claim(tx, token, reading.now, asked_s),
            )
        finally:
            self._asked_for = None
        if holding is None:
            return None
        claim = holding.claim
        self._held[token] = holding
        log.info("Batch claimed", action="batch_claimed", batch=claim.batch_id, wave=claim.wave.id)
        return holding

    def _claim(
        self,
        tx: Connection,
        token: int,
        now: datetime,
        asked_s: float,
    ) -> Holding | None:
        shut: set[int] = set()
        while (found := batches.claimable(tx, now, skip=shut)) is not None:
            # Not asked_s: the wait for the write lock has not aged what is only read here.
            seen_s = self._clock.monotonic()
            if self._may_take(tx, found.wave, now, seen_s):
                break
            # What is shut must not stand in the way of another wave.
            shut.add(found.wave.id)
        else:
            return None
        wave = found.wave
        until = database_now(tx, now) + timedelta(seconds=self._policy.lease_s)
        taken = batches.take(
            tx,
            found.batch_id,
            owner=self._worker,
            token=token,
            until=until,
            now=now,
        )
        if not taken:
            return None
        if wave.state is WaveState.READY:
            waves.move(tx, wave, WaveState.SENDING, Order(DESK, now))
            wave = waves.get(tx, wave.id)
        return Holding(
            replace(found, token=token, wave=wave),
            leased_until_s=asked_s + self._policy.lease_s,
            wave=wave,
            seen_s=seen_s,
            claimed_at=now,
        )

    def _may_take(self, tx: Connection, wave: Wave, now: datetime, seen_s: float) -> bool:
        shut = gate(self._facts(wave, seen_s, self._policy.lease_s, agrees=True), now=now)
        if shut is not None:
            log.warning("Claim refused by the gate", action="claim_refused", reason=shut.value)
            return False
        return not self._is_over(wave, now) and not self._hold_if_late(tx, wave, now)

    def _is_over(self, wave: Wave, now: datetime) -> bool:
        """Past the deadline nothing is tried any more; keeping lets it expire.

        A wave let go late has its time from its first mail.
        """
        if wave.first_mail_at is None and HoldReason.LATE in wave.waived:
            return False
        return now >= self._policy.deadline(wave.send_at, first_mail_at=wave.first_mail_at)

    def _hold_if_late(self, tx: Connection, wave: Wave, now: datetime) -> bool:
        begun = wave.first_mail_at is not None or HoldReason.LATE in wave.waived
        if begun or not self._policy.is_late(wave.send_at, now):
            return False
        waves.hold(tx, wave, HoldReason.LATE, Order(DESK, now))
        return True

    async def mark(self, holding: Holding) -> list[Delivery]:
        """Mark the next group of a claim for the wire; empty when there is none, or it is lost."""
        now = self._clock.reading().now
        # What comes back to wait from here on may have been too late for the query.
        holding.waits = False
        group, more = await commit(self._database, lambda tx: self._mark(tx, holding, now))
        holding.sent_out(len(group))
        holding.waits = holding.waits or more
        return group

    def _mark(self, tx: Connection, holding: Holding, now: datetime) -> tuple[list[Delivery], bool]:
        if not batches.hold_fast(tx, holding.claim):
            holding.lost, holding.open_s = True, float("-inf")
            return [], False
        wave = waves.get(tx, holding.wave.id)
        if wave.state is not WaveState.SENDING or self._is_over(wave, now):
            return [], False
        if self._hold_if_late(tx, wave, now):
            return [], False
        return deliveries.mark_sending(tx, holding.claim, limit=GROUP, now=now)

    async def take_back(
        self,
        holding: Holding,
        back: Sequence[Delivery],
        to: DeliveryState = DeliveryState.QUEUED,
    ) -> None:
        """Move on what was marked but never reached the wire."""
        if not back:
            return
        now = self._clock.reading().now
        ids = [delivery.id for delivery in back]

        def work(tx: Connection) -> None:
            deliveries.unmark(tx, holding.claim, ids, to, now)

        await persist(lambda: commit(self._database, work))
        holding.came_back(len(back), to_wait=to is DeliveryState.QUEUED)

    async def give_back(self, holding: Holding) -> None:
        """End a claim; what is left in it is there for the next one.

        Nothing of it is on its way: a row that is still marked was marked by a commit whose
        answer was lost, and waits its turn again.
        """
        claim = holding.claim
        now = self._clock.reading().now

        def work(tx: Connection) -> None:
            if batches.hold_fast(tx, claim):
                strays = [
                    row.delivery_id
                    for row in recovery.stranded(tx, [claim.batch_id])
                    if row.token == claim.token
                ]
                deliveries.unmark(tx, claim, strays, DeliveryState.QUEUED, now)
            batches.give_back(tx, claim, Order(f"worker {self._worker}", now))

        await persist(lambda: commit(self._database, work))
        del self._held[claim.token]
        log.debug("Batch given back", action="batch_given_back", batch=holding.claim.batch_id)

    async def renew(self) -> None:
        """Prolong every lease; a claim that is no longer ours stops sending at once.

        Raises:
            UnknownClaim: A claim is ours that we know nothing of.

        """
        asked_s = self._clock.monotonic()
        now = self._clock.reading().now

        def work(tx: Connection) -> frozenset[int]:
            workers.seen(tx, self._worker, now)
            return batches.renew(tx, owner=self._worker, now=now, lease_s=self._policy.lease_s)

        before = {*self._held, *([self._asked_for] if self._asked_for is not None else [])}
        ours = await commit(self._database, work)
        if ours - before:
            raise UnknownClaim
        for token, holding in self._held.items():
            if token in ours:
                holding.leased_until_s = asked_s + self._policy.lease_s
            elif token in before:
                holding.lost, holding.open_s = True, float("-inf")
                log.warning("Lease lost", action="lease_lost", batch=holding.claim.batch_id)

    async def look(self) -> None:
        """Re-read hold, embargo and suppression marks (I7), and the database's clock (I2)."""
        asked_s = self._clock.monotonic()
        held = {holding.wave.id for holding in self._held.values()}
        begun = [holding.claimed_at for holding in self._held.values()]
        since = min(begun, default=self._clock.reading().now) - _OVERLAP
        seen, suppressed, database_time = await asyncio.to_thread(self._read, held, since)
        if database_time is not None:
            self._clock.observe_database(database_time, asked_s=asked_s)
        self._suppressed = suppressed
        for holding in self._held.values():
            wave = seen.get(holding.wave.id)
            if wave is not None:
                holding.wave, holding.seen_s, holding.open_s = wave, asked_s, float("-inf")

    def _read(
        self,
        held: set[int],
        since: datetime,
    ) -> tuple[dict[int, Wave], frozenset[str], datetime | None]:
        with self._database.read() as tx:
            seen = {wave_id: waves.get(tx, wave_id) for wave_id in held}
            suppressed = deliveries.suppressed_since(tx, since)
            remote = self._database.dialect == "postgresql"
            return seen, suppressed, database_now(tx, since) if remote else None

    async def hold_wave(self, wave_id: int, reason: HoldReason) -> None:
        """Hold a whole wave for a reason found on the wire."""
        now = self._clock.reading().now

        def work(tx: Connection) -> str | None:
            wave = waves.get(tx, wave_id)
            if wave.state is not WaveState.SENDING:
                return None
            waves.hold(tx, wave, reason, Order(DESK, now))
            return wave.ref

        try:
            held = await persist(lambda: commit(self._database, work))
        except IllegalMove as error:
            log.debug(
                "Wave had moved already",
                action="wave_moved_already",
                wave=wave_id,
                reason=str(error),
            )
        else:
            if held:
                log.warning(
                    "Wave held",
                    action="wave_held",
                    release=held,
                    wave=wave_id,
                    reason=reason.value,
                )
