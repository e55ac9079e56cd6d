"""A compiled message: constant segments and slots, and the final bytes of one mail made of them.

Compiling happens once, at approval; what it made is stored as :meth:`CompiledMessage.to_json` and
bound by :attr:`CompiledMessage.digest` (I6). Merging splices one recipient's values between the
ready segments: each value stands on quoted-printable lines of its own, closed by soft line breaks,
so no constant byte depends on it. A part whose template decides by its recipient is rendered for
each instead, from the :class:`~distributor.core.script.Script` stored with the message, and fills
one slot as a whole. No line starts with a dot (it is ``=2E``): SMTP has nothing to stuff.

Invariant: no Cc, no Bcc and no Auto-Submitted header (statements 14 and 37); To holds one address.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, cast

from distributor.core.enclosures import Enclosures
from distributor.core.final import check_final
from distributor.core.header import (
    DELIVERY,
    LIST_ID,
    MAILTO,
    MESSAGE_ID,
    check_address,
    check_body,
    check_form,
    check_text,
    constant_headers,
    date_text,
    fold_mailbox,
    fold_text,
    thread_headers,
)
from distributor.core.model import Draft, Recipient, Sender
from distributor.core.quoted import READY, quoted
from distributor.core.script import BODIES, SUBJECT, Script
from distributor.errors import MessageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from distributor.core.sequel import SequelContent

#: How a slot writes its value. A whole part is quoted as its template gave it.
Coding = Literal["text", "html", "whole"]

_FORMAT: Final = 1
_FORMAT_WITH_SCRIPT: Final = 2
_FORMAT_WITH_ENCLOSURES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseContent:
    """Everything constant that a release's message is compiled from.

    ``embargo_at`` is in UTC and needs its ``zone``. ``lifted`` says what the mail will be when it
    arrives: a general wave leaves at the lift, so its mail must not claim to be embargoed; only an
    advance copy (``lifted=False``) carries the banner. ``unsubscribe`` is a mail address.
    ``sequel`` is set in a mail that speaks of an earlier one.
    """

    draft: Draft
    sender: Sender
    language: str = "en"
    embargo_at: datetime | None = None
    zone: str | None = None
    lifted: bool = True
    unsubscribe: str | None = None
    sequel: SequelContent | None = None


class Personal(NamedTuple):
    """What differs between two mails of one compiled message. A tuple: every mail makes one.

    ``message_id`` stands in its angle brackets; ``date`` is in UTC; ``unsubscribe_mailto`` is a
    ``mailto:`` URI; ``list_id`` is bare (``press.example.org``); ``delivery`` is our opaque
    reference; ``thread`` the Message-IDs of this recipient's earlier mails, oldest first, parted by
    blanks.
    """

    recipient: Recipient
    message_id: str
    date: datetime
    delivery: str
    unsubscribe_mailto: str | None = None
    list_id: str | None = None
    thread: str | None = None


class Slot(NamedTuple):
    """A place for one recipient value, or for a whole part, and how it writes text."""

    field: str
    coding: Coding


def _addressed_to(recipient: Recipient) -> str:
    name, outlet = recipient.name, recipient.outlet
    return f"{name}, {outlet}" if name and outlet else name or outlet or recipient.address


def _known_as(recipient: Recipient) -> str:
    name, outlet = recipient.name, recipient.outlet
    if name and outlet:
        return f" ({name}, {outlet})"
    return f" ({name or outlet})" if name or outlet else ""


#: What a template may show of its recipient. The last two are ready-made so that no template needs
#: a condition: "Jane Doe, The Herald" or else the address; " (Jane Doe, The Herald)" or nothing.
SLOT_VALUES: Final[dict[str, Callable[[Recipient], str]]] = {
    "address": lambda recipient: recipient.address,
    "name": lambda recipient: recipient.name,
    "given_name": lambda recipient: recipient.given_name,
    "outlet": lambda recipient: recipient.outlet,
    "addressed_to": _addressed_to,
    "known_as": _known_as,
}


#: The machine's values of nearly every mail, a line each.
_MARKS: Final = re.compile(
    "\n".join(form.pattern for form in (MESSAGE_ID, DELIVERY, LIST_ID, MAILTO))
).fullmatch
_Step = tuple[Slot, "Callable[[Recipient], str] | None", "Callable[[str], object]", bytes]
_NO_PARTS: Final[Mapping[str, str]] = {}


def _never_ready(_: str) -> None:
    """A whole part is always encoded."""


@dataclass(frozen=True, slots=True)
class CompiledMessage:
    """One message for many recipients, as approval stores it.

    ``headers`` are the constant ones, their values folded and encoded. ``segments`` are the bytes
    of the body around the slots: always one more than there are ``slots``. ``html_size`` is the
    octets of the HTML part before encoding and without slot values (statement 51). With a
    ``script`` some parts are rendered for each recipient. ``enclosures`` follow the last segment,
    the same in every mail.
    """

    kind: str
    language: str
    headers: tuple[tuple[str, str], ...]
    segments: tuple[bytes, ...]
    slots: tuple[Slot, ...]
    html_size: int = 0
    script: Script | None = None
    enclosures: Enclosures | None = None
    opening: bytes = field(init=False, repr=False, compare=False)
    plan: tuple[_Step, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse a shape that cannot be merged, and work out once what merging repeats."""
        if len(self.segments) != len(self.slots) + 1:
            raise MessageError("a compiled message has one more segment than it has slots")
        rendered = self.script.parts if self.script is not None else ()
        whole = [slot.field for slot in self.slots if slot.coding == "whole"]
        if sorted(whole) != sorted(set(rendered) & set(BODIES)):
            raise MessageError("a compiled message has one slot for each part that is rendered")
        for slot in self.slots:
            if slot.coding != "whole" and (
                slot.field not in SLOT_VALUES or slot.coding not in READY
            ):
                raise MessageError(f"unknown slot {slot.field!r} in {slot.coding!r}")
        if not all(segment.isascii() for segment in self.segments):
            raise MessageError("a compiled message is of 7-bit text")
        first, *following = self.segments
        block = "".join(f"{name}: {value}\r\n" for name, value in self.headers)
        object.__setattr__(self, "opening", f"{block}\r\n".encode("ascii") + first)
        plan = tuple(
            (
                slot,
                SLOT_VALUES[slot.field] if slot.coding != "whole" else None,
                READY.get(slot.coding, _never_ready),
                segment,
            )
            for slot, segment in zip(self.slots, following, strict=True)
        )
        object.__setattr__(self, "plan", plan)

    def to_json(self) -> str:
        """One text for one message: keys sorted, ASCII only, no spaces."""
        form: dict[str, object] = {
            "format": _FORMAT if self.script is None else _FORMAT_WITH_SCRIPT,
            "kind": self.kind,
            "language": self.language,
            "headers": self.headers,
            "segments": [segment.decode("ascii") for segment in self.segments],
            "slots": self.slots,
            "html_size": self.html_size,
        }
        if self.script is not None:
            form["script"] = self.script.to_form()
        if self.enclosures is not None:
            form |= {"format": _FORMAT_WITH_ENCLOSURES, "script": form.get("script")}
            form["enclosures"] = self.enclosures.to_form()
        return json.dumps(form, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> CompiledMessage:
        """Read what :meth:`to_json` wrote.

        Raises:
            MessageError: the text is something else, or of a later format.

        """
        try:
            form = cast("dict[str, Any]", json.loads(text))
            made = form["format"]
            if made not in {_FORMAT, _FORMAT_WITH_SCRIPT, _FORMAT_WITH_ENCLOSURES}:
                raise MessageError(f"compiled message of unknown format {made!r}")
            has_script = made == _FORMAT_WITH_SCRIPT
            encloses = made == _FORMAT_WITH_ENCLOSURES
            if encloses:
                has_script = form["script"] is not None
            return cls(
                kind=form["kind"],
                language=form["language"],
                headers=tuple((name, value) for name, value in form["headers"]),
                segments=tuple(segment.encode("ascii") for segment in form["segments"]),
                slots=tuple(Slot(field, coding) for field, coding in form["slots"]),
                html_size=form["html_size"],
                script=Script.from_form(form["script"]) if has_script else None,
                enclosures=Enclosures.from_form(form["enclosures"]) if encloses else None,
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise MessageError("the stored message cannot be read") from error

    @property
    def size(self) -> int:
        """Octets of a mail, without the recipient's own values."""
        enclosed = self.enclosures.size if self.enclosures is not None else 0
        return len(self.opening) + sum(map(len, self.segments[1:])) + enclosed

    @property
    def digest(self) -> str:
        """SHA-256 of :meth:`to_json`, in hex: what approval binds (I6)."""
        return hashlib.sha256(self.to_json().encode("ascii")).hexdigest()


def merge(
    compiled: CompiledMessage, personal: Personal, parts: Mapping[str, str] = _NO_PARTS
) -> bytes:
    """Final bytes of one mail: ASCII, CRLF line ends, ready to follow DATA without dot-stuffing.

    With enclosures it is the mail's own beginning: their :class:`~distributor.core.tail.Tail`
    follows.

    ``parts`` are those that the message's script renders for this recipient.

    Raises:
        MessageError: a value of this recipient cannot stand in a mail; the field is named.

    """
    recipient = personal.recipient
    pieces = [_personal_headers(personal).encode("ascii"), compiled.opening]
    if compiled.script is not None:
        if set(parts) != set(compiled.script.parts):
            raise MessageError("the parts of this recipient are not those of the message")
        if SUBJECT in parts:
            pieces.insert(1, _subject(parts[SUBJECT]).encode("ascii"))
    for slot, value_of, ready, segment in compiled.plan:
        value = value_of(recipient) if value_of is not None else parts[slot.field]
        if ready(value):
            pieces += (value.encode("ascii"), b"=\r\n", segment)
        elif value:
            pieces += (_fill(slot, value), segment)
        else:
            pieces.append(segment)
    return b"".join(pieces)


def _personal_headers(personal: Personal) -> str:
    recipient, message_id, date, delivery, mailto, list_id, thread = personal
    address = check_address(recipient.address, "recipient's address")
    if not _MARKS(f"{message_id}\n{delivery}\n{list_id}\n{mailto}"):
        # One look for all of them found a fault, or one that is left out.
        check_form(MESSAGE_ID, message_id, "Message-ID")
        check_form(DELIVERY, delivery, "delivery reference")
        if list_id is not None:
            check_form(LIST_ID, list_id, "List-Id")
        if mailto is not None:
            check_form(MAILTO, mailto, "unsubscribe address")
    block = (
        f"To: {fold_mailbox(recipient.name, address, used=4)}\r\n"
        f"Date: {date_text(date)}\r\n"
        f"Message-ID: {message_id}\r\n"
        f"X-Distributor-Delivery: {delivery}\r\n"
    )
    if list_id is not None:
        block += f"List-Id: <{list_id}>\r\n"
    if mailto is not None:
        # One unbroken line whatever its length: RFC 2369 forbids white space in the brackets.
        block += f"List-Unsubscribe: <{mailto}>\r\n"
    if thread is not None:
        block += thread_headers(thread)
    return block


def header_names(compiled: CompiledMessage, personal: Personal) -> tuple[str, ...]:
    """Exactly the headers that :func:`merge` writes for these two: what the check expects."""
    return (*personal_names(compiled, personal), *(name for name, _ in compiled.headers))


def personal_names(compiled: CompiledMessage, personal: Personal) -> tuple[str, ...]:
    """The headers that differ from mail to mail, in their order: they come first."""
    script = compiled.script
    optional = (
        *(("List-Id",) if personal.list_id is not None else ()),
        *(("List-Unsubscribe",) if personal.unsubscribe_mailto is not None else ()),
        *(("In-Reply-To", "References") if personal.thread is not None else ()),
        *(("Subject",) if script is not None and SUBJECT in script.parts else ()),
    )
    return ("To", "Date", "Message-ID", "X-Distributor-Delivery", *optional)


def _subject(text: str) -> str:
    check_text(text, "subject")
    if not text.strip():
        raise MessageError("the subject is empty for this recipient")
    return f"Subject: {fold_text(text, used=len('Subject: '))}\r\n"


def _fill(slot: Slot, value: str) -> bytes:
    if slot.coding == "whole":
        check_body(value, slot.field)
        return quoted(value, closed=True)
    check_text(value, f"recipient's {slot.field.replace('_', ' ')}")
    return quoted(_escaped(value) if slot.coding == "html" else value, closed=True)


def _escaped(value: str) -> str:
    return (
        value.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace('"', "&#34;")
        .replace("'", "&#39;")
    )


#: Texts that became a header of their own, or a broken line, somewhere (reliability finding 1).
_NASTY: Final = (
    "A \N{PILE OF POO} subject=?UTF-8?Q?=0D=0A?=Bcc: injected@example.com",
    "=?UTF-8?Q?=0D=0ABcc:_injected@example.com?=",
    "=?utf-8?b?DQpCY2M6IGluamVjdGVkQGV4YW1wbGUuY29t?= " * 8,
    "\N{PILE OF POO}" * 120 + " Bcc: injected@example.com",
    '"quoted" <injected@example.com>, \\"',
)
_REFUSED: Final = ("\r\nBcc: i@example.com", "\nBcc: i@example.com", "\0", "\x0b", "\x85", "\u2028")


def self_test() -> None:
    """Run this builder on the strings that made others inject headers; called at every start.

    Raises:
        MessageError: a header appeared, or text that must be refused was not.

    """
    for text in _NASTY:
        data, names = _nasty_mail(text)
        check_final(data, headers=names, recipient="journalist@example.com")
    for end in _REFUSED:
        try:
            _nasty_mail(f"A{end}")
        except MessageError:
            continue
        raise MessageError("self-test: a control character was accepted in a header")


def _nasty_mail(text: str) -> tuple[bytes, tuple[str, ...]]:
    sender = Sender(name=text, address="press@example.com")
    compiled = CompiledMessage(
        kind="self-test",
        language="en",
        headers=constant_headers(
            sender, subject=text, language="en", content_type="text/plain; charset=us-ascii"
        ),
        segments=(b"For: =\r\n", b"\r\n"),
        slots=(Slot("name", "text"),),
    )
    personal = Personal(
        recipient=Recipient("journalist@example.com", name=text),
        message_id="<self-test@example.com>",
        date=datetime(2026, 12, 1, 0, 1, tzinfo=UTC),
        delivery="self-test",
    )
    return merge(compiled, personal), header_names(compiled, personal)
