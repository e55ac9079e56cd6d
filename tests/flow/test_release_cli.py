from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from email import message_from_bytes, policy
from typing import TYPE_CHECKING

import pytest
from typer.main import get_command

from distributor.cli import output
from distributor.cli.main import app
from tests.commandline import CommandLine
from tests.flow.press import outside

if TYPE_CHECKING:
    from pathlib import Path

    from typer._click import Command

TEXT = """\
FOR IMMEDIATE RELEASE

A bridge opens for all

The bridge at Mordale opens to everybody on Tuesday, the county said today.

ENDS

Contact: Ines Falk, 0191 498 0142
"""
UNDATED = TEXT.split("\n\n", 1)[1]
EMBARGO = "2199-01-01 00:01 Europe/London"
PEOPLE = "email,name,outlet\njane@herald.example,Jane Doe,The Herald\nrik@times.example,Rik,\n"


@pytest.fixture
def engine_name() -> str:
    """The command line is the same on both engines; the desk's tests run on each."""
    return "sqlite"


@pytest.fixture
def desk(
    migrated_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> CommandLine:
    """A configured desk in a folder of its own."""
    del migrated_url
    desk = CommandLine(tmp_path, capsys, monkeypatch)
    desk.configure()
    desk.file("story.txt", TEXT)
    desk.file("undated.txt", UNDATED)
    desk.file("people.csv", PEOPLE)
    return desk


@pytest.fixture
def approved(desk: CommandLine) -> CommandLine:
    """R-1 is approved under embargo, and there is a list of two."""
    desk.says("release", "import", "undated.txt", "--embargo", EMBARGO)
    desk.says("release", "approve", "R-1")
    desk.says("contacts", "import", "people.csv", "--list", "press")
    return desk


# --- the way of a release -------------------------------------------------------------------------


def test_from_the_text_to_the_schedule_every_step_names_the_next(desk: CommandLine) -> None:
    assert "release import FILE" in desk.says("release", "list")
    said = desk.says("release", "import", "undated.txt", "--embargo", EMBARGO)
    assert "R-1  version 1  A bridge opens for all" in said
    assert "00:01 on Tuesday 1 January 2199, Europe/London (GMT, UTC+00:00)" in said
    assert "Next: distributor release approve R-1" in said
    assert "Next: distributor release approve R-1" in desk.says("release", "show", "R-1")
    assert "Next: distributor release schedule R-1 --list NAME" in (
        desk.says("release", "approve", "R-1")
    )
    desk.says("contacts", "import", "people.csv", "--list", "press")
    done = desk.run("release", "schedule", "R-1", "--list", "press")
    assert "leaves at 00:01 on Tuesday 1 January 2199" in done.out
    assert "2 recipients, 0 excluded" in done.out
    assert "distributor log R-1 --follow" in done.out
    assert done.err == "warning: no worker is running, so nothing leaves.\n"
    assert done.out.endswith("Next: distributor run, and leave it running\n")
    shown = desk.says("release", "show", "r-1")
    assert "General wave  planned, to press" in shown
    assert "sealed shortly before it leaves" in shown
    assert "sealed shortly before" in desk.says("release", "audience", "R-1")
    assert "sealed shortly before" in desk.says("log", "R-1")
    assert "nothing had left" in desk.says("release", "unschedule", "R-1")
    for words in (["release", "show"], ["release", "audience"], ["log"]):
        assert "nothing had left" in desk.says(*words, "R-1")


def test_hold_resume_and_cancel_say_the_numbers_and_the_way_on(approved: CommandLine) -> None:
    approved.says("release", "schedule", "R-1", "--list", "press")
    held = approved.says("release", "hold", "R-1")
    assert "R-1  held." in held
    assert "release resume R-1" in held
    assert "release cancel R-1" in held
    assert "held already" in approved.refuses("release", "hold", "R-1")
    shown = approved.says("release", "show", "R-1")
    assert "person: by a person, whom the audit names. Nothing of it leaves." in shown
    assert "distributor release resume R-1" in shown
    # Waiting would never end, and cancelling would drop who has not got it.
    assert "To go on: distributor release resume R-1" in approved.refuses(
        "release", "edit", "R-1", "--language", "fr"
    )
    assert "goes on (planned)" in approved.says("release", "resume", "R-1")
    assert "not held" in approved.refuses("release", "resume", "R-1")
    cancelled = approved.says("release", "cancel", "R-1")
    assert "cancelled" in cancelled
    assert "nothing had left" in cancelled
    assert "Nothing of R-1" in approved.refuses("release", "cancel", "R-1")


ORDERS = [
    (["release", "show", "R-9"], "There is no release R-9"),
    (["release", "show", "1"], "There is no release 1"),
    (["release", "show", "R-1'; DROP TABLE releases; --"], "There is no release"),
    (["release", "approve", "R-9"], "There is no release R-9"),
    (["release", "edit", "R-9", "--headline", "x"], "There is no release R-9"),
    (["release", "schedule", "R-1", "--list", "press"], "is a draft, not approved"),
    (["release", "hold", "R-1"], "Nothing of R-1 is scheduled"),
    (["release", "resume", "R-1"], "Nothing of R-1 is scheduled"),
    (["release", "unschedule", "R-1"], "Nothing of R-1 is scheduled"),
    (["release", "preview", "R-1", "--for", "nobody@x.example"], "There is no contact"),
    (["release", "audience", "R-9"], "There is no release R-9"),
    (["release", "read", "nowhere.txt"], "nowhere.txt does not exist"),
    (["release", "read", "."], "is not a file"),
    (["release", "import", "empty.txt"], "empty.txt is empty"),
    (["release", "import", "binary.txt"], "not text"),
    (["release", "import", "huge.txt"], "more than 20 MB"),
    (["release", "import", "bare.txt"], "no headline"),
    (["release", "read", "story.txt", "--zone", "Mars"], "not a known time zone"),
    (["release", "import", "undated.txt", "--embargo", "2026-12-01 00:01"], "names no time zone"),
    (["release", "import", "undated.txt", "--embargo", "2020-01-01 00:01 UTC"], "in the past"),
    (["release", "import", "story.txt", "--embargo", EMBARGO], "they disagree"),
    (["release", "import", "story.txt", "--from", "a\nb"], "sender's name"),
    (["release", "import", "story.txt", "--reply-to", "nobody"], "reply-to"),
    (["release", "import", "story.txt", "--language", "x\r"], "language tag"),
    (["release", "edit", "R-1", "--headline", "x\r\nBcc: a@b"], "carriage return"),
    (["release", "edit", "R-1", "--headline", "=?utf-8?q?x=0D=0ABcc:_a?="], "encoded word"),
    (["--config", "nowhere.toml", "release", "list"], "there is no such file"),
    (["--config", ".", "release", "list"], "directory"),
]


@pytest.mark.parametrize(("words", "said"), ORDERS)
def test_an_order_that_cannot_be_carried_out_is_one_line_and_a_remedy(
    desk: CommandLine,
    words: list[str],
    said: str,
) -> None:
    desk.file("empty.txt", "")
    desk.file("binary.txt", bytes(range(256)) * 40)
    desk.file("huge.txt", b"x" * (21 * 1024 * 1024))
    desk.file("bare.txt", "EMBARGOED until 00:01 GMT on Tuesday 1 December 2199\n\n")
    desk.says("release", "import", "story.txt")
    assert said in desk.refuses(*words)
    assert [item["version"] for item in desk.answers("release", "list")] == [1]


@pytest.mark.parametrize(
    "words",
    [
        ["release", "nonsense"],
        ["nonsense"],
        ["release", "show"],
        ["release", "show", "R-1", "--nonsense"],
        ["release", "schedule", "R-1", "--exclude", "press"],
        ["release", "schedule", "R-1", "--list", "press", "--also", "press"],
        ["release", "schedule", "R-1", "--list", "press", "--zone", "Europe/London"],
        ["release", "edit", "R-1"],
        ["release", "read", "story.txt", "--received", "2026-13-01"],
    ],
)
def test_a_command_typed_wrongly_ends_with_2_and_how_it_is_meant(
    desk: CommandLine,
    words: list[str],
) -> None:
    desk.misused(*words)


def test_an_unclear_embargo_is_said_with_the_order_that_settles_it(desk: CommandLine) -> None:
    second = "Strictly embargoed until 09:00 GMT on Thursday 2 January 2199\n\nENDS"
    first = "EMBARGOED until 00:01 GMT on Tuesday 1 January 2199\n\n"
    desk.file("two.txt", first + UNDATED.replace("ENDS", second))
    said = desk.says("release", "import", "two.txt")
    assert "UNCLEAR" in said
    assert "State the embargo by one of these:" in said
    lines = (
        '  distributor release edit R-1 --embargo "2199-01-01 00:01 Europe/London"\n'
        '  distributor release edit R-1 --embargo "2199-01-02 09:00 Europe/London"\n'
    )
    assert lines in said
    assert lines in desk.says("release", "show", "R-1")
    refused = desk.refuses("release", "approve", "R-1")
    assert "unclear" in refused
    assert lines in refused


def test_an_edit_that_moves_the_embargo_from_what_the_text_says_is_warned_of(
    desk: CommandLine,
) -> None:
    desk.file("bare.txt", "EMBARGOED until 06:00 on 27 November 2098\n\n" + UNDATED)
    wrong = "2098-12-01 09:00 Europe/London"
    desk.refuses("release", "import", "bare.txt", "--embargo", wrong)
    desk.says("release", "import", "bare.txt")
    done = desk.run("release", "edit", "R-1", "--embargo", wrong)
    assert "the order holds" in done.err
    assert "06:00 on 27 November 2098" in done.err


def test_the_desks_language_stands_where_a_text_states_none(desk: CommandLine) -> None:
    desk.configure(desk__language="de-AT")
    assert desk.answers("release", "read", "story.txt")["language"] == "de-AT"
    desk.says("release", "import", "story.txt")
    desk.says("release", "preview", "R-1")
    mail = message_from_bytes((desk.folder / "R-1.eml").read_bytes(), policy=policy.default)
    assert mail["Content-Language"] == "de-AT"


def test_without_a_sender_nothing_is_brought_in(desk: CommandLine) -> None:
    desk.configure(sender__address="")
    assert "sender.address is not set" in desk.refuses("release", "import", "story.txt")


# --- the forms that scripts rely on (design section 9) --------------------------------------------


def test_the_json_of_release_read_has_every_promised_key(desk: CommandLine) -> None:
    read = desk.answers("release", "read", "story.txt")
    assert set(read) >= {
        *("headline", "subheadline", "label", "language", "embargo", "dateline", "body"),
        *("quotes", "end_marker", "contacts", "notes", "boilerplate", "findings"),
    }
    assert set(read["embargo"]) == {"state", "at", "zone", "text", "doubts"}
    assert read["embargo"]["state"] == "immediate"
    assert set(read["contacts"][0]) >= {"name", "organisation", "phone", "phone_e164", "email"}
    assert read["contacts"][0]["phone"] == "0191 498 0142"
    assert read["subheadline"] is None
    assert read["quotes"] == []
    for finding in read["findings"]:
        assert set(finding) == {"code", "severity", "message", "line"}


def test_the_embargo_in_json_has_the_offset_of_its_zone(desk: CommandLine) -> None:
    stated = "2199-07-01 09:30 Europe/London"
    desk.says("release", "import", "undated.txt", "--embargo", stated)
    embargo = desk.answers("release", "show", "R-1")["embargo"]
    assert embargo["at"] == "2199-07-01T09:30:00+01:00"
    assert embargo["zone"] == "Europe/London"


def test_the_json_of_release_show_has_every_promised_key(approved: CommandLine) -> None:
    approved.says("release", "schedule", "R-1", "--list", "press")
    shown = approved.answers("release", "show", "R-1")
    assert set(shown) >= {"ref", "state", "version", "headline", "embargo", "waves"}
    [wave] = shown["waves"]
    assert set(wave) >= {
        *("kind", "state", "reason", "send_at", "recipients", "exclusions", "counts"),
    }
    assert (wave["kind"], wave["state"], wave["reason"]) == ("general", "planned", None)
    assert datetime.fromisoformat(wave["send_at"]) == datetime(2199, 1, 1, 0, 1, tzinfo=UTC)
    assert (wave["recipients"], wave["counts"]) == (None, {})
    assert approved.answers("release", "list") == [shown]


# --- what is shown to people ----------------------------------------------------------------------

HOSTILE = "A [bold red]bridge[/] \x9b31mopens\u202e :smile: for all"


@pytest.mark.parametrize("width", [80, 120])
def test_rows_14_and_26_text_from_outside_neither_styles_nor_steers_the_terminal(
    desk: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    width: int,
) -> None:
    monkeypatch.setattr(output.console, "_force_terminal", True)
    monkeypatch.setattr(output.console, "_width", width)
    monkeypatch.setattr(output.console, "no_color", True)
    desk.file("hostile.txt", TEXT.replace("Ines Falk", "[red]Ines[/red] \x1b]0;x\x07 Falk"))
    desk.says("release", "import", "hostile.txt")
    said = desk.says("release", "edit", "R-1", "--headline", HOSTILE.replace("\x9b", ""))
    for words in (["show", "R-1"], ["list"]):
        said += desk.says("release", *words)
    assert "[bold red]bridge[/]" in said
    assert "opens\\u202e :smile:" in said
    assert not set(said) & {"\x9b", "\x07", "\u202e"}
    assert re.fullmatch(r"(?s)([^\x1b]|\x1b\[[0-9;]*m)*", said)


def test_what_steers_a_terminal_is_escaped_in_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    output.emit_json({"reply": "a\x9b31m\x1b[0m\u202e\x7f\ud800"})
    said = capsys.readouterr().out
    assert said.isprintable() or set(said) - {"\n"} <= {chr(code) for code in range(32, 127)}
    assert json.loads(said) == {"reply": "a\x9b31m\x1b[0m\u202e\x7f\ud800"}


LONG = "A headline that goes on and on about a bridge " * 4


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_wide_table_keeps_to_the_terminal_and_loses_no_word_of_its_last_column(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    width: int,
) -> None:
    monkeypatch.setattr(output.console, "_force_terminal", True)
    monkeypatch.setattr(output.console, "_width", width)
    outlet = "Süddeutsche Zeitung für Politik, Kultur und Wirtschaft"
    rows = [
        ("jane@herald.example", outlet, "accepted", LONG),
        ("日本@x.example", "日本経済新聞", "", "y"),
    ]
    output.print_table(("ADDRESS", "OUTLET", "STATE", "REPLY"), rows)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    assert all(output.cell_len(line) <= width for line in lines)
    assert " ".join(" ".join(lines).split()).count("goes on and on about a bridge") == 4
    assert "jane@herald.example" in lines[1]


def test_a_pipe_gets_every_row_whole_and_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("A", "B", "C"), [("x" * 90, "y" * 90, LONG.strip())])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1] == f"{'x' * 90}  {'y' * 90}  {LONG.strip()}"


def test_a_terminal_that_cannot_show_a_dash_does_not_stop_anything(desk: CommandLine) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "distributor", "release", "read", "undated.txt"],
        cwd=desk.folder,
        env=outside() | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"A bridge opens for all" in done.stdout


# --- preview --------------------------------------------------------------------------------------


NAME = "R-1-JANE@herald.example"


def test_a_preview_writes_three_files_that_agree(approved: CommandLine) -> None:
    said = approved.says(
        *("release", "preview", "R-1", "--for", "JANE@herald.example", "--out", "a/b")
    )
    assert "Subject: A bridge opens for all" in said
    assert "draft" not in said.lower()
    folder = approved.folder / "a" / "b"
    assert sorted(path.name for path in folder.iterdir()) == [
        f"{NAME}.{suffix}" for suffix in ("eml", "html", "txt")
    ]
    assert {path.stat().st_mode & 0o077 for path in folder.iterdir()} == {0}
    mail = message_from_bytes((folder / f"{NAME}.eml").read_bytes(), policy=policy.default)
    assert mail["To"] == "Jane Doe <jane@herald.example>"
    text, html = (part.get_content().replace("\r\n", "\n") for part in mail.iter_parts())
    assert (folder / f"{NAME}.txt").read_text(encoding="utf-8") == text
    assert (folder / f"{NAME}.html").read_text(encoding="utf-8") == html


def test_a_preview_of_a_draft_says_so(desk: CommandLine) -> None:
    desk.says("release", "import", "story.txt")
    assert "A draft: not approved" in desk.says("release", "preview", "R-1")


def test_a_preview_that_cannot_be_written_is_refused(desk: CommandLine) -> None:
    desk.says("release", "import", "story.txt")
    assert "cannot be written" in desk.refuses("release", "preview", "R-1", "--out", "story.txt")


# --- help -----------------------------------------------------------------------------------------


def _commands(command: Command, *names: str) -> list[tuple[tuple[str, ...], Command]]:
    below = getattr(command, "commands", {})
    if not below:
        return [(names, command)]
    return [found for name in below for found in _commands(below[name], *names, name)]


COMMANDS = _commands(get_command(app))


@pytest.mark.parametrize(("names", "command"), COMMANDS, ids=[" ".join(n) for n, _ in COMMANDS])
def test_every_command_shows_an_example_that_names_it_and_its_own_options(
    names: tuple[str, ...],
    command: Command,
) -> None:
    written = " ".join((command.help or "").split())
    assert "Example: " in written
    example = written.partition("Example: ")[2]
    assert " ".join(names) in example
    known = {option for parameter in command.params for option in parameter.opts}
    used = set(re.findall(r"(?<!\S)--[a-z-]+", example.partition(names[-1])[2]))
    assert used <= known


def test_help_and_usage_are_quick_because_nothing_heavy_is_loaded(desk: CommandLine) -> None:
    loaded = subprocess.run(
        [
            *(sys.executable, "-c"),
            "import sys; import distributor.cli.main; print(*sys.modules)",
        ],
        env=outside(),
        cwd=desk.folder,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    heavy = {"sqlalchemy", "alembic", "jinja2", "pydantic", "aiosmtplib", "apscheduler", "aiosmtpd"}
    assert not heavy & set(loaded)


def test_the_time_shown_to_the_reader_always_names_its_zone(desk: CommandLine) -> None:
    desk.says("release", "import", "undated.txt", "--embargo", "2199-07-01 09:30 Europe/London")
    assert "2199-07-01 09:30 BST" in desk.says("release", "list")
