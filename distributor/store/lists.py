"""Lists: hand-kept sets of contacts, named as people name them (case and spaces do not count)."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy import delete, func, insert, select, update

from distributor.core.address import visible
from distributor.core.contact import name_key
from distributor.errors import NotFound
from distributor.store.schema import list_members, lists

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Select

_CHUNK: Final = 1_000


@dataclass(frozen=True, slots=True)
class ContactList:
    """A list as stored and how many contacts are on it."""

    id: int
    name: str
    created_at: datetime
    members: int


def every(tx: Connection) -> list[ContactList]:
    """All lists, by name."""
    return [ContactList(*row) for row in tx.execute(_lists().order_by(lists.c.key))]


def named(tx: Connection, name: str) -> ContactList | None:
    """The list of that name, or None."""
    row = tx.execute(_lists().where(lists.c.key == name_key(name))).one_or_none()
    return None if row is None else ContactList(*row)


def id_of(tx: Connection, name: str) -> int | None:
    """The key of the list of that name, without counting its members; None if there is none."""
    return tx.execute(select(lists.c.id).where(lists.c.key == name_key(name))).scalar_one_or_none()


def get(tx: Connection, name: str) -> ContactList:
    """The list of that name.

    Raises:
        NotFound: There is none; the remedy names the lists whose names come near.

    """
    found = named(tx, name)
    if found is not None:
        return found
    names = {item.key: item.name for item in tx.execute(select(lists.c.key, lists.c.name))}
    wanted = name_key(name)
    near = get_close_matches(wanted, names, n=3)
    near += [key for key in names if wanted and wanted in key and key not in near]
    if near:
        choices = " or ".join(f'"{names[key]}"' for key in near[:3])
        remedy = f"Did you mean {choices}?"
    elif names:
        remedy = "All lists: distributor lists show"
    else:
        remedy = f'Create it: distributor lists create "{visible(name)}"'
    msg = f'There is no list "{visible(name)}".'
    raise NotFound(msg, remedy=remedy)


def create(tx: Connection, name: str, *, now: datetime) -> ContactList:
    """Make an empty list; its name must be free."""
    made = tx.execute(insert(lists).values(name=name, key=name_key(name), created_at=now))
    key = cast("int", made.inserted_primary_key[0])  # pyright: ignore[reportOptionalSubscript]
    return ContactList(key, name, now, 0)


def rename(tx: Connection, list_id: int, name: str) -> None:
    """Give a list another name, which must be free or its own."""
    tx.execute(update(lists).where(lists.c.id == list_id).values(name=name, key=name_key(name)))


def remove(tx: Connection, list_id: int) -> None:
    """Delete a list. Its contacts stay."""
    tx.execute(delete(lists).where(lists.c.id == list_id))


def missing(tx: Connection, list_id: int, contact_ids: Iterable[int]) -> list[int]:
    """Those of the contacts that are not on the list, in their order."""
    asked = list(contact_ids)
    on_list: set[int] = set()
    for start in range(0, len(asked), _CHUNK):
        # The members named, never the list: it may be of a million.
        found = select(list_members.c.contact_id).where(
            list_members.c.list_id == list_id,
            list_members.c.contact_id.in_(asked[start : start + _CHUNK]),
        )
        on_list.update(tx.execute(found).scalars())
    return [id_ for id_ in asked if id_ not in on_list]


def add_members(
    tx: Connection,
    list_id: int,
    contact_ids: Iterable[int],
    *,
    now: datetime,
) -> int:
    """Put contacts on a list; gives how many were not on it before."""
    new = missing(tx, list_id, dict.fromkeys(contact_ids))
    if new:
        rows = [{"list_id": list_id, "contact_id": id_, "added_at": now} for id_ in new]
        tx.execute(insert(list_members), rows)
    return len(new)


def remove_members(tx: Connection, list_id: int, contact_ids: Sequence[int]) -> int:
    """Take contacts off a list; gives how many were on it."""
    taken = 0
    for start in range(0, len(contact_ids), _CHUNK):
        done = tx.execute(
            delete(list_members).where(
                list_members.c.list_id == list_id,
                list_members.c.contact_id.in_(contact_ids[start : start + _CHUNK]),
            ),
        )
        taken += done.rowcount
    return taken


def _lists() -> Select[Any, Any, Any, int]:
    members = (
        select(func.count())
        .where(list_members.c.list_id == lists.c.id)
        .scalar_subquery()
        .label("members")
    )
    return select(lists.c.id, lists.c.name, lists.c.created_at, members)
