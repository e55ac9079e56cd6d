"""One mail after the other on an open connection: MAIL, RCPT, DATA, body, dot, reply.

What the server offers decides how many round trips a mail takes. Without PIPELINING each command
waits for its answer. With it the three go out as one group; and where another mail is waiting,
its group leaves in one write with the dot before it (RFC 2920 3.1): it *rides*.

Invariant: nothing here decides by an exception whether a mail left; every path ends in
:class:`~distributor.core.outcome.TransactionFacts` (reliability section 0, finding 4).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from distributor.core.final import FinalBytes, FinalHead, blocks_of, size_of
from distributor.core.model import Outcome
from distributor.core.outcome import Phase, TransactionFacts, judge, parse_enhanced
from distributor.mail.capabilities import Capabilities
from distributor.mail.lines import dot_stuffed, has_bare_endings, is_mailbox, xtext

if TYPE_CHECKING:
    from distributor.mail.wire import Reply, Wire

#: Bytes of a body handed to the kernel at a time; each has the block timeout.
BLOCK: Final = 32 * 1024
_CONTINUE: Final = 354
#: A transaction that ended there left an envelope behind.
_RESET_AFTER: Final = frozenset({Phase.RCPT, Phase.DATA})

#: Why a mail may not leave now, or None.
Gate = Callable[[], "str | None"]
#: Gives the next mail and its gate where one waits to be sent; asked right before a dot.
Behind = Callable[[], "tuple[Envelope, Gate] | None"]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait for each step (RFC 5321 4.5.3.2), always apart, never one number.

    A short wait after the dot makes duplicates (finding 5): leave it at ten minutes.
    """

    connect_s: float = 30.0
    command_s: float = 300.0
    data_s: float = 120.0
    block_s: float = 180.0
    after_dot_s: float = 600.0


class Envelope(NamedTuple):
    """One mail for one recipient (I8). A tuple: every mail makes one.

    ``data`` are the final bytes: CRLF lines, not dot-stuffed; of :class:`FinalBytes` that is known
    already, and that no line begins with a dot; their end may be shared. ``delivery`` and ``token``
    (the claim's) are what the flight log notes. An empty ``mail_from`` is the null return path.
    ``reference`` is opaque and comes back in a notice of failure as its ENVID; it may be empty.
    """

    mail_from: str
    rcpt_to: str
    data: bytes
    delivery: int | str
    token: int | str | None = None
    reference: str = ""


@dataclass(slots=True, eq=False)
class _Errand:
    """One mail to send, and whom to ask on the way."""

    envelope: Envelope
    gate: Gate
    flight: Flight
    lease_ok: Callable[[], bool]
    behind: Behind | None


class Flight(Protocol):
    """What a transaction notes as it goes. Any of them may raise OSError: then it is not noted.

    What may ``wait`` is noted together with the next, which comes at once.
    """

    def started(
        self, delivery: int | str, *, token: int | str | None = None, wait: bool = False
    ) -> None:
        """MAIL is about to be written."""

    def dotted(
        self, delivery: int | str, *, token: int | str | None = None, wait: bool = False
    ) -> None:
        """The final dot is about to be written."""

    def answered(
        self,
        delivery: int | str,
        code: int | None,
        reply: str,
        *,
        token: int | str | None = None,
        wait: bool = False,
    ) -> None:
        """The server answered ``code``; None: it certainly did not take the mail."""

    def flush(self) -> None:
        """Nothing may wait any longer."""


class Session:
    """One connection to a relay, used for one mail after the other."""

    def __init__(
        self, wire: Wire, *, capabilities: Capabilities | None = None, timeouts: Timeouts
    ) -> None:
        """Speak over ``wire``; what the server offers decides how, and the parameters."""
        self.capabilities = capabilities or Capabilities()
        self._wire = wire
        self._timeouts = timeouts
        self._steps: Final = (
            (Phase.MAIL, timeouts.command_s, 2),
            (Phase.RCPT, timeouts.command_s, 2),
            (Phase.DATA, timeouts.data_s, _CONTINUE),
        )
        offers = self.capabilities
        # Asked at every mail: worked out once.
        self._pipelines: Final = offers.pipelining
        self._says_size: Final = offers.size
        self._size_max: Final = offers.size_max
        self._takes_utf8: Final = offers.smtputf8
        self._takes_8bit: Final = offers.eight_bit
        self._asks_notices: Final = offers.dsn
        self._must_reset = False
        self._dropped = False
        self._riding: Envelope | None = None

    @property
    def alive(self) -> bool:
        """The connection stands and the server has said nothing unasked."""
        return not self._wire.lost and (self._riding is not None or not self._wire.unread)

    def carries(self, envelope: Envelope) -> bool:
        """Whether that mail rides: its MAIL, RCPT and DATA are out, and it is to be sent next."""
        return self._riding is envelope

    async def send(
        self,
        envelope: Envelope,
        *,
        gate: Gate,
        flight: Flight,
        lease_ok: Callable[[], bool] = lambda: True,
        behind: Behind | None = None,
    ) -> TransactionFacts:
        """Carry out one transaction and tell what was seen.

        ``gate`` is asked right before the write that carries MAIL and again after 354 (I1),
        ``lease_ok`` once more before the dot. ``behind`` may give the mail that rides behind this
        one, on a server that takes it; where it does (:meth:`carries`), it must be sent next,
        whatever became of the connection. When the facts call for it the connection has been
        dropped on return. A cancelled call drops it too: then the flight log alone knows how far
        this mail came.

        Raises:
            ValueError: Another mail rides.

        """
        rides = self.carries(envelope)
        if self._riding is not None and not rides:
            raise ValueError("another mail rides on this connection")
        self._riding = None
        if not rides and (unfit := self._unfit(envelope)) is not None:
            return unfit
        errand = _Errand(envelope, gate, flight, lease_ok, behind)
        try:
            facts = await self._opened(errand, rides=rides) or await self._delivered(errand)
        except BaseException:
            self.abort()
            if self._riding is not None:
                cut = TransactionFacts(Phase.MAIL, cut=True)
                _note(flight, self._riding, cut, Outcome.NOT_SENT)
            raise
        judgement = judge(facts)
        if judgement.drop:
            self.abort()
        _note(flight, envelope, facts, judgement.outcome, wait=self._riding is not None)
        self._must_reset = facts.phase in _RESET_AFTER
        return facts

    async def noop(self) -> bool:
        """Keep the connection warm; False means that it is gone."""
        return await self._simple(b"NOOP\r\n")

    async def quit(self) -> None:
        """Say goodbye and close. Never fails: whatever was sent is already answered."""
        if self._riding is None and self.alive:
            self._wire.write(b"QUIT\r\n")
            await self._wire.reply(min(self._timeouts.command_s, 5.0))
        self._wire.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await asyncio.shield(self._wire.closed)
        self.abort()

    def abort(self) -> None:
        """Drop the connection without another byte."""
        self._dropped = True
        self._wire.abort()

    async def _simple(self, command: bytes) -> bool:
        if self.alive:
            facts = await self._command(Phase.CONNECT, command, self._timeouts.command_s)
            if facts is None:
                return True
        self.abort()
        return False

    async def _clean(self) -> TransactionFacts | None:
        """Bring the connection to where MAIL may follow; facts when that fails."""
        if self._must_reset and await self._simple(b"RSET\r\n"):
            self._must_reset = False
        if self.alive:
            return None
        reply = await self._wire.reply(0)
        return _facts(Phase.CONNECT, reply) if reply else TransactionFacts(Phase.CONNECT, cut=True)

    def _unfit(self, envelope: Envelope) -> TransactionFacts | None:
        """Refuse here what must never be written."""
        if envelope.mail_from and not is_mailbox(envelope.mail_from):
            return _local(Phase.MAIL, 553, "5.1.7", "sender address is not a plain mailbox")
        if not isinstance(envelope.data, FinalBytes) and has_bare_endings(envelope.data):
            return _local(Phase.MAIL, 554, "5.6.0", "bare CR, LF or NUL in the message")
        if not is_mailbox(envelope.rcpt_to):
            return _local(Phase.RCPT, 553, "5.1.3", "address is not a plain mailbox")
        if not self._takes_utf8 and not (envelope.mail_from + envelope.rcpt_to).isascii():
            text = "relay cannot take internationalised addresses"
            return _local(Phase.RCPT, 553, "5.6.7", text)
        if 0 < self._size_max < size_of(envelope.data):
            text = f"the mail is larger than the {self._size_max} octets that the relay takes"
            return _local(Phase.MAIL, 552, "5.3.4", text)
        return None

    def _lines(self, envelope: Envelope) -> tuple[str, str, str]:
        """MAIL, RCPT and DATA, with the parameters that this server takes."""
        mail_from, rcpt_to, data, _, _, reference = envelope
        utf8 = not (mail_from + rcpt_to).isascii()
        mail, rcpt = f"MAIL FROM:<{mail_from}>", f"RCPT TO:<{rcpt_to}>"
        if self._says_size:
            mail += f" SIZE={size_of(data)}"
        if utf8:
            mail += " SMTPUTF8"
        if self._takes_8bit and not isinstance(data, FinalBytes) and not data.isascii():
            mail += " BODY=8BITMIME"
        if self._asks_notices:
            mail += f" RET=HDRS ENVID={xtext(reference)}" if reference else " RET=HDRS"
            # An international address has a form of its own (RFC 6533), which few relays read.
            original = "" if utf8 else f" ORCPT=rfc822;{xtext(rcpt_to)}"
            rcpt += " NOTIFY=FAILURE,DELAY" + original
        return mail + "\r\n", rcpt + "\r\n", "DATA\r\n"

    def _admit(self, envelope: Envelope, gate: Gate, flight: Flight) -> TransactionFacts | None:
        """Ask and note what must be right before MAIL is written; facts when it may not be."""
        if (shut := gate()) is not None:
            return TransactionFacts(Phase.MAIL, shut=shut)
        try:
            flight.started(envelope.delivery, token=envelope.token)
        except OSError as error:
            return _unlogged(Phase.MAIL, error)
        return None

    async def _opened(self, errand: _Errand, *, rides: bool) -> TransactionFacts | None:
        """Bring a mail to its 354; facts when it does not come to that."""
        envelope = errand.envelope
        if not rides:
            stopped = await self._clean() or self._admit(envelope, errand.gate, errand.flight)
            if stopped is not None:
                return stopped
            if not self._pipelines:
                return await self._one_by_one(envelope)
            self._wire.write("".join(self._lines(envelope)).encode())
        elif self._dropped:
            # By what became of the mail before; of this one no content was sent.
            return TransactionFacts(Phase.MAIL, cut=True)
        return await self._answers()

    async def _one_by_one(self, envelope: Envelope) -> TransactionFacts | None:
        for line, (phase, wait_s, wanted) in zip(self._lines(envelope), self._steps, strict=True):
            refused = await self._command(phase, line.encode(), wait_s, wanted=wanted)
            if refused is not None:
                return refused
        return None

    async def _answers(self) -> TransactionFacts | None:
        """Read the three answers to a group; the first refusal is the mail's.

        What follows it must be refusals too. After a 354 there is no way back but a dot, which
        would deliver an empty mail: then, and after anything else, the connection is dropped.
        """
        refused: TransactionFacts | None = None
        wire = self._wire
        for phase, wait_s, wanted in self._steps:
            reply = wire.next() or await wire.reply(wait_s)
            owed = phase is not Phase.DATA
            if (
                refused is None
                and reply
                and _is_wanted(reply, wanted)
                and (owed or not wire.unread)
            ):
                continue
            facts = self._seen(phase, reply, owed=owed)
            if refused is not None:
                # Judged like one more refused RCPT: whatever else it is drops the connection.
                if judge(facts._replace(phase=Phase.RCPT)).drop:
                    return refused._replace(odd=True)
            elif not _is_wanted(facts, wanted):
                refused = facts
                if judge(facts).drop:
                    break
        return refused

    async def _delivered(self, errand: _Errand) -> TransactionFacts:
        """From the 354 on: content, dot, answer."""
        if (shut := errand.gate()) is not None:
            return TransactionFacts(Phase.BODY, shut=shut)
        if self._wire.unread:
            return await self._ended_early()
        data = errand.envelope.data
        body = data if isinstance(data, FinalBytes) else dot_stuffed(data)
        if len(body) > BLOCK or isinstance(body, FinalHead):
            *blocks, last = blocks_of(body, BLOCK)
            for block in blocks:
                self._wire.write(block)
                if not await self._wire.drained(self._timeouts.block_s):
                    return await self._ended_early()
            body = last
        return await self._dot(errand, body)

    async def _ended_early(self) -> TransactionFacts:
        """What the server had begun to say before the dot is worth a moment: it may name why."""
        reply = await self._wire.reply(1.0 if self._wire.unread else 0)
        return self._seen(Phase.BODY, reply)

    async def _command(
        self, phase: Phase, command: bytes, timeout_s: float, *, wanted: int = 2
    ) -> TransactionFacts | None:
        """Send one command; None when it was answered as ``wanted`` (code or first digit)."""
        self._wire.write(command)
        facts = self._seen(phase, await self._wire.reply(timeout_s))
        return None if _is_wanted(facts, wanted) else facts

    def _seen(
        self, phase: Phase, reply: Reply | None, *, dotted: bool = False, owed: bool = False
    ) -> TransactionFacts:
        """What one answer says; with ``owed``, more of them are due and may be there already."""
        if reply is None:
            text = self._wire.partial()
            return TransactionFacts(phase, reply=text, dotted=dotted, cut=True, odd=bool(text))
        return _facts(phase, reply, odd=self._wire.unread and not owed, dotted=dotted)

    async def _dot(self, errand: _Errand, last: bytes | memoryview) -> TransactionFacts:
        """Send the last block with the dot, and what rides behind it, in one write."""
        envelope, flight = errand.envelope, errand.flight
        follower = errand.behind() if errand.behind and self._pipelines else None
        if not errand.lease_ok():
            return TransactionFacts(Phase.BODY, shut="lease")
        try:
            flight.dotted(envelope.delivery, token=envelope.token, wait=follower is not None)
            behind = self._let_ride(*follower, flight) if follower else b""
            flight.flush()
        except OSError as error:
            self._riding = None
            return _unlogged(Phase.BODY, error)
        wire = self._wire
        wire.write(b"".join((last, b".\r\n", behind)))
        if wire.waiting and not await self._is_dot_out(len(behind)):
            return TransactionFacts(Phase.BODY, cut=True)
        reply = await wire.reply(self._timeouts.after_dot_s)
        return self._seen(Phase.DOT, reply, dotted=True, owed=self._riding is not None)

    async def _is_dot_out(self, behind: int) -> bool:
        """Wait until the kernel has taken the dot, or the server says something.

        When neither comes in time the connection is dropped at once, and with it the dot that
        never left this process: then that mail certainly did not arrive.
        """
        if await self._wire.drained(self._timeouts.block_s) or self._wire.unread:
            return True
        if self._wire.held_back > behind:
            self.abort()
            return False
        return True

    def _let_ride(self, envelope: Envelope, gate: Gate, flight: Flight) -> bytes:
        """The group of the mail that rides behind the dot; nothing when it may not.

        Raises:
            OSError: Neither its start nor the dot before it can be noted.

        """
        if self._unfit(envelope) or gate() is not None:
            return b""
        flight.started(envelope.delivery, token=envelope.token)
        self._riding = envelope
        return "".join(self._lines(envelope)).encode()


def _is_wanted(seen: Reply | TransactionFacts, wanted: int) -> bool:
    """Whether a reply is of the code, or the first digit, that was asked for, and plain."""
    code = seen.code or 0
    return wanted in {code, code // 100} and not seen.odd


def _facts(
    phase: Phase, reply: Reply, *, odd: bool = False, dotted: bool = False
) -> TransactionFacts:
    return TransactionFacts(
        phase,
        code=reply.code,
        enhanced=parse_enhanced(reply.text),
        reply=reply.text,
        odd=reply.odd or odd,
        dotted=dotted,
    )


def _local(phase: Phase, code: int, enhanced: str, text: str) -> TransactionFacts:
    return TransactionFacts(phase, code, enhanced, f"{enhanced} {text} (local)", local=True)


def _unlogged(phase: Phase, error: OSError) -> TransactionFacts:
    text = f"flight log could not be written: {error.strerror} (local)"
    return TransactionFacts(phase, reply=text, local=True)


def _note(
    flight: Flight,
    envelope: Envelope,
    facts: TransactionFacts,
    outcome: Outcome,
    *,
    wait: bool = False,
) -> None:
    """Close the delivery's entry in the flight log, unless nobody knows how it ended.

    With another mail riding it may ``wait`` for that one's dot, which is written next.
    """
    if outcome is Outcome.UNCERTAIN or facts.phase is Phase.CONNECT:
        return
    if facts.phase is Phase.MAIL and (facts.shut is not None or facts.local):
        return
    code = None if outcome is Outcome.NOT_SENT else facts.code
    # The outcome is known here in memory; the next mail finds the log unwritable and stops.
    with contextlib.suppress(OSError):
        flight.answered(envelope.delivery, code, facts.reply, token=envelope.token, wait=wait)
