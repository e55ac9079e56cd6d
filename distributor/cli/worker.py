"""Starting the processes: ``worker`` is one or several, ``run`` minds what the desk needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from distributor.cli.session import opened, settings_of

if TYPE_CHECKING:
    from distributor.config import Settings

#: The worker's end of the line to its parent.
_STDIN = 0


def worker(
    ctx: typer.Context,
    processes: Annotated[
        int | None,
        typer.Option(
            "--processes",
            min=1,
            max=64,
            metavar="N",
            help="How many processes (1 to 64); else worker.processes of the configuration. "
            "They share the connections, so not more than relay.connections.",
            show_default=False,
        ),
    ] = None,
    share: Annotated[
        tuple[int, int] | None,
        typer.Option("--share", metavar="NUMBER OF", hidden=True),
    ] = None,
) -> None:
    """Send what is due until stopped (SIGTERM finishes what is on the wire first).

    Several may work on one database; each claims its own batches. More than one process is
    minded by a small parent, which starts each again should it ever die.

    Example: distributor worker --processes 4
    """
    if share is not None:
        number, of = share
        if not 1 <= number <= of:
            msg = f"There is no number {number} of {of}."
            raise typer.BadParameter(msg)
        raise typer.Exit(_work(ctx, number, of, minded=True))
    settings = settings_of(ctx)
    wanted = processes or settings.worker.processes
    raise typer.Exit(_work(ctx) if wanted == 1 else _mind(ctx, settings, wanted))


def run(ctx: typer.Context) -> None:
    """Run the desk: its workers (worker.processes), each started again should it ever die.

    Example: distributor --config /etc/distributor/config.toml run
    """
    settings = settings_of(ctx)
    raise typer.Exit(_mind(ctx, settings, settings.worker.processes))


def _work(ctx: typer.Context, number: int = 1, of: int = 1, *, minded: bool = False) -> int:
    import asyncio

    from distributor.app import share_of
    from distributor.lifeline import Parent
    from distributor.logs import set_up
    from distributor.worker import Worker

    with opened(ctx) as app:
        log = app.settings.log
        set_up(log.level, log.format, child=number if of > 1 else None)
        share = share_of(app.settings, of, index=number - 1)
        parent = Parent(_STDIN) if minded else None
        return asyncio.run(Worker(app, share=share, parent=parent).run())


def _mind(ctx: typer.Context, settings: Settings, processes: int) -> int:
    from distributor.app import share_of
    from distributor.logs import set_up
    from distributor.supervisor import Supervisor

    set_up(settings.log.level, settings.log.format)
    share_of(settings, processes)
    with opened(ctx):
        # A configuration or database that cannot be used is said here, once, not by a child
        # that is started again and again.
        pass
    return Supervisor(settings.source, processes).run()
