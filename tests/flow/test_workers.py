"""Several workers and several schedulers on one database: every address once (I4)."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from distributor.core.policy import SendingPolicy
from distributor.mail.sink import Sink
from distributor.stages import scheduling
from distributor.store.database import open_database
from tests.flow.press import FULL, Press, children, outside, receiver

if TYPE_CHECKING:
    from pathlib import Path

PEOPLE = 4000 if FULL else 500


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2])
def test_two_workers_on_one_database_send_to_every_address_once(
    workers: int, migrated_url: str, tmp_path: Path
) -> None:
    # The wave lasts two seconds: long enough for the second worker to see what the first began.
    changes = {"sending__batch_size": 50, "relay__per_second": PEOPLE // 2}
    with (
        receiver(tmp_path / "mails") as far_end,
        Press(tmp_path, far_end.port, url=migrated_url, **changes) as press,
    ):
        press.people(PEOPLE)
        running = [press.worker() for _ in range(workers)]
        press.wait(lambda: all("worker_started" in worker.said() for worker in running))
        ref = press.release(after_s=4)
        press.wait(lambda: press.is_finished(ref), within_s=90)
        assert press.counts(ref) == {"accepted": PEOPLE}
        addressed = Counter(mail.rcpt_tos[0] for mail in far_end.received())
        assert len(addressed) == PEOPLE
        assert set(addressed.values()) == {1}
        embargo_at = press.view(ref).wave.embargo_at
        assert embargo_at is not None
        assert min(mail.at for mail in far_end.received()) >= embargo_at
        assert [worker.stop() for worker in running] == [0] * workers
        for worker in running:
            assert '"action": "batch_claimed"' in worker.said()
            assert "never retrieved" not in worker.said()
            assert "Warning" not in worker.said()


def test_two_schedulers_begin_a_wave_once(migrated_url: str, tmp_path: Path) -> None:
    with Press(tmp_path, 2525, url=migrated_url) as press:
        press.people(5)
        refs = [press.release() for _ in range(5)]
        others = [open_database(migrated_url) for _ in range(2)]
        ready = threading.Barrier(len(others))
        now = press.now()

        def tick(number: int) -> None:
            ready.wait()
            scheduling.tick(others[number], SendingPolicy(), now=now, clock_agrees=True)

        threads = [threading.Thread(target=tick, args=(at,)) for at in range(len(others))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for database in others:
            database.close()
        for ref in refs:
            begun = [row for row in press.app.review.audit(ref) if row.action == "preparing"]
            assert len(begun) == 1


def test_a_log_that_cannot_be_written_stops_no_mail(tmp_path: Path) -> None:
    with Sink() as sink, Press(tmp_path, sink.port) as press:
        ref = press.wave(50)
        with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
            worker = subprocess.Popen(
                [sys.executable, "-m", "distributor", "--config", str(press.config), "worker"],
                stderr=full,
                env=outside(),
            )
        try:
            press.wait(lambda: press.is_finished(ref))
        finally:
            worker.terminate()
            worker.wait(10)
        assert press.counts(ref) == {"accepted": 50}
        assert not list((tmp_path / "state" / "flight").iterdir())


def test_ticks_go_on_when_the_wall_clock_is_set_back(tmp_path: Path) -> None:
    with Sink() as sink, Press(tmp_path, sink.port) as press:

        async def story() -> None:
            async with press.working() as worker:
                await asyncio.sleep(0.5)
                hour = timedelta(hours=1)
                for job in worker._scheduler.get_jobs():
                    # What a step back of an hour looks like to the ticker.
                    job.modify(next_run_time=datetime.now(UTC) + hour)
                ref = await asyncio.to_thread(press.wave, 10)
                assert await press.done(ref, within_s=10) == {"accepted": 10}

        asyncio.run(story())


def test_an_idle_worker_keeps_an_eye_on_the_databases_clock(
    migrated_url: str, tmp_path: Path
) -> None:
    with Press(tmp_path, 1, url=migrated_url) as press:

        async def story() -> None:
            async with press.working():
                await asyncio.sleep(1)

        asyncio.run(story())
        asked = "database" in press.app.clock.reading().sources
        assert asked is (press.app.database.dialect == "postgresql")


def test_a_stop_while_the_parent_waits_to_start_again_ends_it_at_once(tmp_path: Path) -> None:
    with Sink() as sink, Press(tmp_path, sink.port) as press:
        parent = press.worker("run")
        for _ in range(3):
            press.wait(lambda: bool(children(parent.pid)))
            for child in children(parent.pid):
                os.kill(child, signal.SIGKILL)
            press.wait(lambda: not children(parent.pid))
        began = time.monotonic()
        assert parent.stop() == 0
        assert time.monotonic() - began < 2


def test_a_worker_refused_after_it_once_stood_is_started_again(tmp_path: Path) -> None:
    """A state folder that vanishes under a running desk may come back; the desk must too."""
    with Sink() as sink, Press(tmp_path, sink.port) as press:
        parent = press.worker("run")
        press.wait(lambda: "worker_started" in parent.said())
        shutil.move(tmp_path / "state", tmp_path / "away")
        (tmp_path / "state").write_text("in the way", encoding="utf-8")
        (child,) = children(parent.pid)
        os.kill(child, signal.SIGKILL)
        press.wait(lambda: parent.said().count("worker_died") >= 2)
        (tmp_path / "state").unlink()
        shutil.move(tmp_path / "away", tmp_path / "state")
        ref = press.wave(20)
        press.wait(lambda: press.is_finished(ref), within_s=20)
        assert parent.stop() == 0
