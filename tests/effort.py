"""What reading costs, told by how it grows: a busy machine slows a clock, not a proportion."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: So many seconds of processor time are little, whatever they grow like.
SMALL_S = 0.25
#: Four times the text may cost up to this many times as much; the square of four is sixteen.
STEEPEST = 8


def effort(work: Callable[[], object]) -> float:
    """Return the least processor time, in seconds, that ``work`` took this thread in three goes."""
    goes: list[float] = []
    for _ in range(3):
        began = time.thread_time()
        work()
        goes.append(time.thread_time() - began)
    return min(goes)


def read_at_once(read: Callable[[str], object], text: str) -> bool:
    """Return whether ``read`` gets through `text` quickly, or in proportion to its length."""
    whole = effort(lambda: read(text))
    return whole < SMALL_S or whole < STEEPEST * effort(lambda: read(text[: len(text) // 4]))
