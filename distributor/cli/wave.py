"""Commands about a release's distribution: schedule, unschedule, hold, resume, cancel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from distributor.cli.outgoing import report_numbers, tell_audience, tell_without_workers
from distributor.cli.session import opened

if TYPE_CHECKING:
    from distributor.app import App
    from distributor.core.forecast import Forecast
    from distributor.core.model import Wave
    from distributor.desk.waves import Target

#: Joined to ``release``: these are orders about one, too.
app = typer.Typer()

Ref = Annotated[str, typer.Argument(metavar="REF", help="The release, such as R-7.")]


@app.command()
def schedule(
    ctx: typer.Context,
    ref: Ref,
    lists: Annotated[
        list[str] | None,
        typer.Option("--list", metavar="NAME", help="A list to send to; may repeat."),
    ] = None,
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
    also: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Of a correction or follow-up: a list that gets it besides."
        ),
    ] = None,
) -> None:
    """Plan a distribution; the worker does the rest.

    It leaves at the embargo, or at once if the text is for immediate release. A correction or
    follow-up needs no list: it goes to those who may have an earlier version.

    Example: distributor release schedule R-7 --list "UK health" --exclude competitors
    """
    from distributor.desk.waves import Target

    if zone is not None and at is None:
        msg = "--zone is the zone of --at: give both"
        raise typer.BadParameter(msg)
    if also and lists:
        msg = "--also is for a correction or follow-up, which goes out without --list"
        raise typer.BadParameter(msg)
    if not lists and (exclude or at is not None):
        msg = "say to whom: --list NAME"
        raise typer.BadParameter(msg)
    with opened(ctx) as application:
        if lists:
            _schedule_to(application, ref, Target(lists, exclude or (), at, zone))
        else:
            _schedule_sequel(application, ref, also or [])


def _schedule_to(application: App, ref: str, target: Target) -> None:
    """Plan a general wave; say when it leaves, to how many, and what stands in its way."""
    from distributor.cli.output import say, warn
    from distributor.cli.reading import moment

    now = application.clock.now()
    planned = application.waves.schedule(ref, target, by=application.operator, now=now)
    embargo = application.review.release(ref).version.draft.embargo
    shown_zone = embargo.local.zone if embargo.local else application.settings.desk.zone
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
    tell_without_workers(application)


def _schedule_sequel(application: App, ref: str, also: list[str]) -> None:
    """Plan the wave of a sequel and say who gets it."""
    if application.review.release(ref).version.sequel is None:
        msg = "say to whom: --list NAME"
        raise typer.BadParameter(msg)
    planned = application.sequels.schedule(
        ref, also=also, by=application.operator, now=application.clock.now()
    )
    tell_audience(planned)
    tell_without_workers(application)


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
        report_numbers(application, wave)
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
        report_numbers(application, wave)
