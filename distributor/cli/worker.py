"""Starting the processes: ``run`` minds a worker, ``worker`` is one."""

from __future__ import annotations

import typer

from distributor.cli.session import opened, settings_of


def worker(ctx: typer.Context) -> None:
    """Send what is due until stopped (SIGTERM finishes what is on the wire first).

    Several may work on one database; each claims its own batches.

    Example: distributor worker
    """
    import asyncio

    from distributor.logs import set_up
    from distributor.worker import Worker

    with opened(ctx) as app:
        set_up(app.settings.log.level, app.settings.log.format)
        code = asyncio.run(Worker(app).run())
    raise typer.Exit(code)


def run(ctx: typer.Context) -> None:
    """Run the desk: a worker, started again should it ever die.

    Example: distributor --config /etc/distributor/config.toml run
    """
    from distributor.logs import set_up
    from distributor.supervisor import Supervisor

    settings = settings_of(ctx)
    set_up(settings.log.level, settings.log.format)
    with opened(ctx):
        # A configuration or database that cannot be used is said here, once, not by a child
        # that is started again and again.
        pass
    raise typer.Exit(Supervisor(settings.source).run())
