"""Suppressions: standing orders not to mail an address.

They hang on the address, not on the contact: deleting or importing a contact changes nothing here
(practice statement 48). History stays: an order is lifted, never deleted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, insert, or_, select, text, update

from distributor.store.schema import suppressions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Row

    from distributor.core.address import Address

_CHUNK: Final = 1_000


class SuppressionReason(StrEnum):
    """Why an address is not mailed."""

    OBJECTION = "objection"
    BOUNCED = "bounced"
    REFUSED = "refused"
    COMPLAINT = "complaint"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class NewSuppression:
    """An order to give. ``evidence`` is what it rests on; without ``expires_at`` it stands."""

    address: Address
    reason: SuppressionReason
    evidence: str = ""
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Suppression:
    """An order as stored. It stands until it is lifted or its time is over."""

    id: int
    address: str
    address_key: str
    reason: SuppressionReason
    evidence: str
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    lifted_at: datetime | None
    lifted_by: str | None

    def stands(self, now: datetime) -> bool:
        """Whether the address may not be mailed at ``now``."""
        return self.lifted_at is None and (self.expires_at is None or self.expires_at > now)


def standing(tx: Connection, keys: Sequence[str], *, now: datetime) -> dict[str, Suppression]:
    """The orders that stand for these address keys, by key."""
    found: dict[str, Suppression] = {}
    for start in range(0, len(keys), _CHUNK):
        chunk = suppressions.c.address_key.in_(keys[start : start + _CHUNK])
        rows = tx.execute(select(suppressions).where(chunk, _stands(now)))
        found |= {row.address_key: _suppression(row) for row in rows}
    return found


def every(tx: Connection, *, now: datetime, ended: bool = False) -> list[Suppression]:
    """The orders that stand, newest first; with ``ended`` also those that no longer do."""
    query = select(suppressions).order_by(suppressions.c.id.desc())
    if not ended:
        query = query.where(_stands(now))
    return [_suppression(row) for row in tx.execute(query)]


def of_address(tx: Connection, key: str) -> list[Suppression]:
    """Every order there ever was for an address, newest first."""
    query = select(suppressions).where(suppressions.c.address_key == key)
    return [_suppression(row) for row in tx.execute(query.order_by(suppressions.c.id.desc()))]


def add(tx: Connection, order: NewSuppression, *, by: str, now: datetime) -> tuple[int, bool]:
    """Suppress an address; gives the standing order's id and whether anything changed.

    A weaker order never takes the place of a stronger one: an objection outranks every other
    reason, and of two expiries the later stands.
    """
    if tx.dialect.name == "postgresql":
        tx.execute(text("LOCK TABLE suppressions IN SHARE ROW EXCLUSIVE MODE"))
    old = next((one for one in of_address(tx, order.address.key) if one.lifted_at is None), None)
    reason, expires_at = order.reason, order.expires_at
    if old is not None and old.stands(now):
        if _covers(old, order):
            return old.id, False
        expires_at = _later(old.expires_at, order.expires_at)
        if old.reason is SuppressionReason.OBJECTION:
            reason = old.reason
    if old is not None:
        # Expired, or replaced by a stronger one: only one order may be unlifted.
        lift(tx, order.address.key, by=by, now=now)
    tx.execute(
        insert(suppressions).values(
            address=order.address.shown,
            address_key=order.address.key,
            reason=reason.value,
            evidence=order.evidence,
            created_at=now,
            created_by=by,
            expires_at=expires_at,
        ),
    )
    return of_address(tx, order.address.key)[0].id, True


def lift(tx: Connection, key: str, *, by: str, now: datetime) -> int:
    """End the order on an address; gives how many there were (0 or 1)."""
    done = tx.execute(
        update(suppressions)
        .where(suppressions.c.address_key == key, suppressions.c.lifted_at.is_(None))
        .values(lifted_at=now, lifted_by=by),
    )
    return done.rowcount


def _covers(old: Suppression, new: NewSuppression) -> bool:
    outranked = (
        new.reason is SuppressionReason.OBJECTION and old.reason is not SuppressionReason.OBJECTION
    )
    return not outranked and _later(old.expires_at, new.expires_at) == old.expires_at


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    """The later of two expiries; none at all is the latest."""
    return None if one is None or other is None else max(one, other)


def _stands(now: datetime) -> ColumnElement[bool]:
    return and_(
        suppressions.c.lifted_at.is_(None),
        or_(suppressions.c.expires_at.is_(None), suppressions.c.expires_at > now),
    )


def _suppression(row: Row[Any]) -> Suppression:
    return Suppression(
        id=row.id,
        address=row.address,
        address_key=row.address_key,
        reason=SuppressionReason(row.reason),
        evidence=row.evidence,
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        lifted_at=row.lifted_at,
        lifted_by=row.lifted_by,
    )
