"""The short form of ``make torture``: every kind of trouble once, judged by the receiver."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.torture import campaign, guards
from tests.torture.campaign import Simulations, Total
from tests.torture.guards import GUARDS, GuardNotFound
from tests.torture.scenario import PROFILES
from tests.torture.sweep import Arena, Ordeal, all_of

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

#: Runs known to need the guard. Threads of two workers race, so some guards get more than one.
NEEDS_IT = {
    "gate at MAIL": (1, 3),
    "gate after 354": (4, 5),
    "conditional claim": (1, 2, 4),
    "token": (25, 32, 53, 25, 32, 53),
    "flight log": (1, 2),
}


#: What takes long is left to the full form.
SHORT = [profile for profile in PROFILES if profile not in {"replies", "long"}]


def nothing(_: str) -> None:
    """Print nothing."""


@pytest.fixture(scope="module")
def simulations() -> Iterator[Simulations]:
    with Simulations() as simulations:
        yield simulations


def test_simulated_runs_lose_nobody_double_nobody_and_are_never_early(
    simulations: Simulations,
) -> None:
    total = Total(nothing)
    total.simulated(simulations.run([(profile, 1, "") for profile in SHORT]))
    assert not total.says
    assert total.runs == len(SHORT)
    assert total.happened.total() > 100


def test_each_guard_that_is_switched_off_is_missed(simulations: Simulations) -> None:
    orders = [
        (guard.profile, seed, guard.name)
        for guard in GUARDS
        for seed in NEEDS_IT.get(guard.name, (1,))
    ]
    found = {one.without for one in simulations.run(orders) if one.guilty}
    assert found == {guard.name for guard in GUARDS}


def test_a_guard_that_is_not_where_it_was_is_an_error() -> None:
    with pytest.raises(GuardNotFound, match="flightlog"):
        guards._found(guards.flightlog, "moved")
    with pytest.raises(GuardNotFound, match="gates"):
        guards._found(guards.transaction.Session, "send", "gates")


def test_workers_killed_at_points_of_their_whole_life_lose_and_double_nobody() -> None:
    async def story() -> Total:
        total = Total(nothing)
        arena = Arena(campaign.LANES)
        ordeals = [Ordeal("kill", point, pipelining=point % 2 == 0) for point in range(2, 75, 6)]
        try:
            async for outcome in all_of(arena, [*ordeals, Ordeal("disk", people=24)]):
                total.processed(outcome)
        finally:
            arena.close()
        return total

    total = asyncio.run(story())
    assert not total.says
    assert total.kills >= 8
