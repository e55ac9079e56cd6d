"""Several workers and several schedulers on one database: every address once (I4)."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from distributor.core.policy import SendingPolicy
from distributor.stages import scheduling
from distributor.store.database import open_database
from tests.flow.press import FULL, Press, receiver

if TYPE_CHECKING:
    from pathlib import Path

PEOPLE = 4000 if FULL else 1000


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2])
def test_two_workers_on_one_database_send_to_every_address_once(
    workers: int, migrated_url: str, tmp_path: Path
) -> None:
    with (
        receiver(tmp_path / "mails") as far_end,
        Press(tmp_path, far_end.port, url=migrated_url, sending__batch_size=50) as press,
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
