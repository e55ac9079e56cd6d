"""An SMTP server that keeps nothing and tells of each mail what it ended with.

``python -m tests.flow.counting`` says its port, then a line for each mail before it answers: whom
it was for, its octets, and the SHA-256 from the first attachment's own octets on.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from typing import Final

#: How the attachment begins in base64 that the end is hashed from: "%PDF-".
MARK: Final = b"JVBERi0"
_END: Final = b"\r\n.\r\n"


class Connection(asyncio.Protocol):
    """One client: commands until DATA, then a body until its dot, and so on."""

    def __init__(self) -> None:
        """Nothing was said yet."""
        self._waiting = b""
        self._in_body = False
        self._begin()

    def _begin(self) -> None:
        self._size = 0
        self._hash = hashlib.sha256()
        self._marked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._say("220 counting")

    def data_received(self, data: bytes) -> None:
        """Take what came, and what was left over."""
        self._waiting += data
        while self._body() if self._in_body else self._command():
            pass

    def _say(self, reply: str) -> None:
        self._transport.write(f"{reply}\r\n".encode())

    def _command(self) -> bool:
        line, end, rest = self._waiting.partition(b"\r\n")
        if not end:
            return False
        self._waiting = rest
        verb = line[:4].upper()
        if verb == b"EHLO":
            self._say("250-counting\r\n250-PIPELINING\r\n250 SIZE 50000000")
        elif verb == b"DATA":
            self._in_body = True
            self._begin()
            self._say("354 go on")
        elif verb == b"QUIT":
            self._say("221 bye")
            self._transport.close()
        else:
            if verb == b"RCPT":
                self._to = line.partition(b"<")[2].partition(b">")[0].decode()
            self._say("250 ok")
        return True

    def _body(self) -> bool:
        at = self._waiting.find(_END)
        if at < 0:
            sure = len(self._waiting) - len(_END)
            if sure > 0:
                self._count(self._waiting[:sure])
                self._waiting = self._waiting[sure:]
            return False
        self._count(self._waiting[: at + 2])
        self._waiting = self._waiting[at + len(_END) :]
        self._in_body = False
        sys.stdout.write(f"{self._to} {self._size} {self._hash.hexdigest()}\n")
        sys.stdout.flush()
        self._say("250 counted")
        return True

    def _count(self, data: bytes) -> None:
        self._size += len(data)
        if not self._marked:
            at = data.find(MARK)
            if at < 0:
                return
            self._marked, data = True, data[at:]
        self._hash.update(data)


async def main() -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
