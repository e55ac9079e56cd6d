"""An outage of the database as the log tells it: once when it begins, once when it is over."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

    from distributor.errors import StoreError

log = structlog.get_logger(__name__)

#: An outage is over when a write has worked and nothing has failed for so long, in seconds.
#: Whoever waits for the database tries again within a second; what writes nothing may work
#: meanwhile, on a full disk for instance, and says nothing.
QUIET_S = 2.0


class Outage:
    """Told of every failure and every write that worked, from any thread; speaks rarely."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """All is well. ``monotonic`` gives seconds that only grow."""
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._began_s = 0.0
        self._failed_s = 0.0
        self._told: set[type[StoreError]] = set()

    def failed(self, error: StoreError) -> None:
        """Note a failure; said aloud at the first of its kind since all was well."""
        with self._lock:
            self._failed_s = self._monotonic()
            if not self._told:
                self._began_s = self._failed_s
            if type(error) in self._told:
                return
            self._told.add(type(error))
        log.error(
            "Database away, sending pauses",
            action="database_away",
            reason=str(error),
            remedy=error.remedy,
        )

    def worked(self) -> None:
        """Note a write that was committed; said aloud when that ends an outage."""
        if not self._told:
            return
        with self._lock:
            if not self._told or self._monotonic() - self._failed_s < QUIET_S:
                return
            self._told.clear()
            lasted_s = round(self._failed_s - self._began_s, 1)
        log.warning("Database back, sending goes on", action="database_back", lasted_s=lasted_s)
