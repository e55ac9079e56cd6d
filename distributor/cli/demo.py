"""``distributor demo``."""

from __future__ import annotations


def demo() -> None:
    """Stand in until the demo lands."""
