"""Batches: claiming by conditional update, leases, tokens, and giving back."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from sqlalchemy import Select, Update, and_, bindparam, exists, or_, select, update

from distributor.core.model import Claim, WaveKind
from distributor.core.states import BatchState, DeliveryState, WaveState
from distributor.store import audit
from distributor.store import waves as wave_store
from distributor.store.audit import Order
from distributor.store.database import database_now
from distributor.store.schema import batches, deliveries, versions, waves
from distributor.store.types import Instant

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection

#: A batch still has something for a worker to do while one of its rows is in one of these.
_UNDONE = (DeliveryState.QUEUED, DeliveryState.SENDING)


def claimable(tx: Connection, now: datetime, *, skip: Collection[int] = ()) -> Claim | None:
    """The next batch whose wave may send now, not yet owned; its token is still 0.

    Send time and embargo stand in the WHERE: what is not due is not even seen (I1). ``skip``
    names waves the caller has found shut.
    """
    row = tx.execute(_next_claimable(), {"now": now, "skip": [*skip]}).first()
    if row is None:
        return None
    return Claim(batch_id=row.id, wave=wave_store.get(tx, row.wave_id), token=0)


@cache
def _next_claimable() -> Select[int, int]:
    now = bindparam("now", type_=Instant())
    return (
        select(batches.c.id, batches.c.wave_id)
        .join(waves, waves.c.id == batches.c.wave_id)
        .join(versions, versions.c.id == waves.c.version_id)
        .where(
            batches.c.state == BatchState.READY,
            batches.c.due_at <= now,
            waves.c.state.in_((WaveState.READY, WaveState.SENDING)),
            waves.c.send_at <= now,
            waves.c.id.not_in(bindparam("skip", expanding=True)),
            or_(
                versions.c.embargo_at.is_(None),
                versions.c.embargo_at <= now,
                waves.c.kind == WaveKind.ADVANCE,
                # By consent, to those who have the text: the gate's own rule.
                and_(
                    waves.c.before_lift,
                    waves.c.kind.in_((WaveKind.CORRECTION, WaveKind.WITHDRAWAL)),
                ),
            ),
        )
        .order_by(waves.c.send_at, batches.c.id)
        .limit(1)
        .with_for_update(of=batches, skip_locked=True)
    )


def take(
    tx: Connection,
    batch_id: int,
    *,
    owner: str,
    token: int,
    until: datetime,
    now: datetime,
) -> bool:
    """Claim one ready batch; False when another worker was first."""
    mine = {"batch": batch_id, "by": owner, "mark": token, "until": until}
    if tx.execute(_taking(), mine).rowcount != 1:
        return False
    audit.record_batches(tx, (batch_id,), BatchState.CLAIMED, Order(f"worker {owner}", now))
    return True


@cache
def _taking() -> Update:
    return (
        update(batches)
        .where(batches.c.id == bindparam("batch"), batches.c.state == BatchState.READY)
        .values(
            state=BatchState.CLAIMED,
            owner=bindparam("by"),
            token=bindparam("mark"),
            lease_until=bindparam("until"),
        )
    )


def renew(tx: Connection, *, owner: str, now: datetime, lease_s: float) -> frozenset[int]:
    """Prolong every lease of the worker; gives the tokens that are still its own."""
    until = database_now(tx, now) + timedelta(seconds=lease_s)
    rows = tx.execute(
        update(batches)
        .where(batches.c.owner == owner, batches.c.state == BatchState.CLAIMED)
        .values(lease_until=until)
        .returning(batches.c.token),
    )
    return frozenset(row.token for row in rows)


def hold_fast(tx: Connection, claim: Claim) -> bool:
    """Lock the batch row for this transaction; False when the claim is no longer ours."""
    row = tx.execute(_held(), {"batch": claim.batch_id, "mark": claim.token}).first()
    return row is not None


def _is_ours() -> tuple[ColumnElement[bool], ...]:
    return (
        batches.c.id == bindparam("batch"),
        batches.c.token == bindparam("mark"),
        batches.c.state == BatchState.CLAIMED,
    )


@cache
def _held() -> Select[int]:
    return select(batches.c.id).where(*_is_ours()).with_for_update()


def give_back(tx: Connection, claim: Claim, order: Order) -> BatchState | None:
    """End a claim: done when nothing in it is undone, else ready again; None when it was lost."""
    more = tx.execute(_undone(), {"batch": claim.batch_id}).scalar_one()
    state = BatchState.READY if more else BatchState.DONE
    mine = {"batch": claim.batch_id, "mark": claim.token, "to": state}
    if tx.execute(_giving_back(), mine).rowcount != 1:
        return None
    audit.record_batches(tx, (claim.batch_id,), state.value, order)
    return state


@cache
def _undone() -> Select[bool]:
    return select(
        exists().where(deliveries.c.batch_id == bindparam("batch"), deliveries.c.state.in_(_UNDONE))
    )


@cache
def _giving_back() -> Update:
    return (
        update(batches)
        .where(*_is_ours())
        .values(state=bindparam("to"), owner=None, token=None, lease_until=None)
    )


def claims_of(tx: Connection, owner: str) -> list[tuple[int, int]]:
    """``(batch, token)`` of everything a worker holds."""
    rows = tx.execute(
        select(batches.c.id, batches.c.token).where(
            batches.c.owner == owner,
            batches.c.state == BatchState.CLAIMED,
        ),
    )
    return [(row.id, row.token) for row in rows]


def owners_with_lapsed_lease(tx: Connection, now: datetime) -> list[str]:
    """Workers that hold a batch whose lease ran out."""
    rows = tx.execute(
        select(batches.c.owner)
        .where(
            batches.c.state == BatchState.CLAIMED,
            batches.c.lease_until < database_now(tx, now),
        )
        .distinct(),
    )
    return [row.owner for row in rows]


def release_claims(tx: Connection, ids: Sequence[int], order: Order) -> int:
    """Take claimed batches, locked by the caller, from their worker; gives how many."""
    which = and_(batches.c.id.in_(ids), batches.c.state == BatchState.CLAIMED)
    undone = exists().where(
        deliveries.c.batch_id == batches.c.id,
        deliveries.c.state.in_(_UNDONE),
    )
    freed = 0
    for condition, state in ((and_(which, undone), BatchState.READY), (which, BatchState.DONE)):
        moved = tx.execute(
            update(batches)
            .where(condition)
            .values(state=state, owner=None, token=None, lease_until=None)
            .returning(batches.c.id),
        ).scalars()
        keys = moved.all()
        audit.record_batches(tx, keys, state.value, order)
        freed += len(keys)
    return freed
