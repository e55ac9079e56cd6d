"""The last look at a mail: a merge that goes wrong anywhere does not get past it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from distributor.core import letter as letters
from distributor.core.final import check_final, frame_of
from distributor.core.header import constant_headers
from distributor.core.letter import Letter
from distributor.core.message import (
    CompiledMessage,
    Personal,
    Slot,
    header_names,
    merge,
    personal_names,
)
from distributor.core.model import Recipient, Sender
from distributor.errors import MessageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from distributor.core.final import Frame

AT = datetime(2026, 12, 1, 0, 1, tzinfo=UTC)
SENDER = Sender("Press office", "press@press.example", "officer@press.example")
ANN = Recipient("ann@paper.example", "Ann Lee", "Ann", "The Paper")
LONG_NAMED = ANN._replace(name="Maximiliana " * 9 + "Lee", outlet="Die Straßenzeitung " * 9)

shown = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")) | st.sampled_from("=.<b>Fr om"),
    max_size=120,
)


def a_message(
    *middle: bytes, headers: tuple[tuple[str, str], ...] | None = None
) -> CompiledMessage:
    """Name, outlet and address between the segments; ``middle`` are the two between the three."""
    return CompiledMessage(
        kind="plain",
        language="en",
        headers=headers
        or constant_headers(
            SENDER, subject="Headline", language="en", content_type="text/plain; charset=utf-8"
        ),
        segments=(b"Dear =\r\n", *(middle or (b"<b>=\r\n", b"\r\n=\r\n")), b".\r\nBye\r\n"[1:]),
        slots=(Slot("name", "text"), Slot("outlet", "html"), Slot("address", "text")),
    )


def a_letter(message: CompiledMessage | None = None) -> Letter:
    return Letter(message or a_message(), SENDER)


def copied(letter: Letter, recipient: Recipient = ANN) -> bytes:
    return letter.copy_for(recipient, reference="k7f3", date=AT)


def personal(recipient: Recipient) -> Personal:
    return Personal(recipient, "<k7f3@press.example>", AT, "k7f3")


def a_frame(message: CompiledMessage, mine: Personal | None = None) -> Frame | None:
    return frame_of(
        personal_names(message, mine or personal(ANN)),
        tuple(name for name, _ in message.headers),
        (message.opening, *message.segments[1:]),
    )


CORRUPT: dict[str, Callable[[bytes], bytes]] = {
    "a Bcc line among the personal headers": lambda data: data.replace(
        b"\r\nDate: ", b"\r\nBcc: eve@x.example\r\nDate: "
    ),
    "a Bcc line among the constant headers": lambda data: data.replace(
        b"\r\nSubject: ", b"\r\nBcc: eve@x.example\r\nSubject: "
    ),
    "a Bcc line before all": lambda data: b"Bcc: eve@x.example\r\n" + data,
    "a Bcc line folded behind a constant header": lambda data: data.replace(
        b"Headline\r\n", b"Headline\r\nBcc: eve@x.example\r\n"
    ),
    "a second recipient": lambda data: data.replace(b"<ann@", b"<eve@x.example>, <ann@"),
    "a second recipient behind": lambda data: data.replace(
        b"paper.example>\r\n", b"paper.example>, eve@x.example\r\n"
    ),
    "another recipient": lambda data: data.replace(b"<ann@", b"<eve@"),
    "a second To": lambda data: data.replace(b"\r\nDate: ", b"\r\nTo: eve@x.example\r\nDate: "),
    "a bare LF among the personal headers": lambda data: data.replace(b"\r\nDate", b"\nDate"),
    "a bare LF among the constant headers": lambda data: data.replace(b"\r\nSubject", b"\nSubject"),
    "a bare LF in a constant part": lambda data: data.replace(b"Dear =\r\n", b"Dear =\n"),
    "a bare LF in a value": lambda data: data.replace(b"Ann Lee=\r\n", b"Ann\n Lee=\r\n"),
    "a bare CR in a value": lambda data: data.replace(b"Ann Lee=\r\n", b"Ann\r Lee=\r\n"),
    "a bare CR at the end": lambda data: data[:-1],
    "no line end at the end": lambda data: data[:-2],
    "NUL in a value": lambda data: data.replace(b"Ann Lee=\r\n", b"Ann\0Lee=\r\n"),
    "NUL in a constant part": lambda data: data.replace(b"Bye", b"B\0e"),
    "8 bits in a value": lambda data: data.replace(b"Ann Lee=\r\n", "Änn=\r\n".encode()),
    "8 bits in a constant part": lambda data: data.replace(b"Bye", "Bÿe".encode()),
    "a long line in a value": lambda data: data.replace(b"Ann Lee=\r\n", b"A" * 76 + b"=\r\n"),
    "a long line in a constant part": lambda data: data.replace(b"Bye", b"B" * 77),
    "a long header line": lambda data: data.replace(b"<ann@", b"<" + b"a" * 1000 + b"ann@"),
    "a line with a dot before a value": lambda data: data.replace(b"Ann Lee=\r\n", b".Ann=\r\n"),
    "a line with a dot in a constant part": lambda data: data.replace(b"Bye", b".Bye"),
    "the end of data in the middle": lambda data: data.replace(b"Bye", b"\r\n.\r\nMAIL FROM:<>"),
    "a word of a constant part changed": lambda data: data.replace(b"Bye", b"Buy"),
    "a constant header changed": lambda data: data.replace(b"Headline", b"Headlong"),
    "a constant part left out": lambda data: data.replace(b"<b>=\r\n", b""),
    "a constant part twice": lambda data: data.replace(b"Bye\r\n", b"Bye\r\nBye\r\n"),
    "a line added at the end": lambda data: data + b"PS\r\n",
    "a whole mail behind": lambda data: data + data,
    "nothing but the header": lambda data: data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n",
    "nothing": lambda _: b"",
}


#: A long name hides where some of them would stand.
CORRUPTED = [
    pytest.param(fault, recipient, id=f"{fault}, {length} values")
    for length, recipient in (("short", ANN), ("long", LONG_NAMED))
    for fault in CORRUPT
    if CORRUPT[fault](copied(a_letter(), recipient)) != copied(a_letter(), recipient)
]


@pytest.mark.parametrize(("fault", "recipient"), CORRUPTED)
def test_a_merge_that_goes_wrong_is_found_at_that_mail(
    fault: str, recipient: Recipient, monkeypatch: pytest.MonkeyPatch
) -> None:
    letter = a_letter()
    spoiled = CORRUPT[fault](copied(letter, recipient))
    monkeypatch.setattr(letters, "merge", lambda *_: spoiled)
    with pytest.raises(MessageError):
        copied(letter, recipient)


def test_without_the_check_a_merge_that_goes_wrong_would_leave(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    letter = a_letter()
    spoiled = CORRUPT["a second recipient"](copied(letter))
    monkeypatch.setattr(letters, "merge", lambda *_: spoiled)
    monkeypatch.setattr(letters, "check_final", lambda *_, **__: None)
    assert copied(letter) == spoiled


def test_an_ordinary_mail_is_judged_by_comparing_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    letter = a_letter()

    def slow(*_: object) -> None:
        pytest.fail("this mail was taken apart line by line")

    monkeypatch.setattr("distributor.core.final._check_body", slow)
    for name in ("Ann Lee", "", "Doe, Jane", "Zoë", "x=y", ".Dot", "Zoë " * 15):
        copied(letter, ANN._replace(outlet=name, name=name if len(name) < 20 else "Ann"))


@given(name=shown, outlet=shown)
@example(name="<b>", outlet="Dear ")
@example(name="<b>", outlet="")
@example(name="", outlet="<b>")
@example(name="Dear ", outlet="\N{PILE OF POO}" * 40)
def test_no_recipient_is_refused_for_what_their_names_look_like(name: str, outlet: str) -> None:
    recipient = ANN._replace(name=name, outlet=outlet)
    message = a_message()
    data = copied(a_letter(message), recipient)
    names = [line.split(b":")[0].decode() for line in data.split(b"\r\n")[:4]]
    assert names[0] == "To"
    mine = personal(recipient)
    check_final(
        merge(message, mine),
        headers=header_names(message, mine),
        recipient=recipient.address,
        frame=a_frame(message),
    )


def test_a_value_that_looks_like_what_follows_it_is_told_from_it() -> None:
    message = a_message(b"ann=\r\n", b"ann=\r\n")
    for name in ("ann", "", "ann@paper.example"):
        for outlet in ("ann", ""):
            assert copied(a_letter(message), ANN._replace(name=name, outlet=outlet))


@pytest.mark.parametrize(
    "message",
    [
        a_message(b"8 bits\n=\r\n", b"\r\n=\r\n"),
        a_message(b"x" * 80 + b"=\r\n", b"\r\n"),
        a_message(b".=\r\n", b"\r\n"),
        a_message(headers=(("Subject", "two"), ("Subject", "of them"))),
    ],
    ids=["bare LF", "long line", "dot", "two subjects"],
)
def test_a_message_that_is_not_fit_is_refused_at_each_copy_and_not_before(
    message: CompiledMessage,
) -> None:
    assert a_frame(message) is None
    letter = a_letter(message)
    with pytest.raises(MessageError):
        copied(letter)


def test_a_message_whose_values_share_lines_with_it_is_judged_as_a_whole() -> None:
    message = a_message(b"no line end", b"\r\n")
    assert a_frame(message) is None
    assert b"no line endann@" in copied(a_letter(message), ANN._replace(outlet="ann@"))
    with pytest.raises(MessageError, match="longer"):
        copied(a_letter(message), ANN._replace(outlet="x" * 70))


def test_the_form_of_every_personal_header_is_judged_in_the_final_bytes() -> None:
    message = a_message()
    mine = personal(ANN)._replace(
        list_id="releases.press.example", unsubscribe_mailto="mailto:press@press.example"
    )
    names = personal_names(message, mine)
    frame = a_frame(message, mine)
    assert frame is not None
    data = merge(message, mine)
    assert frame.holds(data, ANN.address)
    assert not frame.holds(data, "eve@x.example")
    for name in names:
        there = f"{name}: ".encode()
        for text in (b"\r\n", b"<", b" ", b"\xc3", b"\0", b"x" * 999):
            assert not frame.holds(data.replace(there, there + text), ANN.address), (name, text)


@pytest.mark.parametrize(
    ("found", "instead"),
    [
        (b"In-Reply-To: <b@press.example>\r\n", b""),
        (b"\r\nReferences: ", b"\r\nX-References: "),
        (b"<a@press.example>\r\n <b@", b"<a@press.example>\r\nBcc: x@y.example\r\n <b@"),
        (b"In-Reply-To: ", b"In-Reply-To: <c@press.example>\r\nIn-Reply-To: "),
    ],
)
def test_a_mail_that_follows_others_has_both_headers_once_and_nothing_between(
    found: bytes, instead: bytes
) -> None:
    thread = "<a@press.example> <b@press.example>"
    mine = personal(ANN)._replace(thread=thread)
    message = a_message()
    data = merge(message, mine)
    expected = header_names(message, mine)
    assert {"In-Reply-To", "References"} < set(expected)
    assert found in data
    for frame in (a_frame(message, mine), None):
        check_final(data, headers=expected, recipient=ANN.address, frame=frame)
        with pytest.raises(MessageError, match="headers"):
            check_final(
                data.replace(found, instead),
                headers=expected,
                recipient=ANN.address,
                frame=frame,
            )
