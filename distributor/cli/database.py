"""Commands that make and keep the database: ``init`` and ``db upgrade``."""

from __future__ import annotations

from pathlib import Path

import typer

from distributor.cli.session import settings_of

app = typer.Typer(help="The database's tables.", no_args_is_help=True)


def init(ctx: typer.Context) -> None:
    """Write config.toml and make the database here; what is there already is kept.

    Example: mkdir desk && cd desk && distributor init
    """
    from distributor.cli.output import say
    from distributor.config import initial_config

    path = Path(ctx.find_root().params.get("config") or "config.toml")
    if path.exists():
        say(f"{path} is there already and is kept.")
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(initial_config(), encoding="utf-8")
        path.chmod(0o600)
        say(f"{path} written. Set [sender] address and [relay] host in it.")
    _upgrade(ctx)
    say("Next: distributor doctor")


@app.command()
def upgrade(ctx: typer.Context) -> None:
    """Make the tables, or bring them to this version. Back the database up first.

    Example: distributor db upgrade
    """
    _upgrade(ctx)


def _upgrade(ctx: typer.Context) -> None:
    from distributor.app import upgrade_database
    from distributor.cli.output import say

    settings = settings_of(ctx)
    upgrade_database(settings)
    say(f"Database ready: {settings.database.shown_url}")
