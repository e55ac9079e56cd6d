"""Return paths: an envelope sender of its own for each delivery, signed against forgery.

A notice of failure then names the delivery it is about.

``press@desk.example`` becomes ``press+<reference>.<code>@desk.example``. The code is a keyed
BLAKE2s of the reference (RFC 7693), 80 bits of it, in lower-case base 32, for servers on the way
fold case (reliability section 6, row 27).
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2s
from typing import Final

from distributor.core.address import ADDRESS_MAX, LOCAL_MAX

#: Octets of the key that a database makes once.
KEY_OCTETS: Final = 32
#: Parts what the mailbox is called from what the mail is called (sub-addressing, RFC 5233).
_SEPARATOR: Final = "+"
#: What the key is used for here (at most 8 octets), so that a code is of no use elsewhere.
_PURPOSE: Final = b"returned"
_CODE_OCTETS: Final = 10
_CODE_LENGTH: Final = 16
#: Characters that a delivery's reference has: 12 octets, written in hexadecimal.
_REFERENCE_LENGTH: Final = 24
#: What is added before the @, and so how long the mailbox may be called by itself.
ADDED: Final = len(_SEPARATOR) + _REFERENCE_LENGTH + len(".") + _CODE_LENGTH
BASE_MAX: Final = LOCAL_MAX - ADDED
_SIGNS: Final = "abcdefghijklmnopqrstuvwxyz234567"
#: Ten bits are two signs (RFC 4648 section 6).
_PAIRS: Final = tuple(first + second for first in _SIGNS for second in _SIGNS)
_SHIFTS: Final = tuple(range(70, -1, -10))


@dataclass(frozen=True, slots=True)
class ReturnPath:
    """Where notices of failure go: ``address``, or the sender's own while that is empty.

    With a ``key`` each delivery has an address of its own there, without one all have the same.
    """

    address: str = ""
    key: bytes | None = field(default=None, repr=False)

    def of(self, reference: str, *, sender: str) -> str:
        """The envelope sender of one delivery.

        An address that leaves no room for a reference is used as it is: a mail that leaves and
        can be matched by its other marks is better than one that does not leave.
        """
        address = self.address or sender
        if self.key is None or not has_room(address, len(reference)):
            return address
        return signed(address, reference, key=self.key)


@lru_cache(maxsize=64)
def has_room(address: str, length: int = _REFERENCE_LENGTH) -> bool:
    """Whether a reference of that length and its code fit into the address (RFC 5321 4.5.3.1)."""
    added = len(_SEPARATOR) + length + len(".") + _CODE_LENGTH
    return len(address.partition("@")[0]) + added <= LOCAL_MAX and (
        len(address) + added <= ADDRESS_MAX
    )


def signed(address: str, reference: str, *, key: bytes) -> str:
    """The address with the reference and its code added. ``reference`` is in lower case."""
    before, after = _around(address)
    return f"{before}{reference}.{_code(reference, key)}{after}"


@lru_cache(maxsize=64)
def _around(address: str) -> tuple[str, str]:
    """What stands before a reference, and after its code."""
    local, _, domain = address.rpartition("@")
    return f"{local}{_SEPARATOR}", f"@{domain}"


def reference_in(address: str, *, key: bytes) -> str | None:
    """The reference that a returned mail's address names; None when we did not sign it.

    Case does not count. Codes are compared in constant time.
    """
    local = address.rpartition("@")[0].lower()
    _, separator, tag = local.rpartition(_SEPARATOR)
    reference, dot, code = tag.rpartition(".")
    if not separator or not dot or not reference.isascii() or not code.isascii():
        return None
    return reference if hmac.compare_digest(code, _code(reference, key)) else None


def _code(reference: str, key: bytes) -> str:
    digest = blake2s(
        reference.encode("ascii"), key=key, digest_size=_CODE_OCTETS, person=_PURPOSE
    ).digest()
    number = int.from_bytes(digest, "big")
    return "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])
