"""What a tick does: some of it every worker for itself, the rest one of them for all.

Invariant: what is due is decided from the rows at each tick, so a tick that is lost, late or
doubled changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from distributor.core.states import HoldReason, WaveState
from distributor.core.timing import describe
from distributor.stages import keeping, preparing, scheduling
from distributor.stages.reconciling import Reconciling
from distributor.store import audit, recovery, waves
from distributor.store.database import database_now
from distributor.store.waves import DESK, Order

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from distributor.app import App
    from distributor.baton import Baton
    from distributor.core.policy import SendingPolicy
    from distributor.stages.dispatch import Dispatch

log = structlog.get_logger(__name__)

#: Waves that a muted database holds, so that a person sees why nothing leaves (I11).
_MAY_SEND = (WaveState.PLANNED, WaveState.PREPARING, WaveState.READY, WaveState.SENDING)


class Ticks:
    """One worker's ticks. Each method is one, and may block."""

    def __init__(
        self,
        app: App,
        dispatch: Dispatch,
        policy: SendingPolicy,
        *,
        place: keeping.Place,
        baton: Baton,
    ) -> None:
        """Tick for the worker at ``place``, and for all while it has the baton."""
        self._app = app
        self._database = app.database
        self._clock = app.clock
        self._dispatch = dispatch
        self._policy = policy
        self._place = place
        self._baton = baton
        self._reconciling = Reconciling(app.database, app.reconcile)
        self._leases_from_s = 0.0
        self._told = ""

    def schedule(self) -> datetime | None:
        """See what time it is and whether we are at home; move what is due. Gives the next lift."""
        for_all = self._has_turn()
        self._mind_the_clock(for_all=for_all)
        self._mind_the_home(for_all=for_all)
        reading = self._clock.reading()
        if for_all:
            scheduling.tick(
                self._database,
                self._policy,
                now=reading.now,
                clock_agrees=reading.agrees,
            )
        with self._database.read() as tx:
            due = waves.next_send_at(tx, reading.now)
            retry = recovery.next_retry(tx, reading.now)
        if for_all:
            self._tell_what_comes(due, retry)
            self._baton.ticked(self._clock.monotonic())
        return due

    def prepare(self) -> None:
        """Freeze the audiences that are due."""
        if self._has_turn():
            preparing.tick(
                self._database,
                self._policy,
                worker=self._place.worker,
                now=self._clock.now(),
            )

    def keep(self) -> None:
        """Put in order what crashes, lapsed leases, deferrals and deadlines left behind."""
        if self._has_turn():
            keeping.tick(
                self._database,
                self._policy,
                self._place,
                now=self._clock.now(),
                leases_count=self._clock.monotonic() >= self._leases_from_s,
            )

    def reconcile(self) -> None:
        """Ask the mail servers' own records about what is uncertain."""
        if self._has_turn():
            self._reconciling.tick(self._clock.now())

    def _has_turn(self) -> bool:
        return self._baton.turn(self._clock.monotonic())

    def _tell_what_comes(self, due: datetime | None, retry: datetime | None) -> None:
        """Say what is waited for, whenever that changes: silence must not look like a fault."""
        zone = self._app.settings.desk.zone
        comes = f"leaves at {describe(due, zone)}" if due else "none is scheduled"
        if retry:
            comes += f"; what was put off is tried again at {describe(retry, zone)}"
        if comes != self._told:
            self._told = comes
            log.info("Next release", action="waiting", comes=comes)

    def _mind_the_clock(self, *, for_all: bool) -> None:
        """Ask the database's clock where it has one; set the anchor anew when that is due (I2).

        Every worker has an anchor of its own; the audit needs to know of a jump once.
        """
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
        log.warning("Clock set anew", action="clock_reanchored", by_s=jump.by_s)
        if for_all:
            facts = {"by_s": jump.by_s}
            entry = audit.Entry(self._clock.now(), DESK, "clock set anew", "clock", facts)
            self._database.write(lambda tx: audit.record(tx, entry)).result()

    def _mind_the_home(self, *, for_all: bool) -> None:
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

        if for_all:
            self._database.write(hold_all).result()
