"""What others do to us: sending pauses and goes on by itself, nobody is lost, doubled or charged.

The judge is the receiver's own record: every address, and how often its mail was taken there.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from sqlalchemy import event
from structlog.testing import capture_logs

from distributor.core.states import DeliveryState
from distributor.stages import reconciling
from distributor.stages.dispatch import couriers
from distributor.stages.dispatch.recording import UNSAVED_LIMIT
from distributor.store.database import upgrade
from tests import postgresql
from tests.commandline import CommandLine
from tests.flow.press import FULL, Press, children
from tests.mail.scripted import CUT, PIPELINING, Scripted, Wait

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from tests.mail.scripted import Step

PEOPLE = 400
KEPT = b"250 2.0.0 kept\r\n"
#: A server that needs its time, so that an outage finds a wave in the middle.
STEADY: Step = (Wait(0.004), KEPT)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A setback is waited out in a twentieth of its second."""
    monkeypatch.setattr(couriers, "_FIRST_PAUSE_S", 0.05)


def taken(server: Scripted) -> Counter[bytes]:
    """How often each address's mail was taken, by the receiver's own record."""
    return Counter(
        rcpt
        for conversation in server.conversations
        for rcpt, said in conversation.taken
        if said.startswith(b"250")
    )


def assert_everybody_once(server: Scripted, people: int) -> None:
    times = taken(server)
    assert len(times) == people, "lost"
    assert set(times.values()) == {1}, "doubled"


async def assert_paused(server: Scripted, *, within_s: float, for_s: float = 1.0) -> None:
    """Before long nothing more is taken, and no more than may be unrecorded had been."""
    loop = asyncio.get_running_loop()
    until = loop.time() + within_s
    came = -1
    while came != taken(server).total():
        assert loop.time() < until, "it goes on sending"
        came = taken(server).total()
        await asyncio.sleep(for_s)
    assert came < min(PEOPLE, UNSAVED_LIMIT)


def through(
    folder: Path,
    outage: Callable[[Press, Scripted], Awaitable[None]],
    *,
    url: str | None = None,
    **changes: Any,
) -> list[dict[str, Any]]:
    """Let an outage come in the middle of a wave that then ends by itself; gives the log."""
    server = Scripted(offers=PIPELINING, dot=STEADY)

    async def tell() -> None:
        async with server:
            with Press(folder, server.port, url=url, **changes) as press:
                ref = press.wave(PEOPLE)
                async with press.working():
                    await press.until(lambda: press.counts(ref).get("accepted", 0) > 40)
                    await outage(press, server)
                    assert await press.done(ref) == {"accepted": PEOPLE}
                    assert {line.attempts for line in press.log(ref)} == {1}

    with capture_logs() as said:
        asyncio.run(tell())
    assert_everybody_once(server, PEOPLE)
    return [dict(entry) for entry in said]


def warnings(said: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [entry for entry in said if entry["log_level"] in {"warning", "error"}]


# --- the database -------------------------------------------------------------------------------


async def full_disk(press: Press, server: Scripted) -> None:
    """SQLite is told that its file may not grow: as root and in CI alike."""
    pages = {"limit": 1}  # which it takes for "no more than you have"

    @event.listens_for(press.app.database._engine, "checkout")
    def _limit(connection: Any, _record: object, _proxy: object) -> None:
        connection.execute(f"PRAGMA max_page_count={pages['limit']}")

    try:
        await assert_paused(server, within_s=5)
    finally:
        pages["limit"] = 1_000_000


def test_a_full_disk_under_the_database_pauses_the_sending(tmp_path: Path) -> None:
    said = through(tmp_path, full_disk)
    assert any("disk is full" in entry.get("reason", "") for entry in warnings(said))


def test_an_outage_of_the_database_is_told_once_and_so_is_its_end(tmp_path: Path) -> None:
    said = through(tmp_path, full_disk)
    assert [entry["action"] for entry in warnings(said)] == ["database_away", "database_back"]


async def moved_away(press: Press, server: Scripted) -> None:
    database = press.folder / "distributor.db"
    away = database.with_name("away.db")
    database.rename(away)
    try:
        await assert_paused(server, within_s=1.5, for_s=0.5)
        assert not database.exists(), "an empty one was made in its place"
    finally:
        away.rename(database)


def test_a_database_file_that_is_moved_away_shuts_the_gate(tmp_path: Path) -> None:
    through(tmp_path, moved_away)


async def read_only_folder(press: Press, _: Scripted) -> None:
    press.folder.chmod(0o500)
    await asyncio.sleep(0.5)
    press.folder.chmod(0o700)


def test_a_folder_made_read_only_under_an_open_database_harms_nobody(tmp_path: Path) -> None:
    (tmp_path / "desk").mkdir()
    through(tmp_path / "desk", read_only_folder)


@pytest.fixture(scope="module")
def cluster() -> Iterator[postgresql.Restartable]:
    try:
        with postgresql.restartable() as mine:
            yield mine
    except postgresql.Absent as reason:
        absent = f"PostgreSQL: {reason}"
        in_ci = os.environ.get("CI", "").lower() == "true"
        (pytest.fail if in_ci else pytest.skip)(absent)


@pytest.fixture
def cluster_url(cluster: postgresql.Restartable) -> str:
    url = cluster.server.url(cluster.server.create())
    upgrade(url)
    return url


@pytest.mark.postgresql
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["restart", "crash"])
def test_a_database_server_that_is_restarted_pauses_the_sending(
    how: signal.Signals, cluster: postgresql.Restartable, cluster_url: str, tmp_path: Path
) -> None:
    async def restarted(_: Press, server: Scripted) -> None:
        await asyncio.to_thread(cluster.stop, how)
        try:
            await assert_paused(server, within_s=5)
        finally:
            await asyncio.to_thread(cluster.start)

    through(tmp_path, restarted, url=cluster_url)


@pytest.mark.postgresql
def test_connections_the_database_ends_are_opened_again(
    cluster: postgresql.Restartable, cluster_url: str, tmp_path: Path
) -> None:
    async def ended(*_: object) -> None:
        for _again in range(5):
            with psycopg.connect(
                host=str(cluster.folder), user="postgres", dbname="postgres", autocommit=True
            ) as admin:
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
                )
            await asyncio.sleep(0.15)

    through(tmp_path, ended, url=cluster_url)


# --- the mail server ----------------------------------------------------------------------------


def test_a_server_that_closes_for_a_while_is_waited_for(tmp_path: Path) -> None:
    async def closed(_: Press, server: Scripted) -> None:
        usual = server.answers["banner"], server.answers["mail"]
        closing: Step = (b"421 4.3.2 closing\r\n", CUT)
        server.answers["banner"] = server.answers["mail"] = [closing]
        await assert_paused(server, within_s=5)
        server.answers["banner"], server.answers["mail"] = usual

    through(tmp_path, closed)


def test_a_name_that_is_not_found_for_a_while_is_looked_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = socket.getaddrinfo
    away = {"is": True}

    def fails(*args: Any, **named: Any) -> Any:
        if away["is"]:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return look_up(*args, **named)

    server = Scripted(offers=PIPELINING, dot=KEPT)

    async def tell() -> None:
        async with server:
            with Press(tmp_path, server.port, relay__host="localhost") as press:
                ref = press.wave(20)
                monkeypatch.setattr(socket, "getaddrinfo", fails)
                async with press.working():
                    await asyncio.sleep(1.5)
                    assert {line.attempts for line in press.log(ref)} == {0}
                    away["is"] = False
                    assert await press.done(ref) == {"accepted": 20}

    with capture_logs() as said:
        asyncio.run(tell())
    assert_everybody_once(server, 20)
    told = [entry["event"] for entry in said if entry.get("action", "").startswith("relay_")]
    assert told == ["Relay not reached", "Relay reached again"]


@pytest.mark.timeout(180)
def test_a_server_that_answers_very_late_doubles_nobody(tmp_path: Path) -> None:
    """Every other timeout is shorter than its answer: they do not matter after the dot."""
    late_s = 65 if FULL else 3
    server = Scripted(offers=PIPELINING, answers={"dot": [(Wait(late_s), KEPT), KEPT]})
    limits = ("connect", "command", "data", "block")
    changes: dict[str, Any] = {f"relay__{name}_timeout_s": 0.8 for name in limits}

    async def tell() -> None:
        async with server:
            with Press(tmp_path, server.port, **changes) as press:
                ref = press.wave(20)
                async with press.working():
                    assert await press.done(ref, within_s=late_s + 20) == {"accepted": 20}

    asyncio.run(tell())
    assert_everybody_once(server, 20)


# --- what nobody knows --------------------------------------------------------------------------


def cut_after_the_dot() -> Scripted:
    """A server that takes every mail, and loses the line after the third and the seventh."""
    lost: Step = CUT
    return Scripted(answers={"dot": [KEPT, KEPT, lost, KEPT, KEPT, KEPT, lost, KEPT]})


def test_a_cut_after_the_dot_is_shown_by_name_and_settled_by_one_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = cut_after_the_dot()
    typed = CommandLine(tmp_path, capsys, monkeypatch)

    async def tell() -> tuple[str, list[str]]:
        async with server:
            with Press(tmp_path, server.port) as press:
                ref = press.wave(20)
                async with press.working():
                    assert await press.done(ref) == {"accepted": 18, "uncertain": 2}
                return ref, [line.address for line in press.log(ref, DeliveryState.UNCERTAIN)]

    ref, doubtful = asyncio.run(tell())
    missed = typed.says("log", ref, "--missed")
    assert all(address in missed for address in doubtful)
    assert "2 unsettled" in typed.says("release", "show", ref)
    assert "2 settled" in typed.says("settle", ref, "--all", "sent")
    assert "unsettled" not in typed.says("release", "show", ref)


#: What a desk with its own mail server would write: it looks into that server's log.
RECORD = """\
import pathlib, sys
log = pathlib.Path(sys.argv[1]).read_text()
for line in sys.stdin:
    name = line.strip()
    print(name, "accepted in the log" if name in log else "absent")
"""


def settings_to_ask(folder: Path) -> dict[str, Any]:
    script = folder / "ask.py"
    script.write_text(RECORD, encoding="utf-8")
    command = [sys.executable, "-I", str(script), str(folder / "mail.log")]
    return {"relay__reconcile": command, "sending__uncertain_resend_after_s": 0.1}


def message_ids(server: Scripted) -> list[str]:
    bodies = [bytes(body) for seen in server.conversations for body in seen.bodies]
    found = [re.search(rb"(?im)^message-id: (\S+)", body) for body in bodies]
    return [match[1].decode() for match in found if match]


def test_the_servers_own_record_settles_doubts_by_itself_and_a_resend_is_the_same_mail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciling, "_FIRST", reconciling._LOOK * 0)
    monkeypatch.setattr(reconciling, "_LOOK", reconciling._LOOK / 50)
    monkeypatch.setattr(reconciling, "_SOONEST", reconciling._LOOK)
    server = cut_after_the_dot()

    def failures() -> int:
        return sum(entry.get("action") == "record_failed" for entry in said)

    async def tell() -> None:
        async with server:
            with Press(tmp_path, server.port, **settings_to_ask(tmp_path)) as press:
                ref = press.wave(20)
                async with press.working():
                    await press.until(lambda: press.counts(ref).get("uncertain", 0) == 2)
                    await press.until(lambda: failures() > 0)
                    first = press.log(ref, DeliveryState.UNCERTAIN)[0].message_id
                    (tmp_path / "mail.log").write_text(first, encoding="utf-8")
                    await press.until(lambda: press.counts(ref) == {"accepted": 20})
                    replies = {line.message_id: line.reply for line in press.log(ref)}
                    assert replies[first] == "reconcile relay: accepted in the log"

    with capture_logs() as said:
        asyncio.run(tell())
    # The record was missing at first: that was said once, and changed nothing.
    assert failures() == 1
    times = Counter(message_ids(server))
    assert Counter(times.values()) == {1: 19, 2: 1}
    [again] = [name for name, number in times.items() if number == 2]
    bodies = [
        bytes(body)
        for seen in server.conversations
        for body in seen.bodies
        if again.encode() in bytes(body)
    ]
    assert bodies[0] == bodies[1]


def test_a_person_has_the_record_asked_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = cut_after_the_dot()
    typed = CommandLine(tmp_path, capsys, monkeypatch)

    async def tell() -> str:
        async with server:
            with Press(tmp_path, server.port, **settings_to_ask(tmp_path)) as press:
                ref = press.wave(20)
                async with press.working():
                    await press.done(ref)
                return ref

    ref = asyncio.run(tell())
    failed = typed.run("settle", ref, "--ask")
    assert failed.code == 1
    assert "ended with code 1" in failed.err
    (tmp_path / "mail.log").write_text(" ".join(message_ids(server)), encoding="utf-8")
    assert "2 asked: 2 accepted." in typed.says("settle", ref, "--ask")
    assert "reconcile relay" in typed.says("audit", "show", ref)
    assert typed.run("settle", ref, "--ask").code == 1
    assert typed.run("settle", ref, "--ask", "--all", "sent").code == 2


# --- poison -------------------------------------------------------------------------------------


class Deadly(Scripted):
    """Kills whoever names one address, twice: a mail that takes the worker down with it."""

    def __init__(self, victim: bytes, **said: Any) -> None:
        super().__init__(**said)
        self.victim = victim
        self.whom: Callable[[], list[int]] = list
        self.kills = 0

    async def _do(self, writer: asyncio.StreamWriter, step: Step) -> None:
        said = self.last.commands[-1:]
        if said and said[0].startswith(b"RCPT") and self.victim in said[0]:
            self.kills += 1
            for pid in self.whom():
                os.kill(pid, signal.SIGKILL)
        await super()._do(writer, step)


@pytest.mark.slow
def test_a_mail_that_kills_the_worker_twice_is_set_aside_and_the_others_go(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Deadly(b"<reader7@paper7.example>", dot=KEPT)
    typed = CommandLine(tmp_path, capsys, monkeypatch)

    async def tell() -> str:
        async with server:
            with Press(tmp_path, server.port, relay__connections=1) as press:
                ref = press.wave(20)
                process = press.worker("run")
                server.whom = lambda: children(process.pid)
                aside = {"accepted": 19, "quarantined": 1}
                await press.until(lambda: press.counts(ref) == aside, within_s=40)
                await press.until(lambda: press.is_finished(ref))
                return ref

    ref = asyncio.run(tell())
    assert server.kills == 2
    assert_everybody_once(server, 19)
    missed = typed.says("log", ref, "--missed")
    assert "reader7@paper7.example" in missed
    assert "quarantined: a worker died twice while sending it" in missed
