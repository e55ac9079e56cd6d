"""What goes wrong while sending: relays, disks, databases. Nobody is lost, doubled or charged."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import subprocess
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from distributor.core.states import DeliveryState, HoldReason, WaveState
from distributor.desk.suppressions import SuppressionOrder
from distributor.mail.relay import Health
from distributor.mail.sink import Sink
from distributor.stages.dispatch import couriers
from tests.flow.press import Press, Process
from tests.mail.scripted import CUT, Cut, Scripted, Wait

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterator
    from pathlib import Path

RESET = Cut(reset=True)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A setback is waited out in a twentieth of its second."""
    monkeypatch.setattr(couriers, "_FIRST_PAUSE_S", 0.05)


def dotted(server: Scripted) -> int:
    """How many whole mails came, dot and all."""
    return sum(
        body.endswith(b"\r\n.\r\n")
        for conversation in server.conversations
        for body in conversation.bodies
    )


def send(
    folder: Path,
    server: Scripted,
    story: Callable[[Press, str], Awaitable[None]],
    *,
    people: int = 30,
    **changes: Any,
) -> None:
    """Let a wave of ``people`` go to ``server`` while ``story`` is told."""

    async def tell() -> None:
        async with server:
            with Press(folder, server.port, **changes) as press:
                ref = press.wave(people)
                async with press.working():
                    await story(press, ref)

    asyncio.run(tell())


def test_a_connection_cut_after_the_dot_leaves_the_mail_uncertain_by_name(tmp_path: Path) -> None:
    server = Scripted(answers={"dot": [*[b"250 2.0.0 kept\r\n"] * 9, CUT, b"250 2.0.0 kept\r\n"]})

    async def story(press: Press, ref: str) -> None:
        assert await press.done(ref) == {"accepted": 29, "uncertain": 1}
        doubtful = press.log(ref, DeliveryState.UNCERTAIN)
        assert len(doubtful) == 1
        assert doubtful[0].address.endswith(".example")
        assert press.view(ref).unsettled == 1

    send(tmp_path, server, story)
    assert dotted(server) == 30


def test_421_in_the_middle_charges_nobody_and_another_connection_goes_on(tmp_path: Path) -> None:
    closing = (b"421 4.3.2 closing\r\n", CUT)
    server = Scripted(
        answers={"mail": [*[b"250 2.1.0 ok\r\n"] * 12, closing, b"250 2.1.0 ok\r\n"]},
    )

    async def story(press: Press, ref: str) -> None:
        assert await press.done(ref) == {"accepted": 30}
        assert {line.attempts for line in press.log(ref)} == {1}

    send(tmp_path, server, story)
    assert dotted(server) == 30


def test_4xx_at_rcpt_is_deferred_and_tried_again_in_a_new_batch(tmp_path: Path) -> None:
    server = Scripted(
        answers={"rcpt": [*[b"450 4.2.0 greylisted\r\n"] * 4, b"250 2.1.5 ok\r\n"]},
    )

    async def story(press: Press, ref: str) -> None:
        assert await press.done(ref) == {"accepted": 30}
        assert Counter(line.attempts for line in press.log(ref)) == {1: 26, 2: 4}

    send(tmp_path, server, story, sending__retry_after_s=[0.5])
    assert dotted(server) == 30


def test_5xx_at_mail_holds_the_wave_and_charges_nobody(tmp_path: Path) -> None:
    server = Scripted(mail=b"553 5.7.1 sender not yours\r\n")

    async def story(press: Press, ref: str) -> None:
        await press.until(lambda: press.view(ref).wave.state is WaveState.HELD)
        assert press.view(ref).wave.reason is HoldReason.REFUSED
        await press.until(lambda: press.counts(ref) == {"queued": 30})
        assert {line.attempts for line in press.log(ref)} == {0}

    send(tmp_path, server, story)
    assert dotted(server) == 0


def test_one_5xx_for_everybody_holds_the_wave_after_ten(tmp_path: Path) -> None:
    server = Scripted(dot=b"554 5.7.1 content refused\r\n")

    async def story(press: Press, ref: str) -> None:
        await press.until(lambda: press.view(ref).wave.state is WaveState.HELD)
        assert press.view(ref).wave.reason is HoldReason.REFUSED
        await press.until(lambda: not press.counts(ref).get("sending"))
        counts = press.counts(ref)
        assert 10 <= counts["refused"] < 400
        assert counts["refused"] + counts["queued"] == 600

    send(tmp_path, server, story, people=600)


def test_a_server_that_resets_at_every_data_ends_in_a_deferral_not_in_a_loop(
    tmp_path: Path,
) -> None:
    server = Scripted(data=RESET)

    async def story(press: Press, ref: str) -> None:
        await press.until(lambda: press.counts(ref) == {"deferred": 3}, within_s=20)

    send(tmp_path, server, story, people=3)
    assert dotted(server) == 0
    assert len(server.conversations) < 40


def test_a_server_that_lets_in_and_out_again_is_not_asked_in_a_tight_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(couriers, "_FIRST_PAUSE_S", 0.5)
    server = Scripted(answers={"ehlo": (b"250 scripted\r\n", Wait(0.01), CUT)})

    async def story(press: Press, ref: str) -> None:
        await asyncio.sleep(3)
        assert press.counts(ref).get("sending", 0) + press.counts(ref).get("queued", 0) == 30

    send(tmp_path, server, story)
    assert 4 <= len(server.conversations) < 40


def test_escape_codes_and_megabytes_from_a_relay_are_harmless(tmp_path: Path) -> None:
    loud = b"250 2.0.0 \x1b[2J\x1b]0;owned\x07 kept\r\n"
    endless = b"".join(b"250-" + b"x" * 990 + b"\r\n" for _ in range(3000))
    server = Scripted(answers={"dot": [loud, loud, endless, loud]})

    async def story(press: Press, ref: str) -> None:
        assert await press.done(ref) == {"accepted": 29, "uncertain": 1}
        assert not any("\x1b" in (line.reply or "") for line in press.log(ref))
        assert all(len(line.reply or "") <= 2048 for line in press.log(ref))

    send(tmp_path, server, story)


def test_a_late_250_still_counts(tmp_path: Path) -> None:
    server = Scripted(answers={"dot": [(Wait(1.5), b"250 2.0.0 at last\r\n"), b"250 2.0.0 ok\r\n"]})

    async def story(press: Press, ref: str) -> None:
        assert await press.done(ref) == {"accepted": 30}

    send(tmp_path, server, story)
    assert dotted(server) == 30


def test_a_wrong_password_is_tried_once_raises_an_alarm_and_charges_nobody(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server = Scripted(offers=("AUTH PLAIN",), auth=b"535 5.7.8 no\r\n")

    async def story(press: Press, ref: str) -> None:
        await asyncio.sleep(3)
        assert {line.attempts for line in press.log(ref)} == {0}
        assert set(press.counts(ref)) <= {"queued", "sending"}
        press.cancel(ref)
        await press.until(lambda: press.view(ref).wave.state is WaveState.CANCELLED, within_s=5)
        assert press.counts(ref) == {"cancelled": 30}

    send(tmp_path, server, story, relay__username="desk", relay__password="wrong-horse")
    logins = sum(seen.verbs.count("AUTH") for seen in server.conversations)
    assert logins <= 2
    assert not any("MAIL" in seen.verbs for seen in server.conversations)
    said = "".join(capfd.readouterr())
    assert "wrong-horse" not in said
    assert said.count("Relay stopped") == logins


def test_a_stripped_starttls_sends_nothing(tmp_path: Path) -> None:
    server = Scripted(offers=("SIZE 1000",))

    async def story(press: Press, ref: str) -> None:
        await asyncio.sleep(2)
        assert set(press.counts(ref)) <= {"queued", "sending"}

    send(tmp_path, server, story, relay__security="starttls")
    assert not any("MAIL" in seen.verbs for seen in server.conversations)
    assert len(server.conversations) <= 2


def test_a_suppression_made_while_sending_is_honoured(tmp_path: Path) -> None:
    slow = (Wait(0.05), b"250 2.0.0 kept\r\n")
    server = Scripted(dot=slow)
    last = "reader39@paper39.example"

    async def story(press: Press, ref: str) -> None:
        await press.until(lambda: press.counts(ref).get("sending", 0) > 0)
        press.app.suppressions.add(
            SuppressionOrder(last, evidence="rang us"), by="tester", now=press.now()
        )
        assert await press.done(ref) == {"accepted": 39, "suppressed": 1}

    send(tmp_path, server, story, people=40, relay__connections=1)
    said = [command for seen in server.conversations for command in seen.commands]
    assert not any(last.encode() in command for command in said)


def test_a_wave_found_too_late_is_held_and_goes_once_that_is_waived(tmp_path: Path) -> None:
    with Sink() as sink, Press(tmp_path, sink.port, sending__lateness_limit_s=1) as press:
        ref = press.wave(10)
        time.sleep(1.5)

        async def story() -> None:
            async with press.working():
                await press.until(lambda: press.view(ref).wave.reason is HoldReason.LATE)
                await asyncio.sleep(0.5)
                assert not sink.received
                press.resume(ref, waive="late")
                assert await press.done(ref) == {"accepted": 10}

        asyncio.run(story())
        assert len(sink.received) == 10


def test_a_relay_that_is_down_at_the_lift_makes_the_wave_late_not_short(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with Press(tmp_path, port) as press:
        ref = press.wave(50)

        async def story() -> None:
            async with press.working():
                await asyncio.sleep(2.5)
                assert {line.attempts for line in press.log(ref)} == {0}
                with Sink(port=port) as sink:
                    assert await press.done(ref, within_s=20) == {"accepted": 50}
                    assert len(sink.received) == 50

        asyncio.run(story())


def test_a_wave_finds_a_relay_that_rested_since_the_last_one_at_once(tmp_path: Path) -> None:
    """The relay failed until its rests were a minute long; the next wave does not wait for it."""
    with Sink() as sink, Press(tmp_path, sink.port) as press:
        ref = press.wave(20)

        async def story() -> None:
            async with press.working() as worker:
                relay = worker._dispatch._fleet.relays.first
                now = asyncio.get_running_loop().time()
                relay.health = Health(failures=9, retry_at=now + 60, trial_until=now + 60)
                assert relay.rest_s > 30
                assert await press.done(ref, within_s=8) == {"accepted": 20}

        asyncio.run(story())


# --- the database and the disk ------------------------------------------------------------------


@contextmanager
def locked(database: Path) -> Generator[None]:
    """Another process writes and does not let go."""
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def test_a_locked_database_delays_and_neither_loses_nor_doubles(tmp_path: Path) -> None:
    seconds = 15 if os.environ.get("FULL_SIZE") == "1" else 3
    with Sink() as sink, Press(tmp_path, sink.port, database__busy_timeout_s=1) as press:
        ref = press.wave(800)

        async def story() -> None:
            async with press.working():
                await press.until(lambda: len(sink.received) > 50)
                with locked(tmp_path / "distributor.db"):
                    await asyncio.sleep(seconds)
                assert await press.done(ref) == {"accepted": 800}

        asyncio.run(story())
        times = Counter(mail.message_id for mail in sink.received)
        assert len(times) == 800
        assert set(times.values()) == {1}


@dataclass
class Tmpfs:
    """A disk so small that it is full when a test says so."""

    folder: Path

    def fill(self) -> None:
        with (self.folder / "ballast").open("ab", buffering=0) as ballast:
            block = b"x" * 4096
            while block:
                try:
                    ballast.write(block)
                except OSError:
                    block = block[: len(block) // 2]

    def free(self) -> None:
        (self.folder / "ballast").unlink()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Tmpfs]:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small disk of its own can be mounted by root only")
    try:
        yield Tmpfs(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S607 - where it stands differs


@pytest.mark.parametrize("full", ["state", "database"])
def test_a_full_disk_stops_the_sending_and_freeing_it_lets_it_go_on(
    full: str, tmp_path: Path, small_disk: Tmpfs
) -> None:
    state = small_disk.folder if full == "state" else tmp_path / "state"
    database = small_disk.folder if full == "database" else tmp_path
    slow = Scripted(dot=(Wait(0.01), b"250 2.0.0 kept\r\n"))

    async def story(press: Press, ref: str) -> None:
        await press.until(lambda: press.counts(ref).get("accepted", 0) > 50)
        small_disk.fill()
        await asyncio.sleep(1.5)
        came = dotted(slow)
        await asyncio.sleep(1)
        assert dotted(slow) == came < 500
        small_disk.free()
        assert await press.done(ref, within_s=60) == {"accepted": 500}

    send(
        tmp_path,
        slow,
        story,
        people=500,
        worker__state_dir=str(state),
        database__url=f"sqlite:///{database / 'distributor.db'}",
    )
    assert dotted(slow) == 500


def test_a_state_folder_that_cannot_be_written_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("not a folder", encoding="utf-8")
    with Sink() as sink, Press(tmp_path, sink.port) as press:
        process: Process = press.worker("run")
        assert process.popen.wait(20) == 1
        assert "state" in process.said()
        assert "Traceback" not in process.said()
