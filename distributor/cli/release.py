"""Commands about a release: read, import, approve, schedule, hold, cancel and look."""

from __future__ import annotations

import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distributor.cli.session import opened, settings_of

if TYPE_CHECKING:
    from distributor.app import App
    from distributor.core.model import Wave
    from distributor.review import ReleaseView, WaveView

app = typer.Typer(help="Releases: read, import, approve, schedule, stop.", no_args_is_help=True)

Ref = Annotated[str, typer.Argument(metavar="REF", help="The release, such as R-7.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
File = Annotated[Path, typer.Argument(metavar="FILE", help="A plain-text file.")]

#: How long hold and cancel wait for what is on the wire to settle, in seconds.
_SETTLE_S = 15.0
_LOOK_S = 0.1


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
    zone: Annotated[str | None, typer.Option(help="The desk's time zone; default config.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show how a text would be read; nothing is stored.

    Example: distributor release read story.txt --received 2026-11-20
    """
    from distributor.cli.output import emit_json, print_findings
    from distributor.cli.reading import show_draft
    from distributor.core.draft import as_json as release_json
    from distributor.desk.releases import read_text

    zone, received = _reading_place(ctx, zone, received)
    reading = read_text(file, received=received, zone=zone)
    if as_json:
        emit_json(release_json(reading.draft, reading.findings))
        return
    show_draft(reading.draft)
    print_findings(reading.findings)


def _reading_place(
    ctx: typer.Context,
    zone: str | None,
    received: date | None,
) -> tuple[str, date]:
    """The zone and day that complete what a text leaves out."""
    from zoneinfo import ZoneInfo

    from distributor.clock import GuardedClock
    from distributor.core.timing import find_zone

    zone = zone or settings_of(ctx).desk.zone
    find_zone(zone)
    return zone, received or GuardedClock().now().astimezone(ZoneInfo(zone)).date()


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
    language: Annotated[str | None, typer.Option(help="Its language, such as en.")] = None,
    sender: Annotated[str | None, typer.Option("--from", help="Name shown as From.")] = None,
    reply_to: Annotated[str | None, typer.Option(help="Address replies go to.")] = None,
    received: Annotated[
        date | None,
        typer.Option(parser=_day, metavar="DATE", help="The day the desk got it; default today."),
    ] = None,
    zone: Annotated[str | None, typer.Option(help="The desk's time zone; default config.")] = None,
    as_json: AsJson = False,
) -> None:
    """Store a text as a new release, a draft until it is approved.

    Example: distributor release import story.txt --embargo "2026-12-01 00:01 Europe/London"
    """
    from distributor.cli.output import emit_json, print_findings, say
    from distributor.cli.reading import embargo_text
    from distributor.desk.releases import read_text

    zone, received = _reading_place(ctx, zone, received)
    reading = read_text(file, received=received, zone=zone)
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
    if as_json:
        emit_json({"ref": version.ref, "version": version.number})
        return
    say((version.ref, "bold"), f"  {version.draft.headline}")
    say(f"Embargo: {embargo_text(version.draft.embargo)}")
    say(f"Next: distributor release approve {version.ref}")


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
                state_text(view.state),
                due_text(view, zone),
                view.version.draft.headline or "",
            )
            for view in views
        ],
    )


@app.command()
def show(ctx: typer.Context, ref: Ref, as_json: AsJson = False) -> None:
    """Show a release: its text, its embargo, its waves and their numbers.

    Example: distributor release show R-7
    """
    from distributor.cli.output import emit_json
    from distributor.cli.reading import show_release

    with opened(ctx) as application:
        view = application.review.release(ref)
        zone = application.settings.desk.zone
    if as_json:
        emit_json(_release_json(view))
        return
    show_release(view, zone)


def _release_json(view: ReleaseView) -> dict[str, object]:
    from distributor.core.draft import embargo_as_json

    version = view.version
    return {
        "ref": version.ref,
        "state": view.state,
        "version": version.number,
        "version_state": version.state,
        "headline": version.draft.headline,
        "embargo": embargo_as_json(version.draft.embargo),
        "seal": version.seal,
        "waves": [_wave_json(item) for item in view.waves],
    }


def _wave_json(item: WaveView) -> dict[str, object]:
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
    }


@app.command()
def edit(
    ctx: typer.Context,
    ref: Ref,
    embargo: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help='"2026-12-01 00:01 Europe/London", immediate or none.'),
    ] = None,
    headline: Annotated[str | None, typer.Option(help="Another headline.")] = None,
    language: Annotated[str | None, typer.Option(help="Its language, such as en.")] = None,
    sender: Annotated[str | None, typer.Option("--from", help="Name shown as From.")] = None,
    reply_to: Annotated[str | None, typer.Option(help="Address replies go to.")] = None,
) -> None:
    """Change a release: a new version, which needs its own approval.

    Example: distributor release edit R-7 --embargo "2026-12-01 09:30 Europe/London"
    """
    from distributor.cli.output import say
    from distributor.cli.reading import embargo_text
    from distributor.desk.releases import Changes

    changes = Changes(embargo, headline, language, sender, reply_to)
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
    say((version.ref, "bold"), f"  version {version.number}  {version.draft.headline}")
    say(f"Embargo: {embargo_text(version.draft.embargo)}")
    say(f"Next: distributor release approve {version.ref}")


@app.command()
def approve(ctx: typer.Context, ref: Ref) -> None:
    """Approve the newest version: what is approved is what is sent, byte for byte.

    Example: distributor release approve R-7
    """
    from distributor.cli.output import say

    with opened(ctx) as application:
        version, message = application.releases.approve(
            ref,
            by=application.operator,
            now=application.clock.now(),
        )
    say((version.ref, "bold"), f"  version {version.number} approved, seal {version.seal}")
    _warn_if_clipped(message.html_size)
    say(f"Look at it: distributor release preview {version.ref} --out preview")
    say(f"Next: distributor release schedule {version.ref} --list NAME")


#: Above this the biggest mail site may cut the mail off (practice statement 51), in octets.
_CLIPPED_FROM = 80_000


def _warn_if_clipped(size: int) -> None:
    from distributor.cli.output import errors

    if size > _CLIPPED_FROM:
        errors.print(f"warning: the HTML is {size} bytes; Gmail cuts mails off at about 102400")


@app.command()
def schedule(
    ctx: typer.Context,
    ref: Ref,
    lists: Annotated[list[str], typer.Option("--list", help="A list to send to; may repeat.")],
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="A list whose members are left out; may repeat."),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help='"2026-12-01 09:30", or now; default: at the embargo.'),
    ] = None,
    zone: Annotated[str | None, typer.Option(help="The zone of --at.")] = None,
) -> None:
    """Plan the distribution of an approved release; the worker does the rest.

    Example: distributor release schedule R-7 --list "UK health" --exclude competitors
    """
    from distributor.cli.output import say
    from distributor.cli.reading import moment
    from distributor.desk.waves import Target

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
    say((planned.wave.ref, "bold"), f"  leaves at {moment(planned.wave.send_at, shown_zone)}")
    say(f"Today's audience: {planned.recipients} recipients, {planned.exclusions} excluded.")
    if not alive:
        say(("No worker is running. ", "yellow"), "Start one: distributor run")
    say(f"Watch it: distributor log {planned.wave.ref} --follow")


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
    """Stop a distribution for now: no mail starts later than a second after.

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
    """Stop for good what has not left, and say exactly what had.

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
    from distributor.cli.output import errors
    from distributor.cli.reading import show_counts

    view = application.review.wave(wave.id)
    for _ in range(int(_SETTLE_S / _LOOK_S)):
        if view.settled:
            break
        time.sleep(_LOOK_S)
        view = application.review.wave(wave.id)
    show_counts(view)
    if not view.settled:
        errors.print("warning: a worker still holds some; look again: distributor release show")


@app.command()
def audience(ctx: typer.Context, ref: Ref, as_json: AsJson = False) -> None:
    """Show who gets a release, and who does not and why.

    Example: distributor release audience R-7
    """
    from distributor.cli.output import emit_json, print_table, say, state_text

    with opened(ctx) as application:
        view, members = application.review.audience(ref)
    if as_json:
        emit_json(members)
        return
    if view is None:
        say(f"{ref} is not scheduled. Next: distributor release schedule {ref} --list NAME")
        return
    if not members:
        say(f"The audience is sealed shortly before it leaves ({view.wave.state}).")
        return
    print_table(
        ("ADDRESS", "NAME", "OUTLET", "STATE", "WHY NOT"),
        [
            (
                member.address,
                member.name,
                member.outlet,
                state_text(member.state),
                f"{member.reason}: {member.evidence}" if member.reason else "",
            )
            for member in members
        ],
    )
    say(f"{view.wave.recipients} recipients, {view.wave.exclusions} excluded.")


@app.command()
def preview(
    ctx: typer.Context,
    ref: Ref,
    address: Annotated[
        str | None,
        typer.Option("--for", metavar="ADDRESS", help="With this contact's data."),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(help="The folder to write REF.eml, REF.html and REF.txt to."),
    ] = Path(),
) -> None:
    """Write the mail as it would leave, as .eml, .html and .txt.

    Example: distributor release preview R-7 --for jane@herald.example --out preview
    """
    from distributor.cli.output import say

    with opened(ctx) as application:
        shown = application.review.preview(ref, address, now=application.clock.now())
    out.mkdir(parents=True, exist_ok=True)
    files = {"eml": shown.data, "html": shown.html.encode(), "txt": shown.text.encode()}
    for suffix, content in files.items():
        path = out / f"{ref}.{suffix}"
        path.write_bytes(content)
        say(str(path))
    say(f"Subject: {shown.subject}")
    if not shown.approved:
        say(("A draft: ", "yellow"), "not approved yet.")
