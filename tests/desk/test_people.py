from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import pytest
from sqlalchemy import insert

from distributor.core.model import AudienceRule
from distributor.core.states import WaveState
from distributor.desk import contacts as desk
from distributor.desk.contacts import Contacts, Import
from distributor.desk.lists import Lists
from distributor.desk.suppressions import SuppressionOrder, Suppressions
from distributor.errors import InputError, NotFound, Refused
from distributor.intake.table import read_table
from distributor.store import audit
from distributor.store.database import Database, open_database
from distributor.store.schema import releases, versions, waves

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


class Desk(NamedTuple):
    database: Database
    contacts: Contacts
    lists: Lists
    suppressions: Suppressions

    def bring_in(
        self, text: str, list_name: str | None = None, *, dry_run: bool = False
    ) -> desk.ImportReport:
        order = Import(read_table(text.encode()), "press.csv", list_name)
        return self.contacts.import_table(order, by="ann", now=NOON, dry_run=dry_run)

    def add(self, address: str, **values: str) -> None:
        self.contacts.add({"address": address, **values}, by="ann", now=NOON)

    def audited(self) -> list[tuple[str, str]]:
        with self.database.read() as tx:
            return [(entry.action, entry.subject) for entry in reversed(audit.entries(tx))]


@pytest.fixture
def room(migrated_url: str) -> Iterator[Desk]:
    database = open_database(migrated_url)
    yield Desk(database, Contacts(database), Lists(database), Suppressions(database))
    database.close()


TABLE = """email,name,outlet
jane@paper.example,Jane,The Paper
rik@paper.example,Rik,The Paper
not an address,Nobody,Nowhere
JANE@paper.example,Jane again,
mia@times.example,Mia,The Times
"""


# --- import ----------------------------------------------------------------------------------


def test_a_dry_run_reports_exactly_what_the_real_run_then_does(room: Desk) -> None:
    room.add("rik@paper.example", name="Rik", outlet="the paper")
    room.add("mia@times.example", name="M.")
    room.suppressions.add(SuppressionOrder("mia@times.example"), by="ann", now=NOON)
    before = room.audited()
    foreseen = room.bring_in(TABLE, "Health", dry_run=True)
    assert room.audited() == before
    assert room.lists.every() == []
    assert room.contacts.count() == 2
    done = room.bring_in(TABLE, "Health")
    assert (done.read, done.duplicates, done.refused) == (5, 1, 1)
    assert (done.added, done.updated, done.unchanged) == (1, 1, 1)
    assert (done.suppressed, done.joined, done.list_created) == (1, 3, True)
    assert foreseen == replace(done, dry_run=True)


def test_an_import_larger_than_one_transaction_adds_up(
    room: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "_ROWS", 7)
    text = "email,name\n" + "".join(f"a{n}@x.example,A{n}\n" for n in range(30))
    foreseen = room.bring_in(text, "Big", dry_run=True)
    done = room.bring_in(text, "Big")
    assert (done.added, done.joined, done.list_created) == (30, 30, True)
    assert foreseen == replace(done, dry_run=True)
    assert room.lists.show("big").members == 30
    assert room.audited() == [("created", "list Big"), *[("imported", "list Big")] * 5]


def test_importing_twice_adds_nobody_and_changes_nothing(room: Desk) -> None:
    room.bring_in(TABLE, "Health")
    again = room.bring_in(TABLE, "health")
    assert (again.added, again.updated, again.unchanged) == (0, 0, 3)
    assert (again.joined, again.list_created) == (0, False)


def test_two_imports_at_once_do_not_collide(room: Desk, migrated_url: str) -> None:
    text = "email,outlet,beats\n" + "".join(f"a{n}@x.example,P{n},T{n}\n" for n in range(300))
    other = open_database(migrated_url)
    order = Import(read_table(text.encode()), "press.csv", "Health")
    desks = [room.contacts, Contacts(other)] * 2
    with ThreadPoolExecutor(max_workers=4) as pool:
        reports = list(pool.map(lambda one: one.import_table(order, by="ann", now=NOON), desks))
    other.close()
    assert sorted(report.added for report in reports) == [0, 0, 0, 300]
    assert [report.list_created for report in reports].count(True) == 1
    assert room.lists.show("Health").members == 300


def test_progress_is_told_as_it_goes(room: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "_ROWS", 2)
    told: list[int] = []
    order = Import(read_table(TABLE.encode()), "press.csv")
    room.contacts.import_table(order, by="ann", now=NOON, progress=told.append)
    assert told == [2, 3]


def test_where_an_address_first_came_from_is_kept(room: Desk) -> None:
    room.bring_in(TABLE)
    order = Import(read_table(b"email,name\njane@paper.example,J. Doe\n"), "other.csv")
    room.contacts.import_table(order, by="ann", now=NOON + DAY)
    contact = room.contacts.show("jane@paper.example", now=NOON).contact
    assert (contact.name, contact.source) == ("J. Doe", "press.csv")


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 101, "He\u202ealth"])
def test_a_list_name_that_cannot_be_read_is_refused(room: Desk, name: str) -> None:
    with pytest.raises(InputError, match="List name"):
        room.bring_in(TABLE, name)
    with pytest.raises(InputError, match="List name"):
        room.lists.create(name, by="ann", now=NOON)
    assert room.audited() == []


def test_statement_48_an_import_never_revives_a_suppressed_address(room: Desk) -> None:
    order = SuppressionOrder("Jane@paper.example", "objection", "rang, 1 May")
    room.suppressions.add(order, by="ann", now=NOON)
    report = room.bring_in(TABLE, "Health")
    assert report.suppressed == 1
    card = room.contacts.show("jane@paper.example", now=NOON + DAY)
    assert card.suppression is not None
    assert card.lists == ("Health",)


# --- add, edit, show -------------------------------------------------------------------------


def test_a_contact_is_added_once(room: Desk) -> None:
    room.add("Jane@Paper.example", given_name="Jane", family_name="Doe", beats="Health; NHS")
    card = room.contacts.show("jane@paper.example", now=NOON)
    assert (card.contact.name, card.contact.beats) == ("Jane Doe", ("Health", "NHS"))
    assert card.contact.source == "entered by ann"
    with pytest.raises(Refused, match="already") as caught:
        room.add("jane@paper.example")
    assert "contacts edit" in (caught.value.remedy or "")
    assert [action for action, _ in room.audited()] == ["added"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"address": "jane"}, "has no @"),
        ({"address": ""}, "There is no address"),
        ({"address": "a@x.example", "name": "J\nBcc: b@x.example"}, "name holds a line break"),
        ({"address": "a@x.example", "zone": "GMT+1"}, "no time zone"),
        ({"address": "a@x.example", "language": "English"}, "no language code"),
    ],
)
def test_a_contact_that_cannot_be_taken_is_refused(
    room: Desk, values: dict[str, str], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        room.contacts.add(values, by="ann", now=NOON)


def test_an_edit_changes_what_it_names_and_says_so(room: Desk) -> None:
    room.add("jane@paper.example", given_name="Jane", family_name="Doe", phone="1", beats="A")
    contact, fields = room.contacts.edit(
        "JANE@paper.example",
        {"family_name": "Roe", "phone": "", "beats": "B, C", "outlet": "The Times"},
        by="bob",
        now=NOON + DAY,
    )
    assert fields == ("beats", "family_name", "name", "outlet", "phone")
    assert (contact.name, contact.phone, contact.beats) == ("Jane Roe", "", ("B", "C"))
    assert contact.updated_at == NOON + DAY
    with room.database.read() as tx:
        entry = audit.entries(tx)[0]
    assert (entry.actor, entry.action, entry.subject) == ("bob", "edited", f"contact {contact.id}")
    # Names of fields only: the audit is never erased, so it holds nothing of the person.
    assert entry.facts == {"fields": list(fields)}


def test_an_edit_that_changes_nothing_leaves_no_trace(room: Desk) -> None:
    room.add("jane@paper.example", name="Jane", beats="Health")
    changes = {"name": "Jane", "beats": "health"}
    contact, fields = room.contacts.edit("jane@paper.example", changes, by="bob", now=NOON + DAY)
    assert fields == ()
    assert contact.updated_at == NOON
    assert len(room.audited()) == 1


def test_an_edit_may_move_the_address_but_not_onto_another_contact(room: Desk) -> None:
    room.add("jane@paper.example")
    room.add("rik@paper.example")
    moved, _ = room.contacts.edit(
        "jane@paper.example", {"address": "Jane@Times.example"}, by="ann", now=NOON
    )
    assert (moved.address, moved.address_key) == ("Jane@Times.example", "jane@times.example")
    with pytest.raises(Refused, match="another contact"):
        room.contacts.edit(
            "jane@times.example", {"address": "RIK@paper.example"}, by="ann", now=NOON
        )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "a\u202eb"}, "Name holds a change of writing direction"),
        ({"zone": "Mars"}, "no time zone"),
        ({"beats": "x" * 101}, "Beat has 101"),
        ({"address": "jane"}, "has no @"),
    ],
)
def test_an_edit_that_cannot_be_taken_is_refused(
    room: Desk, changes: dict[str, str], words: str
) -> None:
    room.add("jane@paper.example")
    with pytest.raises(InputError, match=words):
        room.contacts.edit("jane@paper.example", changes, by="ann", now=NOON)


def test_an_unknown_contact_is_refused_with_how_to_take_it_in(room: Desk) -> None:
    for order in (
        lambda: room.contacts.show("jane@paper.example", now=NOON),
        lambda: room.contacts.edit("jane@paper.example", {"name": "J"}, by="ann", now=NOON),
    ):
        with pytest.raises(NotFound, match=r"no contact jane@paper\.example") as caught:
            order()
        assert caught.value.remedy is not None


# --- lists -----------------------------------------------------------------------------------


def test_unknown_list_is_refused_by_every_order(room: Desk) -> None:
    room.add("jane@paper.example")
    for order in (
        lambda: room.lists.show("Helth"),
        lambda: room.lists.members("Helth"),
        lambda: room.lists.rename("Helth", "Health", by="ann", now=NOON),
        lambda: room.lists.delete("Helth", by="ann", now=NOON),
        lambda: room.lists.add("Helth", ["jane@paper.example"], by="ann", now=NOON),
        lambda: room.lists.remove("Helth", ["jane@paper.example"], by="ann", now=NOON),
    ):
        with pytest.raises(NotFound, match=r"There is no list .Helth"):
            order()


def test_members_are_put_on_and_taken_off_by_address(room: Desk) -> None:
    room.bring_in(TABLE)
    room.lists.create("Health", by="ann", now=NOON)
    addresses = ["Jane@paper.example", "rik@paper.example", "jane@PAPER.example"]
    done = room.lists.add("health", addresses, by="ann", now=NOON)
    assert (done.list_name, done.stated, done.changed) == ("Health", 2, 2)
    assert room.lists.add("health", addresses, by="ann", now=NOON).changed == 0
    found, members = room.lists.members("health")
    assert found.members == 2
    assert [member.name for member in members] == ["Jane", "Rik"]
    done = room.lists.remove("health", [addresses[0], "mia@times.example"], by="ann", now=NOON)
    assert (done.stated, done.changed) == (2, 1)
    assert [action for action, _ in room.audited()][-2:] == ["joined", "left"]


def test_of_several_addresses_an_unknown_one_stops_the_order(room: Desk) -> None:
    room.bring_in(TABLE, "Health")
    room.lists.create("Other", by="ann", now=NOON)
    with pytest.raises(NotFound, match=r"no contact x@x\.example, y@x\.example"):
        room.lists.add(
            "Other", ["jane@paper.example", "x@x.example", "y@x.example"], by="ann", now=NOON
        )
    assert room.lists.show("Other").members == 0


def test_a_list_name_is_taken_once_whatever_its_case(room: Desk) -> None:
    room.lists.create("Health", by="ann", now=NOON)
    room.lists.create("Other", by="ann", now=NOON)
    with pytest.raises(Refused, match="already"):
        room.lists.create(" HEALTH ", by="ann", now=NOON)
    with pytest.raises(Refused, match="already"):
        room.lists.rename("Other", "health", by="ann", now=NOON)
    assert room.lists.rename("health", "HEALTH", by="ann", now=NOON).name == "HEALTH"


@pytest.mark.parametrize("part", ["lists", "exclude"])
def test_a_list_that_a_planned_wave_uses_is_not_deleted(room: Desk, part: str) -> None:
    made = room.lists.create("Health", by="ann", now=NOON)
    rule = AudienceRule((made.id,), ()) if part == "lists" else AudienceRule((99,), (made.id,))
    wave = room.database.write(lambda tx: a_planned_wave(tx, rule)).result()
    with pytest.raises(Refused, match="used by a wave of R-1"):
        room.lists.delete("health", by="ann", now=NOON)
    room.database.write(
        lambda tx: tx.execute(
            waves.update().where(waves.c.id == wave).values(state=WaveState.CANCELLED),
        ),
    ).result()
    assert room.lists.delete("health", by="ann", now=NOON).name == "Health"
    assert room.lists.every() == []


# --- suppressions ----------------------------------------------------------------------------


def test_a_suppression_is_given_shown_and_lifted(room: Desk) -> None:
    order = SuppressionOrder("Jane@paper.example", "person", "left the paper", NOON + DAY)
    standing, new = room.suppressions.add(order, by="ann", now=NOON)
    assert (standing.evidence, standing.created_by, new) == ("left the paper", "ann", True)
    assert room.suppressions.add(order, by="ann", now=NOON)[1] is False
    assert [one.address for one in room.suppressions.every(now=NOON)] == ["Jane@paper.example"]
    room.suppressions.remove("jane@paper.example", by="bob", now=NOON)
    assert room.suppressions.every(now=NOON) == []
    assert [one.lifted_by for one in room.suppressions.show("jane@paper.example")] == ["bob"]
    assert [action for action, _ in room.audited()] == ["suppressed", "lifted"]
    with pytest.raises(NotFound, match="is not suppressed"):
        room.suppressions.remove("jane@paper.example", by="bob", now=NOON)


@pytest.mark.parametrize("reason", ["objection", "complaint"])
def test_statement_46_what_a_journalist_ordered_is_lifted_only_with_their_word(
    room: Desk, reason: str
) -> None:
    room.suppressions.add(SuppressionOrder("jane@paper.example", reason), by="ann", now=NOON)
    with pytest.raises(Refused, match="by the journalist"):
        room.suppressions.remove("jane@paper.example", by="bob", now=NOON)
    room.suppressions.remove("jane@paper.example", because="asked again", by="bob", now=NOON)
    assert room.suppressions.every(now=NOON) == []


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (SuppressionOrder("jane"), "has no @"),
        (SuppressionOrder("jane@paper.example", "boredom"), "no reason .boredom"),
        (SuppressionOrder("jane@paper.example", "person", "a\u202eb"), "Evidence holds"),
        (SuppressionOrder("jane@paper.example", "person", "", NOON), "end in the past"),
    ],
)
def test_a_suppression_that_cannot_be_taken_is_refused(
    room: Desk, order: SuppressionOrder, words: str
) -> None:
    with pytest.raises((InputError, Refused), match=words):
        room.suppressions.add(order, by="ann", now=NOON)


def a_planned_wave(tx: Connection, rule: AudienceRule) -> int:
    tx.execute(insert(releases).values(id=1, created_at=NOON))
    tx.execute(
        insert(versions).values(
            id=1, release_id=1, number=1, state="draft", headline="H", text={}, source="H",
            language="en", sender_name="P", sender_address="p@x.example", sender_organisation="P",
            embargo_state="none", embargo_doubts=[], created_at=NOON, created_by="ann",
        ),
    )  # fmt: skip
    tx.execute(
        insert(waves).values(
            id=1, release_id=1, version_id=1, kind="general", state="planned", waived=[],
            send_at=NOON, created_at=NOON, created_by="ann",
            audience={"lists": list(rule.lists), "exclude": list(rule.exclude)},
        ),
    )  # fmt: skip
    return 1
