"""The wire alone, over a transport that takes what it is told to take."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from distributor.core.final import FinalBytes
from distributor.core.outcome import Phase
from distributor.mail.transaction import Capabilities, Envelope, Session, Timeouts
from distributor.mail.wire import Wire

GROUP = b"250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go ahead\r\n"
BODY = FinalBytes(b"Subject: x\r\n\r\nhello\r\n")
QUICK = Timeouts(command_s=1, data_s=1, block_s=0.05, after_dot_s=0.05)


class Stuck(asyncio.Transport):
    """Answers a group of commands; the kernel takes all but the last ``kept`` bytes of a body."""

    def __init__(self, kept: int) -> None:
        super().__init__()
        self.kept = kept
        self.waiting = 0
        self.aborted = False
        self.wire: Any = None

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.wire = protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is limited here."""

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True

    def write(self, data: Any) -> None:
        if b"\r\n.\r\n" in bytes(data):
            self.waiting = self.kept
        else:
            asyncio.get_running_loop().call_soon(self.wire.data_received, GROUP)


class Unlogged:
    """A flight log that keeps nothing."""

    def started(self, *_: object, **__: object) -> None: ...

    def dotted(self, *_: object, **__: object) -> None: ...

    def answered(self, *_: object, **__: object) -> None: ...

    def flush(self) -> None: ...


@pytest.mark.parametrize(
    ("kept", "rides", "phase", "dotted"),
    [
        (1, False, Phase.BODY, False),  # the dot's own line end is still here
        (0, False, Phase.DOT, True),
        (10, True, Phase.DOT, True),  # what is still here is of the mail behind alone
        (100_000, True, Phase.BODY, False),
    ],
)
def test_a_dot_that_never_left_this_process_is_not_called_sent(
    *, kept: int, rides: bool, phase: Phase, dotted: bool
) -> None:
    first = Envelope("desk@press.example", "ann@daily.example", BODY, delivery=1)
    second = Envelope("desk@press.example", "bob@daily.example", BODY, delivery=2)

    async def story() -> None:
        transport = Stuck(kept)
        wire = Wire(transport)
        session = Session(wire, capabilities=Capabilities({"pipelining": ""}), timeouts=QUICK)
        facts = await session.send(
            first,
            gate=lambda: None,
            flight=Unlogged(),
            behind=lambda: (second, lambda: None) if rides else None,
        )
        assert (facts.phase, facts.dotted, facts.cut) == (phase, dotted, True)
        assert transport.aborted

    asyncio.run(story())


def test_a_wait_that_is_woken_as_its_timer_goes_off_still_ends() -> None:
    async def story() -> None:
        wire = Wire(Stuck(0))
        waiting = asyncio.create_task(wire.reply(0.05))
        await asyncio.sleep(0)
        # Woken for nothing, and the timer finds the wait already woken.
        wire._wake()
        wire._look_late()
        assert await asyncio.wait_for(waiting, 1) is None

    asyncio.run(story())


def test_one_timer_serves_a_longer_wait_and_then_a_shorter_one() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        wire = Wire(Stuck(0))
        for seconds in (0.05, 0.15, 0.05):
            began = loop.time()
            assert await wire.reply(seconds) is None
            assert seconds <= loop.time() - began + 0.01
            assert loop.time() - began < seconds + 1

    asyncio.run(story())
