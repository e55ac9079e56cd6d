"""Attachments in a mail: where they stand, how they are written, and that they are the ones."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from email import message_from_bytes, policy
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.core.enclosures import Enclosures, enclose
from distributor.core.final import FinalBytes, FinalHead, tail_of, whole_of
from distributor.core.model import Attachment, Picture
from distributor.core.tail import judged
from distributor.errors import MessageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage, MIMEPart

    from distributor.core.enclosures import Enclosed

BOUNDARY = "=_" + "0123456789abcdef" * 2
BODY = (
    f"--{BOUNDARY}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello\r\n\r\n"
    f"--{BOUNDARY}\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Hello\r\n\r\n"
    f"--{BOUNDARY}--\r\n"
).encode()


def kept(octets: bytes, name: str = "a.pdf", picture: Picture | None = None) -> Attachment:
    digest = hashlib.sha256(octets).hexdigest()
    kind = "image/png" if picture else "application/pdf"
    return Attachment(digest, name, kind, len(octets), picture)


def made(*files: tuple[bytes, Attachment], piece: int = 1000) -> tuple[Enclosed, Store]:
    store = Store({each.digest: octets for octets, each in files}, piece)
    enclosed = enclose(
        BODY,
        [each for _, each in files],
        boundary=BOUNDARY,
        domain="desk.example",
        octets_of=store,
    )
    return enclosed, store


class Store:
    """Octets by hash, in pieces."""

    def __init__(self, octets: dict[str, bytes], piece: int = 1000) -> None:
        self.octets, self.piece = octets, piece

    def __call__(self, digest: str) -> Iterator[bytes]:
        source = io.BytesIO(self.octets.get(digest, b""))
        return iter(lambda: source.read(self.piece), b"")


def mail(enclosed: Enclosed, store: Store) -> EmailMessage:
    tail = enclosed.enclosures.tail(store)
    head = f"MIME-Version: 1.0\r\nContent-Type: {enclosed.content_type}\r\n\r\n".encode()
    return message_from_bytes(head + enclosed.body + tail.octets, policy=policy.default)


def shape(part: MIMEPart) -> object:
    kind = part.get_content_type()
    return [kind, *map(shape, part.iter_parts())] if part.is_multipart() else kind


A_PICTURE = Picture("A bridge", 4, 3)
PDF, PNG = b"%PDF-1.4 " * 300, b"\x89PNG" * 200


@pytest.mark.parametrize(
    ("files", "tree"),
    [
        (
            [(PDF, kept(PDF))],
            [
                "multipart/mixed",
                ["multipart/alternative", "text/plain", "text/html"],
                "application/pdf",
            ],
        ),
        (
            [(PNG, kept(PNG, "b.png", A_PICTURE))],
            [
                "multipart/alternative",
                "text/plain",
                ["multipart/related", "text/html", "image/png"],
            ],
        ),
        (
            [
                (PNG, kept(PNG, "b.png", A_PICTURE)),
                (PDF, kept(PDF)),
                (PNG[:7], kept(PNG[:7], "c.png", A_PICTURE)),
                (PDF[:58], kept(PDF[:58], "d.pdf")),
            ],
            [
                "multipart/mixed",
                [
                    "multipart/alternative",
                    "text/plain",
                    ["multipart/related", "text/html", "image/png", "image/png"],
                ],
                "application/pdf",
                "application/pdf",
            ],
        ),
    ],
)
def test_text_stands_first_pictures_with_the_html_and_attachments_last(
    files: list[tuple[bytes, Attachment]], tree: object
) -> None:
    message = mail(*made(*files))
    assert shape(message) == tree
    assert not any(part.defects for part in message.walk())
    given_back = {
        part.get_filename(): part.get_payload(decode=True)
        for part in message.walk()
        if part.get_filename()
    }
    assert given_back == {each.name: octets for octets, each in files}
    for _, each in files:
        (part,) = [part for part in message.walk() if part.get_filename() == each.name]
        kind = "inline" if each.picture else "attachment"
        assert part.get_content_disposition() == kind
        cid = f"<{each.digest[:32]}@desk.example>" if each.picture else None
        assert part["Content-ID"] == cid
    for kind, text in (("plain", "Hello"), ("html", "<p>Hello")):
        body = message.get_body((kind,))
        assert body is not None
        assert body.get_content().strip() == text


@given(st.binary(min_size=1, max_size=400), st.integers(1, 200))
def test_any_octets_come_back_whatever_pieces_they_are_read_in(octets: bytes, piece: int) -> None:
    enclosed, store = made((octets, kept(octets)), piece=piece)
    tail = enclosed.enclosures.tail(store)
    lines = tail.octets.split(b"\r\n")
    assert max(map(len, lines)) <= 76
    assert not any(line.startswith(b".") for line in lines)
    (_, part) = mail(enclosed, store).iter_parts()
    assert part.get_payload(decode=True) == octets


def test_what_is_stored_of_them_holds_no_octets_and_comes_back() -> None:
    enclosed, store = made((PDF, kept(PDF)))
    stored = Enclosures.from_form(enclosed.enclosures.to_form())
    assert stored == enclosed.enclosures
    assert len(str(stored.to_form())) < 800
    assert len(stored.tail(store)) == stored.size


@pytest.mark.parametrize("octets", [PDF + b"!", PDF[:-1], b"", b"X" + PDF[1:]])
def test_i6_other_octets_than_were_approved_do_not_leave(octets: bytes) -> None:
    enclosed, _ = made((PDF, kept(PDF)))
    with pytest.raises(MessageError, match="not what it was"):
        enclosed.enclosures.tail(Store({kept(PDF).digest: octets}))


def test_i6_other_lines_between_them_than_were_approved_do_not_leave() -> None:
    enclosed, store = made((PDF, kept(PDF)))
    (lines, digest), *_ = enclosed.enclosures.parts
    other = replace(enclosed.enclosures, parts=((lines.replace("a.pdf", "b.pdf"), digest),))
    with pytest.raises(MessageError, match="not those that were approved"):
        other.tail(store)


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"abc\r\n.\r\n", "begins with a dot"),
        (b".abc\r\n", "begins with a dot"),
        (b"abc\n", "one CRLF"),
        (b"a\nc\r\n", "bare CR or LF"),
        (b"a\rc\r\n", "bare CR or LF"),
        (b"abc\r\n\r\n", "one CRLF"),
        (b"abc", "one CRLF"),
        (b"", "one CRLF"),
        ("é\r\n".encode(), "7-bit"),
        (b"a\0c\r\n", "7-bit"),
        (b"a" * 999 + b"\r\n", "too long"),
        (b"a" * 600_000 + b"\r\n", "too long"),
        (b"abc \r\nabc\r\n", "blanks"),
        (b"abc\tabc\r\n", "blanks"),
        (b"abc  abc\r\n", "blanks"),
    ],
)
def test_an_end_that_must_not_follow_is_found_out(octets: bytes, why: str) -> None:
    with pytest.raises(MessageError, match=why):
        judged(octets)


def test_a_fault_is_found_wherever_it_stands_in_a_large_end() -> None:
    line = b"a" * 76 + b"\r\n"
    fine = line * 30_000
    assert len(judged(fine)) == len(fine)
    for at in (0, 6721, 6722, 15_000, 29_999):
        with pytest.raises(MessageError, match="dot"):
            judged(line * at + b"." + line * (30_000 - at))


def test_an_end_is_given_in_views_that_copy_nothing() -> None:
    tail = judged(b"abcdef\r\n")
    assert [bytes(block) for block in tail.blocks(3)] == [b"abc", b"def", b"\r\n"]
    assert all(block.obj is tail.octets for block in tail.blocks(3))


def test_a_mail_knows_the_end_it_shares_with_others() -> None:
    tail = judged(b"abc\r\n")
    head = FinalHead(b"To: a\r\n\r\n", tail)
    assert isinstance(head, FinalBytes)
    assert tail_of(head) is tail
    assert whole_of(head) == b"To: a\r\n\r\nabc\r\n"
    assert tail_of(FinalBytes(b"x")) is None
    assert whole_of(b"x") == b"x"
