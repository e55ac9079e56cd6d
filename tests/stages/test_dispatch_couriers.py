"""Couriers: what a connection that is gone leaves to the others, and what a claim takes back."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from distributor.clock import GuardedClock
from distributor.core.model import AudienceRule, Claim, Delivery, Recipient, Wave, WaveKind
from distributor.core.states import WaveState
from distributor.mail.relay import Relay, RelayPolicy
from distributor.mail.relays import Relays
from distributor.mail.transaction import Envelope
from distributor.stages.dispatch.claims import Holding
from distributor.stages.dispatch.couriers import Call, Couriers
from distributor.stages.dispatch.parcels import AHEAD, Hand, Line, Load, Parcel
from tests.flow.press import Press
from tests.mail.scripted import CUT, PIPELINING, Scripted, Wait

if TYPE_CHECKING:
    from pathlib import Path

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
WAVE = Wave(1, 1, 1, WaveKind.GENERAL, WaveState.SENDING, NOON, AudienceRule((1,)))


def couriers_of(connections: int) -> Couriers:
    relay = Relay(RelayPolicy("relay", "127.0.0.1", 25, connections=connections))
    nothing = cast("Any", None)
    return Couriers(
        relay,
        Relays([relay]),
        Line(),
        Call(),
        claims=nothing,
        recorder=cast("Any", SimpleNamespace(has_room=True)),
        clock=GuardedClock(),
        flight=nothing,
    )


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
        couriers._line.add([parcel])
        assert await waiting is None
        fresh = SimpleNamespace(alive=True)
        assert await couriers._next_parcel(cast("Any", fresh)) is parcel

    asyncio.run(story())


def test_a_claim_takes_back_its_own_parcels_only() -> None:
    async def story() -> None:
        couriers = couriers_of(4)
        mine, other = a_holding(1), a_holding(2)
        for number in range(6):
            couriers._line.add([a_parcel(mine if number % 2 else other, number)])
        assert [delivery.id for delivery in couriers._line.withdraw(mine)] == [1, 3, 5]
        assert [delivery.id for delivery in couriers._line.withdraw(other)] == [0, 2, 4]

    asyncio.run(story())


def test_there_is_room_while_few_wait_and_again_when_some_were_taken_back() -> None:
    async def story() -> None:
        couriers = couriers_of(2)
        mine, other = a_holding(1), a_holding(2)
        couriers._line.add([a_parcel(mine, number) for number in range(AHEAD)])
        assert await couriers._line.room(0.02)
        couriers._line.add([a_parcel(other, AHEAD)])
        assert not await couriers._line.room(0.02)
        assert len(couriers._line.withdraw(mine)) == AHEAD
        assert await couriers._line.room(0.02)

    asyncio.run(story())


# What rides behind another mail


def carry(folder: Path, server: Scripted, story: Any, people: int = 30, **changes: Any) -> None:
    """One wave over one connection to a server that takes pipelined commands."""

    async def tell() -> None:
        async with server:
            with Press(folder, server.port, relay__connections=1, **changes) as press:
                ref = press.wave(people)
                async with press.working():
                    await story(press, ref)

    asyncio.run(tell())


def dotted(server: Scripted) -> list[bytes]:
    return [rcpt for seen in server.conversations for rcpt, _ in seen.taken]


def test_a_wave_goes_out_pipelined_and_everybody_is_accounted_for(tmp_path: Path) -> None:
    server = Scripted(offers=PIPELINING, dot=(Wait(0.01), b"250 2.0.0 kept\r\n"))

    async def story(press: Press, ref: str) -> None:
        assert await press.done(ref) == {"accepted": 60}
        assert {line.attempts for line in press.log(ref)} == {1}

    carry(tmp_path, server, story, people=60)
    assert len(dotted(server)) == len(set(dotted(server))) == 60
    assert len(server.conversations) == 1


def test_i5_a_cut_after_a_dot_leaves_one_uncertain_and_the_riding_mail_goes_again(
    tmp_path: Path,
) -> None:
    server = Scripted(
        offers=PIPELINING, answers={"dot": [*[b"250 2.0.0 kept\r\n"] * 9, CUT, b"250 2.0.0 ok\r\n"]}
    )

    async def story(press: Press, ref: str) -> None:
        assert await press.done(ref) == {"accepted": 29, "uncertain": 1}

    carry(tmp_path, server, story)
    assert len(dotted(server)) == len(set(dotted(server))) == 30
    assert len(server.conversations) == 2


def test_refusals_among_riding_mails_stay_with_their_recipients(tmp_path: Path) -> None:
    ok = b"250 2.1.5 ok\r\n"
    server = Scripted(
        offers=PIPELINING,
        answers={"rcpt": [*[ok] * 5, b"550 5.1.1 no\r\n", *[ok] * 5, b"550 5.1.1 no\r\n", ok]},
    )

    async def story(press: Press, ref: str) -> None:
        assert await press.done(ref) == {"accepted": 28, "refused": 2}

    carry(tmp_path, server, story)
    assert len(set(dotted(server))) == 28
    assert not any(bytes(body) == b".\r\n" for seen in server.conversations for body in seen.bodies)


def test_i7_a_hold_during_a_slow_answer_stops_the_riding_mail_before_its_content(
    tmp_path: Path,
) -> None:
    server = Scripted(
        offers=PIPELINING, answers={"dot": [(Wait(1.5), b"250 2.0.0 at last\r\n"), b"250 ok\r\n"]}
    )

    async def story(press: Press, ref: str) -> None:
        await press.until(lambda: any(seen.taken for seen in server.conversations))
        press.hold(ref)
        await press.until(lambda: press.counts(ref) == {"accepted": 1, "queued": 29})
        assert len(dotted(server)) == 1
        press.resume(ref)
        assert await press.done(ref) == {"accepted": 30}

    carry(tmp_path, server, story)
    assert server.conversations[0].verbs[-6:] == ["MAIL", "RCPT", "DATA"] * 2
    assert server.conversations[0].bodies[1] == b""
    assert len(set(dotted(server))) == 30


def test_an_objection_shuts_the_gate_of_one_mail_alone() -> None:
    objected = {"reader2@paper.example"}
    claims = SimpleNamespace(
        shut=lambda _: None, is_suppressed=lambda delivery: delivery.address_key in objected
    )
    couriers = couriers_of(1)
    couriers._claims = cast("Any", claims)
    holding = a_holding(1)
    assert couriers._gate(a_parcel(holding, 1))() is None
    assert couriers._gate(a_parcel(holding, 2))() == "objection"


def test_a_claim_that_is_taken_back_shuts_the_gate_of_what_rides_alone() -> None:
    async def story() -> None:
        couriers, holding = couriers_of(1), a_holding(1)
        claims = SimpleNamespace(shut=lambda _: None, is_suppressed=lambda _: False)
        couriers._claims = cast("Any", claims)
        parcel = a_parcel(holding, 1)
        plain, riding = couriers._gate(parcel), couriers._gate(parcel, rides=True)
        assert (plain(), riding()) == (None, None)
        couriers._line.withdraw(holding)
        assert (plain(), riding()) == (None, "withdrawn")
        couriers._line.add([parcel])
        assert riding() is None

    asyncio.run(story())


def test_a_stop_does_not_wait_for_riding_mails(tmp_path: Path) -> None:
    server = Scripted(offers=PIPELINING, dot=(Wait(2.0), b"250 2.0.0 at last\r\n"))

    async def story() -> None:
        async with server:
            with Press(tmp_path, server.port) as press:
                ref = press.wave(20)
                async with press.working() as worker:
                    await press.until(lambda: any(seen.taken for seen in server.conversations))
                    worker._dispatch.stop()
                assert press.counts(ref) == {"accepted": 4, "queued": 16}

    asyncio.run(story())
    assert len(dotted(server)) == 4


def test_a_parcel_whose_gate_is_shut_waits_where_its_claim_can_take_it_back() -> None:
    async def story() -> None:
        couriers, hand, holding = couriers_of(1), Hand(), a_holding(1)
        couriers._claims = cast("Any", SimpleNamespace(shut=lambda _: "stale"))
        couriers._line.add([a_parcel(holding, 1)])
        assert couriers._follow(hand) is None
        assert hand.load is None
        assert [delivery.id for delivery in couriers._line.withdraw(holding)] == [1]

    asyncio.run(story())


def test_a_load_that_did_not_ride_is_given_back_when_its_connection_is_gone() -> None:
    async def story() -> None:
        couriers, returned = couriers_of(1), list[int]()

        async def take_back(_: Holding, back: list[Delivery]) -> None:
            returned.extend(delivery.id for delivery in back)

        couriers._claims = cast("Any", SimpleNamespace(take_back=take_back))
        gone = SimpleNamespace(alive=False, carries=lambda _: False)
        envelope = Envelope("a@x.example", "b@x.example", b"", delivery=1)
        load = Load(a_parcel(a_holding(1), 1), NOON, envelope)
        assert await couriers._send(cast("Any", gone), load, Hand())
        assert returned == [1]

    asyncio.run(story())
