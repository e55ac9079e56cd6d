"""Checks: would the next release go out? Each check says what it saw and what to do."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from distributor.clock import GuardedClock, host_id
from distributor.core.message import self_test
from distributor.core.states import HoldReason, WaveState
from distributor.core.timing import describe, find_zone
from distributor.errors import DistributorError
from distributor.installation import Installation
from distributor.store import waves, workers
from distributor.store.database import database_now, open_database

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from distributor.mail.relay import Probe, Relay
    from distributor.settings import Settings
    from distributor.store.database import Database

Verdict = Literal["ok", "warning", "error"]

#: As in distributor.desk.waves: a person lifts these only by saying what they waive.
_WAIVED_BY_NAME = frozenset({HoldReason.LATE, HoldReason.ZONE, HoldReason.RESTORED})
_COMING = (WaveState.PLANNED, WaveState.PREPARING, WaveState.READY)

#: Free space below which a release may not be recorded to its end, in octets.
_LITTLE_SPACE = 200 * 1024 * 1024
#: A certificate that ends so soon is worth a word, in days.
_SOON_DAYS = 14
#: How long the mail server is waited for, and a release may be behind, in seconds.
_PATIENCE_S = 10.0
_FAREWELL_S = 0.05


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at."""

    name: str
    verdict: Verdict
    says: str
    remedy: str | None = None


async def examine(settings: Settings, relay: Relay) -> list[Check]:
    """Look at everything; a check that fails does not stop the others."""
    clock = GuardedClock()
    found = [_configuration(settings), _builder()]
    try:
        database = open_database(
            settings.database.url,
            busy_timeout_s=settings.database.busy_timeout_s,
        )
    except DistributorError as error:
        found.append(_failed("database", error))
    else:
        try:
            found += _database_checks(settings, database, clock)
        finally:
            database.close()
    found.append(_space(settings.worker.state_dir))
    found.append(await _relay(relay, clock.now()))
    # A connection given up says goodbye under TLS before it closes; the loop ends with us.
    await asyncio.sleep(_FAREWELL_S)
    return found


def _configuration(settings: Settings) -> Check:
    where = str(settings.source or "built-in defaults")
    try:
        find_zone(settings.desk.zone)
    except DistributorError as error:
        says = f"{where}: desk.zone: {error}"
        return Check("configuration", "error", says, "Set desk.zone to a name like Europe/London.")
    if not settings.sender.address:
        says = f"{where}: sender.address is not set"
        return Check("configuration", "error", says, "Set it under [sender] in config.toml.")
    return Check("configuration", "ok", f"{where}; mail comes from {settings.sender.address}")


def _builder() -> Check:
    try:
        self_test()
    except DistributorError as error:
        return _failed("mail builder", error)
    return Check("mail builder", "ok", "no header can be injected")


def _database_checks(settings: Settings, database: Database, clock: GuardedClock) -> list[Check]:
    steps: tuple[tuple[str, Callable[[], Check]], ...] = (
        ("database", lambda: _home(settings, database)),
        ("clock", lambda: _clocks(database, clock, settings.desk.zone)),
        ("worker", lambda: _workers(settings, database, clock.now())),
        ("next release", lambda: _next(settings, database, clock.now())),
    )
    return [_guarded(name, step) for name, step in steps]


def _guarded(name: str, step: Callable[[], Check]) -> Check:
    try:
        return step()
    except DistributorError as error:
        return _failed(name, error)


def _failed(name: str, error: DistributorError) -> Check:
    return Check(name, "error", str(error), error.remedy)


def _home(settings: Settings, database: Database) -> Check:
    at_home = Installation(database, settings.worker.state_dir, host=host_id())
    with database.read() as tx:
        if at_home.is_home(tx):
            return Check("database", "ok", database.url)
    says = f"{database.url} was restored or copied: it sends nothing until a person confirms it"
    remedy = "If it is the only one: distributor release resume REF --waive restored"
    return Check("database", "error", says, remedy)


def _clocks(database: Database, clock: GuardedClock, zone: str) -> Check:
    if database.dialect == "postgresql":
        asked_s = clock.monotonic()
        with database.read() as tx:
            clock.observe_database(database_now(tx, clock.now()), asked_s=asked_s)
    reading = clock.reading()
    says = describe(reading.now, zone)
    if not reading.agrees:
        says += f"; the clocks stand {reading.spread_s:.1f} s apart: what is due is held"
        return Check("clock", "error", says, "Set the clock right; NTP keeps it so.")
    if database.dialect == "sqlite":
        says += "; with SQLite there is no second clock to check it by, so keep NTP running"
        return Check("clock", "ok", says)
    says += f"; agrees with the database's within {reading.spread_s:.1f} s"
    return Check("clock", "ok", says)


def _workers(settings: Settings, database: Database, now: datetime) -> Check:
    with database.read() as tx:
        alive = workers.count_alive(tx, now - timedelta(seconds=settings.worker.lease_s))
        waiting = waves.in_states(tx, (*_COMING, WaveState.SENDING))
    if alive:
        return Check("worker", "ok", f"{alive} running")
    if not waiting:
        says = "none is running, and nothing waits for one"
        return Check("worker", "ok", says)
    says = f"none is running, and {waiting[0].ref} is {waiting[0].state}"
    return Check("worker", "error", says, "Start one: distributor run")


def _next(settings: Settings, database: Database, now: datetime) -> Check:
    with database.read() as tx:
        held = waves.in_states(tx, (WaveState.HELD,))
        coming = waves.in_states(tx, _COMING)
    if held:
        wave = held[0]
        says = f"{wave.ref} is held: {wave.reason}"
        remedy = f"distributor release resume {wave.ref}"
        if wave.reason in _WAIVED_BY_NAME:
            remedy += f" --waive {wave.reason}"
        return Check("next release", "warning", says, remedy)
    if not coming:
        return Check("next release", "ok", "none is scheduled")
    wave = coming[0]
    when = describe(wave.send_at, settings.desk.zone)
    if wave.send_at < now - timedelta(seconds=_PATIENCE_S):
        says = f"{wave.ref} ({wave.state}) was due at {when} and has not left"
        return Check("next release", "error", says, "Is a worker running? distributor run")
    return Check("next release", "ok", f"{wave.ref} ({wave.state}) leaves at {when}")


def _space(state_dir: Path) -> Check:
    place = next(folder for folder in (state_dir, *state_dir.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    says = f"{free // (1024 * 1024)} MB free in {place}"
    if free < _LITTLE_SPACE:
        return Check("disk", "error", says, "Free some: a full disk stops sending.")
    return Check("disk", "ok", says)


async def _relay(relay: Relay, now: datetime) -> Check:
    where = f"{relay.policy.host}:{relay.policy.port}"
    try:
        async with asyncio.timeout(_PATIENCE_S):
            probe = await relay.probe()
    except TimeoutError:
        says = f"{where} did not answer within {_PATIENCE_S:.0f} s"
        remedy = "Check relay.host, relay.port, relay.security and the network."
        return Check("mail server", "error", says, remedy)
    except DistributorError as error:
        return _failed("mail server", error)
    says = f"{where} answers in {probe.took_s * 1000:.0f} ms, {_security(probe)}"
    until = probe.certificate_until
    if until is not None and until < now + timedelta(days=_SOON_DAYS):
        says += f"; its certificate ends {until:%Y-%m-%d}"
        return Check("mail server", "warning", says, "Have the certificate renewed.")
    return Check("mail server", "ok", says)


def _security(probe: Probe) -> str:
    login = "logged in" if probe.logged_in else "no login"
    return f"{probe.tls_version or 'no TLS (this machine only)'}, {login}"
