"""The small parent of ``distributor run``: starts the worker, and again whenever it dies."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import structlog

from distributor.clock import GuardedClock

if TYPE_CHECKING:
    from pathlib import Path

log = structlog.get_logger(__name__)

#: Pause before a dead worker is started again, in seconds; doubled while it keeps dying young.
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
#: How often a pause looks whether it should end, in seconds.
_LOOK_S = 0.1
#: A worker that lived so long starts the pauses anew.
_YOUNG_S = 60.0


class Supervisor:
    """Minds one worker process."""

    def __init__(self, config: Path | None) -> None:
        """Start workers with this configuration file, or with the usual places."""
        chosen = ["--config", str(config)] if config else []
        self._command = [sys.executable, "-m", "distributor", *chosen, "worker"]
        self._clock = GuardedClock()
        # A plain flag: a signal handler must not touch the lock of an Event that is waited for.
        self._stopping = False
        self._child: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Mind the worker until SIGTERM or SIGINT; gives the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        pause_s = _FIRST_PAUSE_S
        stood = False
        while True:
            code, lived_s = self._live_once()
            if self._stopping:
                return 0
            if code == 1 and not stood:
                # Refused at the very start, for a reason it has said: it would say it again.
                return 1
            stood = True
            pause_s = _FIRST_PAUSE_S if lived_s >= _YOUNG_S else pause_s
            log.error("Worker died", action="worker_died", code=code, again_in_s=pause_s)
            self._pause(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            if self._stopping:
                return 0

    def _pause(self, seconds: float) -> None:
        never = threading.Event()
        until_s = self._clock.monotonic() + seconds
        while not self._stopping and self._clock.monotonic() < until_s:
            never.wait(_LOOK_S)

    def _live_once(self) -> tuple[int, float]:
        """One worker's life: its exit code, and how long it lived in seconds."""
        began_s = self._clock.monotonic()
        self._child = subprocess.Popen(self._command)  # noqa: S603 - our own program
        if self._stopping:
            self._child.terminate()
        code = self._child.wait()
        return code, self._clock.monotonic() - began_s

    def _stop(self, number: int, frame: object) -> None:
        del number, frame
        self._stopping = True
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()
