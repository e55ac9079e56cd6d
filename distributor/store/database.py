"""Opening the database, reading in one snapshot, writing through one thread.

SQLite: WAL, ``synchronous=FULL``, foreign keys, ``BEGIN IMMEDIATE`` for every writer (a deferred
read that turns into a write fails at once whatever the busy timeout says). PostgreSQL: psycopg,
READ COMMITTED with conditional updates.
Invariant: this module alone begins, commits and rolls back.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, func, make_url, select, text
from sqlalchemy.exc import DatabaseError, DBAPIError, OperationalError

from distributor.errors import SchemaMismatch, StoreBusy, StoreError, StoreFull
from distributor.shipped import shipped

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Generator
    from datetime import datetime

    from sqlalchemy.engine import URL

    from distributor.store.outage import Outage

T = TypeVar("T")

#: Execution option that makes a transaction a writer's (BEGIN IMMEDIATE on SQLite).
_WRITING = {"distributor_write": True}

#: Any number will do, as long as it stays this one.
_UPGRADE_LOCK = 4_711_002

#: Pause between two tries to change a file to WAL, in seconds.
_WAL_RETRY_S = 0.05

#: SQLite's own words for the three faults a person can do something about.
_BUSY = ("database is locked", "database table is locked")
_FULL = ("database or disk is full", "attempt to write a readonly database", "disk i/o error")
#: PostgreSQL: disk_full, read_only_sql_transaction, io_error / lock_not_available.
_FULL_STATES = frozenset({"53100", "25006", "58030"})
_BUSY_STATES = frozenset({"55P03", "57014"})


class Database:
    """One open database. ``read`` gives a snapshot; ``write`` queues work on the writer thread."""

    def __init__(self, engine: Engine) -> None:
        """Keep the engine; the writer thread starts with its first work."""
        self._engine = engine
        self._writing = engine.execution_options(**_WRITING)
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-writer")
        self._outage: Outage | None = None
        self._place = _place_of(self.file)

    def watch(self, outage: Outage) -> None:
        """Have outages told: for a process that goes on through them."""
        self._outage = outage

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._engine.dialect.name

    @property
    def url(self) -> str:
        """The address, without its password."""
        return self._engine.url.render_as_string(hide_password=True)

    @property
    def file(self) -> Path | None:
        """The SQLite file, or None on PostgreSQL."""
        name = self._engine.url.database
        return Path(name) if self.dialect == "sqlite" and name else None

    @contextmanager
    def read(self) -> Generator[Connection]:
        """One read-only snapshot.

        Raises:
            StoreError: The database cannot be reached.

        """
        with self._told_of(), self._engine.connect() as connection:
            if self.dialect == "postgresql":
                connection.execution_options(
                    isolation_level="REPEATABLE READ",
                    postgresql_readonly=True,
                )
            with connection.begin():
                yield connection

    def write(self, work: Callable[[Connection], T]) -> Future[T]:
        """Queue ``work(tx)`` as one transaction: committed when it returns, else rolled back.

        The future raises what ``work`` raised, or StoreBusy, StoreFull, StoreError.
        """
        return self._writer.submit(self._transact, work)

    def _transact(self, work: Callable[[Connection], T]) -> T:
        with self._told_of(), self._writing.begin() as tx:
            done = work(tx)
        if self._outage is not None:
            self._outage.worked()
        return done

    @contextmanager
    def _told_of(self) -> Generator[None]:
        """Speak of the database's faults in our words, and tell of an outage."""
        try:
            with _translated(self._engine):
                self._mind_the_place()
                yield
        except StoreError as error:
            if self._outage is not None:
                self._outage.failed(error)
            raise

    def _mind_the_place(self) -> None:
        """Refuse a file that is not where it was: an open descriptor goes on wherever it is moved.

        The desk would give its orders to another file than the worker reads, or to none (I7).
        """
        if self._place is not None and _place_of(self.file) != self._place:
            raise StoreError(
                f"The database {self.file} is not where it was.",
                remedy="Put it back; or stop, and start again with the one that is there now.",
            )

    def close(self) -> None:
        """Finish the queued writes and let go of every connection."""
        self._writer.shutdown(wait=True)
        self._engine.dispose()


def _place_of(file: Path | None) -> tuple[int, int] | None:
    """What tells one file from another of its name; None where there is none."""
    try:
        found = file.stat() if file is not None else None
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found else None


def open_database(url: str, *, busy_timeout_s: float = 10.0) -> Database:
    """Open a database whose schema is this program's.

    Raises:
        SchemaMismatch: It is empty, older or newer; the remedy says what to do.
        StoreError: It cannot be reached.

    """
    database = Database(_engine(make_url(url), busy_timeout_s))
    try:
        _check_schema(database)
    except BaseException:
        database.close()
        raise
    return database


def upgrade(url: str, *, busy_timeout_s: float = 10.0) -> None:
    """Create the tables, or bring them to this program's version: all of it or nothing.

    A SQLite file is made readable by its owner alone, for embargoed text lies in it.

    Raises:
        SchemaMismatch: The database is newer than this program.
        StoreError: It cannot be reached.

    """
    address = make_url(url)
    engine = _engine(address, busy_timeout_s)
    config = migrations()
    if engine.dialect.name == "sqlite" and address.database:
        _create_private(Path(address.database))
    try:
        with _translated(engine), engine.execution_options(**_WRITING).begin() as connection:
            if engine.dialect.name == "postgresql":
                # Two upgrades at once: the second waits, and then finds nothing to do.
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_UPGRADE_LOCK})"))
            _refuse_newer(_revision(connection), ScriptDirectory.from_config(config))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def _create_private(path: Path) -> None:
    """Make an empty file for its owner alone; SQLite gives its side files the same mode."""
    if path.exists():
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    except OSError as error:
        msg = f"The database {path} cannot be made: {error.strerror}."
        raise StoreError(msg, remedy="Give its folder to this account, or name another.") from error


def migrations() -> Config:
    """Alembic's configuration, pointing at the shipped migrations."""
    config = Config()
    config.set_main_option("script_location", str(shipped("alembic")).replace("%", "%%"))
    return config


def attempt(tx: Connection, work: Callable[[], bool]) -> bool:
    """Do ``work`` within a transaction, and undo it when it says False; gives what it said."""
    savepoint = tx.begin_nested()
    if work():
        savepoint.commit()
        return True
    savepoint.rollback()
    return False


def database_now(tx: Connection, now: datetime) -> datetime:
    """The instant leases are counted in.

    PostgreSQL's own clock, which all workers share; on SQLite there is one machine and so the
    caller's guarded ``now``.
    """
    if tx.dialect.name == "postgresql":
        return tx.execute(select(func.clock_timestamp())).scalar_one()
    return now


def _engine(url: URL, busy_timeout_s: float) -> Engine:
    if url.get_backend_name() == "sqlite":
        return _sqlite(url, busy_timeout_s)
    if url.get_backend_name() == "postgresql":
        return create_engine(
            url.set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={
                "connect_timeout": 10,
                "options": f"-c lock_timeout={int(busy_timeout_s * 1000)}"
                " -c idle_in_transaction_session_timeout=60000 -c timezone=UTC",
            },
        )
    msg = f"database.url: {url.get_backend_name()} is not supported"
    raise StoreError(msg, remedy="Use sqlite:///FILE or postgresql://USER@HOST/NAME.")


def _sqlite(url: URL, busy_timeout_s: float) -> Engine:
    # No fault may quote the values of a statement: they hold addresses and embargoed text.
    engine = create_engine(
        url,
        hide_parameters=True,
        connect_args={"timeout": busy_timeout_s},
        # The writer gets the connection it gave back: another one's cache of pages would be stale.
        pool_use_lifo=True,
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        # The driver's own transaction handling would begin deferred; ours stands in _begin.
        connection.isolation_level = None
        _use_wal(connection, busy_timeout_s)
        for pragma in (
            "synchronous=FULL",
            "foreign_keys=ON",
            f"busy_timeout={int(busy_timeout_s * 1000)}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("distributor_write", False)
        if connection.info.get("writes") is not write:
            connection.exec_driver_sql(f"PRAGMA query_only={'OFF' if write else 'ON'}")
            connection.info["writes"] = write
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _use_wal(connection: sqlite3.Connection, patience_s: float) -> None:
    """Change to WAL. SQLite does not wait its busy timeout when two change a new file at once."""
    connection.execute("PRAGMA busy_timeout=0")
    for _ in range(int(patience_s / _WAL_RETRY_S)):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except connection.OperationalError:
            time.sleep(_WAL_RETRY_S)
        else:
            return
    connection.execute("PRAGMA journal_mode=WAL")


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _check_schema(database: Database) -> None:
    script = ScriptDirectory.from_config(migrations())
    if database.file is not None and not database.file.exists():
        msg = f"There is no database at {database.file}."
        raise SchemaMismatch(msg, remedy="Create it: distributor init")
    with database.read() as tx:
        revision = _revision(tx)
    _refuse_newer(revision, script)
    if revision is None:
        msg = f"The database {database.url} is empty."
        raise SchemaMismatch(msg, remedy="Create its tables: distributor db upgrade")
    if revision != script.get_current_head():
        msg = f"The database {database.url} is older ({revision}) than this program."
        raise SchemaMismatch(msg, remedy="Back it up, then: distributor db upgrade")


def _refuse_newer(revision: str | None, script: ScriptDirectory) -> None:
    known = {item.revision for item in script.walk_revisions()}
    if revision is not None and revision not in known:
        msg = f"The database was written by a newer version of this program ({revision})."
        raise SchemaMismatch(msg, remedy="Install that version; this one will not touch it.")


@contextmanager
def _translated(engine: Engine) -> Generator[None]:
    """Turn the driver's faults into the three a person can act on."""
    try:
        yield
    except OperationalError as error:
        raise _meaning(error, engine) from error
    except DBAPIError as error:
        # SQLite says "not a database" and "malformed" with the bare class.
        broken = error.connection_invalidated or type(error) is DatabaseError
        if broken or _sqlstate(error) in _FULL_STATES:
            raise _meaning(error, engine) from error
        raise


def _sqlstate(error: DBAPIError) -> str | None:
    original: Any = error.orig
    return getattr(original, "sqlstate", None)


def _meaning(error: DBAPIError, engine: Engine) -> StoreError:
    where = engine.url.render_as_string(hide_password=True)
    said = str(error.orig).strip()
    words = said.lower()
    state = _sqlstate(error)
    if state in _BUSY_STATES or any(phrase in words for phrase in _BUSY):
        return StoreBusy(
            f"The database {where} has been held by another process for too long.",
            remedy="Find what holds it, then try again: nothing was written.",
        )
    if state in _FULL_STATES or any(phrase in words for phrase in _FULL):
        return StoreFull(
            f"The database {where} cannot be written: {said}.",
            remedy="Free disk space or mend its permissions: nothing was written.",
        )
    return StoreError(
        f"The database {where} cannot be used: {said}.",
        remedy="distributor doctor tells more.",
    )
