"""Results: what transactions came to, written to the delivery and as an attempt.

A result is written only where the row still holds the worker's token; what comes too late goes
to the attempts, and may still settle an uncertain row as accepted (design section 6). Results
come in groups that are alike but for the recipient, so a group is a statement or two.
"""

from __future__ import annotations

from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import (
    BindParameter,
    Column,
    Insert,
    Integer,
    Text,
    Update,
    bindparam,
    insert,
    select,
    update,
)

from distributor.core.model import Outcome
from distributor.core.states import DeliveryState, check_move
from distributor.store.database import attempt
from distributor.store.given import ROWS, document, given, instant
from distributor.store.schema import attempts, deliveries
from distributor.store.types import Instant

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection


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


#: What differs from mail to mail: one row of the document that results are written from.
_TOLD: Final = (
    ("delivery_id", Integer()),
    ("reply", Text()),
    ("due_at", Instant()),
    ("ended_at", Instant()),
    ("started_at", Instant()),
)


class _Alike(NamedTuple):
    """What most results of a group have in common, as the parameters of a statement."""

    state: DeliveryState
    token: int
    counted: int
    code: int | None
    enhanced: str | None
    relay: str | None
    worker_id: str
    outcome: Outcome
    phase: str


def _alike(result: Result) -> _Alike:
    return _Alike(
        result.state,
        result.token,
        # What is the relay's fault never counts against the recipient.
        0 if result.outcome is Outcome.NOT_SENT else 1,
        result.code,
        result.enhanced,
        result.relay,
        result.worker,
        result.outcome,
        result.phase,
    )


def record(tx: Connection, told: Sequence[Result]) -> int:
    """Write outcomes and attempts; gives how many results came too late to move their row."""
    for state in {result.state for result in told}:
        check_move(DeliveryState.SENDING, state)
    kinds: dict[_Alike, list[Result]] = {}
    # In one order for all, or two workers could wait for each other.
    for result in sorted(told, key=attrgetter("delivery_id")):
        kinds.setdefault(_alike(result), []).append(result)
    return sum(_record_alike(tx, alike, these) for alike, these in kinds.items())


def _record_alike(tx: Connection, alike: _Alike, results: Sequence[Result]) -> int:
    dialect = tx.dialect.name
    told: dict[str, object] = {_told_name(name): value for name, value in alike._asdict().items()}
    told[ROWS] = document([_told(result) for result in results])
    if attempt(tx, lambda: tx.execute(_settling(dialect), told).rowcount == len(results)):
        tx.execute(_trying(dialect), told | {_told_name("late"): False})
        return 0
    # Some are no longer ours: once more, and this time asking which.
    settled = tx.execute(_settling(dialect).returning(deliveries.c.id), told)
    ours = set(settled.scalars())
    late = [result for result in results if result.delivery_id not in ours]
    _settle_late(tx, [result for result in late if result.outcome is Outcome.ACCEPTED])
    for is_late in (False, True):
        rows = [_told(one) for one in results if (one.delivery_id not in ours) is is_late]
        if rows:
            told |= {ROWS: document(rows), _told_name("late"): is_late}
            tx.execute(_trying(dialect), told)
    return len(late)


def _told(result: Result) -> tuple[object, ...]:
    return (
        result.delivery_id,
        result.reply,
        instant(result.due_at),
        instant(result.ended_at),
        instant(result.started_at),
    )


def _told_name(name: str) -> str:
    """The name of a value that a group has in common: another than any column's."""
    return f"told_{name}"


def _same(name: str, column: Column[Any]) -> BindParameter[Any]:
    return bindparam(_told_name(name), type_=column.type)


@cache
def _settling(dialect: str) -> Update:
    """Move the rows that still hold the worker's token."""
    columns, told = deliveries.c, given(dialect, _TOLD).c
    alike = ("state", "code", "enhanced", "relay")
    return (
        update(deliveries)
        .where(
            columns.id == told.delivery_id,
            columns.token == _same("token", columns.token),
            columns.state == DeliveryState.SENDING,
        )
        .values(
            {columns[name]: _same(name, columns[name]) for name in alike}
            | {
                columns.token: None,
                columns.attempts: columns.attempts + _same("counted", columns.attempts),
                columns.reply: told.reply,
                columns.due_at: told.due_at,
                columns.at: told.ended_at,
            }
        )
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


@cache
def _trying(dialect: str) -> Insert:
    """Add an attempt for each row of the document."""
    told = given(dialect, _TOLD).c
    written = [column for column in attempts.c if column.name != "id"]
    cells = [
        told[column.name] if column.name in told else _same(column.name, column)
        for column in written
    ]
    return insert(attempts).from_select(written, select(*cells))
