"""The whole job: a release out of a text, 2,000 people, an embargo, and the log in the morning."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from distributor.mail.sink import Sink
from distributor.stages.dispatch import couriers
from tests.flow.press import FULL, Press, receiver
from tests.mail.scripted import Scripted

if TYPE_CHECKING:
    from pathlib import Path

PEOPLE, AHEAD_S = (2000, 20) if FULL else (400, 5)


@pytest.mark.slow
def test_everybody_gets_one_mail_and_nobody_before_the_embargo(tmp_path: Path) -> None:
    with receiver(tmp_path / "mails") as far_end, Press(tmp_path, far_end.port) as press:
        press.people(PEOPLE)
        ref = press.release(after_s=AHEAD_S)
        parent = press.worker("run")
        press.wait(lambda: press.is_finished(ref), within_s=AHEAD_S + 60)
        wave = press.view(ref).wave
        mails = far_end.received()
        embargo_at = wave.embargo_at
        assert embargo_at is not None
        assert wave.send_at == embargo_at
        assert min(mail.at for mail in mails) >= embargo_at
        assert min(mail.at for mail in mails) <= embargo_at + timedelta(seconds=1)
        assert wave.recipients == PEOPLE
        assert press.counts(ref) == {"accepted": PEOPLE}
        replies = {mail.message_id: mail.replied for mail in mails}
        lines = press.log(ref)
        assert len(lines) == len(replies) == len(mails) == PEOPLE
        for line in lines:
            assert replies[line.message_id] == f"{line.code} {line.reply}"
        assert {len(mail.rcpt_tos) for mail in mails} == {1}
        assert Counter(mail.rcpt_tos[0] for mail in mails).most_common(1)[0][1] == 1
        assert parent.stop() == 0
        said = parent.said()
        assert "Traceback" not in said
        assert "Warning" not in said
        assert "@paper" not in said
        assert "Mordale" not in said


def test_connections_stand_before_the_lift_and_are_shown_to_be_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(couriers, "NOOP_S", 1.0)
    server = Scripted()

    async def story() -> None:
        async with server:
            with Press(tmp_path, server.port) as press:
                press.people(40)
                ref = press.release(after_s=5)
                async with press.working():
                    await press.until(lambda: len(server.conversations) == 4, within_s=3)
                    await press.until(
                        lambda: all("NOOP" in seen.verbs for seen in server.conversations),
                        within_s=5,
                    )
                    assert not any("MAIL" in seen.verbs for seen in server.conversations)
                    assert await press.done(ref) == {"accepted": 40}
        assert len(server.conversations) == 4

    asyncio.run(story())


def test_an_idle_connection_that_the_server_closed_costs_nobody_anything(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The relay restarts while all connections idle, a moment before the lift."""
    with Sink() as first:
        port = first.port
        with Press(tmp_path, port) as press:
            press.people(40)
            ref = press.release(after_s=4)
            send_at = press.view(ref).wave.send_at

            async def story() -> None:
                async with press.working() as worker:
                    await press.until(
                        lambda: worker._dispatch._fleet.crews[0].alive == 4, within_s=4
                    )
                    await asyncio.sleep((send_at - press.now()).total_seconds() - 0.4)
                    await asyncio.to_thread(first.stop)
                    with Sink(port=port) as second:
                        assert await press.done(ref) == {"accepted": 40}
                        late = min(mail.at for mail in second.received) - send_at
                        assert timedelta(0) <= late < timedelta(seconds=2)
                assert {line.attempts for line in press.log(ref)} == {1}

            asyncio.run(story())
    assert "Relay failed" not in "".join(capfd.readouterr())
