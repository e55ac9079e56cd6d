"""``distributor log``: who got it, who did not, and what the mail server said."""

from __future__ import annotations

import csv
import io
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from distributor.cli.session import opened

if TYPE_CHECKING:
    from collections.abc import Iterable

    from distributor.app import App
    from distributor.review import Attempt, Line

_COLUMNS = (
    "address",
    "outlet",
    "state",
    "attempts",
    "code",
    "enhanced",
    "reply",
    "relay",
    "message_id",
    "at",
)
#: Pause between two looks of --follow, in seconds.
_FOLLOW_S = 0.5
_INDENT = 4


def log(
    ctx: typer.Context,
    ref: Annotated[str, typer.Argument(metavar="REF", help="The release, such as R-7.")],
    address: Annotated[
        str | None,
        typer.Argument(metavar="ADDRESS", help="Only this address, with its attempts."),
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STATE",
            help="Only these states, such as accepted, or refused,deferred; may repeat.",
        ),
    ] = None,
    outlet: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only this outlet."),
    ] = None,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV, safe for spreadsheets.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    follow: Annotated[
        bool,
        typer.Option("--follow", help="Show progress live, until it is over."),
    ] = False,
) -> None:
    """Show what became of every delivery of a release.

    Example: distributor log R-7 --state refused
    """
    from distributor.review import Filter

    if sum((as_csv, as_json, follow)) > 1:
        msg = "choose one of --csv, --json and --follow"
        raise typer.BadParameter(msg)
    if (follow or address is not None) and (state or outlet is not None):
        msg = "--state and --outlet choose lines of the whole log: leave out ADDRESS and --follow"
        raise typer.BadParameter(msg)
    if address is not None and (as_csv or follow):
        msg = "the attempts of one address are shown as text or with --json"
        raise typer.BadParameter(msg)
    states = _states(state or [])
    with opened(ctx) as app:
        if follow:
            _follow(app, ref)
        elif address is not None:
            _show_address(app, ref, address, as_json=as_json)
        else:
            lines = app.review.log(ref, Filter(states, outlet))
            _show_lines(app, ref, lines, as_csv=as_csv, as_json=as_json)


def _states(words: Iterable[str]) -> frozenset[DeliveryState]:
    """The states named, each option one or several with commas between."""
    from distributor.core.states import DeliveryState

    found: set[DeliveryState] = set()
    for word in ",".join(words).split(",") if words else ():
        try:
            found.add(DeliveryState(word.strip().lower()))
        except ValueError as error:
            states = ", ".join(DeliveryState)
            msg = f"{word!r} is not a state of a delivery: {states}"
            raise typer.BadParameter(msg) from error
    return frozenset(found)


def _record(line: Line) -> dict[str, object]:
    return {
        "address": line.address,
        "outlet": line.outlet,
        "state": line.state.value,
        "attempts": line.attempts,
        "code": line.code,
        "enhanced": line.enhanced,
        "reply": line.reply,
        "relay": line.relay,
        "message_id": line.message_id,
        "at": line.at.isoformat(),
    }


def _show_lines(
    app: App,
    ref: str,
    lines: Iterable[Line],
    *,
    as_csv: bool,
    as_json: bool,
) -> None:
    from distributor.cli.output import emit_json, print_table, say, state_text
    from distributor.cli.reading import brief

    if as_csv:
        _write_csv(lines)
        return
    if as_json:
        for line in lines:
            emit_json(_record(line), indent=None)
        return
    zone = app.settings.desk.zone
    rows = [
        (
            line.address,
            line.outlet,
            state_text(line.state.value),
            brief(line.at, zone),
            _answer(line),
        )
        for line in lines
    ]
    if not rows:
        _say_why_empty(app, ref)
        return
    print_table(("ADDRESS", "OUTLET", "STATE", "AT", "REPLY"), rows)
    deliveries = "1 delivery" if len(rows) == 1 else f"{len(rows)} deliveries"
    say(f"{deliveries}. All attempts of one: distributor log {ref} ADDRESS")


def _answer(line: Line) -> Text:
    """What the server said: all of it unless the mail was accepted and the line is full."""
    from rich.text import Text

    from distributor.core.states import DeliveryState

    said = f"{line.code or ''} {line.reply or ''}".strip()
    if not said and line.state is DeliveryState.UNCERTAIN:
        said = "the answer was lost"
    return Text(said, overflow="ellipsis" if line.state is DeliveryState.ACCEPTED else None)


def _say_why_empty(app: App, ref: str) -> None:
    from distributor.cli.output import say
    from distributor.cli.reading import unsealed_text

    view = app.review.release(ref)
    if not view.waves:
        say(f"{ref} is not scheduled. Next: distributor release schedule {ref} --list NAME")
    elif view.waves[-1].wave.sealed_at is None:
        say(unsealed_text(view.waves[-1].wave))
    else:
        say("No delivery matches.")


def _write_csv(lines: Iterable[Line]) -> None:
    """CSV that no spreadsheet runs as a formula (reliability row 9)."""
    from distributor.core.export import formula_safe

    # Bytes straight through: the console would wrap and recode.
    out = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(out)
    writer.writerow(_COLUMNS)
    for line in lines:
        record = _record(line)
        values = ("" if record[name] is None else str(record[name]) for name in _COLUMNS)
        writer.writerow([formula_safe(value) for value in values])
    out.detach()


def _show_address(app: App, ref: str, address: str, *, as_json: bool) -> None:
    from distributor.cli.output import emit_json, say, say_field, state_text
    from distributor.cli.reading import moment

    found = app.review.attempts(ref, address)
    if as_json:
        emit_json([_record(line) | {"log": tries} for line, tries in found])
        return
    zone = app.settings.desk.zone
    for line, tries in found:
        say((line.address, "bold"), "  ", state_text(line.state.value))
        say(", ".join(part for part in (line.name, line.outlet) if part) or "–")
        say(f"Message-ID {line.message_id}")
        for attempt in tries:
            say(f"  {moment(attempt.started_at, zone)}")
            say_field("", _told(attempt), width=_INDENT)
        if not tries:
            say("  Nothing was tried yet.")


def _told(attempt: Attempt) -> str:
    took_s = (attempt.ended_at - attempt.started_at).total_seconds()
    said = f"{attempt.code or ''} {attempt.reply or ''}".strip() or "no reply"
    late = ", after its worker had lost the claim" if attempt.late else ""
    return f"{attempt.outcome} at {attempt.phase}: {said} ({took_s:.3f} s{late})"


def _follow(app: App, ref: str) -> None:
    """Show numbers live on a terminal, or a line per change of numbers elsewhere."""
    from rich.live import Live

    from distributor.cli.output import console, say
    from distributor.cli.reading import show_counts

    if not app.review.release(ref).waves:
        _say_why_empty(app, ref)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        before = ""
        while True:
            item = app.review.release(ref).waves[-1]
            shown = _progress(item)
            if console.is_terminal:
                live.update(_clocked(app, item, shown), refresh=True)
            elif shown.plain != before:
                say(shown.plain.replace("\n", "  "))
                before = shown.plain
            if item.over:
                break
            time.sleep(_FOLLOW_S)
    show_counts(item)


def _progress(item: WaveView) -> Text:
    """State and numbers: what changes only when something happens."""
    from rich.text import Text

    from distributor.cli.output import state_text

    wave = item.wave
    text = Text.assemble((wave.ref, "bold"), "  ", state_text(wave.state.value))
    if wave.reason:
        text.append(f" ({wave.reason.value})")
    if wave.recipients is not None:
        states = ", ".join(f"{number} {state.value}" for state, number in item.counts.items())
        text.append(f"\n{wave.recipients} recipients: {states}")
    return text


def _clocked(app: App, item: WaveView, shown: Text) -> Text:
    """The progress with what moves by the second: the countdown, and whether anybody works."""
    from distributor.cli.reading import moment

    now = app.clock.now()
    text = shown.copy()
    left_s = (item.wave.send_at - now).total_seconds()
    if left_s > 0:
        at = moment(item.wave.send_at, app.settings.desk.zone)
        text.append(f"\nleaves in {_span(left_s)}, at {at}")
    if not app.review.workers_alive(now, within_s=app.settings.worker.lease_s):
        text.append("\nNo worker is running. Start one: distributor run", style="yellow")
    return text


def _span(seconds: float) -> str:
    """A length of time as a countdown shows it: ``1 d 02:03:04``, ``03:04`` or ``4 s``."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days} d {hour:02}:{minute:02}:{second:02}"
    if hours:
        return f"{hour:02}:{minute:02}:{second:02}"
    return f"{minute:02}:{second:02}" if minutes else f"{second} s"


if TYPE_CHECKING:
    from rich.text import Text

    from distributor.core.states import DeliveryState
    from distributor.review import WaveView
