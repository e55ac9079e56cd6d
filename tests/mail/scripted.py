"""An SMTP server that does what a test tells it to: refuse, defer, stall, cut, answer rubbish.

It keeps every command and every body byte as they came, so that a test can say what never came.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType


@dataclass(frozen=True)
class Cut:
    """Close the connection, with a reset when ``reset``."""

    reset: bool = False


@dataclass(frozen=True)
class Wait:
    """Say nothing for so long."""

    seconds: float = 3600.0


CUT: Final = Cut()
SILENCE: Final = Wait()

#: What one step does, in order.
Step = bytes | Cut | Wait | tuple[bytes | Cut | Wait, ...]

OK_ANSWERS: Final[dict[str, Step]] = {
    "banner": b"220 scripted ESMTP\r\n",
    "starttls": b"220 2.0.0 go ahead\r\n",
    "auth": b"235 2.7.0 welcome\r\n",
    "mail": b"250 2.1.0 sender ok\r\n",
    "rcpt": b"250 2.1.5 recipient ok\r\n",
    "data": b"354 go ahead\r\n",
    "dot": b"250 2.0.0 Ok: queued as 4F3A\r\n",
    "rset": b"250 2.0.0 forgotten\r\n",
    "noop": b"250 2.0.0 here\r\n",
    "quit": b"221 2.0.0 bye\r\n",
}
OFFERS: Final = ("SIZE 10240000", "8BITMIME", "ENHANCEDSTATUSCODES")
PIPELINING: Final = (*OFFERS, "PIPELINING")
_NO_SEQUENCE: Final = b"503 5.5.1 bad sequence of commands\r\n"


class _Over(Exception):
    """This conversation has ended."""


@dataclass
class Conversation:
    """What one client said: commands without line ends, and the bytes after each 354.

    ``taken`` has a pair for each body that came to its dot: its RCPT line, and what was said.
    """

    commands: list[bytes] = field(default_factory=list[bytes])
    bodies: list[bytearray] = field(default_factory=list[bytearray])
    taken: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])
    rcpt: bytes = b""
    secured: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def verbs(self) -> list[str]:
        return [command.split(b" ")[0].decode("latin-1").upper() for command in self.commands]


@dataclass
class InBody:
    """What happens once ``after`` body bytes have come."""

    after: int
    does: Step


class _Incoming:
    """A client's bytes as lines or as they come; several commands may be in one segment."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._rest = bytearray()

    async def line(self) -> bytes:
        while b"\n" not in self._rest:
            self._rest += await self.some()
        line, _, rest = self._rest.partition(b"\n")
        self._rest = rest
        return bytes(line).rstrip(b"\r")

    async def some(self) -> bytes:
        if data := bytes(self._rest) if b"\n" in self._rest else b"":
            self._rest.clear()
            return data
        data = await self._reader.read(65536)
        if not data:
            raise _Over
        return data

    def put_back(self, data: bytes) -> None:
        self._rest[:0] = data


class Scripted:
    """Answers by step: banner, ehlo, starttls, auth, mail, rcpt, data, dot, rset, noop, quit.

    A list in ``answers`` gives its first step the first time, and so on; the last one stays.
    RCPT and DATA after a refusal are out of sequence, unless the server is ``careless``.
    """

    def __init__(
        self,
        *,
        offers: tuple[str, ...] = OFFERS,
        offers_in_tls: tuple[str, ...] | None = None,
        tls: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        in_body: InBody | list[InBody | None] | None = None,
        careless: bool = False,
        receive_buffer: int | None = None,
        answers: Mapping[str, Step | list[Step]] | None = None,
        **always: Step,
    ) -> None:
        self.offers = offers
        self.offers_in_tls = offers if offers_in_tls is None else offers_in_tls
        self.tls = tls
        self.implicit_tls = implicit_tls
        self.in_body = list(in_body) if isinstance(in_body, list) else [in_body]
        self.careless = careless
        self.receive_buffer = receive_buffer
        self.answers: dict[str, list[Step]] = {
            verb: list(answer) if isinstance(answer, list) else [answer]
            for verb, answer in {**OK_ANSWERS, **always, **(answers or {})}.items()
        }
        self.conversations: list[Conversation] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def last(self) -> Conversation:
        return self.conversations[-1]

    async def __aenter__(self) -> Self:
        listening = socket.socket()
        if self.receive_buffer is not None:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
        listening.bind(("127.0.0.1", 0))
        self.port: int = listening.getsockname()[1]
        self._server = await asyncio.start_server(
            self._serve, sock=listening, ssl=self.tls if self.implicit_tls else None
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        conversation = Conversation(secured=self.implicit_tls)
        self.conversations.append(conversation)
        try:
            with contextlib.suppress(_Over, OSError, asyncio.IncompleteReadError, ssl.SSLError):
                await self._converse(reader, writer, conversation)
        except asyncio.CancelledError:
            pass
        finally:
            conversation.over.set()
            writer.transport.abort()
            self._tasks.discard(task)

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Conversation
    ) -> None:
        await self._do(writer, self._step("banner"))
        incoming = _Incoming(reader)
        expected = ""
        while True:
            seen.commands.append(await incoming.line())
            verb = seen.verbs[-1].lower()
            if verb == "ehlo" and "ehlo" not in self.answers:
                await self._do(writer, self._ehlo(secured=seen.secured))
                continue
            if verb in {"rcpt", "data"} and verb not in expected and not self.careless:
                await self._do(writer, _NO_SEQUENCE)
                continue
            step = self._step(verb)
            if verb == "rcpt":
                seen.rcpt = seen.commands[-1]
            await self._do(writer, step)
            if _said(step).startswith(b"2"):
                expected = {"mail": "rcpt", "rcpt": "data"}.get(verb, expected)
            if verb == "starttls" and self.tls is not None:
                await writer.start_tls(self.tls)
                seen.secured = True
            elif verb == "data" and b"354" in _said(step):
                expected = ""
                await self._body(incoming, writer, seen)
            elif verb == "quit":
                raise _Over

    def _step(self, verb: str) -> Step:
        steps = self.answers.get(verb, [b"500 5.5.1 what?\r\n"])
        return steps.pop(0) if len(steps) > 1 else steps[0]

    def _ehlo(self, *, secured: bool) -> bytes:
        lines = ["scripted", *(self.offers_in_tls if secured else self.offers)]
        shown = [f"250-{line}" for line in lines[:-1]] + [f"250 {lines[-1]}"]
        return "".join(f"{line}\r\n" for line in shown).encode()

    async def _do(self, writer: asyncio.StreamWriter, step: Step) -> None:
        for act in step if isinstance(step, tuple) else (step,):
            if isinstance(act, Wait):
                await asyncio.sleep(act.seconds)
            elif isinstance(act, Cut):
                if not act.reset:
                    writer.close()
                raise _Over
            else:
                writer.write(act)
                await writer.drain()

    async def _body(
        self, incoming: _Incoming, writer: asyncio.StreamWriter, seen: Conversation
    ) -> None:
        body = bytearray()
        seen.bodies.append(body)
        told = self.in_body.pop(0) if len(self.in_body) > 1 else self.in_body[0]
        if told is not None and told.after == 0:
            await self._do(writer, told.does)
        looked = 0
        while (end := _end_of(body, looked)) < 0:
            looked = max(0, len(body) - 4)
            body += await incoming.some()
            if told is not None and len(body) >= told.after > 0:
                await self._do(writer, told.does)
                told = None
        incoming.put_back(bytes(body[end:]))
        del body[end:]
        step = self._step("dot")
        seen.taken.append((seen.rcpt, _said(step)))
        await self._do(writer, step)


def _end_of(body: bytearray, start: int = 0) -> int:
    """Where the commands after a body begin; -1 while its dot has not come, from ``start`` on."""
    if body.startswith(b".\r\n"):
        return 3
    found = body.find(b"\r\n.\r\n", start)
    return found + 5 if found >= 0 else -1


def _said(step: Step) -> bytes:
    acts = step if isinstance(step, tuple) else (step,)
    return b"".join(act for act in acts if isinstance(act, bytes))


def certificate(folder: Path, *, host: str = "IP:127.0.0.1") -> tuple[ssl.SSLContext, Path]:
    """Make a self-signed certificate for ``host``: the server's context, and the PEM to trust."""
    key, pem = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=scripted", "-addext", f"subjectAltName={host}"),
            *("-keyout", str(key), "-out", str(pem)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    return context, pem
