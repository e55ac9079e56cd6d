"""A real copy to a test mail: the same parts with the mark at their head, under headers of its own.

It is made from the final bytes of the copy, so what is tried is what was approved, whatever its
templates are. Only the parts a journalist reads are touched; attachments stay as they are.

Invariant: no header of the copy is kept but those listed here.
"""

from __future__ import annotations

import re
from email import message_from_bytes, policy
from email.generator import BytesGenerator
from io import BytesIO
from typing import TYPE_CHECKING, Final, NamedTuple

from distributor.core.final import FinalBytes, check_final, whole_of
from distributor.core.header import (
    DELIVERY,
    MESSAGE_ID,
    check_address,
    check_form,
    check_text,
    date_text,
    fold_mailbox,
    fold_text,
)
from distributor.core.quoted import quoted
from distributor.core.trial import HEADER, trial_id
from distributor.mail.compiling import subject_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from email.message import Message

    from distributor.core.model import Recipient
    from distributor.core.trial import Mark

#: What a test mail has of the copy, octet for octet.
_KEPT: Final = (
    *("from", "reply-to", "mime-version", "content-type", "content-language"),
    "content-transfer-encoding",
)
_POLICY: Final = policy.compat32.clone(linesep="\r\n", max_line_length=None)


class Addressed(NamedTuple):
    """Whose test mail it is; ``reference`` is opaque, ``domain`` the sender's, ``date`` in UTC."""

    recipient: Recipient
    reference: str
    domain: str
    date: datetime


def marked(copy: FinalBytes, mark: Mark, to: Addressed) -> FinalBytes:
    """The test mail that a copy makes, checked to the last octet like any other.

    Raises:
        MessageError: It must not leave; the message names the rule, never the text.

    """
    address = check_address(to.recipient.address, "test address")
    identity = trial_id(to.reference, to.domain)
    check_form(MESSAGE_ID, identity, "Message-ID")
    check_form(DELIVERY, to.reference, "reference")
    subject = mark.on_subject(subject_of(copy))
    check_text(subject, "subject")
    own = {
        "To": fold_mailbox(to.recipient.name, address, used=len("To: ")),
        "Date": date_text(to.date),
        "Message-ID": identity,
        HEADER: to.reference,
        "Subject": fold_text(subject, used=len("Subject: ")),
    }
    lines = [f"{name}: {value}" for name, value in own.items()]
    kept = [line for line in _header_lines(copy) if _name(line).lower() in _KEPT]
    head = "\r\n".join((*lines, *kept)).encode("ascii")
    data = head + b"\r\n\r\n" + _marked_body(copy, mark)
    check_final(data, headers=(*own, *map(_name, kept)), recipient=address)
    return FinalBytes(data)


def _header_lines(data: bytes) -> list[str]:
    """Each header of a mail with its folded lines."""
    return re.split(r"\r\n(?![ \t])", data.partition(b"\r\n\r\n")[0].decode("ascii"))


def _name(line: str) -> str:
    return line.partition(":")[0]


def _marked_body(copy: bytes, mark: Mark) -> bytes:
    tree = message_from_bytes(whole_of(copy), policy=_POLICY)
    marks: dict[str, Callable[[str], str]] = {
        "text/plain": mark.on_text,
        "text/html": mark.on_html,
    }
    for part in tree.walk():
        put = marks.get(part.get_content_type())
        if put is not None and part.get_filename() is None:
            _rewrite(part, put)
    out = BytesIO()
    BytesGenerator(out, mangle_from_=False, policy=_POLICY).flatten(tree)
    return out.getvalue().partition(b"\r\n\r\n")[2]


def _rewrite(part: Message, put: Callable[[str], str]) -> None:
    octets = part.get_payload(decode=True)
    text = bytes(octets).decode("utf-8").replace("\r\n", "\n") if octets else ""
    del part["Content-Transfer-Encoding"]
    part["Content-Transfer-Encoding"] = "quoted-printable"
    part.set_payload(quoted(put(text)).decode("ascii"))
