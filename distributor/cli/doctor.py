"""``distributor doctor``: is everything ready for the next release?"""

from __future__ import annotations

from typing import Annotated

import typer

from distributor.cli.session import settings_of

_INDENT = 24


def doctor(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Check configuration, database, clock, mail server and the next release.

    Exit code 1 when something would stop a release.

    Example: distributor doctor
    """
    import asyncio

    from rich.text import Text

    from distributor.app import relays_of, signing_of
    from distributor.checks import examine
    from distributor.cli.output import emit_json, say_field

    settings = settings_of(ctx)
    # Any key will do here: it is the form of a signed sender that a mail server takes or refuses.
    relays = relays_of(settings, key=bytes(32))
    found = asyncio.run(examine(settings, relays, lambda: signing_of(settings)))
    if as_json:
        emit_json(found)
    else:
        for check in found:
            colour = {"ok": "green", "warning": "yellow", "error": "bold red"}[check.verdict]
            head = Text.assemble((f"{check.verdict:<9}", colour), (check.name, "bold"))
            say_field(head, check.says, width=_INDENT)
            if check.remedy:
                say_field("", check.remedy, width=_INDENT)
    if any(check.verdict == "error" for check in found):
        raise typer.Exit(1)
