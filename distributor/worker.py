"""The worker: ticks the stages, keeps dispatch running, stops cleanly on SIGTERM.

APScheduler only ticks: what is due is decided from the rows at each tick, so a tick that is
lost, late or doubled changes nothing.
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

from distributor.app import relay_of, sending_policy
from distributor.clock import boot_id, host_id, system_wall
from distributor.core.message import self_test
from distributor.core.states import HoldReason, WaveState
from distributor.core.timing import describe
from distributor.errors import ConfigError, IllegalMove, StoreError
from distributor.mail.flightlog import FlightLog
from distributor.stages import keeping, preparing, scheduling
from distributor.stages.dispatch import Dispatch
from distributor.store import audit, recovery, waves, workers
from distributor.store.database import database_now
from distributor.store.waves import DESK, Order

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection

    from distributor.app import App

log = structlog.get_logger(__name__)
T = TypeVar("T")

#: A worker that died of something unforeseen leaves with this code, so that it is started again.
DIED = 70
_LIFT = "lift"
#: Waves that a muted database holds, so that a person sees why nothing leaves (I11).
_MAY_SEND = (WaveState.PLANNED, WaveState.PREPARING, WaveState.READY, WaveState.SENDING)


class Worker:
    """One worker process's life: start, tick, stop."""

    def __init__(self, app: App) -> None:
        """Wire the stages; nothing starts before :meth:`run`.

        Raises:
            ConfigError: The folder of the flight logs cannot be written.

        """
        self._app = app
        self._database = app.database
        self._clock = app.clock
        self._policy = sending_policy(app.settings)
        self.id = uuid.uuid4().hex
        self._place = keeping.Place(self.id, host_id(), boot_id())
        self._flight = _open_flight(app.settings.worker.state_dir / "flight", self._place)
        self._dispatch = Dispatch(
            app.database,
            relay_of(app.settings),
            app.clock,
            self._policy,
            worker=self.id,
            flight=self._flight,
        )
        self._leases_from_s = 0.0
        self._told = ""
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
            raise
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
            self._scheduler.shutdown(wait=False)
        if settled:
            await asyncio.to_thread(self._deregister)
        log.info("Worker stopped", action="worker_stopped", worker=self.id, settled=settled)
        return 0

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
        for tick in (self._schedule, self._prepare, self._keep):
            self._scheduler.add_job(
                tick,
                "interval",
                seconds=tick_s,
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
        due = await self._ticked(self._schedule_now)
        self._dispatch.expect(due)
        if due is not None:
            self._scheduler.add_job(
                self._lift,
                "date",
                run_date=due,
                id=_LIFT,
                replace_existing=True,
            )

    def _tell_what_comes(self, due: datetime | None, retry: datetime | None) -> None:
        """Say what is waited for, whenever that changes: silence must not look like a fault."""
        zone = self._app.settings.desk.zone
        comes = f"leaves at {describe(due, zone)}" if due else "none is scheduled"
        if retry:
            comes += f"; what was put off is tried again at {describe(retry, zone)}"
        if comes != self._told:
            self._told = comes
            log.info("Next release", action="waiting", comes=comes)

    async def _lift(self) -> None:
        """Be awake at the very instant a wave is due."""
        self._dispatch.wake()

    def _schedule_now(self) -> datetime | None:
        self._mind_the_clock()
        self._mind_the_home()
        reading = self._clock.reading()
        scheduling.tick(
            self._database,
            self._policy,
            now=reading.now,
            clock_agrees=reading.agrees,
        )
        with self._database.read() as tx:
            due = waves.next_send_at(tx, reading.now)
            retry = recovery.next_retry(tx, reading.now)
        self._tell_what_comes(due, retry)
        return due

    def _mind_the_clock(self) -> None:
        """Ask the database's clock where it has one; set the anchor anew when that is due (I2)."""
        if self._database.dialect == "postgresql":
            asked_s = self._clock.monotonic()
            with self._database.read() as tx:
                self._clock.observe_database(
                    database_now(tx, self._clock.now()),
                    asked_s=asked_s,
                )
        jump = self._clock.reanchor()
        if jump is None:
            return
        # Leases written before the jump seem to have run out: give their owners time to renew.
        self._leases_from_s = self._clock.monotonic() + self._policy.lease_s
        entry = audit.Entry(self._clock.now(), DESK, "clock set anew", "clock", {"by_s": jump.by_s})
        self._database.write(lambda tx: audit.record(tx, entry)).result()
        log.warning("Clock set anew", action="clock_reanchored", by_s=jump.by_s)

    def _mind_the_home(self) -> None:
        """While the database is not at home here, hold what would leave; see whether it is now."""
        if not self._dispatch.claims.muted:
            return
        now = self._clock.now()
        if self._app.installation.start(now=now):
            self._dispatch.claims.muted = False
            log.info("Database confirmed", action="database_confirmed")
            return

        def hold_all(tx: Connection) -> None:
            for wave in waves.in_states(tx, _MAY_SEND):
                waves.hold(tx, wave, HoldReason.RESTORED, Order(DESK, now))

        self._database.write(hold_all).result()

    async def _prepare(self) -> None:
        await self._ticked(
            lambda: preparing.tick(
                self._database,
                self._policy,
                worker=self.id,
                now=self._clock.now(),
            ),
        )

    async def _keep(self) -> None:
        await self._ticked(
            lambda: keeping.tick(
                self._database,
                self._policy,
                self._place,
                now=self._clock.now(),
                leases_count=self._clock.monotonic() >= self._leases_from_s,
            ),
        )

    async def _ticked(self, work: Callable[[], T]) -> T | None:
        """Run one tick off the loop; a database that is away is tried again at the next."""
        try:
            return await asyncio.to_thread(work)
        except (StoreError, IllegalMove) as error:
            log.warning("Tick failed", action="tick_failed", reason=str(error))
        except Exception as error:  # noqa: BLE001 - one stage's fault must not stop the others
            log.error("Tick failed", action="tick_failed", of=culprits(error))  # noqa: TRY400
        return None


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
