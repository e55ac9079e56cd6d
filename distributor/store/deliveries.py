"""Deliveries: sealing them in, marking for the wire, recording what came of it.

Results are written only where the row still holds the worker's token; what comes too late goes
to the attempts, and may still settle an uncertain row as accepted (design section 6).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, exists, func, insert, literal, select, tuple_, update

from distributor.core.model import Delivery, Outcome, Recipient
from distributor.core.states import BatchState, DeliveryState, check_move
from distributor.store.schema import attempts, batches, deliveries, exclusions, suppressions
from distributor.store.types import Instant

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection

    from distributor.core.audience import Candidate, Exclusion
    from distributor.core.model import Claim, Wave


@dataclass(frozen=True, slots=True)
class Result:
    """What one SMTP transaction came to, and the state its row takes."""

    delivery_id: int
    token: int
    worker: str
    started_at: datetime
    ended_at: datetime
    outcome: Outcome
    state: DeliveryState
    phase: str
    code: int | None = None
    enhanced: str | None = None
    reply: str | None = None
    relay: str | None = None
    due_at: datetime | None = None


# --- sealing -----------------------------------------------------------------------------------


def add_batches(tx: Connection, wave_id: int, count: int, due_at: datetime) -> list[int]:
    """So many new ready batches of a wave; gives their keys in order."""
    if not count:
        return []
    made = tx.execute(
        insert(batches).returning(batches.c.id, sort_by_parameter_order=True),
        [{"wave_id": wave_id, "state": BatchState.READY, "due_at": due_at}] * count,
    )
    return list(made.scalars())


@dataclass(frozen=True, slots=True)
class Entry:
    """A recipient about to be sealed in: the batch and the opaque reference it gets."""

    candidate: Candidate
    batch_id: int
    reference: str


def add_recipients(
    tx: Connection,
    wave: Wave,
    entries: Sequence[Entry],
    *,
    compiled_id: int,
    now: datetime,
) -> None:
    """Store one queued delivery for each entry, its slot values frozen (I6)."""
    if not entries:
        return
    tx.execute(
        insert(deliveries),
        [
            {
                "wave_id": wave.id,
                "version_id": wave.version_id,
                "batch_id": entry.batch_id,
                "compiled_id": compiled_id,
                "contact_id": entry.candidate.contact_id,
                "reference": entry.reference,
                "address": entry.candidate.recipient.address,
                "address_key": entry.candidate.address_key,
                "name": entry.candidate.recipient.name,
                "given_name": entry.candidate.recipient.given_name,
                "outlet": entry.candidate.recipient.outlet,
                "state": DeliveryState.QUEUED,
                "attempts": 0,
                "crashes": 0,
                "at": now,
            }
            for entry in entries
        ],
    )


def add_exclusions(tx: Connection, wave_id: int, excluded: Sequence[Exclusion]) -> None:
    """Store one row for each candidate who gets nothing, with its reason."""
    if not excluded:
        return
    tx.execute(
        insert(exclusions),
        [
            {
                "wave_id": wave_id,
                "contact_id": item.candidate.contact_id,
                "address": item.candidate.recipient.address,
                "reason": item.reason.value,
                "evidence": item.evidence,
            }
            for item in excluded
        ],
    )


def stored_counts(tx: Connection, wave_id: int) -> tuple[int, int]:
    """How many recipients and exclusions of a wave are really in the database."""
    recipients = select(func.count()).where(deliveries.c.wave_id == wave_id)
    excluded = select(func.count()).where(exclusions.c.wave_id == wave_id)
    return tx.execute(recipients).scalar_one(), tx.execute(excluded).scalar_one()


# --- the wire ----------------------------------------------------------------------------------


def mark_sending(tx: Connection, claim: Claim, *, limit: int, now: datetime) -> list[Delivery]:
    """Mark the next queued rows of a claimed batch and give them out.

    Addresses suppressed since the sealing are not given out but moved to ``suppressed``. The
    caller has locked the batch in this transaction.
    """
    rows = tx.execute(
        select(deliveries, _suppressed(now).label("suppressed"))
        .where(
            deliveries.c.batch_id == claim.batch_id,
            deliveries.c.state == DeliveryState.QUEUED,
        )
        .order_by(deliveries.c.id)
        .limit(limit),
    ).all()
    stopped = [row.id for row in rows if row.suppressed]
    _move(tx, stopped, DeliveryState.SUPPRESSED, at=now)
    going = _move(
        tx,
        [row.id for row in rows if not row.suppressed],
        DeliveryState.SENDING,
        at=now,
        token=claim.token,
        dated_at=func.coalesce(deliveries.c.dated_at, literal(now, Instant())),
    )
    return [
        Delivery(
            id=row.id,
            wave_id=row.wave_id,
            reference=row.reference,
            recipient=Recipient(row.address, row.name, row.given_name, row.outlet),
            address_key=row.address_key,
            compiled_id=row.compiled_id,
            attempts=row.attempts,
            dated_at=row.dated_at or now,
        )
        for row in rows
        if row.id in going
    ]


def _move(
    tx: Connection,
    ids: Sequence[int],
    to: DeliveryState,
    **values: Any,  # noqa: ANN401 - column values, typed by the schema
) -> set[int]:
    """Bulk move of queued rows by key; gives those that were still there to be moved."""
    check_move(DeliveryState.QUEUED, to)
    if not ids:
        return set()
    moved = tx.execute(
        update(deliveries)
        .where(deliveries.c.id.in_(ids), deliveries.c.state == DeliveryState.QUEUED)
        .values(state=to, **values)
        .returning(deliveries.c.id),
    )
    return set(moved.scalars())


def _suppressed(now: datetime) -> ColumnElement[bool]:
    return exists().where(
        suppressions.c.address_key == deliveries.c.address_key,
        suppressions.c.lifted_at.is_(None),
        (suppressions.c.expires_at.is_(None)) | (suppressions.c.expires_at > now),
    )


def suppressed_since(tx: Connection, since: datetime) -> frozenset[str]:
    """Address keys suppressed after that instant: what a running wave must still leave out."""
    rows = tx.execute(
        select(suppressions.c.address_key).where(
            suppressions.c.created_at >= since,
            suppressions.c.lifted_at.is_(None),
        ),
    )
    return frozenset(row.address_key for row in rows)


def record(tx: Connection, results: Sequence[Result]) -> int:
    """Write outcomes and attempts; gives how many results came too late to move their row."""
    if not results:
        return 0
    ours = _still_ours(tx, results)
    timely = [result for result in results if result.delivery_id in ours]
    late = [result for result in results if result.delivery_id not in ours]
    for state in sorted({result.state for result in timely}):
        check_move(DeliveryState.SENDING, state)
        _record_state(tx, state, [result for result in timely if result.state is state])
    _settle_late(tx, [result for result in late if result.outcome is Outcome.ACCEPTED])
    _add_attempts(tx, results, ours)
    return len(late)


def _still_ours(tx: Connection, results: Sequence[Result]) -> set[int]:
    rows = tx.execute(
        select(deliveries.c.id)
        .where(
            tuple_(deliveries.c.id, deliveries.c.token).in_(
                [(result.delivery_id, result.token) for result in results],
            ),
            deliveries.c.state == DeliveryState.SENDING,
        )
        .order_by(deliveries.c.id)
        .with_for_update(),
    )
    return {row.id for row in rows}


def _record_state(tx: Connection, state: DeliveryState, results: Sequence[Result]) -> None:
    statement = (
        update(deliveries)
        .where(
            deliveries.c.id == bindparam("key"),
            deliveries.c.token == bindparam("mine"),
            deliveries.c.state == DeliveryState.SENDING,
        )
        .values(
            state=state,
            token=None,
            attempts=deliveries.c.attempts + bindparam("tried"),
            code=bindparam("code"),
            enhanced=bindparam("enhanced"),
            reply=bindparam("reply"),
            relay=bindparam("relay"),
            due_at=bindparam("due_at"),
            at=bindparam("at"),
        )
    )
    tx.execute(
        statement,
        [
            {
                "key": result.delivery_id,
                "mine": result.token,
                # What is the relay's fault never counts against the recipient.
                "tried": 0 if result.outcome is Outcome.NOT_SENT else 1,
                "code": result.code,
                "enhanced": result.enhanced,
                "reply": result.reply,
                "relay": result.relay,
                "due_at": result.due_at,
                "at": result.ended_at,
            }
            for result in results
        ],
    )


def _settle_late(tx: Connection, results: Sequence[Result]) -> None:
    """A worker that had lost its claim comes back with a 2xx: the doubt is over."""
    for result in results:
        tx.execute(
            update(deliveries)
            .where(
                deliveries.c.id == result.delivery_id,
                deliveries.c.state == DeliveryState.UNCERTAIN,
            )
            .values(
                state=DeliveryState.ACCEPTED,
                code=result.code,
                enhanced=result.enhanced,
                reply=result.reply,
                relay=result.relay,
                at=result.ended_at,
            ),
        )


def _add_attempts(tx: Connection, results: Sequence[Result], ours: set[int]) -> None:
    tx.execute(
        insert(attempts),
        [
            {
                "delivery_id": result.delivery_id,
                "worker_id": result.worker,
                "token": result.token,
                "started_at": result.started_at,
                "ended_at": result.ended_at,
                "outcome": result.outcome,
                "phase": result.phase,
                "code": result.code,
                "enhanced": result.enhanced,
                "reply": result.reply,
                "relay": result.relay,
                "late": result.delivery_id not in ours,
            }
            for result in results
        ],
    )


def unmark(
    tx: Connection, claim: Claim, ids: Sequence[int], to: DeliveryState, now: datetime
) -> None:
    """Put marked rows that never reached the wire back (or where the shut gate sends them)."""
    check_move(DeliveryState.SENDING, to)
    tx.execute(
        update(deliveries)
        .where(
            deliveries.c.id.in_(ids),
            deliveries.c.token == claim.token,
            deliveries.c.state == DeliveryState.SENDING,
        )
        .values(state=to, token=None, at=now),
    )


def refused_as(
    tx: Connection,
    wave_id: int,
    enhanced: Collection[str],
) -> list[tuple[str, str]]:
    """``(address, reply)`` of a wave's refused rows that carry one of these enhanced codes."""
    rows = tx.execute(
        select(deliveries.c.address, deliveries.c.reply).where(
            deliveries.c.wave_id == wave_id,
            deliveries.c.state == DeliveryState.REFUSED,
            deliveries.c.enhanced.in_(enhanced),
        ),
    )
    return [(row.address, row.reply or "") for row in rows]
