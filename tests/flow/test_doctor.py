from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sqlite3
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest

from distributor import checks
from distributor.app import open_app, relays_of, signing_of
from distributor.clock import GuardedClock, Reading, boot_id, host_id
from distributor.config import load
from distributor.core.states import HoldReason, WaveState
from distributor.mail.relay import Probe, Relay
from distributor.store import relays, waves, workers
from distributor.store.database import open_database
from distributor.store.relays import Report
from distributor.store.waves import Order
from tests.builders import a_planned_wave, a_ready_wave, a_worker, moved
from tests.commandline import CommandLine
from tests.mail.scripted import OFFERS, SILENCE, Scripted, certificate

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from distributor.checks import Check
    from distributor.store.database import Database

CANARY: Final = "c4n4ry-Passw0rd"
FUTURE = datetime(2199, 1, 1, tzinfo=UTC)


@pytest.fixture
def engine_name() -> str:
    """The command line is the same on both engines; the desk's tests run on each."""
    return "sqlite"


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    database = open_database(migrated_url)
    yield database
    database.close()


@pytest.fixture
def desk(
    migrated_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> CommandLine:
    del migrated_url
    desk = CommandLine(tmp_path, capsys, monkeypatch)
    desk.configure()
    return desk


def examined(desk: CommandLine) -> dict[str, Check]:
    """Every check by its name."""
    settings = load(desk.folder / "config.toml")
    relays = relays_of(settings, key=bytes(32))
    found = asyncio.run(checks.examine(settings, relays, lambda: signing_of(settings)))
    return {check.name: check for check in found}


async def _asked(desk: CommandLine, server: Scripted, **changes: Any) -> Check:
    async with server:
        desk.configure(server.port, **{"relay__connect_timeout_s": 5.0, **changes})
        settings = load(desk.folder / "config.toml")
        every = relays_of(settings, key=bytes(32))
        found = await checks.examine(settings, every, lambda: signing_of(settings))
    return next(check for check in found if check.name == "mail server")


def test_a_desk_that_is_ready_ends_with_0(desk: CommandLine, database: Database) -> None:
    now = GuardedClock().now()
    database.write(lambda tx: a_worker(tx, seen_at=now)).result()
    with _server(Scripted()) as port:
        desk.configure(port)
        said = desk.says("doctor")
        answers = desk.answers("doctor")
    assert [line.split()[0] for line in said.splitlines() if not line.startswith(" ")] == (
        ["ok"] * 10
    )
    assert [check["name"] for check in answers] == [
        *("configuration", "mail builder", "database", "clock", "worker", "next release"),
        *("disk", "mail server", "return path", "signature"),
    ]
    assert set(answers[0]) == {"name", "verdict", "says", "remedy", "facts"}


@contextlib.contextmanager
def _server(server: Scripted) -> Generator[int]:
    """The far end in a thread of its own, for commands that run a loop themselves."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(5)
    try:
        yield server.port
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_an_error_ends_with_1_and_every_other_check_is_made_all_the_same(desk: CommandLine) -> None:
    desk.configure(sender__address="")
    done = desk.run("doctor")
    assert done.code == 1
    assert "sender.address is not set" in done.out
    assert "Set it under [sender]" in done.out
    assert "mail server" in done.out


def test_a_zone_that_no_release_can_use_is_found(desk: CommandLine) -> None:
    desk.configure(desk__zone="GMT")
    check = examined(desk)["configuration"]
    assert check.verdict == "error"
    assert "desk.zone" in check.says
    desk.file("story.txt", "A headline\n\nText.\n")
    assert "desk.zone" in desk.refuses("release", "read", "story.txt")


def test_a_missing_database_is_found(desk: CommandLine) -> None:
    (desk.folder / "distributor.db").unlink()
    check = examined(desk)["database"]
    assert (check.verdict, check.remedy) == ("error", "Create it: distributor init")


def test_a_database_of_a_newer_version_is_refused_by_every_command(desk: CommandLine) -> None:
    with contextlib.closing(sqlite3.connect(desk.folder / "distributor.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    assert "newer version" in examined(desk)["database"].says
    for words in (["release", "list"], ["log", "R-1"], ["init"], ["db", "upgrade"], ["run"]):
        done = desk.run(*words)
        assert done.code == 1, words
        assert "newer version" in done.err


def test_a_database_that_another_process_holds_does_not_stop_reading(
    desk: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk.configure(database__busy_timeout_s=0.2)
    desk.file("story.txt", "FOR IMMEDIATE RELEASE\n\nA headline\n\nThe text of it.\n\nENDS\n")
    with contextlib.closing(sqlite3.connect(desk.folder / "distributor.db")) as other:
        other.isolation_level = None
        other.execute("BEGIN IMMEDIATE")
        assert examined(desk)["database"].verdict == "ok"
        assert "held by another process" in desk.refuses("release", "import", "story.txt")
        other.execute("ROLLBACK")
    assert "R-1" in desk.says("release", "import", "story.txt")
    del monkeypatch


def test_i11_a_restored_copy_is_found(desk: CommandLine, tmp_path: Path) -> None:
    app = open_app(load(desk.folder / "config.toml"))
    assert app.installation.start(now=GuardedClock().now())
    app.close()
    assert examined(desk)["database"].verdict == "ok"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("config.toml", "distributor.db"):
        shutil.copy(desk.folder / name, elsewhere / name)
    check = examined(CommandLine(elsewhere, desk.capsys, desk.monkeypatch))["database"]
    assert check.verdict == "error"
    assert "restored or copied" in check.says
    assert "--waive restored" in (check.remedy or "")


def test_i2_clocks_that_stand_apart_are_found(
    desk: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = datetime(2026, 12, 1, tzinfo=UTC)
    apart = Reading(now=now, agrees=False, spread_s=90.0, sources=("wall", "anchor"))
    monkeypatch.setattr(GuardedClock, "reading", lambda _: apart)
    check = examined(desk)["clock"]
    assert check.verdict == "error"
    assert "90.0 s apart" in check.says


def test_one_machine_with_sqlite_is_told_that_it_has_no_second_clock(desk: CommandLine) -> None:
    check = examined(desk)["clock"]
    assert check.verdict == "ok"
    assert "no second clock" in check.says


@pytest.mark.parametrize(("scheduled", "verdict"), [(False, "ok"), (True, "error")])
def test_no_worker_is_an_error_once_a_release_is_scheduled(
    desk: CommandLine,
    database: Database,
    verdict: str,
    *,
    scheduled: bool,
) -> None:
    if scheduled:
        a_planned_wave(database, send_at=FUTURE)
    assert examined(desk)["worker"].verdict == verdict
    now = GuardedClock().now()
    worker = workers.Worker("w2", host_id(), boot_id(), 1, "/nowhere", now, now)
    database.write(lambda tx: workers.add(tx, worker)).result()
    assert examined(desk)["worker"].verdict == "ok"


def test_the_next_release_is_named_with_its_time(desk: CommandLine, database: Database) -> None:
    a_planned_wave(database, send_at=FUTURE)
    check = examined(desk)["next release"]
    assert check.verdict == "ok"
    assert "R-1 (planned) leaves at 00:00 on Tuesday 1 January 2199" in check.says


def test_a_release_that_should_have_left_is_an_error(desk: CommandLine, database: Database) -> None:
    a_planned_wave(database, send_at=GuardedClock().now() - timedelta(minutes=5))
    check = examined(desk)["next release"]
    assert check.verdict == "error"
    assert "has not left" in check.says


def test_a_held_release_is_named_with_its_reason(desk: CommandLine, database: Database) -> None:
    wave = a_planned_wave(database, send_at=FUTURE)
    order = Order("ann", GuardedClock().now())
    database.write(lambda tx: waves.hold(tx, wave, HoldReason.PERSON, order)).result()
    check = examined(desk)["next release"]
    assert check.verdict == "warning"
    assert (
        check.says
        == "R-1 is held (person: by a person, whom the audit names): nothing of it leaves"
    )
    assert check.remedy == "distributor release resume R-1"


@pytest.mark.parametrize("reason", [HoldReason.LATE, HoldReason.ZONE])
def test_a_hold_that_wants_a_waiver_says_so(
    desk: CommandLine,
    database: Database,
    reason: HoldReason,
) -> None:
    wave = moved(database, a_planned_wave(database, send_at=FUTURE), WaveState.PREPARING)
    order = Order("distributor", GuardedClock().now())
    database.write(lambda tx: waves.hold(tx, wave, reason, order)).result()
    check = examined(desk)["next release"]
    assert check.verdict == "error"
    assert check.remedy == f"distributor release resume R-1 --waive {reason}"


def test_little_disk_is_found(desk: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(desk.folder)._replace(free=10 * 1024 * 1024)
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda _: usage)
    check = examined(desk)["disk"]
    assert check.verdict == "error"
    assert "10 MB free" in check.says


# --- the mail server ------------------------------------------------------------------------------


def test_a_mail_server_that_is_down_is_found(desk: CommandLine) -> None:
    check = examined(desk)["mail server"]
    assert check.verdict == "error"
    assert "127.0.0.1:9" in check.says
    assert check.remedy


def test_row_31_a_wrong_password_is_found_and_never_shown(
    desk: CommandLine,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(CANARY + "\n", encoding="utf-8")
    secret.chmod(0o600)
    tls, pem = certificate(tmp_path)
    offers = (*OFFERS, "AUTH PLAIN LOGIN")
    server = Scripted(tls=tls, implicit_tls=True, offers=offers, auth=b"535 5.7.8 no, not that\r\n")
    with _server(server) as port:
        desk.configure(
            port,
            relay__security="tls",
            relay__ca_file=str(pem),
            relay__username="press",
            relay__password_file=str(secret),
        )
        outputs = [desk.run("doctor"), desk.run("doctor", "--json")]
    assert [done.code for done in outputs] == [1, 1]
    assert "535" in outputs[0].out
    said = "".join(done.out + done.err for done in outputs) + caplog.text
    assert CANARY not in said
    settings = load(desk.folder / "config.toml")
    assert settings.relay.password.get_secret_value() == CANARY
    assert CANARY not in repr(settings) + str(settings) + repr(relays_of(settings).first.policy)


@pytest.mark.parametrize("where", ["environment", "config", "bad config", "file others may read"])
def test_row_31_the_password_is_in_no_output_of_any_command(
    desk: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    where: str,
) -> None:
    if where == "environment":
        monkeypatch.setenv("DISTRIBUTOR_RELAY__PASSWORD", CANARY)
    elif where == "file others may read":
        path = desk.folder / "secret"
        path.write_text(CANARY, encoding="utf-8")
        path.chmod(0o644)
        desk.configure(relay__password_file=str(path))
    else:
        desk.configure(relay__password=CANARY)
    if where == "bad config":
        with (desk.folder / "config.toml").open("a", encoding="utf-8") as config:
            config.write("\n[relay]\nport = [\n")
    desk.file("story.txt", "FOR IMMEDIATE RELEASE\n\nA headline\n\nThe text of it.\n\nENDS\n")
    said = ""
    for words in (
        ["init"],
        ["doctor"],
        ["doctor", "--json"],
        ["release", "import", "story.txt"],
        ["release", "approve", "R-1"],
        ["release", "preview", "R-1"],
        ["release", "show", "R-1", "--json"],
        ["audit", "show", "--json"],
        ["db", "upgrade"],
    ):
        done = desk.run(*words)
        said += done.out + done.err
    written = b"".join(path.read_bytes() for path in desk.folder.glob("R-1.*"))
    written += (desk.folder / "distributor.db").read_bytes()
    assert CANARY not in said + caplog.text
    assert CANARY.encode() not in written


def test_row_25_a_mail_server_without_starttls_is_found(desk: CommandLine) -> None:
    check = asyncio.run(_asked(desk, Scripted(), relay__security="starttls"))
    assert check.verdict == "error"
    assert "STARTTLS" in check.says
    assert check.remedy


def test_row_4_a_mail_server_that_stays_silent_is_not_waited_for_long(
    desk: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checks, "_PATIENCE_S", 0.3)
    check = asyncio.run(_asked(desk, Scripted(banner=SILENCE)))
    assert check.verdict == "error"
    assert "did not answer within" in check.says


def test_a_certificate_that_ends_soon_is_a_warning(
    desk: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends = GuardedClock().now() + timedelta(days=3)

    async def probe(_: Relay, senders: object, *, recipient: str) -> Probe:
        del senders, recipient
        return Probe(("size",), "TLSv1.3", ends, True, 0.01, (None, None))  # noqa: FBT003

    monkeypatch.setattr(Relay, "probe", probe)
    check = examined(desk)["mail server"]
    assert check.verdict == "warning"
    assert f"certificate ends {ends:%Y-%m-%d}" in check.says


# Several mail servers, their limits and their return paths


def several(desk: CommandLine, *servers: tuple[str, int, str]) -> None:
    """Configure mail servers: name, port and further lines of each."""
    desk.configure()
    path = desk.folder / "config.toml"
    text = path.read_text(encoding="utf-8")
    head, _, tail = text.partition("[relay]")
    tables = "".join(
        f'[[relay]]\nname = "{name}"\nhost = "127.0.0.1"\nport = {port}\n'
        f'security = "none"\n{more}\n'
        for name, port, more in servers
    )
    path.write_text(f"{head}{tables}[sending]{tail.partition('[sending]')[2]}", encoding="utf-8")


def test_each_mail_server_is_shown_in_order_with_what_it_offers_and_what_is_left(
    desk: CommandLine, database: Database
) -> None:
    now = GuardedClock().now()
    database.write(
        lambda tx: relays.reserve(tx, "main", per_day=2000, wanted=1500, now=now)
    ).result()
    report = Report("main", "w", now, "resting", "421 4.3.2 busy")
    database.write(lambda tx: relays.report(tx, report)).result()
    with _server(Scripted(offers=("PIPELINING", "SIZE 1000", "DSN"))) as main:
        several(
            desk,
            ("main", main, "per_second = 5\nper_day = 2000"),
            ("backup", 9, 'verp = "fixed"'),
        )
        done = desk.run("doctor", "--json")
    found = {check["name"]: check for check in json.loads(done.out)}
    names = list(found)
    assert names[-4:-1] == ["mail server main", "return path main", "mail server backup"]
    says = found["mail server main"]["says"]
    assert "offers PIPELINING, SIZE, DSN; not 8BITMIME" in says
    assert "at most 5 a second, 2,000 a day (1,500 used, 500 left)" in says
    assert "a worker found it resting" in says
    assert "421 4.3.2 busy" in says
    facts = found["mail server main"]["facts"]
    assert (facts["used_today"], facts["left_today"], facts["last_seen"]) == (1500, 500, "resting")
    assert facts["offers"] == ["dsn", "pipelining", "size"]
    assert facts["return_path"] == "signed"
    assert found["mail server backup"]["facts"] == {"reachable": False}
    assert done.code == 1


def test_a_day_that_is_used_up_is_a_warning(desk: CommandLine, database: Database) -> None:
    now = GuardedClock().now()
    database.write(lambda tx: relays.reserve(tx, "relay", per_day=9, wanted=9, now=now)).result()
    with _server(Scripted()) as port:
        desk.configure(port, relay__per_day=9)
        check = examined(desk)["mail server"]
    assert check.verdict == "warning"
    assert "(9 used, 0 left)" in check.says
    assert "relay.per_day" in (check.remedy or "")


@pytest.mark.parametrize(
    ("changes", "mail", "verdict", "said", "hint"),
    [
        ({}, [b"250 ok\r\n"], "ok", "signed: press+", None),
        ({"relay__verp": "fixed"}, [b"250 ok\r\n"], "ok", "fixed: press@", None),
        (
            {"relay__return_path": "back@returns.example"},
            [b"250 ok\r\n"],
            "ok",
            "comes back to back@returns.example",
            None,
        ),
        ({}, [b"553 5.7.1 no\r\n", b"250 ok\r\n"], "error", "553 5.7.1 no", 'verp = "fixed"'),
        ({}, [b"553 5.7.1 no\r\n"], "error", "is refused", "sender.address"),
        ({"relay__verp": "fixed"}, [b"553 no\r\n"], "error", "fixed: press@", "sender.address"),
        ({}, [b"451 later\r\n"], "warning", "451 later", "try again"),
    ],
)
def test_the_return_path_is_tried_and_the_right_one_named(
    desk: CommandLine,
    changes: dict[str, Any],
    mail: list[Any],
    verdict: str,
    said: str,
    hint: str | None,
) -> None:
    server = Scripted(answers={"mail": mail})
    with _server(server) as port:
        desk.configure(port, **changes)
        check = examined(desk)["return path"]
    assert check.verdict == verdict
    assert said in check.says
    assert (check.remedy is None) if hint is None else (hint in (check.remedy or ""))
    assert "DATA" not in server.last.verbs
    assert server.last.verbs[-2:] == ["RSET", "QUIT"]


def test_a_schedule_that_cannot_be_finished_in_time_is_warned_of_and_shown(
    desk: CommandLine,
) -> None:
    desk.configure(relay__per_day=2)
    people = "".join(f"Reader {number},r{number}@paper.example\n" for number in range(5))
    desk.says("contacts", "import", desk.file("p.csv", f"name,email\n{people}"), "--list", "all")
    desk.file("story.txt", "FOR IMMEDIATE RELEASE\n\nA headline\n\nThe text of it.\n\nENDS\n")
    desk.says("release", "import", "story.txt")
    desk.says("release", "approve", "R-1")
    at = ("--at", "2199-01-01 06:00", "--zone", "UTC")
    done = desk.run("release", "schedule", "R-1", "--list", "all", *at)
    assert "2 a day: will not finish before 06:20 on Thursday 3 January 2199" in " ".join(
        done.err.split()
    )
    assert "deadline" in done.err
    desk.configure(relay__per_day=2, sending__deadline_s=300_000)
    desk.says("release", "unschedule", "R-1")
    said = desk.says("release", "schedule", "R-1", "--list", "all", *at)
    assert "2 a day: will not finish before 06:20" in " ".join(said.split())
    (wave,) = [
        wave
        for wave in desk.answers("release", "show", "R-1")["waves"]
        if wave["state"] == "planned"
    ]
    assert wave["forecast"] is None


def test_a_sealed_wave_is_shown_with_its_forecast(desk: CommandLine, database: Database) -> None:
    a_ready_wave(database, 30, send_at=FUTURE)
    desk.configure(relay__per_day=10)
    assert "10 a day: will not finish before 00:20" in " ".join(
        desk.says("release", "show", "R-1").split()
    )
    (wave,) = desk.answers("release", "show", "R-1")["waves"]
    assert wave["forecast"] == {"at": "2199-01-03T00:20:00+00:00", "because": "10 a day"}


def test_a_release_that_cannot_be_finished_in_time_is_said_so(
    desk: CommandLine, database: Database
) -> None:
    a_ready_wave(database, 30, send_at=FUTURE)
    desk.configure(relay__per_day=10)
    check = examined(desk)["next release"]
    assert check.verdict == "warning"
    assert "10 a day: will not finish before 00:20 on Thursday 3 January 2199" in check.says
    assert "expires" in (check.remedy or "")
    desk.configure(relay__per_day=10, sending__deadline_s=300_000)
    assert examined(desk)["next release"].verdict == "ok"


def test_what_doctor_says_is_the_same_to_scripts(desk: CommandLine) -> None:
    desk.configure(sender__address="")
    done = desk.run("doctor", "--json")
    assert done.code == 1
    assert json.loads(done.out)[0]["verdict"] == "error"
