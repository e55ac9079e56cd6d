"""A receiver that notes when each mail came, by its own clock, and keeps nothing else.

    python -m benchmarks.recorder PORT OUT

OUT gets one line a mail when the process is told to end: the instants (Unix time) at which its
MAIL FROM and its final dot came. It offers PIPELINING and is quick, so that what is measured is
the sender.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path

_END = b"\r\n.\r\n"
_GREETING = (
    b"250-recorder.localhost\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n"
)
_REPLIES = {
    b"EHLO": _GREETING,
    b"HELO": b"250 recorder.localhost\r\n",
    b"MAIL": b"250 2.1.0 Ok\r\n",
    b"RCPT": b"250 2.1.5 Ok\r\n",
    b"DATA": b"354 End data with a dot\r\n",
    b"QUIT": b"221 2.0.0 Bye\r\n",
}


class Connection(asyncio.Protocol):
    """One SMTP session."""

    def __init__(self, notes: list[tuple[float, float]]) -> None:
        """Write into ``notes``."""
        self._notes = notes
        self._buffer = b""
        self._in_text = False
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - narrows the type
        self._transport = transport
        transport.write(b"220 recorder.localhost ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        """Answer every whole command and every whole mail that is there."""
        now = time.time()
        self._buffer += data
        replies: list[bytes] = []
        while True:
            reply = self._text(now) if self._in_text else self._command(now)
            if reply is None:
                break
            replies.append(reply)
        if replies:
            self._transport.write(b"".join(replies))

    def _command(self, now: float) -> bytes | None:
        line, found, rest = self._buffer.partition(b"\r\n")
        if not found:
            return None
        self._buffer = rest
        verb = line[:4].upper()
        if verb == b"MAIL":
            self._began = now
        if verb == b"DATA":
            self._in_text = True
            # The end may be the very beginning: an empty mail.
            self._buffer = b"\r\n" + self._buffer
        return _REPLIES.get(verb, b"250 2.0.0 Ok\r\n")

    def _text(self, now: float) -> bytes | None:
        _, found, rest = self._buffer.partition(_END)
        if not found:
            return None
        self._buffer = rest
        self._in_text = False
        self._notes.append((self._began, now))
        return b"250 2.0.0 Ok: noted\r\n"


async def _serve(port: int, notes: list[tuple[float, float]]) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    server = await loop.create_server(lambda: Connection(notes), "127.0.0.1", port, backlog=256)
    await ended.wait()
    server.close()


def main() -> None:
    """Serve until SIGTERM, then write what was noted."""
    notes: list[tuple[float, float]] = []
    asyncio.run(_serve(int(sys.argv[1]), notes))
    lines = "".join(f"{began!r} {dot!r}\n" for began, dot in notes)
    Path(sys.argv[2]).write_text(lines, encoding="ascii")


if __name__ == "__main__":
    main()
