"""Commands about a release's text: read, import, edit, approve and look."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distributor.cli.attaching import Alt, Attach, Caption, Credit, Detach, PictureFile
from distributor.cli.naming import Waves, kinds_of
from distributor.cli.session import opened, settings_of

if TYPE_CHECKING:
    from distributor.app import App
    from distributor.core.forecast import Forecast
    from distributor.core.message import CompiledMessage
    from distributor.core.model import Version
    from distributor.desk.releases import Reading
    from distributor.review import Member, ReleaseView, WaveView
    from distributor.settings import Desk

app = typer.Typer(help="Releases: read, import, approve, schedule, stop.", no_args_is_help=True)

Ref = Annotated[str, typer.Argument(metavar="REF", help="The release, such as R-7.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Zone = Annotated[
    str | None,
    typer.Option(metavar="ZONE", help="The desk's time zone; default: as configured."),
]
Language = Annotated[
    str | None,
    typer.Option(metavar="TAG", help="Its language, such as en or de-AT."),
]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="NAME", help="Name shown as From."),
]
ReplyTo = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Address replies go to."),
]
File = Annotated[Path, typer.Argument(metavar="FILE", help="A plain-text file.")]


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        msg = f"{text} is not a date such as 2026-12-01"
        raise typer.BadParameter(msg) from error


@app.command()
def read(
    ctx: typer.Context,
    file: File,
    received: Annotated[
        date | None,
        typer.Option(parser=_day, metavar="DATE", help="The day the desk got it; default today."),
    ] = None,
    zone: Zone = None,
    as_json: AsJson = False,
) -> None:
    """Show how a text would be read; nothing is stored.

    Example: distributor release read story.txt --received 2026-11-20
    """
    from distributor.cli.output import emit_json, print_findings
    from distributor.cli.reading import show_draft
    from distributor.core.draft import as_json as release_json

    reading = reading_of(file, settings_of(ctx).desk, zone, received)
    if as_json:
        emit_json(release_json(reading.draft, reading.findings))
        return
    show_draft(reading.draft)
    print_findings(reading.findings)


def reading_of(file: Path, desk: Desk, zone: str | None, received: date | None) -> Reading:
    """Read a file; the desk's zone, today and the desk's language complete what it leaves out."""
    from zoneinfo import ZoneInfo

    from distributor.clock import GuardedClock
    from distributor.core.timing import find_zone
    from distributor.desk.releases import read_text
    from distributor.errors import ConfigError, DistributorError

    try:
        find_zone(zone or desk.zone)
    except DistributorError as error:
        if zone is not None:
            raise
        raise ConfigError(f"desk.zone: {error}", remedy="Set it in config.toml.") from error
    zone = zone or desk.zone
    received = received or GuardedClock().now().astimezone(ZoneInfo(zone)).date()
    return read_text(file, received=received, zone=zone, language=desk.language)


@app.command("import")
def import_(
    ctx: typer.Context,
    file: File,
    embargo: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN",
            help='"2026-12-01 00:01 Europe/London", "immediate" or "none"; else as the text says.',
        ),
    ] = None,
    language: Language = None,
    sender: From = None,
    reply_to: ReplyTo = None,
    received: Annotated[
        date | None,
        typer.Option(parser=_day, metavar="DATE", help="The day the desk got it; default today."),
    ] = None,
    zone: Zone = None,
    attach: Attach = None,
    picture: PictureFile = None,
    alt: Alt = None,
    caption: Caption = None,
    credit: Credit = None,
    as_json: AsJson = False,
) -> None:
    """Store a text as a new release, a draft until it is approved.

    Example: distributor release import story.txt --embargo "2026-12-01 00:01 Europe/London"

    Example: distributor release import story.txt --attach plan.pdf --picture pier.jpg --alt "Pier"
    """
    from dataclasses import replace

    from distributor.cli.attaching import attachments_as_json, brought, print_noticed, warn_of_size
    from distributor.cli.output import emit_json, print_findings
    from distributor.core.draft import embargo_as_json

    files = brought(attach, picture, alt, caption, credit)
    reading = replace(reading_of(file, settings_of(ctx).desk, zone, received), files=files)
    with opened(ctx) as application:
        version = application.releases.bring_in(
            reading,
            sender=application.sender(name=sender, reply_to=reply_to),
            embargo=embargo,
            language=language,
            by=application.operator,
            now=application.clock.now(),
        )
    print_findings(reading.findings)
    print_noticed(files)
    warn_of_size(version.draft.attachments)
    if as_json:
        embargo_read = embargo_as_json(version.draft.embargo)
        stored = {"ref": version.ref, "version": version.number, "embargo": embargo_read}
        emit_json({**stored, "attachments": attachments_as_json(version.draft.attachments)})
        return
    _show_stored(version)


def _show_stored(version: Version) -> None:
    from distributor.cli.output import say
    from distributor.cli.reading import embargo_text, say_next, show_attachments

    say((version.ref, "bold"), f"  version {version.number}  {version.draft.headline}")
    say(f"Embargo: {embargo_text(version.draft.embargo)}")
    show_attachments(version.draft)
    say_next(version)


@app.command("list")
def list_(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show every release, the newest first.

    Example: distributor release list
    """
    from distributor.cli.output import emit_json, print_table, say, state_text
    from distributor.cli.reading import due_text

    with opened(ctx) as application:
        views = application.review.releases()
        zone = application.settings.desk.zone
    if as_json:
        emit_json([_release_json(view) for view in views])
        return
    if not views:
        say("No release yet. Bring one: distributor release import FILE")
        return
    print_table(
        ("REF", "STATE", "DUE", "HEADLINE"),
        [
            (
                view.version.ref,
                state_text(view.state).append(", withdrawn" if view.withdrawn else ""),
                due_text(view, zone),
                view.version.draft.headline or "",
            )
            for view in views
        ],
    )


@app.command()
def show(ctx: typer.Context, ref: Ref, as_json: AsJson = False) -> None:
    """Show a release: text, embargo, waves and their numbers.

    Example: distributor release show R-7
    """
    from distributor.cli.output import emit_json
    from distributor.cli.reading import show_release
    from distributor.cli.trials import show_trials

    with opened(ctx) as application:
        view = application.review.release(ref)
        zone = application.settings.desk.zone
        forecasts = _forecasts(application, view)
    if as_json:
        emit_json(_release_json(view, forecasts))
        return
    show_release(view, zone, forecasts)
    show_trials(view.trials, zone)


def _forecasts(application: App, view: ReleaseView) -> dict[int, Forecast]:
    """When each wave that is not over can be finished, where limits of the relays delay it."""
    now = application.clock.now()
    found = {
        item.wave.id: application.review.forecast(item.left, start=max(item.wave.send_at, now))
        for item in view.waves
        if not item.over
    }
    return {wave: seen for wave, seen in found.items() if seen is not None}


def _release_json(
    view: ReleaseView, forecasts: dict[int, Forecast] | None = None
) -> dict[str, object]:
    from distributor.cli.attaching import attachments_as_json
    from distributor.cli.trials import trial_json
    from distributor.core.draft import embargo_as_json

    version = view.version
    return {
        "ref": version.ref,
        "state": view.state,
        "version": version.number,
        "version_state": version.state,
        "sequel": version.sequel and version.sequel.kind,
        "reason": version.sequel and version.sequel.reason,
        "withdrawn": view.withdrawn,
        "headline": version.draft.headline,
        "embargo": embargo_as_json(version.draft.embargo),
        "seal": version.seal,
        "attachments": attachments_as_json(version.draft.attachments),
        "waves": [_wave_json(item, (forecasts or {}).get(item.wave.id)) for item in view.waves],
        "test_mails": [trial_json(one) for one in view.trials],
    }


def _wave_json(item: WaveView, seen: Forecast | None) -> dict[str, object]:
    wave = item.wave
    return {
        "kind": wave.kind,
        "state": wave.state,
        "reason": wave.reason,
        "send_at": wave.send_at,
        "first_mail_at": wave.first_mail_at,
        "finished_at": wave.finished_at,
        "lists": item.lists,
        "exclude": item.exclude,
        "recipients": wave.recipients,
        "exclusions": wave.exclusions,
        "audience_hash": wave.audience_hash,
        "counts": {state.value: number for state, number in item.counts.items()},
        "forecast": seen,
    }


@app.command()
def edit(
    ctx: typer.Context,
    ref: Ref,
    embargo: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help='"2026-12-01 00:01 Europe/London", immediate or none.'),
    ] = None,
    headline: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Another headline."),
    ] = None,
    language: Language = None,
    sender: From = None,
    reply_to: ReplyTo = None,
    attach: Attach = None,
    picture: PictureFile = None,
    alt: Alt = None,
    caption: Caption = None,
    credit: Credit = None,
    detach: Detach = None,
) -> None:
    """Change a release: a new version, to be approved anew.

    Example: distributor release edit R-7 --embargo "2026-12-01 09:30 Europe/London"

    Example: distributor release edit R-7 --detach plan.pdf --attach plan-2.pdf
    """
    from distributor.cli.attaching import brought, print_noticed, warn_of_size
    from distributor.cli.output import warn
    from distributor.desk.releases import Changes, overruled

    files = brought(attach, picture, alt, caption, credit)
    out = tuple(detach or ())
    changes = Changes(embargo, headline, language, sender, reply_to, attach=files, detach=out)
    if changes == Changes():
        msg = "say what to change, for instance --embargo"
        raise typer.BadParameter(msg)
    with opened(ctx) as application:
        version = application.releases.edit(
            ref,
            changes,
            by=application.operator,
            now=application.clock.now(),
        )
    wording = overruled(version, zone=application.settings.desk.zone) if embargo else None
    if wording is not None:
        warn(f"The text says {wording}, the order says “{embargo}”: the order holds.")
    print_noticed(files)
    warn_of_size(version.draft.attachments)
    _show_stored(version)


@app.command()
def approve(ctx: typer.Context, ref: Ref) -> None:
    """Approve the newest version.

    What is approved is what is sent; any later edit needs its own approval.

    Example: distributor release approve R-7
    """
    from distributor.cli.output import print_findings, say
    from distributor.cli.reading import say_next
    from distributor.core.size import findings

    with opened(ctx) as application:
        version, message = application.releases.approve(
            ref,
            by=application.operator,
            now=application.clock.now(),
        )
    say((version.ref, "bold"), f"  version {version.number} approved, seal {version.seal}")
    print_findings(findings(message.html_size, message.size))
    _warn_if_rendered(message)
    say(f"Look at it: distributor release preview {version.ref} --out preview")
    say_next(version)


def _warn_if_rendered(message: CompiledMessage) -> None:
    """Say which templates are rendered for each recipient, and why: it costs time at the lift."""
    from distributor.cli.output import warn

    for _, reason in message.script.reasons if message.script else ():
        warn(f"{reason}; so this part is rendered for each recipient, which is slower")


@app.command()
def audience(ctx: typer.Context, ref: Ref, wave: Waves = None, as_json: AsJson = False) -> None:
    """Show who gets a release, and who does not and why, of earlier waves too.

    Example: distributor release audience R-7

    Example: distributor release audience R-7 --wave general
    """
    from distributor.cli.output import emit_json, say
    from distributor.cli.reading import unsealed_text

    kinds = kinds_of(wave)
    with opened(ctx) as application:
        view, members = application.review.audience(ref, kinds)
    if as_json:
        emit_json(members)
        return
    if view is None:
        say(f"{ref} is not scheduled. Next: distributor release schedule {ref} --list NAME")
        return
    # Of earlier waves, too: then each is named by its wave.
    several = sum(each.reason is not None for each in members) != (view.wave.exclusions or 0)
    if members:
        _show_members(members, several=several)
    if view.wave.sealed_at is None:
        say(unsealed_text(view.wave))
        return
    own = f"The {view.wave.kind} wave: " if several else ""
    say(f"{own}{view.wave.recipients} recipients, {view.wave.exclusions} excluded.")


def _show_members(members: list[Member], *, several: bool) -> None:
    """Print an audience, with the kind of its wave where there are several."""
    from distributor.cli.output import print_table, say, state_text

    if not any(each.reason for each in members):
        say("Nobody on these lists was left out.")
    print_table(
        ("ADDRESS", "NAME", "OUTLET", *(("WAVE",) if several else ()), "STATE", "WHY NOT"),
        [
            (
                each.address,
                each.name,
                each.outlet,
                *((each.kind.value,) if several else ()),
                state_text(each.state),
                f"{each.reason}: {each.evidence}" if each.reason else "",
            )
            for each in members
        ],
    )
