"""A name server on 127.0.0.1 that knows a few TXT records: the far end of the resolver's wire."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

import dns.asyncresolver
import dns.message
import dns.rcode
import dns.rrset

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType


class Nameserver(asyncio.DatagramProtocol):
    """Answers from ``records``; a name that is not there does not exist. ``deaf``: never answers.

    A record is given as the strings it is cut into.
    """

    def __init__(self, records: Mapping[str, list[str]], *, deaf: bool = False) -> None:
        self._records = records
        self._deaf = deaf
        self.resolver = dns.asyncresolver.Resolver(configure=False)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0)
        )
        self.resolver.nameservers = ["127.0.0.1"]
        self.resolver.port = self._transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._deaf:
            return
        query = dns.message.from_wire(data)
        answer = dns.message.make_response(query)
        name = query.question[0].name
        strings = self._records.get(name.to_text(omit_final_dot=True))
        if strings is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif strings:
            text = " ".join(f'"{string.replace(";", chr(92) + ";")}"' for string in strings)
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "TXT", text))
        self._transport.sendto(answer.to_wire(), addr)
