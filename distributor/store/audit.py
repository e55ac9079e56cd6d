"""The audit: who ordered what, when, written in the same transaction as the order (I12)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select

from distributor.store.schema import audit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Entry:
    """One audit row. ``subject`` names a thing as people do: ``release R-7``, ``list Health``."""

    at: datetime
    actor: str
    action: str
    subject: str
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])


def record(tx: Connection, entry: Entry) -> None:
    """Write one row. Its chain columns stay empty until keeping fills them."""
    tx.execute(
        insert(audit).values(
            at=entry.at,
            actor=entry.actor,
            action=entry.action,
            subject=entry.subject,
            facts=dict(entry.facts),
        ),
    )


@dataclass(frozen=True, slots=True)
class Order:
    """Who moves something and when: what the audit row says of it."""

    by: str
    at: datetime


#: Who moves things when neither a person nor a named worker does.
DESK = "distributor"


def record_batches(tx: Connection, ids: Iterable[int], move: str, order: Order) -> None:
    """Write one row for each batch that was moved (I12)."""
    rows: list[dict[str, Any]] = [
        {"at": order.at, "actor": order.by, "action": move, "subject": f"batch {key}", "facts": {}}
        for key in ids
    ]
    if rows:
        tx.execute(insert(audit), rows)


def entries(tx: Connection, *, subject: str | None = None, limit: int = 200) -> list[Entry]:
    """The newest rows, newest first; of one subject when it is named."""
    query = select(audit).order_by(audit.c.id.desc()).limit(limit)
    if subject is not None:
        query = query.where(audit.c.subject == subject)
    return [
        Entry(row.at, row.actor, row.action, row.subject, row.facts) for row in tx.execute(query)
    ]
