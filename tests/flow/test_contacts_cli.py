from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import typer
from typer.testing import CliRunner

from distributor.cli import contacts, lists, suppressions
from distributor.errors import DistributorError, InputError, NotFound, Refused

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

PRESS = """\ufeffE-Mail;Name;Medium;Themen
jane@paper.example;Jane Doe;The Paper;x
rik@times.example;Rik;The Times;y
not an address;Nobody;;
Mia@Times.example;"Roe; Mia";The Times;
"""


def _root() -> typer.Typer:
    root = typer.Typer()
    root.add_typer(contacts.app, name="contacts")
    root.add_typer(lists.app, name="lists")
    root.add_typer(suppressions.app, name="suppressions")

    @root.callback()
    def settings(config: str | None = None) -> None:
        del config

    return root


class Line(NamedTuple):
    """A command line in a folder of its own."""

    folder: Path
    config: Path

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(_root(), ["--config", str(self.config), *words])

    def says(self, *words: str) -> str:
        done = self.run(*words)
        assert done.exit_code == 0, done.output + repr(done.exception)
        return done.stdout

    def answers(self, *words: str) -> Any:
        return json.loads(self.says(*words, "--json"))

    def refuses(self, *words: str) -> DistributorError:
        done = self.run(*words)
        assert isinstance(done.exception, DistributorError), done.output
        return done.exception

    def file(self, name: str, text: str, encoding: str = "utf-8") -> str:
        path = self.folder / name
        path.write_bytes(text.encode(encoding))
        return str(path)


@pytest.fixture
def line(migrated_url: str, tmp_path: Path) -> Line:
    config = tmp_path / "config.toml"
    config.write_text(f'[database]\nurl = "{migrated_url}"\n')
    return Line(tmp_path, config)


def test_a_table_becomes_contacts_on_a_list_and_every_bad_row_is_named(line: Line) -> None:
    done = line.run("contacts", "import", line.file("press.csv", PRESS), "--list", "Health")
    assert done.exit_code == 0
    assert 'error: line 4: the address "not an address" has no @' in done.stderr
    assert 'columns not used: "Themen"' in done.stderr
    assert "3 added, 0 updated, 0 unchanged, 0 duplicate, 1 refused" in done.stdout
    assert 'list "Health": made, 3 joined' in done.stdout
    assert [one["name"] for one in line.answers("lists", "members", "health")] == [
        "Jane Doe",
        "Rik",
        "Roe; Mia",
    ]


def test_a_dry_run_writes_nothing_and_says_the_same(line: Line) -> None:
    file = line.file("press.csv", PRESS)
    dry = line.answers("contacts", "import", file, "--list", "Health", "--dry-run")
    assert line.answers("contacts", "find") == []
    assert line.answers("lists", "show") == []
    wet = line.answers("contacts", "import", file, "--list", "Health")
    assert dry.pop("dry_run") is True
    assert wet.pop("dry_run") is False
    assert dry == wet
    assert "nothing was written" in line.says("contacts", "import", file, "--dry-run")


def test_a_column_is_mapped_by_its_heading(line: Line) -> None:
    file = line.file("press.csv", "Wo=rk,Who\njane@paper.example,Jane\n")
    line.says("contacts", "import", file, "--map", "Wo=rk=address", "--map", "who=name")
    assert line.answers("contacts", "show", "jane@paper.example")["name"] == "Jane"
    assert line.run("contacts", "import", file, "--map", "Work").exit_code == 2


def test_the_encoding_and_the_source_can_be_stated(line: Line) -> None:
    file = line.file("press.csv", "email,name\na@x.example,Łukasz Żółć\n", "iso8859-2")
    line.says("contacts", "import", file, "--encoding", "iso8859-2", "--source", "the union")
    found = line.answers("contacts", "find", "łukasz")
    assert [(one["name"], one["source"]) for one in found] == [("Łukasz Żółć", "the union")]


def test_a_table_of_bad_rows_alone_is_refused(line: Line) -> None:
    file = line.file("press.csv", "email\nnobody\nnoone\n")
    assert line.run("contacts", "import", file).exit_code == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("name,outlet\nJane,The Paper\n", "No column of the table holds e-mail addresses"),
        ("email~name\njane@paper.example~Jane\n", "Separators tried"),
    ],
    ids=["empty", "no address column", "wrong delimiter"],
)
def test_a_file_that_is_no_table_of_contacts_is_refused(line: Line, text: str, words: str) -> None:
    error = line.refuses("contacts", "import", line.file("press.csv", text))
    assert isinstance(error, InputError)
    assert words in str(error)


def test_a_file_that_is_not_there_is_refused(line: Line) -> None:
    assert "cannot be read" in str(line.refuses("contacts", "import", str(line.folder / "no.csv")))
    assert "cannot be read" in str(line.refuses("contacts", "import", str(line.folder)))


def test_contacts_are_added_shown_found_and_edited(line: Line) -> None:
    line.says(
        "contacts", "add", "Jane@Paper.example", "--given-name", "Jane", "--family-name", "Doe",
        "--outlet", "The Paper", "--beat", "Health", "--beat", "NHS", "--zone", "europe/london",
    )  # fmt: skip
    shown = line.answers("contacts", "show", "jane@paper.example")
    assert (shown["address"], shown["name"]) == ("Jane@Paper.example", "Jane Doe")
    assert (shown["beats"], shown["zone"]) == (["Health", "NHS"], "Europe/London")
    assert (shown["lists"], shown["suppression"]) == ([], None)
    assert [one["outlet"] for one in line.answers("contacts", "find", "HEALTH", "doe")] == [
        "The Paper",
    ]
    said = line.says("contacts", "edit", "jane@paper.example", "--outlet", "", "--beat", "AI")
    assert "Changed beats, outlet of Jane Doe" in said
    assert "Nothing to change" in line.says(
        "contacts", "edit", "jane@paper.example", "--beat", "ai"
    )
    card = line.says("contacts", "show", "jane@paper.example")
    assert "AI" in card
    assert "Outlet" not in card
    assert line.run("contacts", "edit", "jane@paper.example").exit_code == 2
    assert isinstance(line.refuses("contacts", "add", "jane@paper.example"), Refused)
    assert isinstance(line.refuses("contacts", "show", "rik@paper.example"), NotFound)


def test_lists_are_kept_from_the_command_line(line: Line) -> None:
    line.says("contacts", "import", line.file("press.csv", PRESS))
    assert 'Made the list "Health"' in line.says("lists", "create", "Health")
    assert "Nobody is on the list" in line.says("lists", "members", "Health")
    said = line.says("lists", "add", "health", "jane@paper.example", "rik@times.example")
    assert said == 'Put 2 contacts on the list "Health".\n'
    said = line.says("lists", "add", "health", "jane@paper.example", "mia@times.example")
    assert said == 'Put 1 contact on the list "Health" (1 stood there already).\n'
    said = line.says("lists", "remove", "health", "jane@paper.example")
    assert said == 'Took 1 contact off the list "Health".\n'
    assert "2 contacts on the list" in line.says("lists", "members", "health")
    line.says("lists", "rename", "Health", "NHS")
    assert [(one["name"], one["members"]) for one in line.answers("lists", "show")] == [("NHS", 2)]
    assert line.answers("lists", "show", "nhs")["members"] == 2
    assert "its 2 contacts stay" in line.says("lists", "delete", "NHS")
    assert len(line.answers("contacts", "find")) == 3


def test_unknown_list_is_refused_with_what_comes_near(line: Line) -> None:
    line.says("lists", "create", "Health")
    error = line.refuses("lists", "members", "helth")
    assert isinstance(error, NotFound)
    assert error.remedy == 'Did you mean "Health"?'


def test_suppressions_are_kept_from_the_command_line(line: Line) -> None:
    line.says(
        "suppressions", "add", "Jane@paper.example", "--reason", "objection", "--evidence", "rang"
    )
    line.says("suppressions", "add", "rik@times.example", "--until", "2099-01-01 00:00")
    said = line.says("contacts", "import", line.file("press.csv", PRESS))
    assert "2 suppressed: known, but nothing is sent there" in said
    shown = line.answers("suppressions", "show")
    assert [(one["address"], one["reason"], one["stands"]) for one in shown] == [
        ("rik@times.example", "person", True),
        ("Jane@paper.example", "objection", True),
    ]
    assert shown[0]["expires_at"] == "2099-01-01T00:00:00+00:00"
    assert "was already" in line.says("suppressions", "add", "jane@paper.example")
    assert "objection" in line.says("contacts", "show", "jane@paper.example")
    assert isinstance(line.refuses("suppressions", "remove", "jane@paper.example"), Refused)
    line.says("suppressions", "remove", "jane@paper.example", "--because", "asked again")
    assert [one["address"] for one in line.answers("suppressions", "show")] == ["rik@times.example"]
    assert len(line.answers("suppressions", "show", "--all")) == 2
    history = line.says("suppressions", "show", "jane@paper.example")
    assert "lifted by" in " ".join(history.split())


@pytest.mark.parametrize(
    ("words", "next_step"),
    [
        (["contacts", "find"], "contacts import FILE.csv"),
        (["lists", "show"], "contacts import FILE.csv --list"),
        (["suppressions", "show"], "suppressions add ADDRESS"),
        (["suppressions", "show", "a@x.example"], "suppressions add a@x.example"),
    ],
)
def test_an_empty_desk_says_what_to_do_next(line: Line, words: list[str], next_step: str) -> None:
    assert next_step in line.says(*words)


def test_nothing_found_is_said_with_how_many_there_are(line: Line) -> None:
    line.says("contacts", "import", line.file("press.csv", PRESS))
    assert "Of 3 contacts, none has all of: zebra" in line.says("contacts", "find", "zebra")
    assert "first 2" in line.says("contacts", "find", "--limit", "2")


COMMANDS = [
    *[["contacts", name] for name in ("add", "import", "find", "show", "edit")],
    *[
        ["lists", name]
        for name in ("create", "show", "members", "add", "remove", "rename", "delete")
    ],
    *[["suppressions", name] for name in ("add", "remove", "show")],
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_with_an_example(words: list[str]) -> None:
    done = CliRunner().invoke(_root(), [*words, "--help"])
    assert done.exit_code == 0
    assert f"Example: distributor {' '.join(words)}" in " ".join(done.output.split())


def test_two_thousand_contacts_come_in_with_one_command(line: Line) -> None:
    rows = "".join(
        f'jane{n}@paper{n % 300}.example,Jane {n},"Paper, {n % 300}",Health;NHS\n'
        for n in range(2_000)
    )
    file = line.file("press.csv", f"email,name,outlet,beats\n{rows}")
    report = line.answers("contacts", "import", file, "--list", "All")
    assert (report["added"], report["joined"]) == (2_000, 2_000)
