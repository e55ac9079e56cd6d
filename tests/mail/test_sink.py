"""The sink, spoken to by the standard library and by our own session."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import smtplib
import socket
import subprocess
import sys
import time
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from distributor.core.model import Outcome
from distributor.core.outcome import judge
from distributor.mail.relay import Relay, RelayPolicy
from distributor.mail.sink import RECORD, Sink, main, read_record
from distributor.mail.transaction import Envelope

ROOT = Path(__file__).parents[2]
MAIL = b"Message-ID: <1@x.example>\r\nSubject: hi\r\n\r\n.dot\r\n.\r\nlast\r\n"


class Unlogged:
    """A flight log that keeps nothing."""

    def started(self, delivery: int | str, *, token: Any = None, **_: object) -> None: ...

    def dotted(self, delivery: int | str, *, token: Any = None, **_: object) -> None: ...

    def answered(
        self,
        delivery: int | str,
        code: int | None,
        reply: str,
        *,
        token: Any = None,
        **_: object,
    ) -> None: ...

    def flush(self) -> None: ...


def send(port: int, data: bytes = MAIL, to: str = "ann@daily.example") -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=5) as client:
        client.sendmail("desk@press.example", [to], data)


async def flood(port: int, count: int, connections: int) -> list[Outcome]:
    """Send ``count`` mails through our own sessions."""
    relay = Relay(RelayPolicy("sink", "127.0.0.1", port, security="none", hello_name="desk"))
    numbers = iter(range(count))
    outcomes: list[Outcome] = []

    async def one_connection() -> None:
        session = await relay.connect()
        for number in numbers:
            data = MAIL + b"%d\r\n" % number
            envelope = Envelope("d@press.example", f"a{number}@daily.example", data, number)
            facts = await session.send(envelope, gate=lambda: None, flight=Unlogged())
            outcomes.append(judge(facts).outcome)
        await session.quit()

    await asyncio.gather(*(one_connection() for _ in range(connections)))
    return outcomes


def test_a_mail_is_kept_with_its_envelope_and_the_instant_of_mail_from() -> None:
    before = datetime.now(UTC)
    with Sink() as sink:
        with closing(socket.create_connection(("127.0.0.1", sink.port), 5)) as line:
            talk = line.makefile("rwb", buffering=0)
            for command in (b"", b"EHLO x\r\n", b"MAIL FROM:<a@x.example>\r\n"):
                talk.write(command)
                while talk.readline()[3:4] == b"-":
                    pass
            after = datetime.now(UTC)
            time.sleep(0.2)
            talk.write(b"RCPT TO:<b@x.example>\r\n")
            talk.readline()
            talk.write(b"DATA\r\n")
            talk.readline()
            talk.write(b"Message-Id:\r\n <7@x.example>\r\n\r\n..a\r\n.\r\n")
            reply = talk.readline()
        (mail,) = sink.received
    assert before - timedelta(seconds=0.001) <= mail.at <= after
    assert mail.at.tzinfo is UTC
    assert (mail.mail_from, mail.rcpt_tos) == ("a@x.example", ("b@x.example",))
    assert (mail.message_id, mail.data) == (
        "<7@x.example>",
        b"Message-Id:\r\n <7@x.example>\r\n\r\n.a\r\n",
    )
    assert mail.replied.encode() + b"\r\n" == reply


def test_with_a_directory_every_mail_is_a_file_and_a_line(tmp_path: Path) -> None:
    with Sink(directory=tmp_path) as sink:
        send(sink.port)
        send(sink.port, MAIL.replace(b"<1@", b"<2@"), to="bo@x.example")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "000001.eml",
        "000002.eml",
        RECORD,
    ]
    assert (tmp_path / "000001.eml").read_bytes() == MAIL
    lines = [json.loads(line) for line in (tmp_path / RECORD).read_text().splitlines()]
    assert [line["message_id"] for line in lines] == ["<1@x.example>", "<2@x.example>"]
    assert lines[0]["sha256"] == hashlib.sha256(MAIL).hexdigest()
    assert lines[1]["rcpt_tos"] == ["bo@x.example"]
    assert read_record(tmp_path) == sink.received
    assert sink.received[0].data == MAIL


def test_a_directory_is_continued_not_overwritten(tmp_path: Path) -> None:
    for _ in range(2):
        with Sink(directory=tmp_path, durable=True) as sink:
            send(sink.port)
    assert [mail.path for mail in read_record(tmp_path)] == [
        tmp_path / "000001.eml",
        tmp_path / "000002.eml",
    ]


def test_what_cannot_be_kept_is_not_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Sink(directory=tmp_path) as sink:

        def full(*_: object) -> int:
            raise OSError(28, os.strerror(28))

        with monkeypatch.context() as disk:
            disk.setattr("distributor.mail.sink.os.write", full)
            with pytest.raises(smtplib.SMTPDataError) as refused:
                send(sink.port)
        assert refused.value.smtp_code == 452
        assert sink.received == []
        assert [path.name for path in tmp_path.iterdir()] == [RECORD]
        send(sink.port)
    assert len(read_record(tmp_path)) == 1


def test_a_taken_port_is_said_to_the_caller() -> None:
    with Sink() as first, pytest.raises(OSError, match="address"):
        Sink(port=first.port).start()


def test_stopping_closes_connections_that_are_still_open() -> None:
    sink = Sink().start()
    with closing(socket.create_connection(("127.0.0.1", sink.port), 5)) as line:
        assert line.recv(100).startswith(b"220")
        sink.stop()
        line.settimeout(5)
        with suppress(ConnectionResetError):
            assert line.recv(100) == b""
    sink.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", sink.port), 1)


def test_our_own_sessions_deliver_a_thousand_to_it() -> None:
    with Sink() as sink:
        outcomes = asyncio.run(flood(sink.port, 1000, 8))
    assert outcomes == [Outcome.ACCEPTED] * 1000
    assert {mail.rcpt_tos for mail in sink.received} == {
        (f"a{number}@daily.example",) for number in range(1000)
    }


def test_it_runs_as_a_process_of_its_own_and_ends_on_sigterm(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "distributor.mail.sink",
            "--port",
            "0",
            "--directory",
            str(tmp_path),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    said = process.stdout.readline()
    assert said.startswith("ready on 127.0.0.1:")
    send(int(said.rpartition(":")[2]))
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=10)
    assert (process.returncode, rest) == (0, "")
    assert [mail.data for mail in read_record(tmp_path)] == [MAIL]


def test_a_process_that_cannot_listen_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Sink() as first:
        assert main(["--port", str(first.port), "--directory", str(tmp_path)]) == 1
    assert "address" in capsys.readouterr().err


def test_i9_no_word_of_a_mail_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with Sink() as sink:
        send(sink.port, MAIL + b"canary-4711\r\n")
    assert "canary-4711" not in caplog.text
    assert "ann@daily.example" not in caplog.text
