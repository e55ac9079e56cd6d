"""A loop whose time passes only when nobody has anything to do, and workers that can be stopped.

Sockets, threads and the database are real. When every thread is idle and no socket has anything
to say, the loop jumps to its next timer: an hour of waiting costs a millisecond.

What runs on behalf of a worker carries its name in its context. A worker can so be frozen as
SIGSTOP does, and killed as ``kill -9`` does: no line of its code runs any more, no ``finally``
either, and the system closes its files and sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import selectors
import sys
import threading
import time
from collections import deque
from concurrent.futures import thread as pool_threads
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, Final

import apscheduler.executors.base
import apscheduler.schedulers.base
import apscheduler.triggers.date
import apscheduler.triggers.interval

if TYPE_CHECKING:
    from collections.abc import Generator

#: When every simulation begins, by the receiver's clock.
BEGIN: Final = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
#: On whose behalf something runs; "" is the world: receiver, desk, nemesis.
WHOSE: ContextVar[str] = ContextVar("whose", default="")
#: Real seconds without any progress after which a simulation is given up.
_STUCK_S: Final = 60.0
#: Rounds of the loop at one and the same instant after which nothing will ever come of it.
_ROUNDS: Final = 3_000


class Deadlock(AssertionError):
    """Everybody waits, and nothing will ever happen."""


class Pending:
    """Work that threads have not finished: while there is any, no time passes."""

    def __init__(self) -> None:
        self._count = 0
        self._lock = threading.Lock()

    @property
    def any(self) -> bool:
        return self._count > 0

    def add(self, change: int) -> None:
        with self._lock:
            self._count += change


class _Patient(selectors.DefaultSelector):
    """Waits for threads and sockets in real time, and for timers not at all."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop
        self._rounds = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._rounds += 1
        if self._rounds > _ROUNDS:
            raise Deadlock("time stands still: somebody runs in circles")
        events = self._moving(0)
        if events or (timeout is not None and timeout <= 0):
            return events
        until = time.monotonic() + _STUCK_S
        while self._loop.pending.any and not events:
            events = self._moving(0.01)
            if not events:
                # The frozen may have been spoken to: then the wait above was none, and the thread
                # that is waited for needs the processor.
                time.sleep(0.001)
            if time.monotonic() > until:
                raise Deadlock("a thread does not come back")
        if events:
            return events
        # What was sent a moment ago has arrived once the kernel has had its turn.
        os.sched_yield()
        events = self._moving(0)
        if not events:
            if timeout is None:
                raise Deadlock("nobody has anything left to do")
            self._loop.now_s += timeout
            if timeout > 0:
                self._rounds = 0
        return events

    def _moving(self, timeout: float) -> list[tuple[selectors.SelectorKey, int]]:
        """What the sockets have to say, but for those of the frozen."""
        return [
            (key, mask)
            for key, mask in super().select(timeout)
            if not any(self._loop.is_stopped(handle) for handle in key.data if handle)
        ]


class _Ready(deque[asyncio.Handle]):
    """The loop's queue, from which nothing of a frozen worker ever comes."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def popleft(self) -> asyncio.Handle:
        handle = super().popleft()
        if self._loop.is_stopped(handle):
            self._loop.set_aside(handle)
            return _Nothing(lambda: None, (), self._loop)
        return handle


class _Nothing(asyncio.Handle):
    """What a frozen worker does."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.cancel()


class VirtualLoop(asyncio.SelectorEventLoop):
    """See the module."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.pending = Pending()
        self._stopped: dict[str, list[asyncio.Handle]] = {}
        self._graves: list[object] = []
        super().__init__(_Patient(self))
        self._ready = _Ready(self)
        self._clock_resolution = 1e-6
        self.slow_callback_duration = 3600.0

    def time(self) -> float:
        return self.now_s

    def freeze(self, whose: str) -> None:
        """SIGSTOP: nothing of that worker runs until it is thawed."""
        self._stopped.setdefault(whose, [])

    def thaw(self, whose: str) -> None:
        """SIGCONT: what has become due meanwhile runs now, in its order."""
        self._ready.extend(self._stopped.pop(whose, ()))

    def kill(self, whose: str, *keep: object) -> None:
        """SIGKILL: nothing of that worker ever runs again, and its connections close."""
        self.freeze(whose)
        # Kept for good: what the collector finds is closed, and that runs its last lines.
        self._graves += [*keep, *asyncio.all_tasks(self)]
        for transport in [*_transports(self).values()]:
            if transport.get_extra_info("whose") == whose:
                self._hang_up(transport)

    def _hang_up(self, transport: Any) -> None:
        connected = transport._sock
        if connected is not None and connected.fileno() >= 0:
            loop: Any = self
            loop._remove_reader(connected.fileno())
            loop._remove_writer(connected.fileno())
            self._graves.append(transport)
            connected.close()

    def is_stopped(self, handle: asyncio.Handle | None) -> bool:
        """Whether a handle is a frozen worker's."""
        context = getattr(handle, "_context", None)
        return context is not None and context.get(WHOSE, "") in self._stopped

    def set_aside(self, handle: asyncio.Handle) -> None:
        """Keep what a frozen worker would have done for when it is thawed."""
        self._stopped[handle._context.get(WHOSE, "")].append(handle)

    def _make_socket_transport(self, *args: Any, **kwargs: Any) -> Any:
        transport = super()._make_socket_transport(*args, **kwargs)  # type: ignore[misc]
        transport._extra["whose"] = WHOSE.get()
        return transport


def _transports(loop: Any) -> Any:
    return loop._transports


# --- what else asks for the time ----------------------------------------------------------------


class Hands:
    """The wall clock of the machine, as somebody may have set it."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.off_s = 0.0

    def true(self) -> datetime:
        """The time it really is: the receiver's."""
        return BEGIN + timedelta(seconds=self._loop.now_s)

    def wall(self) -> datetime:
        """What the machine's clock says."""
        return self.true() + timedelta(seconds=self.off_s)

    def boot_s(self) -> float:
        """Seconds since boot, which nobody can set."""
        return 1000.0 + self._loop.now_s


_ASKING: Final = (
    apscheduler.schedulers.base,
    apscheduler.triggers.interval,
    apscheduler.triggers.date,
    apscheduler.executors.base,
)


@contextlib.contextmanager
def clocks(hands: Hands) -> Generator[None]:
    """Have the ticker, and whatever asks for the bare wall clock, see these hands."""

    class Told(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return hands.wall().astimezone(tz)

    changed: list[tuple[Any, str, Any]] = [(module, "datetime", Told) for module in _ASKING]
    for name, module in list(sys.modules.items()):
        if name.startswith("distributor") and hasattr(module, "system_wall"):
            changed.append((module, "system_wall", hands.wall))
    with patched(*changed):
        yield


@contextlib.contextmanager
def patched(*changes: tuple[Any, str, Any]) -> Generator[None]:
    """Put other values under these names until left."""
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in changes]
    for owner, name, value in changes:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in reversed(before):
            setattr(owner, name, value)


@contextlib.contextmanager
def watched_threads(pending: Pending) -> Generator[None]:
    """Count what the pools of this process have in hand, until each has told what it came to."""
    item: Any = pool_threads._WorkItem
    make, run = item.__init__, item.run

    def made(self: Any, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        pending.add(1)

    def ran(self: Any) -> None:
        try:
            run(self)
        finally:
            pending.add(-1)

    with patched((item, "__init__", made), (item, "run", ran)):
        yield


@contextlib.contextmanager
def watched_files(folder: str) -> Generator[dict[int, str]]:
    """Know on whose behalf each file below ``folder`` was opened: descriptor to name."""
    opened: dict[int, str] = {}
    really, closes = os.open, os.close

    def watching(path: Any, *args: Any, **kwargs: Any) -> int:
        descriptor = really(path, *args, **kwargs)
        if str(path).startswith(folder):
            opened[descriptor] = WHOSE.get()
        return descriptor

    def closing(descriptor: int) -> None:
        opened.pop(descriptor, None)
        closes(descriptor)

    with patched((os, "open", watching), (os, "close", closing)):
        yield opened
