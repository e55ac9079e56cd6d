"""I2: the guarded clock is never early while one of the clocks it asks tells the truth."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor import clock as module
from distributor.clock import (
    AGREE_S,
    STEADY_FOR_S,
    STEADY_WITHIN_S,
    GuardedClock,
    boot_id,
    host_id,
)

NOON = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)


@dataclass
class World:
    """True time, and a wall clock and a database clock that may lie by so many seconds."""

    true: datetime = NOON
    boot_s: float = 1000.0
    wall_lies_s: float = 0.0
    database_lies_s: float = 0.0
    clock: GuardedClock = field(init=False)

    def __post_init__(self) -> None:
        self.clock = GuardedClock(wall=self.wall, boot=lambda: self.boot_s)

    def wall(self) -> datetime:
        return self.true + timedelta(seconds=self.wall_lies_s)

    def passes(self, seconds: float) -> None:
        """Time goes on, whether the machine sleeps or not."""
        self.true += timedelta(seconds=seconds)
        self.boot_s += seconds

    def passes_watched(self, seconds: int) -> None:
        """Time goes on and the worker ticks."""
        for _ in range(seconds):
            self.passes(1)
            self.clock.reading()

    def ask_database(self, *, round_trip_s: float = 0.0) -> bool:
        asked_s = self.clock.monotonic()
        answer = self.true + timedelta(seconds=self.database_lies_s)
        self.passes(round_trip_s)
        return self.clock.observe_database(answer, asked_s=asked_s)

    def early_s(self) -> float:
        return (self.clock.now() - self.true).total_seconds()


def test_honest_clocks_agree_on_the_time() -> None:
    world = World()
    world.passes(3600)
    reading = world.clock.reading()
    assert reading.now == world.true
    assert reading.now.tzinfo is UTC
    assert reading.agrees
    assert reading.spread_s == 0
    assert set(reading.sources) == {"wall", "anchor"}


def test_a_wall_clock_in_another_zone_is_read_in_utc() -> None:
    tokyo = timezone(timedelta(hours=9))
    clock = GuardedClock(wall=lambda: NOON.astimezone(tokyo), boot=lambda: 5.0)
    assert clock.now() == NOON
    assert clock.now().tzinfo is UTC


@pytest.mark.parametrize("jump_s", [-86400.0, -3600.0, -2.1, 2.1, 3600.0, 365 * 86400.0])
def test_a_jump_of_the_wall_clock_is_seen_and_never_makes_early(jump_s: float) -> None:
    world = World()
    world.wall_lies_s = jump_s
    reading = world.clock.reading()
    assert not reading.agrees
    assert reading.spread_s == pytest.approx(abs(jump_s))
    assert world.early_s() <= 0
    assert reading.sources[0] == ("wall" if jump_s < 0 else "anchor")


@pytest.mark.parametrize("jump_s", [-AGREE_S, -0.1, 0.1, AGREE_S])
def test_small_differences_are_agreement_and_the_earliest_counts(jump_s: float) -> None:
    world = World()
    world.wall_lies_s = jump_s
    assert world.clock.reading().agrees
    assert world.early_s() == pytest.approx(min(jump_s, 0))


def test_a_suspended_laptop_wakes_to_the_right_time() -> None:
    world = World()
    world.passes(8 * 3600)  # CLOCK_BOOTTIME ran on in its sleep
    assert world.clock.reading().agrees
    assert world.early_s() == 0


def test_a_database_ahead_or_behind_is_seen() -> None:
    for lies_s in (-30.0, 30.0):
        world = World(database_lies_s=lies_s)
        assert world.ask_database()
        reading = world.clock.reading()
        assert not reading.agrees
        assert set(reading.sources) == {"wall", "anchor", "database"}
        assert world.early_s() == min(lies_s, 0)


def test_the_round_trip_can_only_make_the_database_late() -> None:
    world = World()
    assert world.ask_database(round_trip_s=0.8)
    assert world.early_s() == pytest.approx(-0.8)


def test_a_database_that_answered_too_slowly_did_not_say_the_time() -> None:
    world = World()
    assert not world.ask_database(round_trip_s=1.1)
    assert "database" not in world.clock.reading().sources
    assert not world.clock.observe_database(world.true, asked_s=world.clock.monotonic() + 1)


def test_the_database_is_carried_forward_between_two_askings() -> None:
    world = World()
    world.ask_database()
    world.passes(600)
    assert world.early_s() == 0
    assert world.clock.reading().agrees


# Setting the anchor anew


def test_a_corrected_wall_clock_is_believed_after_a_quiet_minute() -> None:
    world = World(wall_lies_s=-3600)  # started with a wrong clock; now it is put right
    world.wall_lies_s = 0
    world.passes_watched(60)
    assert not world.clock.reading().agrees
    assert world.clock.reanchor() is None
    world.passes_watched(1)
    jump = world.clock.reanchor()
    assert jump is not None
    assert jump.by_s == 3600
    assert jump.after == world.true
    assert world.clock.reading().agrees
    assert world.early_s() == 0
    assert world.clock.reanchor() is None


def test_a_wall_clock_set_back_is_believed_after_a_quiet_minute() -> None:
    world = World()
    world.wall_lies_s = -600
    world.passes_watched(62)
    jump = world.clock.reanchor()
    assert jump is not None
    assert jump.by_s == -600
    assert world.clock.reading().agrees


def test_clocks_that_agree_leave_the_anchor_alone() -> None:
    world = World()
    world.passes_watched(300)
    assert world.clock.reanchor() is None


def test_an_anchor_that_lags_within_agreement_is_mended_as_well() -> None:
    world = World(wall_lies_s=-1.5)
    world.wall_lies_s = 0
    assert world.early_s() == -1.5
    world.passes_watched(62)
    assert world.clock.reanchor() is not None
    assert world.early_s() == 0


def test_every_further_jump_starts_the_minute_again() -> None:
    world = World()
    for lie_s in (100.0, 200.0, 300.0):
        world.wall_lies_s = lie_s
        world.passes_watched(59)
        assert world.clock.reanchor() is None


def test_a_clock_that_creeps_never_keeps_still() -> None:
    world = World()
    for second in range(300):
        world.wall_lies_s = 10 + second * 0.05
        world.passes_watched(1)
        assert world.clock.reanchor() is None


def test_nobody_watching_is_not_keeping_still() -> None:
    world = World()
    world.wall_lies_s = 100
    world.clock.reading()
    world.passes(STEADY_FOR_S * 10)
    assert world.clock.reanchor() is None
    world.passes_watched(59)
    assert world.clock.reanchor() is None
    world.passes_watched(2)
    assert world.clock.reanchor() is not None


def test_a_wall_clock_the_database_contradicts_is_never_believed() -> None:
    world = World()
    world.ask_database()
    world.wall_lies_s = 3600
    for _ in range(20):
        world.passes_watched(30)
        world.ask_database()
        assert world.clock.reanchor() is None
        assert not world.clock.reading().agrees
        assert world.early_s() <= 0


def test_wall_and_database_together_outvote_a_wrong_anchor() -> None:
    world = World(wall_lies_s=-3600)
    world.wall_lies_s = 0
    world.ask_database()
    world.passes_watched(62)
    jump = world.clock.reanchor()
    assert jump is not None
    assert world.clock.reading().agrees
    assert world.early_s() == 0


def test_the_new_anchor_is_the_earlier_of_two_that_agree() -> None:
    world = World(wall_lies_s=-3600)
    world.wall_lies_s = 1.5
    world.ask_database()
    world.passes_watched(62)
    jump = world.clock.reanchor()
    assert jump is not None
    assert jump.after == world.true


def test_no_anchor_is_set_where_wall_and_database_contradict_each_other() -> None:
    world = World(wall_lies_s=-3600)
    world.wall_lies_s = 3600
    world.ask_database()
    world.passes_watched(200)
    assert world.clock.reanchor() is None


# Properties: scripted worlds

lies = st.one_of(st.sampled_from([0.0, 0.3, 1.9, 2.1, 3600.0]), st.floats(-1e8, 1e8))
steps = st.lists(
    st.tuples(
        st.sampled_from(["pass", "watch", "wall", "database", "ask", "reanchor"]),
        lies,
        st.integers(0, 90),
    ),
    max_size=40,
)


def play(world: World, step: str, lie_s: float, seconds: int, *, database_lies: bool) -> None:
    if step == "pass":
        world.passes(seconds)
    elif step == "watch":
        world.passes_watched(seconds)
    elif step == "wall":
        world.wall_lies_s = lie_s
    elif step == "database" and database_lies:
        world.database_lies_s = lie_s
    elif step == "ask":
        world.ask_database(round_trip_s=seconds / 60)
    elif step == "reanchor":
        world.clock.reanchor()


@given(start_lie=lies, script=steps)
def test_never_early_while_the_database_tells_the_truth(
    start_lie: float, script: list[tuple[str, float, int]]
) -> None:
    world = World(wall_lies_s=start_lie)
    world.ask_database()
    for step, lie_s, seconds in script:
        play(world, step, lie_s, seconds, database_lies=False)
        assert world.early_s() <= 1e-5


@given(script=steps)
def test_never_early_while_the_anchor_was_taken_from_an_honest_wall_clock(
    script: list[tuple[str, float, int]],
) -> None:
    world = World()
    for step, lie_s, seconds in script:
        if step != "reanchor":
            play(world, step, lie_s, seconds, database_lies=True)
        assert world.early_s() <= 1e-5


@given(start_lie=lies, script=steps)
def test_agreement_means_that_no_clock_is_far_from_now(
    start_lie: float, script: list[tuple[str, float, int]]
) -> None:
    world = World(wall_lies_s=start_lie)
    for step, lie_s, seconds in script:
        play(world, step, lie_s, seconds, database_lies=True)
        reading = world.clock.reading()
        assert reading.now <= world.wall() + timedelta(microseconds=10)
        if reading.agrees:
            assert (world.wall() - reading.now).total_seconds() <= AGREE_S + 1e-5


@given(first=lies, then=lies)
def test_any_lasting_change_of_the_only_clock_ends_in_agreement(first: float, then: float) -> None:
    world = World(wall_lies_s=first)
    world.wall_lies_s = then
    world.passes_watched(62)
    world.clock.reanchor()
    reading = world.clock.reading()
    assert reading.agrees
    assert abs((world.wall() - reading.now).total_seconds()) <= STEADY_WITHIN_S + 1e-5


# The real clocks


def test_the_real_clocks_agree_on_this_machine() -> None:
    clock = GuardedClock()
    before = clock.monotonic()
    readings = [clock.reading() for _ in range(100)]
    assert all(reading.agrees for reading in readings)
    assert [r.now for r in readings] == sorted(r.now for r in readings)
    assert clock.monotonic() > before


def test_boot_and_host_are_named_without_giving_the_machine_id_away() -> None:
    assert re.fullmatch(r"[0-9a-f-]{36}", boot_id())
    assert re.fullmatch(r"[0-9a-f]{32}", host_id())
    assert host_id() == host_id()


def test_a_machine_without_an_id_goes_by_its_host_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_id = host_id()
    monkeypatch.setattr(module, "_MACHINE_IDS", ())
    assert re.fullmatch(r"[0-9a-f]{32}", host_id())
    assert host_id() != with_id
