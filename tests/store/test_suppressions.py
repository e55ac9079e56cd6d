from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from distributor.core.address import Address
from distributor.core.contact import NewContact
from distributor.store import contacts, suppressions
from distributor.store.database import Database, open_database
from distributor.store.suppressions import NewSuppression, SuppressionReason

if TYPE_CHECKING:
    from collections.abc import Iterator

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
JANE = Address("Jane@Paper.example", "Jane@Paper.example", "jane@paper.example")
OBJECTION, BOUNCED = SuppressionReason.OBJECTION, SuppressionReason.BOUNCED


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    database = open_database(migrated_url)
    yield database
    database.close()


def suppress(
    database: Database,
    reason: SuppressionReason,
    expires_at: datetime | None = None,
    *,
    now: datetime = NOON,
) -> bool:
    order = NewSuppression(JANE, reason, "said so", expires_at)
    return database.write(
        lambda tx: suppressions.add(tx, order, by="ann", now=now)[1],
    ).result()


def standing(database: Database, now: datetime = NOON) -> tuple[str, datetime | None] | None:
    with database.read() as tx:
        found = suppressions.standing(tx, [JANE.key], now=now).get(JANE.key)
    return None if found is None else (found.reason.value, found.expires_at)


def test_an_order_stands_until_it_is_lifted(database: Database) -> None:
    assert suppress(database, OBJECTION)
    assert standing(database) == ("objection", None)
    assert database.write(lambda tx: suppressions.lift(tx, JANE.key, by="ann", now=NOON)).result()
    assert standing(database) is None
    with database.read() as tx:
        (order,) = suppressions.of_address(tx, JANE.key)
    assert (order.lifted_by, order.lifted_at, order.evidence) == ("ann", NOON, "said so")


def test_an_order_stands_until_its_time_is_over(database: Database) -> None:
    suppress(database, BOUNCED, NOON + DAY)
    assert standing(database, NOON + DAY - timedelta(seconds=1)) is not None
    assert standing(database, NOON + DAY) is None
    with database.read() as tx:
        assert suppressions.every(tx, now=NOON + DAY) == []
        assert len(suppressions.every(tx, now=NOON + DAY, ended=True)) == 1


def test_lifting_what_does_not_stand_changes_nothing(database: Database) -> None:
    lift = database.write(lambda tx: suppressions.lift(tx, JANE.key, by="ann", now=NOON))
    assert lift.result() == 0


@pytest.mark.parametrize(
    ("old", "new", "changed", "after"),
    [
        ((BOUNCED, None), (BOUNCED, None), False, ("bounced", None)),
        ((BOUNCED, None), (BOUNCED, NOON + DAY), False, ("bounced", None)),
        ((BOUNCED, NOON + DAY), (BOUNCED, NOON + 2 * DAY), True, ("bounced", NOON + 2 * DAY)),
        ((BOUNCED, NOON + DAY), (BOUNCED, None), True, ("bounced", None)),
        ((BOUNCED, None), (OBJECTION, None), True, ("objection", None)),
        ((BOUNCED, None), (OBJECTION, NOON + DAY), True, ("objection", None)),
        ((OBJECTION, None), (BOUNCED, None), False, ("objection", None)),
        ((OBJECTION, NOON + DAY), (BOUNCED, None), True, ("objection", None)),
    ],
)
def test_a_weaker_order_never_takes_the_place_of_a_stronger_one(
    database: Database,
    old: tuple[SuppressionReason, datetime | None],
    new: tuple[SuppressionReason, datetime | None],
    *,
    changed: bool,
    after: tuple[str, datetime | None],
) -> None:
    suppress(database, *old)
    assert suppress(database, *new) is changed
    assert standing(database) == after


def test_an_expired_order_makes_way_for_a_new_one(database: Database) -> None:
    suppress(database, OBJECTION, NOON + DAY)
    assert suppress(database, BOUNCED, now=NOON + 2 * DAY)
    assert standing(database, NOON + 2 * DAY) == ("bounced", None)


def test_statement_48_importing_an_address_does_not_revive_it(database: Database) -> None:
    suppress(database, OBJECTION)
    database.write(
        lambda tx: contacts.carry_out(
            tx,
            contacts.plan(tx, [NewContact(JANE, name="Jane")]),
            source="a new list",
            now=NOON + DAY,
        ),
    ).result()
    assert standing(database, NOON + DAY) == ("objection", None)
