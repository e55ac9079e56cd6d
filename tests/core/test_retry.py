from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from distributor.core.model import Outcome
from distributor.core.retry import RetryPolicy, next_try

NOON = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
TOMORROW = NOON + timedelta(hours=24)
RESEND = RetryPolicy(uncertain="resend")


def minutes(of: datetime | None) -> float | None:
    return None if of is None else (of - NOON).total_seconds() / 60


@pytest.mark.parametrize(
    ("attempts", "expected"), [(1, 5), (2, 15), (3, 30), (4, 60), (5, 60), (23, 60)]
)
def test_a_deferral_waits_5_15_30_60_and_60_minutes(attempts: int, expected: float) -> None:
    assert minutes(next_try(Outcome.DEFERRED, attempts, now=NOON, deadline=TOMORROW)) == expected


@pytest.mark.parametrize(("left_s", "stops"), [(301, False), (300, True), (0, True), (-1, True)])
def test_a_try_that_would_not_fall_before_the_deadline_is_not_made(
    left_s: int, *, stops: bool
) -> None:
    deadline = NOON + timedelta(seconds=left_s)
    assert (next_try(Outcome.DEFERRED, 1, now=NOON, deadline=deadline) is None) is stops


def test_what_was_not_sent_may_go_at_once_until_the_deadline() -> None:
    assert next_try(Outcome.NOT_SENT, 7, now=NOON, deadline=TOMORROW) == NOON
    assert next_try(Outcome.NOT_SENT, 1, now=NOON, deadline=NOON) is None


def test_uncertain_is_left_to_a_person_by_default() -> None:
    assert next_try(Outcome.UNCERTAIN, 1, now=NOON, deadline=TOMORROW) is None


def test_uncertain_is_resent_once_after_15_minutes_where_policy_says_so() -> None:
    first = next_try(Outcome.UNCERTAIN, 3, now=NOON, deadline=TOMORROW, policy=RESEND)
    second = next_try(
        Outcome.UNCERTAIN, 4, now=NOON, deadline=TOMORROW, policy=RESEND, uncertain_attempts=2
    )
    assert (minutes(first), second) == (15, None)


@pytest.mark.parametrize("outcome", [Outcome.ACCEPTED, Outcome.REFUSED])
def test_what_is_settled_is_not_tried_again(outcome: Outcome) -> None:
    assert next_try(outcome, 1, now=NOON, deadline=TOMORROW, policy=RESEND) is None


def test_instants_outside_utc_are_refused() -> None:
    berlin = NOON.astimezone(ZoneInfo("Europe/Berlin"))
    with pytest.raises(ValueError, match="UTC"):
        next_try(Outcome.DEFERRED, 1, now=berlin, deadline=TOMORROW)
    with pytest.raises(ValueError, match="attempt"):
        next_try(Outcome.DEFERRED, 0, now=NOON, deadline=TOMORROW)


@pytest.mark.parametrize("steps_s", [(), (0.0,), (300.0, -1.0)])
def test_a_policy_that_would_hammer_the_relay_is_refused(steps_s: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="wait"):
        RetryPolicy(steps_s=steps_s)
