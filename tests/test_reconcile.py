"""Evidence settles what was uncertain: on both engines, wave by wave, with its audit row."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from distributor.core.evidence import NOTHING, Answer, Verdict
from distributor.core.model import Outcome
from distributor.core.states import DeliveryState, HoldReason, WaveState
from distributor.errors import InquiryFailed
from distributor.reconcile import Reconcile, Reconciled
from distributor.stages.reconciling import Reconciling
from distributor.store import audit, settling, waves
from distributor.store.database import open_database
from distributor.store.schema import deliveries as rows
from tests.builders import (
    DAY,
    HOUR,
    MINUTE,
    NOON,
    ORDER,
    POLICY,
    a_result,
    a_sending_wave,
    a_sequel,
    a_worker,
    assert_accounted_for,
    claimed,
    counts,
    marked,
    recorded,
    wave_of,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from distributor.core.model import Wave
    from distributor.mail.inquiry import Inquiry
    from distributor.store.database import Database
    from distributor.store.settling import Doubt

LATER = NOON + HOUR


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    database = open_database(migrated_url)
    database.write(a_worker).result()
    yield database
    database.close()


@dataclass
class Record:
    """A mail server's record, as a command would tell it: one word for all, or by Message-ID."""

    relay: str = "main"
    word: str = "unknown"
    words: dict[str, str] = field(default_factory=dict[str, str])
    fails: bool = False
    given_up: bool = False
    asked: list[list[str]] = field(default_factory=list[list[str]])

    def ask(self, message_ids: Collection[str]) -> dict[str, Answer]:
        self.asked.append(list(message_ids))
        if self.fails:
            raise InquiryFailed("It ended with code 1.", remedy="Run it by hand.")
        return {
            name: Answer(Verdict(word), "4F3A sent") if word != "unknown" else NOTHING
            for name in message_ids
            for word in [self.words.get(name, self.word)]
        }

    def give_up(self) -> None:
        self.given_up = True


def reconcile(database: Database, *records: Any, relays: tuple[str, ...] = ("main",)) -> Reconcile:
    inquiries: list[Inquiry] = list(records)
    return Reconcile(database, inquiries, POLICY, relays=relays)


def in_doubt(database: Database, count: int = 2, **changes: Any) -> Wave:
    """A finished wave whose every delivery is uncertain since noon."""
    wave = a_sending_wave(database, count)
    claim = claimed(database)
    assert claim
    found = marked(database, claim)
    recorded(
        database,
        *(
            a_result(each.id, claim.token, Outcome.UNCERTAIN, code=None, reply=None, **changes)
            for each in found
        ),
    )

    def finish(tx: Any) -> None:
        from distributor.store import batches  # noqa: PLC0415

        batches.give_back(tx, claim, ORDER)
        assert waves.finish(tx, wave, NOON)

    database.write(finish).result()
    return wave_of(database, wave)


def doubts(database: Database) -> list[Doubt]:
    with database.read() as tx:
        return settling.doubts(tx, release=None)


def settle(database: Database, *records: Record, now: Any = LATER, **said: Any) -> Reconciled:
    return reconcile(database, *records, **said).settle(doubts(database), now=now)


def stored(database: Database) -> list[Any]:
    with database.read() as tx:
        return list(tx.execute(select(rows).order_by(rows.c.id)))


def entries(database: Database) -> list[audit.Entry]:
    with database.read() as tx:
        return [entry for entry in audit.entries(tx) if entry.actor.startswith("reconcile")]


def test_doubts_are_named_by_the_message_id_of_the_mail(database: Database) -> None:
    in_doubt(database)
    found = doubts(database)
    assert [doubt.message_id for doubt in found] == [
        f"<{row.reference}@desk.example>" for row in stored(database)
    ]
    assert {(doubt.relay, doubt.since, doubt.times) for doubt in found} == {("main", NOON, 1)}


@pytest.mark.parametrize(
    ("word", "state", "wave_state"),
    [
        ("accepted", "accepted", WaveState.FINISHED),
        ("refused", "abandoned", WaveState.FINISHED),
        ("absent", "queued", WaveState.SENDING),
        ("unknown", "uncertain", WaveState.FINISHED),
    ],
)
def test_what_the_record_says_settles_a_doubt(
    database: Database, word: str, state: str, wave_state: WaveState
) -> None:
    wave = in_doubt(database)
    before = [(row.reference, row.dated_at) for row in stored(database)]
    done = settle(database, Record(word=word))
    assert counts(database, wave) == {state: 2}
    assert wave_of(database, wave).state is wave_state
    assert done.asked == 2
    assert dict(done.settled) == ({} if state == "uncertain" else {DeliveryState(state): 2})
    # The resend is the same mail: its reference, and so its Message-ID, and its Date stay.
    assert [(row.reference, row.dated_at) for row in stored(database)] == before
    assert_accounted_for(database, wave)


def test_what_was_corrected_meanwhile_is_not_sent_again_and_the_rest_is_settled(
    database: Database,
) -> None:
    wave = in_doubt(database)
    database.write(lambda tx: a_sequel(tx, wave, ready=False)).result()
    first, second = doubts(database)
    settle(database, Record(words={first.message_id: "absent", second.message_id: "accepted"}))
    assert counts(database, wave) == {"abandoned": 1, "accepted": 1}
    assert wave_of(database, wave).state is WaveState.FINISHED


def test_the_evidence_stands_on_the_delivery_and_in_the_audit(database: Database) -> None:
    wave = in_doubt(database)
    first, second = doubts(database)
    settle(database, Record(words={first.message_id: "accepted", second.message_id: "refused"}))
    assert [row.reply for row in stored(database)] == [
        "reconcile main: accepted 4F3A sent",
        "reconcile main: refused 4F3A sent",
    ]
    settled = [(entry.actor, entry.action, dict(entry.facts)) for entry in entries(database)]
    assert sorted(settled, key=lambda each: each[2]["decision"]) == [
        (
            "reconcile main",
            "settled",
            {"wave": wave.id, "deliveries": [each.delivery_id], "decision": word},
        )
        for each, word in ((first, "accepted"), (second, "refused"))
    ]


def test_a_record_that_cannot_be_asked_changes_nothing(database: Database) -> None:
    wave = in_doubt(database)
    done = settle(database, Record(fails=True))
    assert counts(database, wave) == {"uncertain": 2}
    assert list(done.failures) == ["main"]
    assert entries(database) == []


def test_absent_is_not_believed_while_the_server_may_still_be_busy(database: Database) -> None:
    wave = in_doubt(database)
    young = NOON + timedelta(seconds=POLICY.retry.resend_after_s - 1)
    settle(database, Record(word="absent"), now=young)
    assert counts(database, wave) == {"uncertain": 2}
    settle(database, Record(word="absent"), now=young + timedelta(seconds=1))
    assert counts(database, wave) == {"queued": 2}


def test_a_mail_is_sent_again_on_absent_only_once_by_itself(database: Database) -> None:
    wave = in_doubt(database, 1)
    settle(database, Record(word="absent"))
    claim = claimed(database, now=LATER, token=8)
    assert claim
    [again] = marked(database, claim)
    recorded(database, a_result(again.id, 8, Outcome.UNCERTAIN, code=None, ended_at=LATER))
    assert [doubt.times for doubt in doubts(database)] == [2]
    settle(database, Record(word="absent"), now=LATER + HOUR)
    assert counts(database, wave) == {"uncertain": 1}
    settle(database, Record(word="accepted"), now=LATER + HOUR)
    assert counts(database, wave) == {"accepted": 1}


def test_absent_too_late_to_send_again_is_over(database: Database) -> None:
    wave = in_doubt(database)
    settle(database, Record(word="absent"), now=NOON + 2 * DAY)
    assert counts(database, wave) == {"abandoned": 2}
    assert wave_of(database, wave).state is WaveState.FINISHED


def test_absent_in_a_held_wave_waits_there(database: Database) -> None:
    wave = a_sending_wave(database, 1)
    claim = claimed(database)
    assert claim
    [each] = marked(database, claim)
    recorded(database, a_result(each.id, claim.token, Outcome.UNCERTAIN, code=None))
    database.write(lambda tx: waves.hold(tx, wave, HoldReason.PERSON, ORDER)).result()
    settle(database, Record(word="absent"))
    assert counts(database, wave) == {"queued": 1}
    assert wave_of(database, wave).state is WaveState.HELD


def test_a_doubt_that_somebody_settled_meanwhile_is_left_alone(database: Database) -> None:
    wave = in_doubt(database)
    found = doubts(database)
    ids = [found[0].delivery_id]
    state = DeliveryState.ABANDONED
    database.write(lambda tx: settling.decide(tx, ids, state, words="ann", now=NOON)).result()
    done = reconcile(database, Record(word="absent")).settle(found, now=LATER)
    assert counts(database, wave) == {"abandoned": 1, "queued": 1}
    assert dict(done.settled) == {DeliveryState.QUEUED: 1}


# --- several mail servers -----------------------------------------------------------------------


def test_only_the_server_that_was_given_a_mail_is_asked(database: Database) -> None:
    wave = in_doubt(database)
    spare = Record("spare", "accepted")
    done = settle(database, spare, relays=("main", "spare"))
    assert (spare.asked, done.asked) == ([], 0)
    assert counts(database, wave) == {"uncertain": 2}


@pytest.mark.parametrize(
    ("words", "state"),
    [
        ({"main": "absent", "spare": "accepted"}, "accepted"),
        ({"main": "absent", "spare": "absent"}, "queued"),
        ({"main": "absent"}, "uncertain"),
    ],
)
def test_where_nobody_knows_who_had_it_all_are_asked(
    database: Database, words: dict[str, str], state: str
) -> None:
    wave = in_doubt(database, relay=None)
    records = [Record(name, word) for name, word in words.items()]
    settle(database, *records, relays=("main", "spare"))
    assert counts(database, wave) == {state: 2}


# --- when ---------------------------------------------------------------------------------------


def asked_at(database: Database, record: Record, *, until: Any, step: timedelta) -> list[float]:
    """Minutes after the doubt arose at which the record was asked."""
    stage = Reconciling(database, reconcile(database, record))
    now, asked = NOON, list[float]()
    while now <= until:
        before = len(record.asked)
        stage.tick(now)
        if len(record.asked) > before:
            asked.append((now - NOON) / MINUTE)
        now += step
    return asked


def test_a_record_is_asked_soon_then_ever_more_seldom(database: Database) -> None:
    in_doubt(database, 1)
    asked = asked_at(database, Record(), until=NOON + 5 * HOUR, step=10 * timedelta(seconds=1))
    assert asked == [0.5, 1.5, 3.0, 6.0, 12.0, 15.0, 30.0, 60.0, 120.0, 180.0, 240.0, 300.0]


def test_a_record_of_last_week_is_not_asked(database: Database) -> None:
    in_doubt(database, 1)
    record = Record()
    Reconciling(database, reconcile(database, record)).tick(NOON + 7 * DAY)
    assert record.asked == []


def test_a_failure_is_told_once_with_its_remedy_and_so_is_its_end(database: Database) -> None:
    wave = in_doubt(database, 1)
    record = Record(fails=True, word="accepted")
    stage = Reconciling(database, reconcile(database, record))
    with capture_logs() as said:
        for minutes in range(60):
            record.fails = minutes < 50
            stage.tick(NOON + minutes * MINUTE)
        stage.tick(NOON + 2 * HOUR)
    told = [entry["action"] for entry in said]
    assert told == ["record_failed", "reconciled", "record_answers"]
    assert said[0]["remedy"] == "Run it by hand."
    assert said[0]["relay"] == "main"
    assert counts(database, wave) == {"accepted": 1}


def test_nothing_is_said_of_a_question_that_was_given_up(database: Database) -> None:
    in_doubt(database, 1)
    with capture_logs() as said:
        Reconciling(database, reconcile(database, Record(fails=True, given_up=True))).tick(LATER)
    assert said == []


def test_without_a_command_nothing_is_looked_for() -> None:
    class Untouched:
        def read(self) -> None:
            raise AssertionError("it was looked at")

    database: Any = Untouched()
    Reconciling(database, reconcile(database)).tick(NOON)
