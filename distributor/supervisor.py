"""The small parent of the workers: starts them, and each again whenever it dies."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Final

import structlog

from distributor.clock import GuardedClock
from distributor.lifeline import Lifeline

if TYPE_CHECKING:
    from pathlib import Path

log = structlog.get_logger(__name__)

#: Pause before a dead worker is started again, in seconds; doubled while it keeps dying young.
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
#: How often the workers are looked at, in seconds.
_LOOK_S: Final = 0.1
#: A worker that lived so long starts the pauses anew.
_YOUNG_S: Final = 60.0
#: The exit code of a worker that refused to start, for a reason it has said.
_REFUSED: Final = 1


class Child:
    """The place of one worker: the process that fills it, or when the next one is due.

    Instants are in seconds since boot.
    """

    def __init__(self, command: list[str], *, number: int) -> None:
        """Begin with an empty place; ``number`` counts from 1."""
        self.stood = False
        self._command = command
        self._number = number
        self._process: subprocess.Popen[bytes] | None = None
        self._line: Lifeline | None = None
        self._began_s = 0.0
        self._due_s = 0.0
        self._pause_s = _FIRST_PAUSE_S

    def start_if_due(self, now_s: float) -> None:
        """Start a process, unless one runs or the pause after the last one is not over."""
        if self._process is not None or now_s < self._due_s:
            return
        self._began_s = now_s
        line = Lifeline()
        try:
            self._process = subprocess.Popen(self._command, stdin=line.theirs.fileno())  # noqa: S603 - our own program
        except OSError as error:
            # A machine that has no room for one more: those that run go on.
            log.error("Worker not started", action="worker_not_started", reason=str(error))  # noqa: TRY400
            line.close()
            self.rest(now_s, code=None)
        else:
            self._line = line
        finally:
            line.handed_over()

    def ended(self) -> int | None:
        """The exit code of a process that has just ended, or None. Hears whether it stood."""
        if self._process is None or self._line is None:
            return None
        code = self._process.poll()
        # Asked after: a process that stood and has ended said so before.
        self.stood = self._line.stands() or self.stood
        if code is not None:
            self._line.close()
            self._process = self._line = None
        return code

    def rest(self, now_s: float, *, code: int | None) -> None:
        """Have the next process wait: the longer, the more often the last ones died young."""
        if now_s - self._began_s >= _YOUNG_S:
            self._pause_s = _FIRST_PAUSE_S
        self._due_s = now_s + self._pause_s
        facts = {"number": self._number, "code": code, "again_in_s": self._pause_s}
        log.error("Worker died", action="worker_died", **facts)
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)

    def terminate(self) -> None:
        """Ask the process to end; it finishes what is on the wire."""
        if self._process is not None:
            self._process.terminate()

    def wait(self) -> None:
        """Wait until the process has ended."""
        if self._process is not None and self._line is not None:
            self._process.wait()
            self._line.close()


class Supervisor:
    """Minds one place or several."""

    def __init__(self, config: Path | None, processes: int = 1) -> None:
        """Start workers with this configuration file, or with the usual places."""
        chosen = ["--config", str(config)] if config else []
        command = [sys.executable, "-m", "distributor", *chosen, "worker", "--share"]
        self._children = [
            Child([*command, str(number), str(processes)], number=number)
            for number in range(1, processes + 1)
        ]
        self._clock = GuardedClock()
        # A plain flag: a signal handler must not touch the lock of an Event that is waited for.
        self._stopping = False

    def run(self) -> int:
        """Mind the workers until SIGTERM or SIGINT; gives the exit code.

        A second signal changes nothing: what is on the wire is finished within half a minute.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        never = threading.Event()
        while not self._stopping:
            if not self._see_to_all():
                return _REFUSED
            never.wait(_LOOK_S)
        for child in self._children:
            child.terminate()
        for child in self._children:
            child.wait()
        return 0

    def _see_to_all(self) -> bool:
        """Look at every place once; False when a worker was refused before any ever stood.

        Until one stands the first is alone: whatever refuses it would refuse the others too, and
        is said once. Later a refusal is a death like any other: what was missing may come back.
        """
        now_s = self._clock.monotonic()
        ended = [(child, child.ended()) for child in self._children]
        stood = any(child.stood for child in self._children)
        for child, code in ended:
            if code == _REFUSED and not stood:
                return False
            if code is not None:
                child.rest(now_s, code=code)
        for child in self._children if stood else self._children[:1]:
            child.start_if_due(now_s)
        return True

    def _stop(self, number: int, frame: object) -> None:
        del number, frame
        self._stopping = True
