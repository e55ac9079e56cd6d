"""Orders about contacts: take in, import, change; and the answers to look before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from distributor.core.address import visible
from distributor.core.contact import TEXT_FIELDS, full_name, name_key, text_fault
from distributor.core.timing import zone_spelled
from distributor.errors import InputError, NotFound, Refused
from distributor.intake.addresses import (
    clean,
    language_fault,
    read_beats,
    stated_address,
    stated_contact,
    zone_fault,
)
from distributor.store import audit, contacts, lists, suppressions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from distributor.core.model import Finding
    from distributor.intake.table import ContactTable, Row
    from distributor.store.contacts import Contact
    from distributor.store.database import Database
    from distributor.store.suppressions import Suppression

#: Rows written in one transaction: no import may hold up the recording of a running wave.
_ROWS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Import:
    """A table to import: where it came from (kept with each new contact) and onto which list."""

    table: ContactTable
    source: str
    list_name: str | None = None


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did, or, of a dry run, what it would do now.

    ``read`` rows = ``added + updated + unchanged + duplicates + refused``. ``joined`` counts those
    who were not on the list before, ``suppressed`` those who will get nothing all the same.
    """

    read: int
    added: int
    updated: int
    unchanged: int
    duplicates: int
    refused: int
    suppressed: int
    list_name: str | None
    list_created: bool
    joined: int
    dry_run: bool
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """All the desk knows of one contact."""

    contact: Contact
    lists: tuple[str, ...]
    suppression: Suppression | None


@dataclass(frozen=True, slots=True)
class _Part:
    """What a part of an import came to."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    suppressed: int = 0
    joined: int = 0
    list_created: bool = False

    def __add__(self, other: _Part) -> _Part:
        return _Part(
            self.added + other.added,
            self.updated + other.updated,
            self.unchanged + other.unchanged,
            self.suppressed + other.suppressed,
            self.joined + other.joined,
            self.list_created or other.list_created,
        )


class Contacts:
    """The contacts' side of the desk."""

    def __init__(self, database: Database) -> None:
        """Work on this database."""
        self._database = database

    # --- answers -----------------------------------------------------------------------------

    def find(self, words: Sequence[str], *, limit: int = 100) -> list[Contact]:
        """At most ``limit`` contacts in whose name, address, outlet or beats every word stands."""
        with self._database.read() as tx:
            return contacts.find(tx, words, limit=limit)

    def count(self) -> int:
        """How many contacts there are."""
        with self._database.read() as tx:
            return contacts.count(tx)

    def show(self, address: str, *, now: datetime) -> Card:
        """One contact with its lists and whether it is suppressed.

        Raises:
            InputError: ``address`` is not one.
            NotFound: There is no such contact.

        """
        key = stated_address(address).key
        with self._database.read() as tx:
            contact = known(tx, [address])[0]
            return Card(
                contact,
                tuple(contacts.lists_of(tx, contact.id)),
                suppressions.standing(tx, [key], now=now).get(key),
            )

    # --- orders ------------------------------------------------------------------------------

    def add(self, values: Mapping[str, str], *, by: str, now: datetime) -> Contact:
        """Take in one contact: ``values`` as :func:`distributor.intake.addresses.read_contact`.

        Raises:
            InputError: Something in ``values`` cannot be taken.
            Refused: The address is known already.

        """
        person = stated_contact(values)

        def work(tx: Connection) -> Contact:
            contacts.one_writer(tx)
            if contacts.by_key(tx, person.address.key) is not None:
                shown = visible(person.address.shown)
                msg = f"There is a contact {shown} already."
                raise Refused(msg, remedy=f"To change it: distributor contacts edit {shown}")
            plan = contacts.plan(tx, [person])
            contacts.carry_out(tx, plan, source=f"entered by {by}", now=now)
            contact = known(tx, [person.address.shown])[0]
            audit.record(tx, audit.Entry(now, by, "added", f"contact {contact.id}"))
            return contact

        return self._database.write(work).result()

    def edit(
        self,
        address: str,
        changes: Mapping[str, str],
        *,
        by: str,
        now: datetime,
    ) -> tuple[Contact, tuple[str, ...]]:
        """Set fields of a contact; gives it as it is now, and which fields that changed.

        ``changes`` holds any of TEXT_FIELDS, ``beats`` (all of them) and ``address``; an empty text
        empties. A name put together from its parts follows them.

        Raises:
            InputError: An address or a value cannot be taken.
            NotFound: There is no such contact.
            Refused: The new address belongs to another contact.

        """
        wanted = _checked(changes)
        moved = stated_address(wanted["address"]) if "address" in wanted else None

        def work(tx: Connection) -> tuple[Contact, tuple[str, ...]]:
            contacts.one_writer(tx)
            contact = known(tx, [address])[0]
            values = _with_name(contact, wanted)
            fields = _changed(contact, values)
            if moved is not None:
                other = contacts.by_key(tx, moved.key)
                if other is not None and other.id != contact.id:
                    raise Refused(f"{visible(moved.shown)} belongs to another contact.")
            if fields:
                contacts.change(tx, contact, values, address=moved, now=now)
                if "beats" in fields:
                    contacts.set_beats(tx, contact.id, read_beats(values["beats"]))
                facts = {"fields": list(fields)}
                audit.record(tx, audit.Entry(now, by, "edited", f"contact {contact.id}", facts))
            return known(tx, [moved.shown if moved else address])[0], fields

        return self._database.write(work).result()

    def import_table(
        self,
        order: Import,
        *,
        by: str,
        now: datetime,
        dry_run: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> ImportReport:
        """Bring a table in, part by part; a dry run asks the same questions and writes nothing.

        A list that does not exist is made with its first members. Importing again after an
        interruption finishes the work. ``progress`` is told the rows done so far.

        Raises:
            InputError: The list's name cannot be taken.

        """
        if order.list_name is not None:
            check_list_name(order.list_name)
        total = _Part()
        rows = order.table.rows
        for start in range(0, len(rows), _ROWS):
            part = rows[start : start + _ROWS]
            if dry_run:
                with self._database.read() as tx:
                    done = _foresee(tx, order, part, now=now)[0]
            else:
                writing = _Writing(order, part, by, now)
                done = self._database.write(writing).result()
            total += done
            if progress is not None:
                progress(start + len(part))
        return _report(order, total, dry_run=dry_run)


@dataclass(frozen=True, slots=True)
class _Writing:
    """One part of an import, as one transaction."""

    order: Import
    rows: Sequence[Row]
    by: str
    now: datetime

    def __call__(self, tx: Connection) -> _Part:
        """Write the rows, put them on the list, note it in the audit."""
        contacts.one_writer(tx)
        done, plan, target = _foresee(tx, self.order, self.rows, now=self.now)
        ids = contacts.carry_out(tx, plan, source=self.order.source, now=self.now)
        subject = "contacts"
        if self.order.list_name is not None:
            name = clean(self.order.list_name)
            subject = f"list {name}"
            if target is None:
                target = lists.create(tx, name, now=self.now).id
                audit.record(tx, audit.Entry(self.now, self.by, "created", subject))
            lists.add_members(tx, target, ids, now=self.now)
        facts = {
            "source": self.order.source,
            "lines": [self.rows[0].line, self.rows[-1].line],
            "added": done.added,
            "updated": done.updated,
            "unchanged": done.unchanged,
            "joined": done.joined,
        }
        audit.record(tx, audit.Entry(self.now, self.by, "imported", subject, facts))
        return done


def _foresee(
    tx: Connection,
    order: Import,
    rows: Sequence[Row],
    *,
    now: datetime,
) -> tuple[_Part, contacts.Plan, int | None]:
    """What importing these rows comes to, the plan, and the list's key when there is one.

    Asked by the dry run and by the real one.
    """
    plan = contacts.plan(tx, [row.contact for row in rows])
    target = None if order.list_name is None else lists.id_of(tx, order.list_name)
    known_ids = [one.id for one, _ in plan.changed] + [one.id for one in plan.unchanged]
    joined = 0
    if order.list_name is not None:
        missing = known_ids if target is None else lists.missing(tx, target, known_ids)
        joined = len(plan.added) + len(missing)
    keys = [row.contact.address.key for row in rows]
    part = _Part(
        added=len(plan.added),
        updated=len(plan.changed),
        unchanged=len(plan.unchanged),
        suppressed=len(suppressions.standing(tx, keys, now=now)),
        joined=joined,
        list_created=order.list_name is not None and target is None,
    )
    return part, plan, target


def _report(order: Import, total: _Part, *, dry_run: bool) -> ImportReport:
    return ImportReport(
        read=order.table.read,
        added=total.added,
        updated=total.updated,
        unchanged=total.unchanged,
        duplicates=order.table.duplicates,
        refused=order.table.refused,
        suppressed=total.suppressed,
        list_name=None if order.list_name is None else clean(order.list_name),
        list_created=total.list_created,
        joined=total.joined,
        dry_run=dry_run,
        findings=order.table.findings,
    )


def known(tx: Connection, addresses: Sequence[str]) -> list[Contact]:
    """The contacts with these addresses, in their order.

    Raises:
        InputError: One is not an address.
        NotFound: Some are not contacts; all of those are named.

    """
    stated = [stated_address(address) for address in addresses]
    found = contacts.by_keys(tx, [address.key for address in stated])
    missing = [visible(one.shown) for one in stated if one.key not in found]
    if missing:
        msg = f"There is no contact {', '.join(missing)}."
        remedy = f"To take one in: distributor contacts add {missing[0]}"
        raise NotFound(msg, remedy=remedy)
    return [found[address.key] for address in stated]


def check_list_name(name: str) -> None:
    """Refuse a list's name that is empty, too long or holds what cannot be seen.

    Raises:
        InputError: It cannot be taken.

    """
    fault = text_fault("list name", clean(name))
    if fault is None and not name_key(name):
        fault = "list name is empty"
    if fault is not None:
        raise InputError(f"{fault[0].upper()}{fault[1:]}.")


def _checked(changes: Mapping[str, str]) -> dict[str, str]:
    """The changes, cleaned; refused as one when one of them cannot be taken."""
    values = {name: clean(value) for name, value in changes.items()}
    faults = [text_fault(name, value) for name, value in values.items() if name in TEXT_FIELDS]
    faults += [text_fault("beat", beat) for beat in read_beats(values.get("beats", ""))]
    faults += [language_fault(values.get("language", "")), zone_fault(values.get("zone", ""))]
    reasons = [fault for fault in faults if fault is not None]
    if reasons:
        words = "; ".join(reasons)
        raise InputError(f"{words[0].upper()}{words[1:]}.")
    if values.get("zone"):
        values["zone"] = zone_spelled(values["zone"]) or values["zone"]
    return values


def _with_name(contact: Contact, values: Mapping[str, str]) -> dict[str, str]:
    """``values``, and the name too where it was composed of parts that are to change."""
    composed = full_name(contact.given_name, contact.family_name)
    if "name" in values or contact.name != composed:
        return dict(values)
    given = values.get("given_name", contact.given_name)
    family = values.get("family_name", contact.family_name)
    return {**values, "name": full_name(given, family)}


def _changed(contact: Contact, values: Mapping[str, str]) -> tuple[str, ...]:
    """The fields that ``values`` really change, in a stable order."""
    now_set = {name: getattr(contact, name) for name in TEXT_FIELDS} | {"address": contact.address}
    fields = [name for name, value in values.items() if name != "beats" and now_set[name] != value]
    if "beats" in values:
        wanted = {name_key(beat) for beat in read_beats(values["beats"])}
        if wanted != {name_key(beat) for beat in contact.beats}:
            fields.append("beats")
    return tuple(sorted(fields))
