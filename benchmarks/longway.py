"""A proxy on the loopback that delays every octet by the same time, as a distant server would.

    python -m benchmarks.longway PORT BEHIND SECONDS

The delay is per direction and does not limit the rate: what is written together arrives together.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Final

_CHUNK: Final = 262_144


async def _carry(
    source: asyncio.StreamReader, target: asyncio.StreamWriter, delay_s: float
) -> None:
    """Pass octets on, each chunk ``delay_s`` after it came, until the end of the stream."""
    loop = asyncio.get_running_loop()
    over = loop.create_future()

    def write(data: bytes) -> None:
        if data and not target.is_closing():
            target.write(data)
        elif not over.done():
            over.set_result(None)

    while True:
        try:
            data = await source.read(_CHUNK)
        except ConnectionError:
            data = b""
        loop.call_later(delay_s, write, data)
        if not data:
            break
    await over
    target.close()


async def _serve(port: int, behind: int, delay_s: float) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", behind, limit=_CHUNK)
        await asyncio.gather(
            _carry(reader, far_writer, delay_s), _carry(far_reader, writer, delay_s)
        )

    server = await asyncio.start_server(connected, "127.0.0.1", port, limit=_CHUNK, backlog=256)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
