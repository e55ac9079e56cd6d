"""Commands that make and keep the database: ``init`` and ``db upgrade``."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from distributor.cli.session import settings_of

app = typer.Typer(help="The database's tables.", no_args_is_help=True)


def init(ctx: typer.Context) -> None:
    """Write config.toml and make the database here.

    What is there already is kept.

    Example: mkdir desk && cd desk && distributor init
    """
    from distributor.cli.output import say
    from distributor.config import named_file
    from distributor.errors import ConfigError

    chosen = ctx.find_root().params.get("config")
    path = (named_file(Path(chosen) if chosen else None) or Path("config.toml")).expanduser()
    if path.is_dir():
        msg = f"{path} is a folder, not a configuration file."
        raise ConfigError(
            msg, remedy=f"Name the file: distributor --config {path}/config.toml init"
        )
    if path.exists():
        say(f"{path} is there already and is kept.")
    else:
        _write_config(path)
        say(f"{path} written. Set [desk] organisation, [sender] address and [relay] host in it.")
    _upgrade(ctx)
    say("Next: distributor doctor")


def _write_config(path: Path) -> None:
    """A new file for its owner alone: a password may come to stand in it.

    Raises:
        ConfigError: It cannot be written there.

    """
    from distributor.config import initial_config
    from distributor.errors import ConfigError

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        private = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(private, "w", encoding="utf-8") as file:
            file.write(initial_config())
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror}."
        remedy = "Choose another folder, or: distributor --config FILE init"
        raise ConfigError(msg, remedy=remedy) from error


@app.command()
def upgrade(ctx: typer.Context) -> None:
    """Make the tables, or bring them to this version.

    Back the database up first.

    Example: distributor db upgrade
    """
    _upgrade(ctx)


def _upgrade(ctx: typer.Context) -> None:
    from distributor.app import upgrade_database
    from distributor.cli.output import say

    settings = settings_of(ctx)
    upgrade_database(settings)
    say(f"Database ready: {settings.database.shown_url}")
