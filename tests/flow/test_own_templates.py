"""Templates of the desk's own, from the folder to the mailbox, and hostile ones beside them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, cast

import pytest

from distributor.core.states import DeliveryState, VersionState
from distributor.errors import MessageError, TemplateError
from distributor.mail.sink import Sink
from distributor.stages.dispatch.dispatch import _make
from tests.flow.press import Press
from tests.stages.test_dispatch_couriers import a_holding, a_parcel

if TYPE_CHECKING:
    from pathlib import Path

    from distributor.core.model import Recipient

FRAME = "{% extends '_base/body.txt.j2' %}{% block content %}\n"
ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
HOSTILE = {
    "an endless loop": ENDLESS,
    "a giant": "{{ 'a' * 10**9 }}",
    "a way out": "{{ cycler.__init__.__globals__.os.environ }}",
    "a script": "{{ headline.__class__ }}",
}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    (folder / "release").mkdir(parents=True)
    return folder / "release" / "body.txt.j2"


@pytest.mark.parametrize("case", HOSTILE)
def test_row_13_a_hostile_template_stops_its_approval_and_no_other(
    case: str, own: Path, tmp_path: Path
) -> None:
    with Press(tmp_path, 9, templates__folder="own") as press:
        press.people(2)
        own.write_text(f"{FRAME}{HOSTILE[case]}{{% endblock %}}")
        with pytest.raises(TemplateError, match=r"^release/body\.txt\.j2, line 2: ") as refused:
            press.release()
        assert refused.value.remedy
        [before] = press.app.review.releases()
        assert before.version.state is VersionState.DRAFT
        own.unlink()
        assert press.release() == "R-2"


def test_row_13_a_template_greedy_for_one_recipient_is_refused_to_that_one_alone(
    own: Path, tmp_path: Path
) -> None:
    own.write_text(
        FRAME + "{% if recipient.name == 'Reader 3' %}" + ENDLESS + "{% endif %}\n"
        "{% if recipient.name %}Dear {{ recipient.name | upper }}{% endif %}{% endblock %}"
    )
    late = 0.0

    async def watch() -> None:
        """How long the loop that talks to the mail server stood still."""
        nonlocal late
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.02)
            late = max(late, time.monotonic() - before)

    async def story(press: Press, first: str, second: str) -> None:
        watching = asyncio.create_task(watch())
        async with press.working():
            assert await press.done(first, within_s=40) == {"accepted": 11, "refused": 1}
            assert await press.done(second, within_s=40) == {"accepted": 12}
        watching.cancel()

    with Sink() as sink, Press(tmp_path, sink.port, templates__folder="own") as press:
        press.people(12)
        first = press.release()
        own.unlink()
        asyncio.run(story(press, first, press.release()))
        [line] = press.log(first, DeliveryState.REFUSED)
        assert line.address.startswith("reader3@")
        assert "release/body.txt.j2" in str(line.reply)
    assert late < 1.0, "the gate is asked four times a second"
    dear = [mail for mail in sink.received if b"Dear READER" in mail.data]
    assert len(dear) == 11
    assert all(
        f"READER {mail.rcpt_tos[0][6:].partition('@')[0]}".encode() in mail.data for mail in dear
    )


def test_a_copy_that_cannot_be_made_is_tried_once() -> None:
    class Letter:
        asked = 0

        def copy_for(self, recipient: Recipient, **_: Any) -> bytes:
            self.asked += 1
            if recipient.address.startswith("reader1"):
                raise MessageError("not for this one")
            return b"copy"

    letter = Letter()
    parcels = [a_parcel(a_holding(1), number) for number in (1, 2)]
    for parcel in parcels:
        parcel.letter = cast("Any", letter)
    _make(parcels)
    with pytest.raises(MessageError, match="not for this one"):
        parcels[0].made()
    assert parcels[1].made() == b"copy"
    assert letter.asked == 2
