"""The baton: whichever worker of a state folder holds it ticks the stages for all of them.

It is a lock on a file, so it goes with the process that dies, and the next to ask has it. Its
holder writes into the file when it last ticked; one that falls silent without dying (stopped, or
hanging on its database) is stood in for by everybody else. Two that tick at once change nothing,
because a tick decides from the rows; none at all delays a release. So in doubt one ticks.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from pathlib import Path

log = structlog.get_logger(__name__)

#: The file in the state folder. It is never removed: two could then hold one each.
FILE: Final = "ticking.lock"


class Baton:
    """One worker's hand on the baton, for any of its threads.

    Times are in seconds since boot, suspend included.
    """

    def __init__(self, folder: Path, *, silent_s: float) -> None:
        """Reach for the baton of ``folder``; a holder is waited for ``silent_s`` at most."""
        self._silent_s = silent_s
        self._lock = threading.Lock()
        self._held = False
        self._dropped = False
        self._descriptor = -1
        with contextlib.suppress(OSError):
            self._descriptor = os.open(folder / FILE, os.O_RDWR | os.O_CREAT, 0o600)

    def turn(self, now_s: float) -> bool:
        """Whether this worker is to tick now; takes the baton if nobody has it."""
        with self._lock:
            if self._dropped:
                return False
            if self._held or self._descriptor < 0:
                return True
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return self._is_silent(now_s)
            self._held = True
            self._note(now_s)
            log.info("Ticking for all workers here", action="baton_taken")
            return True

    def ticked(self, now_s: float) -> None:
        """Note that a tick went through, so that nobody stands in."""
        with self._lock:
            if self._held:
                self._note(now_s)

    def drop(self) -> None:
        """Let somebody else tick, for good."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
            self._descriptor, self._held, self._dropped = -1, False, True

    def _note(self, now_s: float) -> None:
        # A disk that takes no note has the others tick as well, which does no harm.
        with contextlib.suppress(OSError):
            os.pwrite(self._descriptor, b"%20.3f\n" % now_s, 0)

    def _is_silent(self, now_s: float) -> bool:
        try:
            ticked_s = float(os.pread(self._descriptor, 32, 0))
        except (OSError, ValueError):
            return True
        return not 0 <= now_s - ticked_s <= self._silent_s
