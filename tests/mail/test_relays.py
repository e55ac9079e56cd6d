"""Whose turn it is: the preferred relay that is well and under its limits."""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING

from distributor.core.health import Health
from distributor.core.limits import Limits
from distributor.errors import RelayError
from distributor.mail.relay import Relay, RelayPolicy
from distributor.mail.relays import Relays

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = 1000.0
STOP = RelayError("535", permanent=True)


def relays(*limits: Limits) -> tuple[Relays, Sequence[Relay]]:
    every = [
        Relay(RelayPolicy(f"r{number}", "127.0.0.1", 25, limits=each))
        for number, each in enumerate(limits)
    ]
    return Relays(every), every


def turns(all_of_them: Relays) -> list[bool]:
    return [all_of_them.wait_s(relay, NOW) == 0 for relay in all_of_them]


def test_the_preferred_relay_carries_while_it_is_well() -> None:
    them, (first, *_) = relays(Limits(), Limits(), Limits())
    assert turns(them) == [True, False, False]
    assert them.first is first


def test_the_next_one_carries_while_those_before_it_fail_rest_or_are_stopped() -> None:
    them, (first, second, _) = relays(Limits(), Limits(), Limits())
    for ill in (Health(failures=1), Health(failures=9, retry_at=2 * NOW), Health(stopped_by=STOP)):
        first.health, second.health = ill, Health()
        # The first may still be tried, by its own couriers: that is how it becomes well.
        assert turns(them) == [True, True, False]
        second.health = ill
        assert turns(them) == [True, True, True]


def test_it_goes_back_to_the_preferred_one_once_that_is_well() -> None:
    async def story() -> None:
        them, (first, *_) = relays(Limits(), Limits())
        first.failed(RelayError("421"), carrying=True)
        assert turns(them) == [True, True]
        first.worked()
        assert turns(them) == [True, False]

    asyncio.run(story())


def test_a_relay_at_its_limit_lets_the_next_one_carry_until_it_may_again() -> None:
    them, (first, second) = relays(Limits(per_minute=1), Limits(per_second=1))
    first.allowance.begin("a.example", NOW)
    assert turns(them) == [False, True]
    second.allowance.begin("a.example", NOW)
    assert turns(them) == [False, False]
    assert them.wait_s(first, NOW) == 60
    assert them.wait_s(second, NOW) == 1
    assert them.wait_s(first, NOW + 60) == 0
    assert them.wait_s(second, NOW + 60) == inf


def test_a_relay_whose_portion_is_on_its_way_is_waited_for() -> None:
    them, (first, second) = relays(Limits(per_day=5), Limits())
    assert turns(them) == [False, False]
    first.allowance.used_up = True
    assert turns(them) == [False, True]
    first.allowance.used_up = False
    first.allowance.grant(1)
    assert turns(them) == [True, False]
    assert them.wait_s(second, NOW) == inf
