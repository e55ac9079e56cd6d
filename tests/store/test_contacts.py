from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event, func, select

from distributor.core.address import Address, key_of
from distributor.core.contact import NewContact
from distributor.store import contacts
from distributor.store.database import Database, open_database
from distributor.store.schema import beats, outlets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    database = open_database(migrated_url)
    yield database
    database.close()


def a_person(address: str = "jane@paper.example", **said: object) -> NewContact:
    return NewContact(Address(address, address, key_of(address)), **said)  # type: ignore[arg-type]


def write(database: Database, *people: NewContact, now: datetime = NOON) -> list[int]:
    def work(tx: Connection) -> list[int]:
        contacts.one_writer(tx)
        return contacts.carry_out(tx, contacts.plan(tx, people), source="a test", now=now)

    return database.write(work).result()


def stored(database: Database, address: str = "jane@paper.example") -> contacts.Contact:
    with database.read() as tx:
        contact = contacts.by_key(tx, key_of(address))
    assert contact is not None
    return contact


def planned(database: Database, *people: NewContact) -> tuple[int, int, int]:
    with database.read() as tx:
        plan = contacts.plan(tx, people)
    return len(plan.added), len(plan.changed), len(plan.unchanged)


FULL = a_person(
    given_name="Jane",
    family_name="Doe",
    outlet="The Paper",
    role="Editor",
    phone="+44 20",
    language="en",
    zone="Europe/London",
    note="rings\nback",
    beats=("NHS", "Health"),
)


def test_a_new_contact_is_stored_whole(database: Database) -> None:
    (contact_id,) = write(database, FULL)
    contact = stored(database)
    assert contact == contacts.Contact(
        id=contact_id,
        address="jane@paper.example",
        address_key="jane@paper.example",
        wire_address="jane@paper.example",
        name="Jane Doe",
        given_name="Jane",
        family_name="Doe",
        outlet="The Paper",
        role="Editor",
        phone="+44 20",
        beats=("Health", "NHS"),
        language="en",
        zone="Europe/London",
        note="rings\nback",
        source="a test",
        terms_accepted_at=None,
        created_at=NOON,
        updated_at=NOON,
    )


def test_writing_the_same_again_changes_nothing(database: Database) -> None:
    write(database, FULL)
    before = stored(database)
    assert planned(database, FULL) == (0, 0, 1)
    write(database, FULL, now=NOON + timedelta(days=1))
    assert stored(database) == before


def test_an_empty_value_never_blanks_what_is_known(database: Database) -> None:
    write(database, FULL)
    later = NOON + timedelta(days=1)
    write(
        database, a_person("JANE@paper.example", role="Reporter", beats=("health", "AI")), now=later
    )
    contact = stored(database)
    assert (contact.role, contact.outlet, contact.phone) == ("Reporter", "The Paper", "+44 20")
    assert contact.note == "rings\nback"
    assert contact.beats == ("AI", "Health", "NHS")
    assert contact.address == "jane@paper.example"
    assert (contact.created_at, contact.updated_at) == (NOON, later)


def test_a_composed_name_follows_its_parts_and_a_written_one_stays(database: Database) -> None:
    write(database, a_person(given_name="Jane", family_name="Doe"))
    write(database, a_person(family_name="Roe"))
    assert stored(database).name == "Jane Roe"
    write(database, a_person(name="Dr Jane Roe"))
    write(database, a_person(family_name="Poe"))
    assert stored(database).name == "Dr Jane Roe"


def test_outlets_and_beats_are_one_whatever_their_case(database: Database) -> None:
    write(
        database,
        a_person("a@x.example", outlet="The  Paper", beats=("Health",)),
        a_person("b@x.example", outlet="THE PAPER", beats=("HEALTH",)),
    )
    write(database, a_person("c@x.example", outlet="the paper", beats=("health", "Health")))
    with database.read() as tx:
        assert tx.execute(select(func.count()).select_from(outlets)).scalar_one() == 1
        assert tx.execute(select(func.count()).select_from(beats)).scalar_one() == 1
    assert planned(database, a_person("a@x.example", outlet="the paper")) == (0, 0, 1)


def test_the_plan_tells_added_changed_and_unchanged_apart(database: Database) -> None:
    write(database, a_person("a@x.example", name="A"), a_person("b@x.example", name="B"))
    people = [
        a_person("a@x.example", name="A"),
        a_person("b@x.example", name="Bee"),
        a_person("c@x.example"),
    ]
    assert planned(database, *people) == (1, 1, 1)
    assert len(write(database, *people)) == 3
    assert planned(database, *people) == (0, 0, 3)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([], ["a", "b", "c"]),
        (["JANE"], ["a"]),
        (["jane", "paper"], ["a"]),
        (["jane", "times"], []),
        (["times"], ["b", "c"]),
        (["health"], ["a", "c"]),
        (["b@x"], ["b"]),
        (["müller"], ["b"]),
        (["MÜLLER"], ["b"]),
        (["m_ller"], []),
        (["%"], ["c"]),
        (["50%"], ["c"]),
        (["\\"], []),
    ],
)
def test_find_looks_in_name_address_outlet_and_beats(
    database: Database, words: list[str], found: list[str]
) -> None:
    write(
        database,
        a_person("a@x.example", name="Jane Doe", outlet="The Paper", beats=("Health",)),
        a_person("b@x.example", name="Jörg Müller", outlet="The Times"),
        a_person("c@x.example", name="Rik 50%", outlet="The Times", beats=("Public health",)),
    )
    with database.read() as tx:
        contacts_found = contacts.find(tx, words, limit=10)
    assert sorted(contact.address[0] for contact in contacts_found) == found


def test_find_gives_no_more_than_it_was_asked_for(database: Database) -> None:
    write(database, *(a_person(f"a{n}@x.example", name=f"Zoë {n}") for n in range(5)))
    with database.read() as tx:
        assert len(contacts.find(tx, [], limit=3)) == 3
        assert len(contacts.find(tx, ["zoë"], limit=3)) == 3


def test_a_persons_edit_may_empty_a_value_and_move_the_address(database: Database) -> None:
    write(database, FULL)

    def work(tx: Connection) -> None:
        contact = contacts.by_key(tx, "jane@paper.example")
        assert contact is not None
        other = Address("Jane@Times.example", "Jane@Times.example", "jane@times.example")
        contacts.change(tx, contact, {"phone": "", "outlet": ""}, address=other, now=NOON)
        contacts.set_beats(tx, contact.id, ["AI"])

    database.write(work).result()
    contact = stored(database, "jane@times.example")
    assert (contact.phone, contact.outlet, contact.beats) == ("", "", ("AI",))
    assert (contact.address, contact.role) == ("Jane@Times.example", "Editor")


def statements_to_write(database: Database, people: list[NewContact]) -> int:
    """Write these people and return how many statements went to the database for it."""
    count = 0

    def one_more(*_said: object) -> None:
        nonlocal count
        count += 1

    with database.read() as tx:
        engine = tx.engine
    event.listen(engine, "before_cursor_execute", one_more)
    try:
        write(database, *people)
    finally:
        event.remove(engine, "before_cursor_execute", one_more)
    return count


def test_two_thousand_rows_are_written_in_few_statements(database: Database) -> None:
    people = [
        a_person(f"jane{n}@paper{n % 300}.example", name=f"Jane {n}", outlet=f"Paper {n % 300}",
                 beats=("Health", f"Topic {n % 20}"))
        for n in range(2_000)
    ]  # fmt: skip
    assert statements_to_write(database, people) < 60
    assert statements_to_write(database, people) < 60
    assert planned(database, *people) == (0, 0, 2_000)
