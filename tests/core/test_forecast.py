from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from distributor.core.forecast import SPAN, Quota, forecast, span_of
from distributor.core.limits import Limits

WEDNESDAY_6 = datetime(2026, 12, 2, 6, tzinfo=UTC)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


def quota(name: str = "relay", *spent: tuple[datetime, int], **limits: Any) -> Quota:
    return Quota(name, Limits(**limits), tuple(spent))


@pytest.mark.parametrize(
    ("left", "quotas", "took"),
    [
        (3000, [quota(per_day=2000)], DAY + SPAN),
        (2000, [quota(per_day=2000)], None),
        (2001, [quota(per_day=2000)], DAY + SPAN),
        (9000, [quota(per_day=2000)], 4 * (DAY + SPAN)),
        (600, [quota(per_minute=100)], 6 * MINUTE),
        (600, [quota(per_second=2)], 5 * MINUTE),
        (600, [quota(per_second=2, per_minute=60)], 10 * MINUTE),
        (0, [quota(per_day=1)], None),
        (600, [quota()], None),
        (600, [], None),
        (60_000, [quota(per_minute=1), quota("b")], None),
        (600, [quota(per_minute=60), quota("b", per_minute=60)], 5 * MINUTE),
        (1600, [quota("a", per_day=1000), quota("b", per_minute=60)], 10 * MINUTE),
        (3000, [quota("a", per_day=1000), quota("b", per_day=1000)], DAY + SPAN),
    ],
)
def test_a_wave_takes_as_long_as_its_limits_make_it(
    left: int, quotas: list[Quota], took: timedelta | None
) -> None:
    seen = forecast(left, quotas, start=WEDNESDAY_6)
    assert (seen and seen.at and seen.at - WEDNESDAY_6) == took


def test_what_was_spent_before_counts_until_it_is_a_day_old() -> None:
    before = (WEDNESDAY_6 - timedelta(hours=20), 1500)
    seen = forecast(1000, [quota("r", before, per_day=2000)], start=WEDNESDAY_6)
    assert seen is not None
    assert seen.at == WEDNESDAY_6 + timedelta(hours=4) + SPAN
    old = (WEDNESDAY_6 - timedelta(hours=25), 2000)
    assert forecast(1000, [quota("r", old, per_day=2000)], start=WEDNESDAY_6) is None


def test_a_start_within_a_span_is_no_reason_to_send_more() -> None:
    start = WEDNESDAY_6 + timedelta(minutes=9, seconds=30)
    seen = forecast(150, [quota(per_minute=60, per_day=100)], start=start)
    assert seen is not None
    # 30 in what is left of the span, 70 after; the 50 wait until the 30 are a day old, and longer.
    assert seen.at is not None
    assert seen.at > start + DAY


def test_what_takes_more_than_a_year_has_no_end() -> None:
    for limits in ({"per_day": 1}, {"per_minute": 1}):
        seen = forecast(1_000_000, [quota("relay", **limits)], start=WEDNESDAY_6)
        assert seen is not None
        assert seen.at is None
        assert seen.misses(WEDNESDAY_6 + 300 * DAY)


def test_the_limits_are_said_in_words() -> None:
    seen = forecast(3000, [quota(per_day=2000)], start=WEDNESDAY_6)
    assert seen is not None
    assert seen.because == "2,000 a day"
    both = [quota("one", per_minute=1), quota("two", per_second=1, per_day=20)]
    seen = forecast(3000, both, start=WEDNESDAY_6)
    assert seen is not None
    assert seen.because == "1 a minute (one); 1 a second, 20 a day (two)"


def test_a_forecast_after_the_deadline_misses_it() -> None:
    seen = forecast(3000, [quota(per_day=2000)], start=WEDNESDAY_6)
    assert seen is not None
    assert seen.misses(WEDNESDAY_6 + DAY)
    assert not seen.misses(WEDNESDAY_6 + 2 * DAY)


def test_left_and_used_are_those_of_the_last_day() -> None:
    spent = ((WEDNESDAY_6 - timedelta(hours=30), 50), (WEDNESDAY_6 - timedelta(hours=1), 70))
    today = quota("r", *spent, per_day=100)
    assert (today.used(WEDNESDAY_6), today.left(WEDNESDAY_6)) == (70, 30)
    assert quota("r", *spent, per_day=60).left(WEDNESDAY_6) == 0
    assert quota("r", *spent).left(WEDNESDAY_6) is None


def test_a_span_begins_every_ten_minutes() -> None:
    assert span_of(WEDNESDAY_6 + timedelta(minutes=9, seconds=59)) == WEDNESDAY_6
    assert span_of(WEDNESDAY_6) == WEDNESDAY_6
