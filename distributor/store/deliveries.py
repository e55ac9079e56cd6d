"""Deliveries: sealing them in, marking for the wire, recording what came of it.

Results are written only where the row still holds the worker's token; what comes too late goes
to the attempts, and may still settle an uncertain row as accepted (design section 6).
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import exists, func, insert, literal, select, update

from distributor.core.model import Delivery, Outcome, Recipient
from distributor.core.states import BatchState, DeliveryState, check_move
from distributor.store.given import ROWS, given, instant
from distributor.store.schema import attempts, batches, deliveries, exclusions, suppressions
from distributor.store.types import Instant

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection

    from distributor.core.audience import Candidate, Exclusion
    from distributor.core.model import Claim, Wave


class Result(NamedTuple):
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


#: What a worker must know of a delivery.
_FOR_THE_WIRE: Final = (
    deliveries.c.id,
    deliveries.c.wave_id,
    deliveries.c.reference,
    deliveries.c.address,
    deliveries.c.name,
    deliveries.c.given_name,
    deliveries.c.outlet,
    deliveries.c.address_key,
    deliveries.c.compiled_id,
    deliveries.c.attempts,
    deliveries.c.dated_at,
)


def mark_sending(tx: Connection, claim: Claim, *, limit: int, now: datetime) -> list[Delivery]:
    """Mark the next queued rows of a claimed batch and give them out.

    Addresses suppressed since the sealing are not given out but moved to ``suppressed``. The
    caller has locked the batch in this transaction.
    """
    rows = tx.execute(
        select(*_FOR_THE_WIRE, _suppressed(now).label("suppressed"))
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
    for state in {result.state for result in results}:
        check_move(DeliveryState.SENDING, state)
    ours = _settle(tx, results)
    late = [result for result in results if result.delivery_id not in ours]
    _settle_late(tx, [result for result in late if result.outcome is Outcome.ACCEPTED])
    _add_attempts(tx, results, ours)
    return len(late)


def _settle(tx: Connection, results: Sequence[Result]) -> set[int]:
    """Move the rows that still hold the worker's token; gives their keys."""
    columns = deliveries.c
    told = given(
        tx,
        (
            columns.id,
            columns.token,
            columns.state,
            columns.attempts,
            columns.code,
            columns.enhanced,
            columns.reply,
            columns.relay,
            columns.due_at,
            columns.at,
        ),
    )
    rows = [
        (
            result.delivery_id,
            result.token,
            result.state,
            # What is the relay's fault never counts against the recipient.
            0 if result.outcome is Outcome.NOT_SENT else 1,
            result.code,
            result.enhanced,
            result.reply,
            result.relay,
            instant(result.due_at),
            instant(result.ended_at),
        )
        # In one order for all, or two workers could wait for each other.
        for result in sorted(results, key=attrgetter("delivery_id"))
    ]
    moved = tx.execute(
        update(deliveries)
        .where(
            columns.id == told.c.id,
            columns.token == told.c.token,
            columns.state == DeliveryState.SENDING,
        )
        .values(
            state=told.c.state,
            token=None,
            attempts=columns.attempts + told.c.attempts,
            code=told.c.code,
            enhanced=told.c.enhanced,
            reply=told.c.reply,
            relay=told.c.relay,
            due_at=told.c.due_at,
            at=told.c.at,
        )
        .returning(columns.id),
        {ROWS: rows},
    )
    return set(moved.scalars())


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
    columns = [column for column in attempts.c if column is not attempts.c.id]
    told = given(tx, columns)
    rows = [
        (
            result.delivery_id,
            result.worker,
            result.token,
            instant(result.started_at),
            instant(result.ended_at),
            result.outcome,
            result.phase,
            result.code,
            result.enhanced,
            result.reply,
            result.relay,
            result.delivery_id not in ours,
        )
        for result in results
    ]
    tx.execute(insert(attempts).from_select(columns, select(told)), {ROWS: rows})


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
