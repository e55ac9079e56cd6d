"""Claiming: who gets a batch, for how long, and what may be claimed at all."""

from __future__ import annotations

import multiprocessing
import threading
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select, text, update

from distributor.core.model import Embargo, WaveKind
from distributor.core.states import BatchState, DeliveryState, HoldReason, WaveState
from distributor.errors import IllegalMove
from distributor.stages import preparing
from distributor.store import batches, deliveries, waves, workers
from distributor.store.database import Database, database_now, open_database
from distributor.store.schema import batches as rows
from distributor.store.schema import deliveries as delivery_rows
from distributor.store.schema import versions
from distributor.store.schema import waves as wave_rows
from distributor.store.waves import Order
from tests.builders import (
    HOUR,
    MINUTE,
    MORNING,
    NOON,
    ORDER,
    POLICY,
    WORKER,
    a_list,
    a_planned_wave,
    a_preparing_wave,
    a_ready_wave,
    a_release,
    a_sending_wave,
    a_wave,
    a_worker,
    assert_accounted_for,
    claimed,
    counts,
    marked,
    moved,
    wave_of,
)

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from distributor.core.model import Wave

SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def _registered(database: Database) -> None:
    for name in (WORKER, "w2"):
        database.write(lambda tx, n=name: a_worker(tx, n)).result()


def seen(database: Database, now: datetime = NOON) -> bool:
    """Whether anything may be claimed (a claim locks, so PostgreSQL asks in a writing one)."""
    return database.write(lambda tx: batches.claimable(tx, now)).result() is not None


def taken(database: Database, batch_id: int, owner: str, token: int) -> bool:
    until = NOON + MINUTE
    return database.write(
        lambda tx: batches.take(tx, batch_id, owner=owner, token=token, until=until, now=NOON),
    ).result()


def state_of(database: Database, batch_id: int) -> BatchState:
    with database.read() as tx:
        return tx.execute(select(rows.c.state).where(rows.c.id == batch_id)).scalar_one()


# --- who ---------------------------------------------------------------------------------------


def test_claim_loses_when_another_worker_was_first(database: Database) -> None:
    a_ready_wave(database, 2)
    batch = database.write(lambda tx: batches.claimable(tx, NOON)).result()
    assert batch is not None
    assert taken(database, batch.batch_id, WORKER, 1)
    assert not taken(database, batch.batch_id, "w2", 2)
    with database.read() as tx:
        assert batches.claims_of(tx, WORKER) == [(batch.batch_id, 1)]
        assert batches.claims_of(tx, "w2") == []
    assert not seen(database)


def test_batches_are_claimed_in_the_order_of_send_time_and_making(database: Database) -> None:
    later = a_ready_wave(database, 4, send_at=NOON + MINUTE)
    sooner = a_ready_wave(database, 4)
    now = NOON + MINUTE
    claims = [claimed(database, token=n, now=now) for n in range(1, 6)]
    assert claims[-1] is None
    assert [claim.wave.id for claim in claims[:4] if claim] == [sooner.id] * 2 + [later.id] * 2
    assert len({claim.batch_id for claim in claims if claim}) == 4


def _claim_all(url: str, owner: str, start: Any, out: Any) -> None:
    database = open_database(url)
    got: list[int] = []
    start.wait()
    misses = 0
    while misses < 20:
        claim = claimed(database, owner=owner, token=len(got) + 1)
        if claim is None:
            misses += 1
            continue
        got.append(claim.batch_id)
    database.close()
    out.put((owner, got))


def test_i4_two_processes_that_claim_at_once_get_disjoint_batches(
    database: Database, migrated_url: str
) -> None:
    wave = a_sending_wave(database, 60)
    spawn = multiprocessing.get_context("spawn")
    start, out = spawn.Barrier(2), spawn.Queue()
    others = [
        spawn.Process(target=_claim_all, args=(migrated_url, name, start, out))
        for name in (WORKER, "w2")
    ]
    for other in others:
        other.start()
    got = dict(out.get(timeout=60) for _ in others)
    for other in others:
        other.join(60)
    both = got[WORKER] + got["w2"]
    assert len(both) == len(set(both)) == 30
    with database.read() as tx:
        stored = tx.execute(select(rows.c.id, rows.c.owner)).all()
    assert {row.id: row.owner for row in stored} == {
        **dict.fromkeys(got[WORKER], WORKER),
        **dict.fromkeys(got["w2"], "w2"),
    }
    assert_accounted_for(database, wave)


# --- when --------------------------------------------------------------------------------------


def test_i1_nothing_is_claimed_before_its_send_time(database: Database) -> None:
    a_ready_wave(database, 1)
    assert not seen(database, NOON - timedelta(microseconds=1))
    assert seen(database, NOON)


def test_i1_a_batch_that_is_due_waits_for_its_waves_send_time(database: Database) -> None:
    a_ready_wave(database, 1, send_at=NOON + HOUR)
    database.write(lambda tx: tx.execute(update(rows).values(due_at=MORNING))).result()
    assert not seen(database, NOON + HOUR - SECOND)
    assert seen(database, NOON + HOUR)


def test_i1_nothing_is_claimed_before_the_embargo_whatever_the_send_time(
    database: Database,
) -> None:
    wave = a_ready_wave(database, 1, send_at=NOON - HOUR)
    assert not seen(database, NOON - SECOND)
    assert seen(database, NOON)
    assert wave.embargo_at == NOON


def test_i1_a_release_without_embargo_waits_for_its_send_time(database: Database) -> None:
    def plan(tx: Connection) -> Wave:
        version = a_release(tx, embargo=Embargo())
        return a_wave(tx, version, a_list(tx, "L", ["a@x.example"]))

    wave = database.write(plan).result()
    assert wave.embargo_at is None
    wave = moved(database, wave, WaveState.PREPARING)
    preparing.prepare(database, POLICY, wave, worker=WORKER, now=MORNING)
    assert not seen(database, NOON - SECOND)
    assert seen(database, NOON)


def test_only_an_advance_wave_leaves_before_the_embargo(database: Database) -> None:
    wave = a_ready_wave(database, 1, send_at=NOON - HOUR)
    assert not seen(database, NOON - HOUR)
    database.write(
        lambda tx: tx.execute(
            update(wave_rows).where(wave_rows.c.id == wave.id).values(kind=WaveKind.ADVANCE),
        ),
    ).result()
    assert seen(database, NOON - HOUR)
    assert not seen(database, NOON - HOUR - SECOND)
    with database.read() as tx:
        assert tx.execute(select(versions.c.embargo_at)).scalar_one() == NOON


@pytest.mark.parametrize("kind", WaveKind)
def test_i1_before_the_lift_only_what_is_about_advance_copies_is_claimed(
    database: Database, kind: WaveKind
) -> None:
    wave = a_ready_wave(database, 1, send_at=NOON - HOUR)
    early = update(wave_rows).where(wave_rows.c.id == wave.id).values(kind=kind)
    database.write(lambda tx: tx.execute(early)).result()
    assert bool(seen(database, NOON - HOUR)) == (kind is WaveKind.ADVANCE)
    database.write(lambda tx: tx.execute(early.values(before_lift=True))).result()
    allowed = {WaveKind.ADVANCE, WaveKind.CORRECTION, WaveKind.WITHDRAWAL}
    assert bool(seen(database, NOON - HOUR)) == (kind in allowed)
    assert not seen(database, NOON - HOUR - SECOND)


@pytest.mark.parametrize("state", ["planned", "preparing", "held", "stopping", "finished"])
def test_i7_nothing_of_a_wave_that_does_not_send_is_claimed(database: Database, state: str) -> None:
    if state == "planned":
        a_planned_wave(database)
    elif state == "preparing":
        a_preparing_wave(database)
    else:
        wave = a_sending_wave(database, 2)
        assert seen(database)
        if state == "held":
            order = Order("ann", NOON)
            database.write(lambda tx: waves.hold(tx, wave, HoldReason.PERSON, order)).result()
        elif state == "stopping":
            moved(database, wave, WaveState.STOPPING)
        else:
            moved(database, wave, WaveState.FINISHED, finished_at=NOON)
    assert not seen(database)


def test_waves_the_caller_found_shut_are_passed_over(database: Database) -> None:
    first, second = a_ready_wave(database, 1), a_ready_wave(database, 1)
    got = database.write(lambda tx: batches.claimable(tx, NOON, skip=[first.id])).result()
    assert got is not None
    assert got.wave.id == second.id


def test_what_is_due_later_is_not_claimed_yet(database: Database) -> None:
    wave = a_sending_wave(database, 1)
    database.write(
        lambda tx: tx.execute(update(rows).values(due_at=NOON + MINUTE)),
    ).result()
    assert not seen(database, NOON)
    with database.read() as tx:
        assert waves.next_send_at(tx, NOON - HOUR) is None
    assert seen(database, NOON + MINUTE)
    assert wave.state is WaveState.SENDING


# --- leases and tokens -------------------------------------------------------------------------


def test_a_lease_is_renewed_for_the_claims_that_are_still_ours(database: Database) -> None:
    a_sending_wave(database, 6)
    one, two = claimed(database, token=1), claimed(database, token=2)
    other = claimed(database, owner="w2", token=3)
    assert one
    assert two
    assert other
    database.write(lambda tx: batches.release_claims(tx, [two.batch_id], ORDER)).result()
    ours = database.write(
        lambda tx: batches.renew(tx, owner=WORKER, now=NOON + HOUR, lease_s=60),
    ).result()
    assert ours == {1}
    with database.read() as tx:
        until = dict(tx.execute(select(rows.c.token, rows.c.lease_until)).all())
        start = database_now(tx, NOON + HOUR)
    assert timedelta(seconds=30) < until[1] - start <= MINUTE


def test_owners_of_lapsed_leases_are_found(database: Database) -> None:
    a_sending_wave(database, 4)
    assert claimed(database, lease_s=-1)
    assert claimed(database, owner="w2", token=8, lease_s=3600)
    with database.read() as tx:
        assert batches.owners_with_lapsed_lease(tx, NOON) == [WORKER]


def test_a_claim_is_held_fast_only_with_its_token(database: Database) -> None:
    a_sending_wave(database, 2)
    claim = claimed(database)
    assert claim
    stale = replace(claim, token=claim.token + 1)
    assert database.write(lambda tx: batches.hold_fast(tx, claim)).result()
    assert not database.write(lambda tx: batches.hold_fast(tx, stale)).result()
    database.write(lambda tx: batches.release_claims(tx, [claim.batch_id], ORDER)).result()
    assert not database.write(lambda tx: batches.hold_fast(tx, claim)).result()


def test_a_claim_given_back_is_done_or_ready(database: Database) -> None:
    wave = a_sending_wave(database, 2)
    claim = claimed(database)
    assert claim
    assert (
        database.write(lambda tx: batches.give_back(tx, claim, ORDER)).result() is BatchState.READY
    )
    assert state_of(database, claim.batch_id) is BatchState.READY
    # Given back twice, or by one who lost it: nothing happens.
    assert database.write(lambda tx: batches.give_back(tx, claim, ORDER)).result() is None
    later = claimed(database, token=8)
    assert later
    cancelled = update(delivery_rows).values(state=DeliveryState.CANCELLED)
    database.write(lambda tx: tx.execute(cancelled)).result()
    assert (
        database.write(lambda tx: batches.give_back(tx, later, ORDER)).result() is BatchState.DONE
    )
    assert counts(database, wave) == {"cancelled": 2}


def test_claims_taken_away_are_ready_or_done(database: Database) -> None:
    a_sending_wave(database, 4)
    one, two = claimed(database, token=1), claimed(database, token=2)
    assert one
    assert two
    database.write(
        lambda tx: tx.execute(
            update(delivery_rows)
            .where(delivery_rows.c.batch_id == two.batch_id)
            .values(state=DeliveryState.CANCELLED),
        ),
    ).result()
    ids = [one.batch_id, two.batch_id]
    assert database.write(lambda tx: batches.release_claims(tx, ids, ORDER)).result() == 2
    assert state_of(database, one.batch_id) is BatchState.READY
    assert state_of(database, two.batch_id) is BatchState.DONE


# --- marking for the wire ----------------------------------------------------------------------


def test_rows_are_marked_in_groups_with_token_and_date(database: Database) -> None:
    wave = a_sending_wave(database, 2)
    claim = claimed(database)
    assert claim
    (first,) = marked(database, claim, limit=1)
    assert first.dated_at == NOON
    assert counts(database, wave) == {"sending": 1, "queued": 1}
    (second,) = marked(database, claim)
    assert first.id != second.id
    assert marked(database, claim) == []
    with database.read() as tx:
        tokens = set(tx.execute(select(delivery_rows.c.token)).scalars())
    assert tokens == {claim.token}


def test_i5_the_date_of_the_first_marking_is_kept(database: Database) -> None:
    a_sending_wave(database, 1)
    claim = claimed(database)
    assert claim
    (delivery,) = marked(database, claim)
    database.write(
        lambda tx: deliveries.unmark(tx, claim, [delivery.id], DeliveryState.QUEUED, NOON),
    ).result()
    (again,), more = database.write(
        lambda tx: deliveries.mark_sending(tx, claim, limit=50, now=NOON + HOUR),
    ).result()
    assert not more
    assert again.dated_at == NOON
    assert again.reference == delivery.reference


def test_unmarking_needs_the_token_and_a_legal_move(database: Database) -> None:
    wave = a_sending_wave(database, 1)
    claim = claimed(database)
    assert claim
    (delivery,) = marked(database, claim)
    stale = replace(claim, token=99)
    database.write(
        lambda tx: deliveries.unmark(tx, stale, [delivery.id], DeliveryState.QUEUED, NOON),
    ).result()
    assert counts(database, wave) == {"sending": 1}
    with pytest.raises(IllegalMove):
        database.write(
            lambda tx: deliveries.unmark(tx, claim, [delivery.id], DeliveryState.BOUNCED, NOON),
        ).result()


def _somebody_waits(database: Database) -> bool:
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    for _ in range(200):
        with database.read() as tx:
            if tx.execute(waiting).scalar_one():
                return True
        time.sleep(0.02)
    return False


@pytest.mark.postgresql
def test_a_claim_being_made_makes_a_cancellation_wait(request: pytest.FixtureRequest) -> None:
    """Two transactions at once: only PostgreSQL lets writers overlap."""
    server = request.getfixturevalue("postgresql_server")
    name = server.create(template=request.getfixturevalue("_migrated_postgresql"))
    request.addfinalizer(lambda: server.drop(name))
    one, other = open_database(server.url(name)), open_database(server.url(name))
    wave = a_sending_wave(one, 2)
    one.write(a_worker).result()
    wave = moved(one, wave, WaveState.STOPPING)
    took, go_on = threading.Event(), threading.Event()

    def claim(tx: Connection) -> None:
        # The wave was still sending when this worker looked.
        batch = tx.execute(select(rows.c.id)).scalars().first()
        assert batches.take(tx, batch or 0, owner=WORKER, token=7, until=NOON, now=NOON)
        took.set()
        go_on.wait(20)

    claiming = one.write(claim)
    took.wait(20)
    stopping = other.write(lambda tx: waves.complete_stop(tx, wave, Order("ann", NOON)))
    assert _somebody_waits(one)
    go_on.set()
    claiming.result()
    assert stopping.result() is False
    assert wave_of(one, wave).state is WaveState.STOPPING
    assert counts(one, wave) == {"queued": 2}
    one.close()
    other.close()


def test_workers_are_known_until_they_end(database: Database) -> None:
    with database.read() as tx:
        assert [one.id for one in workers.living(tx)] == [WORKER, "w2"]
        assert workers.count_alive(tx, MORNING) == 2
    database.write(lambda tx: workers.seen(tx, WORKER, NOON)).result()
    database.write(lambda tx: workers.end(tx, "w2", NOON)).result()
    with database.read() as tx:
        assert [one.id for one in workers.living(tx)] == [WORKER]
        assert workers.living(tx, but=[WORKER]) == []
        assert workers.count_alive(tx, NOON) == 1
        assert [one.id for one in workers.named(tx, ["w2"])] == ["w2"]
