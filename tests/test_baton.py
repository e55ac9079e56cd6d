"""The baton: one ticks for all, its death or silence passes it on, and in doubt one ticks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from distributor.baton import FILE, Baton

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SILENT_S = 5.0


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Baton, Baton]]:
    batons = Baton(tmp_path, silent_s=SILENT_S), Baton(tmp_path, silent_s=SILENT_S)
    yield batons
    for baton in batons:
        baton.drop()


def test_whoever_asks_first_has_it_and_keeps_it(both: tuple[Baton, Baton]) -> None:
    first, second = both
    assert [first.turn(100.0), second.turn(100.5), first.turn(101.0)] == [True, False, True]


def test_the_next_to_ask_has_it_once_it_is_let_go(both: tuple[Baton, Baton]) -> None:
    first, second = both
    assert first.turn(100.0)
    assert not second.turn(100.0)
    first.drop()
    assert second.turn(100.0)
    assert not first.turn(100.0)


def test_a_silent_holder_is_stood_in_for_until_it_ticks_again(both: tuple[Baton, Baton]) -> None:
    first, second = both
    first.turn(100.0)
    first.ticked(110.0)
    assert not second.turn(110.0 + SILENT_S)
    assert second.turn(110.1 + SILENT_S)
    # Only stood in for: it holds the lock still, and need not be asked.
    second.ticked(116.0)
    assert second.turn(117.0)
    first.ticked(117.0)
    assert not second.turn(118.0)
    assert first.turn(118.0)


@pytest.mark.parametrize("noted", [b"", b"rubbish\n", b"nan\n", b"99999999.0\n"])
def test_a_note_that_cannot_be_believed_does_not_stop_the_ticks(
    both: tuple[Baton, Baton], tmp_path: Path, noted: bytes
) -> None:
    first, second = both
    first.turn(100.0)
    (tmp_path / FILE).write_bytes(noted)
    assert second.turn(100.0)
    assert first.turn(100.0)


def test_without_a_file_everybody_ticks(tmp_path: Path) -> None:
    away = tmp_path / "away"
    batons = [Baton(away, silent_s=SILENT_S) for _ in range(2)]
    assert all(baton.turn(100.0) for baton in batons)
    for baton in batons:
        baton.drop()
        assert not baton.turn(101.0)


def test_what_is_noted_after_it_was_dropped_reaches_no_other_file(tmp_path: Path) -> None:
    baton = Baton(tmp_path, silent_s=SILENT_S)
    assert baton.turn(100.0)
    number = baton._descriptor
    baton.drop()
    other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
    assert other == number
    baton.ticked(101.0)
    assert baton.turn(101.0) is False
    assert os.fstat(other).st_size == 0
    os.close(other)


def test_it_is_for_its_owner_alone(both: tuple[Baton, Baton], tmp_path: Path) -> None:
    del both
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
