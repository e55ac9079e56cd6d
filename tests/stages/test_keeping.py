"""Keeping: crashes, lapsed leases, retries, deadlines, stops (I5, I7)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select, update

from distributor.core.model import Outcome, WaveKind
from distributor.core.retry import RetryPolicy
from distributor.core.states import HoldReason, WaveState
from distributor.mail.flightlog import FlightLog
from distributor.stages import keeping
from distributor.stages.keeping import Place
from distributor.store import audit, batches, deliveries, suppressions, waves, workers
from distributor.store.schema import batches as batch_rows
from distributor.store.schema import deliveries as rows
from distributor.store.schema import waves as wave_rows
from distributor.store.waves import Order
from tests.builders import (
    DAY,
    HOUR,
    MINUTE,
    NOON,
    ORDER,
    POLICY,
    WORKER,
    a_result,
    a_sending_wave,
    a_sequel,
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
    from datetime import datetime
    from pathlib import Path

    from distributor.core.model import Claim, Delivery, Wave
    from distributor.core.policy import SendingPolicy
    from distributor.store.database import Database

HERE = Place("me", "here", "boot")


def tick(database: Database, now: datetime = NOON, **said: Any) -> None:
    policy: SendingPolicy = said.pop("policy", POLICY)
    keeping.tick(database, policy, said.pop("place", HERE), now=now, **said)


def a_flying_worker(database: Database, folder: Path, **changes: Any) -> FlightLog:
    """A registered worker with an open flight log, which locks it as long as it lives."""
    flight = FlightLog.open(folder, worker=WORKER, host="here", boot_id="boot")
    changes = {"flight_log": str(flight.path), "seen_at": NOON, **changes}
    database.write(lambda tx: a_worker(tx, **changes)).result()
    return flight


def on_the_way(
    database: Database, count: int = 1, *, lease_s: float = 60.0
) -> tuple[Wave, Claim, list[Delivery]]:
    wave = a_sending_wave(database, count)
    claim = claimed(database, lease_s=lease_s)
    assert claim
    return wave, claim, marked(database, claim)


def one(database: Database, delivery: Delivery) -> Any:
    with database.read() as tx:
        return tx.execute(select(rows).where(rows.c.id == delivery.id)).one()


def claims(database: Database) -> int:
    query = select(func.count()).where(batch_rows.c.state == "claimed")
    with database.read() as tx:
        return tx.execute(query).scalar_one()


def actions(database: Database) -> list[str]:
    with database.read() as tx:
        return [entry.action for entry in audit.entries(tx)][::-1]


# --- recovery ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("letters", "state"),
    [
        ("", "queued"),
        ("S", "queued"),
        ("SB", "uncertain"),
        ("SBA250", "accepted"),
        ("SBA550", "refused"),
        ("SBA451", "deferred"),
        ("SA550", "refused"),
    ],
)
def test_i5_a_dead_workers_flight_log_tells_what_came_of_its_mails(
    database: Database, tmp_path: Path, letters: str, state: str
) -> None:
    flight = a_flying_worker(database, tmp_path)
    wave, claim, (delivery,) = on_the_way(database)
    if "S" in letters:
        flight.started(delivery.id, token=claim.token)
    if "B" in letters:
        flight.dotted(delivery.id, token=claim.token)
    if "A" in letters:
        flight.answered(delivery.id, int(letters[-3:]), "so it said", token=claim.token)
    flight.close()
    tick(database)
    assert counts(database, wave) == {state: 1}
    assert claims(database) == 0
    assert not flight.path.exists()
    assert one(database, delivery).crashes == (1 if letters == "S" else 0)
    with database.read() as tx:
        assert workers.living(tx) == []
    assert_accounted_for(database, wave)


def test_i5_process_death_leaves_no_more_in_doubt_than_was_dotted(
    database: Database, tmp_path: Path
) -> None:
    flight = a_flying_worker(database, tmp_path)
    wave = a_sending_wave(database, 6)
    policy_claims = [claimed(database, token=number) for number in (1, 2, 3)]
    for claim in policy_claims:
        assert claim
        first, second = marked(database, claim)
        flight.started(first.id, token=claim.token)
        flight.dotted(first.id, token=claim.token)
        flight.answered(first.id, 250, "ok", token=claim.token)
        flight.started(second.id, token=claim.token)
        if claim.token == 3:
            flight.dotted(second.id, token=claim.token)
    flight.close()
    tick(database)
    assert counts(database, wave) == {"accepted": 3, "queued": 2, "uncertain": 1}
    assert_accounted_for(database, wave)
    assert claimed(database, owner=WORKER, token=9)


def test_p7_a_mail_that_was_begun_at_two_crashes_is_set_aside(
    database: Database, tmp_path: Path
) -> None:
    wave = a_sending_wave(database, 1)
    for number, state in ((1, "queued"), (2, "quarantined")):
        name = f"w{number}"
        flight = FlightLog.open(tmp_path, worker=name, host="here", boot_id="boot")
        path = str(flight.path)
        database.write(lambda tx, n=name, p=path: a_worker(tx, n, flight_log=p)).result()
        claim = claimed(database, owner=name, token=number)
        assert claim
        (delivery,) = marked(database, claim)
        flight.started(delivery.id, token=claim.token)
        flight.close()
        tick(database)
        assert counts(database, wave) == {state: 1}
        assert one(database, delivery).crashes == number
    assert wave_of(database, wave).state is WaveState.FINISHED
    assert claimed(database, token=3) is None


@pytest.mark.parametrize(
    ("changes", "lease_s"),
    [({"boot": "earlier"}, 60), ({"flight_log": "/nowhere/w1.flight"}, 60)],
)
def test_i5_another_boot_or_a_lost_log_leaves_everything_marked_uncertain(
    database: Database, tmp_path: Path, changes: dict[str, Any], lease_s: float
) -> None:
    flight = a_flying_worker(database, tmp_path, **changes)
    wave, claim, (delivery, _other) = on_the_way(database, 2, lease_s=lease_s)
    flight.answered(delivery.id, 250, "ok", token=claim.token)
    flight.close()
    tick(database)
    assert counts(database, wave) == {"uncertain": 2}
    assert claims(database) == 0


def test_i5_another_hosts_worker_is_left_alone_until_its_lease_is_over(
    database: Database, tmp_path: Path
) -> None:
    a_flying_worker(database, tmp_path, host="there").close()
    wave, _, _ = on_the_way(database, 2)
    tick(database)
    assert counts(database, wave) == {"sending": 2}
    lapse(database)
    tick(database, leases_count=False)
    assert counts(database, wave) == {"sending": 2}
    tick(database, NOON + 2 * MINUTE)
    assert counts(database, wave) == {"uncertain": 2}
    assert claims(database) == 0


def lapse(database: Database) -> None:
    gone = update(batch_rows).where(batch_rows.c.state == "claimed")
    past = NOON.replace(year=2020)
    database.write(lambda tx: tx.execute(gone.values(lease_until=past))).result()


def test_an_idle_worker_elsewhere_is_not_given_up(database: Database) -> None:
    database.write(lambda tx: a_worker(tx, host="there", seen_at=NOON)).result()
    tick(database, NOON)
    with database.read() as tx:
        assert [other.id for other in workers.living(tx)] == [WORKER]
    tick(database, NOON + 2 * MINUTE)
    with database.read() as tx:
        assert workers.living(tx) == []


def test_a_worker_given_up_that_still_held_a_batch_is_recovered(database: Database) -> None:
    database.write(lambda tx: a_worker(tx, host="there", seen_at=NOON)).result()
    wave, _, _ = on_the_way(database, 2)
    database.write(lambda tx: workers.end(tx, WORKER, NOON)).result()
    lapse(database)
    tick(database)
    assert counts(database, wave) == {"uncertain": 2}
    assert claims(database) == 0


def test_i5_a_living_worker_that_lost_its_lease_leaves_doubt_and_frees_its_batch(
    database: Database, tmp_path: Path
) -> None:
    flight = a_flying_worker(database, tmp_path)
    wave, claim, (one_row, two_row) = on_the_way(database, 2)
    tick(database)
    assert counts(database, wave) == {"sending": 2}
    lapse(database)
    tick(database)
    assert counts(database, wave) == {"uncertain": 2}
    assert claims(database) == 0
    with database.read() as tx:
        assert [other.id for other in workers.living(tx)] == [WORKER]
    # It wakes: its claim is lost, and what it sent meanwhile ends the doubt.
    assert database.write(lambda tx: batches.hold_fast(tx, claim)).result() is False
    assert recorded(database, a_result(one_row.id, claim.token, Outcome.ACCEPTED)) == 1
    assert recorded(database, a_result(two_row.id, claim.token, Outcome.NOT_SENT)) == 1
    assert counts(database, wave) == {"accepted": 1, "uncertain": 1}
    flight.close()


def test_ones_own_claims_are_never_recovered(database: Database) -> None:
    database.write(lambda tx: a_worker(tx, flight_log="/nowhere")).result()
    wave, _, _ = on_the_way(database)
    lapse(database)
    tick(database, place=Place(WORKER, "here", "boot"))
    assert counts(database, wave) == {"sending": 1}


# --- retries, deadlines, ends ------------------------------------------------------------------


def after_one_round(database: Database, *outcomes: Outcome, **changes: Any) -> Wave:
    """A sending wave of which every row has come to something."""
    database.write(a_worker).result()
    wave = a_sending_wave(database, len(outcomes))
    left = list(outcomes)
    token = 10
    while claim := claimed(database, token=token):
        results = [
            a_result(item.id, token, left.pop(0), **changes) for item in marked(database, claim)
        ]
        recorded(database, *results)
        database.write(lambda tx, c=claim: batches.give_back(tx, c, ORDER)).result()
        token += 1
    database.write(lambda tx: workers.end(tx, WORKER, NOON)).result()
    return wave


def test_deferred_rows_are_gathered_when_due_into_batches_of_the_right_size(
    database: Database,
) -> None:
    wave = after_one_round(database, *[Outcome.DEFERRED] * 5, Outcome.ACCEPTED)
    tick(database, NOON + 4 * MINUTE)
    assert counts(database, wave) == {"deferred": 5, "accepted": 1}
    tick(database, NOON + 5 * MINUTE)
    assert counts(database, wave) == {"queued": 5, "accepted": 1}
    query = select(func.count()).where(rows.c.state == "queued").group_by(rows.c.batch_id)
    with database.read() as tx:
        assert sorted(tx.execute(query).scalars()) == [1, 2, 2]
    assert claimed(database, now=NOON + 5 * MINUTE)
    assert_accounted_for(database, wave)


def test_a_held_waves_retries_wait(database: Database) -> None:
    wave = after_one_round(database, Outcome.DEFERRED)
    order = Order("ann", NOON)
    wave = wave_of(database, wave)
    database.write(lambda tx: waves.hold(tx, wave, HoldReason.PERSON, order)).result()
    tick(database, NOON + HOUR)
    assert counts(database, wave) == {"deferred": 1}


def test_past_its_deadline_what_has_not_left_expires_and_the_wave_finishes(
    database: Database,
) -> None:
    wave = after_one_round(database, Outcome.DEFERRED, Outcome.ACCEPTED)
    soon = update(rows).where(rows.c.state == "deferred").values(due_at=NOON + 2 * DAY)
    database.write(lambda tx: tx.execute(soon)).result()
    tick(database, NOON + DAY - MINUTE)
    assert wave_of(database, wave).state is WaveState.SENDING
    tick(database, NOON + DAY)
    assert counts(database, wave) == {"expired": 1, "accepted": 1}
    assert wave_of(database, wave).state is WaveState.FINISHED


def test_a_deadline_leaves_alone_what_is_in_a_workers_hands(
    database: Database, tmp_path: Path
) -> None:
    flight = a_flying_worker(database, tmp_path, seen_at=NOON + DAY)
    wave, _, _ = on_the_way(database, 2, lease_s=2 * 86400)
    tick(database, NOON + DAY)
    assert counts(database, wave) == {"sending": 2}
    flight.close()


def test_a_wave_let_go_late_has_its_time_from_its_first_mail(database: Database) -> None:
    wave = a_sending_wave(database, 1)

    def late(first: datetime | None) -> None:
        change = update(wave_rows).values(waived=["late"], first_mail_at=first)
        database.write(lambda tx: tx.execute(change)).result()

    late(None)
    tick(database, NOON + 3 * DAY)
    assert counts(database, wave) == {"queued": 1}
    late(NOON + 3 * DAY)
    tick(database, NOON + 4 * DAY - MINUTE)
    assert counts(database, wave) == {"queued": 1}
    tick(database, NOON + 4 * DAY)
    assert counts(database, wave) == {"expired": 1}


def test_i3_a_wave_finishes_when_nothing_is_open_and_not_before(database: Database) -> None:
    wave = after_one_round(database, Outcome.ACCEPTED, Outcome.UNCERTAIN, Outcome.REFUSED)
    short = update(wave_rows).values(recipients=4)
    database.write(lambda tx: tx.execute(short)).result()
    tick(database)
    assert wave_of(database, wave).state is WaveState.SENDING
    database.write(lambda tx: tx.execute(short.values(recipients=3))).result()
    tick(database)
    finished = wave_of(database, wave)
    assert (finished.state, finished.finished_at) == (WaveState.FINISHED, NOON)
    assert actions(database)[-1] == "finished"


def test_i7_a_stop_completes_with_exact_numbers_once_nobody_holds_a_batch(
    database: Database, tmp_path: Path
) -> None:
    flight = a_flying_worker(database, tmp_path)
    wave, claim, (first, second) = on_the_way(database, 4)
    wave = moved(database, wave_of(database, wave), WaveState.STOPPING)
    tick(database)
    assert wave_of(database, wave).state is WaveState.STOPPING
    recorded(
        database,
        a_result(first.id, claim.token, Outcome.ACCEPTED),
        a_result(second.id, claim.token, Outcome.UNCERTAIN),
    )
    database.write(lambda tx: batches.give_back(tx, claim, ORDER)).result()
    tick(database)
    assert wave_of(database, wave).state is WaveState.CANCELLED
    assert counts(database, wave) == {"accepted": 1, "uncertain": 1, "cancelled": 2}
    assert_accounted_for(database, wave)
    assert claimed(database, token=99) is None
    flight.close()


# --- dead addresses ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dead", "of", "code", "suppressed", "said"),
    [
        (1, 10, "5.1.1", 1, "suppressed"),
        (2, 10, "5.1.1", 0, "suppressions withheld"),
        (1, 9, "5.1.1", 0, "suppressions withheld"),
        (1, 10, "5.7.1", 0, "finished"),
    ],
)
def test_dead_addresses_are_suppressed_at_the_end_unless_too_many_are(
    database: Database, dead: int, of: int, code: str, suppressed: int, said: str
) -> None:
    outcomes = [Outcome.REFUSED] * dead + [Outcome.ACCEPTED] * (of - dead)
    wave = after_one_round(database, *outcomes, enhanced=code)
    tick(database)
    assert wave_of(database, wave).state is WaveState.FINISHED
    with database.read() as tx:
        standing = suppressions.every(tx, now=NOON)
    assert [item.reason.value for item in standing] == ["refused"] * suppressed
    assert actions(database)[-1] == said


# --- uncertain mail ----------------------------------------------------------------------------

RESEND = replace(POLICY, retry=RetryPolicy(uncertain="resend"))


def test_i5_uncertain_mail_is_not_sent_again_unless_policy_says_so(database: Database) -> None:
    wave = after_one_round(database, Outcome.UNCERTAIN)
    tick(database, NOON + HOUR)
    assert counts(database, wave) == {"uncertain": 1}
    assert wave_of(database, wave).state is WaveState.FINISHED


def test_i5_policy_resends_once_after_a_quarter_of_an_hour_and_identically(
    database: Database,
) -> None:
    wave = after_one_round(database, Outcome.UNCERTAIN)
    tick(database, NOON + 14 * MINUTE, policy=RESEND)
    assert counts(database, wave) == {"uncertain": 1}
    with database.read() as tx:
        before = tx.execute(select(rows)).one()
    tick(database, NOON + 15 * MINUTE, policy=RESEND)
    assert counts(database, wave) == {"queued": 1}
    claim = claimed(database, token=50, now=NOON + 15 * MINUTE)
    assert claim
    (again,) = marked(database, claim)
    assert (again.reference, again.dated_at) == (before.reference, before.dated_at)
    recorded(database, a_result(again.id, 50, Outcome.UNCERTAIN, ended_at=NOON + HOUR))
    database.write(lambda tx: batches.give_back(tx, claim, ORDER)).result()
    tick(database, NOON + 5 * HOUR, policy=RESEND)
    assert counts(database, wave) == {"uncertain": 1}
    assert wave_of(database, wave).state is WaveState.FINISHED


def test_policy_does_not_send_again_what_was_corrected_or_withdrawn_meanwhile(
    database: Database,
) -> None:
    wave = after_one_round(database, Outcome.UNCERTAIN)
    database.write(lambda tx: a_sequel(tx, wave, WaveKind.WITHDRAWAL)).result()
    tick(database, NOON + HOUR, policy=RESEND)
    assert counts(database, wave) == {"uncertain": 1}
    assert wave_of(database, wave).state is WaveState.FINISHED


def test_i5_a_mail_deferred_before_it_became_uncertain_is_resent_too(database: Database) -> None:
    wave = after_one_round(database, Outcome.DEFERRED)
    tick(database, NOON + 5 * MINUTE, policy=RESEND)
    claim = claimed(database, token=50, now=NOON + 5 * MINUTE)
    assert claim
    (again,) = marked(database, claim)
    recorded(database, a_result(again.id, 50, Outcome.UNCERTAIN))
    database.write(lambda tx: batches.give_back(tx, claim, ORDER)).result()
    tick(database, NOON + HOUR, policy=RESEND)
    assert counts(database, wave) == {"queued": 1}


def test_uncertain_mail_past_the_deadline_is_left_to_a_person(database: Database) -> None:
    wave = after_one_round(database, Outcome.UNCERTAIN)
    tick(database, NOON + DAY, policy=RESEND)
    assert counts(database, wave) == {"uncertain": 1}


def test_nothing_to_keep_writes_nothing(database: Database) -> None:
    a_sending_wave(database, 1)
    before = actions(database)
    tick(database)
    assert actions(database) == before
    with database.read() as tx:
        assert deliveries.suppressed_since(tx, NOON) == frozenset()
