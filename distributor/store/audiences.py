"""Candidates of an audience, as one snapshot sees them: the rule's questions put to SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, exists, func, or_, select

from distributor.core.audience import Candidate
from distributor.core.model import Recipient
from distributor.core.states import LIVE
from distributor.store.schema import (
    contacts,
    deliveries,
    list_members,
    lists,
    outlets,
    suppressions,
)

if TYPE_CHECKING:
    from collections.abc import Generator
    from datetime import datetime

    from sqlalchemy import Connection, Row, Select

    from distributor.core.model import AudienceRule

_PAGE_ROWS = 2_000


def candidates(
    tx: Connection,
    rule: AudienceRule,
    *,
    version_id: int,
    now: datetime,
) -> Generator[Candidate]:
    """Every member of the rule's lists once, in the order of their keys, streamed."""
    # Said of the statement: a connection would keep the option for whatever it is asked next.
    query = _query(rule, version_id, now).execution_options(yield_per=_PAGE_ROWS)
    with tx.execute(query) as rows:
        for row in rows:
            yield _candidate(row)


def _query(rule: AudienceRule, version_id: int, now: datetime) -> Select[Any]:
    member = exists().where(
        list_members.c.contact_id == contacts.c.id,
        list_members.c.list_id.in_(rule.lists),
    )
    excluded_by = (
        select(func.min(lists.c.name))
        .join(list_members, list_members.c.list_id == lists.c.id)
        .where(list_members.c.contact_id == contacts.c.id, lists.c.id.in_(rule.exclude))
        .scalar_subquery()
    )
    has_version = exists().where(
        deliveries.c.version_id == version_id,
        deliveries.c.address_key == contacts.c.address_key,
        deliveries.c.state.in_(LIVE),
    )
    standing = and_(
        suppressions.c.address_key == contacts.c.address_key,
        suppressions.c.lifted_at.is_(None),
        or_(suppressions.c.expires_at.is_(None), suppressions.c.expires_at > now),
    )
    return (
        select(
            contacts,
            outlets.c.name.label("outlet"),
            suppressions.c.reason.label("suppression"),
            excluded_by.label("excluded_by"),
            has_version.label("has_version"),
        )
        .outerjoin(outlets, outlets.c.id == contacts.c.outlet_id)
        .outerjoin(suppressions, standing)
        .where(member)
        .order_by(contacts.c.id)
    )


def _candidate(row: Row[Any]) -> Candidate:
    return Candidate(
        contact_id=row.id,
        address_key=row.address_key,
        recipient=Recipient(
            address=row.wire_address or row.address,
            name=row.name,
            given_name=row.given_name,
            outlet=row.outlet or "",
        ),
        suppression=row.suppression,
        excluded_by=row.excluded_by,
        accepted_terms=row.terms_accepted_at is not None,
        has_version=row.has_version,
    )
