from __future__ import annotations

from dataclasses import replace
from email import message_from_bytes, policy
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from distributor.core.letter import (
    TEMPLATE,
    Letter,
    content_of,
    domain_of,
    message_id,
    unsubscribe_uri,
)
from distributor.core.model import Embargo, Recipient, Sender
from distributor.errors import MessageError
from distributor.mail.compiling import compile_message
from tests.builders import DESK, MINUTE, NOON, a_draft, a_version

if TYPE_CHECKING:
    from datetime import datetime
    from email.message import EmailMessage

ANN = Recipient("ann@paper.example", "Ann Lee", "Ann", "The Paper")
BOB = Recipient("bob@radio.example", "Bob Ray", "Bob", "Radio Five")
REFERENCE = "00ff17"


@pytest.fixture(scope="module")
def letter() -> Letter:
    content = content_of(a_version(release_id=7, number=1))
    compiled = compile_message(content, kind=TEMPLATE, templates=Path("templates"))
    return Letter(compiled, DESK)


def copy(letter: Letter, recipient: Recipient = ANN, date: datetime = NOON) -> bytes:
    return letter.copy_for(recipient, reference=REFERENCE, date=date)


def read(data: bytes) -> EmailMessage:
    return message_from_bytes(data, policy=policy.default)


def test_i5_a_resend_is_identical(letter: Letter) -> None:
    assert copy(letter) == copy(letter)
    restored = replace(letter, compiled=type(letter.compiled).from_json(letter.compiled.to_json()))
    assert copy(restored) == copy(letter)


def test_i5_another_date_is_another_mail(letter: Letter) -> None:
    assert copy(letter, date=NOON + MINUTE) != copy(letter)


def test_i8_a_copy_names_its_own_recipient_and_nobody_else(letter: Letter) -> None:
    for mine, other in ((ANN, BOB), (BOB, ANN)):
        data = copy(letter, mine)
        mail = read(data)
        assert [address.addr_spec for address in mail["To"].addresses] == [mine.address]
        assert mail["Cc"] is None
        assert mail["Bcc"] is None
        for word in (other.address, other.name, other.outlet):
            assert word.encode() not in data


def test_i9_what_machines_read_says_nothing_of_the_release(letter: Letter) -> None:
    mail: Any = read(copy(letter))
    assert mail["Message-ID"] == f"<{REFERENCE}@desk.example>"
    assert mail["List-Id"] == "<releases.desk.example>"
    assert mail["List-Unsubscribe"] == "<mailto:press@desk.example?subject=unsubscribe%2000ff17>"
    assert parsedate_to_datetime(mail["Date"]) == NOON
    for name in ("Message-ID", "List-Id", "List-Unsubscribe"):
        assert "bridge" not in mail[name]


@pytest.mark.parametrize(
    "address",
    ["ann@paper.example\r\nBcc: eve@x.example", "ann@paper.example, eve@x.example", ""],
)
def test_a_copy_for_an_impossible_address_does_not_leave(letter: Letter, address: str) -> None:
    with pytest.raises(MessageError):
        copy(letter, ANN._replace(address=address))


def test_the_content_keeps_embargo_and_zone_of_its_version() -> None:
    content = content_of(a_version())
    assert (content.embargo_at, content.zone) == (NOON, "Europe/London")
    assert content.unsubscribe == DESK.address
    free = content_of(a_version(draft=a_draft(embargo=Embargo())))
    assert (free.embargo_at, free.zone) == (None, None)
    replying = Sender("Desk", "press@desk.example", reply_to="ann@desk.example")
    assert content_of(a_version(sender=replying)).unsubscribe == "ann@desk.example"


def test_machine_words_of_a_delivery() -> None:
    assert message_id("ab", "desk.example") == "<ab@desk.example>"
    assert domain_of('"odd@local"@desk.example') == "desk.example"
    replying = replace(DESK, reply_to="d&sk@desk.example")
    assert unsubscribe_uri(replying, "ab") == "mailto:d%26sk@desk.example?subject=unsubscribe%20ab"


def test_a_copy_that_follows_earlier_mails_names_them_and_is_checked_for_it(
    letter: Letter,
) -> None:
    data = letter.copy_for(
        Recipient("ann@herald.example"),
        reference=REFERENCE,
        date=NOON,
        thread="<one@desk.example> <two@desk.example>",
    )
    mail = message_from_bytes(data, policy=policy.default)
    assert mail["In-Reply-To"] == "<two@desk.example>"
    assert mail["References"].split() == ["<one@desk.example>", "<two@desk.example>"]


@pytest.mark.parametrize(
    "thread",
    ["", "one@desk.example", "<one@desk.example>\r\nBcc: x@y.example", "<a@b.example>  <c@d.e>"],
)
def test_an_earlier_message_id_that_is_none_does_not_leave(letter: Letter, thread: str) -> None:
    with pytest.raises(MessageError, match="earlier Message-ID"):
        letter.copy_for(
            Recipient("ann@herald.example"), reference=REFERENCE, date=NOON, thread=thread
        )
