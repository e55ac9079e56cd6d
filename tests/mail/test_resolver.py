"""TXT records out of a real conversation with a name server."""

from __future__ import annotations

import asyncio

import pytest

from distributor.errors import LookupFailed
from distributor.mail import resolver
from tests.mail.nameserver import Nameserver

LONG = "v=DKIM1; k=rsa; p=" + "A" * 392


def asked(server: Nameserver, name: str) -> list[str]:
    async def ask() -> list[str]:
        async with server:
            return await resolver.text_records(name, server.resolver)

    return asyncio.run(ask())


def test_a_record_that_is_cut_into_strings_is_put_together() -> None:
    server = Nameserver({"s._domainkey.desk.example": [LONG[:255], LONG[255:]]})
    assert asked(server, "s._domainkey.desk.example") == [LONG]


@pytest.mark.parametrize("name", ["s._domainkey.other.example", "empty.example"])
def test_a_name_without_such_a_record_has_none(name: str) -> None:
    assert asked(Nameserver({"empty.example": []}), name) == []


def test_a_name_server_that_does_not_answer_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "_PATIENCE_S", 0.3)
    with pytest.raises(LookupFailed, match=r"the DNS could not be asked for x\.example"):
        asked(Nameserver({}, deaf=True), "x.example")
