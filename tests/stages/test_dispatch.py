"""The gate in dispatch: never early whatever the clocks do (I1), shut when marks are old (I7)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from hypothesis import given
from hypothesis import strategies as st

from distributor.clock import GuardedClock, system_wall
from distributor.core.model import AudienceRule, Claim, Wave, WaveKind
from distributor.core.policy import SendingPolicy
from distributor.core.states import HoldReason, WaveState
from distributor.core.timing import Shut
from distributor.errors import IllegalMove, StoreError
from distributor.stages.dispatch import dispatch
from distributor.stages.dispatch.claims import Claims, Holding
from tests.flow.press import Press
from tests.mail.scripted import Scripted, Step, Wait

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
WAVE = Wave(
    id=1,
    release_id=1,
    version_id=1,
    kind=WaveKind.GENERAL,
    state=WaveState.SENDING,
    send_at=NOON,
    audience=AudienceRule((1,)),
    embargo_at=NOON,
)


class TrueTime:
    """The time it really is, and clocks that say something else."""

    def __init__(self, before_s: float) -> None:
        self.now = NOON - timedelta(seconds=before_s)
        self.boot_s = 1000.0
        self.wall_off_s = 0.0

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.boot_s += seconds

    def clock(self) -> GuardedClock:
        return GuardedClock(
            wall=lambda: self.now + timedelta(seconds=self.wall_off_s),
            boot=lambda: self.boot_s,
        )


def holding(clock: GuardedClock, wave: Wave = WAVE, *, lease_s: float = 60.0) -> Holding:
    at = clock.monotonic()
    return Holding(
        Claim(1, wave, 7),
        leased_until_s=at + lease_s,
        wave=wave,
        seen_s=at,
        claimed_at=clock.now(),
    )


def claims_with(clock: GuardedClock) -> Claims:
    return Claims(cast("Any", None), clock, SendingPolicy(), worker="w1")


OFFSETS = st.one_of(st.floats(-3, 3), st.floats(-1e7, 1e7))
STEPS = st.lists(st.tuples(st.floats(0, 30), OFFSETS, st.none() | OFFSETS), max_size=25)


@given(before_s=st.floats(0.1, 300), steps=STEPS)
def test_the_gate_never_opens_early_while_one_clock_is_right(
    before_s: float, steps: list[tuple[float, float, float | None]]
) -> None:
    true = TrueTime(before_s)
    clock = true.clock()
    claims = claims_with(clock)
    for seconds, wall_off_s, database_off_s in steps:
        true.advance(seconds)
        true.wall_off_s = wall_off_s
        if database_off_s is not None:
            clock.observe_database(
                true.now + timedelta(seconds=database_off_s), asked_s=clock.monotonic()
            )
        if claims.shut(holding(clock)) is None:
            assert true.now >= NOON


@given(before_s=st.floats(0.1, 60), off_s=st.floats(-1e6, 1e6), watched=st.floats(0.1, 9))
def test_an_anchor_set_anew_is_never_early_when_the_database_is_right(
    before_s: float, off_s: float, watched: float
) -> None:
    true = TrueTime(before_s)
    true.wall_off_s = off_s
    clock = true.clock()
    claims = claims_with(clock)
    true.wall_off_s = off_s / 2
    for _ in range(40):
        true.advance(watched)
        clock.observe_database(true.now, asked_s=clock.monotonic())
        clock.reanchor()
        if claims.shut(holding(clock)) is None:
            assert true.now >= NOON


def test_marks_older_than_three_quarters_of_a_second_shut_the_gate() -> None:
    true = TrueTime(-5)
    clock = true.clock()
    claims = claims_with(clock)
    held = holding(clock)
    assert claims.shut(held) is None
    true.advance(0.7)
    assert claims.shut(held) is None
    true.advance(0.1)
    assert claims.shut(held) is Shut.STALE


def test_a_lost_or_ending_lease_shuts_the_gate() -> None:
    true = TrueTime(-5)
    clock = true.clock()
    claims = claims_with(clock)
    assert claims.shut(holding(clock, lease_s=4.9)) is Shut.LEASE
    held = holding(clock)
    held.lost = True
    assert claims.shut(held) is Shut.LEASE


def tell(folder: Path, server: Scripted, story: Any, *, people: int = 20, **changes: Any) -> None:
    async def run() -> None:
        async with server:
            with Press(folder, server.port, **changes) as press:
                await story(press, people)

    asyncio.run(run())


def test_a_wall_clock_set_forward_before_the_embargo_sends_nothing_early(tmp_path: Path) -> None:
    off = timedelta(0)
    server = Scripted()

    async def story(press: Press, people: int) -> None:
        nonlocal off
        press.app = replace(press.app, clock=GuardedClock(wall=lambda: system_wall() + off))
        press.people(people)
        ref = press.release(after_s=4)
        async with press.working():
            await press.until(lambda: press.view(ref).wave.state is WaveState.READY)
            off = timedelta(hours=1)
            await asyncio.sleep(1.5)
            embargo_at = press.view(ref).wave.embargo_at
            assert embargo_at is not None
            assert system_wall() < embargo_at
            await asyncio.sleep((embargo_at - system_wall()).total_seconds() + 1)
            assert press.view(ref).wave.reason is HoldReason.CLOCK

    tell(tmp_path, server, story)
    assert not any("MAIL" in seen.verbs for seen in server.conversations)


def test_a_gate_found_shut_after_354_drops_the_connection_before_the_body(tmp_path: Path) -> None:
    slow: Step = (Wait(1.0), b"354 go\r\n")
    server = Scripted(answers={"data": [*[slow] * 4, b"354 go\r\n"]})

    async def story(press: Press, people: int) -> None:
        ref = press.wave(people)
        async with press.working():
            await press.until(
                lambda: sum("DATA" in seen.verbs for seen in server.conversations) == 4
            )
            press.hold(ref)
            await asyncio.sleep(1.6)
            assert all(not any(seen.bodies) for seen in server.conversations)
            assert all(seen.over.is_set() for seen in server.conversations[:4])
            assert press.counts(ref) == {"queued": people}
            press.resume(ref)
            assert await press.done(ref) == {"accepted": people}
            assert {line.attempts for line in press.log(ref)} == {1}

    tell(tmp_path, server, story)


def test_a_worker_that_loses_the_first_claim_asks_again_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "NAP_S", 3600.0)
    server = Scripted()

    async def story(press: Press, people: int) -> None:
        ref = press.wave(people)
        press.seal()
        lost = 0
        async with press.working() as worker:
            take = worker._dispatch.claims.take

            async def loses() -> Holding | None:
                nonlocal lost
                lost += 1
                if lost == 1:
                    raise IllegalMove(before=WaveState.SENDING, after=WaveState.SENDING)
                return await take()

            monkeypatch.setattr(worker._dispatch.claims, "take", loses)
            worker._dispatch.wake()
            assert await press.done(ref) == {"accepted": people}
        assert lost > 1

    tell(tmp_path, server, story)


def test_while_the_marks_cannot_be_read_nothing_starts_and_then_all_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Scripted(dot=(Wait(0.05), b"250 2.0.0 kept\r\n"))

    def mails() -> int:
        return sum(seen.verbs.count("MAIL") for seen in server.conversations)

    async def story(press: Press, people: int) -> None:
        ref = press.wave(people)
        async with press.working() as worker:
            await press.until(lambda: mails() > 20)

            def away(*_: object) -> None:
                raise StoreError("away")

            monkeypatch.setattr(worker._dispatch.claims, "_read", away)
            await asyncio.sleep(1.1)
            before = mails()
            await asyncio.sleep(1.0)
            assert mails() == before < people
            monkeypatch.undo()
            assert await press.done(ref) == {"accepted": people}
        # Not by MAIL: one that the gate stopped after its 354 says it again.
        assert sum(len(seen.taken) for seen in server.conversations) == people

    tell(tmp_path, server, story, people=200)
