"""``distributor contacts``: bring journalists in, find them, change them."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from distributor.cli.session import opened
from distributor.cli.suppressions import suppression_json, suppression_words

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from distributor.desk.contacts import Card, Contact, ImportReport
    from distributor.intake.table import ContactTable

app = typer.Typer(help="Journalists: import, find, show, change.", no_args_is_help=True)

Address = Annotated[str, typer.Argument(help="E-mail address of the contact.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")]
Name = Annotated[str | None, typer.Option(help="Full name, as a letter would address it.")]
Given = Annotated[str | None, typer.Option("--given-name", help="First name.")]
Family = Annotated[str | None, typer.Option("--family-name", help="Surname.")]
Outlet = Annotated[str | None, typer.Option(help="Whom they write for.")]
Role = Annotated[str | None, typer.Option(help="Their job there.")]
Phone = Annotated[str | None, typer.Option(help="Telephone number, as it is dialled.")]
Beats = Annotated[
    list[str] | None,
    typer.Option("--beat", help="Topic they cover; give it once for each.", show_default=False),
]
Language = Annotated[str | None, typer.Option(help="Language code, such as en or de-AT.")]
Zone = Annotated[str | None, typer.Option(help="Time zone, such as Europe/London.")]
Note = Annotated[str | None, typer.Option(help="Anything the press office should remember.")]
ListName = Annotated[
    str | None,
    typer.Option("--list", help="Put them on this list; it is made if there is none."),
]
Mapping = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        help="Which field a column fills, by its heading or number; give it once for each.",
        metavar="COLUMN=FIELD",
    ),
]
Encoding = Annotated[
    str | None,
    typer.Option(help="The file's encoding, where it was guessed wrong, such as iso8859-2."),
]
Source = Annotated[
    str | None,
    typer.Option(help="Where the addresses come from, kept with each; else the file's name."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; write nothing.")]


@app.command("add")
def add(
    ctx: typer.Context,
    address: Address,
    *,
    name: Name = None,
    given_name: Given = None,
    family_name: Family = None,
    outlet: Outlet = None,
    role: Role = None,
    phone: Phone = None,
    beat: Beats = None,
    language: Language = None,
    zone: Zone = None,
    note: Note = None,
) -> None:
    """Take in one contact.

    Example: distributor contacts add jane@paper.example --name "Jane Doe" --outlet "The Paper"
    """
    from distributor.cli.output import say

    values = _stated(
        name=name, given_name=given_name, family_name=family_name, outlet=outlet, role=role,
        phone=phone, beats=_joined(beat), language=language, zone=zone, note=note,
    )  # fmt: skip
    with opened(ctx) as app:
        now = app.clock.reading().now
        contact = app.contacts.add({"address": address, **values}, by=app.operator, now=now)
    say(f"Added {described(contact)}.")


@app.command("import")
def import_(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="A CSV file.", show_default=False)],
    *,
    list_name: ListName = None,
    dry_run: DryRun = False,
    mapping: Mapping = None,
    encoding: Encoding = None,
    source: Source = None,
    as_json: Json = False,
) -> None:
    """Bring in a table of contacts: any separator, any usual encoding and headings.

    A bad row is named with its line and left out; the rest goes in. What the table leaves empty
    never empties what is known, and nobody who is suppressed is mailed again.

    Example: distributor contacts import press.csv --list Health --map "Work e-mail=address"
    """
    from distributor.cli.output import emit_json, print_findings
    from distributor.desk.contacts import Import
    from distributor.intake.table import read_table, table_bytes

    columns = _columns(mapping or [])
    with opened(ctx) as app:
        table = read_table(table_bytes(file), mapping=columns, encoding=encoding)
        order = Import(table, source or file.name, list_name)
        with _progress(len(table.rows)) as told:
            report = app.contacts.import_table(
                order,
                by=app.operator,
                now=app.clock.reading().now,
                dry_run=dry_run,
                progress=told,
            )
    if as_json:
        emit_json(report)
    else:
        print_findings(report.findings)
        _print_report(file, table, report)
    if report.refused and not table.rows:
        raise typer.Exit(1)


@app.command("find")
def find(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            help="Parts of a name, address, outlet or beat; all must stand there.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int, typer.Option(help="The most contacts to show.", min=1)] = 100,
    as_json: Json = False,
) -> None:
    """Find contacts; without words, the first of all.

    Example: distributor contacts find health times
    """
    from distributor.cli.output import emit_json, say

    wanted = [part for word in words or [] for part in word.split()]
    with opened(ctx) as app:
        found = app.contacts.find(wanted, limit=limit + 1)
        count = app.contacts.count()
    shown = found[:limit]
    if as_json:
        emit_json([contact_json(contact) for contact in shown])
    elif not count:
        say("There are no contacts yet. To bring some in:")
        say("  distributor contacts import FILE.csv --list NAME")
    elif not shown:
        say(f"Of {counted(count, 'contact')}, none has all of: {' '.join(wanted)}")
    else:
        print_contacts(shown)
        if len(found) > limit:
            say(f"These are the first {limit}; add a word, or --limit, to see others.")


@app.command("show")
def show(ctx: typer.Context, address: Address, as_json: Json = False) -> None:
    """Show all that is known of one contact.

    Example: distributor contacts show jane@paper.example
    """
    from distributor.cli.output import emit_json

    with opened(ctx) as app:
        card = app.contacts.show(address, now=app.clock.reading().now)
        zone = app.settings.desk.zone
    if as_json:
        suppression = card.suppression
        emit_json(
            contact_json(card.contact)
            | {
                "lists": card.lists,
                "suppression": suppression_json(suppression) if suppression else None,
            },
        )
    else:
        _print_card(card, zone)


@app.command("edit")
def edit(
    ctx: typer.Context,
    address: Address,
    *,
    new_address: Annotated[
        str | None,
        typer.Option("--address", help="Their new e-mail address."),
    ] = None,
    name: Name = None,
    given_name: Given = None,
    family_name: Family = None,
    outlet: Outlet = None,
    role: Role = None,
    phone: Phone = None,
    beat: Beats = None,
    language: Language = None,
    zone: Zone = None,
    note: Note = None,
) -> None:
    """Change fields of one contact; an empty text empties one. Beats are set anew, all of them.

    Example: distributor contacts edit jane@paper.example --outlet "The Times" --phone ""
    """
    from distributor.cli.output import say

    changes = _stated(
        address=new_address, name=name, given_name=given_name, family_name=family_name,
        outlet=outlet, role=role, phone=phone, beats=_joined(beat), language=language, zone=zone,
        note=note,
    )  # fmt: skip
    if not changes:
        raise typer.BadParameter("say what to change, such as --outlet NAME")
    with opened(ctx) as app:
        now = app.clock.reading().now
        contact, fields = app.contacts.edit(address, changes, by=app.operator, now=now)
    if fields:
        names = ", ".join(name.replace("_", " ") for name in fields)
        say(f"Changed {names} of {described(contact)}.")
    else:
        say(f"Nothing to change: {described(contact)} is so already.")


# --- what the answers look like --------------------------------------------------------------


def described(contact: Contact) -> str:
    """One contact in a sentence."""
    return f"{contact.name} <{contact.address}>" if contact.name else contact.address


def counted(number: int, noun: str) -> str:
    """``1 contact``, ``2 contacts``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def contact_json(contact: Contact) -> dict[str, Any]:
    """A contact as scripts see it."""
    return {
        "address": contact.address,
        "wire_address": contact.wire_address,
        "name": contact.name,
        "given_name": contact.given_name,
        "family_name": contact.family_name,
        "outlet": contact.outlet,
        "role": contact.role,
        "phone": contact.phone,
        "beats": contact.beats,
        "language": contact.language,
        "zone": contact.zone,
        "note": contact.note,
        "source": contact.source,
        "terms_accepted_at": contact.terms_accepted_at,
        "created_at": contact.created_at,
        "updated_at": contact.updated_at,
    }


def print_contacts(contacts: Sequence[Contact]) -> None:
    """Contacts as a table."""
    from distributor.cli.output import print_table

    print_table(
        ("Address", "Name", "Outlet", "Role", "Beats"),
        [(one.address, one.name, one.outlet, one.role, ", ".join(one.beats)) for one in contacts],
    )


def _print_card(card: Card, zone: str) -> None:
    from distributor.cli.output import print_table
    from distributor.core.timing import describe

    contact = card.contact
    rows = [
        ("Address", contact.address),
        ("Name", contact.name),
        ("Outlet", contact.outlet),
        ("Role", contact.role),
        ("Phone", contact.phone),
        ("Beats", ", ".join(contact.beats)),
        ("Language", contact.language),
        ("Time zone", contact.zone),
        ("Lists", ", ".join(card.lists)),
        ("Note", contact.note),
        ("Source", f"{contact.source}, {describe(contact.created_at, zone)}"),
        ("Changed", describe(contact.updated_at, zone)),
    ]
    if contact.wire_address is None:
        rows.append(("Relay", "needs one that offers SMTPUTF8"))
    if card.suppression is not None:
        rows.append(("Suppressed", suppression_words(card.suppression, zone)))
    print_table(("Contact", ""), [row for row in rows if row[1]])


def _print_report(file: Path, table: ContactTable, report: ImportReport) -> None:
    from distributor.cli.output import say

    separators = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
    separator = separators.get(table.separator, table.separator)
    say(f"{file.name}: {counted(report.read, 'row')}, {table.encoding}, separated by {separator}")
    say(f"  columns: {', '.join(f'{heading} = {field}' for heading, field in table.columns)}")
    say(
        f"  {report.added} added, {report.updated} updated, {report.unchanged} unchanged, "
        f"{report.duplicates} duplicate, {report.refused} refused",
    )
    if report.list_name is not None:
        made = "made, " if report.list_created else ""
        say(f'  list "{report.list_name}": {made}{report.joined} joined')
    if report.suppressed:
        say(f"  {report.suppressed} suppressed: known, but nothing is sent there")
    if report.dry_run:
        say("A dry run: nothing was written.")


@contextmanager
def _progress(total: int) -> Generator[Callable[[int], None] | None]:
    """A bar on stderr for long work, if somebody is looking."""
    from distributor.cli.output import errors

    if not errors.is_terminal:
        yield None
        return
    from rich.progress import Progress

    with Progress(console=errors, transient=True) as bar:
        task = bar.add_task("Importing", total=total)
        yield lambda done: bar.update(task, completed=done)


# --- what the options mean -------------------------------------------------------------------


def _stated(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}


def _joined(beats: list[str] | None) -> str | None:
    return None if beats is None else ";".join(beats)


def _columns(mapping: Sequence[str]) -> dict[str, str]:
    columns: dict[str, str] = {}
    for stated in mapping:
        heading, equals, field = stated.rpartition("=")
        if not equals or not heading.strip():
            raise typer.BadParameter(f"--map {stated}: write COLUMN=FIELD")
        columns[heading.strip()] = field.strip()
    return columns
