"""The flight log, with real files, locks and kills."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distributor.core.model import Outcome
from distributor.core.outcome import judge
from distributor.mail.flightlog import (
    FlightLog,
    Header,
    Stage,
    logs,
    read,
    seize,
)

ROOT = Path(__file__).parents[2]
A_LINE = len(b'["S",1,"t"]\n')


def a_log(folder: Path, worker: str = "w1") -> FlightLog:
    return FlightLog.open(folder, worker=worker, host="h1", boot_id="b1")


def child(folder: Path, code: str, *args: str) -> subprocess.Popen[str]:
    """Run ``code`` in a process of its own, with an open log named ``log``."""
    opening = f"""
        import os, resource, sys
        from pathlib import Path
        from distributor.mail.flightlog import FlightLog
        log = FlightLog.open(Path({str(folder)!r}), worker="child", host="h1", boot_id="b1")
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(opening) + textwrap.dedent(code), *args],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_what_was_noted_is_read_back(tmp_path: Path) -> None:
    with closing(a_log(tmp_path)) as log:
        log.started(1, token="t")
        log.started(2)
        log.dotted(2)
        log.started("x-3", token=9)
        log.dotted("x-3", token=9)
        log.answered("x-3", 250, '2.0.0 Ok: "queued"\n\u2028 as 4F3A', token=9)
        log.started(4)
        log.answered(4, 550, "5.1.1 unknown")
        log.started(5)
        log.answered(5, None, "gate shut")
    flight = read(log.path)
    assert flight.header == Header("w1", "h1", "b1", os.getpid())
    assert (flight.torn, flight.corrupt) == (False, ())
    assert [entry.stage.value for entry in flight.entries.values()] == list("SBAAA")
    accepted = flight.entries["x-3"]
    assert (accepted.token, accepted.code, accepted.enhanced) == (9, 250, "2.0.0")
    assert accepted.reply == '2.0.0 Ok: "queued"\n\u2028 as 4F3A'
    assert {key: judge(flight.facts(key)).outcome for key in (1, 2, "x-3", 4, 5, 6)} == {
        1: Outcome.NOT_SENT,
        2: Outcome.UNCERTAIN,
        "x-3": Outcome.ACCEPTED,
        4: Outcome.REFUSED,
        5: Outcome.NOT_SENT,
        6: Outcome.NOT_SENT,
    }
    assert judge(flight.facts(4)).suppress


@pytest.mark.parametrize(
    ("letters", "undotted"),
    [("S", 1), ("SB", 0), ("SBA", 0), ("SN", 0), ("SNS", 1), ("SBS", 1), ("SBASBA", 0), ("SS", 2)],
)
def test_attempts_that_never_reached_the_dot_are_counted(
    tmp_path: Path, letters: str, undotted: int
) -> None:
    with closing(a_log(tmp_path)) as log:
        for letter in letters:
            if letter == "S":
                log.started(1)
            elif letter == "B":
                log.dotted(1)
            else:
                log.answered(1, 250 if letter == "A" else None, "")
    assert read(log.path).entries[1].undotted == undotted


def test_a_second_attempt_forgets_what_the_first_came_to(tmp_path: Path) -> None:
    with closing(a_log(tmp_path)) as log:
        log.started(1, token="a")
        log.dotted(1, token="a")
        log.answered(1, 451, "4.3.0 later", token="a")
        log.started(1, token="b")
    entry = read(log.path).entries[1]
    assert (entry.stage, entry.token, entry.code, entry.dotted) == (Stage.STARTED, "b", None, False)


@pytest.mark.parametrize("cut", range(1, A_LINE))
def test_a_torn_last_line_is_tolerated(tmp_path: Path, cut: int) -> None:
    with closing(a_log(tmp_path)) as log:
        log.started(1, token="t")
        log.started(2, token="t")
    log.path.write_bytes(log.path.read_bytes()[:-cut])
    flight = read(log.path)
    assert flight.torn
    assert list(flight.entries) == [1]
    assert flight.corrupt == ()


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\x00\x00",
        b"{}",
        b"[]",
        b'["B"]',
        b'["X",1,2]',
        b'["S",1,2,3]',
        b'["A",1,2,"x",null,""]',
        b"7",
    ],
)
def test_a_corrupt_line_is_reported_and_leaves_nothing_certain_but_answers(
    tmp_path: Path, rubbish: bytes
) -> None:
    with closing(a_log(tmp_path)) as log:
        for delivery in (1, 2, 3):
            log.started(delivery)
        log.answered(3, None, "gate shut")
    whole = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(b"".join([*whole, rubbish + b"\n", b'["A",2,null,250,null,"ok"]\n']))
    flight = read(log.path)
    assert flight.corrupt == (6,)
    outcomes = [judge(flight.facts(delivery)).outcome for delivery in (1, 2, 3, 4)]
    assert outcomes == [
        Outcome.UNCERTAIN,
        Outcome.ACCEPTED,
        Outcome.NOT_SENT,
        Outcome.UNCERTAIN,
    ]


def test_a_log_without_a_readable_header_makes_everything_unanswered_uncertain(
    tmp_path: Path,
) -> None:
    path = tmp_path / "w.flight"
    path.write_bytes(b'{"flight":99}\n["S",1,null]\n')
    flight = read(path)
    assert (flight.header, flight.corrupt) == (None, (1,))
    assert judge(flight.facts(1)).outcome is Outcome.UNCERTAIN
    path.write_bytes(b"")
    assert read(path).header is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(data=st.binary(max_size=300))
def test_no_rubbish_makes_reading_raise(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "w.flight"
    path.write_bytes(data)
    read(path)


def test_only_one_recovers_and_never_while_the_owner_lives(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    log.started(1)
    assert logs(tmp_path) == [log.path]
    assert seize(log.path) is None
    log.close()
    first = seize(log.path)
    assert first is not None
    with first:
        assert seize(log.path) is None
        assert list(first.flight.entries) == [1]
    again = seize(log.path)
    assert again is not None
    with again:
        again.discard()
    assert seize(log.path) is None
    assert logs(tmp_path) == []


def test_a_log_discarded_between_open_and_lock_is_not_recovered_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = a_log(tmp_path)
    log.close()
    opening = os.open

    def slow_open(*args: Any, **named: Any) -> int:
        descriptor = opening(*args, **named)
        log.path.unlink()
        return descriptor

    monkeypatch.setattr(os, "open", slow_open)
    assert seize(log.path) is None


def test_a_worker_id_is_never_used_twice(tmp_path: Path) -> None:
    a_log(tmp_path).close()
    with pytest.raises(FileExistsError):
        a_log(tmp_path)
    with pytest.raises(FileExistsError):
        a_log(tmp_path, "../w2")


def test_clear_forgets_what_is_committed_elsewhere_and_goes_on(tmp_path: Path) -> None:
    with closing(a_log(tmp_path)) as log:
        for delivery in range(100):
            log.started(delivery)
        log.clear()
        log.started(100)
    flight = read(log.path)
    assert list(flight.entries) == [100]
    assert flight.header is not None


def test_the_owner_may_discard_its_own(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    log.discard()
    assert logs(tmp_path) == []
    log.close()


def test_closing_or_discarding_twice_is_harmless(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    log.close()
    log.close()
    seized = seize(log.path)
    assert seized is not None
    seized.discard()
    seized.discard()
    seized.close()
    seized.close()


def test_a_log_that_cannot_be_read_lets_go_of_its_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = a_log(tmp_path)
    log.close()

    def fail(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as broken:
        broken.setattr(os, "pread", fail)
        with pytest.raises(OSError, match="error"):
            seize(log.path)
    again = seize(log.path)
    assert again is not None
    again.close()


@pytest.mark.parametrize("turn", range(5))
def test_finding_9_sigkill_loses_no_acknowledged_record(tmp_path: Path, turn: int) -> None:
    noting = """
        number = 0
        while True:
            number += 1
            log.started(number)
            log.dotted(number)
            log.answered(number, 250, "2.0.0 Ok: queued")
            os.write(1, b"%d\\n" % number)
    """
    process = child(tmp_path, noting)
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    time.sleep(random.Random(turn).uniform(0.01, 0.1))  # noqa: S311
    path = tmp_path / "child.flight"
    assert seize(path) is None
    process.send_signal(signal.SIGKILL)
    said = process.stdout.read().splitlines()
    process.wait(10)
    process.stdout.close()
    acknowledged = int(said[-1])
    seized = seize(path)
    assert seized is not None
    with seized:
        flight = seized.flight
    assert flight.corrupt == ()
    answered = [key for key, entry in flight.entries.items() if entry.stage is Stage.ANSWERED]
    assert answered[:acknowledged] == list(range(1, acknowledged + 1))
    assert acknowledged <= len(answered) <= acknowledged + 1
    assert len(flight.entries) <= len(answered) + 1


def test_row_13_a_full_disk_raises_and_leaves_no_half_line(tmp_path: Path) -> None:
    filling = f"""
        log.started(1, token="t")
        size = os.stat(log.path).st_size
        room = size + {A_LINE * 3 // 2}  # one line and a half
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        log.started(2, token="t")
        for again in range(3):
            try:
                log.started(3, token="t")
            except OSError as error:
                print(error.errno, os.stat(log.path).st_size - size)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        log.started(4, token="t")
    """
    process = child(tmp_path, filling)
    said, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert said.splitlines() == [f"{errno.ENOSPC} {A_LINE}"] * 3
    flight = read(tmp_path / "child.flight")
    assert list(flight.entries) == [1, 2, 4]
    assert (flight.torn, flight.corrupt) == (False, ())


def test_a_log_that_cannot_be_mended_takes_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(a_log(tmp_path)) as log:
        log.started(1)

        def fail(*_: object) -> int:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        with monkeypatch.context() as broken:
            broken.setattr(os, "write", fail)
            broken.setattr(os, "ftruncate", fail)
            with pytest.raises(OSError, match="error"):
                log.dotted(1)
        with pytest.raises(OSError, match="error"):
            log.dotted(1)
    assert read(log.path).entries[1].stage is Stage.STARTED


def test_a_directory_that_cannot_be_written_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="space"):
        a_log(tmp_path)
    assert list(tmp_path.iterdir()) == []
