"""The way to a mail server: connects, secures, logs in, and rests after failures.

aiosmtplib does it up to the first MAIL; then the transport is ours (``transport.set_protocol``).

Invariant: no password and no mail crosses a connection that is neither TLS with a certificate we
trust nor loopback, and no password is in any message, repr or traceback (rows 25 and 31).
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import socket
import ssl
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

import aiosmtplib

from distributor.core.health import Health
from distributor.core.limits import Allowance, Limits
from distributor.core.outcome import clean_reply
from distributor.core.returnpath import ReturnPath
from distributor.errors import RelayError
from distributor.mail.farend import (
    certificate_until,
    is_loopback,
    let_go,
    reason_of,
    tls_of,
    untrusted,
)
from distributor.mail.transaction import Capabilities, Session, Timeouts
from distributor.mail.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from pydantic import SecretStr

_MASK: Final = "********"
_dice = secrets.SystemRandom()


@dataclass(frozen=True, slots=True)
class RelayPolicy:
    """How to reach one mail server.

    An empty ``username`` means no login; an empty ``hello_name`` this machine's name; no
    ``ca_file`` the system's certificates. ``none`` for ``security`` is for loopback only.
    """

    name: str
    host: str
    port: int
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password: SecretStr | None = field(default=None, repr=False)
    ca_file: Path | None = None
    hello_name: str = ""
    connections: int = 4
    limits: Limits = field(default_factory=Limits)
    return_path: ReturnPath = field(default_factory=ReturnPath)
    timeouts: Timeouts = field(default_factory=Timeouts)


@dataclass(frozen=True, slots=True)
class Probe:
    """What a mail server showed when asked. ``certificate_until`` is None without TLS.

    ``refusals``: for each sender tried what was said against it, None when it was taken.
    """

    extensions: tuple[str, ...]
    tls_version: str | None
    certificate_until: datetime | None
    logged_in: bool
    took_s: float
    refusals: tuple[str | None, ...] = ()


class Relay:
    """One mail server, and how it fares."""

    def __init__(self, policy: RelayPolicy) -> None:
        """Remember the way; nothing is opened yet."""
        self.policy = policy
        self.health = Health()
        self.allowance = Allowance(policy.limits)
        #: The octets of the largest mail it takes; None until it was asked, or where it is silent.
        self.size_max: int | None = None
        self._failed_with = ""
        self._context: ssl.SSLContext | None = None

    @property
    def name(self) -> str:
        """What the log calls it."""
        return self.policy.name

    @property
    def connections(self) -> int:
        """How many connections may be open now: fewer after failures."""
        return self.policy.connections - self.health.fewer

    @property
    def rest_s(self) -> float:
        """Seconds until a connection may be tried; 0 when it may be now."""
        until = max(self.health.retry_at, self.health.trial_until)
        return max(until - asyncio.get_running_loop().time(), 0.0)

    async def connect(self) -> Session:
        """Open a connection that is secured, logged in and ready for MAIL.

        Raises:
            RelayError: it cannot be had; ``permanent`` when a person must act first. While the
                relay rests or is stopped this is said without trying.

        """
        self._admit()
        try:
            session = self._handed_over(await self._open())
        except RelayError as error:
            self.failed(error)
            raise
        self.health = self.health.after_connecting()
        return session

    def may_carry(self) -> bool:
        """Whether a connection that stands may take a mail now; after failures one tries for all.

        Who is told so tries it, and says :meth:`worked`, :meth:`failed` or :meth:`proved_nothing`.
        """
        now = asyncio.get_running_loop().time()
        if not self.health.may_carry(now):
            return False
        if self.health.unproven:
            until = now + self.policy.timeouts.connect_s
            self.health = replace(self.health, trial_until=until)
        return True

    def worked(self) -> None:
        """A mail was answered as it should be, whatever the answer."""
        if not self.health.well or self.health.fewer:
            self.health = self.health.after_success(at=asyncio.get_running_loop().time())

    def proved_nothing(self) -> None:
        """A mail ended by nobody's doing, such as a shut gate: the next one may try."""
        if self.health.unproven:
            self.health = replace(self.health, trial_until=0.0)

    def failed(self, error: RelayError, *, carrying: bool = False) -> None:
        """Count a failure of the relay: a connection, or, ``carrying``, a transaction."""
        self._failed_with = str(error)
        self.health = self.health.after_failure(
            error,
            at=asyncio.get_running_loop().time(),
            jitter=_dice.random(),
            connections=self.policy.connections,
            carrying=carrying,
        )

    @property
    def fares(self) -> tuple[str, str]:
        """How it fares, in a word, and why; what a server said is in it, cleaned."""
        if self.health.stopped_by is not None:
            return "stopped", self._failed_with
        if self.health.well:
            return "well", ""
        return ("broken" if self.health.broken else "resting"), self._failed_with

    def reset(self) -> None:
        """Forget every failure: a person has acted."""
        self.health = Health()
        self._context = None

    async def probe(self, senders: Sequence[str] = (), *, recipient: str = "") -> Probe:
        """Connect, secure, log in and say goodbye; health is left alone.

        Each of ``senders`` is offered in MAIL, with ``recipient`` in RCPT, and taken back: no mail
        is sent. RCPT, because many servers look at the sender only then.

        Raises:
            RelayError: it did not come to that.

        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        smtp = await self._open()
        took_s = loop.time() - began
        try:
            refusals = [await _refusal(smtp, sender, recipient) for sender in senders]
        except _FAILURES as error:
            smtp.close()
            raise self._explained(error) from error
        session = self._handed_over(smtp)
        tls = tls_of(smtp.transport)
        await session.quit()
        return Probe(
            extensions=tuple(sorted(session.capabilities.extensions)),
            tls_version=tls.version() if tls else None,
            certificate_until=certificate_until(tls) if tls else None,
            logged_in=bool(self.policy.username),
            took_s=took_s,
            refusals=tuple(self._masked(said) if said else None for said in refusals),
        )

    def _admit(self) -> None:
        """Refuse to try while resting; a half-open breaker lets one pass."""
        if self.health.stopped_by is not None:
            stopped = self.health.stopped_by
            raise RelayError(str(stopped), code=stopped.code, permanent=True, remedy=stopped.remedy)
        if self.rest_s > 0:
            failures = self.health.failures
            raise RelayError(
                f"{self.name} rests for {self.rest_s:.0f} s after {failures} failures",
                remedy="It is tried again by itself.",
            )
        if self.health.broken:
            until = asyncio.get_running_loop().time() + self.policy.timeouts.connect_s
            self.health = replace(self.health, trial_until=until)

    def _handed_over(self, smtp: aiosmtplib.SMTP) -> Session:
        transport = smtp.transport
        if not isinstance(transport, asyncio.Transport) or transport.is_closing():
            raise RelayError(f"{self._where} closed the connection")
        offers = Capabilities(dict(smtp.esmtp_extensions))
        self.size_max = offers.size_max or None
        return Session(
            Wire(transport),
            capabilities=offers,
            timeouts=self.policy.timeouts,
        )

    @property
    def _where(self) -> str:
        return f"{self.policy.name} ({self.policy.host}:{self.policy.port})"

    async def _open(self) -> aiosmtplib.SMTP:
        """Return a client that stands right before its first MAIL."""
        smtp: aiosmtplib.SMTP | None = None
        try:
            smtp = await self._prepared()
            return smtp
        finally:
            # aiosmtplib waits by wait_for, which on Python 3.11 swallows a cancellation that
            # comes together with the answer (mended in 3.12): a courier would never end.
            if _is_cancelled():
                if smtp is not None:
                    smtp.close()
                raise asyncio.CancelledError

    async def _prepared(self) -> aiosmtplib.SMTP:
        try:
            reached = await self._reach()
            smtp = await self._greet(reached)
        except _FAILURES as error:
            raise self._explained(error) from error
        try:
            await self._introduce(smtp)
            refusal = await self._log_in(smtp)
        except _FAILURES as error:
            smtp.close()
            raise self._explained(error) from error
        except BaseException:
            smtp.close()
            raise
        if refusal is not None:
            smtp.close()
            raise refusal
        return smtp

    async def _reach(self) -> socket.socket:
        """Open TCP to the first address that answers, within the connect timeout in all.

        Ours, because aiosmtplib has one number for connecting and for the greeting, which may
        take five minutes (RFC 5321 4.5.3.2).
        """
        loop = asyncio.get_running_loop()
        limit_s = self.policy.timeouts.connect_s
        async with asyncio.timeout(limit_s):
            found = await loop.getaddrinfo(
                self.policy.host, self.policy.port, type=socket.SOCK_STREAM
            )
            last: OSError | None = None
            for family, kind, protocol, _, address in found:
                reached = socket.socket(family, kind, protocol)
                reached.settimeout(0)
                try:
                    async with asyncio.timeout(limit_s / len(found)):
                        await loop.sock_connect(reached, address)
                except OSError as error:
                    reached.close()
                    last = error
                except BaseException:
                    reached.close()
                    raise
                else:
                    return reached
        raise last or OSError("no address")

    async def _greet(self, reached: socket.socket) -> aiosmtplib.SMTP:
        policy = self.policy
        try:
            self._refuse_clear_text(reached)
            smtp = aiosmtplib.SMTP(
                hostname=policy.host,
                sock=reached,
                local_hostname=policy.hello_name or None,
                timeout=policy.timeouts.command_s,
                use_tls=policy.security == "tls",
                start_tls=False,
                tls_context=None if policy.security == "none" else await self._trust(),
            )
        except BaseException:
            reached.close()
            raise
        try:
            await smtp.connect()
        except BaseException:
            smtp.close()
            let_go(reached)
            raise
        return smtp

    def _refuse_clear_text(self, reached: socket.socket) -> None:
        if self.policy.security == "none" and not is_loopback(reached):
            raise RelayError(
                f"{self._where} is not on this machine, and mail may not go there in clear text",
                permanent=True,
                remedy='Set relay.security to "starttls" or "tls".',
            )

    async def _introduce(self, smtp: aiosmtplib.SMTP) -> None:
        await smtp.ehlo()
        if self.policy.security != "starttls":
            return
        if not smtp.supports_extension("starttls"):
            raise RelayError(
                f"{self._where} does not offer STARTTLS: nothing was sent to it",
                permanent=True,
                remedy="Somebody may be in between. Ask whoever runs the server; if it speaks TLS "
                'from the first byte, set relay.security to "tls".',
            )
        await smtp.starttls(tls_context=await self._trust())
        # What it offered in clear text counts for nothing (RFC 3207 4.2).
        await smtp.ehlo()

    async def _log_in(self, smtp: aiosmtplib.SMTP) -> RelayError | None:
        """Log in once, by one method; a refusal is returned so that it carries no traceback.

        The frames of the library hold the password, and its own login tries method after
        method with the same password, which locks accounts.
        """
        if not self.policy.username:
            return None
        method = next((name for name in _METHODS if name in smtp.server_auth_methods), None)
        if method is None:
            return RelayError(
                f"{self._where} offers no way to log in that we know (PLAIN, LOGIN, CRAM-MD5)",
                permanent=True,
                remedy="Check relay.port and relay.security, or leave relay.username empty.",
            )
        try:
            await _auth(smtp, method, self.policy)
        except _FAILURES as error:
            return self._explained(error)
        return None

    async def _trust(self) -> ssl.SSLContext:
        if self._context is None:
            cafile = str(self.policy.ca_file) if self.policy.ca_file else None
            try:
                self._context = await asyncio.to_thread(ssl.create_default_context, cafile=cafile)
            except (OSError, ssl.SSLError) as error:
                raise RelayError(
                    f"the certificates in {cafile} cannot be read",
                    permanent=True,
                    remedy="relay.ca_file names a PEM file of the certificates to trust.",
                ) from error
        return self._context

    def _explained(self, error: Exception) -> RelayError:
        """Put a failure into words, without a secret in them."""
        if isinstance(error, RelayError):
            return error
        distrust = untrusted(error)
        if distrust is not None:
            return RelayError(
                f"{self._where} showed a certificate that cannot be trusted: "
                f"{distrust.verify_message}",
                permanent=True,
                remedy="Check relay.host, this machine's clock, and relay.ca_file if the "
                "certificate is your own.",
            )
        if isinstance(error, aiosmtplib.SMTPResponseException):
            return self._answered(error)
        if isinstance(error, TimeoutError):
            return RelayError(f"{self._where} did not answer in time")
        if isinstance(error, ValueError):
            return RelayError(
                f"{self._where}: relay.host or relay.hello_name is not a host name",
                permanent=True,
                remedy="Write them as plain host names.",
            )
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        reason = reason_of(cause)
        return RelayError(
            f"{self._where} cannot be reached: {self._masked(reason)}",
            remedy="Check relay.host, relay.port and the network.",
        )

    def _answered(self, error: aiosmtplib.SMTPResponseException) -> RelayError:
        said = self._masked(error.message)
        if error.code < 0:
            return RelayError(f"{self._where} does not speak SMTP: {said}")
        refused_login = isinstance(error, aiosmtplib.SMTPAuthenticationError)
        permanent = error.code // 100 == 5 and not isinstance(  # noqa: PLR2004
            error, aiosmtplib.SMTPConnectResponseError | aiosmtplib.SMTPHeloError
        )
        return RelayError(
            f"{self._where} answered {error.code} {said}",
            code=error.code,
            permanent=permanent,
            remedy="Check relay.username and the password." if refused_login else None,
        )

    def _masked(self, said: str) -> str:
        """Clean what a server said; it may have said our own password back to us."""
        text = clean_reply(said.encode("utf-8", "surrogateescape"))
        if self.policy.password is not None:
            secret = self.policy.password.get_secret_value()
            both = f"\0{self.policy.username}\0{secret}"
            coded = [base64.b64encode(value.encode()).decode() for value in (secret, both)]
            for form in (*coded, secret):
                text = text.replace(form, _MASK) if form else text
        return text


#: In order of liking: under TLS the plain ones are the safest, being the simplest.
_METHODS: Final = ("plain", "login", "cram-md5")


_FAILURES: Final = (aiosmtplib.SMTPException, OSError, ValueError, RelayError)


async def _auth(smtp: aiosmtplib.SMTP, method: str, policy: RelayPolicy) -> None:
    call = {"plain": smtp.auth_plain, "login": smtp.auth_login, "cram-md5": smtp.auth_crammd5}
    password = policy.password.get_secret_value() if policy.password else ""
    await call[method](policy.username, password)


async def _refusal(smtp: aiosmtplib.SMTP, sender: str, recipient: str) -> str | None:
    """What the server says against this sender; the envelope is taken back."""
    said: str | None = None
    try:
        await smtp.mail(sender)
        await smtp.rcpt(recipient)
    except aiosmtplib.SMTPResponseException as error:
        said = f"{error.code} {error.message}"
    await smtp.rset()
    return said


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
