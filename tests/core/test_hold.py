"""What a hold says of itself, and the order that ends it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from distributor.core.hold import WAIVED_BY_NAME, going_on, hold_words
from distributor.core.model import AudienceRule, Wave, WaveKind
from distributor.core.states import HoldReason, WaveState
from tests.builders import NOON

WAVE = Wave(
    id=1,
    release_id=7,
    version_id=1,
    kind=WaveKind.GENERAL,
    state=WaveState.SENDING,
    send_at=NOON,
    audience=AudienceRule(()),
)


@pytest.mark.parametrize("reason", HoldReason)
def test_every_reason_is_told_in_words_and_with_the_order_that_ends_it(reason: HoldReason) -> None:
    wave = replace(WAVE, state=WaveState.HELD, reason=reason)
    said, order = hold_words(wave), going_on(wave)
    assert said.startswith(f"{reason}: ")
    assert len(said) > len(f"{reason}: ") + 10
    way = "distributor doctor" if reason is HoldReason.CLOCK else "distributor release resume R-7"
    assert way in order
    assert (f"--waive {reason}" in order) is (reason in WAIVED_BY_NAME)
    assert ("--missed" in order) is (reason is HoldReason.REFUSED)


def test_of_a_wave_that_is_not_held_nothing_is_said() -> None:
    assert hold_words(WAVE) == ""
