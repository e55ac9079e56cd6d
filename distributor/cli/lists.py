"""``distributor lists``: hand-kept sets of contacts."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from distributor.cli.contacts import Json, contact_json, counted, print_contacts
from distributor.cli.session import opened

if TYPE_CHECKING:
    from distributor.desk.lists import ContactList

app = typer.Typer(help="Lists: make them, and keep who is on them.", no_args_is_help=True)

ListName = Annotated[
    str,
    typer.Argument(
        metavar="LIST", help="Name of the list; case does not count.", show_default=False
    ),
]
Addresses = Annotated[
    list[str],
    typer.Argument(metavar="ADDRESS…", help="E-mail addresses of contacts.", show_default=False),
]


@app.command("create")
def create(ctx: typer.Context, name: ListName) -> None:
    """Make an empty list.

    Example: distributor lists create "Health correspondents"
    """
    from distributor.cli.output import say

    with opened(ctx) as app:
        made = app.lists.create(name, by=app.operator, now=app.clock.reading().now)
    say(f'Made the list "{made.name}". To put somebody on it:')
    say(f'  distributor lists add "{made.name}" ADDRESS…')


@app.command("show")
def show(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[LIST]", help="One list; else all of them.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the lists and how many contacts are on each.

    Example: distributor lists show
    """
    from distributor.cli.output import emit_json, print_table, say

    with opened(ctx) as app:
        found = app.lists.every() if name is None else [app.lists.show(name)]
    if as_json:
        emit_json([_json(one) for one in found] if name is None else _json(found[0]))
    elif not found:
        say("There are no lists yet. To make one with contacts on it:")
        say("  distributor contacts import FILE.csv --list NAME")
    else:
        rows = [(one.name, str(one.members), f"{one.created_at:%Y-%m-%d}") for one in found]
        print_table(("List", "Members", "Made"), rows)


@app.command("members")
def members(ctx: typer.Context, name: ListName, as_json: Json = False) -> None:
    """Show who is on a list.

    Example: distributor lists members Health --json
    """
    from distributor.cli.output import emit_json, say

    with opened(ctx) as app:
        found, contacts = app.lists.members(name)
    if as_json:
        emit_json([contact_json(contact) for contact in contacts])
    elif not contacts:
        say(f'Nobody is on the list "{found.name}" yet. To put somebody on it:')
        say(f'  distributor lists add "{found.name}" ADDRESS…')
    else:
        print_contacts(contacts)
        say(f'{counted(len(contacts), "contact")} on the list "{found.name}"')


@app.command("add")
def add(ctx: typer.Context, name: ListName, addresses: Addresses) -> None:
    """Put contacts on a list; one that is not a contact stops the whole order.

    Example: distributor lists add Health jane@paper.example rik@times.example
    """
    from distributor.cli.output import say

    with opened(ctx) as app:
        now = app.clock.reading().now
        done = app.lists.add(name, addresses, by=app.operator, now=now)
    before = done.stated - done.changed
    said = f" ({before} stood there already)" if before else ""
    say(f'Put {counted(done.changed, "contact")} on the list "{done.list_name}"{said}.')


@app.command("remove")
def remove(ctx: typer.Context, name: ListName, addresses: Addresses) -> None:
    """Take contacts off a list; they stay contacts.

    Example: distributor lists remove Health jane@paper.example
    """
    from distributor.cli.output import say

    with opened(ctx) as app:
        now = app.clock.reading().now
        done = app.lists.remove(name, addresses, by=app.operator, now=now)
    off = done.stated - done.changed
    said = f" ({off} did not stand there)" if off else ""
    say(f'Took {counted(done.changed, "contact")} off the list "{done.list_name}"{said}.')


@app.command("rename")
def rename(
    ctx: typer.Context,
    name: ListName,
    new_name: Annotated[str, typer.Argument(help="Its new name.", show_default=False)],
) -> None:
    """Give a list another name; waves that use it go on using it.

    Example: distributor lists rename Health "Health and care"
    """
    from distributor.cli.output import say

    with opened(ctx) as app:
        now = app.clock.reading().now
        renamed = app.lists.rename(name, new_name, by=app.operator, now=now)
    say(f'The list is called "{renamed.name}" now.')


@app.command("delete")
def delete(
    ctx: typer.Context,
    name: ListName,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a list; its contacts stay. Refused while a planned wave uses it.

    Example: distributor lists delete "Summer 2025"
    """
    from distributor.cli.output import say

    with opened(ctx) as app:
        found = app.lists.show(name)
        if found.members and not yes and sys.stdin.isatty():
            question = f'Delete the list "{found.name}" with {counted(found.members, "member")}?'
            typer.confirm(question, abort=True)
        gone = app.lists.delete(name, by=app.operator, now=app.clock.reading().now)
    say(f'Deleted the list "{gone.name}"; its {counted(gone.members, "contact")} stay.')


def _json(one: ContactList) -> dict[str, Any]:
    return {"name": one.name, "members": one.members, "created_at": one.created_at}
