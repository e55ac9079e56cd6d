"""What a crash, a lapsed lease, a deferral or a deadline leaves behind, and where it goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, insert, select, update

from distributor.core.model import Outcome
from distributor.core.states import BatchState, DeliveryState, WaveState, sources
from distributor.store import waves as wave_store
from distributor.store.database import database_now
from distributor.store.schema import attempts, batches, deliveries, waves

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

#: A delivery that was on its way to the wire at this many crashes is set aside (reliability P7).
POISON_CRASHES = 2
#: Deliveries in one batch at most (design section 5).
BATCH_LIMIT = 200
#: What may be queued again by others than the worker whose hands it is in.
_WAITING = sources(DeliveryState.QUEUED) - {DeliveryState.SENDING}


@dataclass(frozen=True, slots=True)
class Stranded:
    """A row left ``sending`` by a worker that is gone or has lost its lease."""

    delivery_id: int
    token: int
    attempts: int
    marked_at: datetime
    send_at: datetime
    first_mail_at: datetime | None


def lock_claims(tx: Connection, owner: str, *, lapsed_by: datetime | None = None) -> list[int]:
    """Lock the worker's claims (only lapsed ones when asked); gives their batches.

    Locked first, so that it cannot mark another row meanwhile; and named once, for a lease may
    run out between one question and the next.
    """
    query = select(batches.c.id).where(
        batches.c.owner == owner,
        batches.c.state == BatchState.CLAIMED,
    )
    if lapsed_by is not None:
        query = query.where(batches.c.lease_until < database_now(tx, lapsed_by))
    return list(tx.execute(query.order_by(batches.c.id).with_for_update()).scalars())


def stranded(tx: Connection, batch_ids: Sequence[int]) -> list[Stranded]:
    """Rows of these batches that are left ``sending``."""
    rows = tx.execute(
        select(deliveries, waves.c.send_at, waves.c.first_mail_at)
        .join(waves, waves.c.id == deliveries.c.wave_id)
        .where(
            deliveries.c.batch_id.in_(batch_ids),
            deliveries.c.state == DeliveryState.SENDING,
        )
        .order_by(deliveries.c.id),
    )
    return [
        Stranded(row.id, row.token, row.attempts, row.at, row.send_at, row.first_mail_at)
        for row in rows
    ]


def count_crashes(tx: Connection, ids: Sequence[int], now: datetime) -> int:
    """Charge a crash to rows that were on their way; set aside those that have caused two.

    Gives how many were quarantined.
    """
    if not ids:
        return 0
    tx.execute(
        update(deliveries).where(deliveries.c.id.in_(ids)).values(crashes=deliveries.c.crashes + 1),
    )
    done = tx.execute(
        update(deliveries)
        .where(
            deliveries.c.id.in_(ids),
            deliveries.c.state.in_(sources(DeliveryState.QUARANTINED)),
            deliveries.c.crashes >= POISON_CRASHES,
        )
        .values(state=DeliveryState.QUARANTINED, at=now),
    )
    return done.rowcount


def waves_with_due_retries(tx: Connection, now: datetime) -> list[int]:
    """Sending waves that hold a deferred row whose time has come."""
    rows = tx.execute(
        select(deliveries.c.wave_id)
        .join(waves, waves.c.id == deliveries.c.wave_id)
        .where(
            waves.c.state == WaveState.SENDING,
            deliveries.c.state == DeliveryState.DEFERRED,
            deliveries.c.due_at <= now,
        )
        .distinct(),
    )
    return [row.wave_id for row in rows]


def gather_retries(tx: Connection, wave_id: int, *, size: int, now: datetime) -> int:
    """Move a wave's due deferred rows into new batches of at most ``size``; gives how many."""
    gathered = 0
    while True:
        ids = (
            tx.execute(
                select(deliveries.c.id)
                .where(
                    deliveries.c.wave_id == wave_id,
                    deliveries.c.state == DeliveryState.DEFERRED,
                    deliveries.c.due_at <= now,
                )
                .order_by(deliveries.c.due_at, deliveries.c.id)
                .limit(size)
                .with_for_update(),
            )
            .scalars()
            .all()
        )
        if not ids:
            return gathered
        requeue(tx, wave_id, ids, now=now)
        gathered += len(ids)


def requeue(tx: Connection, wave_id: int, ids: Sequence[int], *, now: datetime) -> None:
    """Queue rows again in new batches, whatever legal state they wait in.

    Raises:
        IllegalMove: The wave does not send (any more).

    """
    wave_store.check_sendable(tx, wave_id)
    for start in range(0, len(ids), BATCH_LIMIT):
        _requeue(tx, wave_id, ids[start : start + BATCH_LIMIT], now)


def _requeue(tx: Connection, wave_id: int, ids: Sequence[int], now: datetime) -> None:
    batch_id = tx.execute(
        insert(batches)
        .values(wave_id=wave_id, state=BatchState.READY, due_at=now)
        .returning(batches.c.id),
    ).scalar_one()
    tx.execute(
        update(deliveries)
        .where(
            deliveries.c.id.in_(ids),
            deliveries.c.state.in_(_WAITING),
        )
        .values(state=DeliveryState.QUEUED, batch_id=batch_id, due_at=None, token=None, at=now),
    )


def expire(tx: Connection, wave_id: int, now: datetime) -> int:
    """Past the wave's deadline: what has not left and is in no worker's hands never will."""
    unclaimed = select(batches.c.id).where(
        batches.c.wave_id == wave_id,
        batches.c.state != BatchState.CLAIMED,
    )
    done = tx.execute(
        update(deliveries)
        .where(
            deliveries.c.wave_id == wave_id,
            deliveries.c.state.in_((DeliveryState.QUEUED, DeliveryState.DEFERRED)),
            deliveries.c.batch_id.in_(unclaimed),
        )
        .values(state=DeliveryState.EXPIRED, due_at=None, at=now),
    )
    return done.rowcount


def uncertain_since(tx: Connection, wave_id: int, before: datetime) -> list[int]:
    """Rows uncertain since before that instant, and for the first time."""
    doubts = (
        select(func.count())
        .where(
            attempts.c.delivery_id == deliveries.c.id,
            attempts.c.outcome == Outcome.UNCERTAIN,
        )
        .scalar_subquery()
    )
    rows = tx.execute(
        select(deliveries.c.id).where(
            deliveries.c.wave_id == wave_id,
            deliveries.c.state == DeliveryState.UNCERTAIN,
            deliveries.c.at <= before,
            doubts <= 1,
        ),
    )
    return [row.id for row in rows]


def next_retry(tx: Connection, after: datetime) -> datetime | None:
    """When the soonest deferred row falls due."""
    return tx.execute(
        select(func.min(deliveries.c.due_at)).where(
            deliveries.c.state == DeliveryState.DEFERRED,
            deliveries.c.due_at > after,
        ),
    ).scalar()
