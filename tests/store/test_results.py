"""Results: the token decides, what comes late is kept, and nothing is ever overwritten."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event, select

from distributor.core.address import Address
from distributor.core.model import Outcome
from distributor.core.states import DeliveryState
from distributor.errors import IllegalMove
from distributor.store import batches, deliveries, settling, suppressions
from distributor.store.results import record
from distributor.store.schema import attempts
from distributor.store.schema import deliveries as rows
from tests.builders import (
    MINUTE,
    MORNING,
    NOON,
    ORDER,
    WORKER,
    a_result,
    a_sending_wave,
    a_worker,
    assert_accounted_for,
    claimed,
    counts,
    marked,
    recorded,
)

if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import Connection, Row

    from distributor.core.model import Claim, Delivery, Wave
    from distributor.store.database import Database


@pytest.fixture(autouse=True)
def _registered(database: Database) -> None:
    database.write(a_worker).result()


def on_the_way(database: Database, count: int = 1) -> tuple[Wave, Claim, list[Delivery]]:
    wave = a_sending_wave(database, count)
    claim = claimed(database)
    assert claim
    return wave, claim, marked(database, claim)


def row_of(database: Database, delivery_id: int) -> Row[Any]:
    with database.read() as tx:
        return tx.execute(select(rows).where(rows.c.id == delivery_id)).one()


def history(database: Database, delivery_id: int) -> list[tuple[str, bool]]:
    with database.read() as tx:
        query = select(attempts).where(attempts.c.delivery_id == delivery_id).order_by("id")
        return [(row.outcome.value, row.late) for row in tx.execute(query)]


@pytest.mark.parametrize(
    ("outcome", "state", "tried"),
    [
        (Outcome.ACCEPTED, "accepted", 1),
        (Outcome.DEFERRED, "deferred", 1),
        (Outcome.REFUSED, "refused", 1),
        (Outcome.UNCERTAIN, "uncertain", 1),
        # What is the relay's fault never counts against the recipient.
        (Outcome.NOT_SENT, "queued", 0),
    ],
)
def test_an_outcome_moves_its_row_and_leaves_an_attempt(
    database: Database, outcome: Outcome, state: str, tried: int
) -> None:
    wave, claim, (delivery,) = on_the_way(database)
    result = a_result(delivery.id, claim.token, outcome, enhanced="2.0.0")
    assert recorded(database, result) == 0
    row = row_of(database, delivery.id)
    assert row.state == state
    assert (row.attempts, row.token, row.code, row.enhanced) == (tried, None, 250, "2.0.0")
    assert (row.reply, row.relay, row.due_at, row.at) == (
        "so the server said",
        "main",
        result.due_at,
        NOON,
    )
    assert history(database, delivery.id) == [(outcome.value, False)]
    assert counts(database, wave) == {state: 1}


def test_results_of_many_kinds_are_written_in_one_go(database: Database) -> None:
    wave, claim, (one, two) = on_the_way(database, 2)
    late = recorded(
        database,
        a_result(one.id, claim.token, Outcome.ACCEPTED, code=None, reply=None, relay=None),
        a_result(two.id, claim.token, Outcome.DEFERRED),
    )
    assert late == 0
    assert counts(database, wave) == {"accepted": 1, "deferred": 1}
    assert recorded(database) == 0


def test_deferrals_due_at_different_times_are_written_together(database: Database) -> None:
    wave, claim, going = on_the_way(database, 20)
    due = {one.id: NOON + timedelta(minutes=5, seconds=at) for at, one in enumerate(going)}
    results = [
        a_result(key, claim.token, Outcome.DEFERRED, code=451, reply=f"later {key}", due_at=at)
        for key, at in due.items()
    ]
    said: list[str] = []

    def work(tx: Connection) -> int:
        event.listen(tx, "before_cursor_execute", lambda *seen: said.append(seen[2]))
        return record(tx, results)

    assert database.write(work).result() == 0
    assert {key: row_of(database, key).due_at for key in due} == due
    assert {row_of(database, key).reply for key in due} == {f"later {key}" for key in due}
    assert counts(database, wave)["deferred"] == len(due)
    assert sum("UPDATE deliveries" in statement for statement in said) == 1
    assert sum("INSERT INTO attempts" in statement for statement in said) == 1


def test_the_token_decides(database: Database) -> None:
    wave, claim, (delivery,) = on_the_way(database)
    assert recorded(database, a_result(delivery.id, claim.token + 1, Outcome.REFUSED)) == 1
    assert counts(database, wave) == {"sending": 1}
    assert recorded(database, a_result(delivery.id, claim.token, Outcome.ACCEPTED)) == 0
    assert counts(database, wave) == {"accepted": 1}
    assert history(database, delivery.id) == [("refused", True), ("accepted", False)]


@pytest.mark.parametrize(
    ("late", "state"),
    [
        (Outcome.ACCEPTED, "accepted"),
        (Outcome.REFUSED, "uncertain"),
        (Outcome.DEFERRED, "uncertain"),
        (Outcome.NOT_SENT, "uncertain"),
        (Outcome.UNCERTAIN, "uncertain"),
    ],
)
def test_only_an_acceptance_that_comes_late_settles_a_doubt(
    database: Database, late: Outcome, state: str
) -> None:
    wave, claim, (delivery,) = on_the_way(database)
    recorded(database, a_result(delivery.id, claim.token, Outcome.UNCERTAIN))
    assert recorded(database, a_result(delivery.id, claim.token, late)) == 1
    assert counts(database, wave) == {state: 1}
    assert history(database, delivery.id) == [("uncertain", False), (late.value, True)]
    assert_accounted_for(database, wave)


@pytest.mark.parametrize("known", [Outcome.ACCEPTED, Outcome.REFUSED, Outcome.DEFERRED])
@pytest.mark.parametrize("late", [Outcome.ACCEPTED, Outcome.REFUSED])
def test_what_comes_late_never_overwrites(
    database: Database, known: Outcome, late: Outcome
) -> None:
    wave, claim, (delivery,) = on_the_way(database)
    recorded(database, a_result(delivery.id, claim.token, known))
    before = row_of(database, delivery.id)
    assert recorded(database, a_result(delivery.id, claim.token, late, reply="later")) == 1
    assert row_of(database, delivery.id) == before
    assert history(database, delivery.id)[-1] == (late.value, True)
    assert sum(counts(database, wave).values()) == 1


def test_a_late_result_does_not_touch_the_next_claims_row(database: Database) -> None:
    wave, claim, (delivery,) = on_the_way(database)
    recorded(database, a_result(delivery.id, claim.token, Outcome.NOT_SENT))
    database.write(lambda tx: batches.give_back(tx, claim, ORDER)).result()
    again = claimed(database, token=8)
    assert again
    (same,) = marked(database, again)
    assert same.id == delivery.id
    assert recorded(database, a_result(delivery.id, claim.token, Outcome.ACCEPTED)) == 1
    assert counts(database, wave) == {"sending": 1}


@pytest.mark.parametrize("state", ["accepted", "abandoned", "queued"])
def test_a_person_settles_only_what_is_still_uncertain(database: Database, state: str) -> None:
    wave, claim, (one, two) = on_the_way(database, 2)
    recorded(
        database,
        a_result(one.id, claim.token, Outcome.UNCERTAIN),
        a_result(two.id, claim.token, Outcome.REFUSED),
    )
    ids = [one.id, two.id]
    to = DeliveryState(state)
    database.write(
        lambda tx: settling.decide(tx, ids, to, words="settled by ann", now=NOON),
    ).result()
    assert counts(database, wave) == {state: 1, "refused": 1}
    assert row_of(database, one.id).reply == "settled by ann"


def test_i12_settling_knows_only_the_moves_of_the_table(database: Database) -> None:
    with pytest.raises(IllegalMove):
        database.write(
            lambda tx: settling.decide(tx, [1], DeliveryState.REFUSED, words="", now=NOON),
        ).result()
    _, claim, (delivery,) = on_the_way(database)
    wrong = a_result(delivery.id, claim.token, Outcome.UNCERTAIN, state=DeliveryState.ABANDONED)
    with pytest.raises(IllegalMove):
        recorded(database, wrong)


def test_who_objected_since_the_sealing_is_not_given_out(database: Database) -> None:
    wave = a_sending_wave(database, 2)
    with database.read() as tx:
        key = tx.execute(select(rows.c.address_key).order_by(rows.c.id)).scalars().first()
    assert key
    order = suppressions.NewSuppression(
        Address(key, key, key), suppressions.SuppressionReason.OBJECTION
    )
    database.write(lambda tx: suppressions.add(tx, order, by="ann", now=NOON)).result()
    with database.read() as tx:
        assert deliveries.suppressed_since(tx, NOON) == {key}
        assert deliveries.suppressed_since(tx, NOON + MINUTE) == frozenset()
    claim = claimed(database)
    assert claim
    (other,) = marked(database, claim)
    assert other.address_key != key
    assert counts(database, wave) == {"suppressed": 1, "sending": 1}
    assert_accounted_for(database, wave)


def test_a_wave_counts_its_refusals_by_what_the_server_called_them(database: Database) -> None:
    wave, claim, (one, two) = on_the_way(database, 2)
    recorded(
        database,
        a_result(one.id, claim.token, Outcome.REFUSED, enhanced="5.1.1", reply=None),
        a_result(two.id, claim.token, Outcome.REFUSED, enhanced="5.7.1"),
    )
    with database.read() as tx:
        assert deliveries.refused_as(tx, wave.id, {"5.1.1"}) == [(one.recipient.address, "")]


def test_an_attempt_keeps_when_it_began_and_by_whom(database: Database) -> None:
    _, claim, (delivery,) = on_the_way(database)
    began = NOON - timedelta(seconds=3)
    recorded(database, a_result(delivery.id, claim.token, Outcome.ACCEPTED, started_at=began))
    with database.read() as tx:
        row = tx.execute(select(attempts)).one()
    assert (row.worker_id, row.token, row.started_at, row.ended_at) == (WORKER, 7, began, NOON)
    assert row.phase == "dot"
    assert began > MORNING
