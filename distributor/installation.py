"""Whether this database is at home here: a restored or copied one must not mail (I11).

Two marks are compared. The identity says which machine and file, or which PostgreSQL cluster and
database; the count of worker starts, kept in the database and in a file beside the flight logs,
tells an older copy put back in place. Either mark off, and nothing leaves until a person confirms.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING

from distributor.store import audit, installation

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection

    from distributor.store.database import Database

_FILE = "installation.json"


class Installation:
    """This machine's view of the database's home."""

    def __init__(self, database: Database, state_dir: Path, *, host: str) -> None:
        """Look at this database from ``host``; the counter file lies in ``state_dir``."""
        self._database = database
        self._file = state_dir / _FILE
        self._host = host

    def is_home(self, tx: Connection) -> bool:
        """Whether the database may mail from here.

        One that no worker ever used may, unless workers ran here before and it brings a
        schedule along: then it is a copy from before the first start.
        """
        stored = installation.stored(tx)
        if stored is None:
            return not self._seen_starts() or not installation.has_waves(tx)
        return stored.identity == self._identity(tx) and stored.starts >= self._seen_starts()

    def start(self, *, now: datetime) -> bool:
        """Count a worker's start; False (and nothing counted) when the database is not at home."""

        def work(tx: Connection) -> int | None:
            if not self.is_home(tx):
                return None
            if installation.stored(tx) is None:
                starts = self._seen_starts()
                installation.move_in(tx, self._identity(tx), starts=starts, now=now)
            return installation.count_start(tx)

        starts = self._database.write(work).result()
        if starts is not None:
            self._remember(starts)
        return starts is not None

    def confirm(self, *, by: str, now: datetime) -> None:
        """Bind the database to this place: a person says that it is the only one."""

        def work(tx: Connection) -> int:
            stored = installation.stored(tx)
            starts = max(stored.starts if stored else 0, self._seen_starts())
            installation.confirm(tx, self._identity(tx), starts=starts, now=now)
            audit.record(tx, audit.Entry(now, by, "confirmed", "installation", {"starts": starts}))
            return starts

        self._remember(self._database.write(work).result())

    def _identity(self, tx: Connection) -> str:
        cluster = installation.system_identity(tx)
        if cluster is not None:
            return cluster
        file = self._database.file
        place = f"{self._host}:{file.resolve() if file else ''}"
        return f"sqlite:{hashlib.sha256(place.encode()).hexdigest()[:32]}"

    def _seen_starts(self) -> int:
        try:
            return int(json.loads(self._file.read_text(encoding="utf-8"))["starts"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return 0

    def _remember(self, starts: int) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Workers that start at the same moment must not write the same new file.
        partial = self._file.with_suffix(f".{os.getpid()}.new")
        starts = max(starts, self._seen_starts())
        partial.write_text(json.dumps({"starts": starts}) + "\n", encoding="utf-8")
        partial.replace(self._file)
