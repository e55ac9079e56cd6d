"""Deliveries: sealing them in, marking them for the wire, and putting back what never left."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import (
    Insert,
    Select,
    Update,
    bindparam,
    exists,
    func,
    insert,
    select,
    update,
)

from distributor.core.model import Delivery, Recipient
from distributor.core.states import BatchState, DeliveryState, check_move
from distributor.store.given import ROWS, document, gathered, given, read_gathered
from distributor.store.schema import batches, deliveries, exclusions, suppressions
from distributor.store.types import Instant

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import ColumnElement, Connection

    from distributor.core.audience import Candidate, Exclusion
    from distributor.core.model import Claim, Wave


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


class Entry(NamedTuple):
    """A recipient about to be sealed in: the batch and the opaque reference it gets."""

    candidate: Candidate
    batch_id: int
    reference: str


#: What differs between the recipients of a wave: a row of the document they are sealed in from.
_ENTRIES: Final = (
    "contact_id",
    "batch_id",
    "reference",
    "address_key",
    "address",
    "name",
    "given_name",
    "outlet",
)
#: What they have in common: the parameters of the statement.
_COMMON: Final = ("wave_id", "version_id", "compiled_id", "state", "attempts", "crashes", "at")


def add_recipients(
    tx: Connection,
    wave: Wave,
    entries: Sequence[Entry],
    *,
    compiled_id: int,
    now: datetime,
) -> None:
    """Store one queued delivery for each entry, slot values and thread frozen (I6).

    ``compiled_id`` is the message of those whose candidate names no other.
    """
    by_message: dict[int, list[Entry]] = {}
    for entry in entries:
        by_message.setdefault(entry.candidate.compiled_id or compiled_id, []).append(entry)
    for message, group in by_message.items():
        _add(tx, wave, group, compiled_id=message, now=now)


def _add(
    tx: Connection, wave: Wave, entries: Sequence[Entry], *, compiled_id: int, now: datetime
) -> None:
    threaded = any(entry.candidate.thread for entry in entries)
    common = (wave.id, wave.version_id, compiled_id, DeliveryState.QUEUED, 0, 0, now)
    rows = [
        (
            entry.candidate.contact_id,
            entry.batch_id,
            entry.reference,
            entry.candidate.address_key,
            *entry.candidate.recipient,
            *((entry.candidate.thread,) if threaded else ()),
        )
        for entry in entries
    ]
    values: dict[str, object] = {
        f"all_{name}": it for name, it in zip(_COMMON, common, strict=True)
    }
    tx.execute(_sealing(tx.dialect.name, threaded=threaded), values | {ROWS: document(rows)})


@cache
def _sealing(dialect: str, *, threaded: bool) -> Insert:
    columns = deliveries.c
    names = (*_ENTRIES, "thread") if threaded else _ENTRIES
    told = given(dialect, [(name, columns[name].type) for name in names])
    common = (bindparam(f"all_{name}", type_=columns[name].type) for name in _COMMON)
    rows = select(*(told.c[name] for name in names), *common)
    return insert(deliveries).from_select([*names, *_COMMON], rows)


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


def mark_sending(
    tx: Connection, claim: Claim, *, limit: int, now: datetime
) -> tuple[list[Delivery], bool]:
    """Mark the next queued rows of a claimed batch and give them out, with whether more wait.

    Addresses suppressed since the sealing are not given out but moved to ``suppressed``. The
    caller has locked the batch in this transaction.
    """
    dialect = tx.dialect.name
    asked = {"batch": claim.batch_id, "limit": limit + 1, "now": now}
    found, _ = read_gathered(tx, _next_queued(dialect), asked)
    rows, more = found[:limit], len(found) > limit
    stopped = [row[0] for row in rows if row[-1]]
    if stopped:
        _suppress(tx, stopped, now)
        rows = [row for row in rows if not row[-1]]
    if not rows:
        return [], more
    check_move(DeliveryState.QUEUED, DeliveryState.SENDING)
    group = {"batch": claim.batch_id, "first": rows[0][0], "last": rows[-1][0]}
    done = tx.execute(_marking(), {**group, "token": claim.token, "now": now})
    if done.rowcount != len(rows):
        # Somebody was quicker with some of them: what now bears our token is ours.
        ours = set(tx.execute(_marked(), {**group, "token": claim.token}).scalars())
        rows = [row for row in rows if row[0] in ours]
    return [_delivery(row, now) for row in rows], more


def _delivery(row: Sequence[Any], now: datetime) -> Delivery:
    key, wave_id, reference, address, name, given_name, outlet, *rest = row
    address_key, compiled_id, tried, dated_at, thread, _ = rest
    return Delivery(
        id=key,
        wave_id=wave_id,
        reference=reference,
        recipient=Recipient(address, name, given_name, outlet),
        address_key=address_key,
        compiled_id=compiled_id,
        attempts=tried,
        dated_at=_instant(dated_at) if dated_at else now,
        thread=thread,
    )


def _instant(text: str) -> datetime:
    """An instant as a database writes it into a document: UTC, whether it says so or not."""
    at = datetime.fromisoformat(text)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


@cache
def _next_queued(dialect: str) -> Select[str, Any]:
    """What a worker must know of the next rows of a batch, and whether each is suppressed."""
    columns = deliveries.c
    return gathered(
        dialect,
        select(
            columns.id,
            columns.wave_id,
            columns.reference,
            columns.address,
            columns.name,
            columns.given_name,
            columns.outlet,
            columns.address_key,
            columns.compiled_id,
            columns.attempts,
            columns.dated_at,
            columns.thread,
            _suppressed().label("suppressed"),
        )
        .where(columns.batch_id == bindparam("batch"), columns.state == DeliveryState.QUEUED)
        .order_by(columns.id)
        .limit(bindparam("limit")),
    )


def _in_group(state: DeliveryState) -> tuple[ColumnElement[bool], ...]:
    columns = deliveries.c
    return (
        columns.batch_id == bindparam("batch"),
        columns.id.between(bindparam("first"), bindparam("last")),
        columns.state == state,
    )


@cache
def _marking() -> Update:
    """Mark the rows of a group that are still queued."""
    now = bindparam("now", type_=Instant())
    return (
        update(deliveries)
        .where(*_in_group(DeliveryState.QUEUED))
        .values(
            state=DeliveryState.SENDING,
            token=bindparam("token"),
            at=now,
            dated_at=func.coalesce(deliveries.c.dated_at, now),
        )
    )


@cache
def _marked() -> Select[int]:
    """The rows of a group that bear a token."""
    ours = deliveries.c.token == bindparam("token")
    return select(deliveries.c.id).where(*_in_group(DeliveryState.SENDING), ours)


def _suppress(tx: Connection, ids: Sequence[int], now: datetime) -> None:
    """Move queued rows whose recipients have objected."""
    check_move(DeliveryState.QUEUED, DeliveryState.SUPPRESSED)
    tx.execute(
        update(deliveries)
        .where(deliveries.c.id.in_(ids), deliveries.c.state == DeliveryState.QUEUED)
        .values(state=DeliveryState.SUPPRESSED, at=now),
    )


def _suppressed() -> ColumnElement[bool]:
    return exists().where(
        suppressions.c.address_key == deliveries.c.address_key,
        suppressions.c.lifted_at.is_(None),
        (suppressions.c.expires_at.is_(None))
        | (suppressions.c.expires_at > bindparam("now", type_=Instant())),
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


def unmark(
    tx: Connection, claim: Claim, ids: Sequence[int], to: DeliveryState, now: datetime
) -> None:
    """Put marked rows that never reached the wire back (or where the shut gate sends them)."""
    if not ids:
        return
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
