"""Reconciling: mail servers' own records are asked about what is uncertain, sooner than people."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog

from distributor.store import settling

if TYPE_CHECKING:
    from datetime import datetime

    from distributor.errors import InquiryFailed
    from distributor.reconcile import Reconcile, Reconciled
    from distributor.store.database import Database
    from distributor.store.settling import Doubt

log = structlog.get_logger(__name__)

#: How often uncertain deliveries are looked for.
_LOOK: Final = timedelta(seconds=5)
#: A record is first asked when a doubt is so old: what the server did is in its log by then.
_FIRST: Final = timedelta(seconds=30)
#: And then again after as long as the doubt has lasted, but not sooner or later than this.
_SOONEST: Final = timedelta(minutes=1)
_LATEST: Final = timedelta(hours=1)
#: After so long a log has been rotated away; then only a person can tell.
_ASKED_FOR: Final = timedelta(days=5)


class Reconciling:
    """Knows when which doubt is asked about next. Memory is enough: at worst it asks again."""

    def __init__(self, database: Database, reconcile: Reconcile) -> None:
        """Nothing was asked yet."""
        self._database = database
        self._reconcile = reconcile
        self._look_at: datetime | None = None
        self._due: dict[int, datetime] = {}
        self._complained: dict[str, str] = {}

    def tick(self, now: datetime) -> None:
        """Ask about what is due, and settle what is told. May block as long as a command takes.

        Raises:
            StoreError: The database cannot be used.

        """
        early = self._look_at is not None and self._look_at - _LOOK < now < self._look_at
        if early or not self._reconcile.possible:
            return
        self._look_at = now + _LOOK
        with self._database.read() as tx:
            found = settling.doubts(tx, release=None, since=now - _ASKED_FOR)
        standing = {doubt.delivery_id: doubt for doubt in found if self._reconcile.asks(doubt)}
        self._due = {key: due for key, due in self._due.items() if key in standing}
        due = [doubt for doubt in standing.values() if now >= self._due_at(doubt)]
        if not due:
            return
        done = self._reconcile.settle(due, now=now)
        for doubt in due:
            self._due[doubt.delivery_id] = self._next(doubt, now)
        if not self._reconcile.given_up:
            self._tell(done)

    def _due_at(self, doubt: Doubt) -> datetime:
        return self._due.get(doubt.delivery_id, doubt.since + _FIRST)

    def _next(self, doubt: Doubt, now: datetime) -> datetime:
        again = now + min(max(now - doubt.since, _SOONEST), _LATEST)
        believed = self._reconcile.absent_from(doubt)
        return min(again, believed) if now < believed else again

    def _tell(self, done: Reconciled) -> None:
        if done.settled:
            numbers = {state.value: count for state, count in done.settled.items()}
            log.info("Doubts settled", action="reconciled", asked=done.asked, **numbers)
        for relay, error in done.failures.items():
            self._complain(relay, error)
        for relay in self._complained.keys() & done.answered:
            del self._complained[relay]
            log.info("Record answers again", action="record_answers", relay=relay)

    def _complain(self, relay: str, error: InquiryFailed) -> None:
        """Say a failure once, not at every question."""
        if self._complained.get(relay) != str(error):
            log.error(
                "Record not asked",
                action="record_failed",
                relay=relay,
                reason=str(error),
                remedy=error.remedy,
            )
        self._complained[relay] = str(error)
