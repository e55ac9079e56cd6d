"""A PostgreSQL server of its own for the benchmark: default settings, so each commit is synced."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg

from benchmarks.processes import Failed, LeftOut

if TYPE_CHECKING:
    from collections.abc import Generator

_START_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running server; it listens on a unix socket in ``folder`` only."""

    folder: Path

    def url(self, name: str) -> str:
        """Where that database is."""
        return f"postgresql://postgres@/{name}?host={self.folder}"

    def create(self, name: str, *, template: str = "template0") -> str:
        """Make a database as a copy of ``template``; gives its URL."""
        self._order(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    def drop(self, name: str) -> None:
        """Remove a database, and write out what is left, so that the next run starts even."""
        self._order(f'DROP DATABASE "{name}" WITH (FORCE)')
        self._order("CHECKPOINT")

    def version(self) -> str:
        """The server's version."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            row = connection.execute("SHOW server_version").fetchone()
        return str(row[0]) if row else "?"

    def _order(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())


@contextmanager
def cluster() -> Generator[Cluster]:
    """Start a server in a folder of its own, as an ordinary account, and end it.

    Raises:
        LeftOut: No server is installed.

    """
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[4])
    )
    on_path = shutil.which("initdb")
    if not found and on_path is None:
        raise LeftOut("no PostgreSQL server is installed")
    binaries = found[-1].parent if found else Path(on_path or "").resolve().parent
    folder = Path(tempfile.mkdtemp(prefix="bench-pg-"))
    common: dict[str, Any] = {"cwd": folder, "stdin": subprocess.DEVNULL}
    if os.geteuid() == 0:
        account = pwd.getpwnam("nobody")
        os.chown(folder, account.pw_uid, account.pw_gid)
        common |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    try:
        options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"]
        made = subprocess.run(
            [binaries / "initdb", "-D", folder / "data", *options],
            **common,
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise Failed(f"initdb: {made.stderr[-300:]}")
        with (folder / "log").open("wb") as words:
            server = subprocess.Popen(
                [*(binaries / "postgres", "-D", folder / "data"), *("-k", folder, "-h", "")],
                stdout=words,
                stderr=words,
                **common,
            )
            try:
                _await(folder)
                yield Cluster(folder)
            finally:
                server.send_signal(signal.SIGINT)
                server.wait(_START_S)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _await(folder: Path) -> None:
    until = time.monotonic() + _START_S
    while True:
        try:
            psycopg.connect(host=str(folder), user="postgres", dbname="postgres").close()
        except psycopg.OperationalError as error:
            if time.monotonic() > until:
                raise Failed("PostgreSQL does not start") from error
            time.sleep(0.1)
        else:
            return
