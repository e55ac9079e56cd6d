"""A large attachment to many: every octet to every address, from one buffer of the worker's.

``FULL_SIZE=1 pytest tests/flow/test_attachments.py -s`` sends 10 MB to 5,000 recipients and prints
what the worker's memory came to.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
import subprocess
import sys
import time
from base64 import encodebytes
from contextlib import contextmanager
from email import message_from_bytes, policy
from typing import TYPE_CHECKING

import pytest

from distributor.core.enclosures import Enclosures
from distributor.core.states import DeliveryState, WaveState
from distributor.desk.releases import Changes, read_text
from distributor.desk.waves import Target
from distributor.intake.attachment import Words, bring
from distributor.mail.sink import Sink
from tests.flow.press import FULL, STATEMENT, Press, outside, receiver
from tests.pictures import PDF, jpeg

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from sqlalchemy import Connection

    from distributor.core.enclosures import OctetsOf
    from distributor.core.tail import Tail
    from distributor.intake.attachment import Brought

#: Recipients, and the octets of the attachment.
PEOPLE, OCTETS = (5_000, 10_000_000) if FULL else (100, 3_000_000)
#: What a worker may take at its peak, in MB, whatever it sends.
MEMORY_MB = 150


def a_file(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def a_large_pdf() -> bytes:
    return PDF + random.Random(7).randbytes(OCTETS - len(PDF))  # noqa: S311 - only to be incompressible


def statement(press: Press, *files: Brought) -> str:
    """The statement with these files, approved and scheduled at once; gives its reference."""
    path = a_file(press.folder, "statement.txt", STATEMENT.encode())
    reading = read_text(path, received=press.now().date(), zone="Europe/London", language="en")
    ref = press.app.releases.bring_in(
        reading,
        sender=press.app.sender(),
        embargo="immediate",
        language=None,
        by="tester",
        now=press.now(),
    ).ref
    changes = Changes(attach=files)
    press.app.releases.edit(ref, changes, by="tester", now=press.now())
    press.app.releases.approve(ref, by="tester", now=press.now())
    press.app.waves.schedule(ref, Target(["press"]), by="tester", now=press.now())
    return ref


@contextmanager
def counting(said: Path) -> Generator[int]:
    """Run the counting server until left; gives its port. What it says is written to ``said``."""
    with said.open("w", encoding="ascii") as out:
        popen = subprocess.Popen(
            [sys.executable, "-m", "tests.flow.counting"], stdout=out, env=outside()
        )
    try:
        until = time.monotonic() + 20
        while not said.read_text(encoding="ascii").endswith("\n"):
            assert time.monotonic() < until
            time.sleep(0.02)
        yield int(said.read_text(encoding="ascii"))
    finally:
        popen.kill()
        popen.wait()


def peak_mb(pid: int) -> float:
    with open(f"/proc/{pid}/status", encoding="ascii") as lines:  # noqa: PTH123 - no file of ours
        (line,) = [line for line in lines if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


@pytest.mark.slow
@pytest.mark.timeout(1800 if FULL else 120)
def test_a_large_attachment_reaches_everybody_whole_from_little_memory(tmp_path: Path) -> None:
    data = a_large_pdf()
    said = tmp_path / "said.txt"
    with counting(said) as port, Press(tmp_path, port) as press:
        press.people(PEOPLE)
        ref = statement(press, bring(a_file(tmp_path, "large.pdf", data)))
        began = time.monotonic()
        worker = press.worker()
        press.wait(lambda: press.is_finished(ref), within_s=1700 if FULL else 90)
        took_s, memory_mb = time.monotonic() - began, peak_mb(worker.pid)
        assert press.counts(ref) == {"accepted": PEOPLE}
        assert worker.stop() == 0
        with press.app.database.read() as tx:
            whole = tx.exec_driver_sql("SELECT content FROM compiled_messages").scalar_one()
        closing = re.search(r'"closing":"([^"]+)"', whole)
    assert closing is not None
    encoded = encodebytes(data).replace(b"\n", b"\r\n")
    end = encoded + closing[1].replace("\\r\\n", "\r\n").encode()
    lines = [line.split() for line in said.read_text(encoding="ascii").splitlines()[1:]]
    assert len({to for to, _, _ in lines}) == len(lines) == PEOPLE
    assert {digest for _, _, digest in lines} == {hashlib.sha256(end).hexdigest()}
    assert min(int(size) for _, size, _ in lines) > len(encoded)
    sys.stdout.write(
        f"\n{PEOPLE} mails of {len(encoded) / 1e6:.1f} MB in {took_s:.1f} s; "
        f"the worker's peak memory: {memory_mb:.0f} MB\n"
    )
    assert memory_mb < MEMORY_MB


@pytest.mark.slow
def test_everybody_gets_the_same_files_in_a_mail_of_their_own(
    migrated_url: str, tmp_path: Path
) -> None:
    plan, pier = PDF * 2_000, jpeg(width=600, height=400)
    with (
        receiver(tmp_path / "mails") as far_end,
        Press(tmp_path, far_end.port, url=migrated_url) as press,
    ):
        press.people(8)
        ref = statement(
            press,
            bring(a_file(tmp_path, "pier.jpg", pier), Words("The pier", "In May.", "Zoë Öz")),
            bring(a_file(tmp_path, "Fahrplan für alle.pdf", plan)),
        )
        worker = press.worker()
        press.wait(lambda: press.is_finished(ref))
        assert worker.stop() == 0
        mails = [
            message_from_bytes(mail.data, policy=policy.default) for mail in far_end.received()
        ]
    assert len({str(mail["To"]) for mail in mails}) == 8
    for mail in mails:
        assert not any(part.defects for part in mail.walk())
        found = {part.get_filename(): part.get_payload(decode=True) for part in mail.walk()}
        assert (found["pier.jpg"], found["Fahrplan für alle.pdf"]) == (pier, plan)
        text = mail.get_body(("plain",))
        assert text is not None
        assert f"Sent to {mail['To'].addresses[0].addr_spec} (Reader" in text.get_content()


@pytest.mark.slow
def test_i6_an_attachment_changed_behind_our_back_leaves_nothing_and_says_why(
    tmp_path: Path,
) -> None:
    with receiver(tmp_path / "mails") as far_end, Press(tmp_path, far_end.port) as press:
        press.people(30)
        ref = statement(press, bring(a_file(tmp_path, "plan.pdf", PDF * 100)))

        def spoil(tx: Connection) -> None:
            tx.exec_driver_sql("DROP TRIGGER attachment_pieces_stay")
            tx.exec_driver_sql("UPDATE attachment_pieces SET octets = x'25504446'")

        press.app.database.write(spoil).result()
        worker = press.worker()
        press.wait(lambda: press.view(ref).wave.state is WaveState.HELD)
        assert worker.stop() == 0
        assert far_end.count() == 0
        refused = press.log(ref, DeliveryState.REFUSED)
        assert refused
        assert {
            "not what it was when it was attached" in (line.reply or "") for line in refused
        } == {True}


def test_claims_that_begin_together_put_the_attachments_together_once_and_let_go_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    plain = Enclosures.tail

    def slowly(self: Enclosures, octets_of: OctetsOf) -> Tail:
        made.append(self.size)
        time.sleep(0.2)
        return plain(self, octets_of)

    with Sink() as sink, Press(tmp_path, sink.port, sending__batch_size=10) as press:
        press.people(60)
        ref = statement(press, bring(a_file(tmp_path, "plan.pdf", PDF)))
        monkeypatch.setattr(Enclosures, "tail", slowly)

        async def story() -> None:
            async with press.working() as worker:
                assert await press.done(ref) == {"accepted": 60}
                # Large as they may be, they are let go once nothing is left to send.
                await press.until(lambda: not worker._dispatch._letters, within_s=5)

        asyncio.run(story())
    assert len(made) == 1
