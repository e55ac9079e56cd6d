"""Orders about lists: make, rename, delete, put contacts on and take them off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from distributor.core.address import visible
from distributor.core.contact import name_key
from distributor.core.model import reference
from distributor.core.states import PENDING
from distributor.desk.contacts import check_list_name, known
from distributor.errors import Refused
from distributor.intake.addresses import clean
from distributor.store import audit, contacts, lists, waves

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from distributor.store.contacts import Contact
    from distributor.store.database import Database
    from distributor.store.lists import ContactList


@dataclass(frozen=True, slots=True)
class Membership:
    """What an order to add or remove did: ``changed`` of ``stated`` contacts."""

    list_name: str
    stated: int
    changed: int


class Lists:
    """The lists' side of the desk. Every method raises NotFound for a list that is not there."""

    def __init__(self, database: Database) -> None:
        """Work on this database."""
        self._database = database

    # --- answers -----------------------------------------------------------------------------

    def every(self) -> list[ContactList]:
        """All lists, by name."""
        with self._database.read() as tx:
            return lists.every(tx)

    def show(self, name: str) -> ContactList:
        """One list."""
        with self._database.read() as tx:
            return lists.get(tx, name)

    def members(self, name: str) -> tuple[ContactList, list[Contact]]:
        """A list and the contacts on it, by name."""
        with self._database.read() as tx:
            found = lists.get(tx, name)
            return found, contacts.members(tx, found.id)

    # --- orders ------------------------------------------------------------------------------

    def create(self, name: str, *, by: str, now: datetime) -> ContactList:
        """Make an empty list.

        Raises:
            InputError: The name cannot be taken.
            Refused: There is a list of that name.

        """
        check_list_name(name)

        def work(tx: Connection) -> ContactList:
            contacts.one_writer(tx)
            _require_free(tx, name)
            made = lists.create(tx, clean(name), now=now)
            audit.record(tx, audit.Entry(now, by, "created", _subject(made.name)))
            return made

        return self._database.write(work).result()

    def rename(self, name: str, new_name: str, *, by: str, now: datetime) -> ContactList:
        """Give a list another name. Waves that use it go on using it.

        Raises:
            InputError: The new name cannot be taken.
            Refused: Another list has it.

        """
        check_list_name(new_name)

        def work(tx: Connection) -> ContactList:
            contacts.one_writer(tx)
            found = lists.get(tx, name)
            if name_key(new_name) != name_key(found.name):
                _require_free(tx, new_name)
            lists.rename(tx, found.id, clean(new_name))
            facts = {"from": found.name}
            audit.record(tx, audit.Entry(now, by, "renamed", _subject(clean(new_name)), facts))
            return lists.get(tx, new_name)

        return self._database.write(work).result()

    def delete(self, name: str, *, by: str, now: datetime) -> ContactList:
        """Delete a list; its contacts stay.

        Raises:
            Refused: A wave that has not gone out yet uses it, for its audience or to leave people
                out: without the list, others would be mailed than those who were chosen.

        """

        def work(tx: Connection) -> ContactList:
            found = lists.get(tx, name)
            using = sorted(
                {
                    reference(wave.release_id)
                    for wave in waves.in_states(tx, PENDING)
                    if found.id in (*wave.audience.lists, *wave.audience.exclude)
                },
            )
            if using:
                raise Refused(
                    f'The list "{found.name}" is used by a wave of {", ".join(using)}.',
                    remedy=f"Wait until it has gone out, or: distributor release cancel {using[0]}",
                )
            lists.remove(tx, found.id)
            facts = {"members": found.members}
            audit.record(tx, audit.Entry(now, by, "deleted", _subject(found.name), facts))
            return found

        return self._database.write(work).result()

    def add(self, name: str, addresses: Sequence[str], *, by: str, now: datetime) -> Membership:
        """Put contacts on a list.

        Raises:
            InputError: One of the addresses is not one.
            NotFound: One of them is not a contact; then nothing is done.

        """

        def work(tx: Connection) -> Membership:
            contacts.one_writer(tx)
            found = lists.get(tx, name)
            ids = sorted({contact.id for contact in known(tx, addresses)})
            new = lists.missing(tx, found.id, ids)
            lists.add_members(tx, found.id, new, now=now)
            if new:
                facts = {"contacts": new}
                audit.record(tx, audit.Entry(now, by, "joined", _subject(found.name), facts))
            return Membership(found.name, len(ids), len(new))

        return self._database.write(work).result()

    def remove(self, name: str, addresses: Sequence[str], *, by: str, now: datetime) -> Membership:
        """Take contacts off a list.

        Raises:
            InputError: One of the addresses is not one.
            NotFound: One of them is not a contact; then nothing is done.

        """

        def work(tx: Connection) -> Membership:
            found = lists.get(tx, name)
            ids = sorted({contact.id for contact in known(tx, addresses)})
            off = set(lists.missing(tx, found.id, ids))
            taken = lists.remove_members(tx, found.id, ids)
            if taken:
                facts = {"contacts": [id_ for id_ in ids if id_ not in off]}
                audit.record(tx, audit.Entry(now, by, "left", _subject(found.name), facts))
            return Membership(found.name, len(ids), taken)

        return self._database.write(work).result()


def _require_free(tx: Connection, name: str) -> None:
    taken = lists.named(tx, name)
    if taken is not None:
        msg = f'There is a list "{visible(taken.name)}" already.'
        raise Refused(msg, remedy="distributor lists show")


def _subject(name: str) -> str:
    return f"list {name}"
