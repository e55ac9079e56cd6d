"""A worker's database and disk, as they fail: from outside, by what stands between the two."""

from __future__ import annotations

import errno
import os
import random
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from distributor.errors import StoreError, StoreFull

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Generator

    from distributor.store.database import Database


class Dead(Exception):
    """The worker that wanted this was killed."""


class Trouble:
    """What is wrong with one worker's surroundings now; shared by all its lives."""

    def __init__(self, seed: str, happened: Counter[str]) -> None:
        self.dice = random.Random(seed)  # noqa: S311 - not secret
        self.happened = happened
        self.cut_off = self.away = self.full = self.disk_full = self.calm = False
        self.writes_fail = self.answers_lost = self.notes_fail = 0.0

    def chance(self, of: float) -> bool:
        return not self.calm and self.dice.random() < of


class Troubled:
    """Stands where the worker's database stood."""

    def __init__(self, database: Database, trouble: Trouble) -> None:
        self._database = database
        self._trouble = trouble
        self.dead = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    @contextmanager
    def read(self) -> Generator[Any]:
        trouble = self._trouble
        if trouble.cut_off or trouble.away:
            raise StoreError("the database is away")
        with self._database.read() as tx:
            yield tx

    def write(self, work: Callable[[Any], Any]) -> Future[Any]:
        trouble = self._trouble
        if trouble.cut_off or trouble.away:
            return _failed(StoreError("the database is away"))
        if trouble.full:
            return _failed(StoreFull("the disk is full"))
        if trouble.chance(trouble.writes_fail):
            trouble.happened["database write failed"] += 1
            return _failed(StoreError("the write failed"))

        def unless_dead(tx: Any) -> Any:
            if self.dead:
                raise Dead
            return work(tx)

        done = self._database.write(unless_dead)
        if not trouble.chance(trouble.answers_lost):
            return done
        trouble.happened["database answer lost"] += 1
        lost: Future[Any] = Future()

        def told(_: Future[Any]) -> None:
            lost.set_exception(StoreError("the connection was lost"))

        done.add_done_callback(told)
        return lost


def _failed(error: Exception) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(error)
    return future


class Notes:
    """The disk of the flight logs: ``os.write`` for the files that ``whose`` knows."""

    def __init__(self, opened: dict[int, str], troubles: Callable[[str], Trouble | None]) -> None:
        self._opened = opened
        self._troubles = troubles
        self._really = os.write

    def write(self, descriptor: int, data: bytes) -> int:
        whose = self._opened.get(descriptor)
        trouble = self._troubles(whose) if whose else None
        if trouble is None or not data.startswith(b"["):
            return self._really(descriptor, data)
        if trouble.disk_full:
            trouble.happened["flight log: no space"] += 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if trouble.chance(trouble.notes_fail):
            if trouble.dice.random() < 0.5:
                trouble.happened["flight log: half a line"] += 1
                return self._really(descriptor, data[: len(data) // 2])
            trouble.happened["flight log: no space"] += 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._really(descriptor, data)
