"""A press office that is ready to send: made once, copied for every run.

Two lists, two approved releases: "morning" under an embargo, "evening" for immediate release; and
"long", whose text does not fit into the socket buffers.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from distributor.app import App, open_app
from distributor.config import load
from distributor.desk.contacts import Import
from distributor.desk.releases import read_text
from distributor.intake.table import read_table
from distributor.store.database import upgrade
from tests.flow.press import STATEMENT, config_text
from tests.torture.virtual import BEGIN

if TYPE_CHECKING:
    from distributor.settings import Settings

#: How many people stand on the lists of each name: "morning-6", "morning-12" …
SIZES: Final = (2, 6, 12, 24, 48)
ROOMS: Final = ("morning", "evening", "long")
#: When the embargo of "morning" and "long" ends, in seconds after the beginning.
LIFT_S: Final = 30
DATABASE: Final = "distributor.db"
BY: Final = "torture"


def addresses(room: str, count: int) -> list[str]:
    """Who stands on the list of that room and size."""
    return [f"{room[0]}{number}@{room}.example" for number in range(count)]


def memory_folder() -> str | None:
    """Where a disk costs nothing, if there is such a place."""
    shared = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    return str(shared) if shared.is_dir() and os.access(shared, os.W_OK) else None


def fresh_folder(name: str) -> Path:
    return Path(tempfile.mkdtemp(prefix=f"torture-{name}-", dir=memory_folder()))


@dataclass(frozen=True)
class Template:
    """A folder to copy from, and the references of its releases by room."""

    folder: Path
    refs: dict[str, str]

    def copied_to(self, folder: Path, port: int, **changes: Any) -> Settings:
        """A press office of its own in ``folder``, for a mail server at that port."""
        shutil.copyfile(self.folder / DATABASE, folder / DATABASE)
        return settings_in(folder, port, **changes)


def settings_in(folder: Path, port: int, **changes: Any) -> Settings:
    path = folder / "config.toml"
    path.write_text(config_text(port, **changes), encoding="utf-8")
    path.chmod(0o600)
    return load(path)


def make_template(folder: Path, *, begin: datetime = BEGIN, lift_s: float = LIFT_S) -> Template:
    """Make the press office, its people and its approved releases."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = settings_in(folder, 2525)
    upgrade(settings.database.url)
    app = open_app(settings)
    try:
        now = begin - timedelta(hours=1)
        for room in ROOMS:
            for size in SIZES:
                _people(app, room, size, now)
        _newcomers(app, now)
        lift = f"{begin + timedelta(seconds=lift_s):%Y-%m-%d %H:%M:%S} UTC"
        text = {room: _text(room) for room in ROOMS}
        embargo = {"morning": lift, "evening": "immediate", "long": lift}
        refs = {room: _release(app, folder, text[room], embargo[room], now) for room in ROOMS}
    finally:
        app.close()
    return Template(folder, refs)


def _people(app: App, room: str, size: int, now: datetime) -> None:
    rows = "".join(f"Reader {who.split('@')[0]},{who}\n" for who in addresses(room, size))
    table = read_table(f"name,email\n{rows}".encode())
    app.contacts.import_table(Import(table, "readers.csv", f"{room}-{size}"), by=BY, now=now)


def newcomer(number: int) -> str:
    """Somebody on no list at first."""
    return f"new{number}@newcomers.example"


def _newcomers(app: App, now: datetime) -> None:
    rows = "".join(f"New {number},{newcomer(number)}\n" for number in range(5))
    table = read_table(f"name,email\n{rows}".encode())
    app.contacts.import_table(Import(table, "new.csv", "newcomers"), by=BY, now=now)


def _text(room: str) -> str:
    text = STATEMENT.replace("Ferry operators", f"{room.title()}: ferry operators", 1)
    if room != "long":
        return text
    more = "".join(
        f"Sailing {number} of the winter did not run, and nobody on the quay was told why.\n\n"
        for number in range(3500)
    )
    return text.replace("-ends –", f"{more}-ends –")


def _release(app: App, folder: Path, text: str, embargo: str, now: datetime) -> str:
    path = folder / "statement.txt"
    path.write_text(text, encoding="utf-8")
    reading = read_text(path, received=now.date(), zone="Europe/London", language="en")
    version = app.releases.bring_in(
        reading, sender=app.sender(), embargo=embargo, language=None, by=BY, now=now
    )
    app.releases.approve(version.ref, by=BY, now=now)
    return version.ref
