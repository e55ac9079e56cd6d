"""The same job for the peers: rows in SQLite, the release's own text and HTML with their slots."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Final

from benchmarks import newsroom
from benchmarks.processes import Failed

if TYPE_CHECKING:
    from pathlib import Path

    from distributor.review import Preview

_TABLE: Final = """
CREATE TABLE recipients (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, address TEXT NOT NULL, outlet TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued', reply TEXT
)
"""


def write_material(folder: Path, preview: Preview, *, addressed_to: tuple[str, str, str]) -> None:
    """Turn one of our own mails into templates: its recipient's name, address, outlet are slots.

    Raises:
        Failed: One of them does not stand in it.

    """
    slots = dict(zip(("name", "address", "outlet"), addressed_to, strict=True))
    for file, source in (("text.txt", preview.text), ("body.html", preview.html)):
        for slot, value in slots.items():
            if value not in source:
                raise Failed(f"the {slot} does not stand in {file}")
            source = source.replace(value, f"{{{{ {slot} }}}}")  # noqa: PLW2901 - one after the other
        (folder / file).write_text(source, encoding="utf-8")
    (folder / "subject.txt").write_text(preview.subject, encoding="utf-8")


def write_rows(folder: Path, count: int) -> None:
    """So many recipients, none of them tried."""
    with contextlib.closing(sqlite3.connect(folder / "job.db")) as database, database:
        database.execute(_TABLE)
        database.executemany(
            "INSERT INTO recipients (name, address, outlet) VALUES (?, ?, ?)",
            newsroom.people(count),
        )


def require_all_accepted(database: Path, query: str, count: int) -> None:
    """What the peer's own table says: so many have gone out.

    Raises:
        Failed: Another number.

    """
    with contextlib.closing(sqlite3.connect(database)) as connection:
        (found,) = connection.execute(query).fetchone()
    if found != count:
        raise Failed(f"{database.name}: {found} of {count} are recorded as sent")
