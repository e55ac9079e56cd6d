"""Level B: real worker processes that die, sleep and run out of disk, in real time.

The receiver lives in this process and survives them all. Processes are forked from one that has
loaded the product already, so that a life costs a tenth of a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from distributor.app import open_app
from distributor.desk.waves import Target
from tests.torture.judge import History, Verdict, judge_run, sums_hold
from tests.torture.receiver import Plan, Rates, Receiver
from tests.torture.victim import work
from tests.torture.world import BY, DATABASE, Template, addresses, fresh_folder, make_template

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from distributor.settings import Settings

#: What the process that others are forked from has loaded.
PRELOADED: Final = ("tests.torture.victim", "tests.torture.campaign")
_OFFERS: Final = ("SIZE 10240000", "8BITMIME", "ENHANCEDSTATUSCODES")
#: How long a run may take, in seconds, before it is said to hang.
PATIENCE_S: Final = 60.0
_LEASE_S: Final = 6
#: A worker that sleeps so long has lost its lease.
SLEEP_S: Final = 7.5


@dataclass(frozen=True)
class Ordeal:
    """What one run of real processes goes through.

    ``point``: at which crash point the first worker dies (0: none); ``then``: at which the one
    that recovers after it does.
    """

    kind: str
    point: int = 0
    then: int = 0
    pipelining: bool = True
    faults: float = 0.0
    people: int = 6
    seed: int = 0
    beside: bool = False

    @property
    def words(self) -> str:
        """How to order exactly this one again."""
        flags = f"{int(self.pipelining)}{int(self.beside)}"
        return (
            f"{self.kind}:{self.point}:{self.then}:{flags}:{self.faults}:{self.people}:{self.seed}"
        )

    @classmethod
    def named(cls, words: str) -> Ordeal:
        kind, point, then, flags, faults, people, seed = words.split(":")
        return cls(
            kind,
            int(point),
            int(then),
            pipelining=flags[0] == "1",
            faults=float(faults),
            people=int(people),
            seed=int(seed),
            beside=flags[1] == "1",
        )


@dataclass
class Outcome:
    """What became of it. ``untouched``: no crash point was reached that late."""

    ordeal: Ordeal
    verdict: Verdict
    happened: Counter[str] = field(default_factory=Counter[str])
    kills: int = 0
    untouched: bool = False
    points: str = ""


class Arena:
    """Where ordeals take place, several at once."""

    def __init__(self, lanes: int) -> None:
        self._lanes = asyncio.Semaphore(lanes)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(PRELOADED))
        self._template: Template | None = None

    def close(self) -> None:
        if self._template is not None:
            shutil.rmtree(self._template.folder, ignore_errors=True)

    @property
    def template(self) -> Template:
        if self._template is None:
            self._template = make_template(fresh_folder("office"), begin=datetime.now(UTC))
        return self._template

    async def go_through(self, ordeal: Ordeal) -> Outcome:
        """One ordeal, judged."""
        async with self._lanes:
            folder = fresh_folder("ordeal")
            try:
                return await _Ordeal(self, ordeal, folder).run()
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def fork(self, config: Path, last: int, told: Path) -> Any:
        process = self._context.Process(target=work, args=(str(config), last, str(told)))
        process.start()
        return process


class _Ordeal:
    """One run in its folder."""

    def __init__(self, arena: Arena, ordeal: Ordeal, folder: Path) -> None:
        self._arena = arena
        self._ordeal = ordeal
        self._folder = folder
        self._begin = datetime.now(UTC)
        self._told = 0
        self._living: list[Any] = []
        self._outcome = Outcome(ordeal, Verdict())
        self._dice = random.Random(ordeal.words)  # noqa: S311 - not secret

    def _clock(self) -> float:
        return (datetime.now(UTC) - self._begin).total_seconds()

    async def run(self) -> Outcome:
        ordeal = self._ordeal
        plan = Plan(ordeal.words, Rates(sending=ordeal.faults), only=_QUICK)
        plan.happened = self._outcome.happened
        offers = (*_OFFERS, "PIPELINING") if ordeal.pipelining else _OFFERS
        slow_s = 0.15 if ordeal.kind in {"sleep", "disk"} else 0.0
        async with Receiver(plan, self._clock, offers=offers, dot_takes_s=slow_s) as receiver:
            history = self._schedule(receiver.port)
            try:
                await getattr(self, f"_{ordeal.kind}")(receiver)
            except TimeoutError:
                self._outcome.verdict.find("lost", f"{ordeal.words} hangs")
            finally:
                self._end_all()
            verdict = judge_run(self._folder / DATABASE, receiver.record, history)
        verdict.counts.update(self._outcome.verdict.counts)
        verdict.says += self._outcome.verdict.says
        self._outcome.verdict = verdict
        return self._outcome

    def _schedule(self, port: int) -> History:
        settings: Settings = self._arena.template.copied_to(
            self._folder,
            port,
            relay__connections=2,
            relay__command_timeout_s=2.0,
            relay__data_timeout_s=2.0,
            relay__block_timeout_s=2.0,
            relay__after_dot_timeout_s=3.0,
            sending__retry_after_s=[0.3],
            sending__batch_size=10,
            worker__lease_s=_LEASE_S,
            worker__tick_s=0.2,
        )
        app = open_app(settings)
        people = self._ordeal.people
        target = Target([f"evening-{people}"], at=None)
        ref = self._arena.template.refs["evening"]
        app.waves.schedule(ref, target, by=BY, now=datetime.now(UTC))
        app.close()
        history = History(begin=self._begin)
        history.scheduled(ref, set(addresses("evening", people)), lift_s=0.0)
        return history

    # --- processes ------------------------------------------------------------------------------

    def _start(self, last: int = 0) -> tuple[Any, Path]:
        self._told += 1
        told = self._folder / f"told-{self._told}"
        process = self._arena.fork(self._folder / "config.toml", last, told)
        self._living.append(process)
        return process, told

    def _end_all(self) -> None:
        for process in self._living:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            process.join()
            process.close()

    async def _dead(self, process: Any) -> None:
        while process.is_alive():  # noqa: ASYNC110 - a process makes no event here
            await asyncio.sleep(0.01)

    async def _finished(self, *watched: Any) -> bool:
        """Wait until the wave has ended; False when one of those watched dies first."""
        async with asyncio.timeout(PATIENCE_S):
            while not self._has_ended():
                if any(not process.is_alive() for process in watched):
                    return False
                await asyncio.sleep(0.02)
        return True

    def _has_ended(self) -> bool:
        with closing(sqlite3.connect(self._folder / DATABASE, timeout=5)) as db:
            state = db.execute("SELECT state FROM waves ORDER BY id DESC LIMIT 1").fetchone()[0]
        return state == "finished"

    async def _stop(self, process: Any) -> None:
        if process.is_alive():
            os.kill(process.pid, signal.SIGTERM)
            async with asyncio.timeout(PATIENCE_S):
                await self._dead(process)

    def _was_killed(self, process: Any, told: Path) -> bool:
        """Count a death at a crash point; the sums must hold after each."""
        if process.exitcode != -signal.SIGKILL:
            return False
        words = told.read_text(encoding="ascii").split(" ", 1)[1] if told.exists() else "anywhere"
        self._outcome.happened[f"kill -9 around a {words}"] += 1
        self._outcome.kills += 1
        if not sums_hold(self._folder / DATABASE):
            self._outcome.verdict.find("lost", f"{self._ordeal.words}: the sums do not hold")
        return True

    # --- ordeals --------------------------------------------------------------------------------

    async def _kill(self, _: Receiver) -> None:
        """Dies at the given point; the next may die too; the one after that must put it right."""
        beside = self._start()[0] if self._ordeal.beside else None
        first, told = self._start(self._ordeal.point)
        if await self._finished(first):
            # Stopping has points too: it may still die there.
            await self._stop(first)
        if not self._was_killed(first, told):
            self._outcome.untouched = True
            self._outcome.points = told.read_text(encoding="ascii") if told.exists() else ""
        second, told = self._start(self._ordeal.then)
        if await self._finished(second):
            await self._stop(second)
        if self._was_killed(second, told):
            third = self._start()[0]
            await self._finished()
            await self._stop(third)
        if beside is not None:
            await self._finished()
            await self._stop(beside)

    async def _sleep(self, receiver: Receiver) -> None:
        """SIGSTOP longer than the lease, while another goes on; then SIGCONT."""
        sleeper, _ = self._start()
        await self._some_mails(receiver, self._dice.randint(1, 6))
        os.kill(sleeper.pid, signal.SIGSTOP)
        other, _ = self._start()
        await asyncio.sleep(SLEEP_S)
        self._outcome.happened["SIGSTOP past the lease"] += 1
        os.kill(sleeper.pid, signal.SIGCONT)
        await self._finished()
        await asyncio.sleep(0.3)
        await self._stop(sleeper)
        await self._stop(other)

    async def _disk(self, receiver: Receiver) -> None:
        """No file may grow for a while: flight log and database alike."""
        process, _ = self._start()
        await self._some_mails(receiver, self._dice.randint(1, 6))
        unlimited = resource.RLIM_INFINITY
        resource.prlimit(
            process.pid, resource.RLIMIT_FSIZE, (self._dice.choice((64, 8192)), unlimited)
        )
        self._outcome.happened["disk full (no file may grow)"] += 1
        await asyncio.sleep(self._dice.uniform(0.5, 1.5))
        if process.is_alive():
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))
        if not await self._finished(process):
            process, _ = self._start()
            await self._finished(process)
        await self._stop(process)

    async def _some_mails(self, receiver: Receiver, count: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(receiver.kept) < count and not self._has_ended():  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.01)


#: Faults of the server that cost no more than a second or two in real time.
_QUICK: Final = (
    "MAIL 451",
    "RCPT 450",
    "RCPT 550",
    "DATA cut",
    "BODY cut",
    "DOT cut",
    "DOT reset",
    "DOT 421",
    "DOT 252",
    "DOT 451",
    "DOT 3xx",
    "DOT garbage",
    "MAIL 421",
    "RCPT refused, DATA 354",
)


async def all_of(arena: Arena, ordeals: list[Ordeal]) -> AsyncGenerator[Outcome]:
    """Go through them, as they are done."""
    tasks = [asyncio.create_task(arena.go_through(ordeal)) for ordeal in ordeals]
    try:
        for done in asyncio.as_completed(tasks):
            yield await done
    finally:
        for task in tasks:
            task.cancel()
