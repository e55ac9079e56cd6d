"""Level A: one seeded run in one process and in no time, with the product's own workers.

Real: the worker and all it calls, SQLite, the sockets. Not real: the passing of time, and who
dies. What happened is judged by what the receiver has in its record.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
from collections import Counter
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import structlog

from distributor.app import App, open_app
from distributor.clock import GuardedClock
from distributor.core.states import HoldReason, WaveState
from distributor.desk.waves import Target
from distributor.errors import DistributorError
from distributor.store import batches
from distributor.worker import DIED, Worker
from tests.mail.scripted import certificate
from tests.torture import spoil
from tests.torture.judge import History, Verdict, judge_run
from tests.torture.nemesis import Nemesis
from tests.torture.receiver import Plan, Receiver
from tests.torture.troubled import Notes, Trouble, Troubled
from tests.torture.virtual import (
    WHOSE,
    Deadlock,
    Hands,
    VirtualLoop,
    clocks,
    patched,
    watched_files,
    watched_threads,
)
from tests.torture.world import BY, LIFT_S, Template, addresses

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from datetime import datetime
    from pathlib import Path

    from distributor.settings import Settings
    from tests.torture.scenario import Scenario

#: After so long, in seconds, whatever is not over will never be.
PATIENCE_S: Final = 900.0
#: What loops and tasks of killed workers are kept in: see VirtualLoop.kill.
_GRAVEYARD: Final[list[object]] = []
_OFFERS: Final = ("SIZE 10240000", "8BITMIME", "ENHANCEDSTATUSCODES")
_OVER: Final = {WaveState.FINISHED, WaveState.CANCELLED}
#: Reasons for which a person lets a wave go on by name.
_WAIVED: Final = {HoldReason.LATE, HoldReason.ZONE, HoldReason.RESTORED}


@dataclass
class _Life:
    """One worker from its start to its end, as the supervisor sees it."""

    name: str
    app: App
    database: Troubled
    worker: Worker
    task: asyncio.Task[int]


@dataclass
class _Post:
    """A worker's place: whoever dies there is followed by the next."""

    number: int
    trouble: Trouble
    lives: int = 0
    life: _Life | None = None
    frozen: bool = False
    happened: Counter[str] = field(default_factory=Counter[str])


class Run:
    """One scenario in its world."""

    def __init__(self, scenario: Scenario, template: Template, folder: Path) -> None:
        self.scenario = scenario
        self.folder = folder
        self.template = template
        self.loop = VirtualLoop()
        self.hands = Hands(self.loop)
        self.happened: Counter[str] = Counter()
        self.history = History()
        self.posts = [
            _Post(number, Trouble(f"{scenario.key}/{number}", self.happened))
            for number in range(scenario.workers)
        ]
        for post in self.posts:
            post.trouble.writes_fail = scenario.writes_fail
            post.trouble.answers_lost = scenario.answers_lost
            post.trouble.notes_fail = scenario.notes_fail
        self.opened: dict[int, str] = {}
        self.ending = self.calm = False
        self._quiet_since = 0.0
        self.settings: Settings
        self.desk: App
        self.receiver: Receiver
        self._side: set[asyncio.Task[Any]] = set()

    def now(self) -> datetime:
        return self.hands.true()

    # --- workers --------------------------------------------------------------------------------

    def post_of(self, whose: str) -> Trouble | None:
        return self.posts[int(whose[1])].trouble if whose else None

    def start(self, post: _Post) -> None:
        post.lives += 1
        name = f"w{post.number}.{post.lives}"
        context = copy_context()
        context.run(WHOSE.set, name)
        post.life = context.run(self._born, post, name, context)

    def _born(self, post: _Post, name: str, context: Any) -> _Life:
        app = open_app(self.settings)
        database = Troubled(app.database, post.trouble)
        clock = GuardedClock(wall=self.hands.wall, boot=self.hands.boot_s)
        app = replace(app, database=database, clock=clock)  # type: ignore[arg-type]
        worker = Worker(app)
        task = self.loop.create_task(worker.run(), context=context)
        return _Life(name, app, database, worker, task)

    async def mind(self, post: _Post) -> None:
        """The supervisor: a worker that ends or dies is followed by another."""
        while not self.ending:
            try:
                self.start(post)
            except (DistributorError, OSError):
                await asyncio.sleep(1.0)
                continue
            life = post.life
            assert life is not None
            await asyncio.wait({life.task})
            if not life.database.dead:
                died = life.task.exception() or life.task.result() == DIED
                if died:
                    self.happened["worker died of itself"] += 1
                self.bury(life, signed_off=not died)
            post.life = None
            await asyncio.sleep(0.5)

    def bury(self, life: _Life, *, signed_off: bool = False) -> None:
        """The system takes back what a process had, however it ended."""
        if not signed_off:
            life.database.dead = True
            self.loop.kill(life.name, life)
        for descriptor in [fd for fd, whose in self.opened.items() if whose == life.name]:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        _GRAVEYARD.append(life)

    def kill(self, post: _Post) -> None:
        """``kill -9``, here and now."""
        life = post.life
        if life is None or life.database.dead:
            return
        self.happened["worker killed"] += 1
        self.bury(life)
        # What the supervisor waits for is not the task, which never ends, but the process.
        post.life = None
        self.aside(self._next(post))

    async def _next(self, post: _Post) -> None:
        await asyncio.sleep(0.5)
        if not self.ending and post.life is None:
            self.aside(self.mind(post))

    def end(self, post: _Post) -> None:
        if post.life is not None and not post.life.database.dead:
            post.life.worker._dispatch.stop()

    def aside(self, work: Any) -> None:
        task = self.loop.create_task(work)
        self._side.add(task)
        task.add_done_callback(self._side.discard)

    # --- the whole run --------------------------------------------------------------------------

    async def tell(self) -> Verdict:
        """Let everything happen, wait until it is over, judge."""
        scenario = self.scenario
        offers = (*_OFFERS, "PIPELINING") if scenario.pipelining else _OFFERS
        secured: dict[str, Any] = {}
        tls = None
        if scenario.tls:
            tls, pem = certificate(self.folder)
            offers = (*offers, "AUTH PLAIN")
            secured = {
                "relay__security": "starttls",
                "relay__ca_file": str(pem),
                "relay__username": "desk",
                "relay__password": "open",
            }
        plan = Plan(
            scenario.key,
            scenario.rates,
            only=scenario.only,
            secured=scenario.tls,
            big="long" in scenario.rooms,
        )
        self.receiver = Receiver(
            plan,
            lambda: round(self.loop.time(), 6),
            offers=offers,
            tls=tls,
            dot_takes_s=scenario.dot_takes_s,
            receive_buffer=4096 if "long" in scenario.rooms else None,
        )
        plan.happened = self.happened
        async with self.receiver:
            self._settle_in(secured)
            try:
                await self._happen()
                self._close_down()
                return judge_run(self.folder / "distributor.db", self.receiver.record, self.history)
            finally:
                self.desk.close()

    def _settle_in(self, secured: dict[str, Any]) -> None:
        scenario = self.scenario
        self.settings = self.template.copied_to(
            self.folder,
            self.receiver.port,
            relay__connections=scenario.connections,
            relay__connect_timeout_s=5.0,
            relay__command_timeout_s=15.0,
            relay__data_timeout_s=15.0,
            relay__block_timeout_s=15.0,
            relay__after_dot_timeout_s=120.0,
            sending__batch_size=scenario.batch_size,
            sending__uncertain=scenario.policy,
            sending__uncertain_resend_after_s=5.0,
            sending__retry_after_s=[3.0, 6.0, 12.0],
            sending__deadline_s=1200.0,
            worker__lease_s=scenario.lease_s,
            worker__tick_s=2.0,
            **secured,
        )
        self.history.policy = scenario.policy
        self.desk = replace(
            open_app(self.settings),
            clock=GuardedClock(wall=self.hands.true, boot=self.hands.boot_s),
        )
        for room, size in scenario.rooms.items():
            audience = set(addresses(room, size))
            ref = self.template.refs[room]
            self.desk.waves.schedule(
                ref, Target([f"{room}-{size}"], at=None), by=BY, now=self.now()
            )
            lift_s = 0.0 if room == "evening" else float(LIFT_S)
            self.history.scheduled(ref, audience, lift_s=lift_s)

    async def _happen(self) -> None:
        nemesis = Nemesis(self)
        minding = [self.loop.create_task(self.mind(post)) for post in self.posts]
        under_way = [
            self.loop.create_task(nemesis.carry_out(one)) for one in self.scenario.happenings
        ]
        person = self.loop.create_task(nemesis.mind_the_desk())
        while self.loop.now_s < PATIENCE_S:
            await asyncio.sleep(1.0)
            done = all(task.done() for task in under_way)
            if not done:
                self._quiet_since = self.loop.now_s
            if done and await asyncio.to_thread(self._is_over):
                break
            if done and self.loop.now_s > self.scenario.calm_at_s and not self.calm:
                self._calm_down()
        self.ending = True
        for task in (person, *minding, *under_way, *self._side):
            task.cancel()
        await self._end_workers()
        for task in under_way:
            task.result()

    def _calm_down(self) -> None:
        """From now on nothing goes wrong any more: what is left must come to its end."""
        self.calm = self.receiver.plan.calm = True
        for post in self.posts:
            post.trouble.calm = True
        if any(self.happened[name] for name in ("STARTTLS stripped", "AUTH 535")):
            # A person has put it right, and starts the workers again.
            for post in self.posts:
                self.end(post)

    async def _end_workers(self) -> None:
        for post in self.posts:
            life = post.life
            if life is None or life.database.dead:
                continue
            if post.frozen:
                self.loop.thaw(life.name)
            life.worker._dispatch.stop()
            await asyncio.wait({life.task}, timeout=60)
            if life.task.done() and not life.task.cancelled():
                life.task.exception()

    def _close_down(self) -> None:
        for post in self.posts:
            if post.life is not None:
                post.life.database._database.close()

    def _is_over(self) -> bool:
        """Whether every wave has ended, and nothing will go again by itself."""
        with self.desk.database.read() as tx:
            from distributor.store import waves  # noqa: PLC0415 - a question of the test's own

            found = [
                wave
                for ref in self.scenario.rooms
                for wave in waves.of_release(tx, int(self.template.refs[ref].removeprefix("R-")))
            ]
            uncertain = any(waves.counts(tx, wave.id).get("uncertain") for wave in found)  # type: ignore[call-overload]
        over = all(wave.state in _OVER for wave in found)
        if not over:
            self._quiet_since = self.loop.now_s
        # What is in doubt may be resent by itself, once, after a while.
        waits_s = 20.0 if uncertain and self.scenario.policy == "resend" else 0.0
        return over and self.loop.now_s - self._quiet_since >= waits_s


def simulate(scenario: Scenario, template: Template, folder: Path) -> tuple[Verdict, Counter[str]]:
    """Run one scenario in an empty folder; gives the verdict and what happened."""
    if not os.environ.get("LOUD"):
        logging.disable(logging.CRITICAL)
        structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    run = Run(scenario, template, folder)
    _GRAVEYARD.append(run)
    claimable = _stale(run, batches.claimable)
    asyncio.set_event_loop(run.loop)
    run.loop.set_exception_handler(lambda *_: None)
    with contextlib.ExitStack() as stack:
        stack.enter_context(watched_threads(run.loop.pending))
        run.opened = stack.enter_context(watched_files(str(folder)))
        stack.enter_context(clocks(run.hands))
        notes = Notes(run.opened, run.post_of)
        stack.enter_context(patched((os, "write", notes.write), (batches, "claimable", claimable)))
        stack.enter_context(spoil.merges(scenario, run.happened))
        try:
            verdict = run.loop.run_until_complete(run.tell())
        except Deadlock as error:
            verdict = Verdict()
            verdict.find("lost", f"{scenario.key} never ends: {error}")
    shutil.rmtree(folder, ignore_errors=True)
    return verdict, run.happened


def _stale(run: Run, really: Any) -> Any:
    """Two that look at once see the same batch free: what one saw, the next sees too."""
    dice = Trouble(f"{run.scenario.key}/claims", run.happened)
    last: list[Any] = []

    def claimable(tx: Any, now: datetime, *, skip: Any = ()) -> Any:
        if last and dice.chance(run.scenario.stale_claims) and last[0].wave.id not in skip:
            run.happened["two see the same batch free"] += 1
            return last.pop()
        found = really(tx, now, skip=skip)
        if found is not None and found.wave.state is WaveState.SENDING:
            last[:] = [found]
        return found

    return claimable


if TYPE_CHECKING:
    _ = Awaitable
