"""``release test``: one mail to an address of the desk's own; and how test mails are shown."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from distributor.cli.session import opened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from distributor.app import App
    from distributor.desk.trials import Way
    from distributor.review import Trial

#: Joined to ``release``.
app = typer.Typer()


@app.command("test")
def send_test(
    ctx: typer.Context,
    ref: Annotated[str, typer.Argument(metavar="REF", help="The release, such as R-7.")],
    to: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="One of desk.test_addresses in config.toml."),
    ],
    confirm_embargoed: Annotated[
        bool,
        typer.Option(
            "--confirm-embargoed",
            help="Before the lift: yes, its words may leave now. Needs --again too.",
        ),
    ] = False,
    again: Annotated[
        str | None,
        typer.Option(metavar="REF", help="Before the lift: the release's name once more."),
    ] = None,
) -> None:
    """Send one mail of a release to a test address now, marked TEST.

    It is no delivery: no wave counts it, and nothing tries again. Before the lift it must be
    confirmed twice; at a terminal --again is asked for.

    Example: distributor release test R-7 --to you@example.org --confirm-embargoed --again R-7
    """
    from distributor.cli.output import say, state_text
    from distributor.core.model import Outcome
    from distributor.desk.trials import Wanted
    from distributor.errors import Refused

    if confirm_embargoed and again is None and sys.stdin.isatty():
        again = typer.prompt(f"Its words would leave before the lift. Type {ref} to send them")
    with opened(ctx) as application:
        answer = application.trials.send(
            Wanted(ref, to, confirm_embargoed, again),
            lambda: _way(application),
            by=application.operator,
            now=application.clock.now(),
        )
    said = " ".join(str(part) for part in (answer.code, answer.reply) if part) or "no reply"
    if answer.outcome is Outcome.ACCEPTED:
        say(to, "  ", state_text(answer.outcome.value), f"  {said} ({answer.relay})")
        return
    msg = f"The test mail to {to} is {answer.outcome.value}: {said}"
    raise Refused(msg, remedy=_REMEDIES[answer.outcome])


_REMEDIES = {
    "deferred": "Nothing tries a test mail again by itself. Send it once more in a few minutes.",
    "refused": "What the server said names the reason; it may refuse the release's mails too.",
    "uncertain": "Look into that mailbox: it may have arrived.",
    "not sent": "Nothing has left. Ask distributor doctor, then send it once more.",
}


def _way(application: App) -> Way:
    from distributor.app import relays_of, signing_of
    from distributor.desk.trials import Way

    signing = signing_of(application.settings)
    relays = relays_of(application.settings)
    return Way(tuple(relays), signing.sign if signing else None)


def show_trials(found: Sequence[Trial], zone: str) -> None:
    """Print the test mails of a release, apart from everything else; nothing when there is none."""
    from distributor.cli.output import console, print_table, say, state_text
    from distributor.cli.reading import brief

    if not found:
        return
    console.print()
    say(("Test mails", "bold"), ", counted nowhere else:")
    print_table(
        ("ADDRESS", "VERSION", "STATE", "AT", "REPLY"),
        [
            (
                one.address,
                f"{one.version}, before the lift" if one.embargoed else str(one.version),
                state_text(one.outcome.value),
                brief(one.ordered_at, zone),
                f"{one.code or ''} {one.reply}".strip() or "no answer was written down",
            )
            for one in found
        ],
    )


def trial_json(one: Trial) -> dict[str, object]:
    """A test mail as scripts get it."""
    return {
        "address": one.address,
        "version": one.version,
        "embargoed": one.embargoed,
        "state": one.outcome.value,
        "code": one.code,
        "enhanced": one.enhanced,
        "reply": one.reply or None,
        "relay": one.relay,
        "message_id": one.message_id,
        "at": one.ordered_at.isoformat(),
        "by": one.ordered_by,
    }
