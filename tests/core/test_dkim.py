"""What of a mail DKIM signs: relaxing by the RFC's own example, the names, the header's form."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.core.dkim import (
    OVERSIGNED,
    Signatory,
    relaxed,
    relaxed_body,
    relaxed_header,
    signed,
    to_sign,
    unsigned,
)
from distributor.core.final import FinalBytes
from distributor.errors import MessageError

AT = datetime(2026, 12, 1, 0, 1, tzinfo=UTC)
DESK = Signatory("harbours.example", "press-2026", "rsa-sha256")
MAIL = FinalBytes(
    b"To: Ann <ann@paper.example>\r\n"
    b"Date: Tue, 01 Dec 2026 00:01:00 +0000\r\n"
    b"Message-ID: <r1@harbours.example>\r\n"
    b"X-Distributor-Delivery: r1\r\n"
    b"List-Unsubscribe: <mailto:press@harbours.example?subject=unsubscribe%20r1>\r\n"
    b"From: Press <press@harbours.example>\r\n"
    b"Subject: A headline\r\n  that was folded\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Language: en\r\n"
    b"\r\n"
    b"Text.\r\n"
)


def test_the_example_of_rfc_6376_3_4_5_is_relaxed_as_it_says() -> None:
    assert relaxed_header(b"A", b" X") == b"a:X"
    assert relaxed_header(b"B ", b" Y\t\r\n\tZ  ") == b"b:Y Z"
    assert relaxed_body(b" C \r\nD \t E\r\n\r\n\r\n") == b" C\r\nD E\r\n"


@pytest.mark.parametrize(
    ("body", "comes_out"),
    [
        (b"", b""),
        (b"\r\n\r\n", b""),
        (b"a", b"a\r\n"),
        (b"a\r\n", b"a\r\n"),
        (b"a\r\n\r\nb\r\n \t\r\n", b"a\r\n\r\nb\r\n"),
        (b"a b\r\n", b"a b\r\n"),
        (b"a\tb  c \r\n", b"a b c\r\n"),
    ],
)
def test_a_body_is_relaxed(body: bytes, comes_out: bytes) -> None:
    assert relaxed_body(body) == comes_out


@given(st.lists(st.sampled_from([b"a", b" ", b"\t", b"\r\n"]), max_size=30).map(b"".join))
def test_relaxing_a_body_is_done_line_by_line_whatever_the_quick_way(body: bytes) -> None:
    lines = [b" ".join(line.replace(b"\t", b" ").split(b" ")) for line in body.split(b"\r\n")]
    while any(b"  " in line for line in lines):
        lines = [line.replace(b"  ", b" ") for line in lines]
    lines = [line.rstrip(b" ") for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    assert relaxed_body(body) == b"".join(line + b"\r\n" for line in lines)


def test_statement_44_from_is_signed_and_the_headers_that_matter_are_named_once_too_often() -> None:
    header = unsigned(DESK, relaxed(MAIL), at=AT)
    unfolded = header.replace("\r\n ", " ")
    named = unfolded.partition("h=")[2].partition(";")[0].replace(" ", "").split(":")
    once = ["From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"]
    assert sorted(named) == sorted([*once, "List-Unsubscribe", *OVERSIGNED])
    assert all(named.count(name) == 2 for name in OVERSIGNED)
    assert not {"Return-Path", "Received", "Bcc"} & set(named)
    assert " l=" not in unfolded


def test_the_mails_that_a_mail_follows_are_signed_with_it() -> None:
    threaded = MAIL.replace(
        b"\r\nFrom: ",
        b"\r\nIn-Reply-To: <r0@harbours.example>\r\nReferences: <r0@x.example>\r\nFrom: ",
    )
    mail = relaxed(FinalBytes(threaded))
    header = unsigned(DESK, mail, at=AT)
    assert ":In-Reply-To:References:" in header.replace("\r\n ", "")
    assert b"\r\nin-reply-to:<r0@harbours.example>\r\nreferences:" in to_sign(mail, header)


def test_statement_45_the_signature_is_dated_as_the_mail_is() -> None:
    assert f"t={int(AT.timestamp())};" in unsigned(DESK, relaxed(MAIL), at=AT)


def test_what_is_signed_is_the_named_headers_in_their_order_and_the_signature_without_itself() -> (
    None
):
    mail = relaxed(MAIL)
    octets = to_sign(mail, unsigned(DESK, mail, at=AT))
    lines = octets.split(b"\r\n")
    assert lines[:3] == [
        b"from:Press <press@harbours.example>",
        b"to:Ann <ann@paper.example>",
        b"subject:A headline that was folded",
    ]
    assert lines[-1].startswith(b"dkim-signature:v=1; a=rsa-sha256; c=relaxed/relaxed; ")
    assert lines[-1].endswith(b" b=")


def test_the_signature_stands_above_the_mail_on_lines_that_no_server_must_fold() -> None:
    header = unsigned(DESK, relaxed(MAIL), at=AT)
    data = signed(MAIL, [(header, bytes(256)), (header, bytes(64))])
    assert data.endswith(MAIL)
    above = data[: -len(MAIL)]
    assert above.count(b"DKIM-Signature: ") == 2
    assert max(len(line) for line in above.split(b"\r\n")) <= 76
    assert isinstance(data, FinalBytes)


def test_a_name_that_would_break_the_header_is_refused() -> None:
    odd = Signatory("harbours.example\r\nBcc: i@example.com", "s", "rsa-sha256")
    header = unsigned(odd, relaxed(MAIL), at=AT)
    with pytest.raises(MessageError, match="a signature would break the header"):
        signed(MAIL, [(header, bytes(256))])
