"""The rules of a mail header: what user text may hold, and how it is folded and encoded.

Invariant: the standard library's header folding is not used. It encodes machine headers, and on
some versions lets the text of an encoded word end the header (CVE-2024-6923).
"""

from __future__ import annotations

import base64
import re
from datetime import UTC
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from distributor.core.address import address_fault, visible
from distributor.errors import MessageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from distributor.core.model import Sender

#: RFC 5322 2.1.1 recommends 78; a line that holds an encoded-word may have 76 (RFC 2047 2).
LINE_MAX: Final = 76
_ENCODED_WORD_MAX: Final = 75

_CONTROL: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_BODY_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_CONTROL_NAMES: Final = {
    "\x00": "NUL",
    "\n": "a line feed",
    "\x0b": "a vertical tab",
    "\x0c": "a form feed",
    "\r": "a carriage return",
    "\x85": "a next-line character",
    "\u2028": "a line separator",
    "\u2029": "a paragraph separator",
}

_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
#: What :func:`distributor.core.address.is_wire_address` accepts, as one expression: asked at every
#: mail. "=?" is left out besides: some readers decode an encoded-word even there.
_ADDRESS: Final = re.compile(
    rf"(?!.*=\?)(?=.{{1,254}}\Z)(?=[^@]{{1,64}}@){_ATOM}(?:\.{_ATOM})*@"
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+"
    r"(?![0-9]+\Z)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\Z",
)
#: Words that stand in a phrase as they are; "=" and "?" are left out so that no word looks encoded.
_BARE_PHRASE: Final = re.compile(
    r"[A-Za-z0-9!#$%&'*+/^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/^_`{|}~-]+)*"
)
_PRINTABLE: Final = re.compile(r"[ -~]*")
_SPACE: Final = ord(" ")
_Q_SAFE: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
#: Every octet as a "Q" encoded-word writes it (RFC 2047 4.2).
_Q_WRITTEN: Final = tuple(
    chr(octet) if octet in _Q_SAFE else "_" if octet == _SPACE else f"={octet:02X}"
    for octet in range(256)
)

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    *("", "Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)


def check_text(value: str, field: str) -> None:
    """Refuse characters that end or split a header line; nothing is stripped (statement 20).

    Raises:
        MessageError: ``field`` and the character are named. A tab is allowed.

    """
    found = _CONTROL.search(value)
    if found:
        raise _refusal(found.group(), field)


def check_body(value: str, field: str) -> None:
    """Refuse characters that no text part may hold; line feeds and tabs are its own.

    Raises:
        MessageError: ``field`` and the character are named.

    """
    found = _BODY_CONTROL.search(value)
    if found:
        raise _refusal(found.group(), field)


def _refusal(character: str, field: str) -> MessageError:
    code = f"U+{ord(character):04X}"
    name = _CONTROL_NAMES.get(character)
    what = f"{name} ({code})" if name else f"the character {code}"
    return MessageError(
        f"the {field} holds {what}, which a mail cannot carry",
        remedy=f"Take it out of the {field} and try again.",
    )


def check_address(address: str, field: str = "address") -> str:
    """Return ``address`` if it is one plain addr-spec that every parser reads back equal.

    The rule is :func:`distributor.core.address.is_wire_address`; here it is only asked quickly, and
    for every mail, because others mend what they are given (reliability finding 3).

    Raises:
        MessageError: it is not; the reason is named.

    """
    if _ADDRESS.match(address) is None:
        reason = address_fault(address) or "cannot be written in plain ASCII without a doubt"
        raise MessageError(f"the {field} {visible(address)} {reason}")
    return address


def fold_text(value: str, *, used: int) -> str:
    """Encode unstructured text for a header whose name and colon took ``used`` octets.

    Plain ASCII is folded at its spaces; everything else, and text that looks encoded ("=?"),
    becomes encoded-words (RFC 2047). The result has no trailing line end.
    """
    if _PRINTABLE.fullmatch(value) and "=?" not in value and value == value.strip():
        folded = _fold_plain(value, used)
        if folded is not None:
            return folded
    return "\r\n ".join(_encoded_words(value, used))


def _fold_plain(value: str, used: int) -> str | None:
    """``value`` folded before its spaces; None when some word is longer than a line."""
    lines = [""]
    room = LINE_MAX - used
    for piece in re.findall(r" *[^ ]+", value):
        if len(piece) > room and lines[-1]:
            lines.append("")
            room = LINE_MAX
        if len(piece) > room:
            return None
        lines[-1] += piece
        room -= len(piece)
    return "\r\n".join(lines)


def _encoded_words(value: str, used: int) -> Iterator[str]:
    """Encoded-words of at most 75 octets, none of which splits a character (RFC 2047 2, 5)."""
    octets = value.encode()
    payload = _word_payload(octets, "q")
    coding = "q" if len(payload) <= (len(octets) + 2) // 3 * 4 else "b"
    frame = len("=?utf-8?q??=")
    room = min(_ENCODED_WORD_MAX, LINE_MAX - used) - frame
    if coding == "q" and len(payload) <= room:
        yield f"=?utf-8?q?{payload}?="
        return
    chunk = b""
    for character in value:
        longer = chunk + character.encode()
        if chunk and len(_word_payload(longer, coding)) > room:
            yield f"=?utf-8?{coding}?{_word_payload(chunk, coding)}?="
            room = _ENCODED_WORD_MAX - frame
            longer = character.encode()
        chunk = longer
    yield f"=?utf-8?{coding}?{_word_payload(chunk, coding)}?="


def _word_payload(octets: bytes, coding: str) -> str:
    if coding == "b":
        return base64.b64encode(octets).decode("ascii")
    return "".join(map(_Q_WRITTEN.__getitem__, octets))


def fold_mailbox(name: str, address: str, *, used: int) -> str:
    """One mailbox for From or To: ``address`` alone, or a display name and ``<address>``.

    ``address`` must have passed :func:`check_address`; ``name`` is checked here. A name with
    specials is quoted; one that is not ASCII, is long, or looks encoded becomes encoded-words,
    never inside quotes (RFC 2047 5). The address itself is never folded.

    Raises:
        MessageError: the name holds a control character.

    """
    if not name:
        return address
    if _BARE_PHRASE.fullmatch(name) and used + len(name) + len(address) + 3 <= LINE_MAX:
        return f"{name} <{address}>"
    check_text(name, "display name")
    phrase = _phrase(name, used)
    last = len(phrase) - phrase.rfind("\n") - 1 if "\n" in phrase else used + len(phrase)
    gap = " " if last + len(address) + 3 <= LINE_MAX else "\r\n "
    return f"{phrase}{gap}<{address}>"


def _phrase(name: str, used: int) -> str:
    if _PRINTABLE.fullmatch(name) and "=?" not in name:
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        bare = _BARE_PHRASE.fullmatch(name)
        phrase = name if bare else f'"{escaped}"'
        if used + len(phrase) <= LINE_MAX:
            return phrase
    return "\r\n ".join(_encoded_words(name, used))


def date_text(at: datetime) -> str:
    """An instant in UTC as RFC 5322 3.3 writes it.

    Raises:
        ValueError: ``at`` is not in UTC.

    """
    if at.tzinfo is not UTC:
        raise ValueError("a message's date is in UTC")
    return _date_text(at)


@lru_cache(maxsize=16)  # deliveries are dated in groups
def _date_text(at: datetime) -> str:
    iso = at.isoformat()
    return f"{_DAYS[at.weekday()]}, {iso[8:10]} {_MONTHS[at.month]} {iso[:4]} {iso[11:19]} +0000"


_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8}){0,4}")
MESSAGE_ID: Final = re.compile(r"<[A-Za-z0-9._+-]{1,128}@[A-Za-z0-9.-]{1,253}>")
LIST_ID: Final = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+")
MAILTO: Final = re.compile(r"(?!.*=\?)mailto:[!-+\--;=?-~]{3,900}")
DELIVERY: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


def check_form(form: re.Pattern[str], value: str, name: str) -> None:
    """Refuse a machine value that is not of its ``form``; no form lets an encoded-word in.

    Raises:
        MessageError: ``name`` says which header.

    """
    if form.fullmatch(value) is None:
        raise MessageError(f"the {name} {value[:80]!a} is not well-formed")


def thread_headers(thread: str) -> str:
    """In-Reply-To and References of a mail that follows others of its recipient (RFC 5322 3.6.4).

    ``thread`` holds their Message-IDs, the oldest first, parted by blanks: the last is the parent.
    Each stands on a line of its own, so that none is ever broken.

    Raises:
        MessageError: one of them is no Message-ID.

    """
    ids = thread.split(" ")
    for each in ids:
        check_form(MESSAGE_ID, each, "earlier Message-ID")
    chain = "\r\n ".join(ids)
    return f"In-Reply-To: {ids[-1]}\r\nReferences: {chain}\r\n"


def constant_headers(
    sender: Sender,
    *,
    subject: str | None,
    language: str,
    content_type: str,
) -> tuple[tuple[str, str], ...]:
    """Headers that are the same in every mail of a message, folded and encoded.

    ``subject`` is None when it differs from mail to mail.

    Raises:
        MessageError: a text holds a control character, an address is not one plain address, the
            subject is empty, or ``language`` is no language tag (RFC 5646).

    """
    check_text(subject or "", "subject")
    check_text(sender.name, "sender's name")
    if subject is not None and not subject.strip():
        raise MessageError("the subject is empty")
    if not _LANGUAGE.fullmatch(language):
        raise MessageError(f"{language[:40]!r} is not a language tag")
    address = check_address(sender.address, "sender's address")
    headers = [("From", fold_mailbox(sender.name, address, used=len("From: ")))]
    if sender.reply_to:
        headers.append(("Reply-To", check_address(sender.reply_to, "reply-to address")))
    if subject is not None:
        headers.append(("Subject", fold_text(subject, used=len("Subject: "))))
    return (
        *headers,
        ("MIME-Version", "1.0"),
        ("Content-Type", content_type),
        ("Content-Language", language),
    )
