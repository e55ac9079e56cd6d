from __future__ import annotations

import pytest

from distributor.core.health import BREAKER, GROW_S, LONGEST_REST_S, Health
from distributor.errors import RelayError

FAULT = RelayError("x")


def failed(health: Health, at: float = 100.0, *, carrying: bool = False, of: int = 8) -> Health:
    return health.after_failure(FAULT, at=at, jitter=0.0, connections=of, carrying=carrying)


def test_rest_grows_with_each_failure_up_to_a_minute() -> None:
    health, at, rests = Health(), 100.0, list[float]()
    for _ in range(10):
        health = health.after_failure(FAULT, at=at, jitter=1.0)
        rests.append(health.retry_at - at)
        at = health.retry_at
    assert rests == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert LONGEST_REST_S == 60
    assert Health().after_failure(FAULT, at=0.5, jitter=0.0).retry_at == 1.0


def test_failures_side_by_side_count_as_one() -> None:
    health = failed(Health())
    for _ in range(9):
        health = failed(health, 100.1)
    assert (health.failures, health.fewer) == (1, 4)
    assert not health.broken


def test_each_failure_halves_the_connections_down_to_one() -> None:
    health, left = Health(), list[int]()
    for number in range(5):
        health = failed(health, 100.0 * (number + 1))
        left.append(8 - health.fewer)
    assert left == [4, 2, 1, 1, 1]
    assert failed(Health(), of=1).fewer == 0
    assert failed(Health(), of=5).fewer == 3


def test_success_brings_one_connection_back_a_second() -> None:
    health, left = failed(failed(Health()), 200.0), list[int]()
    for at in (200.2, 201.0, 201.5, 202.0, 203.0, 204.0, 205.0, 206.0, 207.0, 208.0):
        health = health.after_success(at=at)
        assert health.well
        left.append(8 - health.fewer)
    assert left == [2, 3, 3, 4, 5, 6, 7, 8, 8, 8]
    assert health.after_success(at=300.0) is health
    assert GROW_S == 1


def test_a_connection_heals_what_failed_in_connecting() -> None:
    health = failed(Health()).after_connecting()
    assert health.well
    assert health.fewer == 4
    assert Health(failures=BREAKER).after_connecting() == Health()


def test_only_a_mail_heals_what_failed_with_a_mail() -> None:
    health = failed(Health(), carrying=True)
    assert not health.after_connecting().well
    assert failed(health.after_connecting(), 300.0).unproven
    assert health.after_success(at=101.0).well


@pytest.mark.parametrize(
    ("health", "carries"),
    [
        (Health(), True),
        (Health(failures=2, retry_at=200.0), True),
        (Health(failures=2, retry_at=200.0, unproven=True), False),
        (Health(failures=2, retry_at=100.0, unproven=True), True),
        (Health(failures=2, trial_until=101.0, unproven=True), False),
        (Health(stopped_by=FAULT), False),
    ],
)
def test_who_may_carry(health: Health, *, carries: bool) -> None:
    assert health.may_carry(100.0) is carries


def test_a_permanent_error_stops_it() -> None:
    error = RelayError("535", permanent=True)
    health = Health().after_failure(error, at=1.0, jitter=0.0)
    assert health.stopped_by is error
    assert not health.well
