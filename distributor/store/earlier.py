"""Who has a release already, and who was to have it and has not: by address, whatever lists say.

Somebody may have a version whose delivery was accepted, is uncertain or on its way, or had an
attempt that was: a mail whose answer was lost and that was put off, refused or cancelled afterwards
may have arrived all the same. Deferred and refused alone left nothing: the server has said so.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, exists, func, or_, select

from distributor.core.audience import Candidate
from distributor.core.letter import domain_of, message_id
from distributor.core.model import Outcome, Recipient, WaveKind
from distributor.core.states import LIVE, DeliveryState
from distributor.store.schema import (
    attempts,
    contacts,
    deliveries,
    suppressions,
    versions,
    waves,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Row, Select

_PAGE_ROWS: Final = 2_000
_MAY_HAVE: Final = (
    *(DeliveryState.ACCEPTED, DeliveryState.UNCERTAIN, DeliveryState.COMPLAINED),
    DeliveryState.SENDING,
)
_LEFT: Final = (Outcome.ACCEPTED, Outcome.UNCERTAIN)


def holders(tx: Connection, version_id: int, now: datetime) -> Iterator[Candidate]:
    """Everybody who may have an earlier version of this one's release, in order of addresses.

    Each as their newest such delivery knew them, and with all of these as the thread. What came
    back is not held by anybody.
    """
    ours = select(versions.c.release_id).where(versions.c.id == version_id).scalar_subquery()
    number = select(versions.c.number).where(versions.c.id == version_id).scalar_subquery()
    query = (
        _rows(deliveries.c.address_key, version_id, now)
        .where(
            waves.c.release_id == ours,
            versions.c.number < number,
            or_(
                deliveries.c.state.in_(_MAY_HAVE),
                and_(deliveries.c.state != DeliveryState.BOUNCED, _has_left()),
            ),
        )
        .execution_options(yield_per=_PAGE_ROWS)
    )
    with tx.execute(query) as rows:
        for _, of_address in groupby(rows, key=lambda row: row.key):
            held = list(of_address)
            yield _holder(held)


def missed(
    tx: Connection, version_id: int, states: Collection[DeliveryState], now: datetime
) -> Iterator[Candidate]:
    """Everybody whose delivery of this version stands in one of these states, by address.

    As their contact is known today, so that a mended address counts; as the delivery knew them
    where the contact is gone. They get the message that they were to get.
    """
    key = func.coalesce(contacts.c.address_key, deliveries.c.address_key)
    query = (
        _rows(key, version_id, now)
        .where(deliveries.c.version_id == version_id, deliveries.c.state.in_(states))
        .execution_options(yield_per=_PAGE_ROWS)
    )
    with tx.execute(query) as rows:
        for _, of_address in groupby(rows, key=lambda row: row.key):
            *_, newest = of_address
            yield _missed(newest)


def _rows(key: ColumnElement[str], version_id: int, now: datetime) -> Select[Any]:
    """Deliveries with what is asked about them, by ``key`` and then the oldest first."""
    other = deliveries.alias("other")
    has_version = exists().where(
        other.c.version_id == version_id, other.c.address_key == key, other.c.state.in_(LIVE)
    )
    standing = and_(
        suppressions.c.address_key == key,
        suppressions.c.lifted_at.is_(None),
        or_(suppressions.c.expires_at.is_(None), suppressions.c.expires_at > now),
    )
    return (
        select(
            deliveries,
            key.label("key"),
            versions.c.sender_address,
            or_(waves.c.kind == WaveKind.ADVANCE, waves.c.before_lift).label("by_consent"),
            contacts.c.id.label("known"),
            contacts.c.address_key.label("known_key"),
            contacts.c.address.label("known_address"),
            contacts.c.wire_address.label("known_wire"),
            contacts.c.name.label("known_name"),
            contacts.c.given_name.label("known_given_name"),
            contacts.c.terms_accepted_at,
            suppressions.c.reason.label("suppression"),
            has_version.label("has_version"),
        )
        .join(waves, waves.c.id == deliveries.c.wave_id)
        .join(versions, versions.c.id == deliveries.c.version_id)
        .outerjoin(contacts, contacts.c.id == deliveries.c.contact_id)
        .outerjoin(suppressions, standing)
        .order_by(key, deliveries.c.id)
    )


def _has_left() -> ColumnElement[bool]:
    """Whether the whole mail left at some attempt, whatever became of the delivery later."""
    return exists().where(attempts.c.delivery_id == deliveries.c.id, attempts.c.outcome.in_(_LEFT))


def _holder(held: list[Row[Any]]) -> Candidate:
    newest = held[-1]
    ids = [message_id(row.reference, domain_of(row.sender_address)) for row in held]
    # Who is no contact any more has taken the terms back from nobody: the advance copy stands.
    consented = any(row.by_consent for row in held)
    known = newest.known is not None
    return Candidate(
        contact_id=newest.known if newest.known_key == newest.key else None,
        address_key=newest.key,
        recipient=Recipient(newest.address, newest.name, newest.given_name, newest.outlet),
        suppression=newest.suppression,
        accepted_terms=newest.terms_accepted_at is not None if known else consented,
        has_version=bool(newest.has_version),
        thread=" ".join(ids),
    )


def _missed(row: Row[Any]) -> Candidate:
    recipient = Recipient(row.address, row.name, row.given_name, row.outlet)
    if row.known is not None:
        recipient = recipient._replace(
            address=row.known_wire or row.known_address,
            name=row.known_name,
            given_name=row.known_given_name,
        )
    return Candidate(
        contact_id=row.known,
        address_key=row.key,
        recipient=recipient,
        suppression=row.suppression,
        accepted_terms=row.terms_accepted_at is not None,
        has_version=bool(row.has_version),
        compiled_id=row.compiled_id,
        thread=row.thread,
    )
