"""``distributor log``: who got it, who did not, and what the mail server said."""

from __future__ import annotations

import csv
import io
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from distributor.cli.naming import Waves, kinds_of
from distributor.cli.session import opened

if TYPE_CHECKING:
    from collections.abc import Iterable

    from distributor.app import App
    from distributor.core.states import DeliveryState
    from distributor.review import Attempt, Filter, Line, ReleaseView

_COLUMNS = (
    "address",
    "name",
    "outlet",
    "state",
    "attempts",
    "code",
    "enhanced",
    "reply",
    "relay",
    "message_id",
    "at",
    "due_at",
    "kind",
    "version",
)
_INDENT = 4


Ref = Annotated[str, typer.Argument(metavar="REF", help="The release, such as R-7.")]
Address = Annotated[
    str | None,
    typer.Argument(metavar="ADDRESS", help="Only this address, with its attempts."),
]
States = Annotated[
    list[str] | None,
    typer.Option(
        metavar="STATE",
        help="Only these states, such as accepted, or refused,deferred; may repeat.",
    ),
]
Outlet = Annotated[str | None, typer.Option(metavar="NAME", help="Only this outlet.")]
Missed = Annotated[
    bool,
    typer.Option("--missed", help="Everybody who has not got it, by name, and why."),
]
Tests = Annotated[
    bool,
    typer.Option("--tests", help="Only the test mails, which are counted nowhere else."),
]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV, safe for spreadsheets.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]
Follow = Annotated[
    bool,
    typer.Option("--follow", help="Show progress live, until it is over."),
]


def log(
    ctx: typer.Context,
    ref: Ref,
    address: Address = None,
    state: States = None,
    outlet: Outlet = None,
    wave: Waves = None,
    missed: Missed = False,
    tests: Tests = False,
    as_csv: Csv = False,
    as_json: Json = False,
    follow: Follow = False,
) -> None:
    """Show what became of every delivery of a release.

    Example: distributor log R-7 --missed

    Example: distributor log R-7 --wave correction --csv
    """
    from distributor.cli.following import show_progress
    from distributor.review import Filter

    lines_chosen = bool(state or wave or missed or outlet is not None)
    _check_shape(as_csv=as_csv, as_json=as_json, follow=follow, address=address)
    if (follow or address is not None) and lines_chosen:
        msg = "--state, --wave, --missed and --outlet choose lines: "
        msg += "leave out ADDRESS and --follow"
        raise typer.BadParameter(msg)
    if missed and state:
        msg = "choose one of --missed and --state"
        raise typer.BadParameter(msg)
    if tests and (address is not None or lines_chosen or as_csv or follow):
        msg = "--tests goes with REF and --json alone"
        raise typer.BadParameter(msg)
    wanted = Filter(_states(state or []), outlet, kinds=kinds_of(wave))
    with opened(ctx) as app:
        if tests:
            _show_tests(app, ref, as_json=as_json)
        elif follow:
            show_progress(app, ref)
        elif address is not None:
            _show_address(app, ref, address, as_json=as_json)
        elif missed:
            _show_missed(app, ref, wanted, as_csv=as_csv, as_json=as_json)
        else:
            lines = app.review.log(ref, wanted)
            _show_lines(app, ref, lines, as_csv=as_csv, as_json=as_json)


def _check_shape(*, as_csv: bool, as_json: bool, follow: bool, address: str | None) -> None:
    """Refuse two shapes of one answer."""
    if sum((as_csv, as_json, follow)) > 1:
        msg = "choose one of --csv, --json and --follow"
        raise typer.BadParameter(msg)
    if address is not None and (as_csv or follow):
        msg = "the attempts of one address are shown as text or with --json"
        raise typer.BadParameter(msg)


def _show_missed(app: App, ref: str, wanted: Filter, *, as_csv: bool, as_json: bool) -> None:
    from distributor.cli.missed import show_missed

    found = app.review.missing(ref, outlet=wanted.outlet, kinds=wanted.kinds)
    if as_csv or as_json:
        _show_lines(app, ref, found.lines, as_csv=as_csv, as_json=as_json)
    else:
        show_missed(app, ref, found)


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
        "name": line.name,
        "due_at": line.due_at.isoformat() if line.due_at else None,
        "kind": line.kind.value,
        "version": line.version,
    }


def _show_lines(
    app: App,
    ref: str,
    lines: Iterable[Line],
    *,
    as_csv: bool,
    as_json: bool,
) -> None:
    from distributor.cli.missed import answer, say_why_empty
    from distributor.cli.output import emit_json, print_table, say, state_text
    from distributor.cli.reading import brief
    from distributor.cli.trials import show_trials

    if as_csv:
        _write_csv(lines)
        return
    if as_json:
        for line in lines:
            emit_json(_record(line), indent=None)
        return
    view, zone = app.review.release(ref), app.settings.desk.zone
    several = _several(view)
    rows = [
        (
            line.address,
            line.outlet,
            *((_wave_text(line),) if several else ()),
            state_text(line.state.value),
            brief(line.at, zone),
            answer(line),
        )
        for line in lines
    ]
    if rows:
        wave = ("WAVE",) if several else ()
        print_table(("ADDRESS", "OUTLET", *wave, "STATE", "AT", "REPLY"), rows)
        deliveries = "1 delivery" if len(rows) == 1 else f"{len(rows)} deliveries"
        say(f"{deliveries}. All attempts of one: distributor log {ref} ADDRESS")
    else:
        say_why_empty(app, ref)
    show_trials(view.trials, zone)


def _several(view: ReleaseView) -> bool:
    """Whether a release's deliveries differ in what brought them."""
    return len({(each.wave.kind, each.wave.version_id) for each in view.waves}) > 1


def _wave_text(line: Line) -> str:
    return f"{line.kind} v{line.version}"


def _show_tests(app: App, ref: str, *, as_json: bool) -> None:
    from distributor.cli.output import emit_json, say
    from distributor.cli.trials import show_trials, trial_json

    found = app.review.release(ref).trials
    if as_json:
        for one in found:
            emit_json(trial_json(one), indent=None)
    elif found:
        show_trials(found, app.settings.desk.zone)
    else:
        say(f"{ref} has no test mail. Send one: distributor release test {ref} --to ADDRESS")


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
    from distributor.core.states import DeliveryState
    from distributor.errors import Refused

    if "@" not in address:
        msg = f"“{address}” is not an address."
        raise Refused(msg, remedy=f'Find it: distributor contacts find "{address}"')
    found = app.review.attempts(ref, address)
    if as_json:
        emit_json([_record(line) | {"log": tries} for line, tries in found])
        return
    zone = app.settings.desk.zone
    several = len({(line.kind, line.version) for line, _ in found}) > 1
    for line, tries in found:
        wave = f"  {_wave_text(line)}" if several else ""
        say((line.address, "bold"), "  ", state_text(line.state.value), wave)
        say(", ".join(part for part in (line.name, line.outlet) if part) or "–")
        say(f"Message-ID {line.message_id}")
        for attempt in tries:
            say(f"  {moment(attempt.started_at, zone)}")
            say_field("", _told(attempt), width=_INDENT)
        if not tries:
            say("  Nothing was tried yet.")
        if line.due_at is not None:
            say(f"  Tried again by itself at {moment(line.due_at, zone)}")
        if line.state is DeliveryState.UNCERTAIN:
            say(f"  Decide: distributor settle {ref} {line.address} sent|resend|never")


def _told(attempt: Attempt) -> str:
    took_s = (attempt.ended_at - attempt.started_at).total_seconds()
    said = f"{attempt.code or ''} {attempt.reply or ''}".strip() or "no reply"
    late = ", after its worker had lost the claim" if attempt.late else ""
    return f"{attempt.outcome} at {attempt.phase}: {said} ({took_s:.3f} s{late})"
