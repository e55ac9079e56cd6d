"""An outage is told once when it begins, once when it is over, whoever notices it."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from distributor.errors import StoreBusy, StoreError, StoreFull
from distributor.store.outage import QUIET_S, Outage


class Told:
    """An outage, its clock, and what it said."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.outage = Outage(lambda: self.now_s)

    def tell(self, *events: StoreError | float | None) -> list[dict[str, Any]]:
        """An error fails, None works, a number of seconds passes."""
        with capture_logs() as said:
            for event in events:
                if isinstance(event, StoreError):
                    self.outage.failed(event)
                elif event is None:
                    self.outage.worked()
                else:
                    self.now_s += event
        return [dict(record) for record in said]


def actions(said: list[dict[str, Any]]) -> list[str]:
    return [record["action"] for record in said]


def test_a_database_that_works_is_not_worth_a_word() -> None:
    assert Told().tell(None, 5.0, None) == []


def test_an_outage_is_told_once_with_its_remedy() -> None:
    full = StoreFull("It cannot be written: the disk is full.", remedy="Free disk space.")
    said = Told().tell(*[full, 0.5] * 40)
    assert actions(said) == ["database_away"]
    assert said[0]["reason"] == str(full)
    assert said[0]["remedy"] == "Free disk space."


def test_its_end_is_told_once_with_how_long_it_lasted() -> None:
    said = Told().tell(StoreError("gone"), 30.0, StoreError("gone"), QUIET_S, None, None)
    assert actions(said) == ["database_away", "database_back"]
    assert said[1]["lasted_s"] == pytest.approx(30.0)


def test_a_write_that_wrote_nothing_does_not_end_an_outage_that_goes_on() -> None:
    full = StoreFull("full")
    assert actions(Told().tell(*[full, 0.2, None, 0.8, None] * 20)) == ["database_away"]


def test_another_kind_of_fault_is_told_too_and_another_outage_anew() -> None:
    busy, full = StoreBusy("held"), StoreFull("full")
    said = Told().tell(busy, full, busy, QUIET_S, None, busy)
    assert actions(said) == ["database_away", "database_away", "database_back", "database_away"]
