"""I11: a restored copy is mute."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from distributor.installation import Installation
from distributor.store import audit, installation
from distributor.store.database import open_database, upgrade
from tests.builders import NOON, a_planned_wave

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from sqlalchemy import Connection

    from distributor.store.database import Database


@contextmanager
def opened(path: Path) -> Generator[Database]:
    database = open_database(f"sqlite:///{path}")
    try:
        yield database
    finally:
        database.close()


def start(path: Path, state: Path, *, host: str = "here") -> bool:
    with opened(path) as database:
        return Installation(database, state, host=host).start(now=NOON)


def is_home(database: Database, state: Path, *, host: str = "here") -> bool:
    with database.read() as tx:
        return Installation(database, state, host=host).is_home(tx)


def backup(path: Path, to: Path) -> Path:
    with sqlite3.connect(path) as source, sqlite3.connect(to) as target:
        source.backup(target)
    source.close()
    target.close()
    return to


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "distributor.db"
    upgrade(f"sqlite:///{path}")
    return path


def test_i11_a_database_used_here_stays_at_home(database: Database, state: Path) -> None:
    home = Installation(database, state, host="here")
    for _ in range(3):
        assert home.start(now=NOON)
    with database.read() as tx:
        stored = installation.stored(tx)
    assert stored is not None
    assert stored.starts == 3
    assert is_home(database, state)


def test_i11_a_copy_at_another_path_is_mute(path: Path, state: Path, tmp_path: Path) -> None:
    assert start(path, state)
    copy = backup(path, tmp_path / "copy.db")
    assert not start(copy, state)
    with opened(copy) as database, database.read() as tx:
        stored = installation.stored(tx)
        assert stored is not None
        assert stored.starts == 1
    assert start(path, state)


def test_i11_a_copy_on_another_machine_is_mute(path: Path, state: Path, tmp_path: Path) -> None:
    assert start(path, state)
    assert not start(path, tmp_path / "other state", host="there")
    assert start(path, state)


def test_i11_an_older_copy_put_back_in_place_is_mute(
    path: Path, state: Path, tmp_path: Path
) -> None:
    assert start(path, state)
    older = backup(path, tmp_path / "older.db")
    assert start(path, state)
    path.unlink()
    shutil.copyfile(older, path)
    assert not start(path, state)


def test_i11_a_copy_from_before_the_first_start_is_mute_when_it_brings_a_schedule(
    path: Path, state: Path, tmp_path: Path
) -> None:
    empty = backup(path, tmp_path / "empty.db")
    with opened(path) as database:
        a_planned_wave(database)
    planned = backup(path, tmp_path / "planned.db")
    assert start(path, state)
    path.unlink()
    shutil.copyfile(planned, path)
    assert not start(path, state)
    # A new database in the place of an old one has nothing to send twice.
    path.unlink()
    shutil.copyfile(empty, path)
    assert start(path, state)
    assert start(path, state)


def test_i11_a_person_confirms_a_copy_and_then_it_is_at_home(
    path: Path, state: Path, tmp_path: Path
) -> None:
    assert start(path, state)
    assert start(path, state)
    copy = backup(path, tmp_path / "copy.db")
    with opened(copy) as database:
        assert not is_home(database, state)
        home = Installation(database, state, host="here")
        home.confirm(by="ann", now=NOON)
        assert is_home(database, state)
        assert home.start(now=NOON)
        with database.read() as tx:
            entry = audit.entries(tx)[0]
        assert (entry.actor, entry.action, entry.subject) == ("ann", "confirmed", "installation")
    # The counter went on: the first one has become the older copy only for its own path.
    assert not start(path, state)


def test_i11_a_confirmed_older_copy_goes_on_counting(
    path: Path, state: Path, tmp_path: Path
) -> None:
    assert start(path, state)
    older = backup(path, tmp_path / "older.db")
    for _ in range(3):
        assert start(path, state)
    path.unlink()
    shutil.copyfile(older, path)
    with opened(path) as database:
        Installation(database, state, host="here").confirm(by="ann", now=NOON)
    assert start(path, state)


@pytest.mark.parametrize("words", ["", "{}", "[]", '{"starts": "x"}', "\x00"])
def test_a_broken_counter_file_says_nothing(path: Path, state: Path, words: str) -> None:
    assert start(path, state)
    (state / "installation.json").write_text(words, encoding="utf-8")
    assert start(path, state)
    assert '"starts": 2' in (state / "installation.json").read_text(encoding="utf-8")


def test_the_counter_never_goes_back(path: Path, state: Path) -> None:
    assert start(path, state)
    with opened(path) as database:
        home = Installation(database, state, host="here")
        home._remember(7)
        home._remember(5)
        assert home._seen_starts() == 7


@pytest.mark.postgresql
def test_i11_postgresql_knows_its_cluster_and_database(
    request: pytest.FixtureRequest, state: Path, tmp_path: Path
) -> None:
    server = request.getfixturevalue("postgresql_server")
    first = server.create(template=request.getfixturevalue("_migrated_postgresql"))
    request.addfinalizer(lambda: server.drop(first))
    database = open_database(server.url(first))
    assert Installation(database, state, host="here").start(now=NOON)
    database.close()
    # Any host may work for it; a restored copy under another name is mute.
    database = open_database(server.url(first))
    assert Installation(database, tmp_path / "elsewhere", host="there").start(now=NOON)
    with database.read() as tx:
        assert installation.system_identity(tx) == installation.system_identity(tx)
    database.close()
    second = server.create(template=first)
    request.addfinalizer(lambda: server.drop(second))
    database = open_database(server.url(second))
    assert not Installation(database, state, host="here").start(now=NOON)
    database.close()


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
def test_two_first_workers_at_once_are_both_counted(migrated_url: str) -> None:
    first, second = open_database(migrated_url), open_database(migrated_url)
    looked = threading.Barrier(2)

    def start(database: Database) -> int:
        def work(tx: Connection) -> int:
            assert installation.stored(tx) is None
            looked.wait(timeout=10)
            installation.move_in(tx, "here", starts=0, now=NOON)
            return installation.count_start(tx)

        return database.write(work).result(timeout=20)

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(start, (first, second))) == [1, 2]
    second.close()
    first.close()
