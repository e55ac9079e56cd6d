"""Couriers: connections kept to the relay, each carrying one parcel after the other.

Invariant: nothing is decided here about what a transaction came to; that is
:mod:`distributor.core.outcome`, and what it means for the row is the recorder's matter.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from distributor.core.model import Outcome
from distributor.core.outcome import Blame, Phase, TransactionFacts
from distributor.core.states import DeliveryState
from distributor.core.timing import Shut
from distributor.errors import MessageError, RelayError
from distributor.mail.transaction import Envelope

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from distributor.clock import GuardedClock
    from distributor.core.letter import Letter
    from distributor.core.model import Delivery
    from distributor.mail.flightlog import FlightLog
    from distributor.mail.relay import Relay
    from distributor.mail.transaction import Session
    from distributor.stages.dispatch.claims import Claims, Holding
    from distributor.stages.dispatch.recording import Recorder

log = structlog.get_logger(__name__)

#: An idle connection is let go after so many seconds without anything to expect.
IDLE_S = 60.0
#: A connection kept for something to come is shown to be alive so often, in seconds.
NOOP_S = 20.0
#: The longest wait for a parcel before a courier looks around, in seconds.
_LOOK_AROUND_S = 1.0
#: How often marks that are too old are asked for again, in seconds.
_STALE_S = 0.05
#: Pause after a setback on a connection, in seconds; doubled with each one in a row.
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0
#: How many parcels may wait while more are brought: as many as leave while a group is marked.
AHEAD = 100
#: Why the gate is shut for a mail whose recipient objected after it was given out.
_OBJECTED = "objection"
#: Why it is shut for a mail that rides while its claim is taken back.
_WITHDRAWN = "withdrawn"
#: What follows a relay's own remedy, once it is stopped.
_AGAIN = " It is tried again at the next release, or when the worker is started again."


@dataclass(slots=True, eq=False)
class Parcel:
    """One delivery on its way to a connection, with the letter its copy is made from."""

    holding: Holding
    delivery: Delivery
    letter: Letter


@dataclass(slots=True, eq=False)
class Load:
    """A parcel with its copy made, or why it cannot be; ``began`` is when it set out."""

    parcel: Parcel
    began: datetime
    content: Envelope | TransactionFacts


@dataclass(slots=True)
class Hand:
    """What a courier carries next on its connection: at most one load, mostly riding already."""

    load: Load | None = None

    def take(self) -> Load | None:
        """Empty the hand."""
        load, self.load = self.load, None
        return load


class Couriers:
    """Everybody who carries; each runs :meth:`carry` until cancelled."""

    def __init__(
        self,
        relay: Relay,
        claims: Claims,
        recorder: Recorder,
        clock: GuardedClock,
        *,
        flight: FlightLog,
    ) -> None:
        """Nobody carries yet."""
        self._relay = relay
        self._claims = claims
        self._recorder = recorder
        self._clock = clock
        self._flight = flight
        self._parcels: deque[Parcel] = deque()
        self._brought = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._wanted = asyncio.Event()
        self._standing = asyncio.Event()
        self._first = asyncio.Lock()
        self._withdrawn: set[int] = set()
        self._alive = 0
        self._warm_until_s = 0.0
        self._complained = ""

    @property
    def count(self) -> int:
        """How many connections are kept at most."""
        return self._relay.policy.connections

    # --- what dispatch asks ---------------------------------------------------------------------

    def call(self, *, warm_until_s: float = 0.0) -> None:
        """Have connections opened, and kept at least until that monotonic instant."""
        self._warm_until_s = max(self._warm_until_s, warm_until_s)
        self._wanted.set()

    def try_anew(self) -> None:
        """A wave begins: a relay that failed before gets a fresh try, not the rest of its rest."""
        if not self._standing.is_set():
            self._relay.reset()
            self._complained = ""

    async def ready(self, wait_s: float) -> bool:
        """Whether a connection stands; waits so long for one."""
        self._wanted.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._standing.wait()
        return self._standing.is_set()

    async def room(self, wait_s: float) -> bool:
        """Whether few enough parcels wait to bring more; waits so long for it."""
        if not self._room.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._room.wait()
        return self._room.is_set()

    def take(self, parcels: Sequence[Parcel]) -> None:
        """Take parcels to carry, in their order."""
        for token in {parcel.holding.claim.token for parcel in parcels}:
            self._withdrawn.discard(token)
        self._parcels.extend(parcels)
        self._tell()

    def _tell(self) -> None:
        """Have whoever waits for parcels, or for room for them, look again."""
        if self._parcels:
            self._brought.set()
        if len(self._parcels) <= AHEAD:
            self._room.set()
        else:
            self._room.clear()

    def withdraw(self, holding: Holding) -> list[Delivery]:
        """Hand out again what waits of that claim; what is on the wire is finished.

        But a mail that rides waits too, for the answer to the one before it: its content stays.
        """
        self._withdrawn.add(holding.claim.token)
        waiting = list(self._parcels)
        self._parcels = deque(parcel for parcel in waiting if parcel.holding is not holding)
        self._tell()
        return [parcel.delivery for parcel in waiting if parcel.holding is holding]

    # --- connections ----------------------------------------------------------------------------

    async def carry(self) -> None:
        """One courier's life: keep a connection while one is wanted, and carry over it."""
        while True:
            await self._wanted.wait()
            session = await self._connect()
            if session is None:
                continue
            self._alive += 1
            self._standing.set()
            carried = 0
            try:
                carried = await self._carry_on(session)
            finally:
                self._alive -= 1
                if not self._alive:
                    self._standing.clear()
                await session.quit()
            if not carried:
                # A server that lets us in and out again is not asked in a tight loop.
                await asyncio.sleep(_FIRST_PAUSE_S)

    async def _connect(self) -> Session | None:
        """Open a connection. While none stands one courier tries alone.

        A wrong password is then tried once and not once a connection, which locks accounts.
        """
        if self._alive:
            return await self._try()
        async with self._first:
            return await self._try()

    async def _try(self) -> Session | None:
        if self._relay.rest_s > 0 or self._relay.health.stopped_by is not None:
            await asyncio.sleep(min(self._relay.rest_s or _LOOK_AROUND_S, _LOOK_AROUND_S))
            return None
        try:
            session = await self._relay.connect()
        except RelayError as error:
            self._complain(error)
            return None
        if self._complained:
            log.info("Relay reached again", action="relay_reached")
            self._complained = ""
        return session

    def _complain(self, error: RelayError) -> None:
        """Say it once, not at every try; a relay that is stopped is an alarm."""
        if error.permanent:
            log.error(
                "Relay stopped",
                action="relay_stopped",
                reason=str(error),
                remedy=f"{error.remedy or ''}{_AGAIN}",
            )
        elif str(error) != self._complained:
            log.warning("Relay not reached", action="relay_failed", reason=str(error))
        self._complained = str(error)

    async def _carry_on(self, session: Session) -> int:
        """Carry while the connection stands and is wanted; gives how many mails it took."""
        carried = setbacks = 0
        idle_since_s = noop_at_s = self._clock.monotonic()
        hand = Hand()
        while session.alive or hand.load is not None:
            load = hand.take() or await self._next_load(session)
            now_s = self._clock.monotonic()
            if load is None:
                if not self._claims.any and now_s >= self._warm_until_s:
                    if now_s - idle_since_s >= IDLE_S:
                        self._wanted.clear()
                        break
                elif now_s - noop_at_s >= NOOP_S:
                    await session.noop()
                    noop_at_s = now_s
                continue
            stood = session.alive
            if await self._send(session, load, hand):
                carried, setbacks = carried + 1, 0
            elif stood:
                setbacks += 1
                await asyncio.sleep(
                    min(_FIRST_PAUSE_S * 2 ** min(setbacks - 1, 5), _LONGEST_PAUSE_S)
                )
            idle_since_s = noop_at_s = self._clock.monotonic()
        return carried

    async def _next_load(self, session: Session) -> Load | None:
        parcel = await self._next_parcel(session)
        return None if parcel is None else self._load(parcel)

    async def _next_parcel(self, session: Session) -> Parcel | None:
        """The next parcel for a connection that stands; None after a while without one."""
        if not self._parcels:
            self._brought.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_AROUND_S):
                    await self._brought.wait()
        # Closed on us while idle: that is nobody's failure, another one carries it.
        return self._pick() if session.alive else None

    def _pick(self) -> Parcel | None:
        if not self._parcels:
            return None
        parcel = self._parcels.popleft()
        if len(self._parcels) <= AHEAD:
            self._room.set()
        return parcel

    # --- one mail -------------------------------------------------------------------------------

    async def _send(self, session: Session, load: Load, hand: Hand) -> bool:
        """Carry out one transaction and hand in what came of it; False after a setback."""
        holding, delivery = load.parcel.holding, load.parcel.delivery
        if not _rides(session, load):
            if not session.alive:
                # It was to follow a mail that broke the connection, and never reached the wire.
                await self._claims.take_back(holding, [delivery])
                return True
            if self._claims.is_suppressed(delivery):
                await self._claims.take_back(holding, [delivery], DeliveryState.SUPPRESSED)
                return True
            while self._claims.shut(holding) is Shut.STALE:  # noqa: ASYNC110 - a look makes no event
                # The next look lets it go, or tells why not: sent back now it would come again.
                await asyncio.sleep(_STALE_S)
            await self._recorder.room()
            load = replace(load, began=self._claims.lately().now)
        facts = await self._transact(session, load, hand)
        judgement = self._recorder.take(
            holding, delivery, facts, began=load.began, ended=self._claims.lately().now
        )
        if judgement.blame is Blame.RELAY:
            self._relay.failed(RelayError(facts.reply or None, code=facts.code))
            log.warning("Relay failed", action="relay_failed", code=facts.code, phase=facts.phase)
        elif facts.local and facts.code is None:
            # Without a note of it nothing leaves; the disk must be seen to.
            log.error("Flight log not written", action="flight_log_failed", reason=facts.reply)
        return facts.shut is not None or judgement.outcome is not Outcome.NOT_SENT

    async def _transact(self, session: Session, load: Load, hand: Hand) -> TransactionFacts:
        if isinstance(load.content, TransactionFacts):
            return load.content
        holding = load.parcel.holding
        return await session.send(
            load.content,
            gate=self._gate(load.parcel, rides=_rides(session, load)),
            flight=self._flight,
            lease_ok=lambda: self._claims.shut(holding) is not Shut.LEASE,
            behind=lambda: self._follow(hand),
        )

    def _gate(self, parcel: Parcel, *, rides: bool = False) -> Callable[[], str | None]:
        """The gate of one mail. An objection shuts it too, for as long as no content is out."""
        holding, delivery = parcel.holding, parcel.delivery

        def gate() -> str | None:
            if (shut := self._claims.shut(holding)) is not None:
                return shut
            if self._claims.is_suppressed(delivery):
                return _OBJECTED
            return _WITHDRAWN if rides and holding.claim.token in self._withdrawn else None

        return gate

    def _follow(self, hand: Hand) -> tuple[Envelope, Callable[[], str | None]] | None:
        """Take the next parcel in hand, if one waits, and give it out if it may leave now."""
        if not self._parcels or not self._recorder.has_room:
            return None
        if self._claims.shut(self._parcels[0].holding) is not None:
            # It waits where its claim can take it back.
            return None
        parcel = self._parcels.popleft()
        if len(self._parcels) <= AHEAD:
            self._room.set()
        hand.load = load = self._load(parcel)
        return (load.content, self._gate(parcel)) if isinstance(load.content, Envelope) else None

    def _load(self, parcel: Parcel) -> Load:
        delivery, letter = parcel.delivery, parcel.letter
        began = self._claims.lately().now
        try:
            data = letter.copy_for(
                delivery.recipient,
                reference=delivery.reference,
                date=delivery.dated_at,
            )
        except MessageError as error:
            text = f"5.6.0 {error} (local)"
            refusal = TransactionFacts(Phase.RCPT, 554, "5.6.0", text, local=True)
            return Load(parcel, began, refusal)
        envelope = Envelope(
            mail_from=letter.return_path,
            rcpt_to=delivery.recipient.address,
            data=data,
            delivery=delivery.id,
            token=parcel.holding.claim.token,
            reference=delivery.reference,
        )
        return Load(parcel, began, envelope)


def _rides(session: Session, load: Load) -> bool:
    return isinstance(load.content, Envelope) and session.carries(load.content)
