"""A worker process that kills itself at its Nth crash point: ``python -m tests.torture.victim``.

A crash point is right before or right after a commit that changes something, an append to (or a
cut or removal of) a flight log, or a write to a socket. They are counted by what stands around
the product, which runs unchanged: the database driver, ``os`` and ``socket``.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine.default import DefaultDialect

from distributor import worker as preloaded
from distributor.cli import main as program

if TYPE_CHECKING:
    from collections.abc import Callable

#: Loaded before a process is forked, so that each life begins at once.
PRELOADED = (preloaded,)
_KINDS = ("commit", "flight log", "socket")


class Points:
    """Counts crash points, and dies at the one it was told (0: at none)."""

    def __init__(self, last: int, told: Path) -> None:
        self._last = last
        self._told = told
        self._count = 0
        self._kinds: Counter[str] = Counter()
        self._lock = threading.Lock()

    def reached(self, kind: str) -> None:
        with self._lock:
            self._count += 1
            self._kinds[kind] += 1
            if self._count == self._last:
                self._told.write_text(f"{self._count} {kind}", encoding="ascii")
                os.kill(os.getpid(), signal.SIGKILL)

    def untouched(self) -> None:
        """Say that the run came through, and what it passed."""
        kinds = " ".join(str(self._kinds[kind]) for kind in _KINDS)
        self._told.write_text(f"untouched {self._count} {kinds}", encoding="ascii")


def _around(points: Points, kind: str, really: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        points.reached(kind)
        done = really(*args, **kwargs)
        points.reached(kind)
        return done

    return call


def _is_flight(descriptor: int) -> bool:
    try:
        return ".flight" in os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
    except OSError:
        return False


def _watch_files(points: Points) -> None:
    for name in ("write", "ftruncate", "writev", "pwrite"):
        really: Any = getattr(os, name)
        counted = _around(points, "flight log", really)

        def call(descriptor: int, *args: Any, really: Any = really, counted: Any = counted) -> Any:
            return (counted if _is_flight(descriptor) else really)(descriptor, *args)

        setattr(os, name, call)
    unlink: Any = os.unlink
    counted_unlink = _around(points, "flight log", unlink)

    def remove(path: Any, *args: Any, **kwargs: Any) -> Any:
        return (counted_unlink if str(path).endswith(".flight") else unlink)(path, *args, **kwargs)

    os.unlink = remove


def _watch_sockets(points: Points) -> None:
    inet = {socket.AF_INET, socket.AF_INET6}
    for name in ("send", "sendall", "sendmsg"):
        really: Any = getattr(socket.socket, name)
        counted = _around(points, "socket", really)

        def call(
            self: socket.socket, *args: Any, really: Any = really, counted: Any = counted
        ) -> Any:
            return (counted if self.family in inet else really)(self, *args)

        setattr(socket.socket, name, call)


def _watch_commits(points: Points) -> None:
    commit: Any = DefaultDialect.do_commit
    changes: dict[int, int] = {}

    def committed(self: Any, connection: Any) -> None:
        driver = getattr(connection, "driver_connection", connection)
        total = getattr(driver, "total_changes", 0)
        changed = changes.get(id(driver), 0) != total
        changes[id(driver)] = total
        if changed:
            points.reached("commit")
        commit(self, connection)
        if changed:
            points.reached("commit")

    DefaultDialect.do_commit = committed  # type: ignore[method-assign]


def work(config: str, last: int, told: str) -> None:
    """Run ``distributor worker`` with that configuration, to the ``last``-th crash point."""
    os.chdir(Path(config).parent)
    output = os.open("worker.log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.dup2(output, 1)
    os.dup2(output, 2)
    points = Points(last, Path(told))
    _watch_files(points)
    _watch_sockets(points)
    _watch_commits(points)
    sys.argv = ["distributor", "--config", config, "worker"]
    try:
        program.main()
    finally:
        points.untouched()


if __name__ == "__main__":
    work(sys.argv[1], int(sys.argv[2]), sys.argv[3])
