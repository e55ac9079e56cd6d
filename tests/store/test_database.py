"""Opening, reading in one snapshot, writing through one thread, and the faults of a disk."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import stat
import subprocess
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, insert, text

from distributor.core.model import AudienceRule
from distributor.errors import StoreBusy, StoreError, StoreFull
from distributor.store import audiences, audit, deliverylog
from distributor.store.database import Database, open_database, upgrade
from distributor.store.schema import metadata
from tests.builders import NOON, a_list, a_release

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from sqlalchemy import Connection


def note(tx: Connection, action: str = "did") -> None:
    audit.record(tx, audit.Entry(NOON, "ann", action, "a thing"))


def noted(database: Database) -> list[str]:
    with database.read() as tx:
        return [entry.action for entry in audit.entries(tx, limit=10_000)][::-1]


@pytest.fixture
def sqlite_path(tmp_path: Path) -> Path:
    path = tmp_path / "desk" / "distributor.db"
    upgrade(f"sqlite:///{path}")
    return path


@contextmanager
def opened(path: Path, *, busy_timeout_s: float = 10.0) -> Generator[Database]:
    database = open_database(f"sqlite:///{path}", busy_timeout_s=busy_timeout_s)
    try:
        yield database
    finally:
        database.close()


# --- transactions ----------------------------------------------------------------------------


def test_what_returns_is_committed_and_what_raises_is_not(database: Database) -> None:
    def half(tx: Connection) -> None:
        note(tx, "half")
        msg = "changed my mind"
        raise LookupError(msg)

    assert database.write(lambda tx: (note(tx), "given")[1]).result() == "given"
    with pytest.raises(LookupError, match="changed my mind"):
        database.write(half).result()
    assert noted(database) == ["did"]


def test_writes_are_carried_out_one_after_the_other_in_order(database: Database) -> None:
    threads: set[str] = set()

    def work(tx: Connection, number: int) -> None:
        threads.add(threading.current_thread().name)
        note(tx, str(number))

    futures = [database.write(lambda tx, n=number: work(tx, n)) for number in range(50)]
    for future in futures:
        future.result()
    assert noted(database) == [str(number) for number in range(50)]
    assert len(threads) == 1


def test_reading_sees_one_snapshot_however_long_it_takes(database: Database) -> None:
    database.write(note).result()
    with database.read() as tx:
        assert len(audit.entries(tx)) == 1
        database.write(note).result()
        assert len(audit.entries(tx)) == 1
    assert len(noted(database)) == 2


def test_a_reading_transaction_cannot_write(database: Database) -> None:
    with pytest.raises(StoreError), database.read() as tx:
        note(tx)
    database.write(note).result()
    assert noted(database) == ["did"]


def test_closing_finishes_the_queued_writes(migrated_url: str) -> None:
    database = open_database(migrated_url)
    for _ in range(20):
        database.write(note)
    database.close()
    again = open_database(migrated_url)
    assert len(noted(again)) == 20
    again.close()


def test_a_streamed_question_leaves_the_transaction_as_it_was(database: Database) -> None:
    def work(tx: Connection) -> int:
        version = a_release(tx)
        members = a_list(tx, "L", ["a@x.example"])
        rule = AudienceRule((members,))
        found = list(audiences.candidates(tx, rule, version_id=version.id, now=NOON))
        list(deliverylog.lines(tx, version.release_id, deliverylog.Filter()))
        note(tx)
        return len(found)

    assert database.write(work).result() == 1


def test_an_audience_is_read_whole_whatever_the_database_calls_the_order_of_addresses(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # By octets "b-" < "b." < "ba"; by an English collation punctuation counts last.
    names = ["ba", "b.c", "b-d", "b_a", "bb", "a", "b.b", "b-a", "é", "z"]
    addresses = [f"{name}@x.example" for name in names]
    monkeypatch.setattr(audiences, "_PAGE_ROWS", 2)
    audiences._page.cache_clear()

    def work(tx: Connection) -> list[str]:
        if tx.dialect.name == "postgresql":
            column = "ALTER COLUMN address_key TYPE text"
            tx.execute(text(f'ALTER TABLE contacts {column} COLLATE "en-x-icu"'))
        version = a_release(tx)
        rule = AudienceRule((a_list(tx, "L", addresses),))
        found = audiences.candidates(tx, rule, version_id=version.id, now=NOON)
        return [candidate.recipient.address for candidate in found]

    try:
        assert sorted(database.write(work).result()) == sorted(addresses)
    finally:
        audiences._page.cache_clear()


def test_who_has_a_version_already_is_asked_of_the_index_of_live_deliveries(
    database: Database,
) -> None:
    asked: list[tuple[str, Any]] = []

    def work(tx: Connection) -> None:
        rule = AudienceRule((a_list(tx, "L", ["a@x.example"]),))
        note_statement = event.listens_for(tx, "before_cursor_execute")
        note_statement(lambda *said: asked.append((said[2], said[3])))
        list(audiences.candidates(tx, rule, version_id=a_release(tx).id, now=NOON))
        (question,) = {said: values for said, values in asked if "has_version" in said}.items()
        if tx.dialect.name == "postgresql":
            # So few rows are sooner scanned: shown is that the index may answer at all.
            tx.execute(text("SET LOCAL enable_seqscan = off"))
        explain = "EXPLAIN" if tx.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
        plan = tx.exec_driver_sql(f"{explain} {question[0]}", question[1])
        asked[:] = [("\n".join(str(row) for row in plan), None)]

    database.write(work).result()
    assert "uq_deliveries_one_live" in asked[0][0]


# --- SQLite's settings -----------------------------------------------------------------------


def test_f1_every_pooled_connection_is_set_up_alike(sqlite_path: Path) -> None:
    with opened(sqlite_path, busy_timeout_s=3.0) as database:
        with database.read() as one, database.read() as two, database.read() as three:
            connections = [one, two, three]
            told = [
                {
                    name: tx.execute(text(f"PRAGMA {name}")).scalar_one()
                    for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
                }
                for tx in connections
            ]
            assert len({id(tx.connection.dbapi_connection) for tx in connections}) == 3
        told.append(
            database.write(
                lambda tx: {
                    name: tx.execute(text(f"PRAGMA {name}")).scalar_one() for name in told[0]
                },
            ).result(),
        )
    expected = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 3000}
    assert told == [expected] * 4


def test_writers_begin_immediate_and_readers_do_not(sqlite_path: Path) -> None:
    said: list[str] = []
    with opened(sqlite_path) as database:

        @event.listens_for(database._engine, "before_cursor_execute")
        def _listen(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if statement.startswith("BEGIN"):
                said.append(statement)

        database.write(note).result()
        noted(database)
    assert said == ["BEGIN IMMEDIATE", "BEGIN"]


def test_the_file_and_its_folder_are_the_owners_alone(sqlite_path: Path) -> None:
    with opened(sqlite_path) as database:
        database.write(note).result()
        with database.read() as tx:
            audit.entries(tx)
            found = {file.name for file in sqlite_path.parent.iterdir()}
            assert found >= {"distributor.db", "distributor.db-wal", "distributor.db-shm"}
            for file in sqlite_path.parent.iterdir():
                assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert stat.S_IMODE(sqlite_path.parent.stat().st_mode) == 0o700


def test_the_mode_of_a_file_that_is_there_is_kept(sqlite_path: Path) -> None:
    sqlite_path.chmod(0o640)
    upgrade(f"sqlite:///{sqlite_path}")
    assert stat.S_IMODE(sqlite_path.stat().st_mode) == 0o640


def test_a_database_that_cannot_be_made_says_where(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be made"):
        upgrade(f"sqlite:///{tmp_path / 'file' / 'distributor.db'}")


# --- two processes ---------------------------------------------------------------------------


def _write_many(url: str, name: str, count: int) -> None:
    database = open_database(url)

    def work(tx: Connection) -> None:
        # Read, then write: the upgrade that a deferred transaction would be refused.
        audit.entries(tx, limit=1)
        note(tx, name)

    for _ in range(count):
        database.write(work).result()
    database.close()


def test_f1_two_processes_write_side_by_side(migrated_url: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    others = [spawn.Process(target=_write_many, args=(migrated_url, n, 40)) for n in ("a", "b")]
    for other in others:
        other.start()
    for other in others:
        other.join(60)
    assert [other.exitcode for other in others] == [0, 0]
    database = open_database(migrated_url)
    assert sorted(noted(database)) == ["a"] * 40 + ["b"] * 40
    database.close()


def test_two_upgrades_at_once_both_succeed(database_url: str) -> None:
    faults: list[BaseException] = []

    def work() -> None:
        try:
            upgrade(database_url)
        except StoreError as error:
            faults.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    open_database(database_url).close()


def test_f2_a_database_held_for_too_long_is_called_busy(sqlite_path: Path) -> None:
    holder = sqlite3.connect(sqlite_path, isolation_level=None)
    with opened(sqlite_path, busy_timeout_s=0.2) as database:
        holder.execute("BEGIN IMMEDIATE")
        started = time.perf_counter()
        with pytest.raises(StoreBusy, match="too long") as refusal:
            database.write(note).result()
        assert time.perf_counter() - started > 0.15
        assert "nothing was written" in str(refusal.value.remedy)
        # Readers do not wait for writers.
        assert noted(database) == []
        holder.execute("ROLLBACK")
        database.write(note).result()
        assert noted(database) == ["did"]
    holder.close()


@pytest.mark.postgresql
def test_f2_a_row_held_for_too_long_is_called_busy(
    request: pytest.FixtureRequest,
) -> None:
    server = request.getfixturevalue("postgresql_server")
    name = server.create(template=request.getfixturevalue("_migrated_postgresql"))
    request.addfinalizer(lambda: server.drop(name))
    one = open_database(server.url(name))
    other = open_database(server.url(name), busy_timeout_s=0.2)
    one.write(note).result()
    lock = text("LOCK TABLE audit IN ACCESS EXCLUSIVE MODE")
    held, done = threading.Event(), threading.Event()

    def hold(tx: Connection) -> None:
        tx.execute(lock)
        held.set()
        done.wait(20)

    holding = one.write(hold)
    held.wait(20)
    with pytest.raises(StoreBusy, match="too long"):
        other.write(note).result()
    done.set()
    holding.result()
    other.write(note).result()
    assert noted(other) == ["did", "did"]
    one.close()
    other.close()


# --- a full disk -----------------------------------------------------------------------------


def big(tx: Connection) -> None:
    rows = metadata.tables["outlets"]
    tx.execute(insert(rows), [{"name": "x" * 4000, "key": f"k{n}"} for n in range(500)])


def assert_survives_a_full_disk(database: Database, make_room: Callable[[], None]) -> None:
    database.write(note).result()
    for _ in range(2):
        with pytest.raises(StoreFull, match="full") as refusal:
            database.write(big).result()
        assert "nothing was written" in str(refusal.value.remedy)
    with database.read() as tx:
        assert tx.execute(text("SELECT count(*) FROM outlets")).scalar_one() == 0
        assert tx.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
    make_room()
    database.write(big).result()
    with database.read() as tx:
        assert tx.execute(text("SELECT count(*) FROM outlets")).scalar_one() == 500
    assert noted(database) == ["did"]


def test_f3_a_full_database_keeps_what_it_has_and_works_again(sqlite_path: Path) -> None:
    with opened(sqlite_path) as database:
        pages = 100_000

        @event.listens_for(database._engine, "begin")
        def _limit(connection: Connection) -> None:
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

        with database.read() as tx:
            now = tx.execute(text("PRAGMA page_count")).scalar_one()
        pages = now + 20

        def room() -> None:
            nonlocal pages
            pages = 100_000

        assert_survives_a_full_disk(database, room)


# Whoever may not mount a small disk has the test above.
if os.geteuid() == 0:

    @pytest.fixture
    def small_disk(tmp_path: Path) -> Generator[Path]:
        place = tmp_path / "disk"
        place.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
        subprocess.run(mount, check=True)
        yield place
        subprocess.run(["umount", str(place)], check=True)  # noqa: S607 - a system tool

    def test_f3_a_full_disk_loses_nothing_and_is_recovered_from(small_disk: Path) -> None:
        path = small_disk / "distributor.db"
        upgrade(f"sqlite:///{path}")
        ballast = small_disk / "ballast"
        ballast.write_bytes(b"x" * 300_000)

        def room() -> None:
            ballast.unlink()
            remount = ["mount", "-o", "remount,size=50m", str(small_disk)]
            subprocess.run(remount, check=True)

        with opened(path) as database:
            assert_survives_a_full_disk(database, room)
