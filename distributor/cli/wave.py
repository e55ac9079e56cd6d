"""Commands about a release's distribution: schedule, unschedule, hold, resume, cancel."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from distributor.cli.session import opened

if TYPE_CHECKING:
    from distributor.app import App
    from distributor.core.forecast import Forecast
    from distributor.core.model import Wave

#: Joined to ``release``: these are orders about one, too.
app = typer.Typer()

Ref = Annotated[str, typer.Argument(metavar="REF", help="The release, such as R-7.")]

#: How long hold and cancel wait for what is on the wire to settle, in seconds.
_SETTLE_S = 15.0
_LOOK_S = 0.1


@app.command()
def schedule(
    ctx: typer.Context,
    ref: Ref,
    lists: Annotated[
        list[str],
        typer.Option("--list", metavar="NAME", help="A list to send to; may repeat."),
    ],
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A list whose members are left out; may repeat."),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help='"2026-12-01 09:30", or now; default: at the embargo.'),
    ] = None,
    zone: Annotated[
        str | None,
        typer.Option(metavar="ZONE", help="The zone of --at, such as Europe/London."),
    ] = None,
) -> None:
    """Plan a distribution; the worker does the rest.

    It leaves at the embargo, or at once if the text is for immediate release.

    Example: distributor release schedule R-7 --list "UK health" --exclude competitors
    """
    from distributor.cli.output import say, warn
    from distributor.cli.reading import moment
    from distributor.desk.waves import Target

    if zone is not None and at is None:
        msg = "--zone is the zone of --at: give both"
        raise typer.BadParameter(msg)
    with opened(ctx) as application:
        planned = application.waves.schedule(
            ref,
            Target(lists, exclude or (), at, zone),
            by=application.operator,
            now=application.clock.now(),
        )
        embargo = application.review.release(ref).version.draft.embargo
        shown_zone = embargo.local.zone if embargo.local else application.settings.desk.zone
        alive = application.review.workers_alive(
            application.clock.now(),
            within_s=application.settings.worker.lease_s,
        )
        start = max(planned.wave.send_at, application.clock.now())
        seen = application.review.forecast(planned.recipients, start=start)
    say((planned.wave.ref, "bold"), f"  leaves at {moment(planned.wave.send_at, shown_zone)}")
    say(f"As the lists stand: {planned.recipients} recipients, {planned.exclusions} excluded.")
    _tell_forecast(application, seen, planned.wave)
    if planned.had_before:
        warn(
            f"an earlier version has gone to {planned.had_before}; this one goes to all of its "
            "list again and is not marked as a correction.",
        )
    say(f"Watch it: distributor log {planned.wave.ref} --follow")
    if not alive:
        warn("no worker is running, so nothing leaves.")
        say("Next: distributor run, and leave it running")


def _tell_forecast(application: App, seen: Forecast | None, wave: Wave) -> None:
    """Say when the limits let the last mail leave, louder when that is after the deadline."""
    from distributor.app import sending_policy
    from distributor.cli.output import say, warn

    if seen is None:
        return
    said = f"{seen.said(application.settings.desk.zone)}."
    if seen.misses(sending_policy(application.settings).deadline(wave.send_at)):
        warn(f"{said} That is after its deadline (sending.deadline_s): what has not left expires.")
    else:
        say(said)


@app.command()
def unschedule(ctx: typer.Context, ref: Ref) -> None:
    """Take back a distribution that has not begun.

    Example: distributor release unschedule R-7
    """
    from distributor.cli.output import say

    with opened(ctx) as application:
        wave = application.waves.unschedule(
            ref,
            by=application.operator,
            now=application.clock.now(),
        )
    say((wave.ref, "bold"), "  is not scheduled any more; nothing had left.")


@app.command()
def hold(ctx: typer.Context, ref: Ref) -> None:
    """Stop a distribution for now.

    No mail starts later than a second after; the exact numbers are printed.

    Example: distributor release hold R-7
    """
    from distributor.cli.output import say

    with opened(ctx) as application:
        wave = application.waves.hold(
            ref,
            by=application.operator,
            now=application.clock.now(),
        )
        say((wave.ref, "bold"), "  held.")
        _report_numbers(application, wave)
    say(f"Go on: distributor release resume {wave.ref}")
    say(f"Stop for good: distributor release cancel {wave.ref}")


@app.command()
def resume(
    ctx: typer.Context,
    ref: Ref,
    waive: Annotated[
        str | None,
        typer.Option(metavar="REASON", help="The hold to waive by name: late, zone or restored."),
    ] = None,
) -> None:
    """Let a held distribution go on.

    Example: distributor release resume R-7 --waive late
    """
    from distributor.cli.output import say

    with opened(ctx) as application:
        wave = application.waves.resume(
            ref,
            waive=waive,
            by=application.operator,
            now=application.clock.now(),
        )
    say((wave.ref, "bold"), f"  goes on ({wave.state}).")


@app.command()
def cancel(ctx: typer.Context, ref: Ref) -> None:
    """Stop for good what has not left; say what had.

    Example: distributor release cancel R-7
    """
    from distributor.cli.output import say

    with opened(ctx) as application:
        wave = application.waves.cancel(
            ref,
            by=application.operator,
            now=application.clock.now(),
        )
        say((wave.ref, "bold"), "  cancelled: what has not left stays here.")
        _report_numbers(application, wave)


def _report_numbers(application: App, wave: Wave) -> None:
    """Wait until nothing is on the wire any more, then say the exact numbers (I7)."""
    from distributor.cli.output import warn
    from distributor.cli.reading import show_counts

    view = application.review.wave(wave.id)
    for _ in range(int(_SETTLE_S / _LOOK_S)):
        if view.settled:
            break
        time.sleep(_LOOK_S)
        view = application.review.wave(wave.id)
    show_counts(view)
    if not view.settled:
        warn(f"a worker still holds some; look again: distributor release show {wave.ref}")
