"""What may be written to a mail server: addresses, parameters, and the lines of a body."""

from __future__ import annotations

import re
from typing import Final

_ATOM = r"(?:[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]|[^\x00-\xa0\u2000-\u200f\u2028-\u202f\u2066-\u2069])+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_MAILBOX = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@({_LABEL}(?:\.{_LABEL})*)")
_ASCII_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
#: The same without letters beyond ASCII, and short enough: nearly every address, read quickly.
_USUAL = re.compile(
    rf"(?=[^@]{{1,64}}@)(?=.{{1,254}}\Z){_ASCII_ATOM}(?:\.{_ASCII_ATOM})*@{_LABEL}(?:\.{_LABEL})*"
).fullmatch
#: RFC 5321 4.5.3.1: octets of a local part, and of a mailbox (a path of 256 less its brackets).
_MAX_LOCAL: Final = 64
_MAX_MAILBOX: Final = 254
#: RFC 3461 4: what stands for itself in an xtext.
_XTEXT: Final = frozenset(range(33, 127)) - set(b"+=")
_PLAIN = re.compile(r"[!-*,-<>-~]*")


def is_mailbox(address: str) -> bool:
    """Whether ``address`` is the plain Mailbox of RFC 5321 that we send to, and nothing else.

    A dot-string local part and a domain of letters, digits and hyphens (A-labels). No quotes,
    routes, comments, groups or literals: row 6 of reliability section 6.
    """
    if _USUAL(address):
        return True
    match = _MAILBOX.fullmatch(address)
    if match is None:
        return False
    try:
        local, whole = len(match[1].encode()), len(address.encode())
    except UnicodeEncodeError:
        return False
    return local <= _MAX_LOCAL and whole <= _MAX_MAILBOX and match[1].isprintable()


def dot_stuffed(data: bytes) -> bytes:
    """Return ``data`` as it goes on the wire before the final dot (RFC 5321 4.5.2)."""
    if data.startswith(b"."):
        data = b"." + data
    data = data.replace(b"\r\n.", b"\r\n..")
    return data if data.endswith(b"\r\n") else data + b"\r\n"


def xtext(text: str) -> str:
    """Return ``text`` as a parameter of a command may hold it (RFC 3461 4)."""
    if _PLAIN.fullmatch(text):
        return text
    return "".join(chr(octet) if octet in _XTEXT else f"+{octet:02X}" for octet in text.encode())


def has_bare_endings(data: bytes) -> bool:
    """Whether ``data`` has CR or LF apart, or NUL: row 3 of reliability section 6."""
    ends = data.count(b"\r\n")
    return data.count(b"\n") != ends or data.count(b"\r") != ends or b"\0" in data
