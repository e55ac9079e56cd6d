"""The worker: ticks the stages, keeps dispatch running, stops cleanly on SIGTERM.

APScheduler only ticks: what is due is decided from the rows at each tick, so a tick that is
lost, late or doubled changes nothing.
"""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from datetime import UTC
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from distributor.app import relay_of, sending_policy
from distributor.clock import boot_id, host_id
from distributor.core.message import self_test
from distributor.core.states import HoldReason, WaveState
from distributor.errors import IllegalMove, StoreError
from distributor.mail.flightlog import FlightLog
from distributor.stages import keeping, preparing, scheduling
from distributor.stages.dispatch import Dispatch
from distributor.store import audit, waves, workers
from distributor.store.database import database_now
from distributor.store.waves import DESK, Order

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Connection

    from distributor.app import App

log = structlog.get_logger(__name__)
T = TypeVar("T")

#: Waves that a muted database holds, so that a person sees why nothing leaves (I11).
_MAY_SEND = (WaveState.PLANNED, WaveState.PREPARING, WaveState.READY, WaveState.SENDING)


class Worker:
    """One worker process's life: start, tick, stop."""

    def __init__(self, app: App) -> None:
        """Wire the stages; nothing starts before :meth:`run`."""
        self._app = app
        self._database = app.database
        self._clock = app.clock
        self._policy = sending_policy(app.settings)
        self.id = uuid.uuid4().hex
        self._place = keeping.Place(self.id, host_id(), boot_id())
        self._flight = FlightLog.open(
            app.settings.worker.state_dir / "flight",
            worker=self.id,
            host=self._place.host,
            boot_id=self._place.boot,
        )
        self._dispatch = Dispatch(
            app.database,
            relay_of(app.settings),
            app.clock,
            self._policy,
            worker=self.id,
            flight=self._flight,
        )
        self._leases_from_s = 0.0
        # APScheduler carries no types.
        self._scheduler: Any = AsyncIOScheduler(
            timezone=UTC,
            # The default grace of one second would drop late ticks.
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )

    async def run(self) -> None:
        """Work until SIGTERM or SIGINT; what is on the wire is finished first.

        Raises:
            MessageError: This Python builds mails that must not leave (start-up self-test).
            StoreError: The database cannot be used.

        """
        self_test()
        now = self._clock.now()
        await asyncio.to_thread(self._register, now)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._dispatch.stop)
        self._scheduler.start()
        tick_s = self._app.settings.worker.tick_s
        self._every(tick_s, self._schedule)
        self._every(tick_s, self._prepare)
        self._every(tick_s, self._keep)
        self._every(self._policy.lease_s / 4, self._show_presence)
        log.info("Worker started", action="worker_started", worker=self.id)
        try:
            await self._dispatch.run()
        finally:
            self._scheduler.shutdown(wait=False)
        await asyncio.to_thread(self._deregister)
        log.info("Worker stopped", action="worker_stopped", worker=self.id)

    def _every(self, seconds: float, tick: Callable[[], object]) -> None:
        self._scheduler.add_job(
            tick,
            "interval",
            seconds=seconds,
            next_run_time=self._clock.now(),
        )

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
        if not self._app.installation.start(now=now):
            self._dispatch.claims.muted = True
            log.error("Database is not at home here", action="database_muted")

    def _deregister(self) -> None:
        now = self._clock.now()
        self._database.write(lambda tx: workers.end(tx, self.id, now)).result()
        self._flight.discard()

    # --- ticks ----------------------------------------------------------------------------------

    async def _schedule(self) -> None:
        due = await self._ticked(self._schedule_now)
        self._dispatch.expect(due)
        if due is not None:
            self._scheduler.add_job(
                self._lift,
                "date",
                run_date=due,
                id="lift",
                replace_existing=True,
            )

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
            return waves.next_send_at(tx, reading.now)

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

    async def _show_presence(self) -> None:
        now = self._clock.now()
        await self._ticked(
            lambda: self._database.write(lambda tx: workers.seen(tx, self.id, now)).result(),
        )

    async def _ticked(self, work: Callable[[], T]) -> T | None:
        """Run one tick off the loop; a database that is away is tried again at the next."""
        try:
            return await asyncio.to_thread(work)
        except (StoreError, IllegalMove) as error:
            log.warning("Tick failed", action="tick_failed", reason=str(error))
            return None
