"""The fixtures keep their word: fresh databases, and nothing that leaves this machine."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest
from sqlalchemy import create_engine, inspect, text

from distributor.settings import PREFIX


def tables(url: str) -> set[str]:
    engine = create_engine(url)
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


def test_an_empty_database_is_empty_and_of_the_engine_named(
    engine_name: str, database_url: str
) -> None:
    assert database_url.startswith(
        {"sqlite": "sqlite:///", "postgresql": "postgresql+psycopg://"}[engine_name]
    )
    assert tables(database_url) == set()


@pytest.mark.parametrize("turn", [1, 2])
def test_a_migrated_database_is_fresh_for_every_test(migrated_url: str, turn: int) -> None:
    del turn
    assert "deliveries" in tables(migrated_url)
    assert "left_behind" not in tables(migrated_url)
    engine = create_engine(migrated_url)
    with engine.begin() as tx:
        tx.execute(text("CREATE TABLE left_behind (id INTEGER)"))
    engine.dispose()


def test_nothing_of_the_callers_configuration_is_seen() -> None:
    ours = {name for name in os.environ if name.startswith(PREFIX)}
    assert ours <= {"DISTRIBUTOR_TEST_POSTGRES"}


@pytest.mark.parametrize("address", [("192.0.2.1", 25), ("2001:db8::1", 25)])
def test_connections_to_other_machines_are_refused(
    address: tuple[str, int], outside: list[object]
) -> None:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family) as sock, pytest.raises(AssertionError, match="not this machine"):
        sock.connect(address)
    assert outside == [address[0]]
    outside.clear()


def test_names_of_other_machines_are_not_looked_up(outside: list[object]) -> None:
    async def connect() -> None:
        await asyncio.open_connection("mail.example.org", 25)

    with pytest.raises(AssertionError, match="not this machine"):
        asyncio.run(connect())
    assert outside == ["mail.example.org"]
    outside.clear()


def test_connections_within_this_machine_are_free() -> None:
    async def converse() -> bytes:
        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 here\r\n")
            writer.close()

        server = await asyncio.start_server(answer, "localhost", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("localhost", port)
            said = await reader.read()
            writer.close()
            await writer.wait_closed()
        return said

    assert asyncio.run(converse()) == b"220 here\r\n"
