"""Recovery: which rows are whose, what counts as a crash, and two hands at one wave."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, select, text, update

from distributor.core.states import WaveState
from distributor.errors import IllegalMove
from distributor.store import batches, recovery, waves
from distributor.store.database import open_database
from distributor.store.schema import batches as batch_rows
from distributor.store.schema import deliveries as rows
from tests.builders import (
    HOUR,
    MINUTE,
    NOON,
    ORDER,
    WORKER,
    a_sending_wave,
    a_worker,
    assert_accounted_for,
    claimed,
    counts,
    marked,
    wave_of,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from distributor.store.database import Database


def test_claims_are_locked_and_named_once(database: Database) -> None:
    database.write(a_worker).result()
    wave = a_sending_wave(database, 4)
    lapsed, fresh = claimed(database, token=1, lease_s=-5), claimed(database, token=2)
    assert lapsed
    assert fresh
    marked(database, lapsed, limit=1)
    marked(database, fresh)

    def work(tx: Connection) -> tuple[list[int], list[int], int]:
        held = recovery.lock_claims(tx, WORKER, lapsed_by=NOON)
        # A lease that runs out meanwhile is the next tick's matter.
        tx.execute(update(batch_rows).values(lease_until=NOON.replace(year=2020)))
        stranded = [row.token for row in recovery.stranded(tx, held)]
        return held, stranded, batches.release_claims(tx, held, ORDER)

    assert database.write(work).result() == ([lapsed.batch_id], [1], 1)
    with database.read() as tx:
        assert batches.claims_of(tx, WORKER) == [(fresh.batch_id, 2)]
    assert_accounted_for(database, wave)


def test_p7_the_second_crash_sets_a_row_aside(database: Database) -> None:
    wave = a_sending_wave(database, 2)
    with database.read() as tx:
        first = tx.execute(select(rows.c.id).order_by(rows.c.id)).scalars().first()
    assert first
    for quarantined in (0, 1):
        done = database.write(lambda tx: recovery.count_crashes(tx, [first], NOON)).result()
        assert done == quarantined
    assert counts(database, wave) == {"queued": 1, "quarantined": 1}
    assert database.write(lambda tx: recovery.count_crashes(tx, [], NOON)).result() == 0


def test_the_next_retry_is_known(database: Database) -> None:
    a_sending_wave(database, 2)
    deferred = update(rows).values(state="deferred", due_at=NOON + 5 * MINUTE)
    database.write(lambda tx: tx.execute(deferred)).result()
    with database.read() as tx:
        assert recovery.next_retry(tx, NOON) == NOON + 5 * MINUTE
        assert recovery.next_retry(tx, NOON + HOUR) is None


@pytest.mark.parametrize("engine_name", ["sqlite"])  # PostgreSQL rightly reads so small a table
def test_what_every_tick_asks_is_looked_up_and_not_searched_for(database: Database) -> None:
    asked: list[tuple[str, Any]] = []

    def listen(*said: Any) -> None:
        asked.append((said[2], said[3]))

    with database.read() as tx:
        event.listen(tx.engine, "before_cursor_execute", listen)
        recovery.next_retry(tx, NOON)
        recovery.waves_with_due_retries(tx, NOON)
        waves.next_send_at(tx, NOON)
        batches.owners_with_lapsed_lease(tx, NOON)
        event.remove(tx.engine, "before_cursor_execute", listen)
        plans = [
            step.detail
            for statement, values in asked
            for step in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        ]
    assert len(plans) > len(asked) >= 4
    # "SEARCH deliveries" alone is what SQLite calls a scan for a minimum.
    assert not [step for step in plans if " USING " not in step and "TEMP" not in step]


@pytest.mark.postgresql
def test_i3_a_wave_does_not_finish_while_a_row_of_it_is_queued_again(
    request: pytest.FixtureRequest,
) -> None:
    """Two transactions at once: only PostgreSQL lets writers overlap."""
    server = request.getfixturevalue("postgresql_server")
    name = server.create(template=request.getfixturevalue("_migrated_postgresql"))
    request.addfinalizer(lambda: server.drop(name))
    one, other = open_database(server.url(name)), open_database(server.url(name))
    wave = a_sending_wave(one, 1)
    doubt = update(rows).values(state="uncertain")
    one.write(lambda tx: tx.execute(doubt)).result()
    with one.read() as tx:
        ids = list(tx.execute(select(rows.c.id)).scalars())
    queued, go_on = threading.Event(), threading.Event()

    def resend(tx: Connection) -> None:
        recovery.requeue(tx, wave.id, ids, now=NOON)
        queued.set()
        go_on.wait(20)

    resending = one.write(resend)
    queued.wait(20)
    finishing = other.write(lambda tx: waves.finish(tx, wave, NOON))
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    for _ in range(200):
        with other.read() as tx:
            if tx.execute(waiting).scalar_one():
                break
        time.sleep(0.02)
    go_on.set()
    resending.result()
    assert finishing.result() is False
    assert wave_of(one, wave).state is WaveState.SENDING

    # And the other way round: what has finished meanwhile is not queued into.
    one.write(lambda tx: tx.execute(doubt)).result()
    assert other.write(lambda tx: waves.finish(tx, wave, NOON)).result()
    with pytest.raises(IllegalMove):
        one.write(lambda tx: recovery.requeue(tx, wave.id, ids, now=NOON)).result()
    one.close()
    other.close()
