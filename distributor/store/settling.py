"""Uncertain deliveries: which they are, and what a person decides of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select, update

from distributor.core.address import key_of
from distributor.core.states import DeliveryState, check_move
from distributor.store.schema import deliveries, waves

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

#: Keys in one statement: engines allow only so many parameters.
_CHUNK = 1_000


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
