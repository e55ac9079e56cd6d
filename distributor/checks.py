"""Checks: would the next release go out? Each check says what it saw and what to do."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from distributor.clock import GuardedClock, host_id
from distributor.core.forecast import Quota, forecast
from distributor.core.hold import going_on, hold_words
from distributor.core.message import self_test
from distributor.core.states import DeliveryState, HoldReason, WaveState
from distributor.core.timing import describe, find_zone
from distributor.errors import DistributorError
from distributor.installation import Installation
from distributor.mail.proofreading import proofread
from distributor.mail.resolver import text_records
from distributor.mail.stationery import Stationery
from distributor.shipped import shipped
from distributor.store import relays, waves, workers
from distributor.store.database import database_now, open_database
from distributor.store.relays import Report

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection

    from distributor.mail.relay import Probe, Relay
    from distributor.mail.relays import Relays
    from distributor.mail.signing import Signing, SigningKey
    from distributor.settings import Settings
    from distributor.store.database import Database

Verdict = Literal["ok", "warning", "error"]
#: Gives the TXT records of a name; raises LookupFailed.
Ask = Callable[[str], Awaitable[list[str]]]

_COMING = (WaveState.PLANNED, WaveState.PREPARING, WaveState.READY)

#: Free space below which a release may not be recorded to its end, in octets.
_LITTLE_SPACE = 200 * 1024 * 1024
#: A certificate that ends so soon is worth a word, in days.
_SOON_DAYS = 14
#: How long the mail server is waited for, and a release may be behind, in seconds.
_PATIENCE_S = 10.0
_FAREWELL_S = 0.05
#: What a mail server may offer that sending uses, by its SMTP keyword.
_WANTED = ("PIPELINING", "SIZE", "8BITMIME", "DSN")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. ``facts`` are what scripts want to know of it, by name."""

    name: str
    verdict: Verdict
    says: str
    remedy: str | None = None
    facts: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    """What the database knows of the relays: what of their day is spent, and how they fared."""

    quotas: dict[str, Quota] = field(default_factory=dict[str, Quota])
    reports: dict[str, Report] = field(default_factory=dict[str, Report])


async def examine(
    settings: Settings,
    every: Relays,
    signing: Callable[[], Signing | None],
    *,
    ask: Ask = text_records,
) -> list[Check]:
    """Look at everything; a check that fails does not stop the others.

    ``signing`` reads the keys that mail is signed with; ``ask`` asks the DNS.
    """
    clock = GuardedClock()
    known = _Known()
    found = [_configuration(settings), _builder()]
    if settings.templates.folder is not None:
        found.append(_guarded("templates", lambda: _templates(settings)))
    try:
        database = open_database(
            settings.database.url,
            busy_timeout_s=settings.database.busy_timeout_s,
        )
    except DistributorError as error:
        found.append(_failed("database", error))
    else:
        try:
            known = _known(database, every)
            found += _database_checks(settings, database, clock, known)
        finally:
            database.close()
    found.append(_space(settings.worker.state_dir))
    asked = [_relay(settings, relay, known, clock.now()) for relay in every]
    for checks in await asyncio.gather(*asked):
        found += checks
    found += await _signatures(signing, ask)
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


def _templates(settings: Settings) -> Check:
    """Whether a release could be approved with the desk's own templates."""
    own = settings.templates.folder
    if own is None:
        return Check("templates", "ok", "those of the program")
    proof = proofread(Stationery(shipped("templates")), own)
    wrong = [remark for remark in proof.remarks if remark.severity == "error"]
    if wrong:
        says = f"{own}: {len(wrong)} mistakes, the first in {wrong[0].file}: {wrong[0].message}"
        return Check("templates", "error", says, "distributor templates check names each.")
    return Check("templates", "ok", f"{own}: {len(proof.overrides)} take the place of ours")


def _known(database: Database, every: Relays) -> _Known:
    limits = {relay.name: relay.policy.limits for relay in every}
    try:
        with database.read() as tx:
            return _Known(relays.quotas(tx, limits), relays.reports(tx))
    except DistributorError:
        # The checks of the database say why.
        return _Known()


def _database_checks(
    settings: Settings, database: Database, clock: GuardedClock, known: _Known
) -> list[Check]:
    steps: tuple[tuple[str, Callable[[], Check]], ...] = (
        ("database", lambda: _home(settings, database)),
        ("clock", lambda: _clocks(database, clock, settings.desk.zone)),
        ("worker", lambda: _workers(settings, database, clock.now())),
        ("next release", lambda: _next(settings, database, known, clock.now())),
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


def _next(settings: Settings, database: Database, known: _Known, now: datetime) -> Check:
    with database.read() as tx:
        held = waves.in_states(tx, (WaveState.HELD,))
        coming = waves.in_states(tx, _COMING)
        left = _left(tx, coming[0].id) if coming else 0
    if held:
        wave = held[0]
        by_order = wave.reason is HoldReason.PERSON
        says = f"{wave.ref} is held ({hold_words(wave)}): nothing of it leaves"
        return Check("next release", "warning" if by_order else "error", says, going_on(wave))
    if not coming:
        return Check("next release", "ok", "none is scheduled")
    wave = coming[0]
    when = describe(wave.send_at, settings.desk.zone)
    if wave.send_at < now - timedelta(seconds=_PATIENCE_S):
        says = f"{wave.ref} ({wave.state}) was due at {when} and has not left"
        return Check("next release", "error", says, "Is a worker running? distributor run")
    says = f"{wave.ref} ({wave.state}) leaves at {when}"
    start = max(wave.send_at, now)
    seen = forecast(left, list(known.quotas.values()), start=start)
    if seen is None:
        return Check("next release", "ok", says)
    says += f"; {seen.said(settings.desk.zone)}"
    if seen.misses(start + timedelta(seconds=settings.sending.deadline_s)):
        remedy = (
            "Raise the limits, add a relay, or raise sending.deadline_s: what has not left expires."
        )
        return Check("next release", "warning", says, remedy)
    return Check("next release", "ok", says)


def _left(tx: Connection, wave_id: int) -> int:
    """Deliveries of a wave that have still to leave, once it is sealed."""
    counts = waves.counts(tx, wave_id)
    return sum(counts.get(state, 0) for state in (DeliveryState.QUEUED, DeliveryState.DEFERRED))


def _space(state_dir: Path) -> Check:
    place = next(folder for folder in (state_dir, *state_dir.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    says = f"{free // (1024 * 1024)} MB free in {place}"
    if free < _LITTLE_SPACE:
        return Check("disk", "error", says, "Free some: a full disk stops sending.")
    return Check("disk", "ok", says)


async def _relay(settings: Settings, relay: Relay, known: _Known, now: datetime) -> list[Check]:
    """What one mail server shows, what it lets us send, and which senders it takes."""
    name = "mail server" if len(settings.relays) == 1 else f"mail server {relay.name}"
    where = f"{relay.policy.host}:{relay.policy.port}"
    senders = _senders(relay, settings.sender.address)
    try:
        async with asyncio.timeout(_PATIENCE_S):
            probe = await relay.probe(senders, recipient=settings.sender.address)
    except TimeoutError:
        says = f"{where} did not answer within {_PATIENCE_S:.0f} s"
        remedy = "Check relay.host, relay.port, relay.security and the network."
        return [Check(name, "error", says, remedy, {"reachable": False})]
    except DistributorError as error:
        return [replace(_failed(name, error), facts={"reachable": False})]
    quota = known.quotas.get(relay.name) or Quota(relay.name, relay.policy.limits)
    left, report = quota.left(now), known.reports.get(relay.name)
    says = f"{where} answers in {probe.took_s * 1000:.0f} ms, {_security(probe)}, {_offers(probe)}"
    says += _limits(quota, now) + _fared(report, settings.desk.zone)
    verdict, remedy = _mended(probe, report, left, now)
    facts = {
        "reachable": True,
        "tls": probe.tls_version,
        "certificate_until": probe.certificate_until,
        "logged_in": probe.logged_in,
        "offers": sorted(set(probe.extensions) & {word.lower() for word in _WANTED}),
        "connections": relay.policy.connections,
        "per_second": quota.limits.per_second,
        "per_minute": quota.limits.per_minute,
        "per_day": quota.limits.per_day,
        "used_today": quota.used(now),
        "left_today": left,
        "last_seen": report.state if report else None,
        "return_path": "signed" if relay.policy.return_path.key else "fixed",
    }
    check = Check(name, verdict, says, remedy, facts)
    tried = _return_path(name, senders, probe.refusals)
    return [check, tried] if tried else [check]


# --- signatures ------------------------------------------------------------------------------


async def _signatures(signing: Callable[[], Signing | None], ask: Ask) -> list[Check]:
    """Whether receivers find the keys that mail is signed with."""
    try:
        signs = signing()
    except DistributorError as error:
        return [_failed("signature", error)]
    if signs is None:
        says = "mail leaves unsigned, unless your mail server signs it"
        return [Check("signature", "ok", says, None, {"signed": False})]
    return list(await asyncio.gather(*(_key(key, ask) for key in signs.keys)))


async def _key(key: SigningKey, ask: Ask) -> Check:
    """Whether the DNS holds this key's other half (RFC 6376 3.6.1)."""
    name, signatory = f"signature {key.signatory.selector}", key.signatory
    facts = {"signed": True, "record": signatory.record, "algorithm": signatory.algorithm}
    publish = f'Publish in the DNS: {signatory.record}. TXT "{key.record}"'
    try:
        records = await ask(signatory.record)
    except DistributorError as error:
        return Check(name, "warning", str(error), "Try again later.", facts)
    found = [_tags(record) for record in records]
    keys = [tags for tags in found if "p" in tags]
    facts["published"] = any(tags["p"] == key.public for tags in keys)
    if not keys:
        says = f"{signatory.record} has no key: every signature fails"
        return Check(name, "error", says, publish, facts)
    if not facts["published"]:
        revoked = all(not tags["p"] for tags in keys)
        what = "revokes its key" if revoked else "has another key"
        says = f"{signatory.record} {what}: every signature fails"
        return Check(name, "error", says, publish, facts)
    says = f"{signatory.algorithm}; {signatory.record} has its key"
    if any("y" in tags.get("t", "").split(":") for tags in keys):
        says += ", but says that it is being tried out (t=y)"
        return Check(name, "warning", says, "Take t=y out of the record.", facts)
    if key.is_short:
        says += ", but it is an RSA key of less than 2048 bits"
        return Check(name, "warning", says, "Make one of 2048 bits, with a new selector.", facts)
    return Check(name, "ok", says, None, facts)


def _tags(record: str) -> dict[str, str]:
    """The tags of a key record (RFC 6376 3.2); blanks within a value do not count."""
    pairs = (part.partition("=") for part in record.split(";"))
    return {name.strip(): "".join(value.split()) for name, _, value in pairs if name.strip()}


# --- mail servers ----------------------------------------------------------------------------


def _senders(relay: Relay, sender: str) -> tuple[str, ...]:
    """The sender that mail leaves with and, when that one is signed, the plain one."""
    if not sender:
        return ()
    path = relay.policy.return_path
    return tuple(
        dict.fromkeys((path.of(secrets.token_hex(12), sender=sender), path.address or sender))
    )


def _mended(
    probe: Probe, report: Report | None, left: int | None, now: datetime
) -> tuple[Verdict, str | None]:
    until = probe.certificate_until
    if until is not None and until < now + timedelta(days=_SOON_DAYS):
        return "warning", "Have the certificate renewed."
    if left == 0:
        return (
            "warning",
            "It carries again by itself as its mails grow a day old; or raise relay.per_day.",
        )
    if report is not None and report.state == "stopped":
        return (
            "warning",
            "It is tried again at the next release, or when the worker is started again.",
        )
    return "ok", None


def _security(probe: Probe) -> str:
    login = "logged in" if probe.logged_in else "no login"
    says = f"{probe.tls_version or 'no TLS (this machine only)'}, {login}"
    until = probe.certificate_until
    return says if until is None else f"{says}, its certificate ends {until:%Y-%m-%d}"


def _offers(probe: Probe) -> str:
    offered = [word for word in _WANTED if word.lower() in probe.extensions]
    missing = [word for word in _WANTED if word not in offered]
    says = (
        f"offers {', '.join(offered)}" if offered else "offers none of what makes sending quicker"
    )
    return f"{says}; not {', '.join(missing)}" if offered and missing else says


def _limits(quota: Quota, now: datetime) -> str:
    if not str(quota.limits):
        return ""
    left = quota.left(now)
    used = f" ({quota.used(now):,} used, {left:,} left)" if left is not None else ""
    return f"; at most {quota.limits}{used}"


def _fared(report: Report | None, zone: str) -> str:
    if report is None:
        return ""
    why = f": {report.says}" if report.says else ""
    return f"; a worker found it {report.state} at {describe(report.at, zone)}{why}"


def _return_path(
    server: str, senders: tuple[str, ...], refusals: tuple[str | None, ...]
) -> Check | None:
    """Whether the sender that mail will leave with is taken, and which to choose."""
    tried = dict(zip(senders, refusals, strict=False))
    if not tried:
        return None
    (sender, refused), *plain = tried.items()
    name = server.replace("mail server", "return path")
    kind = "signed" if plain else "fixed"
    facts = {"kind": kind, "tried": sender, "taken": refused is None}
    if refused is None:
        says = f"{kind}: {sender} is taken"
        if plain:
            says += f"; that such mail comes back to {plain[0][0]} a mail from outside can show"
        return Check(name, "ok", says, None, facts)
    says = f"{kind}: {sender} is refused: {refused}"
    if refused.startswith("4"):
        return Check(name, "warning", says, "That may be for now only: try again later.", facts)
    if plain and plain[0][1] is None:
        remedy = f'It takes {plain[0][0]}: set relay.verp = "fixed", or have it take what is '
        remedy += "written behind a + as well."
        return Check(name, "error", says, remedy, facts)
    remedy = "Set sender.address or relay.return_path to an address this login may send as."
    return Check(name, "error", says, remedy, facts)
