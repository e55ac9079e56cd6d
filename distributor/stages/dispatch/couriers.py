"""Couriers: connections kept to one relay, each carrying one parcel after the other.

Those of a less preferred relay take parcels only while no better one is well and under its limits.

Invariant: nothing is decided here about what a transaction came to; that is
:mod:`distributor.core.outcome`, and what it means for the row is the recorder's matter.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from distributor.core.limits import domain_of
from distributor.core.model import Outcome
from distributor.core.outcome import Blame, Judgement, Phase, TransactionFacts
from distributor.core.states import DeliveryState
from distributor.core.timing import Shut
from distributor.errors import MessageError, RelayError
from distributor.mail.transaction import Envelope
from distributor.stages.dispatch.parcels import Hand, Load

if TYPE_CHECKING:
    from collections.abc import Callable

    from distributor.clock import GuardedClock
    from distributor.mail.flightlog import FlightLog
    from distributor.mail.relay import Relay
    from distributor.mail.relays import Relays
    from distributor.mail.transaction import Session
    from distributor.stages.dispatch.claims import Claims
    from distributor.stages.dispatch.parcels import Line, Parcel
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
#: How often a courier whose turn it is not, or that may not carry yet, asks again, in seconds.
_TURN_S = 0.05
#: Why the gate is shut for a mail whose recipient objected after it was given out.
_OBJECTED = "objection"
#: Why it is shut for a mail that rides while its claim is taken back.
_WITHDRAWN = "withdrawn"
#: What follows a relay's own remedy, once it is stopped.
_AGAIN = " It is tried again at the next release, or when the worker is started again."


class Call:
    """The call for connections: whether any are wanted, until when, and whether one stands."""

    def __init__(self) -> None:
        """None is wanted yet."""
        self.wanted = asyncio.Event()
        self.standing = asyncio.Event()
        self.warm_until_s = 0.0
        self._alive = 0

    def stands(self, change: int) -> None:
        """So many connections more, or fewer, stand."""
        self._alive += change
        if self._alive:
            self.standing.set()
        else:
            self.standing.clear()


class Couriers:
    """Everybody who carries to one relay; each runs :meth:`carry` until cancelled."""

    def __init__(  # noqa: PLR0913 - a room where everything comes together
        self,
        relay: Relay,
        relays: Relays,
        line: Line,
        call: Call,
        *,
        claims: Claims,
        recorder: Recorder,
        clock: GuardedClock,
        flight: FlightLog,
    ) -> None:
        """Nobody carries yet. ``relays`` are all there are, ``recorder`` is this one's."""
        self.relay = relay
        self._relays = relays
        self._line = line
        self._call = call
        self._claims = claims
        self._recorder = recorder
        self._clock = clock
        self._flight = flight
        self._first = asyncio.Lock()
        limits = relay.policy.limits
        self._limited = bool(str(limits) or limits.domains)
        #: Asks nobody while it is well: the preferred relay, without limits.
        self._free = relay is relays.first and not self._limited
        self._may = self._may_go if limits.domains else None
        self.alive = 0
        self._complained = ""

    def try_anew(self) -> None:
        """A wave begins: a relay that failed before gets a fresh try, not the rest of its rest."""
        if not self.alive:
            self.relay.reset()
            self._complained = ""

    # --- connections ----------------------------------------------------------------------------

    async def carry(self, number: int) -> None:
        """One courier's life: keep a connection while one is wanted, and carry over it.

        ``number`` counts this relay's couriers from 0: after failures only the first ones carry on.
        """
        while True:
            await self._call.wanted.wait()
            if number >= self.relay.connections or not self._is_near():
                await asyncio.sleep(_TURN_S)
                continue
            session = await self._connect()
            if session is None:
                continue
            self.alive += 1
            self._call.stands(1)
            carried = 0
            try:
                carried = await self._carry_on(session, number)
            finally:
                self.alive -= 1
                self._call.stands(-1)
                await session.quit()
            if not carried:
                # A server that lets us in and out again is not asked in a tight loop.
                await asyncio.sleep(_FIRST_PAUSE_S)

    async def _connect(self) -> Session | None:
        """Open a connection. While none stands one courier tries alone.

        A wrong password is then tried once and not once a connection, which locks accounts.
        """
        if self.alive:
            return await self._try()
        async with self._first:
            return await self._try()

    async def _try(self) -> Session | None:
        if self.relay.rest_s > 0 or self.relay.health.stopped_by is not None:
            await asyncio.sleep(min(self.relay.rest_s or _LOOK_AROUND_S, _LOOK_AROUND_S))
            return None
        try:
            session = await self.relay.connect()
        except RelayError as error:
            self._complain(error)
            return None
        if self._complained:
            log.info("Relay reached again", action="relay_reached", relay=self.relay.name)
            self._complained = ""
        return session

    def _complain(self, error: RelayError) -> None:
        """Say it once, not at every try; a relay that is stopped is an alarm."""
        if error.permanent:
            log.error(
                "Relay stopped",
                action="relay_stopped",
                relay=self.relay.name,
                reason=str(error),
                remedy=f"{error.remedy or ''}{_AGAIN}",
            )
        elif str(error) != self._complained:
            name = self.relay.name
            log.warning("Relay not reached", action="relay_failed", relay=name, reason=str(error))
        self._complained = str(error)

    async def _carry_on(self, session: Session, number: int) -> int:
        """Carry while the connection stands and is wanted; gives how many mails it took."""
        carried = setbacks = 0
        #: When this connection was found idle, and last shown to be alive; None: it has carried.
        idle_since_s: float | None = None
        noop_at_s = 0.0
        hand = Hand()
        while session.alive or hand.load is not None:
            load = hand.take() or await self._next_load(session)
            if load is None:
                if number >= self.relay.connections:
                    break
                now_s = self._clock.monotonic()
                if idle_since_s is None:
                    idle_since_s = noop_at_s = now_s
                if not self._claims.any and now_s >= self._call.warm_until_s:
                    if now_s - idle_since_s >= IDLE_S:
                        self._call.wanted.clear()
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
            idle_since_s = None
        return carried

    async def _next_load(self, session: Session) -> Load | None:
        parcel = await self._next_parcel(session)
        return None if parcel is None else self._load(parcel)

    async def _next_parcel(self, session: Session) -> Parcel | None:
        """The next parcel for a connection that stands; None after a while without one."""
        await self._line.wait(_LOOK_AROUND_S)
        # Closed on us while idle: that is nobody's failure, another one carries it.
        if not session.alive or not self._line:
            return None
        parcel = self._pick()
        if parcel is None:
            await asyncio.sleep(_TURN_S)
        return parcel

    def _pick(self) -> Parcel | None:
        """Take the next parcel that may go over this relay now, if there is one."""
        if self._free and self.relay.health.well:
            return self._line.pick()
        now_s = self._clock.monotonic()
        if self._relays.wait_s(self.relay, now_s) > 0:
            return None
        parcel = self._line.pick(self._may)
        if parcel is None:
            return None
        if not self.relay.may_carry():
            self._line.put_back(parcel)
            return None
        if self._limited:
            self.relay.allowance.begin(_domain_of(parcel), now_s)
        return parcel

    def _may_go(self, parcel: Parcel) -> bool:
        """Whether the recipient's own domain has not had enough for now."""
        wait_s = self.relay.allowance.domain_wait_s(_domain_of(parcel), self._clock.monotonic())
        return wait_s <= 0

    def _is_near(self) -> bool:
        """Whether a connection is worth having: it is this relay's turn, or soon will be."""
        if self._free:
            return True
        return self._relays.wait_s(self.relay, self._clock.monotonic()) < IDLE_S

    # --- one mail -------------------------------------------------------------------------------

    async def _send(self, session: Session, load: Load, hand: Hand) -> bool:
        """Carry out one transaction and hand in what came of it; False after a setback."""
        outcome = Outcome.NOT_SENT
        try:
            if not _rides(session, load) and not await self._set_out(session, load):
                self.relay.proved_nothing()
                return True
            facts = await self._transact(session, load, hand)
            judgement = self._recorder.take(
                load.parcel.holding,
                load.parcel.delivery,
                facts,
                began=load.began,
                ended=self._claims.lately().now,
            )
            outcome = judgement.outcome
        finally:
            if self._limited:
                sent = outcome is not Outcome.NOT_SENT
                self.relay.allowance.end(_domain_of(load.parcel), sent=sent)
        self._learn(facts, judgement)
        return facts.shut is not None or outcome is not Outcome.NOT_SENT

    async def _set_out(self, session: Session, load: Load) -> bool:
        """Bring a load that does not ride to where its MAIL may be written; False: it stays."""
        holding, delivery = load.parcel.holding, load.parcel.delivery
        if not session.alive:
            # It was to follow a mail that broke the connection, and never reached the wire.
            await self._claims.take_back(holding, [delivery])
            return False
        if self._claims.is_suppressed(delivery):
            await self._claims.take_back(holding, [delivery], DeliveryState.SUPPRESSED)
            return False
        while self._claims.shut(holding) is Shut.STALE:  # noqa: ASYNC110 - a look makes no event
            # The next look lets it go, or tells why not: sent back now it would come again.
            await asyncio.sleep(_STALE_S)
        await self._recorder.room()
        load.began = self._claims.lately().now
        return True

    def _learn(self, facts: TransactionFacts, judgement: Judgement) -> None:
        """What one transaction says of the relay, or of our own flight log."""
        if judgement.blame is Blame.RELAY:
            self.relay.failed(RelayError(facts.reply or None, code=facts.code), carrying=True)
            log.warning(
                "Relay failed",
                action="relay_failed",
                relay=self.relay.name,
                code=facts.code,
                phase=facts.phase,
            )
        elif facts.code is not None and not facts.local and facts.phase is not Phase.MAIL:
            self.relay.worked()
        else:
            self.relay.proved_nothing()
            if facts.local and facts.code is None:
                # Without a note of it nothing leaves; the disk must be seen to.
                log.error("Flight log not written", action="flight_log_failed", reason=facts.reply)

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
            return _WITHDRAWN if rides and self._line.is_withdrawn(holding) else None

        return gate

    def _follow(self, hand: Hand) -> tuple[Envelope, Callable[[], str | None]] | None:
        """Take the next parcel in hand, if one waits, and give it out if it may leave now."""
        if not self._line or not self._recorder.has_room or not self.relay.health.well:
            return None
        parcel = self._pick()
        if parcel is None:
            return None
        if self._claims.shut(parcel.holding) is not None:
            # It waits where its claim can take it back.
            self._line.put_back(parcel)
            if self._limited:
                self.relay.allowance.end(_domain_of(parcel), sent=False)
            return None
        hand.load = load = self._load(parcel)
        return (load.content, self._gate(parcel)) if isinstance(load.content, Envelope) else None

    def _load(self, parcel: Parcel) -> Load:
        delivery, letter = parcel.delivery, parcel.letter
        began = self._claims.lately().now
        try:
            data = parcel.made()
        except MessageError as error:
            text = f"5.6.0 {error} (local)"
            refusal = TransactionFacts(Phase.RCPT, 554, "5.6.0", text, local=True)
            return Load(parcel, began, refusal)
        envelope = Envelope(
            mail_from=self.relay.policy.return_path.of(
                delivery.reference, sender=letter.sender.address
            ),
            rcpt_to=delivery.recipient.address,
            data=data,
            delivery=delivery.id,
            token=parcel.holding.claim.token,
            reference=delivery.reference,
        )
        return Load(parcel, began, envelope)


def _rides(session: Session, load: Load) -> bool:
    return isinstance(load.content, Envelope) and session.carries(load.content)


def _domain_of(parcel: Parcel) -> str:
    return domain_of(parcel.delivery.recipient.address)
