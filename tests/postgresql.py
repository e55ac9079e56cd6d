"""A PostgreSQL server for one test session: the one that is named, or one started in a temp folder.

Run by root it runs as an ordinary account, for PostgreSQL refuses to run as root. It listens on
a unix socket only, inside a folder that account alone may enter.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy import URL, make_url

if TYPE_CHECKING:
    from collections.abc import Generator

VARIABLE = "DISTRIBUTOR_TEST_POSTGRES"
_DRIVER = "postgresql+psycopg"
_PACKAGED = Path("/usr/lib/postgresql")
_START_LIMIT_S = 30.0
_ACCOUNTS = ("postgres", "nobody")
#: What is written need only outlive the tests.
_HASTY = ("fsync=off", "full_page_writes=off", "autovacuum=off", "listen_addresses=")


class Absent(Exception):
    """There is no PostgreSQL to test on; the message says why."""


@dataclass(frozen=True)
class Server:
    """A running server and an account on it that may create databases."""

    admin: URL

    def url(self, database: str) -> str:
        return self.admin.set(database=database).render_as_string(hide_password=False)

    def create(self, *, template: str = "template0") -> str:
        """Create a database of its own name, as a copy of ``template``."""
        name = f"distributor_test_{uuid.uuid4().hex[:16]}"
        self._order(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    def drop(self, database: str) -> None:
        self._order(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def _order(self, statement: str) -> None:
        plain = self.admin.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(statement.encode())


@contextmanager
def server() -> Generator[Server]:
    """Give a server for as long as the block lasts.

    Raises:
        Absent: There is none, with the reason.

    """
    if url := os.environ.get(VARIABLE):
        yield Server(make_url(url).set(drivername=_DRIVER))
        return
    binaries = _binaries()
    as_whom = _account()
    folder = Path(tempfile.mkdtemp(prefix="distributor-pg-"))
    try:
        if as_whom:
            os.chown(folder, as_whom["user"], as_whom["group"])
        with _running(binaries, folder, as_whom):
            yield Server(URL.create(_DRIVER, "postgres", query={"host": str(folder)}))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Restartable:
    """A server of its own for one test, which may stop it, crash it and start it again."""

    folder: Path
    _binaries: Path
    _common: dict[str, Any]
    _process: subprocess.Popen[Any] | None = None

    @property
    def server(self) -> Server:
        return Server(URL.create(_DRIVER, "postgres", query={"host": str(self.folder)}))

    def start(self) -> None:
        log = self.folder / "log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [
                    *(self._binaries / "postgres", "-D", self.folder / "data", "-k", self.folder),
                    # Unlike other tests: what is committed outlives a crash.
                    *("-c", "listen_addresses=", "-c", "autovacuum=off"),
                ],
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **self._common,
            )
        _await(self._process, self.folder, log)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: in order, cutting every connection off; SIGQUIT: as in a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=_START_LIMIT_S)


@contextmanager
def restartable() -> Generator[Restartable]:
    """Give a server that a test may stop and start; it runs already.

    Raises:
        Absent: There is none, with the reason.

    """
    binaries, as_whom = _binaries(), _account()
    folder = Path(tempfile.mkdtemp(prefix="distributor-pg-"))
    try:
        if as_whom:
            os.chown(folder, as_whom["user"], as_whom["group"])
        common: dict[str, Any] = {"cwd": folder, "stdin": subprocess.DEVNULL, **as_whom}
        _init(binaries, folder / "data", common)
        mine = Restartable(folder, binaries, common)
        try:
            mine.start()
            yield mine
        finally:
            mine.stop(signal.SIGQUIT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path:
    """Folder of ``postgres`` and ``initdb``: the newest packaged one, or that on the PATH."""
    packaged = [p for p in _PACKAGED.glob("*/bin") if (p / "initdb").exists()]
    if packaged:
        return max(packaged, key=lambda path: float(path.parent.name))
    found = shutil.which("postgres")
    if found and (Path(found).resolve().parent / "initdb").exists():
        return Path(found).resolve().parent
    raise Absent(f"no PostgreSQL server on this machine; install one or set {VARIABLE}")


def _account() -> dict[str, Any]:
    """Whom to run as: nobody else, unless we are root."""
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    for name in _ACCOUNTS:
        if name in known:
            return {
                "user": known[name].pw_uid,
                "group": known[name].pw_gid,
                "extra_groups": [],
            }
    raise Absent("PostgreSQL does not run as root, and there is no account to run it as")


def _init(binaries: Path, data: Path, common: dict[str, Any]) -> None:
    options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    made = subprocess.run(
        [binaries / "initdb", "-D", data, *options],
        capture_output=True,
        text=True,
        check=False,
        **common,
    )
    if made.returncode:
        raise Absent(f"initdb failed: {made.stderr.strip()[-300:]}")


@contextmanager
def _running(binaries: Path, folder: Path, as_whom: dict[str, Any]) -> Generator[None]:
    data = folder / "data"
    common: dict[str, Any] = {"cwd": folder, "stdin": subprocess.DEVNULL, **as_whom}
    _init(binaries, data, common)
    settings = [word for setting in _HASTY for word in ("-c", setting)]
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [binaries / "postgres", "-D", data, "-k", folder, *settings],
            stdout=output,
            stderr=subprocess.STDOUT,
            # An interrupt from the keyboard is for pytest, which then stops the server itself.
            start_new_session=True,
            **common,
        )
        try:
            _await(process, folder, log)
            yield
        finally:
            process.send_signal(signal.SIGQUIT)
            process.wait(timeout=_START_LIMIT_S)


def _await(process: subprocess.Popen[Any], folder: Path, log: Path) -> None:
    give_up = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < give_up and process.poll() is None:
        try:
            psycopg.connect(host=str(folder), user="postgres", dbname="postgres").close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise Absent(f"PostgreSQL did not start: {log.read_text(errors='replace')[-300:]}")
