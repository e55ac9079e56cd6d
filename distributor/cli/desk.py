"""Commands that decide and look back: ``settle`` and ``audit``."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from distributor.cli.session import opened

audit_app = typer.Typer(help="Who ordered what, and when.", no_args_is_help=True)


class Choice(StrEnum):
    """What may be decided about an uncertain delivery."""

    SENT = "sent"
    RESEND = "resend"
    NEVER = "never"


def settle(
    ctx: typer.Context,
    ref: Annotated[str, typer.Argument(metavar="REF", help="The release, such as R-7.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ADDRESS sent|resend|never",
            help="Whose, and what; with --all the decision alone.",
        ),
    ] = None,
    everyone: Annotated[bool, typer.Option("--all", help="Every uncertain delivery.")] = False,
    ask: Annotated[
        bool,
        typer.Option("--ask", help="Ask the mail server's own record now (relay.reconcile)."),
    ] = False,
) -> None:
    """Decide deliveries whose answer was lost.

    sent: it arrived. resend: the same mail again, byte for byte. never: leave it.

    Example: distributor settle R-7 jane@herald.example resend
    """
    from distributor.cli.output import say
    from distributor.cli.reading import show_counts
    from distributor.desk.waves import Decision

    if ask:
        if words or everyone:
            msg = "--ask decides nothing by itself: leave out the address, --all and the decision"
            raise typer.BadParameter(msg)
        _ask(ctx, ref)
        return
    address, word = _split(words or [], everyone=everyone)
    with opened(ctx) as app:
        settled = app.waves.settle(
            ref,
            address,
            Decision(word),
            by=app.operator,
            now=app.clock.now(),
        )
        view = app.review.release(ref)
    say(f"{settled} settled: {word.value}.")
    for item in view.waves:
        show_counts(item)


def _ask(ctx: typer.Context, ref: str) -> None:
    """Ask the record about one release; what it does not tell stays for a person."""
    from distributor.cli.output import say
    from distributor.cli.reading import show_counts

    with opened(ctx) as app:
        done = app.waves.ask(ref, now=app.clock.now())
        view = app.review.release(ref)
    settled = ", ".join(f"{count} {state.value}" for state, count in done.settled.items())
    say(f"{done.asked} asked: {settled or 'nothing settled'}.")
    for item in view.waves:
        show_counts(item)
    for failure in done.failures.values():
        raise failure


def _split(words: list[str], *, everyone: bool) -> tuple[str | None, Choice]:
    wanted = 1 if everyone else 2
    if len(words) != wanted:
        msg = "say an address and then sent, resend or never; or --all and one of these"
        raise typer.BadParameter(msg)
    try:
        choice = Choice(words[-1])
    except ValueError as error:
        msg = f"{words[-1]} is not one of sent, resend, never"
        raise typer.BadParameter(msg) from error
    return (None if everyone else words[0]), choice


@audit_app.command()
def show(
    ctx: typer.Context,
    ref: Annotated[
        str | None,
        typer.Argument(metavar="[REF]", help="Only this release, such as R-7."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Show the newest orders and moves, the newest first.

    Example: distributor audit show R-7
    """
    from distributor.cli.output import emit_json, print_table, say
    from distributor.cli.reading import brief

    with opened(ctx) as app:
        entries = app.review.audit(ref)
        zone = app.settings.desk.zone
    if as_json:
        emit_json(entries)
        return
    if not entries:
        say("Nothing has been ordered yet.")
        return
    print_table(
        ("AT", "WHO", "WHAT", "OF", "FACTS"),
        [
            (
                brief(entry.at, zone),
                entry.actor,
                entry.action,
                entry.subject,
                ", ".join(
                    f"{key} {value}" for key, value in entry.facts.items() if value is not None
                ),
            )
            for entry in entries
        ],
    )
