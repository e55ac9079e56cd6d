"""The gate: may this leave now?"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from math import nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.core.model import WaveKind
from distributor.core.states import WaveState
from distributor.core.timing import GateFacts, Shut, gate

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
OPEN = GateFacts(
    embargo_at=NOON,
    send_at=NOON,
    kind=WaveKind.GENERAL,
    state=WaveState.SENDING,
    marks_age_s=0.0,
    lease_left_s=60.0,
    clock_agrees=True,
    muted=False,
)
EARLY: dict[str, Any] = {"before_lift": True, "embargo_at": NOON + timedelta(days=7)}


def test_gate_opens_at_the_embargo_and_not_a_microsecond_before() -> None:
    assert gate(OPEN, now=NOON) is None
    assert gate(OPEN, now=NOON - TICK) is Shut.EMBARGO


@pytest.mark.parametrize(
    ("changes", "shut"),
    [
        ({}, None),
        ({"embargo_at": None}, None),
        ({"state": WaveState.READY}, None),
        ({"embargo_at": NOON + TICK}, Shut.EMBARGO),
        ({"send_at": NOON + TICK}, Shut.SEND_TIME),
        ({"embargo_at": None, "send_at": NOON + TICK}, Shut.SEND_TIME),
        ({"kind": WaveKind.ADVANCE, "embargo_at": NOON + timedelta(days=7)}, None),
        ({"kind": WaveKind.ADVANCE, "send_at": NOON + TICK}, Shut.SEND_TIME),
        # What is about an advance copy goes where the advance copy went; nothing else does.
        ({**EARLY, "kind": WaveKind.CORRECTION}, None),
        ({**EARLY, "kind": WaveKind.WITHDRAWAL}, None),
        ({**EARLY, "kind": WaveKind.CORRECTION, "send_at": NOON + TICK}, Shut.SEND_TIME),
        ({**EARLY, "kind": WaveKind.CORRECTION, "before_lift": False}, Shut.EMBARGO),
        ({**EARLY, "kind": WaveKind.FOLLOW_UP}, Shut.EMBARGO),
        ({**EARLY, "kind": WaveKind.RESEND}, Shut.EMBARGO),
        ({**EARLY, "kind": WaveKind.GENERAL}, Shut.EMBARGO),
        ({"state": WaveState.HELD}, Shut.HELD),
        ({"state": WaveState.PLANNED}, Shut.HELD),
        ({"state": WaveState.PREPARING}, Shut.HELD),
        ({"state": WaveState.STOPPING}, Shut.STOPPED),
        ({"state": WaveState.CANCELLED}, Shut.STOPPED),
        ({"state": WaveState.FINISHED}, Shut.STOPPED),
        ({"clock_agrees": False}, Shut.CLOCK),
        ({"marks_age_s": 0.75}, None),
        ({"marks_age_s": 0.76}, Shut.STALE),
        ({"marks_age_s": -0.01}, Shut.STALE),
        ({"marks_age_s": nan}, Shut.STALE),
        ({"lease_left_s": 5.0}, None),
        ({"lease_left_s": 4.99}, Shut.LEASE),
        ({"lease_left_s": nan}, Shut.LEASE),
        ({"muted": True}, Shut.MUTED),
        # facts too old say nothing, not even that somebody stopped the wave
        ({"marks_age_s": 9.0, "state": WaveState.CANCELLED, "muted": True}, Shut.STALE),
    ],
)
def test_gate_says_why_it_is_shut(changes: dict[str, Any], shut: Shut | None) -> None:
    assert gate(replace(OPEN, **changes), now=NOON) is shut


def test_every_state_but_ready_and_sending_shuts_the_gate() -> None:
    passing = {state for state in WaveState if gate(replace(OPEN, state=state), now=NOON) is None}
    assert passing == {WaveState.READY, WaveState.SENDING}


@pytest.mark.parametrize(
    "at",
    [
        NOON.replace(tzinfo=None),
        NOON.astimezone(timezone(timedelta(hours=1))),
    ],
)
def test_instants_that_are_not_in_utc_are_refused(at: datetime) -> None:
    with pytest.raises(ValueError, match="UTC only"):
        gate(OPEN, now=at)
    with pytest.raises(ValueError, match="UTC only"):
        replace(OPEN, embargo_at=at)
    with pytest.raises(ValueError, match="UTC only"):
        replace(OPEN, send_at=at)


MOMENTS = st.datetimes(
    datetime(2026, 11, 30),  # noqa: DTZ001 - hypothesis wants naive bounds
    datetime(2026, 12, 2),  # noqa: DTZ001
    timezones=st.just(UTC),
)
FACTS = st.builds(
    GateFacts,
    embargo_at=st.none() | MOMENTS,
    send_at=MOMENTS,
    kind=st.sampled_from(WaveKind),
    state=st.sampled_from([*WaveState, WaveState.SENDING, WaveState.SENDING]),
    marks_age_s=st.floats(0, 0.8) | st.floats(),
    lease_left_s=st.floats(4, 60) | st.floats(),
    clock_agrees=st.booleans(),
    muted=st.booleans(),
)


@given(FACTS, MOMENTS)
def test_never_early_whatever_else_is_true(facts: GateFacts, now: datetime) -> None:
    if gate(facts, now=now) is None:
        assert now >= facts.send_at
        assert facts.kind is WaveKind.ADVANCE or facts.embargo_at is None or now >= facts.embargo_at
        assert facts.clock_agrees
        assert not facts.muted
        assert facts.marks_age_s <= 0.75
        assert facts.lease_left_s >= 5


@given(FACTS, MOMENTS)
def test_gate_that_is_open_stays_open_as_time_goes_on(facts: GateFacts, now: datetime) -> None:
    if gate(facts, now=now) is None:
        assert gate(facts, now=now + timedelta(days=365)) is None
