"""``distributor suppressions``: addresses that get nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from distributor.cli.session import opened

if TYPE_CHECKING:
    from distributor.desk.suppressions import Suppression

app = typer.Typer(help="Addresses that get nothing, and why.", no_args_is_help=True)

Address = Annotated[str, typer.Argument(help="E-mail address.", show_default=False)]


@app.command("add")
def add(
    ctx: typer.Context,
    address: Address,
    reason: Annotated[
        str,
        typer.Option(
            help="objection (they asked), complaint, bounced, refused, or person (you decided)."
        ),
    ] = "person",
    evidence: Annotated[
        str,
        typer.Option(help='What it rests on, such as "rang on 3 May".', show_default=False),
    ] = "",
    until: Annotated[
        str | None,
        typer.Option(help='When it ends, such as "2026-12-31 00:00"; else never.', metavar="WHEN"),
    ] = None,
) -> None:
    """Never mail this address again, whatever list it is on or comes in with.

    Example: distributor suppressions add jane@paper.example --reason objection --evidence "rang"
    """
    from distributor.cli.output import say
    from distributor.core.timing import parse_when
    from distributor.desk.suppressions import SuppressionOrder

    with opened(ctx) as app:
        zone = app.settings.desk.zone
        expires_at = parse_when(until, zone=zone)[1] if until is not None else None
        order = SuppressionOrder(address, reason, evidence, expires_at)
        standing, new = app.suppressions.add(
            order,
            by=app.operator,
            now=app.clock.reading().now,
        )
    words = suppression_words(standing, zone)
    say(f"{standing.address} {'is' if new else 'was already'} suppressed: {words}.")


@app.command("remove")
def remove(
    ctx: typer.Context,
    address: Address,
    because: Annotated[
        str,
        typer.Option(
            help="How the journalist took an objection back; needed for theirs.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Let this address be mailed again.

    Example: distributor suppressions remove jane@paper.example --because "asked again, 3 May"
    """
    from distributor.cli.output import say

    with opened(ctx) as app:
        lifted = app.suppressions.remove(
            address,
            because=because,
            by=app.operator,
            now=app.clock.reading().now,
        )
    say(f"{lifted.address} may be mailed again.")


@app.command("show")
def show(
    ctx: typer.Context,
    address: Annotated[
        str | None,
        typer.Argument(
            help="One address and its history; else all that stand.", show_default=False
        ),
    ] = None,
    ended: Annotated[bool, typer.Option("--all", help="Those that ended, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")] = False,
) -> None:
    """Show who gets nothing, why, since when and until when.

    Example: distributor suppressions show --all
    """
    from distributor.cli.output import emit_json, print_table, say

    with opened(ctx) as app:
        now = app.clock.reading().now
        zone = app.settings.desk.zone
        if address is None:
            found = app.suppressions.every(now=now, ended=ended)
        else:
            found = app.suppressions.show(address)
    if as_json:
        emit_json([suppression_json(one) | {"stands": one.stands(now)} for one in found])
    elif not found and address is not None:
        say("There never was a suppression of that address. To make one:")
        say(f"  distributor suppressions add {address}")
    elif not found:
        say("Nobody is suppressed. To suppress an address:")
        say('  distributor suppressions add ADDRESS --reason objection --evidence "…"')
    else:
        rows = [
            (one.address, "stands" if one.stands(now) else "ended", suppression_words(one, zone))
            for one in found
        ]
        print_table(("Address", "State", "Why"), rows)


def suppression_words(one: Suppression, zone: str) -> str:
    """An order in words: reason, evidence, who, since and until when."""
    from distributor.core.timing import describe

    words = [one.reason.value]
    if one.evidence:
        words.append(f'"{one.evidence}"')
    words.append(f"by {one.created_by}, {describe(one.created_at, zone)}")
    if one.expires_at is not None:
        words.append(f"until {describe(one.expires_at, zone)}")
    if one.lifted_at is not None:
        words.append(f"lifted by {one.lifted_by}, {describe(one.lifted_at, zone)}")
    return ", ".join(words)


def suppression_json(one: Suppression) -> dict[str, Any]:
    """An order as scripts see it."""
    return {
        "address": one.address,
        "reason": one.reason,
        "evidence": one.evidence,
        "created_at": one.created_at,
        "created_by": one.created_by,
        "expires_at": one.expires_at,
        "lifted_at": one.lifted_at,
        "lifted_by": one.lifted_by,
    }
