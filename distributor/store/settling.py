"""Uncertain deliveries: which they are, and what is decided of them, and on what evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select, update

from distributor.core.address import key_of
from distributor.core.letter import domain_of
from distributor.core.model import Outcome
from distributor.core.states import DeliveryState, check_move
from distributor.store.schema import attempts, deliveries, versions, waves

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

#: Keys in one statement: engines allow only so many parameters.
_CHUNK = 1_000
#: Doubts named in one answer.
_MOST = 1_000


@dataclass(frozen=True, slots=True)
class Doubt:
    """An uncertain delivery, as a mail server's own record is asked about it.

    ``relay``: whom it was given to, None when that is not known. ``times``: how often it has
    been uncertain, this time included.
    """

    delivery_id: int
    wave_id: int
    message_id: str
    relay: str | None
    since: datetime
    times: int


def doubts(tx: Connection, *, release: int | None, since: datetime | None = None) -> list[Doubt]:
    """Uncertain deliveries, of one release when it is named, uncertain ``since`` then or later.

    At most a thousand, those in doubt for longest first.
    """
    times = (
        select(func.count())
        .where(
            attempts.c.delivery_id == deliveries.c.id,
            attempts.c.outcome == Outcome.UNCERTAIN,
        )
        .scalar_subquery()
    )
    which = select(waves.c.id)
    if release is not None:
        which = which.where(waves.c.release_id == release)
    query = (
        select(deliveries, versions.c.sender_address, times.label("times"))
        .join(versions, versions.c.id == deliveries.c.version_id)
        .where(
            # Wave by wave, for there an index says at once that one has none.
            deliveries.c.wave_id.in_(which),
            deliveries.c.state == DeliveryState.UNCERTAIN,
        )
        .order_by(deliveries.c.at, deliveries.c.id)
        .limit(_MOST)
    )
    if since is not None:
        query = query.where(deliveries.c.at >= since)
    return [
        Doubt(
            row.id,
            row.wave_id,
            f"<{row.reference}@{domain_of(row.sender_address)}>",
            row.relay,
            row.at,
            row.times,
        )
        for row in tx.execute(query)
    ]


def lasting(tx: Connection, found: Sequence[Doubt]) -> set[int]:
    """Lock these deliveries; gives those in the very doubt that was named, not a later one."""
    rows = tx.execute(
        select(deliveries.c.id, deliveries.c.at)
        .where(
            deliveries.c.id.in_([doubt.delivery_id for doubt in found]),
            deliveries.c.state == DeliveryState.UNCERTAIN,
        )
        .order_by(deliveries.c.id)
        .with_for_update(),
    )
    since = {doubt.delivery_id: doubt.since for doubt in found}
    return {row.id for row in rows if since[row.id] == row.at}


def uncertain(tx: Connection, release: int, address: str | None) -> dict[int, list[int]]:
    """A release's uncertain deliveries by wave; of one address when it is named, in any case."""
    query = (
        select(deliveries.c.wave_id, deliveries.c.id)
        .join(waves, waves.c.id == deliveries.c.wave_id)
        .where(
            waves.c.release_id == release,
            deliveries.c.state == DeliveryState.UNCERTAIN,
        )
        .order_by(deliveries.c.id)
    )
    if address is not None:
        query = query.where(deliveries.c.address_key == key_of(address))
    found: dict[int, list[int]] = {}
    for row in tx.execute(query):
        found.setdefault(row.wave_id, []).append(row.id)
    return found


def decide(
    tx: Connection,
    ids: Sequence[int],
    to: DeliveryState,
    *,
    words: str,
    now: datetime,
) -> None:
    """Settle rows that are still uncertain; ``words`` say who decided."""
    check_move(DeliveryState.UNCERTAIN, to)
    for start in range(0, len(ids), _CHUNK):
        tx.execute(
            update(deliveries)
            .where(
                deliveries.c.id.in_(ids[start : start + _CHUNK]),
                deliveries.c.state == DeliveryState.UNCERTAIN,
            )
            .values(state=to, reply=words, at=now),
        )
