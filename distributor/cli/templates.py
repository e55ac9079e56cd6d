"""``distributor templates``: a desk's own templates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distributor.cli.session import settings_of

if TYPE_CHECKING:
    from distributor.mail.proofreading import Proof, Remark

app = typer.Typer(name="templates", help="Templates of your own.", no_args_is_help=True)
_WIDTH = 11


@app.callback()
def _templates() -> None:
    """Templates of your own."""


@app.command()
def check(
    ctx: typer.Context,
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FOLDER]", help="The folder; else templates.folder of config.toml."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Read your own templates, and name every mistake by file and line.

    Each kind of mail is rendered with a sample release in every language. Exit code 1 when a
    release could not be approved with them.

    Example: distributor templates check ./templates
    """
    from distributor.app import stationery_of
    from distributor.cli.output import emit_json
    from distributor.errors import Refused
    from distributor.mail.proofreading import proofread

    paper = stationery_of(settings_of(ctx))
    chosen = folder.absolute() if folder else paper.own
    if chosen is None:
        msg = "No folder of templates is named."
        remedy = "distributor templates check FOLDER, or set [templates] folder in config.toml."
        raise Refused(msg, remedy=remedy)
    proof = proofread(paper, chosen)
    if as_json:
        emit_json({"good": proof.good, **_form(proof)})
    else:
        _show(proof)
    if not proof.good:
        raise typer.Exit(1)


def _form(proof: Proof) -> dict[str, object]:
    return {
        "folder": proof.folder,
        "overrides": proof.overrides,
        "additions": proof.additions,
        "remarks": proof.remarks,
        "sizes": proof.sizes,
    }


def _show(proof: Proof) -> None:
    from distributor.cli.output import say, say_field

    say_field("Folder", proof.folder, width=_WIDTH)
    say_field("In place", ", ".join(proof.overrides), width=_WIDTH)
    if proof.additions:
        say_field("New", ", ".join(proof.additions), width=_WIDTH)
    if proof.sizes:
        largest = max(proof.sizes, key=lambda size: size.html)
        sizes = f"{largest.html / 1000:.1f} kB of HTML at most ({largest.kind}, {largest.language})"
        say_field("Size", sizes, width=_WIDTH)
    for remark in proof.remarks:
        _show_remark(remark)
    errors = sum(remark.severity == "error" for remark in proof.remarks)
    say(f"{errors} mistake{'s' * (errors != 1)}." if errors else "No mistakes.")


def _show_remark(remark: Remark) -> None:
    from distributor.cli.output import say

    colour = {"error": "bold red", "warning": "yellow"}[remark.severity]
    where = remark.file if remark.line is None else f"{remark.file}, line {remark.line}"
    say((f"{remark.severity}: ", colour), (where, "bold"), f": {remark.message}")
    say(f"  {remark.remedy}")
