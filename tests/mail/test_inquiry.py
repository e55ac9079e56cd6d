"""A command that is asked about mails: it gets little, and is believed little."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from distributor.core.evidence import Verdict
from distributor.errors import InquiryFailed
from distributor.mail import inquiry
from distributor.mail.inquiry import Inquiry, Record

if TYPE_CHECKING:
    from pathlib import Path

IDS = ("<a1@desk.example>", "<b2@desk.example>")
ECHO = "import sys\nfor line in sys.stdin: print(line.strip(), 'accepted 4F3A')"


def an_inquiry(script: str, *, timeout_s: float = 10.0) -> Inquiry:
    # -I: the interpreter looks at no environment and at no folder of ours.
    return Inquiry(Record("main", (sys.executable, "-I", "-c", script), timeout_s), time.monotonic)


def test_every_message_id_is_asked_for_and_answered() -> None:
    found = an_inquiry(ECHO).ask(IDS)
    assert {name: answer.verdict for name, answer in found.items()} == dict.fromkeys(
        IDS, Verdict.ACCEPTED
    )
    assert {answer.words for answer in found.values()} == {"4F3A"}


def test_many_mails_and_a_command_that_reads_none_of_them_do_not_stall() -> None:
    ids = [f"<{number:04}.{'x' * 200}@desk.example>" for number in range(3000)]
    assert set(an_inquiry("").ask(ids)) == set(ids)
    assert an_inquiry(ECHO).ask(ids)[ids[-1]].verdict is Verdict.ACCEPTED


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("import sys; print('<a1@desk.example> accepted'); sys.exit(3)", "ended with code 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "ended with code -15"),
        ("print('no idea')", "cannot be read"),
        ("print('<x9@desk.example> accepted')", "cannot be read"),
        ("import sys; sys.stdout.write('x' * 3_000_000)", "said more than"),
        ("import sys\nwhile True: sys.stdout.write('x' * 65536)", "said more than"),
    ],
)
def test_a_command_that_does_not_keep_to_its_part_tells_nothing(script: str, said: str) -> None:
    with pytest.raises(InquiryFailed, match=said) as failed:
        an_inquiry(script).ask(IDS)
    assert "main" in str(failed.value)
    assert failed.value.remedy


@pytest.mark.parametrize(
    "script",
    [
        "import time; time.sleep(60)",
        # It closes its output and lives on.
        "import os, time; os.close(1); time.sleep(60)",
        # It ends, and what it started keeps the pipe open.
        "import os, time\nif os.fork() == 0: time.sleep(60)",
    ],
)
def test_a_command_that_takes_too_long_is_ended_with_all_it_started(script: str) -> None:
    began = time.monotonic()
    with pytest.raises(InquiryFailed, match="took longer than"):
        an_inquiry(script, timeout_s=0.5).ask(IDS)
    assert time.monotonic() - began < 5


def test_a_command_that_is_not_there_is_said(tmp_path: Path) -> None:
    for command in ((str(tmp_path / "nowhere"),), (str(tmp_path),), ("with\0nul",)):
        with pytest.raises(InquiryFailed, match="cannot be run"):
            Inquiry(Record("main", command, 1.0), time.monotonic).ask(IDS)


def test_it_sees_none_of_our_settings_and_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTRIBUTOR_RELAY__PASSWORD", "wrong-horse")
    monkeypatch.setenv("PGPASSWORD", "battery")
    shown = "import os; print('<a1@desk.example> unknown', sorted(os.environ), os.getcwd())"
    words = an_inquiry(shown).ask(IDS)["<a1@desk.example>"].words
    assert "'PATH'" in words
    assert words.endswith(" /")
    for name in ("DISTRIBUTOR", "PGPASSWORD", *(set(os.environ) - set(inquiry._KEPT))):
        assert f"'{name}" not in words


def test_no_shell_reads_its_arguments() -> None:
    script = "import sys; print('<a1@desk.example> unknown', sys.argv[1])"
    command = (sys.executable, "-I", "-c", script, "$HOME; echo `id` *")
    found = Inquiry(Record("main", command, 10.0), time.monotonic).ask(IDS)
    assert found["<a1@desk.example>"].words == "$HOME; echo `id` *"


def test_a_question_can_be_given_up() -> None:
    asking = an_inquiry("import time; time.sleep(60)", timeout_s=60)
    threading.Timer(0.3, asking.give_up).start()
    began = time.monotonic()
    with pytest.raises(InquiryFailed, match="given up"):
        asking.ask(IDS)
    assert asking.given_up
    assert time.monotonic() - began < 5
