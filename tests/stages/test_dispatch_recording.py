"""What counts as an attempt, and what is put off instead of tried for ever."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from distributor.core.model import AudienceRule, Claim, Delivery, Outcome, Recipient, Wave, WaveKind
from distributor.core.outcome import Phase, TransactionFacts
from distributor.core.policy import SendingPolicy
from distributor.core.states import DeliveryState, WaveState
from distributor.stages.dispatch import recording
from distributor.stages.dispatch.claims import Holding
from distributor.stages.dispatch.recording import CUT_OFF_LIMIT, Recorder, Return, result_of

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
WAVE = Wave(1, 1, 1, WaveKind.GENERAL, WaveState.SENDING, NOON, AudienceRule((1,)))
ANN = Delivery(5, 1, "ref", Recipient("ann@daily.example"), "ann@daily.example", 1, 0, NOON)
CUT_OFF = TransactionFacts(Phase.BODY, cut=True)


def a_holding() -> Holding:
    return Holding(Claim(1, WAVE, 9), leased_until_s=60, wave=WAVE, seen_s=0, claimed_at=NOON)


def returns(*facts: TransactionFacts) -> list[Return]:
    """Take these facts about one delivery, one after the other, under one claim."""

    async def take() -> list[Return]:
        recorder = Recorder(
            cast("Any", None), cast("Any", None), SendingPolicy(), worker="w", relay="r"
        )
        holding = a_holding()
        for each in facts:
            recorder.take(holding, ANN, each, began=NOON, ended=NOON)
        return recorder._returns

    return asyncio.run(take())


def state_of(back: Return) -> DeliveryState:
    return result_of(back, worker="w", relay="r", policy=SendingPolicy()).state


def test_a_mail_cut_off_again_and_again_is_put_off_and_not_charged() -> None:
    backs = returns(*[CUT_OFF] * CUT_OFF_LIMIT)
    assert [state_of(back) for back in backs] == [
        *[DeliveryState.QUEUED] * (CUT_OFF_LIMIT - 1),
        DeliveryState.DEFERRED,
    ]
    last = result_of(backs[-1], worker="w", relay="r", policy=SendingPolicy())
    assert last.outcome is Outcome.NOT_SENT
    assert last.due_at is not None
    assert last.due_at > NOON


@pytest.mark.parametrize(
    "facts",
    [
        TransactionFacts(Phase.MAIL, cut=True),
        TransactionFacts(Phase.MAIL, 451, "4.3.0", "busy"),
        TransactionFacts(Phase.RCPT, 421, "4.3.2", "closing"),
        TransactionFacts(Phase.BODY, shut="held"),
        TransactionFacts(Phase.BODY, reply="flight log could not be written", local=True),
    ],
)
def test_what_is_the_relays_or_our_own_doing_puts_no_mail_off(facts: TransactionFacts) -> None:
    assert {state_of(back) for back in returns(*[facts] * 5)} == {DeliveryState.QUEUED}


def test_an_acceptance_after_being_cut_off_is_an_acceptance() -> None:
    accepted = TransactionFacts(Phase.DOT, 250, None, "kept", dotted=True)
    backs = returns(*[CUT_OFF] * CUT_OFF_LIMIT, accepted)
    assert state_of(backs[-1]) is DeliveryState.ACCEPTED


@pytest.mark.parametrize(
    ("facts", "reached"),
    [
        (TransactionFacts(Phase.CONNECT, cut=True), False),
        (TransactionFacts(Phase.MAIL, shut="held"), False),
        (TransactionFacts(Phase.MAIL, reply="flight log full", local=True), False),
        (TransactionFacts(Phase.MAIL, 553, "5.1.7", "not a mailbox", local=True), True),
        (TransactionFacts(Phase.MAIL, 553, "5.1.7", "refused"), True),
        (TransactionFacts(Phase.BODY, shut="held"), True),
        (TransactionFacts(Phase.DOT, 250, dotted=True), True),
    ],
)
def test_an_attempt_is_one_that_wrote_a_mail_command(
    facts: TransactionFacts,
    reached: bool,  # noqa: FBT001 - the case
) -> None:
    (back,) = returns(facts)
    assert back.reached_wire is reached


def test_back_pressure_begins_at_the_limit_and_ends_once_enough_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[int] = []

    async def write(_: object, work: object) -> int:
        del work
        written.append(1)
        return 0

    monkeypatch.setattr(recording, "commit", write)
    monkeypatch.setattr(recording, "UNSAVED_LIMIT", 3)
    monkeypatch.setattr(recording, "GROUP", 2)

    async def story() -> None:
        nothing = cast("Any", None)
        recorder = Recorder(nothing, nothing, SendingPolicy(), worker="w", relay="r")
        holding = a_holding()
        for taken in range(1, 4):
            assert recorder.has_room
            holding.sent_out(1)
            recorder.take(holding, ANN, CUT_OFF, began=NOON, ended=NOON)
            assert recorder.has_room is (taken < 3)
        recorder.finish()
        await recorder.run()
        assert recorder.has_room
        assert (holding.outstanding, len(written)) == (0, 2)

    asyncio.run(story())
