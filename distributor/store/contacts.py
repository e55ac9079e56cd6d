"""Contacts, their outlets and beats: found, shown, and written in bulk.

Invariant: what a table leaves out never empties what is known; and nothing here touches a
suppression, so no import can revive an address (practice statement 48).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from sqlalchemy import bindparam, delete, func, insert, or_, select, text, update

from distributor.core.contact import NewContact, full_name, name_key
from distributor.store.schema import beats, contact_beats, contacts, list_members, lists, outlets

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row, Select, Table

    from distributor.core.address import Address

T = TypeVar("T")

#: Keys asked for in one query; SQLite takes 32,766 parameters, PostgreSQL 65,535.
_CHUNK: Final = 1_000
#: Text columns of a contact that a person or a table fills.
_TEXTS: Final = (
    "name", "given_name", "family_name", "role", "phone", "language", "zone", "note",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Contact:
    """A journalist as stored. ``wire_address`` is None when the address needs SMTPUTF8."""

    id: int
    address: str
    address_key: str
    wire_address: str | None
    name: str
    given_name: str
    family_name: str
    outlet: str
    role: str
    phone: str
    beats: tuple[str, ...]
    language: str
    zone: str
    note: str
    source: str
    terms_accepted_at: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Plan:
    """What writing some people would do, by their ids where they are known already."""

    added: tuple[NewContact, ...]
    changed: tuple[tuple[Contact, NewContact], ...]
    unchanged: tuple[Contact, ...]


# --- questions -------------------------------------------------------------------------------


def by_keys(tx: Connection, keys: Iterable[str]) -> dict[str, Contact]:
    """The contacts with these address keys, by key."""
    found: dict[str, Contact] = {}
    for chunk in _chunks(list(keys)):
        found |= {
            contact.address_key: contact
            for contact in _load(tx, _contacts().where(contacts.c.address_key.in_(chunk)))
        }
    return found


def by_key(tx: Connection, key: str) -> Contact | None:
    """The contact with this address key."""
    return by_keys(tx, [key]).get(key)


def find(tx: Connection, words: Sequence[str], *, limit: int) -> list[Contact]:
    """At most ``limit`` contacts in whose name, address, outlet or beats every word stands.

    Case does not count, in any script: the databases fold ASCII alone, so they are asked loosely
    and their answers are looked at again.
    """
    query = _contacts().order_by(func.lower(contacts.c.name), contacts.c.address_key)
    for word in words:
        query = query.where(_holds(word))
    if all(word.isascii() for word in words):
        query = query.limit(limit)
    found: list[Contact] = []
    for contact in _load(tx, query):
        if all(word.casefold() in _haystack(contact) for word in words):
            found.append(contact)
        if len(found) == limit:
            break
    return found


def members(tx: Connection, list_id: int) -> list[Contact]:
    """The contacts on a list, by name."""
    query = (
        _contacts()
        .join(list_members, list_members.c.contact_id == contacts.c.id)
        .where(list_members.c.list_id == list_id)
        .order_by(func.lower(contacts.c.name), contacts.c.address_key)
    )
    return list(_load(tx, query))


def lists_of(tx: Connection, contact_id: int) -> list[str]:
    """The names of the lists a contact is on."""
    query = (
        select(lists.c.name)
        .join(list_members, list_members.c.list_id == lists.c.id)
        .where(list_members.c.contact_id == contact_id)
        .order_by(lists.c.key)
    )
    return list(tx.execute(query).scalars())


def count(tx: Connection) -> int:
    """How many contacts there are."""
    return tx.execute(select(func.count()).select_from(contacts)).scalar_one()


def plan(tx: Connection, people: Sequence[NewContact]) -> Plan:
    """What :func:`carry_out` would do with these people; their keys must differ from one another.

    The same reading serves the dry run and the real one.
    """
    known = by_keys(tx, [person.address.key for person in people])
    added: list[NewContact] = []
    changed: list[tuple[Contact, NewContact]] = []
    unchanged: list[Contact] = []
    for person in people:
        contact = known.get(person.address.key)
        if contact is None:
            added.append(person)
        elif _differs(contact, person):
            changed.append((contact, person))
        else:
            unchanged.append(contact)
    return Plan(tuple(added), tuple(changed), tuple(unchanged))


# --- writes ----------------------------------------------------------------------------------


def one_writer(tx: Connection) -> None:
    """Let nobody else write contacts until this transaction ends (SQLite's writer is alone anyway).

    Reading, and sending to contacts, goes on meanwhile.
    """
    if tx.dialect.name == "postgresql":
        tx.execute(text("LOCK TABLE contacts IN SHARE ROW EXCLUSIVE MODE"))


def carry_out(tx: Connection, planned: Plan, *, source: str, now: datetime) -> list[int]:
    """Write what :func:`plan` found in this same transaction; gives the ids of everybody in it.

    Values said anew replace old ones; values not said stay; beats are added, never taken away.
    ``source`` is noted for new contacts only: where an address first came from (GDPR Art. 14).
    """
    _insert(tx, planned.added, source=source, now=now)
    _update(tx, planned.changed, now=now)
    ids = [contact.id for contact, _ in planned.changed]
    ids += [contact.id for contact in planned.unchanged]
    new = _ids(tx, contacts.c.address_key, [person.address.key for person in planned.added])
    return [*new.values(), *ids]


def _insert(tx: Connection, people: Sequence[NewContact], *, source: str, now: datetime) -> None:
    if not people:
        return
    outlet_ids = _named(tx, outlets, [person.outlet for person in people])
    tx.execute(
        insert(contacts),
        [
            {
                "address": person.address.shown,
                "address_key": person.address.key,
                "wire_address": person.address.wire,
                **{field: getattr(person, field) for field in _TEXTS},
                "name": person.full_name,
                "outlet_id": outlet_ids.get(name_key(person.outlet)),
                "source": source,
                "created_at": now,
                "updated_at": now,
            }
            for person in people
        ],
    )
    keys = _ids(tx, contacts.c.address_key, [person.address.key for person in people])
    _add_beats(tx, [(keys[person.address.key], person.beats) for person in people])


def _update(
    tx: Connection,
    changed: Sequence[tuple[Contact, NewContact]],
    *,
    now: datetime,
) -> None:
    if not changed:
        return
    outlet_ids = _named(tx, outlets, [person.outlet or old.outlet for old, person in changed])
    columns = [*_TEXTS, "outlet_id", "updated_at"]
    tx.execute(
        update(contacts)
        .where(contacts.c.id == bindparam("contact"))
        .values({column: bindparam(f"new_{column}") for column in columns}),
        [
            {
                "contact": old.id,
                **{f"new_{name}": value for name, value in _merged(old, person).items()},
                "new_outlet_id": outlet_ids.get(name_key(person.outlet or old.outlet)),
                "new_updated_at": now,
            }
            for old, person in changed
        ],
    )
    _add_beats(tx, [(old.id, _new_beats(old, person)) for old, person in changed])


def change(
    tx: Connection,
    contact: Contact,
    changes: Mapping[str, str],
    *,
    address: Address | None = None,
    now: datetime,
) -> None:
    """Set what a person edited: text columns and ``outlet``; an empty text empties.

    ``address`` moves the contact to another address, whose key must be free.
    """
    values: dict[str, Any] = {name: changes[name] for name in _TEXTS if name in changes}
    if "outlet" in changes:
        ids = _named(tx, outlets, [changes["outlet"]])
        values["outlet_id"] = ids.get(name_key(changes["outlet"]))
    if address is not None:
        values |= {
            "address": address.shown,
            "address_key": address.key,
            "wire_address": address.wire,
        }
    tx.execute(
        update(contacts).where(contacts.c.id == contact.id).values(**values, updated_at=now),
    )


def set_beats(tx: Connection, contact_id: int, names: Sequence[str]) -> None:
    """Make these a contact's beats, and no others."""
    tx.execute(delete(contact_beats).where(contact_beats.c.contact_id == contact_id))
    _add_beats(tx, [(contact_id, names)])


def _add_beats(tx: Connection, wanted: Sequence[tuple[int, Sequence[str]]]) -> None:
    ids = _named(tx, beats, [name for _, names in wanted for name in names])
    rows = [
        {"contact_id": contact_id, "beat_id": ids[key]}
        for contact_id, names in wanted
        for key in {name_key(name) for name in names}
    ]
    if rows:
        tx.execute(insert(contact_beats), rows)


def _named(tx: Connection, table: Table, names: Iterable[str]) -> dict[str, int]:
    """The rows of outlets or beats with these names, made where there are none: key -> id."""
    wanted: dict[str, str] = {}
    for name in names:
        wanted.setdefault(name_key(name), name)
    wanted.pop("", None)
    known = _ids(tx, table.c.key, list(wanted))
    missing = [{"key": key, "name": name} for key, name in wanted.items() if key not in known]
    if not missing:
        return known
    tx.execute(insert(table), missing)
    return known | _ids(tx, table.c.key, [row["key"] for row in missing])


def _ids(tx: Connection, column: Any, keys: Sequence[str]) -> dict[str, int]:  # noqa: ANN401 - a column of text
    table = cast("Table", column.table)
    found: dict[str, int] = {}
    for chunk in _chunks(keys):
        rows = tx.execute(select(column, table.c.id).where(column.in_(chunk)))
        found |= {row[0]: row[1] for row in rows}
    return found


# --- rows to values --------------------------------------------------------------------------


def _contacts() -> Select[Any]:
    return select(contacts, outlets.c.name.label("outlet")).outerjoin(
        outlets,
        outlets.c.id == contacts.c.outlet_id,
    )


def _load(tx: Connection, query: Select[Any]) -> Iterator[Contact]:
    """The contacts of a query in its order, with their beats, a chunk at a time."""
    rows = tx.execute(query).all()
    for chunk in _chunks(rows):
        topics = _beats_of(tx, [row.id for row in chunk])
        for row in chunk:
            yield _contact(row, topics.get(row.id, ()))


def _beats_of(tx: Connection, ids: Collection[int]) -> dict[int, tuple[str, ...]]:
    query = (
        select(contact_beats.c.contact_id, beats.c.name)
        .join(beats, beats.c.id == contact_beats.c.beat_id)
        .where(contact_beats.c.contact_id.in_(ids))
        .order_by(beats.c.key)
    )
    topics: dict[int, tuple[str, ...]] = {}
    for contact_id, name in tx.execute(query):
        topics[contact_id] = (*topics.get(contact_id, ()), name)
    return topics


def _contact(row: Row[Any], topics: tuple[str, ...]) -> Contact:
    return Contact(
        id=row.id,
        address=row.address,
        address_key=row.address_key,
        wire_address=row.wire_address,
        outlet=row.outlet or "",
        beats=topics,
        source=row.source,
        terms_accepted_at=row.terms_accepted_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
        **{name: getattr(row, name) for name in _TEXTS},
    )


def _merged(contact: Contact, person: NewContact) -> dict[str, str]:
    """The text columns after writing: what is said anew, else what stands.

    A name that was put together from its parts follows them; one that somebody wrote stays.
    """
    values = {name: getattr(person, name) or getattr(contact, name) for name in _TEXTS}
    composed = full_name(contact.given_name, contact.family_name)
    if not person.name and contact.name in {"", composed}:
        values["name"] = full_name(values["given_name"], values["family_name"])
    return values


def _differs(contact: Contact, person: NewContact) -> bool:
    merged = _merged(contact, person)
    return (
        any(getattr(contact, name) != value for name, value in merged.items())
        or (bool(person.outlet) and name_key(person.outlet) != name_key(contact.outlet))
        or bool(_new_beats(contact, person))
    )


def _new_beats(contact: Contact, person: NewContact) -> list[str]:
    known = {name_key(beat) for beat in contact.beats}
    return [beat for beat in person.beats if name_key(beat) not in known]


def _holds(word: str) -> Any:  # noqa: ANN401 - an SQL condition
    signs = (
        "_" if not sign.isascii() else f"\\{sign}" if sign in "%_\\" else sign for sign in word
    )
    pattern = f"%{''.join(signs)}%"
    topics = (
        select(contact_beats.c.contact_id)
        .join(beats, beats.c.id == contact_beats.c.beat_id)
        .where(beats.c.name.ilike(pattern, escape="\\"))
    )
    return or_(
        contacts.c.name.ilike(pattern, escape="\\"),
        contacts.c.address.ilike(pattern, escape="\\"),
        outlets.c.name.ilike(pattern, escape="\\"),
        contacts.c.id.in_(topics),
    )


def _haystack(contact: Contact) -> str:
    texts = (contact.name, contact.address, contact.outlet, *contact.beats)
    return "\n".join(texts).casefold()


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]
