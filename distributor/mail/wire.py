"""The protocol that reads an SMTP server's replies and drains our bytes to the last one.

Invariant: no reply, however long or broken, takes more than a bounded amount of memory, and none
raises: what cannot be read is a :class:`Reply` without a code.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from distributor.core.outcome import REPLY_LIMIT, clean_reply

if TYPE_CHECKING:
    from collections.abc import Callable

#: A whole reply may not be longer, in bytes; a real one is under 1 KiB.
MAX_REPLY: Final = 32 * 1024
#: More unread replies than any command of ours can call for.
MAX_WAITING: Final = 16
#: How often to look whether TLS has handed its last record to the kernel, in seconds.
_TLS_POLL_S: Final = 0.002
#: A reply may start with 1 to 5 only (RFC 5321 4.2.1); the rest of the code is taken as it comes.
_REPLY_LINE = re.compile(rb"([1-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)


class Reply(NamedTuple):
    """One whole answer of the server; ``code`` is None when it cannot be read as one."""

    code: int | None
    text: str
    odd: bool = False


class Wire(asyncio.Protocol):
    """The server's bytes as replies, and our bytes drained to the last one.

    Replies queue up in order, so that several commands may be under way (RFC 2920). Once
    something cannot be read, everything after it is thrown away: memory stays bounded.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        """Take over a connection that is open, secured and logged in."""
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._buffer = b""
        self._lines: list[bytes] = []
        self._size = 0
        self._replies: deque[Reply] = deque()
        self._garbled = False
        self._waiter: asyncio.Future[None] | None = None
        self._late_at_s = 0.0
        self._late = False
        self._timer: asyncio.TimerHandle | None = None
        self.closed = self._loop.create_future()
        self._tls = _tls_socket_transport(transport)
        # An empty buffer, not a low one, is what a drained block means. A TLS transport takes
        # the limit 0 as "always full", so 1 and 0 there.
        if self._tls is None:
            transport.set_write_buffer_limits(high=0)
        else:
            transport.set_write_buffer_limits(high=1, low=0)
            self._tls.set_write_buffer_limits(high=0)
        transport.set_protocol(self)

    @property
    def lost(self) -> bool:
        """No more bytes can go out."""
        return self.closed.done() or self._transport.is_closing()

    @property
    def unread(self) -> bool:
        """The server said something that nobody has asked for, or not yet."""
        return bool(self._replies or self._lines or self._buffer or self._garbled)

    @property
    def waiting(self) -> int:
        """How many bytes that were written are not with the kernel yet."""
        held = self._transport.get_write_buffer_size()
        return held if self._tls is None else held + self._tls.get_write_buffer_size()

    @property
    def held_back(self) -> int:
        """How many of them certainly are not: TLS does not tell what its records hold."""
        return self._transport.get_write_buffer_size()

    def write(self, data: bytes | memoryview) -> None:
        """Send ``data``; what the kernel does not take waits in the transport."""
        self._transport.write(data)

    def abort(self) -> None:
        """Drop the connection at once; what was not handed to the kernel is never sent."""
        self._transport.abort()

    def close(self) -> None:
        """Close the connection after what was written."""
        self._transport.close()

    def next(self) -> Reply | None:
        """Return the next reply if it is here already."""
        return self._replies.popleft() if self._replies else None

    async def reply(self, timeout_s: float) -> Reply | None:
        """Return the next reply, or None when none comes within ``timeout_s`` or ever."""
        if not self._replies:
            await self._until(self._is_told, timeout_s)
        return self.next()

    async def drained(self, timeout_s: float) -> bool:
        """Wait until every byte is with the kernel.

        Return False when that does not happen in time, or when the server answers or leaves
        before: either ends a body early.
        """
        await self._until(lambda: self.waiting == 0 or self.unread or self.lost, timeout_s)
        return self.waiting == 0 and not self.unread and not self.lost

    def partial(self) -> str:
        """Return what came of a reply that never ended."""
        return clean_reply(b" ".join([*self._lines, self._buffer[:REPLY_LIMIT]]))

    def _is_told(self) -> bool:
        return bool(self._replies) or self.lost

    async def _until(self, ready: Callable[[], bool], timeout_s: float) -> None:
        if ready():
            return
        self._late = False
        self._late_at_s = self._loop.time() + timeout_s
        while not ready() and not self._late:
            self._mind_the_time()
            self._waiter = self._loop.create_future()
            if self._tls is not None and self._tls.get_write_buffer_size():
                # Nothing tells us when the record layer has emptied its own buffer.
                self._loop.call_later(_TLS_POLL_S, self._wake)
            await self._waiter

    def _mind_the_time(self) -> None:
        """Have the wait end when it is late.

        One timer serves many waits: it goes off, finds the wait it was set for over, and is set
        anew. A timer for each would cost as much as the rest of the wait.
        """
        if self._timer is None or self._timer.when() > self._late_at_s:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(self._late_at_s, self._look_late)

    def _look_late(self) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if self._loop.time() < self._late_at_s:
            self._timer = self._loop.call_at(self._late_at_s, self._look_late)
            return
        self._late = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def resume_writing(self) -> None:
        """The transport's buffer is empty again."""
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Remember that the connection is gone, however it went."""
        if not self.closed.done():
            self.closed.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
        self._wake()

    def eof_received(self) -> bool:
        """The server has said its last: the transport closes."""
        self._loop.call_soon(self._wake)
        return False

    def data_received(self, data: bytes) -> None:
        """Take bytes apart into replies."""
        if self._garbled:
            return
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            if not self._lines and (whole := _read_whole(line)) is not None:
                self._replies.append(whole)
                continue
            self._size += len(line) + 1
            self._take(line.removesuffix(b"\r"))
            if self._garbled:
                break
        if self._size + len(self._buffer) > MAX_REPLY or len(self._replies) > MAX_WAITING:
            self._garble(self._buffer[:REPLY_LIMIT])
        self._wake()

    def _take(self, line: bytes) -> None:
        match = _REPLY_LINE.fullmatch(line)
        if match is None or (self._lines and self._lines[0][:3] != match[1]):
            self._garble(line)
            return
        self._lines.append(line)
        if match[2] == b"-":
            return
        raw = b" ".join(part[4:] for part in self._lines)
        self._replies.append(Reply(int(match[1]), clean_reply(raw), odd=b"\0" in raw))
        self._lines.clear()
        self._size = 0

    def _garble(self, line: bytes) -> None:
        if self._garbled:
            return
        self._garbled = True
        raw = b" ".join([*self._lines, line])
        self._replies.append(Reply(None, clean_reply(raw), odd=True))
        self._lines.clear()
        self._buffer = b""


@lru_cache(maxsize=256)
def _read_whole(line: bytes) -> Reply | None:
    """Read a reply of one line; None when there is more to it. Servers say much the same again."""
    line = line.removesuffix(b"\r")
    match = _REPLY_LINE.fullmatch(line)
    if match is None or match[2] == b"-":
        return None
    raw = line[4:]
    return Reply(int(match[1]), clean_reply(raw), odd=b"\0" in raw)


def _tls_socket_transport(transport: asyncio.Transport) -> asyncio.WriteTransport | None:
    """Return the socket's transport under a TLS transport, where there is one to see.

    asyncio has no public name for it, and without it 64 KiB of a body could hide between TLS
    and a stalled server, to be counted as sent. Where it cannot be seen we do without.
    """
    inner = getattr(getattr(transport, "_ssl_protocol", None), "_transport", None)
    return inner if isinstance(inner, asyncio.WriteTransport) else None
