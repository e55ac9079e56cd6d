"""Keeping: what crashes, lapsed leases, deferrals and deadlines leave behind is put in order.

Recovery follows I5. Same host and boot, owner dead: its flight log tells of every delivery how
far it came. Anything else: whatever was marked ``sending`` is uncertain, and a person is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from distributor.core.address import Address, key_of
from distributor.core.model import Outcome
from distributor.core.outcome import DEAD_ADDRESS, Phase, TransactionFacts, judge
from distributor.core.retry import outcome_state
from distributor.core.states import DeliveryState, HoldReason, WaveState
from distributor.errors import IllegalMove
from distributor.mail import flightlog
from distributor.store import (
    audit,
    batches,
    deliveries,
    recovery,
    results,
    sequels,
    suppressions,
    waves,
    workers,
)
from distributor.store.results import Result
from distributor.store.suppressions import NewSuppression, SuppressionReason
from distributor.store.waves import DESK, Order

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Connection

    from distributor.core.model import Wave
    from distributor.core.policy import SendingPolicy
    from distributor.mail.flightlog import Flight
    from distributor.store.database import Database
    from distributor.store.recovery import Stranded
    from distributor.store.workers import Worker

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where this worker runs: who it is, on which host, since which boot."""

    worker: str
    host: str
    boot: str


def tick(
    database: Database,
    policy: SendingPolicy,
    place: Place,
    *,
    now: datetime,
    leases_count: bool = True,
) -> None:
    """Put everything in order that is due. ``now`` is the guarded clock's.

    ``leases_count`` is False for a while after the clock was set anew: a lease that only seems
    to have run out is left alone.
    """
    recover(database, policy, place, now=now, leases_count=leases_count)
    with database.read() as tx:
        retries = recovery.waves_with_due_retries(tx, now)
        running = waves.in_states(tx, (WaveState.SENDING, WaveState.STOPPING))
        doubtful = _to_resend(tx, policy, now)
    for wave_id in retries:
        _apply(
            database,
            lambda tx, w=wave_id: recovery.gather_retries(tx, w, size=policy.batch_size, now=now),
        )
    for wave, ids in doubtful:
        _apply(database, lambda tx, w=wave, i=ids: _resend(tx, w, i, now))
    for wave in running:
        _apply(database, lambda tx, w=wave: _keep(tx, policy, w, now))


def _apply(database: Database, work: Callable[[Connection], object]) -> None:
    try:
        told = database.write(work).result()
    except IllegalMove as error:
        # A person or another worker moved it meanwhile: the next tick sees the outcome.
        log.debug("Wave had moved already", action="wave_moved_already", reason=str(error))
    else:
        if isinstance(told, _Ended):
            log.info(told.words, action="wave_ended", release=told.release, **told.numbers)


@dataclass(frozen=True, slots=True)
class _Ended:
    """A wave that is over: what the log says of it."""

    words: str
    release: str
    numbers: dict[str, int]


def _keep(tx: Connection, policy: SendingPolicy, wave: Wave, now: datetime) -> _Ended | None:
    if wave.state is WaveState.STOPPING:
        return _ended(tx, wave) if waves.complete_stop(tx, wave, Order(DESK, now)) else None
    if _is_over(policy, wave, now):
        recovery.expire(tx, wave.id, now)
    if not waves.finish(tx, wave, now):
        return None
    _suppress_dead(tx, wave, now)
    return _ended(tx, wave)


def _ended(tx: Connection, wave: Wave) -> _Ended:
    words = "Release cancelled" if wave.state is WaveState.STOPPING else "Release finished"
    numbers = {state.value: number for state, number in waves.counts(tx, wave.id).items()}
    return _Ended(words, wave.ref, numbers)


def _is_over(policy: SendingPolicy, wave: Wave, now: datetime) -> bool:
    """Whether the wave's deadline has passed. One let go late has its time from its first mail."""
    if wave.first_mail_at is None and HoldReason.LATE in wave.waived:
        return False
    return now >= policy.deadline(wave.send_at, first_mail_at=wave.first_mail_at)


def _suppress_dead(tx: Connection, wave: Wave, now: datetime) -> None:
    """Suppress addresses the server called dead, unless so many are that something else is wrong.

    Over a tenth of a wave: nobody is suppressed, and the audit says so for a person to look at.
    """
    dead = deliveries.refused_as(tx, wave.id, DEAD_ADDRESS)
    if not dead:
        return
    facts = {"wave": wave.id, "addresses": len(dead)}
    subject = f"release {wave.ref}"
    if len(dead) * 10 > (wave.recipients or 0):
        audit.record(tx, audit.Entry(now, DESK, "suppressions withheld", subject, facts))
        return
    for address, reply in dead:
        order = NewSuppression(
            Address(shown=address, wire=address, key=key_of(address)),
            SuppressionReason.REFUSED,
            evidence=reply,
        )
        suppressions.add(tx, order, by=DESK, now=now)
    audit.record(tx, audit.Entry(now, DESK, "suppressed", subject, facts))


# --- uncertain mail ----------------------------------------------------------------------------


def _to_resend(
    tx: Connection,
    policy: SendingPolicy,
    now: datetime,
) -> list[tuple[Wave, list[int]]]:
    """Uncertain rows that policy sends once more, by wave (I5); none under ``hold``."""
    if policy.retry.uncertain != "resend":
        return []
    before = now - timedelta(seconds=policy.retry.resend_after_s)
    found = [
        (wave, recovery.uncertain_since(tx, wave.id, before))
        for wave in waves.in_states(tx, (WaveState.SENDING, WaveState.FINISHED))
        if not _is_over(policy, wave, now) and not sequels.is_replaced(tx, wave.id)
    ]
    return [(wave, ids) for wave, ids in found if ids]


def _resend(tx: Connection, wave: Wave, ids: list[int], now: datetime) -> None:
    if wave.state is WaveState.FINISHED:
        waves.move(tx, wave, WaveState.SENDING, Order(DESK, now), action="resending uncertain")
    recovery.requeue(tx, wave.id, ids, now=now)


# --- recovery ----------------------------------------------------------------------------------


def recover(
    database: Database,
    policy: SendingPolicy,
    place: Place,
    *,
    now: datetime,
    leases_count: bool = True,
) -> None:
    """Settle what workers that are gone, or have lost their lease, left on the way."""
    with database.read() as tx:
        others = {one.id: one for one in workers.living(tx, but=(place.worker,))}
        lapsed = set(batches.owners_with_lapsed_lease(tx, now)) if leases_count else set[str]()
        # Whoever holds a lapsed claim counts, even one that was given up before.
        others |= {one.id: one for one in workers.named(tx, lapsed - {place.worker})}
    for other in others.values():
        path = Path(other.flight_log)
        same_boot = other.host == place.host and other.boot == place.boot
        if same_boot and path.exists():
            _recover_here(database, policy, other, path, now=now, lapsed=other.id in lapsed)
        elif other.host == place.host:
            # Its boot is over, or its log is lost: it is dead, and nobody knows how far it came.
            _doubt(database, other, now, lapsed_by=None, over=True)
        elif leases_count:
            silent = other.seen_at < now - timedelta(seconds=policy.lease_s)
            if silent or other.id in lapsed:
                _doubt(database, other, now, lapsed_by=now, over=silent)


def _recover_here(
    database: Database,
    policy: SendingPolicy,
    other: Worker,
    path: Path,
    *,
    now: datetime,
    lapsed: bool,
) -> None:
    seized = flightlog.seize(path)
    if seized is None:
        if lapsed:
            # It lives but does not move: what it may still send when it wakes is not known.
            _doubt(database, other, now, lapsed_by=now, over=False)
        return
    with seized:
        settled = database.write(
            lambda tx: _settle(tx, policy, other, seized.flight, now),
        ).result()
        seized.discard()
    log.warning("Worker recovered", action="worker_recovered", worker=other.id, settled=settled)


def _settle(
    tx: Connection,
    policy: SendingPolicy,
    other: Worker,
    flight: Flight,
    now: datetime,
) -> int:
    """Settle a dead worker's rows as its flight log tells; gives how many there were."""
    held = recovery.lock_claims(tx, other.id)
    rows = recovery.stranded(tx, held)
    told = [(row, flight.facts(row.delivery_id, token=row.token)) for row in rows]
    results.record(tx, [_result(policy, other, row, facts, now) for row, facts in told])
    on_the_way = [
        row.delivery_id
        for row, facts in told
        if flight.was_started(row.delivery_id, token=row.token) and not facts.dotted
    ]
    recovery.count_crashes(tx, on_the_way, now)
    batches.release_claims(tx, held, Order(DESK, now))
    workers.end(tx, other.id, now)
    return len(rows)


def _result(
    policy: SendingPolicy,
    other: Worker,
    row: Stranded,
    facts: TransactionFacts,
    now: datetime,
) -> Result:
    outcome = judge(facts).outcome
    state, due_at = outcome_state(
        outcome,
        attempts=row.attempts + 1,
        now=now,
        deadline=policy.deadline(row.send_at, first_mail_at=row.first_mail_at),
        retry=policy.retry,
    )
    return Result(
        delivery_id=row.delivery_id,
        token=row.token,
        worker=other.id,
        started_at=row.marked_at,
        ended_at=now,
        outcome=outcome,
        state=state,
        phase=facts.phase.value,
        code=facts.code,
        enhanced=facts.enhanced,
        reply=facts.reply or "recovered after the worker died",
        due_at=due_at,
    )


def _doubt(
    database: Database,
    other: Worker,
    now: datetime,
    *,
    lapsed_by: datetime | None,
    over: bool,
) -> None:
    """Call uncertain whatever a worker's (lapsed) claims left on the way, and free the claims.

    ``over``: nothing more is to be expected from it once it holds nothing.
    """

    def work(tx: Connection) -> int:
        held = recovery.lock_claims(tx, other.id, lapsed_by=lapsed_by)
        rows = recovery.stranded(tx, held)
        results.record(tx, [_lost(other, row, now) for row in rows])
        batches.release_claims(tx, held, Order(DESK, now))
        if over and not batches.claims_of(tx, other.id):
            workers.end(tx, other.id, now)
        return len(rows)

    doubtful = database.write(work).result()
    if doubtful:
        log.warning("Worker lost", action="worker_lost", worker=other.id, uncertain=doubtful)


def _lost(other: Worker, row: Stranded, now: datetime) -> Result:
    return Result(
        delivery_id=row.delivery_id,
        token=row.token,
        worker=other.id,
        started_at=row.marked_at,
        ended_at=now,
        outcome=Outcome.UNCERTAIN,
        state=DeliveryState.UNCERTAIN,
        phase=Phase.DOT.value,
        reply="the worker was lost while this mail was on its way",
    )
