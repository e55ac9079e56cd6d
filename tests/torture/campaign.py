"""Many runs: simulations in processes of their own, real processes side by side, and the sums."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from tests.torture import guards as guards_module
from tests.torture.faults import BY_NAME, PERSONAL
from tests.torture.guards import GUARDS
from tests.torture.judge import Verdict
from tests.torture.scenario import scenario
from tests.torture.simulation import simulate
from tests.torture.sweep import PRELOADED, Arena, Ordeal, all_of
from tests.torture.world import Template, fresh_folder, make_template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType

    from tests.torture.sweep import Outcome

#: One simulated run: profile, seed, and the guard that is switched off, or "".
Order = tuple[str, int, str]
#: Runs before a process makes room for a fresh one: killed workers stay in its memory.
_RUNS_A_PROCESS: Final = 12
#: So many real runs side by side: they mostly wait.
LANES: Final = 8


@dataclass(frozen=True)
class Told:
    """What one simulated run came to."""

    key: str
    counts: Counter[str]
    says: list[str]
    happened: Counter[str]
    without: str = ""

    @property
    def guilty(self) -> bool:
        return any(self.counts[kind] for kind in Verdict.KINDS)


def _one(order: Order, template: Template) -> Told:
    profile, seed, without = order
    folder = fresh_folder("run")
    try:
        with guards_module.removed(without) if without else contextlib.nullcontext():
            verdict, happened = simulate(scenario(profile, seed), template, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Told(f"{profile}/{seed}", verdict.counts, verdict.says, happened, without)


def _run_some(orders: list[Order], template: Template, pipe: Any) -> None:
    """In a process of its own: run these, tell each, and leave without any tidying up."""
    for order in orders:
        try:
            pipe.send(_one(order, template))
        except BaseException as error:  # noqa: BLE001 - it is told, whatever it was
            pipe.send((order, f"{type(error).__name__}: {error}"))
    pipe.close()
    os._exit(0)


class Simulations:
    """Runs simulations, so many at once."""

    def __init__(self, processes: int | None = None) -> None:
        self._processes = processes or os.cpu_count() or 1
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(PRELOADED))
        self._folder = Path(tempfile.mkdtemp(prefix="torture-office-"))
        self._template = make_template(self._folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def run(self, orders: Sequence[Order]) -> list[Told]:
        """Run them all; gives what they came to, in some order.

        Raises:
            AssertionError: A run broke the harness itself.

        """
        size = max(1, min(_RUNS_A_PROCESS, -(-len(orders) // self._processes)))
        waiting = [list(orders[at : at + size]) for at in range(0, len(orders), size)]
        running: dict[Any, tuple[Any, list[Order]]] = {}
        told: list[Told] = []
        while waiting or running:
            while waiting and len(running) < self._processes:
                chunk = waiting.pop(0)
                ours, theirs = self._context.Pipe(duplex=False)
                arguments = (chunk, self._template, theirs)
                process = self._context.Process(target=_run_some, args=arguments)
                process.start()
                theirs.close()
                running[ours] = (process, chunk)
            for pipe in multiprocessing.connection.wait(list(running)):
                self._hear(pipe, running, told)
        return told

    def _hear(
        self, pipe: Any, running: dict[Any, tuple[Any, list[Order]]], told: list[Told]
    ) -> None:
        process, chunk = running[pipe]
        try:
            said = pipe.recv()
        except EOFError:
            del running[pipe]
            process.join()
            process.close()
            assert not chunk, f"these runs were never told of: {chunk}"
            return
        chunk.pop(0)
        assert isinstance(said, Told), f"the harness broke: {said}"
        told.append(said)


@dataclass
class Total:
    """The sum over all runs. ``say`` prints a line."""

    say: Callable[[str], None]
    counts: Counter[str] = field(default_factory=Counter[str])
    happened: Counter[str] = field(default_factory=Counter[str])
    says: list[str] = field(default_factory=list[str])
    runs: int = 0
    kills: int = 0
    points: str = ""

    @property
    def guilty(self) -> bool:
        return any(self.counts[kind] for kind in Verdict.KINDS)

    @property
    def line(self) -> str:
        wrong = " ".join(f"{kind}={self.counts[kind]}" for kind in Verdict.KINDS)
        return f"{self.runs} runs, {self.happened.total()} faults, {self.kills} kills, {wrong}"

    def simulated(self, told: Iterable[Told]) -> None:
        for one in told:
            self.runs += 1
            self.counts += one.counts
            self.happened += one.happened
            if one.guilty:
                self._accuse(f'make torture SEED="{one.key}"', one.says)

    def processed(self, outcome: Outcome) -> None:
        self.runs += 1
        self.kills += outcome.kills
        self.counts += outcome.verdict.counts
        self.happened += outcome.happened
        if outcome.verdict.guilty:
            self._accuse(f"make torture ORDEAL={outcome.ordeal.words}", outcome.verdict.says)

    def _accuse(self, again: str, says: list[str]) -> None:
        lines = [f"repeat with: {again}", *says[:5]]
        self.says += lines
        for line in lines:
            self.say(f"  {line}")

    def last_line(self, found: dict[str, int], guards: int) -> str:
        kinds = " ".join(f"{kind}={self.counts[kind]}" for kind in (*Verdict.KINDS, "uncertain"))
        return (
            f"torture: faults={self.happened.total()} kills={self.kills} {kinds} "
            f"guards_found={len(found)}/{guards}"
        )


def more_for(happened: Counter[str], wanted: Iterable[str], at_least: int) -> list[str]:
    """The profiles in which faults that came up too seldom come up."""
    profiles = {profile for name in wanted if happened[name] < at_least for profile in _where(name)}
    return sorted(profiles)


_ELSEWHERE: Final = {
    "worker killed": "kills",
    "worker ended by SIGTERM": "kills",
    "worker frozen past its lease": "zombies",
    "worker cut off from the database": "zombies",
    "server away": "replies",
    "two see the same batch free": "claims",
    "embargo moved": "holds",
    "cancel": "holds",
    "hold": "holds",
    "resume": "holds",
    "objection": "audience",
}


def _where(name: str) -> list[str]:
    """The profiles that meet that fault often; none for what real processes alone meet."""
    if name.startswith(("kill -9", "SIGSTOP", "disk full")):
        return []
    if name in BY_NAME:
        # By itself it comes up often; but once at most where it is for a person to put right.
        return ["logins" if name in PERSONAL else name]
    starts = {"clock": "clocks", "database": "disks", "flight log": "disks"}
    starts |= {"somebody": "audience", "merge": "bytes"}
    for start, profile in starts.items():
        if name.startswith(start):
            return [profile]
    return [_ELSEWHERE[name]]


def guards(simulations: Simulations, say: Callable[[str], None], *, most: int) -> dict[str, int]:
    """Switch each guard off in turn until a run is found guilty; gives after how many."""
    found: dict[str, int] = {}
    for guard in GUARDS:
        step = 2
        for first in range(1, most + 1, step):
            seeds = range(first, min(first + step, most + 1))
            told = simulations.run([(guard.profile, seed, guard.name) for seed in seeds])
            guilty = sorted(int(one.key.partition("/")[2]) for one in told if one.guilty)
            if guilty:
                found[guard.name] = guilty[0]
                say(f"  without {guard.name}: found after {guilty[0]} ({guard.profile})")
                break
        else:
            say(f"  without {guard.name}: NOT FOUND in {most}")
    return found


async def processes(total: Total, *, kills: int, sleeps: int, disks: int) -> None:
    """Kill at N = 1, 2, 3 … in several set-ups until each has a run that passes untouched."""
    arena = Arena(LANES)
    try:
        for seed in count():
            for pipelining, faults, beside, then in (
                (True, 0.0, False, 0),
                (False, 0.15, False, 0),
                (True, 0.15, True, 0),
                (False, 0.0, False, 9),
            ):
                if seed and total.kills >= kills:
                    break
                shape = Ordeal(
                    "kill",
                    pipelining=pipelining,
                    faults=faults,
                    beside=beside,
                    then=then,
                    seed=seed,
                )
                await _sweep(arena, total, shape)
                total.say(f"  N until untouched, {shape.words}: {total.line}")
            if total.kills >= kills:
                break
        others = [Ordeal("sleep", people=24, seed=seed) for seed in range(sleeps)]
        others += [Ordeal("disk", people=24, seed=seed) for seed in range(disks)]
        async for outcome in all_of(arena, others):
            total.processed(outcome)
    finally:
        arena.close()


async def _sweep(arena: Arena, total: Total, shape: Ordeal) -> None:
    first = 1
    while True:
        ordeals = [
            # The one that recovers dies too, each time at another point.
            replace(shape, point=point, then=shape.then and 1 + point % 40)
            for point in range(first, first + 2 * LANES)
        ]
        untouched = 0
        async for outcome in all_of(arena, ordeals):
            total.processed(outcome)
            if outcome.untouched:
                untouched += 1
                total.points = outcome.points or total.points
        if untouched:
            return
        first += len(ordeals)
