"""What an e-mail address is to this program: how it is written, compared and shown.

Invariant: nothing here mends an address. One that is not exactly right is refused with its reason,
because the standard library and the relay would each mend it in their own way and somebody else
would get the mail.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

#: RFC 5321 4.5.3.1: octets of a local part, of a domain (less the two of RFC 1035), of a path.
LOCAL_MAX: Final = 64
DOMAIN_MAX: Final = 253
ADDRESS_MAX: Final = 254
LABEL_MAX: Final = 63

# RFC 5321 4.1.2 Dot-string and sub-domain, widened by RFC 6531 3.3 to what lies beyond ASCII.
_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-]+\Z")
_LETTER = r"A-Za-z0-9\x80-\U0010ffff"
_LABEL = re.compile(rf"[{_LETTER}]([{_LETTER}-]*[{_LETTER}])?\Z")

_AROUND: Final = {
    '"': "a quoted part",
    "(": "a comment",
    "<": "angle brackets",
    "[": "a literal IP",
    "=?": "an encoded word",
}


@dataclass(frozen=True, slots=True)
class Address:
    """One person's e-mail address.

    ``shown`` is as a person wrote it; ``wire`` is the ASCII form a relay gets (local part exactly
    as written, domain in A-labels, RFC 5890), None when it needs SMTPUTF8 (RFC 6531); ``key``
    tells whether two addresses are the same.
    """

    shown: str
    wire: str | None
    key: str


def key_of(address: str) -> str:
    """The form two addresses are compared in: NFC, then the whole of it casefolded.

    RFC 5321 2.4 lets a server tell ``Jane@`` from ``jane@``; newsrooms' servers do not, and mailing
    a journalist twice is worse than merging two rows (reliability row 8, bettered: no other magic,
    so dots and plus signs still tell addresses apart). The domain must already be in A-labels.
    """
    return unicodedata.normalize("NFC", address).casefold()


def is_wire_address(text: str) -> bool:
    """True when ``text`` may stand in RCPT TO as it is: ASCII and one strict Mailbox."""
    return text.isascii() and address_fault(text) is None


def address_fault(text: str) -> str | None:
    """Why ``text`` is not one strict Mailbox (RFC 5321 4.1.2, dot-string and domain name only).

    None when it is. Beyond ASCII only the shape is judged: whether a domain may be registered so is
    for the reader at the door.
    """
    return hidden_fault(text) or _written_fault(text) or _mailbox_fault(text)


def _written_fault(text: str) -> str | None:
    """What e-mail programs write around or beside an address (RFC 5322 3.4), and we do not take."""
    if not text:
        return "is empty"
    for sign, meaning in _AROUND.items():
        if sign in text:
            return f"has {meaning}"
    return None


def _mailbox_fault(text: str) -> str | None:
    local, at, domain = text.partition("@")
    if not at:
        return "has no @"
    if "@" in domain:
        return "has more than one @: one address only"
    return _local_fault(local) or _domain_fault(domain) or _length_fault(text)


def _local_fault(local: str) -> str | None:
    if not local:
        return "has nothing before the @"
    if len(local.encode()) > LOCAL_MAX:
        return f"has more than {LOCAL_MAX} characters before the @"
    if not all(_ATOM.match(atom) for atom in local.split(".")):
        return "has characters or dots before the @ that may not stand there"
    return None


def _domain_fault(domain: str) -> str | None:
    if not domain:
        return "has nothing after the @"
    if len(domain.encode()) > DOMAIN_MAX:
        return f"has more than {DOMAIN_MAX} characters after the @"
    # UTS 46 takes these three for dots as well; the reader at the door turns them into A-labels.
    labels = re.split(r"[.\u3002\uff0e\uff61]", domain)
    if len(labels) == 1:
        return "has no dot after the @"
    return _labels_fault(labels)


def _labels_fault(labels: list[str]) -> str | None:
    if any(len(label) > LABEL_MAX for label in labels):
        return f"has a part of more than {LABEL_MAX} characters after the @"
    if not all(_LABEL.match(label) for label in labels):
        return "has characters or dots after the @ that may not stand there"
    return "has a number for its domain" if labels[-1].isdigit() else None


def _length_fault(text: str) -> str | None:
    return f"has more than {ADDRESS_MAX} characters" if len(text.encode()) > ADDRESS_MAX else None


def hidden_fault(text: str, *, lines: bool = False) -> str | None:
    """Name the first character that cannot be seen or must not stand in a header; or None.

    Control characters, line and paragraph separators, lone surrogates, and format characters:
    bidirectional overrides and zero-width signs (reliability rows 1 and 5). ``lines`` lets line
    feeds and tabs stand, for texts that never go into a header.
    """
    for sign in text:
        if sign.isprintable() or (lines and sign in "\n\t"):
            continue
        if unicodedata.category(sign) in _HIDDEN:
            return (
                f"holds {_NAMES.get(sign, 'a character that cannot be seen')} (U+{ord(sign):04X})"
            )
    return None


_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_NAMES: Final = (
    {"\n": "a line break", "\r": "a line break", "\0": "a NUL", "\t": "a tab"}
    | dict.fromkeys("\x0b\x0c\x85\u2028\u2029", "a line break")
    | dict.fromkeys("\u202a\u202b\u202c\u202d\u202e", "a change of writing direction")
    | dict.fromkeys("\u2066\u2067\u2068\u2069\u200e\u200f\u061c", "a change of writing direction")
    | dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff", "a sign without width")
)


def visible(text: str, *, limit: int = 80) -> str:
    r"""``text`` fit to be quoted: what cannot be seen as ``\uXXXX``, cut at ``limit``."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in cut
    )
