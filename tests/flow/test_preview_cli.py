"""``release preview``: the three files, and what is said of the mail before anybody gets it."""

from __future__ import annotations

from email import message_from_bytes, policy
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from distributor import review
from distributor.cli import output
from tests.commandline import CommandLine

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """\
A bridge opens for all

The bridge at Mordale opens to everybody on Tuesday, the county said today.

ENDS

Contact: Ines Falk, 0191 498 0142
"""
EMBARGO = "2199-01-01 00:01 Europe/London"
LIFTED = "Embargo lifted at 00:01 on Tuesday 1 January 2199, Europe/London (GMT, UTC+00:00)"


@pytest.fixture
def engine_name() -> str:
    """The command line is the same on both engines."""
    return "sqlite"


@pytest.fixture
def desk(
    migrated_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> CommandLine:
    """R-1 is approved under embargo, and Jane is a contact."""
    del migrated_url
    desk = CommandLine(tmp_path, capsys, monkeypatch)
    monkeypatch.setattr(output.console, "width", 200)
    desk.configure()
    desk.file("story.txt", TEXT)
    desk.says("release", "import", "story.txt", "--embargo", EMBARGO)
    desk.says("release", "approve", "R-1")
    desk.says("contacts", "add", "jane@herald.example", "--name", "Jane Doe")
    return desk


def a_key(desk: CommandLine) -> None:
    pem = ed25519.Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    desk.file("key.pem", pem)
    (desk.folder / "key.pem").chmod(0o600)
    desk.configure(dkim__selector="press-2026", dkim__key_file="key.pem")


def test_a_preview_says_who_what_when_how_large_and_whether_it_is_signed(desk: CommandLine) -> None:
    said = desk.says("release", "preview", "R-1", "--for", "jane@herald.example", "--out", "out")
    mail = (desk.folder / "out" / "R-1-jane@herald.example.eml").read_bytes()
    html = (desk.folder / "out" / "R-1-jane@herald.example.html").read_bytes()
    fields = dict(line.split("  ", 1) for line in said.splitlines() if "  " in line.strip())
    fields = {name.strip(): value.strip() for name, value in fields.items()}
    assert fields["Subject"] == "A bridge opens for all"
    assert fields["From"].endswith("<press@institute.example>")
    assert fields["Embargo"].startswith("00:01 on Tuesday 1 January 2199, Europe/London")
    assert fields["Release line"] == LIFTED
    assert fields["DKIM"] == "not signed here: there is no key (dkim.key_file)"
    assert fields["HTML"] == f"{len(html):,} bytes; warned from 80,000, cut off at 102,400"
    assert fields["Whole mail"] == f"{len(mail):,} bytes; warned from 5,000,000"
    for name, value in message_from_bytes(mail, policy=policy.default).items():
        assert f"  {name}: {value}\n" in said
    a_key(desk)
    assert "press-2026._domainkey.institute.example (ed25519-sha256)" in (
        desk.says("release", "preview", "R-1")
    )


def test_a_preview_answers_a_script(desk: CommandLine) -> None:
    a_key(desk)
    found = desk.answers(
        *("release", "preview", "R-1", "--for", "jane@herald.example", "--out", "out")
    )
    mail = (desk.folder / found["files"][0]).read_bytes()
    assert [path.rpartition(".")[2] for path in found["files"]] == ["eml", "html", "txt"]
    assert found["mail_bytes"] == len(mail)
    assert found["html_bytes"] == (desk.folder / found["files"][1]).stat().st_size
    assert (found["subject"], found["approved"]) == ("A bridge opens for all", True)
    assert found["to"] == "Jane Doe <jane@herald.example>"
    assert found["reply_to"] is None
    assert found["embargo"]["state"] == "embargoed"
    assert found["release_line"] == LIFTED
    assert found["dkim"] == ["press-2026._domainkey.institute.example (ed25519-sha256)"]
    assert [header["name"] for header in found["headers"]] == list(message_from_bytes(mail).keys())
    assert found["findings"] == []


def test_a_preview_for_somebody_unknown_says_how_to_find_or_add_them(desk: CommandLine) -> None:
    said = desk.refuses("release", "preview", "R-1", "--for", "nobody@x.example", "--out", "out")
    assert "There is no contact nobody@x.example." in said
    assert "distributor contacts find WORD" in said
    assert "distributor contacts add nobody@x.example" in said
    assert not (desk.folder / "out").exists()


def test_a_key_that_cannot_be_used_does_not_keep_anybody_from_looking(desk: CommandLine) -> None:
    desk.configure(dkim__selector="press-2026", dkim__key_file="nowhere.pem")
    done = desk.run("release", "preview", "R-1")
    assert done.code == 0
    assert "the signing key cannot be read" in done.err
    assert "DKIM          not known" in done.out


def test_a_preview_warns_of_what_gmail_cuts_off(desk: CommandLine) -> None:
    desk.file("long.txt", TEXT.replace("ENDS", "\n\n".join(["word " * 200] * 90) + "\n\nENDS"))
    desk.says("release", "import", "long.txt", "--embargo", EMBARGO)
    done = desk.run("release", "preview", "R-2")
    assert "warning: the HTML has " in done.err
    assert "Gmail cuts mails off at about 102400" in done.err


def test_a_preview_warns_of_templates_that_leave_the_release_line_out(
    desk: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = review.decoded_parts

    def without(data: bytes) -> tuple[str, str]:
        text, html = whole(data)
        return text.partition("\n")[2], html

    monkeypatch.setattr(review, "decoded_parts", without)
    done = desk.run("release", "preview", "R-1")
    assert done.err == f"warning: the text does not hold the release line: {LIFTED}\n"
