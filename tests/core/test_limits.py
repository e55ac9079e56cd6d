from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.core.limits import (
    ANY_DOMAIN,
    BUSY_S,
    Allowance,
    DomainLimits,
    Limits,
    Window,
    domain_of,
)


def sent_at(limits: Limits, count: int, *, start_s: float = 100.0, workers: int = 1) -> list[float]:
    """When ``count`` mails begin if each goes as soon as it may; the day is not limited here."""
    allowance = Allowance(limits)
    allowance.share(workers)
    begun, now_s = list[float](), start_s
    for _ in range(count):
        # Floating point may leave a hair to wait.
        while (wait_s := allowance.wait_s(now_s)) > 0:
            now_s += max(wait_s, 1e-6)
        allowance.begin("paper.example", now_s)
        begun.append(now_s - start_s)
    return begun


def test_without_limits_everything_may_go_at_once() -> None:
    assert sent_at(Limits(), 1000) == [0.0] * 1000


def test_a_second_lets_so_many_go_at_once_and_then_waits_for_the_first_to_be_a_second_old() -> None:
    begun = sent_at(Limits(per_second=3), 7)
    assert begun == pytest.approx([0, 0, 0, 1, 1, 1, 2])


def test_the_tightest_limit_counts() -> None:
    begun = sent_at(Limits(per_second=2, per_minute=3), 5)
    assert begun == pytest.approx([0, 0, 1, 60, 60])


@given(
    limit=st.integers(1, 20),
    steps=st.lists(st.floats(0, 0.7), min_size=1, max_size=200),
    workers=st.integers(1, 30),
)
def test_no_second_wherever_it_begins_holds_more_than_allowed(
    limit: int, steps: list[float], workers: int
) -> None:
    window = Window(limit, 1.0, workers=workers)
    begun, now_s = list[float](), 1000.0
    for step in steps:
        now_s += step
        if window.wait_s(now_s) == 0:
            window.take(now_s)
            begun.append(now_s)
    per_worker, span_s = max(limit // workers, 1), max(1.0, workers / limit)
    for first, later in zip(begun, begun[per_worker:], strict=False):
        assert later - first >= span_s - 1e-9


def test_workers_divide_the_rates_down_to_one_mail_in_a_longer_time() -> None:
    assert sent_at(Limits(per_second=10), 10, workers=5) == pytest.approx(
        [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    )
    assert sent_at(Limits(per_minute=2), 3, workers=4) == pytest.approx([0, 120, 240])


def test_a_worker_that_joins_slows_the_others_at_once() -> None:
    allowance = Allowance(Limits(per_minute=4))
    for _ in range(3):
        allowance.begin("a.example", 0.0)
    assert allowance.wait_s(1.0) == 0
    allowance.share(2)
    assert allowance.wait_s(1.0) == pytest.approx(59)
    allowance.share(1)
    assert allowance.wait_s(1.0) == 0


def test_a_day_is_spent_only_as_granted_and_what_was_not_sent_is_given_back() -> None:
    allowance = Allowance(Limits(per_day=2000))
    assert allowance.wait_s(0.0) == inf
    allowance.grant(2)
    allowance.begin("a.example", 0.0)
    allowance.begin("a.example", 0.0)
    assert (allowance.wait_s(0.0), allowance.unspent) == (inf, 0)
    allowance.end("a.example", sent=True)
    assert allowance.wait_s(0.0) == inf
    allowance.end("a.example", sent=False)
    assert (allowance.wait_s(0.0), allowance.unspent) == (0, 1)
    allowance.grant(-1)
    assert allowance.wait_s(0.0) == inf


def test_a_domain_at_its_limit_waits_and_the_others_go() -> None:
    limits = Limits(
        domains={
            "gmail.example": DomainLimits(per_minute=1),
            "slow.example": DomainLimits(connections=1),
        }
    )
    allowance = Allowance(limits)
    allowance.begin("gmail.example", 0.0)
    allowance.begin("slow.example", 0.0)
    assert allowance.domain_wait_s("gmail.example", 10.0) == pytest.approx(50)
    assert allowance.domain_wait_s("slow.example", 10.0) == BUSY_S
    assert allowance.domain_wait_s("other.example", 10.0) == 0
    assert allowance.wait_s(10.0) == 0
    allowance.end("slow.example", sent=True)
    assert allowance.domain_wait_s("slow.example", 10.0) == 0
    assert allowance.domain_wait_s("gmail.example", 60.0) == 0


def test_the_default_for_domains_counts_each_domain_by_itself() -> None:
    allowance = Allowance(
        Limits(domains={ANY_DOMAIN: DomainLimits(per_minute=1), "big.example": DomainLimits()})
    )
    allowance.begin("a.example", 0.0)
    assert allowance.domain_wait_s("a.example", 1.0) > 0
    assert allowance.domain_wait_s("b.example", 1.0) == 0
    for _ in range(100):
        allowance.begin("big.example", 0.0)
    assert allowance.domain_wait_s("big.example", 1.0) == 0


def test_domains_are_forgotten_once_nothing_of_them_counts() -> None:
    allowance = Allowance(Limits(domains={ANY_DOMAIN: DomainLimits(per_minute=5)}))
    allowance.begin("on-its-way.example", 0.0)
    for number in range(25_000):
        allowance.begin(f"d{number}.example", float(number))
        allowance.end(f"d{number}.example", sent=True)
    assert len(allowance._domains) <= 10_001
    assert "on-its-way.example" in allowance._domains


def test_the_domain_of_an_address_is_in_lower_case() -> None:
    assert domain_of("Jane@Gmail.COM") == "gmail.com"


def test_limits_say_themselves() -> None:
    assert str(Limits()) == ""
    assert str(Limits(per_second=5, per_day=2000)) == "5 a second, 2,000 a day"
