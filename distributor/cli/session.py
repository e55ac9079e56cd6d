"""One command's session: settings read, database open, everything wired, and closed again."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

    import typer

    from distributor.app import App
    from distributor.config import Settings


def settings_of(ctx: typer.Context) -> Settings:
    """The settings of this command line: ``--config FILE`` or the usual places."""
    from distributor.config import load

    chosen = ctx.find_root().params.get("config")
    return load(Path(chosen) if chosen else None)


@contextmanager
def opened(ctx: typer.Context) -> Generator[App]:
    """Open the application for the length of one command.

    Raises:
        ConfigError: The configuration cannot be used.
        StoreError: The database cannot be used.

    """
    from distributor.app import open_app

    app = open_app(settings_of(ctx))
    try:
        yield app
    finally:
        app.close()
