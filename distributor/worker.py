"""The worker: ticks, keeps dispatch running, stops cleanly on SIGTERM or when its parent is gone.

Invariant: APScheduler only ticks; what a tick does stands in :mod:`distributor.ticks`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import traceback
import uuid
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from distributor.app import relays_of, sending_policy, signing_of
from distributor.baton import Baton
from distributor.clock import boot_id, host_id, system_wall
from distributor.core.message import self_test
from distributor.core.share import WHOLE
from distributor.errors import ConfigError, IllegalMove, StoreError
from distributor.mail.flightlog import FlightLog
from distributor.stages import keeping
from distributor.stages.dispatch import Dispatch
from distributor.store import relays, workers
from distributor.store.outage import Outage
from distributor.ticks import Ticks

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from distributor.app import App
    from distributor.core.share import Share
    from distributor.lifeline import Parent
    from distributor.store.database import Database

log = structlog.get_logger(__name__)
T = TypeVar("T")

#: A worker that died of something unforeseen leaves with this code, so that it is started again.
DIED = 70
_LIFT = "lift"
#: After so many intervals without a tick the worker that should tick is stood in for.
_SILENT_TICKS = 5


class _Every(BaseTrigger):
    """Fires every so many seconds, and never makes up for what was missed.

    APScheduler's own interval lists each missed time one by one: after a clock that was set
    forward by a year that takes minutes, and gigabytes.
    """

    def __init__(self, seconds: float) -> None:
        self._pause = timedelta(seconds=seconds)

    def get_next_fire_time(  # pyright: ignore[reportIncompatibleMethodOverride] - it has no types
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime:
        """After the last time, but never in the past."""
        following = (previous_fire_time or now) + self._pause
        return following if following > now else now + self._pause


class Worker:
    """One worker process's life: start, tick, stop."""

    def __init__(self, app: App, *, share: Share = WHOLE, parent: Parent | None = None) -> None:
        """Wire the stages; nothing starts before :meth:`run`.

        ``share``: which of how many processes on this machine this one is. ``parent``: the line
        to the process that minds it, if one does.

        Raises:
            ConfigError: The folder of the flight logs cannot be written, or a signing key not used.

        """
        signing = signing_of(app.settings)
        self._app = app
        self._database = app.database
        self._database.watch(Outage(app.clock.monotonic))
        self._clock = app.clock
        self._parent = parent
        self.id = uuid.uuid4().hex
        self._place = keeping.Place(self.id, host_id(), boot_id())
        mine = app.settings.worker
        self._flight = _open_flight(mine.state_dir / "flight", self._place)
        self._baton = Baton(mine.state_dir, silent_s=_SILENT_TICKS * mine.tick_s)
        policy = sending_policy(app.settings)
        self._dispatch = Dispatch(
            app.database,
            relays_of(app.settings, share, key=_return_path_key(app.database)),
            app.clock,
            policy,
            worker=self.id,
            flight=self._flight,
            signing=signing,
        )
        self._ticks = Ticks(app, self._dispatch, policy, place=self._place, baton=self._baton)
        # APScheduler carries no types.
        self._scheduler: Any = AsyncIOScheduler(
            timezone=UTC,
            # The default grace of one second would drop late ticks.
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )

    async def run(self) -> int:
        """Work until SIGTERM or SIGINT; what is on the wire is finished first.

        Gives the exit code: 0, or :data:`DIED` when something unforeseen ended the work. Then
        nothing is tidied up: the next worker puts it in order, as after any other death.

        Raises:
            MessageError: This Python builds mails that must not leave (start-up self-test).
            StoreError: The database cannot be used.

        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._dispatch.stop)
        try:
            self_test()
            await asyncio.to_thread(self._register, self._clock.now())
        except BaseException:
            self._flight.discard()
            self._baton.drop()
            raise
        if self._parent is not None:
            self._parent.say_standing()
            self._parent.when_gone(self._stop_alone)
        self._start_ticking()
        minding = asyncio.create_task(self._mind_the_ticker())
        log.info("Worker started", action="worker_started", worker=self.id)
        try:
            settled = await self._dispatch.run()
        except Exception as error:  # noqa: BLE001 - whatever it was, it ends here
            log.critical("Worker died", action="worker_died", of=culprits(error))
            self._flight.close()
            return DIED
        finally:
            minding.cancel()
            self._app.reconcile.give_up()
            self._scheduler.shutdown(wait=False)
            self._baton.drop()
        if settled:
            await asyncio.to_thread(self._deregister)
        log.info("Worker stopped", action="worker_stopped", worker=self.id, settled=settled)
        return 0

    def _stop_alone(self) -> None:
        log.warning("Parent is gone", action="parent_gone")
        self._dispatch.stop()

    def _register(self, now: datetime) -> None:
        worker = workers.Worker(
            id=self.id,
            host=self._place.host,
            boot=self._place.boot,
            pid=os.getpid(),
            flight_log=str(self._flight.path.resolve()),
            started_at=now,
            seen_at=now,
        )
        self._database.write(lambda tx: workers.add(tx, worker)).result()
        try:
            at_home = self._app.installation.start(now=now)
        except BaseException:
            with contextlib.suppress(StoreError):
                self._database.write(lambda tx: workers.end(tx, self.id, now)).result()
            raise
        if not at_home:
            self._dispatch.claims.muted = True
            log.error("Database is not at home here", action="database_muted")

    def _deregister(self) -> None:
        now = self._clock.now()
        try:
            self._database.write(lambda tx: workers.end(tx, self.id, now)).result()
        except StoreError as error:
            # The next worker finds an empty flight log and does it.
            log.warning("Not signed off", action="sign_off_failed", reason=str(error))
        else:
            self._flight.discard()

    # --- the ticker -----------------------------------------------------------------------------

    def _start_ticking(self) -> None:
        self._scheduler.start()
        tick_s = self._app.settings.worker.tick_s
        for tick in (self._schedule, self._prepare, self._keep, self._reconcile):
            self._scheduler.add_job(
                tick,
                _Every(tick_s),
                next_run_time=self._clock.now(),
            )

    async def _mind_the_ticker(self) -> None:
        """Keep ticking when the wall clock is set back; APScheduler waits for it to catch up."""
        tick_s = self._app.settings.worker.tick_s
        while True:
            await asyncio.sleep(tick_s)
            now = system_wall()
            for job in self._scheduler.get_jobs():
                asleep = job.id != _LIFT and job.next_run_time > now + timedelta(seconds=2 * tick_s)
                if asleep:
                    job.modify(next_run_time=now)

    # --- ticks ----------------------------------------------------------------------------------

    async def _schedule(self) -> None:
        due = await self._ticked(self._ticks.schedule)
        self._dispatch.expect(due)
        if due is not None:
            self._scheduler.add_job(
                self._lift,
                "date",
                run_date=due,
                id=_LIFT,
                replace_existing=True,
            )

    async def _lift(self) -> None:
        """Be awake at the very instant a wave is due."""
        self._dispatch.wake()

    async def _prepare(self) -> None:
        await self._ticked(self._ticks.prepare)

    async def _keep(self) -> None:
        await self._ticked(self._ticks.keep)

    async def _reconcile(self) -> None:
        await self._ticked(self._ticks.reconcile)

    async def _ticked(self, work: Callable[[], T]) -> T | None:
        """Run one tick off the loop; a database that is away is tried again at the next."""
        try:
            return await asyncio.to_thread(work)
        except StoreError as error:
            # The outage is told once, by whoever watches the database.
            log.debug("Tick failed", action="tick_failed", reason=str(error))
        except IllegalMove as error:
            log.warning("Tick failed", action="tick_failed", reason=str(error))
        except Exception as error:  # noqa: BLE001 - one stage's fault must not stop the others
            log.error("Tick failed", action="tick_failed", of=culprits(error))  # noqa: TRY400
        return None


def _return_path_key(database: Database) -> bytes:
    with database.read() as tx:
        return relays.return_path_key(tx)


def _open_flight(folder: Path, place: keeping.Place) -> FlightLog:
    try:
        return FlightLog.open(folder, worker=place.worker, host=place.host, boot_id=place.boot)
    except OSError as error:
        msg = f"worker.state_dir: {folder} cannot be written: {error.strerror}."
        remedy = "Free disk space or mend its permissions: without a flight log nothing leaves."
        raise ConfigError(msg, remedy=remedy) from error


def culprits(error: BaseException) -> list[str]:
    """What was raised and where, without its words: they may hold an address (house rule 11)."""
    if isinstance(error, BaseExceptionGroup):
        inner = cast("BaseExceptionGroup[BaseException]", error).exceptions
        return [line for each in inner for line in culprits(each)]
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name}" if frames else "?"
    return [f"{type(error).__name__} at {where}"]
