"""Asking a database how far a wave is, on a plain connection that holds no snapshot."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Final

import psycopg
from sqlalchemy import make_url

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

#: A row that is not settled; the index on wave and state answers at once.
_OPEN: Final = (
    "SELECT EXISTS (SELECT 1 FROM deliveries WHERE wave_id = {wave}"
    " AND state IN ('queued', 'sending', 'deferred'))"
)


@contextlib.contextmanager
def settled(url: str, wave_id: int) -> Generator[Callable[[], bool]]:
    """Give a cheap question: is the outcome of every recipient of that wave committed?"""
    address = make_url(url)
    question = _OPEN.format(wave=int(wave_id))
    if address.get_backend_name() == "sqlite":
        with contextlib.closing(
            sqlite3.connect(address.database or "", isolation_level=None, timeout=10.0)
        ) as file:
            yield lambda: file.execute(question).fetchone() == (0,)
        return
    plain = address.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        yield lambda: connection.execute(question.encode()).fetchone() == (False,)
