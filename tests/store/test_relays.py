"""What of a relay's day is spent, shared by all workers; how relays fare; the return path's key."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from distributor.core.forecast import SPAN
from distributor.core.returnpath import KEY_OCTETS
from distributor.store import relays
from distributor.store.database import open_database
from distributor.store.relays import Report

if TYPE_CHECKING:
    from distributor.store.database import Database

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def take(
    database: Database, wanted: int, *, at: datetime = NOON, relay: str = "main", per_day: int = 100
) -> int:
    return database.write(
        lambda tx: relays.reserve(tx, relay, per_day=per_day, wanted=wanted, now=at)
    ).result()


def used(database: Database, relay: str = "main") -> int:
    with database.read() as tx:
        return sum(mails for _, mails in relays.spent(tx).get(relay, ()))


def test_portions_are_granted_until_the_day_is_used_up(database: Database) -> None:
    assert [take(database, 40) for _ in range(4)] == [40, 40, 20, 0]
    assert used(database) == 100
    assert take(database, 40, relay="backup") == 40


def test_what_was_taken_counts_until_all_of_its_span_is_a_day_old(database: Database) -> None:
    assert take(database, 60, at=NOON + timedelta(minutes=3)) == 60
    assert take(database, 60, at=NOON + 24 * HOUR) == 40
    assert take(database, 60, at=NOON + 24 * HOUR + SPAN) == 60
    assert take(database, 60, at=NOON + 48 * HOUR + 2 * SPAN) == 100 - 0 - 40


def test_what_was_not_used_can_be_taken_again(database: Database) -> None:
    take(database, 100)
    at = NOON + timedelta(minutes=2)
    database.write(lambda tx: relays.give_back(tx, "main", mails=30, taken_at=at)).result()
    assert used(database) == 70
    assert take(database, 100) == 30


def test_no_more_can_be_given_back_than_was_taken(database: Database) -> None:
    take(database, 10)
    database.write(lambda tx: relays.give_back(tx, "main", mails=11, taken_at=NOON)).result()
    assert used(database) == 0


def test_a_smaller_limit_than_what_is_spent_grants_nothing(database: Database) -> None:
    take(database, 80)
    assert take(database, 10, per_day=50) == 0


def test_the_spans_of_a_day_are_told_in_order(database: Database) -> None:
    take(database, 5, at=NOON + HOUR)
    take(database, 3)
    take(database, 4, at=NOON + timedelta(minutes=9))
    with database.read() as tx:
        assert relays.spent(tx) == {"main": ((NOON, 7), (NOON + HOUR, 5))}


def test_workers_that_take_at_once_never_take_more_than_there_is(
    database: Database, migrated_url: str
) -> None:
    take(database, 1)
    others = [open_database(migrated_url) for _ in range(4)]
    try:
        with ThreadPoolExecutor(4) as pool:
            taken = list(
                pool.map(lambda other: sum(take(other, 7, per_day=500) for _ in range(30)), others)
            )
    finally:
        for other in others:
            other.close()
    assert sum(taken) == 499
    assert used(database) == 500


def test_the_newest_word_on_a_relay_counts(database: Database) -> None:
    for seen in (
        Report("main", "w1", NOON, "resting", "421 later"),
        Report("main", "w2", NOON + HOUR, "stopped", "535 no"),
        Report("main", "w1", NOON + 2 * HOUR, "well"),
        Report("backup", "w1", NOON, "well"),
    ):
        database.write(lambda tx, seen=seen: relays.report(tx, seen)).result()
    with database.read() as tx:
        found = relays.reports(tx)
    assert (found["main"].state, found["main"].worker) == ("well", "w1")
    assert found["backup"] == Report("backup", "w1", NOON, "well")


def test_old_words_are_forgotten(database: Database) -> None:
    for at in (NOON, NOON + timedelta(days=8)):
        seen = Report("main" if at == NOON else "new", "w", at, "well")
        database.write(lambda tx, seen=seen: relays.report(tx, seen)).result()
    with database.read() as tx:
        assert set(relays.reports(tx)) == {"new"}


def test_the_key_was_made_once_and_every_worker_reads_the_same(
    database: Database, migrated_url: str
) -> None:
    other = open_database(migrated_url)
    with database.read() as tx, other.read() as theirs:
        key = relays.return_path_key(tx)
        assert relays.return_path_key(theirs) == key
    other.close()
    assert isinstance(key, bytes)
    assert len(key) == KEY_OCTETS
    assert len(set(key)) > 8
