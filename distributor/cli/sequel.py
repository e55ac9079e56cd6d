"""Commands about what has gone out: correct it, follow it up, withdraw it, send it again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distributor.cli.outgoing import report_numbers, tell_audience, tell_without_workers
from distributor.cli.session import opened, settings_of

if TYPE_CHECKING:
    from distributor.app import App
    from distributor.core.model import Wave, WaveKind
    from distributor.core.states import DeliveryState

#: Joined to ``release``: these are orders about one, too.
app = typer.Typer()

Ref = Annotated[str, typer.Argument(metavar="REF", help="The release, such as R-7.")]
NewText = Annotated[
    Path, typer.Option("--file", metavar="FILE", help="The new text, whole, as a plain-text file.")
]
Why = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why, in a sentence; the mail says it.")
]
News = Annotated[str, typer.Option("--reason", metavar="TEXT", help="What is new, in a sentence.")]
Embargo = Annotated[
    str | None,
    typer.Option(metavar="WHEN", help="Another embargo than the release has; else it keeps it."),
]
Language = Annotated[
    str | None, typer.Option(metavar="TAG", help="Another language than the release has.")
]


@app.command()
def correct(
    ctx: typer.Context,
    ref: Ref,
    file: NewText,
    reason: Why,
    embargo: Embargo = None,
    language: Language = None,
) -> None:
    """Correct what has gone out: stop what has not, and make the new text the next version.

    Once approved and scheduled, it goes to exactly those who may have an earlier version.

    Example: distributor release correct R-7 --file new.txt --reason "A figure was wrong."
    """
    from distributor.core.model import WaveKind

    _rewrite(ctx, ref, file, (WaveKind.CORRECTION, reason, embargo, language))


@app.command("follow-up")
def follow_up(
    ctx: typer.Context,
    ref: Ref,
    file: NewText,
    reason: News,
    embargo: Embargo = None,
    language: Language = None,
) -> None:
    """Follow up what has gone out with new facts; the earlier text still holds.

    Example: distributor release follow-up R-7 --file more.txt --reason "The numbers of the day."
    """
    from distributor.core.model import WaveKind

    _rewrite(ctx, ref, file, (WaveKind.FOLLOW_UP, reason, embargo, language))


def _rewrite(
    ctx: typer.Context,
    ref: str,
    file: Path,
    said: tuple[WaveKind, str, str | None, str | None],
) -> None:
    from distributor.cli.output import print_findings, say
    from distributor.cli.reading import say_next
    from distributor.cli.release import reading_of
    from distributor.core.sequel import in_words, sequel_words
    from distributor.desk.sequels import Text

    kind, reason, embargo, language = said
    reading = reading_of(file, settings_of(ctx).desk, None, None)
    text = Text(reading, reason, kind, embargo, language)
    with opened(ctx) as application:
        made = application.sequels.rewrite(
            ref, text, by=application.operator, now=application.clock.now()
        )
        print_findings(reading.findings)
        version = made.version
        say((version.ref, "bold"), f"  version {version.number} is a {kind}, a draft.")
        say("What changed:")
        for line in in_words(made.changes, sequel_words("en")):
            say(f"  {line}")
        if made.stopped is not None:
            _tell_stopped(application, made.stopped)
            say("Who has no version yet gets the new one, once it has gone to those who have:")
            say(f"  distributor release schedule {version.ref} --list NAME --at now")
    say_next(version)


@app.command()
def withdraw(ctx: typer.Context, ref: Ref, reason: Why) -> None:
    """Withdraw a release ("kill"): stop what has not left, tell who has it to disregard it.

    It cannot be taken back, and needs no other approval.

    Example: distributor release withdraw R-7 --reason "The vessel failed its survey."
    """
    from distributor.cli.output import say

    with opened(ctx) as application:
        done = application.sequels.withdraw(
            ref, reason, by=application.operator, now=application.clock.now()
        )
        say((done.ref, "bold"), "  is withdrawn.")
        if done.stopped is not None:
            _tell_stopped(application, done.stopped)
        if done.audience.wave is None:
            say("Nothing of it had left, so there is nobody to tell.")
        else:
            tell_audience(done.audience)


@app.command()
def resend(
    ctx: typer.Context,
    ref: Ref,
    state: Annotated[
        list[str] | None,
        typer.Option(metavar="STATE", help="refused or expired; may repeat. Default: both."),
    ] = None,
) -> None:
    """Send the newest version again to those whose delivery was refused or expired.

    Mended addresses count. A suppression has to be lifted first.

    Example: distributor release resend R-7 --state refused
    """
    from distributor.desk.sequels import AGAIN

    states = [_state(word) for word in state] if state else AGAIN
    with opened(ctx) as application:
        planned = application.sequels.resend(
            ref, states, by=application.operator, now=application.clock.now()
        )
        tell_audience(planned)
        tell_without_workers(application)


def _state(word: str) -> DeliveryState:
    from distributor.core.states import DeliveryState

    try:
        return DeliveryState(word.strip().lower())
    except ValueError as error:
        msg = f"{word!r} is not a state: choose refused or expired"
        raise typer.BadParameter(msg) from error


def _tell_stopped(application: App, wave: Wave) -> None:
    from distributor.cli.output import say

    say(f"The {wave.kind} wave was stopped: what had not left stays here.")
    report_numbers(application, wave)
