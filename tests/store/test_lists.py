from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from distributor.core.address import Address
from distributor.core.contact import NewContact
from distributor.errors import NotFound
from distributor.store import contacts, lists
from distributor.store.database import Database, open_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    database = open_database(migrated_url)
    yield database
    database.close()


def made(database: Database, *names: str) -> list[lists.ContactList]:
    return database.write(
        lambda tx: [lists.create(tx, name, now=NOON) for name in names],
    ).result()


def people(database: Database, count: int) -> list[int]:
    def work(tx: Connection) -> list[int]:
        new = [
            NewContact(Address(f"a{n}@x.example", f"a{n}@x.example", f"a{n}@x.example"))
            for n in range(count)
        ]
        return contacts.carry_out(tx, contacts.plan(tx, new), source="a test", now=NOON)

    return database.write(work).result()


def test_a_list_is_found_whatever_the_case_and_spaces_of_its_name(database: Database) -> None:
    (health,) = made(database, "Health  Desk")
    with database.read() as tx:
        assert lists.get(tx, " health desk ") == health


def test_an_unknown_list_is_refused_with_the_names_that_come_near(database: Database) -> None:
    made(database, "Health", "Local papers", "Wealth")
    with database.read() as tx:
        with pytest.raises(NotFound) as caught:
            lists.get(tx, "helth")
        assert '"Health"' in (caught.value.remedy or "")
        with pytest.raises(NotFound) as caught:
            lists.get(tx, "papers")
        assert caught.value.remedy == 'Did you mean "Local papers"?'
        with pytest.raises(NotFound, match=r"There is no list .Sports"):
            lists.get(tx, "Sports")


def test_without_any_list_the_remedy_is_to_create_it(database: Database) -> None:
    with database.read() as tx, pytest.raises(NotFound) as caught:
        lists.get(tx, "Health")
    assert caught.value.remedy == 'Create it: distributor lists create "Health"'


def test_members_come_and_go_and_are_counted_once(database: Database) -> None:
    (health, other) = made(database, "Health", "Other")
    ids = people(database, 1_500)
    add = database.write(lambda tx: lists.add_members(tx, health.id, [*ids, ids[0]], now=NOON))
    assert add.result() == 1_500
    again = database.write(lambda tx: lists.add_members(tx, health.id, ids[:3], now=NOON))
    assert again.result() == 0
    database.write(lambda tx: lists.add_members(tx, other.id, ids[:2], now=NOON)).result()
    with database.read() as tx:
        assert [(item.name, item.members) for item in lists.every(tx)] == [
            ("Health", 1_500),
            ("Other", 2),
        ]
        assert len(contacts.members(tx, health.id)) == 1_500
        assert contacts.lists_of(tx, ids[0]) == ["Health", "Other"]
    gone = database.write(lambda tx: lists.remove_members(tx, health.id, ids[:1_200]))
    assert gone.result() == 1_200
    with database.read() as tx:
        assert lists.get(tx, "health").members == 300
        assert lists.missing(tx, health.id, reversed(ids)) == ids[1_199::-1]


def test_a_deleted_list_leaves_its_contacts(database: Database) -> None:
    (health,) = made(database, "Health")
    ids = people(database, 2)
    database.write(lambda tx: lists.add_members(tx, health.id, ids, now=NOON)).result()
    database.write(lambda tx: lists.remove(tx, health.id)).result()
    with database.read() as tx:
        assert lists.named(tx, "Health") is None
        assert contacts.count(tx) == 2


def test_a_renamed_list_keeps_its_members(database: Database) -> None:
    (health,) = made(database, "Health")
    ids = people(database, 2)
    database.write(lambda tx: lists.add_members(tx, health.id, ids, now=NOON)).result()
    database.write(lambda tx: lists.rename(tx, health.id, "NHS")).result()
    with database.read() as tx:
        assert lists.get(tx, "nhs").members == 2
        assert lists.id_of(tx, "NHS ") == health.id
        assert lists.id_of(tx, "Health") is None
        assert lists.named(tx, "Health") is None
