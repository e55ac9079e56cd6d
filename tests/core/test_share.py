"""What one process of several may do: the parts add up to the whole, and nobody has much more."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from distributor.core.share import WHOLE, Share

processes = st.integers(min_value=1, max_value=64)


def test_a_process_alone_has_the_whole() -> None:
    assert WHOLE.part(7) == 7
    assert WHOLE.portion(0.5) == 0.5


@given(of=processes, whole=st.integers(min_value=0, max_value=200))
def test_the_parts_add_up_to_the_whole_and_differ_by_one_at_most(of: int, whole: int) -> None:
    parts = [Share(index, of).part(whole) for index in range(of)]
    assert sum(parts) == whole
    assert max(parts) - min(parts) <= 1


@given(of=processes, whole=st.integers(min_value=1, max_value=50))
def test_everybody_has_something_while_there_is_enough(of: int, whole: int) -> None:
    assert (min(Share(index, of).part(whole) for index in range(of)) > 0) is (whole >= of)


@given(of=processes, whole=st.floats(min_value=0.001, max_value=1e6))
def test_the_portions_add_up_to_the_whole(of: int, whole: float) -> None:
    assert math.isclose(sum(Share(index, of).portion(whole) for index in range(of)), whole)
