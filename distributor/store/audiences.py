"""Candidates of an audience, as one snapshot sees them: the rule's questions put to SQL."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, and_, bindparam, exists, func, or_, select

from distributor.core.audience import Candidate
from distributor.core.model import Recipient
from distributor.store import earlier
from distributor.store.given import gathered, read_gathered
from distributor.store.schema import (
    contacts,
    deliveries,
    list_members,
    lists,
    live_delivery,
    outlets,
    suppressions,
)
from distributor.store.types import Instant

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from distributor.core.model import AudienceRule

#: Rows that are asked for at once: one document of about a megabyte.
_PAGE_ROWS = 5_000


def candidates(
    tx: Connection,
    rule: AudienceRule,
    *,
    version_id: int,
    now: datetime,
) -> Generator[Candidate]:
    """Everybody the rule names once: who has the release, who missed it, members of its lists.

    Each of these in the order of their addresses, page by page. In that order the deliveries' index
    by address grows at its end while they are stored, and is touched in one place while a batch is
    sent: in any other, each row of a million is a page of its own to be read, changed and written
    twice.
    """
    seen: set[str] = set()
    if rule.had:
        for candidate in earlier.holders(tx, version_id, now):
            if rule.lists:
                seen.add(candidate.address_key)
            yield candidate
    if rule.again:
        yield from earlier.missed(tx, version_id, rule.again, now)
    if rule.lists:
        for candidate in _members(tx, rule, version_id=version_id, now=now):
            if candidate.address_key not in seen:
                yield candidate


def _members(
    tx: Connection, rule: AudienceRule, *, version_id: int, now: datetime
) -> Generator[Candidate]:
    query = _page(tx.dialect.name)
    asked = {
        "lists": [*rule.lists],
        "exclude": [*rule.exclude],
        "version": version_id,
        "now": now,
        "after": "",
    }
    while True:
        page, asked["after"] = read_gathered(tx, query, asked)
        if not page:
            return
        for row in page:
            yield _candidate(row)


@cache
def _page(dialect: str) -> Select[str, Any]:
    member = exists().where(
        list_members.c.contact_id == contacts.c.id,
        list_members.c.list_id.in_(bindparam("lists", expanding=True)),
    )
    excluded_by = (
        select(func.min(lists.c.name))
        .join(list_members, list_members.c.list_id == lists.c.id)
        .where(
            list_members.c.contact_id == contacts.c.id,
            lists.c.id.in_(bindparam("exclude", expanding=True)),
        )
        .scalar_subquery()
    )
    has_version = exists().where(
        deliveries.c.version_id == bindparam("version"),
        deliveries.c.address_key == contacts.c.address_key,
        live_delivery,
    )
    now = bindparam("now", type_=Instant())
    standing = and_(
        suppressions.c.address_key == contacts.c.address_key,
        suppressions.c.lifted_at.is_(None),
        or_(suppressions.c.expires_at.is_(None), suppressions.c.expires_at > now),
    )
    return gathered(
        dialect,
        select(
            contacts.c.address_key,
            contacts.c.id,
            func.coalesce(func.nullif(contacts.c.wire_address, ""), contacts.c.address).label(
                "wire"
            ),
            contacts.c.name,
            contacts.c.given_name,
            outlets.c.name.label("outlet"),
            suppressions.c.reason,
            excluded_by.label("excluded_by"),
            contacts.c.terms_accepted_at.is_not(None).label("accepted_terms"),
            has_version.label("has_version"),
        )
        .outerjoin(outlets, outlets.c.id == contacts.c.outlet_id)
        .outerjoin(suppressions, standing)
        .where(member, contacts.c.address_key > bindparam("after"))
        .order_by(contacts.c.address_key)
        .limit(_PAGE_ROWS),
    )


def _candidate(row: Sequence[Any]) -> Candidate:
    address_key, key, address, name, given_name, outlet, *rest = row
    suppression, excluded_by, accepted_terms, has_version = rest
    return Candidate(
        contact_id=key,
        address_key=address_key,
        recipient=Recipient(address, name, given_name, outlet or ""),
        suppression=suppression,
        excluded_by=excluded_by,
        accepted_terms=bool(accepted_terms),
        has_version=bool(has_version),
    )
