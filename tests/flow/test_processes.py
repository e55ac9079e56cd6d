"""Several processes of one worker: together they send once, and any of them may die (I4, I5)."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from distributor.app import App, relays_of, share_of
from distributor.cli.main import app as command_line
from distributor.clock import GuardedClock
from distributor.errors import ConfigError
from distributor.mail.sink import Sink
from distributor.worker import Worker
from tests.flow.press import FULL, Press, children, receiver
from tests.flow.test_crashes import assert_accounted_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.flow.press import Process

PEOPLE = 20_000 if FULL else 1200


def records(process: Process, action: str) -> list[dict[str, Any]]:
    lines = [line for line in process.said().splitlines() if line.startswith("{")]
    return [record for record in map(json.loads, lines) if record["action"] == action]


def start(press: Press, command: str = "run") -> tuple[Process, int, int]:
    """The parent, the child that ticks (the first to start) and the other one."""
    parent = press.worker(command)
    press.wait(lambda: len(records(parent, "worker_started")) == 2)
    assert [record["child"] for record in records(parent, "baton_taken")] == [1]
    ticking, other = sorted(children(parent.pid))
    return parent, ticking, other


def has_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


# --- together ------------------------------------------------------------------------------------


def test_two_processes_send_to_every_address_once_and_one_of_them_ticks(
    migrated_url: str, tmp_path: Path
) -> None:
    with (
        receiver(tmp_path / "mails") as far_end,
        Press(
            tmp_path, far_end.port, url=migrated_url, worker__processes=2, sending__batch_size=20
        ) as press,
    ):
        press.people(1000)
        parent, _, _ = start(press, "worker")
        ref = press.release(after_s=2)
        press.wait(lambda: press.is_finished(ref))
        addressed = Counter(mail.rcpt_tos[0] for mail in far_end.received())
        assert len(addressed) == 1000
        assert set(addressed.values()) == {1}
        embargo_at = press.view(ref).wave.embargo_at
        assert embargo_at is not None
        assert min(mail.at for mail in far_end.received()) >= embargo_at
        assert parent.stop() == 0
        assert {record["child"] for record in records(parent, "batch_claimed")} == {1, 2}
        assert len({record["worker"] for record in records(parent, "worker_stopped")}) == 2
        assert [record["child"] for record in records(parent, "waiting")].count(2) == 0
        assert not list((tmp_path / "state" / "flight").iterdir())


def test_they_share_the_connections_of_the_mail_server(tmp_path: Path) -> None:
    with Press(tmp_path, 2525, relay__connections=5) as press:
        settings = press.app.settings
        for processes, parts in ((1, [5]), (2, [3, 2]), (5, [1] * 5)):
            shares = [share_of(settings, processes, index=at) for at in range(processes)]
            assert [
                relays_of(settings, share).first.policy.connections for share in shares
            ] == parts
        with pytest.raises(ConfigError, match=r"6 worker processes cannot share 5 connections"):
            share_of(settings, 6)


def test_the_mail_server_with_the_fewest_connections_bounds_the_processes(tmp_path: Path) -> None:
    with Press(tmp_path, 2525, relay__connections=5) as press:
        settings = press.app.settings
        spare = settings.relay.model_copy(update={"name": "spare", "connections": 1})
        settings = settings.with_relays((settings.relay, spare))
        with pytest.raises(ConfigError, match="2 worker processes cannot share 1 connection of sp"):
            share_of(settings, 2)


# --- one dies ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_processes_killed_one_after_the_other_lose_nobody_and_double_nobody(
    migrated_url: str, tmp_path: Path
) -> None:
    with (
        receiver(tmp_path / "mails") as far_end,
        Press(
            tmp_path, far_end.port, url=migrated_url, worker__processes=2, sending__batch_size=50
        ) as press,
    ):
        press.people(PEOPLE)
        parent, ticking, other = start(press)
        ref = press.release()
        press.wait(lambda: far_end.count() > PEOPLE / 10)
        os.kill(ticking, signal.SIGKILL)
        press.wait(lambda: far_end.count() > PEOPLE / 2)
        assert other in children(parent.pid)
        os.kill(other, signal.SIGKILL)
        press.wait(lambda: press.is_finished(ref), within_s=40)
        counts = press.counts(ref)
        # Neither had more than its two connections to leave in doubt.
        assert counts.get("uncertain", 0) <= 4
        assert counts["accepted"] + counts.get("uncertain", 0) == PEOPLE
        assert_accounted_for(press, far_end, ref)
        died = [(record["number"], record["code"]) for record in records(parent, "worker_died")]
        assert died == [(1, -signal.SIGKILL), (2, -signal.SIGKILL)]
        assert parent.stop() == 0


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1], ids=["ticking", "other"])
def test_the_first_mail_is_on_time_though_a_process_dies_just_before(
    victim: int, tmp_path: Path
) -> None:
    with (
        receiver(tmp_path / "mails") as far_end,
        Press(tmp_path, far_end.port, worker__processes=2, worker__tick_s=1.0) as press,
    ):
        press.people(100)
        parent, *pids = start(press)
        ref = press.release(after_s=4)
        send_at = press.view(ref).wave.send_at
        press.wait(lambda: press.view(ref).wave.recipients is not None)
        time.sleep((send_at - datetime.now(UTC)).total_seconds() - 0.3)
        os.kill(pids[victim], signal.SIGKILL)
        press.wait(lambda: press.is_finished(ref))
        first_at = min(mail.at for mail in far_end.received())
        assert timedelta(0) <= first_at - send_at < timedelta(seconds=0.7)
        assert parent.stop() == 0


def test_a_release_for_now_goes_out_though_the_ticking_process_has_just_died(
    tmp_path: Path,
) -> None:
    with (
        Sink() as sink,
        Press(tmp_path, sink.port, worker__processes=2) as press,
    ):
        press.people(10)
        parent, ticking, _ = start(press)
        # Stopped, the parent starts nobody: what follows is the other child's work alone.
        os.kill(parent.pid, signal.SIGSTOP)
        os.kill(ticking, signal.SIGKILL)
        ref = press.release()
        press.wait(lambda: press.is_finished(ref), within_s=10)
        os.kill(parent.pid, signal.SIGCONT)
        assert parent.stop() == 0
        assert [record["child"] for record in records(parent, "baton_taken")][:2] == [1, 2]


def test_a_ticking_process_that_hangs_is_stood_in_for(tmp_path: Path) -> None:
    with Sink() as sink, Press(tmp_path, sink.port, worker__processes=2) as press:
        press.people(10)
        parent, ticking, _ = start(press)
        os.kill(ticking, signal.SIGSTOP)
        ref = press.release()
        press.wait(lambda: press.is_finished(ref), within_s=10)
        os.kill(ticking, signal.SIGCONT)
        assert parent.stop() == 0


# --- the parent ----------------------------------------------------------------------------------


def test_a_stop_lets_every_process_finish_and_a_second_changes_nothing(tmp_path: Path) -> None:
    with (
        receiver(tmp_path / "mails") as far_end,
        Press(tmp_path, far_end.port, worker__processes=2) as press,
    ):
        press.people(PEOPLE)
        parent, *pids = start(press)
        ref = press.release()
        press.wait(lambda: far_end.count() > 100)
        parent.popen.terminate()
        parent.popen.terminate()
        assert parent.stop() == 0
        assert all(has_gone(pid) for pid in pids)
        assert len(records(parent, "worker_stopped")) == 2
        assert set(press.counts(ref)) <= {"accepted", "queued"}
        assert press.counts(ref)["accepted"] == far_end.count()
        assert not list((tmp_path / "state" / "flight").iterdir())


def test_processes_whose_parent_was_killed_stop_by_themselves_and_cleanly(tmp_path: Path) -> None:
    with (
        receiver(tmp_path / "mails") as far_end,
        Press(tmp_path, far_end.port, worker__processes=2) as press,
    ):
        press.people(PEOPLE)
        parent, *pids = start(press)
        ref = press.release()
        press.wait(lambda: far_end.count() > 100)
        os.kill(parent.pid, signal.SIGKILL)
        parent.popen.wait()
        press.wait(lambda: all(has_gone(pid) for pid in pids), within_s=10)
        assert len(records(parent, "parent_gone")) == 2
        assert len(records(parent, "worker_stopped")) == 2
        assert press.counts(ref)["accepted"] == far_end.count()
        assert not list((tmp_path / "state" / "flight").iterdir())


def test_what_refuses_one_process_at_the_start_is_said_once_and_ends_all(tmp_path: Path) -> None:
    with Press(tmp_path, 2525, worker__processes=3) as press:
        (tmp_path / "state").write_text("in the way", encoding="utf-8")
        parent = press.worker("worker")
        assert parent.popen.wait(20) == 1
        assert parent.said().count("cannot be written") == 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--processes", "0"], 2, "greater than or equal to 1"),
        (["--processes", "65"], 2, "less than or equal to 64"),
        (["--processes", "two"], 2, "valid integer"),
        (["--share", "3", "2"], 2, "no number 3 of 2"),
    ],
)
def test_a_number_of_processes_that_cannot_be_is_a_matter_of_usage(
    words: list[str], code: int, said: str
) -> None:
    result = CliRunner().invoke(command_line, ["worker", *words])
    assert result.exit_code == code
    assert said in result.stderr


def test_more_processes_than_connections_are_refused_with_what_to_do(tmp_path: Path) -> None:
    with Press(tmp_path, 2525, worker__processes=5) as press:
        parent = press.worker("run")
        assert parent.popen.wait(20) == 1
        assert "5 worker processes cannot share 4 connections" in parent.said()
        assert "relay.connections" in parent.said()


# --- the clocks ----------------------------------------------------------------------------------


class World:
    """A wall clock that can be set, and a boot clock that cannot."""

    def __init__(self) -> None:
        self.boot_s = 1000.0
        self.off = timedelta(0)

    def wall(self) -> datetime:
        return datetime(2026, 12, 1, tzinfo=UTC) + timedelta(seconds=self.boot_s) + self.off

    def boot(self) -> float:
        return self.boot_s

    def app(self, app: App) -> App:
        return dataclasses.replace(app, clock=GuardedClock(wall=self.wall, boot=self.boot))


def test_a_jump_of_the_clock_that_all_see_is_one_row_of_the_audit(tmp_path: Path) -> None:
    with Press(tmp_path, 2525) as press:
        world = World()
        apps = [world.app(press.app) for _ in range(3)]
        processes = [Worker(app) for app in apps]
        world.off = timedelta(minutes=10)
        for _ in range(70):
            world.boot_s += 1.0
            for process in processes:
                process._ticks.schedule()
        assert all(app.clock.reading().agrees for app in apps)
        rows = [row for row in press.app.review.audit(None) if row.action == "clock set anew"]
        assert len(rows) == 1
        for process in processes:
            process._baton.drop()
            process._flight.discard()
