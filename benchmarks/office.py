"""A press office of its own for every run: contacts, a release, a sealed wave, one worker.

The contacts are imported once and kept as a template; each run takes a copy, which no worker has
ever used. Everything is ordered through the product's own desk and stages.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self

from alembic.script import ScriptDirectory
from sqlalchemy import func, select

from benchmarks import newsroom
from benchmarks.processes import Failed, cpu_s, end, outside, peak_rss_mb, wait_until
from benchmarks.progress import settled
from distributor.app import App, open_app, sending_policy
from distributor.config import load
from distributor.desk.contacts import Import
from distributor.desk.releases import read_text
from distributor.desk.suppressions import SuppressionOrder
from distributor.desk.waves import Target
from distributor.intake.table import read_table
from distributor.stages import preparing, scheduling
from distributor.store.database import migrations, upgrade
from distributor.store.schema import attempts, deliveries

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from distributor.core.model import Wave

LIST: Final = "press"
EXCLUDED: Final = "not this time"
#: Rows of one imported table.
_IMPORTED: Final = 100_000
_BY: Final = "benchmark"
#: Seconds a worker is given to start and to open its connections before the lift.
START_S: Final = 5.0
_DATABASE: Final = "distributor.db"


def config_text(url: str, **changes: Any) -> str:
    """A configuration on that database; ``relay__port=25`` sets one key."""
    values: dict[str, dict[str, Any]] = {
        "desk": {"organisation": "Harbour Commission"},
        "sender": {"address": "press@harbours.example"},
        "database": {"url": url},
        "relay": {"host": "127.0.0.1", "security": "none", "connections": 10},
        "worker": {"state_dir": "state"},
        "log": {"format": "json"},
    }
    for name, value in changes.items():
        section, _, key = name.partition("__")
        values.setdefault(section, {})[key] = value
    return "\n".join(
        f"[{section}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
        for section, keys in values.items()
    )


def import_people(folder: Path, url: str, count: int, *, excluded: int = 0) -> None:
    """Make a database with so many contacts on one list.

    ``excluded`` of them are on a second list, :data:`EXCLUDED`, and as many others suppressed.
    """
    config = folder / "template.toml"
    config.write_text(config_text(url), encoding="utf-8")
    config.chmod(0o600)
    settings = load(config)
    upgrade(settings.database.url)
    app = open_app(settings)
    try:
        for start in range(0, count, _IMPORTED):
            rows = newsroom.table(min(_IMPORTED, count - start), start, of=count)
            order = Import(read_table(rows), "readers.csv", LIST)
            app.contacts.import_table(order, by=_BY, now=app.clock.now())
        if excluded:
            order = Import(read_table(newsroom.table(excluded, of=count)), "out.csv", EXCLUDED)
            app.contacts.import_table(order, by=_BY, now=app.clock.now())
            for _, address, _ in newsroom.people(excluded, excluded, of=count):
                objection = SuppressionOrder(address, "objection", "asked by letter", None)
                app.suppressions.add(objection, by=_BY, now=app.clock.now())
    finally:
        app.close()


def sqlite_template(cache: Path, count: int, *, excluded: int = 0) -> Path:
    """The SQLite file with so many contacts, made once and kept in ``cache``."""
    head = ScriptDirectory.from_config(migrations()).get_current_head()
    name = f"contacts-{count}-{excluded}-{head}"
    done = cache / name / _DATABASE
    if not done.exists():
        making = cache / f"{name}.part"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        import_people(making, f"sqlite:///{making / _DATABASE}", count, excluded=excluded)
        with contextlib.closing(sqlite3.connect(making / _DATABASE)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.rmtree(cache / name, ignore_errors=True)
        making.rename(cache / name)
    return done


def sqlite_copy(cache: Path, folder: Path, count: int, *, excluded: int = 0) -> str:
    """A fresh SQLite file with so many contacts in ``folder``; gives its URL."""
    shutil.copyfile(sqlite_template(cache, count, excluded=excluded), folder / _DATABASE)
    (folder / _DATABASE).chmod(0o600)
    os.sync()  # what the copy left to write must not be written during the run
    return f"sqlite:///{folder / _DATABASE}"


@dataclass(frozen=True, slots=True)
class Sending:
    """What one wave took: from the lift to the last committed outcome.

    ``cpu_s`` is the worker's, from half a second before the lift; ``rss_mb`` its peak.
    """

    mails: int
    seconds: float
    cpu_s: float
    rss_mb: float

    @property
    def per_s(self) -> float:
        """Mails a second."""
        return self.mails / self.seconds

    @property
    def cpu_us(self) -> float:
        """CPU microseconds a mail."""
        return self.cpu_s / self.mails * 1e6


@dataclass(slots=True)
class Office:
    """One desk on one database; ``with`` closes it and ends its worker."""

    folder: Path
    url: str
    changes: Mapping[str, Any]
    launcher: Sequence[str] = ("-m", "distributor")
    app: App = field(init=False)
    _worker: subprocess.Popen[bytes] | None = field(init=False, default=None)

    def __enter__(self) -> Self:
        """Open the desk."""
        config = self.folder / "config.toml"
        config.write_text(config_text(self.url, **self.changes), encoding="utf-8")
        config.chmod(0o600)
        self.app = open_app(load(config))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the desk and end the worker."""
        self.stop()
        self.app.close()

    def now(self) -> datetime:
        """The guarded instant."""
        return self.app.clock.now()

    # --- before the lift ------------------------------------------------------------------------

    def schedule(self, lift: datetime, *, exclude: Sequence[str] = ()) -> str:
        """Bring the statement in, embargoed until ``lift``; approve and schedule it."""
        path = self.folder / "statement.txt"
        path.write_text(newsroom.statement(), encoding="utf-8")
        now = self.now()
        reading = read_text(path, received=now.date(), zone="Europe/London", language="en")
        version = self.app.releases.bring_in(
            reading,
            sender=self.app.sender(),
            embargo=f"{lift:%Y-%m-%d %H:%M:%S} UTC",
            language=None,
            by=_BY,
            now=now,
        )
        self.app.releases.approve(version.ref, by=_BY, now=now)
        self.app.waves.schedule(version.ref, Target([LIST], exclude), by=_BY, now=now)
        return version.ref

    def seal(self) -> float:
        """Prepare what is planned, as a worker would; gives the seconds it took."""
        policy = sending_policy(self.app.settings)
        scheduling.tick(self.app.database, policy, now=self.now(), clock_agrees=True)
        began = time.monotonic()
        preparing.tick(self.app.database, policy, worker=_BY, now=self.now())
        return time.monotonic() - began

    def wave(self, ref: str) -> Wave:
        """The release's wave as it stands."""
        return self.app.review.release(ref).waves[-1].wave

    # --- the worker -----------------------------------------------------------------------------

    def start(self) -> None:
        """Start one worker process, and return once it has signed on."""
        said = self.folder / "worker.said"
        with said.open("wb") as words:
            self._worker = subprocess.Popen(
                [sys.executable, *self.launcher, "--config", "config.toml", "worker"],
                cwd=self.folder,
                env=outside(),
                stdout=words,
                stderr=subprocess.STDOUT,
            )
        wait_until(
            lambda: b"worker_started" in said.read_bytes() or self._died(),
            within_s=30.0,
            what="the worker's start",
        )
        if self._died():
            raise Failed(f"the worker died: {self.said()[-800:]}")

    def _died(self) -> bool:
        return self._worker is not None and self._worker.poll() is not None

    @property
    def pid(self) -> int:
        """The worker's process."""
        if self._worker is None:
            raise Failed("no worker was started")
        return self._worker.pid

    def said(self) -> str:
        """What the worker wrote about itself."""
        return (self.folder / "worker.said").read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        """SIGTERM, and wait for the end."""
        if self._worker is not None:
            end(self._worker)

    # --- the measurement ------------------------------------------------------------------------

    def measure(self, ref: str, *, within_s: float) -> Sending:
        """Let the scheduled wave go out; gives what it took once every outcome is committed.

        Raises:
            Failed: The worker was not ready before the lift, died, or is not done in time.

        """
        wave = self.wave(ref)
        lift = wave.send_at
        if (lift - datetime.now(UTC)).total_seconds() < 1.0:
            raise Failed("the worker was started too late for the lift")
        sleep_until(lift - timedelta(seconds=0.5))
        before = cpu_s(self.pid)
        with settled(self.url, wave.id) as done:
            wait_until(lambda: done() or self._died(), within_s=within_s, what="every outcome")
        seconds = (datetime.now(UTC) - lift).total_seconds()
        if self._died():
            raise Failed(f"the worker died: {self.said()[-800:]}")
        return Sending(
            wave.recipients or 0, seconds, cpu_s(self.pid) - before, peak_rss_mb(self.pid)
        )

    def require_all_accepted(self, ref: str) -> None:
        """The database's own account: every recipient accepted, at one attempt each.

        Raises:
            Failed: The numbers are others.

        """
        view = self.app.review.release(ref).waves[-1]
        counts = {state.value: count for state, count in view.counts.items() if count}
        with self.app.database.read() as tx:
            tried = tx.execute(
                select(func.count(), func.count(attempts.c.delivery_id.distinct()))
                .select_from(attempts.join(deliveries, deliveries.c.id == attempts.c.delivery_id))
                .where(deliveries.c.wave_id == view.wave.id, attempts.c.outcome == "accepted"),
            ).one()
            every = tx.execute(select(func.count()).select_from(attempts)).scalar_one()
        sealed = view.wave.recipients
        if counts != {"accepted": sealed} or tuple(tried) != (sealed, sealed) or every != sealed:
            raise Failed(f"sealed {sealed}; {counts}; attempts {tuple(tried)} of {every}")


def next_lift(ahead_s: float) -> datetime:
    """A whole second, at least so far ahead."""
    return datetime.fromtimestamp(math.ceil(time.time() + ahead_s), UTC)


def sleep_until(instant: datetime) -> None:
    """Sleep until that instant of the wall clock."""
    time.sleep(max(0.0, (instant - datetime.now(UTC)).total_seconds()))
