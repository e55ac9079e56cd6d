"""Things of the trade as tests need them: a value each, changed where the case says so."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from distributor.core.address import Address, key_of
from distributor.core.audience import AudienceHash
from distributor.core.contact import NewContact
from distributor.core.model import (
    AudienceRule,
    Claim,
    Draft,
    Embargo,
    EmbargoState,
    Outcome,
    Sender,
    Sequel,
    Version,
    WallTime,
    Wave,
    WaveKind,
)
from distributor.core.policy import SendingPolicy
from distributor.core.states import DeliveryState, VersionState, WaveState
from distributor.reconcile import Reconcile
from distributor.stages import preparing
from distributor.store import (
    batches,
    contacts,
    deliveries,
    lists,
    releases,
    results,
    waves,
    workers,
)
from distributor.store.results import Result
from distributor.store.schema import deliveries as delivery_rows
from distributor.store.schema import exclusions as exclusion_rows
from distributor.store.waves import Order

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    from distributor.core.model import Delivery
    from distributor.store.database import Database

#: The lift of every embargo here, unless a case says otherwise.
NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
#: Who moves what a test does not order itself.
ORDER = Order("worker test", NOON)
#: When the desk prepares for it.
MORNING = NOON - timedelta(hours=4)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

LONDON_NOON = WallTime(datetime(2026, 12, 1, 12), "Europe/London")  # noqa: DTZ001 - a wall time
EMBARGOED = Embargo(EmbargoState.EMBARGOED, NOON, LONDON_NOON, "EMBARGOED UNTIL NOON")

DESK = Sender(name="Press Desk", address="press@desk.example")
POLICY = SendingPolicy(batch_size=2)
WORKER = "w1"


def a_draft(**changes: Any) -> Draft:
    """A press text under embargo until NOON."""
    draft = Draft(headline="A new bridge", body="It opens on Tuesday.", embargo=EMBARGOED)
    return replace(draft, **changes)


def a_version(**changes: Any) -> Version:
    """A draft version, not stored."""
    version = Version(
        id=0,
        release_id=0,
        number=0,
        state=VersionState.DRAFT,
        draft=a_draft(),
        source="A new bridge\n\nIt opens on Tuesday.\n",
        sender=DESK,
        created_at=MORNING,
    )
    return replace(version, **changes)


def a_release(tx: Connection, **changes: Any) -> Version:
    """A stored release with one approved version; changes are the draft's."""
    release = releases.create_release(tx, MORNING)
    draft = a_version(release_id=release, draft=a_draft(**changes))
    return approved(tx, releases.add_draft(tx, draft, by="ann"))


def approved(tx: Connection, version: Version) -> Version:
    """Approve a stored draft; its compiled message is a stand-in."""
    content = '{"stand": "in"}'
    digest = hashlib.sha256(content.encode()).hexdigest()
    compiled = releases.Compiled("release", "en", content, digest)
    releases.approve(tx, version, (compiled,), seal="5ea1", by="ann", now=MORNING)
    return releases.version_of(tx, version.id)


def a_sequel(
    tx: Connection, wave: Wave, kind: WaveKind = WaveKind.CORRECTION, *, ready: bool = True
) -> Version:
    """A sequel of the wave's version, a draft unless ``ready``."""
    base = releases.version_of(tx, wave.version_id)
    sequel = Sequel(kind, "A figure was wrong.", base.id, date(2026, 12, 1))
    draft = releases.add_draft(tx, replace(base, sequel=sequel), by="ann")
    return approved(tx, draft) if ready else draft


def a_contact(address: str, **said: Any) -> NewContact:
    """Somebody to write to."""
    return NewContact(Address(address, address, key_of(address)), **said)


def addresses(count: int, *, domain: str = "paper.example") -> list[str]:
    """So many addresses: n1@…, n2@…."""
    return [f"n{number}@{domain}" for number in range(1, count + 1)]


def a_list(tx: Connection, name: str, people: Iterable[str | NewContact]) -> int:
    """A stored list with these contacts, made where they are new; gives its key."""
    known = [a_contact(one) if isinstance(one, str) else one for one in people]
    made = lists.create(tx, name, now=MORNING)
    contacts.one_writer(tx)
    ids = contacts.carry_out(tx, contacts.plan(tx, known), source="a test", now=MORNING)
    lists.add_members(tx, made.id, ids, now=MORNING)
    return made.id


def a_wave(tx: Connection, version: Version, *list_ids: int, **changes: Any) -> Wave:
    """A stored, planned general wave to these lists at the lift."""
    wave = Wave(
        id=0,
        release_id=version.release_id,
        version_id=version.id,
        kind=WaveKind.GENERAL,
        state=WaveState.PLANNED,
        send_at=NOON,
        audience=AudienceRule(list_ids),
    )
    return waves.get(tx, waves.plan(tx, replace(wave, **changes), Order("ann", MORNING)))


def a_worker(tx: Connection, name: str = WORKER, **changes: Any) -> workers.Worker:
    """A registered worker of this host and boot."""
    worker = workers.Worker(
        id=name,
        host="here",
        boot="boot",
        pid=1,
        flight_log=f"/nowhere/{name}.flight",
        started_at=MORNING,
        seen_at=MORNING,
    )
    worker = replace(worker, **changes)
    workers.add(tx, worker)
    return worker


def a_planned_wave(database: Database, recipients: int = 3, **changes: Any) -> Wave:
    """A planned wave of a release of its own to so many contacts."""

    def work(tx: Connection) -> Wave:
        version = a_release(tx)
        name = f"list {version.release_id}"
        domain = f"paper{version.release_id}.example"
        members = a_list(tx, name, addresses(recipients, domain=domain))
        return a_wave(tx, version, members, **changes)

    return database.write(work).result()


def a_preparing_wave(database: Database, recipients: int = 3, **changes: Any) -> Wave:
    """A wave whose audience is about to be made."""
    wave = a_planned_wave(database, recipients, **changes)
    return moved(database, wave, WaveState.PREPARING)


def a_ready_wave(database: Database, recipients: int = 3, **changes: Any) -> Wave:
    """A sealed wave that waits for its send time."""
    wave = a_preparing_wave(database, recipients, **changes)
    preparing.prepare(database, POLICY, wave, worker=WORKER, now=MORNING)
    return wave_of(database, wave)


def a_sending_wave(database: Database, recipients: int = 3, **changes: Any) -> Wave:
    """A sealed wave that has begun."""
    return moved(database, a_ready_wave(database, recipients, **changes), WaveState.SENDING)


def moved(database: Database, wave: Wave, to: WaveState, **values: Any) -> Wave:
    """Move a wave as the program does."""
    database.write(lambda tx: waves.move(tx, wave, to, Order("ann", MORNING), **values)).result()
    return wave_of(database, wave)


def wave_of(database: Database, wave: Wave) -> Wave:
    """The wave as it stands now."""
    with database.read() as tx:
        return waves.get(tx, wave.id)


def claimed(
    database: Database,
    *,
    owner: str = WORKER,
    token: int = 7,
    now: datetime = NOON,
    lease_s: float = 60.0,
) -> Claim | None:
    """Claim the next batch as dispatch does; its wave begins to send."""

    def work(tx: Connection) -> Claim | None:
        found = batches.claimable(tx, now)
        if found is None:
            return None
        until = batches.database_now(tx, now) + timedelta(seconds=lease_s)
        if not batches.take(tx, found.batch_id, owner=owner, token=token, until=until, now=NOON):
            return None
        if found.wave.state is WaveState.READY:
            waves.move(tx, found.wave, WaveState.SENDING, Order("distributor", now))
        return replace(found, token=token, wave=waves.get(tx, found.wave.id))

    return database.write(work).result()


def marked(database: Database, claim: Claim, *, limit: int = 50) -> list[Delivery]:
    """Mark the next rows of a claim for the wire."""
    group, _ = database.write(
        lambda tx: deliveries.mark_sending(tx, claim, limit=limit, now=NOON),
    ).result()
    return group


_STATE = {
    Outcome.ACCEPTED: DeliveryState.ACCEPTED,
    Outcome.DEFERRED: DeliveryState.DEFERRED,
    Outcome.REFUSED: DeliveryState.REFUSED,
    Outcome.UNCERTAIN: DeliveryState.UNCERTAIN,
    Outcome.NOT_SENT: DeliveryState.QUEUED,
}


def a_result(delivery_id: int, token: int, outcome: Outcome, **changes: Any) -> Result:
    """What one transaction came to; a deferral is due five minutes later."""
    result = Result(
        delivery_id=delivery_id,
        token=token,
        worker=WORKER,
        started_at=NOON,
        ended_at=NOON,
        outcome=outcome,
        state=_STATE[outcome],
        phase="dot",
        code=250,
        reply="so the server said",
        relay="main",
        due_at=NOON + 5 * MINUTE if outcome is Outcome.DEFERRED else None,
    )
    return result._replace(**changes)


def nobody_to_ask(database: Database) -> Reconcile:
    """No mail server here has a command that tells what became of a mail."""
    return Reconcile(database, (), POLICY, relays=("main",))


def recorded(database: Database, *told: Result) -> int:
    """Write results; gives how many came late."""
    return database.write(lambda tx: results.record(tx, told)).result()


def counts(database: Database, wave: Wave) -> dict[str, int]:
    """How many deliveries of the wave stand in each state, by word."""
    with database.read() as tx:
        return {str(state): count for state, count in waves.counts(tx, wave.id).items()}


def assert_accounted_for(database: Database, wave: Wave) -> None:
    """I3: what sealing stored is what is there, and nothing was added or lost since."""
    with database.read() as tx:
        now = waves.get(tx, wave.id)
        if now.sealed_at is None:
            assert now.recipients is None
            return
        keys = tx.execute(
            select(delivery_rows.c.address_key).where(delivery_rows.c.wave_id == wave.id),
        ).scalars()
        total = AudienceHash()
        for key in keys:
            total.add(key)
        excluded = tx.execute(
            select(func.count()).where(exclusion_rows.c.wave_id == wave.id),
        ).scalar_one()
        assert sum(waves.counts(tx, wave.id).values()) == now.recipients
        assert total.hexdigest() == now.audience_hash
        assert excluded == now.exclusions
