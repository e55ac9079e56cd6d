"""The only caller of the system clocks; what time it is, guarded against clocks that lie (I2).

"Now" is the earliest of three: the wall clock, the anchor (wall clock at start + CLOCK_BOOTTIME,
which runs on while a laptop sleeps and cannot be set), and the database's clock, carried forward
by CLOCK_BOOTTIME. While they disagree nothing that is due may leave; once they have kept still
for a minute the anchor is set anew. Late is allowed, early never.
Invariant: with no second clock (SQLite: one machine) a wall clock that is set wrong and stays
wrong is believed after that minute; ``Reading.sources`` says how many clocks were asked.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

#: Clocks further apart than this, in seconds, do not agree (design I2).
AGREE_S: Final = 2.0
#: How long, in seconds, clocks that moved must keep still before the anchor is set anew (I2).
STEADY_FOR_S: Final = 60.0
#: What still counts as keeping still, in seconds; also how far the anchor may lag unmended.
STEADY_WITHIN_S: Final = 0.5
#: Unwatched for longer than this, in seconds, nobody knows whether a clock kept still.
WATCHED_EVERY_S: Final = 10.0
#: A database that took longer than this, in seconds, to say the time did not say it.
ROUND_TRIP_LIMIT_S: Final = 1.0

#: The watch need not see every reading: a clock that moved still stands elsewhere so many seconds
#: later, and readings are asked for at every mail.
_WATCH_STEP_S: Final = 0.1
_FIRST: Final = itemgetter(0)

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MACHINE_IDS = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))


@dataclass(frozen=True, slots=True)
class Reading:
    """What time it is: ``now`` in UTC, and how far the clocks that were asked stand apart.

    ``sources`` names them, the earliest (whose word ``now`` is) first.
    """

    now: datetime
    agrees: bool
    spread_s: float
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Jump:
    """The anchor was set anew: the facts for the audit row. ``by_s`` > 0 is forward."""

    before: datetime
    after: datetime

    @property
    def by_s(self) -> float:
        """Seconds the anchor moved."""
        return (self.after - self.before).total_seconds()


class Clock(Protocol):
    """What the program may ask about time."""

    def reading(self) -> Reading:
        """Return now, with whether the clocks agree on it."""
        ...

    def now(self) -> datetime:
        """Return the guarded now, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that only ever grow, suspend included: for leases and waits."""
        ...


@dataclass(frozen=True, slots=True)
class Offsets:
    """Every clock as "what it would have said at boot": a clock that runs true stands still here.

    In UTC. ``database`` is None until it was asked.
    """

    wall: datetime
    anchor: datetime
    database: datetime | None = None

    def named(self) -> dict[str, datetime]:
        """Every clock that was asked, by name."""
        named = {"wall": self.wall, "anchor": self.anchor}
        return named if self.database is None else named | {"database": self.database}


@dataclass(frozen=True, slots=True)
class Watch:
    """How long the clocks have kept still: since ``since_s``, last looked at ``seen_s`` (boot)."""

    offsets: Offsets
    since_s: float
    seen_s: float


def read(offsets: Offsets, boot_s: float) -> Reading:
    """Tell the time ``boot_s`` seconds after boot: the earliest clock's word."""
    clocks = [(offsets.wall, "wall"), (offsets.anchor, "anchor")]
    if offsets.database is not None:
        clocks.append((offsets.database, "database"))
    clocks.sort(key=_FIRST)
    earliest = clocks[0][0]
    spread_s = (clocks[-1][0] - earliest).total_seconds()
    return Reading(
        earliest + timedelta(seconds=boot_s),
        spread_s <= AGREE_S,
        spread_s,
        tuple([name for _, name in clocks]),
    )


def watch(before: Watch | None, offsets: Offsets, boot_s: float) -> Watch:
    """Go on watching: a clock that moved, came or was not looked at starts the wait again."""
    if before is None or not _kept_still(before, offsets, boot_s):
        return Watch(offsets, since_s=boot_s, seen_s=boot_s)
    return replace(before, seen_s=boot_s)


def _kept_still(before: Watch, offsets: Offsets, boot_s: float) -> bool:
    if boot_s - before.seen_s > WATCHED_EVERY_S:
        return False
    then, today = before.offsets.named(), offsets.named()
    return then.keys() == today.keys() and all(
        abs((today[name] - then[name]).total_seconds()) <= STEADY_WITHIN_S for name in today
    )


def new_anchor(watched: Watch, offsets: Offsets) -> datetime | None:
    """Where the anchor belongs when it alone is off and all has kept still; None: leave it.

    The clocks other than the anchor must agree with each other: were a wall clock set wrong while
    the database holds to the old time, no new anchor could settle who is right.
    """
    others = [at for name, at in offsets.named().items() if name != "anchor"]
    earliest, latest = min(others), max(others)
    off_s = abs((earliest - offsets.anchor).total_seconds())
    steady_for_s = watched.seen_s - watched.since_s
    if off_s <= STEADY_WITHIN_S or steady_for_s < STEADY_FOR_S:
        return None
    return earliest if (latest - earliest).total_seconds() <= AGREE_S else None


def system_wall() -> datetime:
    """Return what the wall clock says, right or wrong, in UTC: for a receiver that judges us."""
    return datetime.now(UTC)


#: Seconds since boot, suspend included. Asked several times at every mail: no frame of ours.
_system_boot: Final = partial(time.clock_gettime, time.CLOCK_BOOTTIME)


class GuardedClock:
    """The program's clock. Safe to ask from any thread.

    It judges by what it sees, so something must read it at least every ten seconds (the worker's
    tick does) for the anchor ever to be set anew.
    """

    def __init__(
        self,
        *,
        wall: Callable[[], datetime] = system_wall,
        boot: Callable[[], float] = _system_boot,
    ) -> None:
        """Anchor the wall clock as it stands now. ``wall`` is aware; ``boot`` counts suspend."""
        self._wall = wall
        self._boot = boot
        self._lock = threading.Lock()
        self._database: datetime | None = None
        self._watch: Watch | None = None
        # Each sample is late by the time that passed between the two clocks: take the best.
        self._anchor = max(_offset(wall(), boot()) for _ in range(3))

    def reading(self) -> Reading:
        """Ask every clock there is."""
        with self._lock:
            return read(*self._look())

    def now(self) -> datetime:
        """Return the guarded now, in UTC."""
        return self.reading().now

    def monotonic(self) -> float:
        """Return seconds since boot, suspend included."""
        return self._boot()

    def observe_database(self, database_now: datetime, *, asked_s: float) -> bool:
        """Take in what the database said the time is; ``asked_s`` is ``monotonic()`` before that.

        The answer is taken as of its arrival, so the round trip can only make it late. Returns
        False, and keeps to the earlier answer, when the round trip took over a second.
        """
        with self._lock:
            boot_s = self._boot()
            if not 0 <= boot_s - asked_s <= ROUND_TRIP_LIMIT_S:
                return False
            self._database = _offset(database_now, boot_s)
            return True

    def reanchor(self) -> Jump | None:
        """Set the anchor anew if that is due, and say by how much; None when it is not due."""
        with self._lock:
            offsets, boot_s = self._look()
            anchor = new_anchor(self._watch, offsets) if self._watch else None
            if anchor is None:
                return None
            since_boot = timedelta(seconds=boot_s)
            jump = Jump(before=self._anchor + since_boot, after=anchor + since_boot)
            self._anchor, self._watch = anchor, None
            return jump

    def _look(self) -> tuple[Offsets, float]:
        # The wall clock first: what passes between the two makes its word late, never early.
        wall = self._wall()
        boot_s = self._boot()
        offsets = Offsets(_offset(wall, boot_s), self._anchor, self._database)
        watched = self._watch
        if watched is None or not 0 <= boot_s - watched.seen_s < _WATCH_STEP_S:
            self._watch = watch(watched, offsets, boot_s)
        return offsets, boot_s


def _offset(at: datetime, boot_s: float) -> datetime:
    utc = at if at.tzinfo is UTC else at.astimezone(UTC)
    return utc - timedelta(seconds=boot_s)


def boot_id() -> str:
    """Return what tells one start of this machine from the next."""
    return _BOOT_ID.read_text(encoding="ascii").strip()


def host_id() -> str:
    """Return what tells this machine from others: 32 hex digits that do not give it away.

    The machine's own id is not to be shown (machine-id(5)), so it is hashed for our use; where a
    container has none, its host name stands in.
    """
    named = (path.read_text(encoding="ascii").strip() for path in _MACHINE_IDS if path.is_file())
    identity = next((text for text in named if text), None) or os.uname().nodename
    return hashlib.sha256(f"distributor:{identity}".encode()).hexdigest()[:32]
