"""Scheduling: planned waves start preparing in time; what must not leave now is held.

Everything here is decided again at each tick from the rows alone, so it does not matter who
ticks, or how often, or whether an hour was slept through.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from distributor.core.states import HoldReason, WaveState
from distributor.core.timing import resolve
from distributor.errors import EmbargoUnclear, IllegalMove
from distributor.store import releases, sequels, waves
from distributor.store.waves import DESK, Order

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from distributor.core.model import Wave
    from distributor.core.policy import SendingPolicy
    from distributor.store.database import Database

log = structlog.get_logger(__name__)

#: A clock hold lifts by itself once nobody has renewed it for so long, in seconds (I2).
CLOCK_STABLE_S = 60.0


def tick(database: Database, policy: SendingPolicy, *, now: datetime, clock_agrees: bool) -> None:
    """Move every wave whose time has come. ``now`` is the guarded clock's."""
    with database.read() as tx:
        due = waves.due_to_prepare(tx, now + timedelta(seconds=policy.prepare_before_s))
        # Who has the release is known for good only when nothing of it is on its way any more.
        planned = [
            wave for wave in due if not (wave.audience.had and sequels.others_going(tx, wave))
        ]
        waiting = waves.in_states(tx, (WaveState.READY, WaveState.SENDING))
        held = waves.in_states(tx, (WaveState.HELD,))
    for wave in planned:
        _apply(database, wave, _begin, now)
    for wave in waiting:
        if not clock_agrees and wave.send_at <= now:
            _apply(database, wave, _hold_for_clock, now)
        elif _too_late(wave, policy, now):
            _apply(database, wave, _hold_as_late, now)
    for wave in held:
        if wave.reason is HoldReason.CLOCK and not clock_agrees:
            database.write(lambda tx, w=wave: waves.renew_hold(tx, w, now)).result()
        elif _clock_hold_is_over(wave, now):
            _apply(database, wave, _lift, now)


def _too_late(wave: Wave, policy: SendingPolicy, now: datetime) -> bool:
    begun = wave.first_mail_at is not None or HoldReason.LATE in wave.waived
    return not begun and policy.is_late(wave.send_at, now)


def _clock_hold_is_over(wave: Wave, now: datetime) -> bool:
    if wave.reason is not HoldReason.CLOCK or wave.held_at is None:
        return False
    return now >= wave.held_at + timedelta(seconds=CLOCK_STABLE_S)


def _begin(tx: Connection, wave: Wave, now: datetime) -> str:
    order = Order(DESK, now)
    if _zone_changed(tx, wave):
        waves.hold(tx, wave, HoldReason.ZONE, order)
        return "Release held: its time zone's rules have changed"
    waves.move(tx, wave, WaveState.PREPARING, order)
    return "Preparing begins"


def _zone_changed(tx: Connection, wave: Wave) -> bool:
    """Whether today's time zone rules put the embargo at another instant than was stored."""
    embargo = releases.version_of(tx, wave.version_id).draft.embargo
    if embargo.local is None or HoldReason.ZONE in wave.waived:
        return False
    try:
        return resolve(embargo.local) != embargo.at
    except EmbargoUnclear:
        return True


def _hold_for_clock(tx: Connection, wave: Wave, now: datetime) -> str:
    waves.hold(tx, wave, HoldReason.CLOCK, Order(DESK, now))
    return "Release held: the clocks disagree"


def _hold_as_late(tx: Connection, wave: Wave, now: datetime) -> str:
    waves.hold(tx, wave, HoldReason.LATE, Order(DESK, now))
    return "Release held: it would be late"


def _lift(tx: Connection, wave: Wave, now: datetime) -> str:
    waves.resume(tx, wave, Order(DESK, now))
    return "Release goes on: the clocks agree again"


def _apply(database: Database, wave: Wave, step: _Step, now: datetime) -> None:
    try:
        done = database.write(lambda tx: step(tx, wave, now)).result()
    except IllegalMove as error:
        # Another worker or a person was first: the next tick sees what came of it.
        log.debug(
            "Wave had moved already",
            action="wave_moved_already",
            wave=wave.id,
            reason=str(error),
        )
    else:
        log.info(done, action="wave_moved", release=wave.ref, wave=wave.id)


if TYPE_CHECKING:
    from collections.abc import Callable

    _Step = Callable[[Connection, Wave, datetime], str]
