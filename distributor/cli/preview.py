"""``release preview``: one mail as it would leave, in files, and what is to be known of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distributor.cli.session import opened

if TYPE_CHECKING:
    from distributor.review import Preview
    from distributor.settings import Settings

#: Joined to ``release``.
app = typer.Typer()

_FIELD = 14


@app.command()
def preview(
    ctx: typer.Context,
    ref: Annotated[str, typer.Argument(metavar="REF", help="The release, such as R-7.")],
    address: Annotated[
        str | None,
        typer.Option("--for", metavar="ADDRESS", help="With this contact's data."),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(metavar="DIR", help="The folder to write to; default: here."),
    ] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Write the mail as it would leave, as .eml, .html and .txt; show its headers and sizes.

    Example: distributor release preview R-7 --for jane@herald.example --out preview
    """
    from distributor.cli.output import emit_json, print_findings

    with opened(ctx) as application:
        shown = application.review.preview(ref, address, now=application.clock.now())
        signed_by = _signatories(application.settings)
    files = _written(shown, out, address)
    if as_json:
        emit_json(_as_json(shown, files, signed_by))
        return
    print_findings(shown.findings)
    _show(shown, files, signed_by, sample=address is None)


def _signatories(settings: Settings) -> list[str]:
    """The DNS name and the algorithm of each key that a worker would sign with.

    A key that this account cannot use is told of: it need not read it to look at a mail.
    """
    from distributor.app import signing_of
    from distributor.cli.output import warn
    from distributor.errors import ConfigError

    try:
        signing = signing_of(settings)
    except ConfigError as error:
        warn(f"whether it will be signed cannot be seen: {error}")
        return ["not known"]
    return [
        f"{key.signatory.record} ({key.signatory.algorithm})"
        for key in (signing.keys if signing else ())
    ]


def _show(shown: Preview, files: list[Path], signed_by: list[str], *, sample: bool) -> None:
    from distributor.cli.attaching import attachment_words
    from distributor.cli.output import console, say, say_field
    from distributor.cli.reading import embargo_text
    from distributor.core.size import HTML_CLIPPED, HTML_WARNING, MAIL_WARNING

    for path in files:
        say(str(path))
    for each in shown.attachments:
        say(f"{'Picture' if each.picture else 'Attachment'}: {attachment_words(each)}")
    if sample:
        say("Made out to a sample journalist; --for ADDRESS shows one of your own.")
    if not shown.approved:
        say(("A draft: ", "yellow"), "not approved, so this is not yet what would leave.")
    console.print()
    html, whole = len(shown.html.encode()), len(shown.data)
    for name, value in (
        ("Subject", shown.subject),
        ("From", dict(shown.headers)["From"]),
        ("Embargo", embargo_text(shown.version.draft.embargo)),
        ("Release line", shown.release_line),
        ("DKIM", ", ".join(signed_by) or "not signed here: there is no key (dkim.key_file)"),
        ("HTML", f"{html:,} bytes; warned from {HTML_WARNING:,}, cut off at {HTML_CLIPPED:,}"),
        ("Whole mail", f"{whole:,} bytes; warned from {MAIL_WARNING:,}"),
    ):
        say_field(name, value, width=_FIELD)
    console.print()
    say(("Headers", "bold"))
    for name, value in shown.headers:
        say(f"  {name}: {value}")


def _as_json(shown: Preview, files: list[Path], signed_by: list[str]) -> dict[str, object]:
    from distributor.core.draft import embargo_as_json

    headers = dict(shown.headers)
    return {
        "ref": shown.ref,
        "approved": shown.approved,
        "files": [str(path) for path in files],
        "subject": shown.subject,
        "from": headers["From"],
        "to": headers["To"],
        "reply_to": headers.get("Reply-To"),
        "embargo": embargo_as_json(shown.version.draft.embargo),
        "release_line": shown.release_line,
        "headers": [{"name": name, "value": value} for name, value in shown.headers],
        "dkim": signed_by,
        "html_bytes": len(shown.html.encode()),
        "mail_bytes": len(shown.data),
        "findings": shown.findings,
    }


def _written(shown: Preview, folder: Path, address: str | None) -> list[Path]:
    """Write the mail's files; they hold embargoed text, so they are for their owner alone."""
    from distributor.errors import Refused

    files = {"eml": shown.data, "html": shown.page.encode(), "txt": shown.text.encode()}
    name = f"{shown.ref}-{address.replace('/', '_')}" if address else shown.ref
    paths = {folder / f"{name}.{suffix}": content for suffix, content in files.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in paths.items():
            path.touch(mode=0o600)
            path.write_bytes(content)
    except OSError as error:
        msg = f"{error.filename or folder} cannot be written: {error.strerror}."
        raise Refused(msg, remedy="Choose another folder: --out DIR") from error
    return list(paths)
