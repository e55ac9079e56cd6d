"""DKIM: what of a mail is signed, and how the signature is written (RFC 6376, 8301, 8463).

Both parts are taken relaxed: a server on the way that folds a header anew or cuts blanks at the end
of a line breaks nothing. Making the signature itself is :mod:`distributor.mail.signing`'s matter.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from distributor.core.final import FinalBytes, FinalHead, tail_of
from distributor.core.header import LINE_MAX
from distributor.errors import MessageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

#: The signing algorithms that are allowed (RFC 8301 3.1, RFC 8463 3): rsa-sha1 is not.
Algorithm = Literal["rsa-sha256", "ed25519-sha256"]

#: What is signed where it stands, by practice statement 44; never Return-Path, Received or Bcc.
SIGNED: Final = (
    *("From", "Sender", "Reply-To", "To", "Subject", "Date", "Message-ID"),
    *("MIME-Version", "Content-Type", "Content-Transfer-Encoding", "In-Reply-To", "References"),
    *("List-Id", "List-Unsubscribe", "List-Unsubscribe-Post"),
)
#: Named once more than they stand: nobody can add a second one (RFC 6376 5.4.2, 8.15).
OVERSIGNED: Final = ("From", "To", "Subject", "Date", "Content-Type")

_NAME: Final = "DKIM-Signature"
_BLANKS: Final = re.compile(rb"[ \t]+")
_FORM: Final = re.compile(
    rb"DKIM-Signature: v=1;[ -~]{1,60}(?:\r\n [!-~][ -~]{0,74})+\r\n",
)


@dataclass(frozen=True, slots=True)
class Signatory:
    """In whose name is signed: ``selector`` finds the key in the DNS of ``domain``."""

    domain: str
    selector: str
    algorithm: Algorithm

    @property
    def record(self) -> str:
        """The name of the DNS record that holds the key (RFC 6376 3.6.2.1)."""
        return f"{self.selector}._domainkey.{self.domain}"


@dataclass(frozen=True, slots=True)
class Relaxed:
    """A mail as its signatures see it: relaxed headers by lower-case name, and the body's hash."""

    headers: Mapping[str, bytes]
    body_hash: str


def relaxed(data: FinalBytes) -> Relaxed:
    """Take the final bytes of a mail, in which each header stands once, as signing reads them.

    Its shared end is hashed where it lies: relaxing changes nothing in it
    (:mod:`distributor.core.tail`).
    """
    head, _, body = data.partition(b"\r\n\r\n")
    headers: dict[str, bytes] = {}
    for line in re.split(rb"\r\n(?![ \t])", head):
        name, _, value = line.partition(b":")
        headers[name.decode("ascii").lower()] = relaxed_header(name, value)
    tail = tail_of(data)
    if tail is None:
        hashed = hashlib.sha256(relaxed_body(body))
    else:
        hashed = hashlib.sha256(_evened(body))
        hashed.update(tail.octets)
    return Relaxed(headers, b64encode(hashed.digest()).decode("ascii"))


def relaxed_header(name: bytes, value: bytes) -> bytes:
    """One header without its line end, relaxed (RFC 6376 3.4.2)."""
    unfolded = value.replace(b"\r\n", b"")
    return name.strip().lower() + b":" + _BLANKS.sub(b" ", unfolded).strip(b" ")


def relaxed_body(body: bytes) -> bytes:
    """A body, relaxed (RFC 6376 3.4.4): of nothing but empty lines nothing is left."""
    stripped = _evened(body).rstrip(b"\r\n")
    return stripped + b"\r\n" if stripped else b""


def _evened(body: bytes) -> bytes:
    """Lines without blanks that relaxing takes away.

    By plain replacing, which takes a tenth of the time of an expression that stops at each blank;
    a run of blanks is halved in each turn.
    """
    body = body.replace(b"\t", b" ")
    while b"  " in body:
        body = body.replace(b"  ", b" ")
    return body.replace(b" \r\n", b"\r\n").removesuffix(b" ")


def unsigned(signatory: Signatory, mail: Relaxed, *, at: datetime) -> str:
    """The signature's header as it is signed: folded, with nothing behind ``b=``.

    ``at`` is the mail's own date, so that the same mail sent again is signed the same (I5).
    """
    present = [name for name in SIGNED if name.lower() in mail.headers]
    names = [*present, *OVERSIGNED]
    tags = (
        f"v=1; a={signatory.algorithm}; c=relaxed/relaxed;",
        f"d={signatory.domain};",
        f"s={signatory.selector}; t={int(at.timestamp())};",
        *_folded("h=" + ":".join(names) + ";"),
        f"bh={mail.body_hash};",
        "b=",
    )
    return f"{_NAME}: " + "\r\n ".join(tags)


def to_sign(mail: Relaxed, unsigned_header: str) -> bytes:
    """The octets that are signed (RFC 6376 3.7): the named headers, then the signature's own."""
    lines = [mail.headers[name.lower()] for name in SIGNED if name.lower() in mail.headers]
    name, _, value = unsigned_header.encode("ascii").partition(b":")
    return b"\r\n".join([*lines, relaxed_header(name, value)])


def signed(data: FinalBytes, headers: Sequence[tuple[str, bytes]]) -> FinalBytes:
    """The mail with its signatures above it: each an :func:`unsigned` header and its octets.

    Raises:
        MessageError: what would stand above is no signature.

    """
    above: list[bytes] = []
    for header, octets in headers:
        text = b64encode(octets).decode("ascii")
        room = LINE_MAX - len(" b=")
        first, rest = text[:room], text[room:]
        width = LINE_MAX - 1
        more = (rest[at : at + width] for at in range(0, len(rest), width))
        line = "\r\n ".join((header + first, *more)).encode("ascii") + b"\r\n"
        if _FORM.fullmatch(line) is None:
            raise MessageError("a signature would break the header")
        above.append(line)
    whole, tail = b"".join((*above, data)), tail_of(data)
    return FinalBytes(whole) if tail is None else FinalHead(whole, tail)


def _folded(text: str) -> list[str]:
    """``text`` in lines that end behind a colon, none longer than a header's line."""
    lines = [""]
    for piece in re.findall("[^:]+:?", text):
        if len(lines[-1]) + len(piece) > LINE_MAX - 1:
            lines.append("")
        lines[-1] += piece
    return lines
