"""The far end of the wire: a server that follows a seeded plan, and its own record, the judge's.

A mail counts as received when the server keeps it, whatever it then says, or does not say.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import random
import re
import socket
import ssl
import struct
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from tests.mail.scripted import OK_ANSWERS, Cut, Wait, _end_of, _Incoming, _Over, _said
from tests.torture.faults import BY_NAME, PERSONAL, SECURING, SENDING, SETTING_UP, Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from tests.mail.scripted import Step

_MESSAGE_ID = re.compile(rb"^Message-ID: (<[^>\r\n]+>)\r\n", re.MULTILINE | re.IGNORECASE)
_PATH = re.compile(rb"(?:FROM|TO):<([^>]*)>", re.IGNORECASE)
#: Linger for no time at all: closing sends a reset.
_AT_ONCE: Final = struct.pack("ii", 1, 0)


@dataclass
class Seen:
    """One transaction as it was seen. Instants are the receiver's, in seconds."""

    mail_at: float
    sender: str
    address: str | None = None
    content_at: float | None = None
    data: bytes = b""
    dotted_at: float | None = None
    kept: bool = False
    refused: bool = False
    fault: str = ""

    @property
    def message_id(self) -> str:
        found = _MESSAGE_ID.search(self.data.partition(b"\r\n\r\n")[0] + b"\r\n")
        return found[1].decode("latin-1") if found else ""


@dataclass(frozen=True)
class Rates:
    """How often something goes wrong: by connection, and by mail."""

    setting_up: float = 0.0
    sending: float = 0.0


class Plan:
    """What goes wrong when; the same for the same seed, whoever comes first."""

    def __init__(
        self,
        seed: str,
        rates: Rates,
        *,
        only: Sequence[str] | None = None,
        secured: bool = False,
        big: bool = False,
    ) -> None:
        self.rates = rates
        self.calm = False
        self._seed = seed
        setting_up = (*SETTING_UP, *(SECURING if secured else ()))
        self._setting_up = [fault for fault in setting_up if only is None or fault.name in only]
        self._sending = [
            fault
            for fault in (SENDING if only is None else map(BY_NAME.__getitem__, only))
            if fault in SENDING and (big or not fault.big)
        ]
        self._personal_left = 1
        self._tries: Counter[str] = Counter()
        self.happened: Counter[str] = Counter()

    def of_connection(self) -> Fault | None:
        fault = self._draw("connection", self.rates.setting_up, self._setting_up)
        if fault is not None and fault.name in PERSONAL:
            if not self._personal_left:
                return None
            self._personal_left -= 1
        return fault

    def of_mail(self) -> Fault | None:
        return self._draw("mail", self.rates.sending, self._sending)

    def keeps(self, fault: Fault) -> bool:
        """Whether the mail is kept; tossed for where it might be either."""
        if fault.keeps is not None:
            return fault.keeps
        return self._dice(f"keeps {fault.name}").random() < 0.5

    def _draw(self, key: str, rate: float, faults: Sequence[Fault]) -> Fault | None:
        dice = self._dice(key)
        if self.calm or not faults or dice.random() >= rate:
            return None
        return dice.choice(faults)

    def _dice(self, key: str) -> random.Random:
        self._tries[key] += 1
        return random.Random(f"{self._seed}/{key}/{self._tries[key]}")  # noqa: S311 - not secret


@dataclass
class _Talk:
    """One connection: its fault while it is set up, and that of the mail under way."""

    setting_up: Fault | None
    mail: Seen | None = None
    fault: Fault | None = None
    secured: bool = False
    expected: str = ""
    faults: list[str] = field(default_factory=list[str])

    def meets(self, *steps: str) -> Fault | None:
        for fault in (self.setting_up, self.fault):
            if fault is not None and fault.step in steps:
                return fault
        return None


class _Stamped(_Incoming):
    """A client's bytes, and when each arrived: that may be long before the server reads it."""

    def __init__(self, reader: asyncio.StreamReader, clock: Callable[[], float]) -> None:
        super().__init__(reader)
        self._read = 0
        self._ends = [0]
        self._times = [clock()]
        feed: Any = reader.feed_data
        held: Any = reader

        def fed(data: bytes) -> None:
            self._ends.append(self._ends[-1] + len(data))
            self._times.append(clock())
            feed(data)

        if early := len(held._buffer):
            self._ends[0] = early
        held.feed_data = fed

    @property
    def taken(self) -> int:
        """How many bytes the server has dealt with."""
        return self._read - len(self._rest)

    def arrived_s(self, count: int) -> float:
        """When so many bytes had arrived."""
        return self._times[min(bisect.bisect_left(self._ends, count), len(self._times) - 1)]

    async def some(self) -> bytes:
        fresh = b"\n" not in self._rest
        data = await super().some()
        self._read += len(data) if fresh else 0
        return data


class Receiver:
    """See the module; ``clock`` is its own, in seconds."""

    def __init__(
        self,
        plan: Plan,
        clock: Callable[[], float],
        *,
        offers: tuple[str, ...],
        tls: ssl.SSLContext | None = None,
        dot_takes_s: float = 0.0,
        receive_buffer: int | None = None,
    ) -> None:
        self.plan = plan
        self.record: list[Seen] = []
        self.offers = offers
        self.dot_takes_s = dot_takes_s
        self._clock = clock
        self._tls = tls
        self._receive_buffer = receive_buffer
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    @property
    def kept(self) -> list[Seen]:
        return [seen for seen in self.record if seen.kept]

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def open(self) -> None:
        """Listen, on the same port as before."""
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self._receive_buffer is not None:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        listening.bind(("127.0.0.1", self.port))
        self.port = listening.getsockname()[1]
        self._server = await asyncio.start_server(self._serve, sock=listening)

    async def close(self) -> None:
        """Stop listening and reset every connection, as a server that dies."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(_Over, OSError, asyncio.IncompleteReadError, ssl.SSLError):
                await self._converse(_Stamped(reader, self._clock), writer)
        except asyncio.CancelledError:
            pass
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _converse(self, incoming: _Stamped, writer: asyncio.StreamWriter) -> None:
        talk = _Talk(self.plan.of_connection())
        await self._answer(writer, talk, "banner")
        while True:
            line = await incoming.line()
            verb = line.split(b" ")[0].decode("latin-1").lower()
            if verb == "quit":
                await self._do(writer, OK_ANSWERS["quit"])
                return
            if verb == "ehlo":
                await self._hello(writer, talk)
            elif verb == "starttls":
                await self._answer(writer, talk, verb)
                assert self._tls is not None
                await writer.start_tls(self._tls)
                talk.secured = True
            elif verb == "mail":
                self._begin(talk, line, incoming.arrived_s(incoming.taken))
                await self._answer(writer, talk, verb)
            elif verb == "rcpt":
                await self._recipient(writer, talk, line)
            elif verb == "data":
                await self._content(incoming, writer, talk)
            else:
                await self._answer(writer, talk, verb)

    async def _hello(self, writer: asyncio.StreamWriter, talk: _Talk) -> None:
        if talk.meets("ehlo"):
            await self._answer(writer, talk, "ehlo")
            return
        offers = list(self.offers)
        if self._tls is not None and not talk.secured:
            offers = ["STARTTLS"]
            if talk.meets("offer"):
                self._count(talk, talk.meets("offer"))
                offers = ["SIZE"]
        lines = ["receiver", *offers]
        shown = [f"250-{line}" for line in lines[:-1]] + [f"250 {lines[-1]}"]
        await self._do(writer, "".join(f"{line}\r\n" for line in shown).encode())

    def _begin(self, talk: _Talk, line: bytes, at_s: float) -> None:
        path = _PATH.search(line)
        talk.setting_up = None
        talk.fault = self.plan.of_mail()
        talk.mail = Seen(at_s, path[1].decode() if path else "?")
        self.record.append(talk.mail)

    async def _recipient(self, writer: asyncio.StreamWriter, talk: _Talk, line: bytes) -> None:
        path = _PATH.search(line)
        if talk.mail is not None:
            talk.mail.address = path[1].decode() if path else "?"
        if talk.expected != "rcpt":
            await self._do(writer, b"503 5.5.1 bad sequence\r\n")
            return
        if talk.meets("rset"):
            # A refusal is what calls for a RSET.
            await self._do(writer, b"450 4.2.0 later\r\n")
            talk.expected = ""
            return
        await self._answer(writer, talk, "careless" if talk.meets("careless") else "rcpt")

    async def _content(self, incoming: _Stamped, writer: asyncio.StreamWriter, talk: _Talk) -> None:
        careless = talk.meets("careless") is not None
        if talk.expected != "data" and not careless:
            await self._do(writer, b"503 5.5.1 bad sequence\r\n")
            return
        said = await self._answer(writer, talk, "data")
        if not said.startswith(b"354"):
            return
        mail = talk.mail
        assert mail is not None
        if early := talk.meets("body"):
            self._count(talk, early)
            self._note(talk, _said(early.does))
            await self._do(writer, early.does)
        await self._body(incoming, writer, talk, mail)
        mail.dotted_at = self._clock()
        if early or careless:
            raise _Over
        fault = talk.meets("dot")
        mail.kept = self.plan.keeps(fault) if fault else not mail.refused
        if self.dot_takes_s:
            await asyncio.sleep(self.dot_takes_s)
        await self._answer(writer, talk, "dot")
        if talk.meets("idle"):
            self._count(talk, talk.meets("idle"))
            await asyncio.sleep(0.001)
            await self._do(writer, talk.meets("idle").does)  # type: ignore[union-attr]

    async def _body(
        self, incoming: _Stamped, writer: asyncio.StreamWriter, talk: _Talk, mail: Seen
    ) -> None:
        middle = talk.meets("middle")
        body = bytearray()
        first = incoming.taken + 1
        while (end := _end_of(body)) < 0:
            some = await incoming.some()
            if mail.content_at is None:
                mail.content_at = incoming.arrived_s(first)
            body += some
            if middle is not None:
                self._count(talk, middle)
                self._note(talk, _said(middle.does))
                await self._do(writer, middle.does)
                middle = None
        incoming.put_back(bytes(body[end:]))
        mail.data = bytes(body[:end])

    async def _answer(self, writer: asyncio.StreamWriter, talk: _Talk, step: str) -> bytes:
        fault = talk.meets(step)
        does: Step = fault.does if fault else OK_ANSWERS.get(step, b"500 5.5.1 what?\r\n")
        if fault is not None:
            self._count(talk, fault)
        said = _said(does)
        if step in {"mail", "rcpt", "data", "careless", "dot"}:
            if not (step == "data" and talk.meets("careless")):
                self._note(talk, said)
            talk.expected = ""
            if said.startswith(b"2"):
                talk.expected = {"mail": "rcpt", "rcpt": "data"}.get(step, "")
        await self._do(writer, does)
        return said

    def _note(self, talk: _Talk, said: bytes) -> None:
        if talk.mail is not None and said.startswith(b"5"):
            talk.mail.refused = True

    def _count(self, talk: _Talk, fault: Fault | None) -> None:
        assert fault is not None
        self.plan.happened[fault.name] += 1
        if talk.mail is not None:
            talk.mail.fault = fault.name

    async def _do(self, writer: asyncio.StreamWriter, step: Step) -> None:
        for act in step if isinstance(step, tuple) else (step,):
            if isinstance(act, Wait):
                await asyncio.sleep(act.seconds)
            elif isinstance(act, Cut):
                if act.reset:
                    connected = writer.get_extra_info("socket")
                    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                else:
                    writer.close()
                raise _Over
            elif act:
                writer.write(act)
                await writer.drain()
