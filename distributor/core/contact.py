"""A contact as it comes in, from a table or a person: its fields, their keys and their limits."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from distributor.core.address import hidden_fault

if TYPE_CHECKING:
    from distributor.core.address import Address

#: Plain text fields of a contact with the most characters each may have. A header line holds 998
#: octets (RFC 5322 2.1.1); a name is far from that.
TEXT_FIELDS: Final = {
    "name": 200,
    "given_name": 100,
    "family_name": 100,
    "outlet": 200,
    "role": 200,
    "phone": 60,
    "language": 35,
    "zone": 60,
    "note": 4000,
}
_LIMITS: Final = TEXT_FIELDS | {"beat": 100, "list name": 100, "evidence": 1000}


@dataclass(frozen=True, slots=True)
class NewContact:
    """What somebody says of a journalist. An empty text means "not said", never "make it empty"."""

    address: Address
    name: str = ""
    given_name: str = ""
    family_name: str = ""
    outlet: str = ""
    role: str = ""
    phone: str = ""
    language: str = ""
    zone: str = ""
    note: str = ""
    beats: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        """The name as said, else put together from its two parts."""
        return self.name or full_name(self.given_name, self.family_name)


def full_name(given: str, family: str) -> str:
    """One name of its two parts, either of which may be empty."""
    return f"{given} {family}".strip()


def name_key(name: str) -> str:
    """The form two names of a list, an outlet or a beat are compared in: NFC, spaces, case."""
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


def text_fault(field: str, value: str) -> str | None:
    """Why ``value`` may not stand in ``field``; None when it may.

    ``field`` is one of TEXT_FIELDS, ``beat``, ``list name`` or ``evidence``. Nothing is stripped
    silently (reliability row 1): the reason names the field and the character.
    """
    label = field.replace("_", " ")
    limit = _LIMITS[field]
    if len(value) > limit:
        return f"{label} has {len(value)} characters; {limit} fit"
    hidden = hidden_fault(value, lines=field == "note")
    return None if hidden is None else f"{label} {hidden}"
