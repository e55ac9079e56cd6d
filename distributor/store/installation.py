"""Which installation a database belongs to: a restored copy must not mail (I11)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import exists, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from distributor.store.schema import installation, waves

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Installation:
    """The installation a database was last confirmed for, and how often a worker started on it."""

    identity: str
    starts: int


def stored(tx: Connection) -> Installation | None:
    """What the database says of itself; None before the first worker ever started on it."""
    row = tx.execute(select(installation)).first()
    return Installation(row.identity, row.starts) if row is not None else None


def move_in(tx: Connection, identity: str, *, starts: int, now: datetime) -> None:
    """Bind a database that no worker ever used; of two first workers at once, one does it."""
    row = {"id": 1, "identity": identity, "starts": starts, "confirmed_at": now}
    insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    tx.execute(insert(installation).values(**row).on_conflict_do_nothing())


def confirm(tx: Connection, identity: str, *, starts: int, now: datetime) -> None:
    """Bind the database to this installation, whatever it was bound to."""
    move_in(tx, identity, starts=starts, now=now)
    tx.execute(update(installation).values(identity=identity, starts=starts, confirmed_at=now))


def count_start(tx: Connection) -> int:
    """Count one more worker start; gives the new count."""
    return tx.execute(
        update(installation)
        .values(starts=installation.c.starts + 1)
        .returning(installation.c.starts),
    ).scalar_one()


def has_waves(tx: Connection) -> bool:
    """Whether anything was ever scheduled here."""
    return tx.execute(select(exists().where(waves.c.id.is_not(None)))).scalar_one()


def system_identity(tx: Connection) -> str | None:
    """PostgreSQL's own cluster identity and database; None on SQLite, which has none."""
    if tx.dialect.name != "postgresql":
        return None
    row = tx.execute(
        text(
            "SELECT system_identifier, (SELECT oid FROM pg_database"
            " WHERE datname = current_database()) AS database FROM pg_control_system()",
        ),
    ).one()
    return f"postgresql:{row.system_identifier}:{row.database}"
