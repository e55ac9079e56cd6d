"""The parent: who is started when, who rests how long, and when all is over."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator

import pytest

from distributor.supervisor import Child, Supervisor

STANDS = "import os; os.write(0, b'+')"
REFUSED = "raise SystemExit(1)"
DIES = "raise SystemExit(70)"
STAYS = f"{STANDS}; os.read(0, 1)"


ChildMaker = Callable[..., Child]


@pytest.fixture
def a_child() -> Iterator[ChildMaker]:
    made: list[Child] = []

    def make(program: str, number: int = 1) -> Child:
        made.append(Child([sys.executable, "-S", "-c", program], number=number))
        return made[-1]

    yield make
    for child in made:
        child.terminate()
        child.wait()


@pytest.fixture
def a_supervisor(a_child: ChildMaker) -> Callable[..., Supervisor]:
    def make(*programs: str) -> Supervisor:
        supervisor = Supervisor(None, len(programs))
        supervisor._children = [a_child(program, at) for at, program in enumerate(programs, 1)]
        return supervisor

    return make


def until(ready: Callable[[], object]) -> None:
    for _ in range(500):
        if ready():
            return
        time.sleep(0.02)
    pytest.fail("it never came to that")


def end_of(child: Child) -> int:
    codes: list[int] = []
    until(lambda: (code := child.ended()) is not None and not codes.append(code))
    return codes[0]


def test_a_process_that_stood_and_died_has_stood(a_child: ChildMaker) -> None:
    child = a_child(f"{STANDS}; {REFUSED}")
    child.start_if_due(0.0)
    assert end_of(child) == 1
    assert child.stood


def test_a_process_that_was_refused_never_stood(a_child: ChildMaker) -> None:
    child = a_child(REFUSED)
    child.start_if_due(0.0)
    assert end_of(child) == 1
    assert not child.stood


def test_the_pauses_double_while_it_dies_young_and_begin_anew_when_it_does_not(
    a_child: ChildMaker,
) -> None:
    child = a_child(DIES)
    pauses: list[float] = []
    now_s = 1000.0
    for lived_s in [*[1.0] * 8, 60.0, 1.0]:
        child.start_if_due(now_s)
        assert end_of(child) == 70
        now_s += lived_s
        child.rest(now_s, code=70)
        pauses.append(child._due_s - now_s)
        child.start_if_due(child._due_s - 0.01)
        assert child._process is None
        now_s = child._due_s
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 0.5, 1]


def test_a_machine_without_room_for_one_more_is_a_death_like_any_other() -> None:
    child = Child(["/nowhere/python"], number=1)
    child.start_if_due(1000.0)
    assert child._process is None
    assert child._due_s == 1000.5
    assert child.ended() is None


def test_the_others_wait_until_the_first_stands(a_supervisor: Callable[..., Supervisor]) -> None:
    supervisor = a_supervisor("import os, time; time.sleep(0.3); os.write(0, b'+')", STAYS)
    first, second = supervisor._children
    assert supervisor._see_to_all()
    assert first._process is not None
    assert second._process is None
    until(lambda: supervisor._see_to_all() and second.stood)


def test_a_refusal_before_any_stood_ends_it_and_starts_nobody_else(
    a_supervisor: Callable[..., Supervisor],
) -> None:
    supervisor = a_supervisor(REFUSED, STAYS, STAYS)
    until(lambda: not supervisor._see_to_all())
    assert not any(child._process for child in supervisor._children)


def test_a_refusal_after_one_stood_is_a_death_like_any_other(
    a_supervisor: Callable[..., Supervisor],
) -> None:
    supervisor = a_supervisor(STAYS, REFUSED)
    first, second = supervisor._children
    until(lambda: supervisor._see_to_all() and second._due_s > 0)
    assert supervisor._see_to_all()
    assert first.ended() is None


def test_a_child_hears_that_its_parent_is_gone(a_child: ChildMaker) -> None:
    child = a_child(STAYS)
    child.start_if_due(0.0)
    until(lambda: child.ended() is None and child.stood)
    assert child._line is not None
    child._line.close()
    assert end_of(child) == 0
