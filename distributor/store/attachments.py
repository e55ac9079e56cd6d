"""The octets of attachments: kept once under their SHA-256, in pieces of bounded size.

Invariant: no name of a file is known here, and nothing is written but to the database: one SQLite
file holds all, and every worker of a PostgreSQL database can read it.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Final, cast

from sqlalchemy import insert, select
from sqlalchemy.dialects import postgresql, sqlite

from distributor.store.schema import attachment_pieces, attachments, version_attachments

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from sqlalchemy import Connection

    from distributor.core.enclosures import OctetsOf
    from distributor.store.database import Database

#: Octets of a piece: a multiple of 57, so that each is encoded to whole lines (RFC 2045 6.8).
PIECE: Final = 57 * 8192


def keep(tx: Connection, digest: str, octets: bytes, *, now: datetime) -> None:
    """Keep octets under their hash, unless they are there already."""
    new = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    # Two at once: the second waits for the first, and finds that it has nothing to write.
    made = tx.execute(
        new(attachments)
        .values(digest=digest, size=len(octets), created_at=now)
        .on_conflict_do_nothing(index_elements=["digest"])
        .returning(attachments.c.digest),
    ).first()
    if made is None:
        return
    for number, at in enumerate(range(0, len(octets), PIECE)):
        piece = octets[at : at + PIECE]
        tx.execute(insert(attachment_pieces).values(digest=digest, number=number, octets=piece))


def bind(tx: Connection, version: int, digests: Iterable[str]) -> None:
    """Say that a version has these attachments: while it is there, they stay.

    Raises:
        IntegrityError: one of them is not kept.

    """
    for digest in sorted(set(digests)):
        tx.execute(insert(version_attachments).values(version_id=version, digest=digest))


def pieces(tx: Connection, digest: str) -> Iterator[bytes]:
    """The octets kept under a hash, piece by piece; one is in memory at a time.

    Whether they come to that hash is for who uses them to see: of an unknown one there are none.
    """
    one = select(attachment_pieces.c.octets).where(attachment_pieces.c.digest == digest)
    for number in count():
        octets = tx.execute(one.where(attachment_pieces.c.number == number)).scalar()
        if octets is None:
            return
        yield cast("bytes", octets)


def reader(database: Database) -> OctetsOf:
    """What gives the octets of any hash, each time in a snapshot of its own."""

    def octets_of(digest: str) -> Iterator[bytes]:
        with database.read() as tx:
            yield from pieces(tx, digest)

    return octets_of
