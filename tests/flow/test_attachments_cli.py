"""Attachments on the command line: what a press officer types, sees, and is told."""

from __future__ import annotations

import json
import subprocess
import sys
from email import message_from_bytes, policy
from typing import TYPE_CHECKING

import pytest

from tests.commandline import CommandLine
from tests.flow.press import outside
from tests.pictures import PDF, PLACE, exif, jpeg, png, segment

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """\
For immediate release

A bridge opens for all

The bridge at Mordale opens to everybody on Tuesday, the county said today.

ENDS

Contact: Ines Falk, 0191 498 0142
"""
PIER = ("--picture", "pier.jpg", "--alt", "The pier", "--caption", "In May.", "--credit", "Zoë")


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
    del migrated_url
    desk = CommandLine(tmp_path, capsys, monkeypatch)
    desk.configure()
    desk.file("story.txt", TEXT)
    (tmp_path / "plan.pdf").write_bytes(PDF)
    (tmp_path / "pier.jpg").write_bytes(jpeg(segment(0xE1, b"Exif\0\0" + exif(gps=True))))
    (tmp_path / "ferry.png").write_bytes(png())
    return desk


def test_files_come_with_a_release_and_every_look_at_it_names_them(desk: CommandLine) -> None:
    done = desk.run("release", "import", "story.txt", "--attach", "plan.pdf", *PIER)
    assert "removed EXIF with the place it was taken (GPS)" in done.out + done.err
    for said in (done.out, desk.says("release", "show", "R-1")):
        assert "pier.jpg, image/jpeg, " in said
        assert "plan.pdf, application/pdf, 8" in said
        assert "shown as “The pier”; In May.; Zoë" in said
    desk.says("release", "approve", "R-1")
    said = desk.says("release", "preview", "R-1", "--out", "look")
    assert "Picture: pier.jpg, image/jpeg, " in said
    assert "Attachment: plan.pdf, application/pdf, " in said
    data = (desk.folder / "look" / "R-1.eml").read_bytes()
    mail = message_from_bytes(data, policy=policy.default)
    found = {part.get_filename(): part.get_payload(decode=True) for part in mail.walk()}
    assert found["plan.pdf"] == PDF
    assert PLACE not in data
    assert "In May.\nCredit: Zoë" in (desk.folder / "look" / "R-1.txt").read_text()
    assert "data:image/jpeg;base64," in (desk.folder / "look" / "R-1.html").read_text()


def test_scripts_get_name_type_size_and_hash(desk: CommandLine) -> None:
    said = desk.says("release", "import", "story.txt", "--attach", "plan.pdf", *PIER, "--json")
    picture, plan = json.loads(said[said.index("{") :])["attachments"]
    assert json.loads(desk.says("release", "show", "R-1", "--json"))["attachments"] == [
        picture,
        plan,
    ]
    assert (plan["name"], plan["type"], plan["size"], plan["picture"]) == (
        "plan.pdf",
        "application/pdf",
        len(PDF),
        None,
    )
    assert len(plan["sha256"]) == 64
    assert picture["picture"] == {
        "alt": "The pier",
        "caption": "In May.",
        "credit": "Zoë",
        "width": 16,
        "height": 8,
    }


def test_an_edit_puts_files_in_and_takes_them_out(desk: CommandLine) -> None:
    desk.says("release", "import", "story.txt", "--attach", "plan.pdf")
    desk.says("release", "approve", "R-1")
    said = desk.says("release", "edit", "R-1", "--detach", "plan.pdf", *PIER)
    assert "R-1  version 2" in said
    assert "plan.pdf" not in said
    assert "pier.jpg" in said
    assert json.loads(desk.says("release", "show", "R-1", "--json"))["version_state"] == "draft"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--picture", "pier.jpg"), "say what is to be seen in each picture"),
        (("--picture", "pier.jpg", "--picture", "ferry.png", "--alt", "x"), "1 times for 2"),
        (("--alt", "x"), "1 times for 0 pictures"),
        ((*PIER, "--caption", "more"), "2 times for 1 pictures"),
    ],
)
def test_texts_that_are_not_as_many_as_the_pictures_are_a_usage_error(
    desk: CommandLine, options: tuple[str, ...], why: str
) -> None:
    said = desk.misused("release", "import", "story.txt", *options)
    assert why in " ".join(said.replace("│", " ").split())


def test_two_pictures_keep_their_order_and_their_own_texts(desk: CommandLine) -> None:
    desk.says(
        *("release", "import", "story.txt", "--picture", "ferry.png", "--alt", "A"),
        *("--caption", "", "--picture", "pier.jpg", "--alt", "B", "--caption", "The second"),
    )
    desk.says("release", "preview", "R-1", "--out", "look")
    text = (desk.folder / "look" / "R-1.txt").read_text()
    assert "[Picture: A]\n\n[Picture: B]\nThe second\n" in text


def test_what_is_refused_is_refused_with_its_reason_and_nothing_is_stored(
    desk: CommandLine,
) -> None:
    (desk.folder / "tool.pdf").write_bytes(b"MZ\x90")
    said = desk.refuses("release", "import", "story.txt", "--attach", "tool.pdf")
    assert "tool.pdf is a Windows program" in said
    assert "give a link" in said
    said = desk.refuses("release", "import", "story.txt", "--attach", "gone.pdf")
    assert "gone.pdf does not exist" in said
    assert json.loads(desk.says("release", "list", "--json")) == []


def test_statement_52_large_mail_is_warned_of_from_the_first_and_refused_at_approval(
    desk: CommandLine,
) -> None:
    with (desk.folder / "plan.pdf").open("ab") as file:
        file.truncate(19_000_000)
    for order in (("import", "story.txt", "--attach", "plan.pdf"), ("edit", "R-1", *PIER)):
        done = desk.run("release", *order)
        assert "each mail has 26.0 MB: newsrooms refuse" in done.out + done.err
    said = desk.refuses("release", "approve", "R-1")
    assert "Each mail would have 26.0 MB; 25.0 MB is the most" in said
    assert "give a link instead" in said


_WATCHED = """\
import os, sys
seen = []
def watch(event, arguments):
    if event in {"open", "os.mkdir", "os.rename", "os.remove", "os.link", "os.symlink"}:
        path = arguments[0]
        write = event != "open" or (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if isinstance(path, (str, bytes)):
            seen.append((os.path.abspath(os.fsdecode(path)), bool(write)))
sys.addaudithook(watch)
from distributor.cli.main import main
sys.argv[0] = "distributor"
code = 0
try:
    main()
except SystemExit as end:
    code = end.code or 0
for path, write in seen:
    sys.stderr.write(f"SEEN {int(write)} {path!a}\\n")
sys.exit(code)
"""


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("Übersicht “neu”.pdf", 0),
        ('a"b.pdf', 0),
        ("..\\..\\evil.pdf", 1),
        ("C:\\evil.pdf", 1),
        ("NUL.pdf", 1),
        ("%2e%2e%2fevil.pdf", 0),
    ],
)
def test_row_23_no_name_ever_reaches_a_file_system(desk: CommandLine, name: str, code: int) -> None:
    source = desk.folder / name
    source.write_bytes(PDF)

    def watched(*order: str) -> tuple[int, list[tuple[bool, str]]]:
        done = subprocess.run(
            [sys.executable, "-B", "-c", _WATCHED, "--config", "config.toml", *order],
            cwd=desk.folder,
            env=outside(),
            capture_output=True,
            text=True,
            check=False,
        )
        lines = [line.split(" ", 2) for line in done.stderr.splitlines() if line[:5] == "SEEN "]
        assert lines, done.stderr
        return done.returncode, [(write == "1", path[1:-1]) for _, write, path in lines]

    ended, opened = watched("release", "import", "story.txt", "--attach", name)
    assert ended == code
    about = [path for _, path in opened if "evil" in path or "NUL" in path or "bersicht" in path]
    assert set(about) <= {repr(str(source)).strip("'\""), ascii(str(source))[1:-1]}
    allowed = (str(desk.folder / "distributor.db"), str(desk.folder / "look"), "/dev/")
    assert [path for write, path in opened if write and not path.startswith(allowed)] == []
    if code:
        return
    for order in (("approve", "R-1"), ("preview", "R-1", "--out", "look"), ("show", "R-1")):
        ended, opened = watched("release", *order)
        assert ended == 0
        assert [path for _, path in opened if ".pdf" in path] == []
        assert [path for write, path in opened if write and not path.startswith(allowed)] == []
    assert sorted(path.name for path in (desk.folder / "look").iterdir()) == [
        "R-1.eml",
        "R-1.html",
        "R-1.txt",
    ]
