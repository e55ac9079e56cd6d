"""Workers: who is sending, on which host and boot, and where their flight logs lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, insert, select, update

from distributor.store.schema import workers

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Worker:
    """One start of a worker process. ``id`` is fresh at every start."""

    id: str
    host: str
    boot: str
    pid: int
    flight_log: str
    started_at: datetime
    seen_at: datetime
    ended_at: datetime | None = None


def add(tx: Connection, worker: Worker) -> None:
    """Register a worker that starts."""
    tx.execute(
        insert(workers).values(
            id=worker.id,
            host=worker.host,
            boot=worker.boot,
            pid=worker.pid,
            flight_log=worker.flight_log,
            started_at=worker.started_at,
            seen_at=worker.seen_at,
        ),
    )


def seen(tx: Connection, worker_id: str, now: datetime) -> None:
    """Note that a worker lives."""
    tx.execute(update(workers).where(workers.c.id == worker_id).values(seen_at=now))


def end(tx: Connection, worker_id: str, now: datetime) -> None:
    """Note that a worker stopped, or was recovered after it died."""
    tx.execute(update(workers).where(workers.c.id == worker_id).values(ended_at=now))


def living(tx: Connection, *, but: Collection[str] = ()) -> list[Worker]:
    """Every worker that has neither stopped nor been recovered."""
    rows = tx.execute(
        select(workers)
        .where(workers.c.ended_at.is_(None), workers.c.id.not_in(but))
        .order_by(workers.c.started_at),
    )
    return [Worker(*row) for row in rows]


def named(tx: Connection, ids: Collection[str]) -> list[Worker]:
    """Workers by their ids, whether they have stopped or not."""
    rows = tx.execute(select(workers).where(workers.c.id.in_(ids)).order_by(workers.c.started_at))
    return [Worker(*row) for row in rows]


def count_alive(tx: Connection, since: datetime) -> int:
    """How many workers have shown themselves since that instant and have not stopped."""
    return tx.execute(
        select(func.count()).where(workers.c.ended_at.is_(None), workers.c.seen_at >= since),
    ).scalar_one()
