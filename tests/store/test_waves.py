"""Waves: moves with their audit rows, holds, ends, and the sum that always holds (I3, I12)."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from distributor.core.model import Outcome
from distributor.core.states import DeliveryState, HoldReason, WaveState
from distributor.errors import IllegalMove
from distributor.mail.flightlog import FlightLog
from distributor.stages import keeping
from distributor.stages.keeping import Place
from distributor.store import audit, batches, deliveries, recovery, settling, waves
from distributor.store.database import Database, open_database, upgrade
from distributor.store.schema import batches as batch_rows
from distributor.store.schema import deliveries as rows
from distributor.store.waves import Order
from tests.builders import (
    DAY,
    MINUTE,
    NOON,
    ORDER,
    POLICY,
    a_planned_wave,
    a_preparing_wave,
    a_ready_wave,
    a_result,
    a_sending_wave,
    a_worker,
    assert_accounted_for,
    claimed,
    counts,
    marked,
    moved,
    recorded,
    wave_of,
)

if TYPE_CHECKING:
    from distributor.core.model import Claim, Wave

BY = Order("ann", NOON)


def audited(database: Database) -> list[tuple[str, Any, Any]]:
    with database.read() as tx:
        entries = audit.entries(tx)[::-1]
    return [(e.action, e.facts.get("from"), e.facts.get("to")) for e in entries]


def test_i12_every_move_writes_its_audit_row(database: Database) -> None:
    wave = a_sending_wave(database, 1)
    database.write(lambda tx: waves.hold(tx, wave, HoldReason.PERSON, BY)).result()
    held = wave_of(database, wave)
    database.write(lambda tx: waves.resume(tx, held, BY)).result()
    assert audited(database) == [
        ("planned", None, None),
        ("preparing", "planned", "preparing"),
        ("sealed", "preparing", "ready"),
        ("sending", "ready", "sending"),
        ("held", "sending", "held"),
        ("resumed", "held", "sending"),
    ]
    with database.read() as tx:
        held_row = audit.entries(tx)[1]
        assert held_row.facts["reason"] == "person"
        assert (held_row.actor, held_row.at) == ("ann", NOON)
        assert len(audit.entries(tx, subject=f"release {wave.ref}")) == 6
        assert audit.entries(tx, subject="release R-999") == []


def test_i12_a_move_and_its_audit_row_are_rolled_back_together(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    wave = a_ready_wave(database, 1)
    before = audited(database)

    def full(*_: Any) -> None:
        msg = "no room"
        raise OSError(msg)

    with monkeypatch.context() as patch:
        patch.setattr(audit, "record", full)
        with pytest.raises(OSError, match="no room"):
            database.write(lambda tx: waves.hold(tx, wave, HoldReason.PERSON, BY)).result()
    assert wave_of(database, wave) == wave
    assert audited(database) == before


def test_i12_an_unlisted_move_is_refused_and_leaves_no_trace(database: Database) -> None:
    wave = a_planned_wave(database)
    before = audited(database)
    for to in (WaveState.READY, WaveState.SENDING, WaveState.FINISHED, WaveState.CANCELLED):
        with pytest.raises(IllegalMove):
            moved(database, wave, to)
    assert wave_of(database, wave) == wave
    assert audited(database) == before


def test_a_move_loses_when_somebody_moved_the_wave_meanwhile(database: Database) -> None:
    wave = a_planned_wave(database)
    moved(database, wave, WaveState.PREPARING)
    with pytest.raises(IllegalMove) as refusal:
        moved(database, wave, WaveState.STOPPING)
    assert (refusal.value.before, refusal.value.after) == ("preparing", "stopping")


@pytest.mark.parametrize("make", [a_planned_wave, a_preparing_wave, a_ready_wave, a_sending_wave])
def test_a_held_wave_goes_on_where_it_stopped(database: Database, make: Any) -> None:
    wave = make(database)
    database.write(lambda tx: waves.hold(tx, wave, HoldReason.LATE, BY)).result()
    held = wave_of(database, wave)
    assert (held.state, held.resume_to, held.held_at) == (WaveState.HELD, wave.state, NOON)
    database.write(lambda tx: waves.resume(tx, held, BY, waive="late")).result()
    again = wave_of(database, wave)
    assert (again.state, again.reason, again.resume_to) == (wave.state, None, None)
    assert again.waived == {"late"}
    with pytest.raises(IllegalMove):
        database.write(lambda tx: waves.resume(tx, again, BY)).result()


@pytest.mark.parametrize("make", [a_planned_wave, a_preparing_wave, a_ready_wave])
def test_a_wave_that_has_not_begun_can_be_discarded_and_planned_again(
    database: Database, make: Any
) -> None:
    wave = make(database)
    database.write(lambda tx: waves.discard(tx, wave, BY)).result()
    gone = wave_of(database, wave)
    assert (gone.state, gone.sealed_at, gone.recipients) == (WaveState.CANCELLED, None, None)
    with database.read() as tx:
        assert tx.execute(select(rows)).all() == []
        assert tx.execute(select(batch_rows)).all() == []
        assert not waves.has_general(tx, wave.version_id)
        assert waves.pending_of(tx, wave.release_id) is None


def test_a_held_wave_can_be_cancelled(database: Database) -> None:
    wave = a_ready_wave(database, 2)
    database.write(lambda tx: waves.hold(tx, wave, HoldReason.PERSON, BY)).result()
    stopping = moved(database, wave_of(database, wave), WaveState.STOPPING)
    assert database.write(lambda tx: waves.complete_stop(tx, stopping, BY)).result()
    assert counts(database, wave) == {"cancelled": 2}
    assert_accounted_for(database, wave)


@pytest.mark.parametrize("end", [WaveState.CANCELLED, WaveState.STOPPING, WaveState.READY])
def test_nothing_is_queued_again_in_a_wave_that_does_not_send(
    database: Database, end: WaveState
) -> None:
    wave = a_ready_wave(database, 1)
    if end is not WaveState.READY:
        wave = moved(database, wave, WaveState.STOPPING)
    if end is WaveState.CANCELLED:
        database.write(lambda tx: waves.complete_stop(tx, wave, BY)).result()
    with pytest.raises(IllegalMove):
        database.write(lambda tx: recovery.requeue(tx, wave.id, [1], now=NOON)).result()


def test_what_is_in_a_workers_hands_is_never_queued_by_others(database: Database) -> None:
    database.write(a_worker).result()
    wave = a_sending_wave(database, 1)
    claim = claimed(database)
    assert claim
    (delivery,) = marked(database, claim)
    database.write(lambda tx: recovery.requeue(tx, wave.id, [delivery.id], now=NOON)).result()
    assert counts(database, wave) == {"sending": 1}


def test_many_rows_are_queued_again_in_batches_of_the_right_size(database: Database) -> None:
    wave = a_sending_wave(database, 450)
    with database.read() as tx:
        ids = list(tx.execute(select(rows.c.id)).scalars())
    change = rows.update().values(state="uncertain")
    database.write(lambda tx: tx.execute(change)).result()
    database.write(lambda tx: recovery.requeue(tx, wave.id, ids, now=NOON)).result()
    with database.read() as tx:
        per_batch = [row.batch_id for row in tx.execute(select(rows.c.batch_id))]
    assert max(per_batch.count(batch) for batch in set(per_batch)) <= recovery.BATCH_LIMIT
    assert counts(database, wave) == {"queued": 450}


def test_the_first_mail_is_noted_once(database: Database) -> None:
    wave = a_sending_wave(database, 1)
    for at in (NOON, NOON + MINUTE):
        database.write(lambda tx, a=at: waves.note_first_mail(tx, wave.id, a)).result()
    assert wave_of(database, wave).first_mail_at == NOON


# --- I3, whatever happens --------------------------------------------------------------------


class Accounting(RuleBasedStateMachine):
    """Orders, results, crashes and ticks in any order: after each, every recipient is counted."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="accounting-"))
        path = self.folder / "distributor.db"
        shutil.copyfile(self.template, path)
        self.database = open_database(f"sqlite:///{path}")
        self.now = NOON
        self.token = 0
        self.starts = 0
        self.flight: FlightLog | None = None
        self.claims: list[Claim] = []
        self.sending: list[tuple[int, int]] = []
        self.lost: list[tuple[int, int]] = []

    @initialize(size=st.integers(1, 5))
    def sealed(self, size: int) -> None:
        self.wave_id = a_ready_wave(self.database, size).id
        self.start()

    def start(self) -> None:
        self.starts += 1
        self.worker = f"w{self.starts}"
        self.flight = FlightLog.open(self.folder, worker=self.worker, host="here", boot_id="boot")
        path = str(self.flight.path)
        self.database.write(
            lambda tx: a_worker(tx, self.worker, flight_log=path, seen_at=self.now),
        ).result()

    def wave(self) -> Wave:
        with self.database.read() as tx:
            return waves.get(tx, self.wave_id)

    def attempt(self, work: Any) -> None:
        """Carry out an order; the program may refuse it."""
        with contextlib.suppress(IllegalMove):
            self.database.write(work).result()

    @rule()
    def claim(self) -> None:
        self.token += 1
        claim = claimed(self.database, owner=self.worker, token=self.token, now=self.now)
        if claim:
            self.claims.append(claim)

    @rule(limit=st.integers(1, 3))
    def mark(self, limit: int) -> None:
        for claim in self.claims:
            if not self.database.write(lambda tx, c=claim: batches.hold_fast(tx, c)).result():
                continue
            for item in marked(self.database, claim, limit=limit):
                self.sending.append((item.id, claim.token))
                assert self.flight
                self.flight.started(item.id, token=claim.token)

    @rule(outcome=st.sampled_from(Outcome), late=st.booleans())
    def result(self, outcome: Outcome, late: bool) -> None:  # noqa: FBT001 - drawn
        which = self.lost if late else self.sending
        if which:
            delivery, token = which.pop(0)
            due = self.now + 5 * MINUTE if outcome is Outcome.DEFERRED else None
            recorded(self.database, a_result(delivery, token, outcome, due_at=due))
            self.lost.append((delivery, token))

    @rule(to=st.sampled_from([DeliveryState.QUEUED, DeliveryState.EXPIRED]))
    def unmark(self, to: DeliveryState) -> None:
        if self.sending:
            delivery, token = self.sending.pop()
            claim = next(claim for claim in self.claims if claim.token == token)
            self.database.write(
                lambda tx: deliveries.unmark(tx, claim, [delivery], to, self.now),
            ).result()

    @rule()
    def give_back(self) -> None:
        for claim in [c for c in self.claims if all(t != c.token for _, t in self.sending)]:
            self.database.write(lambda tx, c=claim: batches.give_back(tx, c, ORDER)).result()
            self.claims.remove(claim)

    @rule(reason=st.sampled_from(HoldReason))
    def hold(self, reason: HoldReason) -> None:
        wave = self.wave()
        self.attempt(lambda tx: waves.hold(tx, wave, reason, BY))

    @rule()
    def resume(self) -> None:
        wave = self.wave()
        self.attempt(lambda tx: waves.resume(tx, wave, BY))

    @rule(really=st.integers(0, 5))
    def cancel(self, really: int) -> None:
        wave = self.wave()
        if not really:
            self.attempt(lambda tx: waves.move(tx, wave, WaveState.STOPPING, BY))

    @rule(decision=st.sampled_from(["accepted", "abandoned", "queued"]))
    def settle(self, decision: str) -> None:
        wave = self.wave()
        with self.database.read() as tx:
            ids = settling.uncertain(tx, wave.release_id, None).get(wave.id, [])
        if not ids:
            return
        if decision != "queued":
            to = DeliveryState(decision)
            self.attempt(lambda tx: settling.decide(tx, ids, to, words="ann", now=self.now))
            return

        def resend(tx: Any) -> None:
            if wave.state is WaveState.FINISHED:
                waves.move(tx, wave, WaveState.SENDING, BY)
            recovery.requeue(tx, wave.id, ids, now=self.now)

        self.attempt(resend)

    @rule()
    def crash(self) -> None:
        """Death and recovery by the next start."""
        assert self.flight
        self.flight.close()
        self.lost += self.sending
        self.sending, self.claims = [], []
        self.start()
        self.tick(timedelta(0))

    @rule(passed=st.sampled_from([timedelta(0), timedelta(seconds=61), 10 * MINUTE, DAY]))
    def tick(self, passed: timedelta) -> None:
        self.now += passed
        keeping.tick(self.database, POLICY, Place(self.worker, "here", "boot"), now=self.now)

    @invariant()
    def every_recipient_is_accounted_for(self) -> None:
        wave = self.wave()
        assert_accounted_for(self.database, wave)
        states = counts(self.database, wave)
        if wave.state in {WaveState.FINISHED, WaveState.CANCELLED}:
            assert not {"queued", "sending", "deferred"} & set(states)

    @invariant()
    def what_is_sending_is_in_somebodys_hands(self) -> None:
        query = (
            select(rows.c.id, rows.c.token, batch_rows.c.token.label("claim"))
            .join(batch_rows, batch_rows.c.id == rows.c.batch_id)
            .where(rows.c.state == DeliveryState.SENDING)
        )
        with self.database.read() as tx:
            for row in tx.execute(query):
                assert row.token == row.claim

    def teardown(self) -> None:
        if self.flight:
            self.flight.close()
        self.database.close()
        shutil.rmtree(self.folder)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("accounting") / "template.db"
    upgrade(f"sqlite:///{path}")
    return path


def test_i3_every_recipient_is_accounted_for_at_every_step(template: Path) -> None:
    Accounting.template = template
    run_state_machine_as_test(
        Accounting,
        settings=settings(
            max_examples=25,
            stateful_step_count=25,
            suppress_health_check=[HealthCheck.too_slow],
            deadline=None,
        ),
    )
