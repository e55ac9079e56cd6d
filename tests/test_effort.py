"""The measure of effort finds what grows too fast."""

from __future__ import annotations

import re

from tests.effort import read_at_once


def test_a_pattern_that_backtracks_is_not_read_at_once() -> None:
    pattern = re.compile(r"(a+)b|(a*)c")
    assert not read_at_once(pattern.search, "a" * 10_000)


def test_a_long_text_read_in_proportion_is_read_at_once() -> None:
    def each_letter_thirty_times(text: str) -> int:
        return sum(1 for _ in text for _ in range(30))

    assert read_at_once(each_letter_thirty_times, "a" * 400_000)
