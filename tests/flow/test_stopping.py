"""Hold, cancel and SIGTERM: no MAIL starts later than a second after, and the numbers are exact."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from distributor.core.states import DeliveryState, WaveState
from distributor.mail.sink import Sink
from distributor.stages.dispatch import dispatch
from tests.flow.press import FULL, Press, receiver
from tests.mail.scripted import SILENCE, Scripted, Wait

if TYPE_CHECKING:
    from pathlib import Path

PEOPLE = 4000 if FULL else 900


@pytest.mark.slow
def test_a_hold_stops_within_a_second_and_resume_sends_the_rest(tmp_path: Path) -> None:
    with receiver(tmp_path / "mails") as far_end, Press(tmp_path, far_end.port) as press:
        ref = press.wave(PEOPLE)
        worker = press.worker("run")
        press.wait(lambda: far_end.count() > PEOPLE // 5)
        press.hold(ref)
        held_at = datetime.now(UTC)
        press.wait(lambda: not press.counts(ref).get("sending"))
        time.sleep(1.5)
        mails = far_end.received()
        last = max(mail.at for mail in mails)
        assert last <= held_at + timedelta(seconds=1)
        counts = press.counts(ref)
        assert counts == {"accepted": len(mails), "queued": PEOPLE - len(mails)}
        assert len(mails) < PEOPLE
        press.resume(ref)
        press.wait(lambda: press.is_finished(ref), within_s=60)
        assert press.counts(ref) == {"accepted": PEOPLE}
        assert set(far_end.times().values()) == {1}
        print(  # noqa: T201 - the figure
            f"held after {len(mails)} of {PEOPLE}; the last MAIL came "
            f"{(last - held_at).total_seconds() * 1000:.0f} ms after the hold"
        )
        assert worker.stop() == 0


@pytest.mark.slow
def test_a_cancel_reports_the_receivers_own_numbers(tmp_path: Path) -> None:
    with receiver(tmp_path / "mails") as far_end, Press(tmp_path, far_end.port) as press:
        ref = press.wave(PEOPLE)
        press.worker("run")
        press.wait(lambda: far_end.count() > PEOPLE // 5)
        press.cancel(ref)
        press.wait(lambda: press.view(ref).wave.state is WaveState.CANCELLED, within_s=5)
        counts = press.counts(ref)
        assert counts["accepted"] == far_end.count()
        assert counts["cancelled"] == PEOPLE - far_end.count()
        time.sleep(1.2)
        assert far_end.count() == counts["accepted"]


def test_sigterm_finishes_what_is_on_the_wire_and_gives_the_rest_back(tmp_path: Path) -> None:
    with receiver(tmp_path / "mails") as far_end, Press(tmp_path, far_end.port) as press:
        ref = press.wave(PEOPLE)
        worker = press.worker()
        press.wait(lambda: far_end.count() > PEOPLE // 10)
        assert worker.stop(within_s=10) == 0
        counts = press.counts(ref)
        assert counts == {"accepted": far_end.count(), "queued": PEOPLE - far_end.count()}
        assert not list((tmp_path / "state" / "flight").iterdir())
        assert press.app.review.workers_alive(press.now(), within_s=60) == 0
        assert '"settled": true' in worker.said()


def test_a_stop_waits_for_a_late_answer(tmp_path: Path) -> None:
    server = Scripted(dot=(Wait(2.0), b"250 2.0.0 at last\r\n"))

    async def story() -> None:
        async with server:
            with Press(tmp_path, server.port) as press:
                ref = press.wave(20)
                async with press.working() as worker:
                    await press.until(lambda: any(seen.bodies for seen in server.conversations))
                    worker._dispatch.stop()
                counts = press.counts(ref)
                assert counts == {"accepted": 4, "queued": 16}

    asyncio.run(story())


def test_a_stop_leaves_an_answer_that_does_not_come_to_the_flight_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "GRACE_S", 1.0)
    mute = Scripted(dot=SILENCE)

    async def story() -> None:
        with Press(tmp_path, 1) as press:
            async with mute:
                object.__setattr__(press.app.settings.relay, "port", mute.port)
                ref = press.wave(20)
                async with press.working() as worker:
                    await press.until(
                        lambda: sum(len(seen.bodies) for seen in mute.conversations) == 4
                    )
                    began = time.monotonic()
                    worker._dispatch.stop()
                assert time.monotonic() - began < 5
                assert len(list((tmp_path / "state" / "flight").iterdir())) == 1
                worker._flight.close()
            with Sink() as sink:
                object.__setattr__(press.app.settings.relay, "port", sink.port)
                async with press.working():
                    assert await press.done(ref) == {"accepted": 16, "uncertain": 4}
                assert len(press.log(ref, DeliveryState.UNCERTAIN)) == 4
                assert not list((tmp_path / "state" / "flight").iterdir())

    asyncio.run(story())


def test_a_cancel_is_complete_while_no_connection_stands(tmp_path: Path) -> None:
    """Two waves at a relay that is down; one is cancelled, the other waits on."""
    with Press(tmp_path, 1) as press:
        press.people(300)
        refs = [press.release() for _ in range(2)]

        async def story() -> None:
            async with press.working():
                claimed = [WaveState.SENDING] * 2
                await press.until(lambda: [press.view(ref).wave.state for ref in refs] == claimed)
                for ref, waits in ((refs[1], refs[0]), (refs[0], None)):
                    press.cancel(ref)
                    await press.until(
                        lambda ref=ref: press.view(ref).wave.state is WaveState.CANCELLED,
                        within_s=3,
                    )
                    if waits is not None:
                        assert press.view(waits).wave.state is WaveState.SENDING

        asyncio.run(story())
        assert press.counts(refs[0]) == press.counts(refs[1]) == {"cancelled": 300}
