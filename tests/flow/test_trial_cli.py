"""``release test``: from the command line into a mailbox, and how test mails are shown apart."""

from __future__ import annotations

import json
import sys
from email import message_from_bytes, policy
from typing import TYPE_CHECKING, Any

import dkim
import pytest
import typer
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from distributor.app import signing_of
from distributor.cli import output
from distributor.config import load
from distributor.mail.sink import Sink
from tests.commandline import CommandLine
from tests.desk.test_trials import a_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEXT = """\
A bridge opens for all

The bridge at Mordale opens to everybody on Tuesday, the county said today.

ENDS

Contact: Ines Falk, 0191 498 0142
"""
EMBARGO = "2199-01-01 00:01 Europe/London"
DUTY = "duty@institute.example"
ORDER = ("release", "test", "R-1", "--to", DUTY)
TWICE = ("--confirm-embargoed", "--again", "R-1")


@pytest.fixture
def engine_name() -> str:
    """The command line is the same on both engines; the desk's tests run on each."""
    return "sqlite"


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as sink:
        yield sink


@pytest.fixture
def desk(
    migrated_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    sink: Sink,
) -> CommandLine:
    """R-1 is approved under embargo; the duty officer has the one test address."""
    del migrated_url
    desk = CommandLine(tmp_path, capsys, monkeypatch)
    monkeypatch.setattr(output.console, "width", 200)
    configure(desk, sink.port)
    desk.file("story.txt", TEXT)
    desk.says("release", "import", "story.txt", "--embargo", EMBARGO)
    desk.says("release", "approve", "R-1")
    return desk


def configure(desk: CommandLine, port: int, **changes: Any) -> None:
    desk.configure(port, desk__test_addresses=[DUTY], **changes)


def test_a_test_mail_arrives_marked_and_the_servers_words_are_printed(
    desk: CommandLine, sink: Sink
) -> None:
    said = desk.says(*ORDER, *TWICE)
    [received] = sink.received
    assert said == f"{DUTY}  accepted  250 {received.replied.partition(' ')[2]} (relay)\n"
    mail = message_from_bytes(received.data, policy=policy.default)
    assert mail["Subject"] == "TEST 1: EMBARGOED 00:01 Tue 1 Jan: A bridge opens for all"
    assert mail["X-Distributor-Test"]


def test_i1_a_test_mail_before_the_lift_is_refused_until_it_is_confirmed_twice(
    desk: CommandLine, sink: Sink
) -> None:
    said = desk.refuses(*ORDER)
    assert "R-1 is under embargo until 00:01 on Tuesday 1 January 2199" in said
    assert f"distributor release test R-1 --to {DUTY} --confirm-embargoed --again R-1" in said
    desk.refuses(*ORDER, "--confirm-embargoed")
    desk.refuses(*ORDER, "--again", "R-1")
    assert "Nothing was sent" in desk.refuses(*ORDER, "--confirm-embargoed", "--again", "R-2")
    assert sink.received == []


def test_at_a_terminal_the_releases_name_is_asked_for(
    desk: CommandLine, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def typed(question: str) -> str:
        asked.append(question)
        return ["R-9", "r-1"][len(asked) - 1]

    monkeypatch.setattr(typer, "prompt", typed)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    desk.refuses(*ORDER, "--confirm-embargoed")
    assert sink.received == []
    desk.says(*ORDER, "--confirm-embargoed")
    assert len(sink.received) == 1
    assert "before the lift" in asked[0]


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"rcpt": b"550 5.1.1 nobody here\r\n"}, "is refused: 550 5.1.1 nobody here"),
        ({"rcpt": b"451 4.7.1 later\r\n"}, "is deferred: 451 4.7.1 later"),
        ({"banner": b"554 5.7.1 not you\r\n"}, "is not sent: 554 "),
    ],
)
def test_an_answer_other_than_yes_is_exit_code_1_with_the_servers_words(
    desk: CommandLine, answers: dict[str, Any], words: str
) -> None:
    with a_server(**answers) as server:
        configure(desk, server.port)
        said = desk.refuses(*ORDER, *TWICE)
    assert f"The test mail to {DUTY} {words}" in said
    [noted] = desk.answers("release", "show", "R-1")["test_mails"]
    assert noted["state"] in said


def test_a_stranger_gets_none_and_without_test_addresses_nobody_does(
    desk: CommandLine, sink: Sink
) -> None:
    said = desk.refuses("release", "test", "R-1", "--to", "jane@herald.example", *TWICE)
    assert "jane@herald.example is not a test address" in said
    assert "desk.test_addresses" in said
    desk.configure(sink.port)
    assert "desk.test_addresses is empty" in desk.refuses(*ORDER, *TWICE)
    assert sink.received == []


def test_test_mails_are_shown_apart_and_counted_nowhere_else(desk: CommandLine) -> None:
    assert "no test mail" in desk.says("log", "R-1", "--tests")
    desk.says(*ORDER, *TWICE)
    for words in (("release", "show", "R-1"), ("log", "R-1"), ("log", "R-1", "--tests")):
        said = desk.says(*words)
        head, _, apart = said.partition("Test mails, counted nowhere else:\n")
        assert DUTY not in head
        assert DUTY in apart
        assert "1, before the lift" in apart
        assert "accepted" in apart
    assert "R-1 is not scheduled" in desk.says("log", "R-1")
    # Scripts get one delivery a line, and a test mail is none.
    assert desk.says("log", "R-1", "--json") == ""
    assert DUTY not in desk.says("log", "R-1", "--missed")
    line = json.loads(desk.says("log", "R-1", "--tests", "--json"))
    [noted] = desk.answers("release", "show", "R-1")["test_mails"]
    assert line == noted
    assert (noted["address"], noted["state"], noted["code"]) == (DUTY, "accepted", 250)
    assert (noted["version"], noted["embargoed"], noted["relay"]) == (1, True, "relay")
    assert noted["message_id"].startswith("<test.")
    assert desk.answers("release", "show", "R-1")["waves"] == []
    assert "tested" in desk.says("audit", "show")
    desk.misused("log", "R-1", "--tests", "--missed")


def test_a_test_mail_is_signed_as_the_real_one_will_be(desk: CommandLine, sink: Sink) -> None:
    private = rsa.generate_private_key(65537, 2048)
    desk.file("key.pem", private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (desk.folder / "key.pem").chmod(0o600)
    configure(desk, sink.port, dkim__selector="press-2026", dkim__key_file="key.pem")
    desk.says(*ORDER, *TWICE)
    signing = signing_of(load(desk.folder / "config.toml"))
    assert signing is not None
    [key] = signing.keys

    def ask(name: bytes, timeout: int = 5) -> bytes:
        del name, timeout
        return key.record.encode()

    assert dkim.DKIM(sink.received[0].data).verify(dnsfunc=ask)
