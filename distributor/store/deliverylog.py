"""The log's questions: one line per delivery, its attempts, and the audience behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from distributor.core.address import key_of
from distributor.core.model import Recipient, WaveKind
from distributor.store.schema import attempts, deliveries, exclusions, versions, waves

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import datetime

    from sqlalchemy import Connection, Row, Select

    from distributor.core.states import DeliveryState

_PAGE_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class Filter:
    """Which lines are wanted; empty, and None for outlet, version and waves, ask for all.

    ``kinds`` are kinds of wave, ``waves`` keys of them.
    """

    states: Collection[DeliveryState] = ()
    outlet: str | None = None
    version_id: int | None = None
    kinds: Collection[WaveKind] = ()
    waves: Collection[int] | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One delivery as the log shows it; ``kind`` is its wave's, ``version`` a number."""

    address: str
    name: str
    outlet: str
    state: DeliveryState
    attempts: int
    code: int | None
    enhanced: str | None
    reply: str | None
    relay: str | None
    message_id: str
    at: datetime
    kind: WaveKind
    version: int
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One SMTP transaction as it was recorded. ``late``: its worker had lost its claim."""

    started_at: datetime
    ended_at: datetime
    outcome: str
    phase: str
    code: int | None
    enhanced: str | None
    reply: str | None
    relay: str | None
    late: bool


@dataclass(frozen=True, slots=True)
class Member:
    """One candidate of an audience: a recipient (``reason`` None), or excluded and why.

    ``kind`` is that of the wave.
    """

    address: str
    name: str
    outlet: str
    state: str
    reason: str | None = None
    evidence: str = ""
    kind: WaveKind = WaveKind.GENERAL


def _lines() -> Select[Any]:
    return (
        select(deliveries, versions.c.sender_address, versions.c.number, waves.c.kind)
        .join(waves, waves.c.id == deliveries.c.wave_id)
        .join(versions, versions.c.id == deliveries.c.version_id)
        .order_by(deliveries.c.id)
    )


def lines(tx: Connection, release: int, wanted: Filter) -> Iterator[Line]:
    """The release's deliveries in the order they were sealed, streamed."""
    query = _lines().where(waves.c.release_id == release)
    for _, line in _wanted(tx, query, wanted):
        yield line


def keyed(tx: Connection, wanted: Filter) -> Iterator[tuple[int, Line]]:
    """Deliveries of whatever release, each with its key, in the order they were sealed."""
    return _wanted(tx, _lines(), wanted)


def _wanted(tx: Connection, query: Select[Any], wanted: Filter) -> Iterator[tuple[int, Line]]:
    if wanted.states:
        query = query.where(deliveries.c.state.in_(wanted.states))
    if wanted.version_id is not None:
        query = query.where(deliveries.c.version_id == wanted.version_id)
    if wanted.kinds:
        query = query.where(waves.c.kind.in_(wanted.kinds))
    if wanted.waves is not None:
        query = query.where(deliveries.c.wave_id.in_(wanted.waves))
    # Compared here: SQLite's lower() knows ASCII only, PostgreSQL's what its locale knows.
    outlet = None if wanted.outlet is None else wanted.outlet.casefold()
    with tx.execute(query.execution_options(yield_per=_PAGE_ROWS)) as rows:
        for row in rows:
            if outlet is None or row.outlet.casefold() == outlet:
                yield row.id, _line(row)


def of_address(
    tx: Connection,
    release: int,
    address: str,
) -> list[tuple[Line, list[Attempt]]]:
    """Deliveries to one address, in any case, each with its attempts in order."""
    rows = tx.execute(
        _lines().where(waves.c.release_id == release, deliveries.c.address_key == key_of(address)),
    ).all()
    return [(_line(row), _attempts(tx, row.id)) for row in rows]


@dataclass(frozen=True, slots=True)
class Copy:
    """What makes one journalist's copy of a version: the same values give the same bytes."""

    recipient: Recipient
    reference: str
    dated_at: datetime | None
    thread: str | None = None
    compiled_id: int | None = None


def copy_of(tx: Connection, version_id: int, address: str) -> Copy | None:
    """The newest sealed delivery of a version to an address, in any case; None before sealing."""
    row = tx.execute(
        select(deliveries)
        .where(
            deliveries.c.version_id == version_id,
            deliveries.c.address_key == key_of(address),
        )
        .order_by(deliveries.c.id.desc())
        .limit(1),
    ).first()
    if row is None:
        return None
    recipient = Recipient(row.address, row.name, row.given_name, row.outlet)
    return Copy(recipient, row.reference, row.dated_at, row.thread, row.compiled_id)


def audience(tx: Connection, wave_id: int) -> list[Member]:
    """Everybody the wave's lists named: the excluded first, with reasons, then the recipients."""
    recipients = tx.execute(
        select(deliveries, waves.c.kind)
        .join(waves, waves.c.id == deliveries.c.wave_id)
        .where(deliveries.c.wave_id == wave_id)
        .order_by(deliveries.c.id),
    )
    return [
        *excluded(tx, [wave_id]),
        *(
            Member(row.address, row.name, row.outlet, row.state.value, kind=WaveKind(row.kind))
            for row in recipients
        ),
    ]


def excluded(tx: Connection, keys: Collection[int]) -> list[Member]:
    """Everybody whom the waves of these keys left out, and why."""
    rows = tx.execute(
        select(exclusions, waves.c.kind)
        .join(waves, waves.c.id == exclusions.c.wave_id)
        .where(exclusions.c.wave_id.in_(keys))
        .order_by(exclusions.c.wave_id, exclusions.c.id),
    )
    return [
        Member(row.address, "", "", "excluded", row.reason, row.evidence, WaveKind(row.kind))
        for row in rows
    ]


def _attempts(tx: Connection, delivery: int) -> list[Attempt]:
    rows = tx.execute(
        select(attempts).where(attempts.c.delivery_id == delivery).order_by(attempts.c.id),
    )
    return [
        Attempt(
            row.started_at,
            row.ended_at,
            row.outcome.value,
            row.phase,
            row.code,
            row.enhanced,
            row.reply,
            row.relay,
            row.late,
        )
        for row in rows
    ]


def _line(row: Row[Any]) -> Line:
    domain = row.sender_address.rpartition("@")[2]
    return Line(
        address=row.address,
        name=row.name,
        outlet=row.outlet,
        state=row.state,
        attempts=row.attempts,
        code=row.code,
        enhanced=row.enhanced,
        reply=row.reply,
        relay=row.relay,
        message_id=f"<{row.reference}@{domain}>",
        at=row.at,
        kind=WaveKind(row.kind),
        version=row.number,
        due_at=row.due_at,
    )
