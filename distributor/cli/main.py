"""The command ``distributor``: joins the commands and turns errors into exit codes.

Exit: 0 done, 1 refused with a reason on stderr, 2 usage.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from distributor import __version__
from distributor.cli import (
    contacts,
    database,
    demo,
    desk,
    doctor,
    lists,
    log,
    preview,
    release,
    sequel,
    suppressions,
    templates,
    trials,
    wave,
    worker,
)
from distributor.errors import DistributorError, InputError

app = typer.Typer(
    name="distributor",
    help="The distribution desk of a press office: embargoed releases, sent on the minute, "
    "accounted for by name.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
release.app.add_typer(preview.app)
release.app.add_typer(trials.app)
release.app.add_typer(wave.app)
release.app.add_typer(sequel.app)
app.add_typer(release.app, name="release")
app.add_typer(contacts.app, name="contacts")
app.add_typer(lists.app, name="lists")
app.add_typer(suppressions.app, name="suppressions")
app.add_typer(templates.app, name="templates")
app.add_typer(database.app, name="db")
app.add_typer(desk.audit_app, name="audit")
app.command("init")(database.init)
app.command("demo")(demo.demo)
app.command("run")(worker.run)
app.command("worker")(worker.worker)
app.command("log")(log.log)
app.command("settle")(desk.settle)
app.command("doctor")(doctor.doctor)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"distributor {__version__}")
        raise typer.Exit


@app.callback()
def settings(
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The configuration file; else $DISTRIBUTOR_CONFIG, else ./config.toml.",
            show_default=False,
        ),
    ] = None,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """Take in what stands before the command."""
    del config, version


def main() -> None:
    """Run the command line; a refusal is one line with its remedy, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a dash must not stop a release.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except DistributorError as error:
        _refuse(error)
    except OSError as error:
        _refuse(_unreachable(error))
    except KeyboardInterrupt:
        sys.exit(130)


def _refuse(error: DistributorError) -> NoReturn:
    from distributor.cli.output import explain

    explain(error)
    sys.exit(1)


def _unreachable(error: OSError) -> DistributorError:
    """A file or folder of this machine that cannot be used, in our words."""
    where = error.filename or "this machine"
    remedy = "Mend its permissions, or name another place."
    return InputError(f"{where} cannot be used: {error.strerror or error}.", remedy=remedy)
