from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from distributor.cli import main
from distributor.cli.telling import wrapped
from distributor.demo.processes import child_environment
from distributor.demo.proof import Proof
from distributor.mail.sink import Received, read_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
EMBARGO = datetime(2026, 12, 1, 0, 1, tzinfo=UTC)
SAMPLE_MAILS = 108
PATIENCE_S = 90


# The proof


def a_mail(name: str, *, after_s: float = 0.1) -> Received:
    return Received(
        at=EMBARGO + timedelta(seconds=after_s),
        mail_from="press@wendle-rivers.example",
        rcpt_tos=(f"{name}@paper.example",),
        message_id=f"<{name}@wendle-rivers.example>",
        sha256="",
        replied="250 2.0.0 Ok",
    )


def a_line(name: str, *, state: str = "accepted", attempts: int = 1) -> dict[str, Any]:
    return {
        "address": f"{name}@paper.example",
        "state": state,
        "attempts": attempts,
        "reply": "Ok",
        "message_id": f"<{name}@wendle-rivers.example>",
    }


def a_proof(
    log: list[dict[str, Any]],
    received: list[Received],
    *,
    state: str = "finished",
    recipients: int = 2,
) -> Proof:
    return Proof(EMBARGO, {"state": state, "recipients": recipients}, log, received)


ANN, BEN = a_line("ann"), a_line("ben")


def test_a_demo_that_went_well_has_no_faults() -> None:
    proof = a_proof([ANN, BEN], [a_mail("ben"), a_mail("ann", after_s=0.0)])
    assert (proof.faults(), proof.early, proof.odd) == ([], [], [])
    assert [proof.after_ms(mail) for mail in proof.received] == [100.0, 0.0]


@pytest.mark.parametrize(
    ("proof", "fault"),
    [
        (
            a_proof([ANN, BEN], [a_mail("ann", after_s=-0.25), a_mail("ben", after_s=-0.1)]),
            "2 mails came before the embargo, the first 250 ms",
        ),
        (
            a_proof([ANN, a_line("ben", state="refused")], [a_mail("ann")]),
            "1 of 2 mails were not accepted: ben@paper.example is refused (Ok)",
        ),
        (a_proof([ANN, BEN], [a_mail("ann")]), "1 mails are accepted in the log and not at"),
        (a_proof([ANN], [a_mail("ann")]), "the log has 1 lines for 2 recipients"),
        (a_proof([], [], recipients=0), "the log is empty"),
        (a_proof([ANN, BEN], [a_mail("ann"), a_mail("ben"), a_mail("eve")]), "1 mails are at the"),
        (a_proof([ANN, BEN], [a_mail("ann"), a_mail("ben"), a_mail("ben")]), "1 mails arrived twi"),
        (a_proof([ANN, BEN], [a_mail("ann"), a_mail("ben")], state="sending"), "is sending, not"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_whatever_is_not_as_promised_is_a_fault(proof: Proof, fault: str) -> None:
    assert len(proof.faults()) == 1
    assert fault in proof.faults()[0]


def test_a_second_try_is_odd_and_no_fault() -> None:
    again = a_line("ben", attempts=2)
    proof = a_proof([ANN, again], [a_mail("ann"), a_mail("ben")])
    assert (proof.odd, proof.faults()) == ([again], [])


# What it shows, and what it keeps from its processes


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("", [""]),
        ("short", ["short"]),
        ("one two three four five", ["one two three", "  four five"]),
        ("ok    the database is here", ["ok    the", "      database", "      is here"]),
        ("  R-1  goes away at noon", ["  R-1  goes", "       away at", "       noon"]),
        ("averyverylongword", ["averyverylongword"]),
    ],
)
def test_a_long_answer_goes_on_below_its_column(line: str, lines: list[str]) -> None:
    assert wrapped(line, 14) == lines


def test_no_setting_from_outside_reaches_the_processes() -> None:
    outside = {
        "DISTRIBUTOR_RELAY__HOST": "mail.example",
        "distributor_config": "/etc/distributor/config.toml",
        "FORCE_COLOR": "1",
        "HOME": "/home/jane",
    }
    inside = child_environment(outside, columns=78)
    assert inside == {"HOME": "/home/jane", "COLUMNS": "78", "NO_COLOR": "1", "PYTHONUTF8": "1"}


# The whole of it, as a person starts it


class Started:
    """A demo in a process of its own; what it says goes to a file."""

    def __init__(self, place: Path, *words: str) -> None:
        self.temporary = place / "temporary"
        self.temporary.mkdir()
        self._out = place / "out"
        environment = {name: value for name, value in os.environ.items() if name != "FORCE_COLOR"}
        environment |= {
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(self.temporary),
            "COLUMNS": "80",
            # Nothing of this may be believed.
            "DISTRIBUTOR_RELAY__HOST": "192.0.2.1",
        }
        with self._out.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "distributor", "demo", *words],
                cwd=place,
                env=environment,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    @property
    def said(self) -> str:
        return self._out.read_text(encoding="utf-8")

    def until(self, words: str) -> None:
        until(lambda: words in self.said or self.process.poll() is not None)
        assert words in self.said, self.said

    def code(self) -> int:
        return self.process.wait(PATIENCE_S)

    def child(self, word: str) -> int:
        """The process in the demo's folder whose command line holds a word."""
        found = [pid for pid, line in processes_in(self.temporary).items() if word in line]
        assert len(found) == 1, found
        return found[0]

    def leaves_nothing(self) -> bool:
        return not list(self.temporary.iterdir()) and not processes_in(self.temporary)


def until(come: Callable[[], bool]) -> None:
    for _ in range(PATIENCE_S * 20):
        if come():
            return
        time.sleep(0.05)
    pytest.fail("it never came")


def processes_in(folder: Path) -> dict[int, str]:
    """Processes that work in a folder or below, with their command lines."""
    found: dict[int, str] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str((entry / "cwd").readlink()).startswith(str(folder)):
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found[int(entry.name)] = line
        except OSError:
            # It ended while we looked.
            continue
    return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    started: list[Started] = []

    def begin(*words: str) -> Started:
        started.append(Started(tmp_path, *words))
        return started[-1]

    yield begin
    for one in started:
        if one.process.poll() is None:
            one.process.terminate()
            one.process.wait(PATIENCE_S)


@pytest.mark.slow
def test_the_demo_sends_every_mail_after_the_embargo_and_keeps_what_it_is_asked_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("COLUMNS", "80")
    # In this process, so that coverage sees it; those it starts are their own all the same.
    done = CliRunner().invoke(main.app, ["demo", "--keep", str(kept)])
    assert done.exit_code == 0, done.output
    said = done.stdout
    assert f"{SAMPLE_MAILS} of {SAMPLE_MAILS} accepted" in said
    received = read_record(kept / "received")
    stated = next(line for line in said.splitlines() if "--embargo" in line)
    embargo = datetime.fromisoformat(stated.partition("'")[2].split()[0])
    assert len(received) == len({mail.rcpt_tos for mail in received}) == SAMPLE_MAILS
    assert min(mail.at for mail in received) >= embargo
    assert all(mail.path and mail.path.stat().st_size for mail in received)
    assert not processes_in(kept)
    log = subprocess.run(
        [sys.executable, "-m", "distributor", "log", "R-1", "--json"],
        cwd=kept,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
    )
    ids = {json.loads(line)["message_id"] for line in log.stdout.splitlines()}
    assert ids == {mail.message_id for mail in received}
    wide = [line for line in said.splitlines() if line[:2] != "$ " and cell_len(line) > 80]
    # A path cannot be broken.
    assert [line for line in wide if str(tmp_path) not in line] == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda one: one.name)
def test_a_demo_that_is_stopped_tidies_up(
    start: Callable[..., Started], number: signal.Signals
) -> None:
    demo = start()
    demo.until("$ distributor doctor")
    assert len(processes_in(demo.temporary)) >= 3
    demo.process.send_signal(number)
    assert demo.code() == 128 + number
    assert "Nothing is left behind." in demo.said
    assert demo.leaves_nothing()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("word", "named"), [("mail.sink", "mail server"), ("distributor run", "desk")]
)
def test_a_server_that_is_killed_is_named_and_everything_else_stopped(
    start: Callable[..., Started], word: str, named: str
) -> None:
    demo = start()
    demo.until("$ distributor doctor")
    os.kill(demo.child(word), signal.SIGKILL)
    assert demo.code() == 1
    assert f"The {named} was killed by signal 9" in demo.said
    assert demo.leaves_nothing()


@pytest.mark.slow
def test_a_port_that_is_taken_is_said(start: Callable[..., Started]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        demo = start("--port", str(taken.getsockname()[1]))
        assert demo.code() == 1
    assert "The mail server ended with exit code 1." in demo.said
    assert "address already in use" in demo.said
    assert demo.leaves_nothing()


def test_a_folder_with_something_in_it_is_not_used(
    start: Callable[..., Started], tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "novel.txt").write_text("It was a dark and stormy night", encoding="utf-8")
    demo = start("--keep", "mine")
    assert demo.code() == 1
    assert "mine is not empty" in demo.said
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["novel.txt"]
