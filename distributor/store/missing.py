"""Who has not got what some waves were to bring: each person once, by what was heard last.

A person is an address, or a contact whose address was mended between two waves: whoever got it at
the new one is not missing at the old one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, select

from distributor.core.audience import ExclusionReason
from distributor.core.model import WaveKind
from distributor.core.states import DeliveryState
from distributor.store import deliverylog
from distributor.store.schema import deliveries, exclusions, sequels, versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import ColumnElement, Connection, Row

    from distributor.store.deliverylog import Line

#: The mail server has taken the mail, and it did not come back.
ARRIVED: Final = frozenset({DeliveryState.ACCEPTED, DeliveryState.COMPLAINED})
MISSED: Final = frozenset(DeliveryState) - ARRIVED

_PAGE_ROWS = 2_000


@dataclass(slots=True)
class _Latest:
    """What speaks for a person who lacks one text: the newest edition of it, and a delivery."""

    number: int
    told: bool
    delivery: int


def missing(tx: Connection, waves: Sequence[int], outlet: str | None = None) -> list[Line]:
    """Everybody on these waves who has not got what they brought, once, in the order of sealing.

    Of several deliveries of one text the newest edition decides: whoever has an accepted one of it
    is not missing, else the latest speaks. One that was stopped before it was tried tells nothing,
    so an earlier answer speaks instead. A follow-up is a text of its own, for what it follows still
    holds.
    """
    wanted = deliverylog.Filter(MISSED, outlet, waves=waves)
    # Within one wave nobody is there twice.
    chosen = _chosen(tx, waves) if len(waves) > 1 else None
    return [line for key, line in deliverylog.keyed(tx, wanted) if chosen is None or key in chosen]


def count_arrived(tx: Connection, waves: Sequence[int], outlet: str | None = None) -> int:
    """To how many addresses some mail of these waves was accepted."""
    query = (
        select(deliveries.c.address_key, deliveries.c.outlet)
        .where(deliveries.c.wave_id.in_(waves), deliveries.c.state.in_(ARRIVED))
        .distinct()
    )
    if outlet is None:
        inner = query.with_only_columns(deliveries.c.address_key).subquery()
        return tx.execute(select(func.count()).select_from(inner)).scalar_one()
    rows = tx.execute(query).all()
    return len({row.address_key for row in rows if row.outlet.casefold() == outlet.casefold()})


def count_left_out(tx: Connection, waves: Sequence[int]) -> int:
    """How many addresses these waves left out on purpose, and none of them was to reach."""
    meant = select(deliveries.c.address).where(deliveries.c.wave_id.in_(waves))
    return tx.execute(
        select(func.count(exclusions.c.address.distinct())).where(
            exclusions.c.wave_id.in_(waves),
            exclusions.c.reason != ExclusionReason.ALREADY_SENT.value,
            exclusions.c.address.not_in(meant),
        )
    ).scalar_one()


def _chosen(tx: Connection, waves: Sequence[int]) -> set[int]:
    """The deliveries that speak for those who are missing."""
    person: dict[str | int, int] = {}
    latest: dict[tuple[int, int], _Latest] = {}
    for row in _rows(tx, waves, MISSED):
        keys = _keys(row)
        who = next((person[key] for key in keys if key in person), row.id)
        for key in keys:
            person.setdefault(key, who)
        told = row.attempts > 0 or row.state is not DeliveryState.CANCELLED
        seen = latest.setdefault((who, _text(row)), _Latest(row.number, told, row.id))
        seen.number = row.number
        if told or not seen.told:
            seen.told, seen.delivery = told, row.id
    for row in _rows(tx, waves, ARRIVED):
        for who in {person[key] for key in _keys(row) if key in person}:
            lacked = latest.get((who, _text(row)))
            if lacked is not None and row.number >= lacked.number:
                del latest[who, _text(row)]
    newest: dict[int, int] = {}
    for (who, _), lacked in latest.items():
        newest[who] = max(newest.get(who, 0), lacked.delivery)
    return set(newest.values())


def _rows(
    tx: Connection, waves: Sequence[int], states: frozenset[DeliveryState]
) -> Iterator[Row[Any]]:
    """Deliveries with their version's number and what it is, the oldest edition first."""
    columns: list[ColumnElement[Any]] = [
        *(deliveries.c[name] for name in ("id", "version_id", "address_key", "contact_id")),
        *(deliveries.c.state, deliveries.c.attempts, versions.c.number, sequels.c.kind),
    ]
    query = (
        select(*columns)
        .join(versions, versions.c.id == deliveries.c.version_id)
        .outerjoin(sequels, sequels.c.version_id == versions.c.id)
        .where(deliveries.c.wave_id.in_(waves), deliveries.c.state.in_(states))
        .order_by(versions.c.number, deliveries.c.id)
        .execution_options(yield_per=_PAGE_ROWS)
    )
    with tx.execute(query) as rows:
        yield from rows


def _keys(row: Row[Any]) -> tuple[str | int, ...]:
    known = () if row.contact_id is None else (row.contact_id,)
    return (row.address_key, *known)


def _text(row: Row[Any]) -> int:
    """Which text a version is an edition of: a follow-up of its own, all others of the release."""
    return row.version_id if row.kind == WaveKind.FOLLOW_UP else 0
