"""Couriers: what a connection that is gone leaves to the others, and what a claim takes back."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from distributor.clock import GuardedClock
from distributor.core.model import AudienceRule, Claim, Delivery, Recipient, Wave, WaveKind
from distributor.core.states import WaveState
from distributor.stages.dispatch.claims import Holding
from distributor.stages.dispatch.couriers import Couriers, Parcel

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
WAVE = Wave(1, 1, 1, WaveKind.GENERAL, WaveState.SENDING, NOON, AudienceRule((1,)))


def couriers_of(connections: int) -> Couriers:
    relay = SimpleNamespace(policy=SimpleNamespace(connections=connections))
    nothing = cast("Any", None)
    return Couriers(cast("Any", relay), nothing, nothing, GuardedClock(), flight=nothing)


def a_holding(token: int) -> Holding:
    return Holding(Claim(1, WAVE, token), leased_until_s=60, wave=WAVE, seen_s=0, claimed_at=NOON)


def a_parcel(holding: Holding, number: int) -> Parcel:
    address = f"reader{number}@paper.example"
    delivery = Delivery(number, 1, "ref", Recipient(address), address, 1, 0, NOON)
    return Parcel(holding, delivery, cast("Any", None))


def test_a_parcel_that_meets_a_dead_connection_stays_for_another() -> None:
    async def story() -> None:
        couriers = couriers_of(1)
        session = SimpleNamespace(alive=True)
        waiting = asyncio.create_task(couriers._next_parcel(cast("Any", session)))
        await asyncio.sleep(0)
        session.alive = False
        parcel = a_parcel(a_holding(1), 1)
        assert await couriers.take(parcel, 1.0)
        assert await waiting is None
        fresh = SimpleNamespace(alive=True)
        assert await couriers._next_parcel(cast("Any", fresh)) is parcel

    asyncio.run(story())


def test_a_claim_takes_back_its_own_parcels_only() -> None:
    async def story() -> None:
        couriers = couriers_of(4)
        mine, other = a_holding(1), a_holding(2)
        for number in range(6):
            assert await couriers.take(a_parcel(mine if number % 2 else other, number), 1.0)
        assert [delivery.id for delivery in couriers.withdraw(mine)] == [1, 3, 5]
        assert [delivery.id for delivery in couriers.withdraw(other)] == [0, 2, 4]

    asyncio.run(story())


def test_there_is_room_for_two_parcels_a_connection_and_no_more() -> None:
    async def story() -> None:
        couriers = couriers_of(2)
        holding = a_holding(1)
        taken = [await couriers.take(a_parcel(holding, number), 0.02) for number in range(6)]
        assert taken == [True] * 4 + [False] * 2
        assert len(couriers.withdraw(holding)) == 4

    asyncio.run(story())
