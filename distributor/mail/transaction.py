"""One mail on an open connection: MAIL, RCPT, DATA, body, dot, reply.

Invariant: nothing here decides by an exception whether a mail left; every path ends in
:class:`~distributor.core.outcome.TransactionFacts` (reliability section 0, finding 4).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from distributor.core.model import Outcome
from distributor.core.outcome import Phase, TransactionFacts, judge, parse_enhanced

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from distributor.mail.wire import Reply, Wire

#: Bytes of a body handed to the kernel at a time; each has the block timeout.
BLOCK: Final = 32 * 1024
_ATOM = r"(?:[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]|[^\x00-\xa0\u2000-\u200f\u2028-\u202f\u2066-\u2069])+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_MAILBOX = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@({_LABEL}(?:\.{_LABEL})*)")
#: RFC 5321 4.5.3.1: octets of a local part, and of a mailbox (a path of 256 less its brackets).
_MAX_LOCAL: Final = 64
_MAX_MAILBOX: Final = 254
_CONTINUE: Final = 354


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


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the server offers on this connection, as its last EHLO said."""

    extensions: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def size(self) -> bool:
        """SIZE= may be declared (RFC 1870)."""
        return "size" in self.extensions

    @property
    def smtputf8(self) -> bool:
        """Addresses may be international (RFC 6531)."""
        return "smtputf8" in self.extensions

    @property
    def pipelining(self) -> bool:
        """Commands may be sent without awaiting each answer (RFC 2920)."""
        return "pipelining" in self.extensions


@dataclass(frozen=True, slots=True)
class Envelope:
    """One mail for one recipient (I8).

    ``data`` are the final bytes: CRLF lines, not dot-stuffed. ``delivery`` and ``token`` (the
    claim's) are what the flight log notes. An empty ``mail_from`` is the null return path.
    """

    mail_from: str
    rcpt_to: str
    data: bytes
    delivery: int | str
    token: int | str | None = None


class Flight(Protocol):
    """What a transaction notes as it goes. Any of them may raise OSError: then it is not noted."""

    def started(self, delivery: int | str, *, token: int | str | None = None) -> None:
        """MAIL is about to be written."""

    def dotted(self, delivery: int | str, *, token: int | str | None = None) -> None:
        """The final dot is about to be written."""

    def answered(
        self,
        delivery: int | str,
        code: int | None,
        reply: str,
        *,
        token: int | str | None = None,
    ) -> None:
        """The server answered ``code``; None: it certainly did not take the mail."""


def is_mailbox(address: str) -> bool:
    """Whether ``address`` is the plain Mailbox of RFC 5321 that we send to, and nothing else.

    A dot-string local part and a domain of letters, digits and hyphens (A-labels). No quotes,
    routes, comments, groups or literals: row 6 of reliability section 6.
    """
    match = _MAILBOX.fullmatch(address)
    if match is None:
        return False
    try:
        local, whole = len(match[1].encode()), len(address.encode())
    except UnicodeEncodeError:
        return False
    return local <= _MAX_LOCAL and whole <= _MAX_MAILBOX and match[1].isprintable()


def dot_stuffed(data: bytes) -> bytes:
    """Return ``data`` as it goes on the wire before the final dot (RFC 5321 4.5.2)."""
    if data.startswith(b"."):
        data = b"." + data
    data = data.replace(b"\r\n.", b"\r\n..")
    return data if data.endswith(b"\r\n") else data + b"\r\n"


def _has_bare_endings(data: bytes) -> bool:
    ends = data.count(b"\r\n")
    return data.count(b"\n") != ends or data.count(b"\r") != ends or b"\0" in data


class Session:
    """One connection to a relay, used for one mail after the other."""

    def __init__(
        self, wire: Wire, *, capabilities: Capabilities | None = None, timeouts: Timeouts
    ) -> None:
        """Speak over ``wire``; what the server offers decides the parameters of MAIL."""
        self.capabilities = capabilities or Capabilities()
        self._wire = wire
        self._timeouts = timeouts
        self._must_reset = False

    @property
    def alive(self) -> bool:
        """The connection stands and the server has said nothing unasked."""
        return not self._wire.lost and not self._wire.unread

    async def send(
        self,
        envelope: Envelope,
        *,
        gate: Callable[[], str | None],
        flight: Flight,
        lease_ok: Callable[[], bool] = lambda: True,
    ) -> TransactionFacts:
        """Carry out one transaction and tell what was seen.

        ``gate`` says why the mail may not leave, or None; it is asked right before MAIL and
        again after 354 (I1). ``lease_ok`` is asked once more before the dot. When the facts
        call for it the connection has been dropped on return. A cancelled call drops it too:
        then the flight log alone knows how far it came.
        """
        facts = self._unfit(envelope)
        if facts is not None:
            return facts
        try:
            facts = await self._clean() or await self._converse(envelope, gate, flight, lease_ok)
        except BaseException:
            self.abort()
            raise
        _note(flight, envelope, facts)
        if judge(facts).drop:
            self.abort()
        self._must_reset = facts.phase in {Phase.RCPT, Phase.DATA}
        return facts

    async def noop(self) -> bool:
        """Keep the connection warm; False means that it is gone."""
        return await self._simple(b"NOOP")

    async def quit(self) -> None:
        """Say goodbye and close. Never fails: whatever was sent is already answered."""
        if self.alive:
            self._wire.write(b"QUIT\r\n")
            await self._wire.reply(min(self._timeouts.command_s, 5.0))
        self._wire.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await asyncio.shield(self._wire.closed)
        self.abort()

    def abort(self) -> None:
        """Drop the connection without another byte."""
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
        if self._must_reset and await self._simple(b"RSET"):
            self._must_reset = False
        if self.alive:
            return None
        reply = await self._wire.reply(0)
        return _facts(Phase.CONNECT, reply) if reply else TransactionFacts(Phase.CONNECT, cut=True)

    def _unfit(self, envelope: Envelope) -> TransactionFacts | None:
        """Refuse here what must never be written."""
        if envelope.mail_from and not is_mailbox(envelope.mail_from):
            return _local(Phase.MAIL, 553, "5.1.7", "sender address is not a plain mailbox")
        if _has_bare_endings(envelope.data):
            return _local(Phase.MAIL, 554, "5.6.0", "bare CR, LF or NUL in the message")
        if not is_mailbox(envelope.rcpt_to):
            return _local(Phase.RCPT, 553, "5.1.3", "address is not a plain mailbox")
        if self._needs_utf8(envelope) and not self.capabilities.smtputf8:
            text = "relay cannot take internationalised addresses"
            return _local(Phase.RCPT, 553, "5.6.7", text)
        return None

    @staticmethod
    def _needs_utf8(envelope: Envelope) -> bool:
        return not (envelope.mail_from + envelope.rcpt_to).isascii()

    def _mail_command(self, envelope: Envelope) -> bytes:
        command = f"MAIL FROM:<{envelope.mail_from}>"
        if self.capabilities.size:
            command += f" SIZE={len(envelope.data)}"
        if self._needs_utf8(envelope):
            command += " SMTPUTF8"
        return command.encode()

    async def _converse(
        self,
        envelope: Envelope,
        gate: Callable[[], str | None],
        flight: Flight,
        lease_ok: Callable[[], bool],
    ) -> TransactionFacts:
        if (shut := gate()) is not None:
            return TransactionFacts(Phase.MAIL, shut=shut)
        try:
            flight.started(envelope.delivery, token=envelope.token)
        except OSError as error:
            return _unlogged(Phase.MAIL, error)
        waits = self._timeouts
        rcpt = f"RCPT TO:<{envelope.rcpt_to}>".encode()
        refused = (
            await self._command(Phase.MAIL, self._mail_command(envelope), waits.command_s)
            or await self._command(Phase.RCPT, rcpt, waits.command_s)
            or await self._command(Phase.DATA, b"DATA", waits.data_s, wanted=_CONTINUE)
        )
        if refused is not None:
            return refused
        if (shut := gate()) is not None:
            return TransactionFacts(Phase.BODY, shut=shut)
        return await self._body(envelope.data) or await self._dot(envelope, flight, lease_ok)

    async def _command(
        self, phase: Phase, command: bytes, timeout_s: float, *, wanted: int = 2
    ) -> TransactionFacts | None:
        """Send one command; None when it was answered as ``wanted`` (code or first digit)."""
        self._wire.write(command + b"\r\n")
        facts = self._seen(phase, await self._wire.reply(timeout_s))
        code = facts.code or 0
        return None if wanted in {code, code // 100} and not facts.odd else facts

    def _seen(self, phase: Phase, reply: Reply | None, *, dotted: bool = False) -> TransactionFacts:
        if reply is None:
            text = self._wire.partial()
            return TransactionFacts(phase, reply=text, dotted=dotted, cut=True, odd=bool(text))
        return _facts(phase, reply, odd=self._wire.unread, dotted=dotted)

    async def _body(self, data: bytes) -> TransactionFacts | None:
        """Send everything but the dot; facts when that ends early."""
        body = memoryview(dot_stuffed(data))
        for start in range(0, len(body), BLOCK):
            self._wire.write(body[start : start + BLOCK])
            if not await self._wire.drained(self._timeouts.block_s):
                # What the server had begun to say is worth a moment: it may name the reason.
                reply = await self._wire.reply(1.0 if self._wire.unread else 0)
                return self._seen(Phase.BODY, reply)
        return None

    async def _dot(
        self, envelope: Envelope, flight: Flight, lease_ok: Callable[[], bool]
    ) -> TransactionFacts:
        if not lease_ok():
            return TransactionFacts(Phase.BODY, shut="lease")
        try:
            flight.dotted(envelope.delivery, token=envelope.token)
        except OSError as error:
            return _unlogged(Phase.BODY, error)
        self._wire.write(b".\r\n")
        return self._seen(
            Phase.DOT, await self._wire.reply(self._timeouts.after_dot_s), dotted=True
        )


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


def _note(flight: Flight, envelope: Envelope, facts: TransactionFacts) -> None:
    """Close the delivery's entry in the flight log, unless nobody knows how it ended."""
    outcome = judge(facts).outcome
    if outcome is Outcome.UNCERTAIN or facts.phase is Phase.CONNECT:
        return
    if facts.phase is Phase.MAIL and (facts.shut is not None or facts.local):
        return
    code = None if outcome is Outcome.NOT_SENT else facts.code
    # The outcome is known here in memory; the next mail finds the log unwritable and stops.
    with contextlib.suppress(OSError):
        flight.answered(envelope.delivery, code, facts.reply, token=envelope.token)
