"""Addresses and contacts at the door: what a person or a table wrote -> a value, or a finding.

Invariant: no network. Whether a domain takes mail is the relay's to say, not a name server's.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

from email_validator import EmailNotValidError, validate_email

from distributor.core.address import Address, address_fault, key_of, visible
from distributor.core.contact import TEXT_FIELDS, NewContact, name_key, text_fault
from distributor.core.model import Finding
from distributor.core.timing import zone_spelled
from distributor.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: BCP 47 as far as a press office needs it: language, then script or region.
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8})*\Z", re.IGNORECASE)
#: What surrounds a value in a cell or an argument without belonging to it. Line breaks are not
#: among it: one at the end of an address is a finding (reliability row 1).
_AROUND: Final = " \t\u00a0"
_BETWEEN_BEATS: Final = re.compile(r"[;,|]")


def read_address(text: str, *, line: int | None = None) -> Address | Finding:
    """One address as written -> what is stored, compared and sent; or why not (row 6).

    ``.example`` names pass, and ``.test`` names too (RFC 2606): neither can belong to a stranger,
    and a rehearsal against a test server needs them. Other special-use names are refused.
    """
    address = text.strip(_AROUND)
    fault = address_fault(address)
    if fault is not None:
        return _bad_address(address, fault, line)
    try:
        checked = validate_email(
            address,
            check_deliverability=False,
            test_environment=True,
            strict=True,
        )
    except EmailNotValidError as error:
        return _bad_address(address, f"cannot be used: {error}", line)
    # The library lowers the case of some local parts (info@, news@); what goes on the wire stays
    # as written. What it turned into A-labels is needed.
    local, _, domain = address.partition("@")
    wire_domain = domain if domain.isascii() else checked.ascii_domain
    wire = f"{local}@{wire_domain}" if local.isascii() else None
    return Address(shown=address, wire=wire, key=key_of(f"{local}@{checked.ascii_domain}"))


def stated_address(text: str) -> Address:
    """The one address a person stated in an order.

    Raises:
        InputError: It is not one; the message says why.

    """
    address = read_address(text)
    if isinstance(address, Finding):
        raise InputError(f"{address.message[0].upper()}{address.message[1:]}.")
    return address


def stated_contact(values: Mapping[str, str]) -> NewContact:
    """The contact a person stated in an order: as :func:`read_contact`.

    Raises:
        InputError: Something of it cannot be taken; the message names all that is wrong.

    """
    contact = read_contact(values)
    if isinstance(contact, Finding):
        raise InputError(f"{contact.message[0].upper()}{contact.message[1:]}.")
    return contact


def _bad_address(address: str, fault: str, line: int | None) -> Finding:
    if not address:
        return Finding("address-missing", "error", "there is no address", line)
    return Finding("address", "error", f'the address "{visible(address)}" {fault}', line)


def read_contact(values: Mapping[str, str], *, line: int | None = None) -> NewContact | Finding:
    """A contact's fields as written -> one contact; or one finding naming all that is wrong.

    ``values`` holds ``address`` and any of TEXT_FIELDS; ``beats`` is one text, its topics separated
    by comma, semicolon or bar.
    """
    address = read_address(values.get("address", ""), line=line)
    texts = {field: clean(values.get(field, "")) for field in TEXT_FIELDS}
    beats = read_beats(values.get("beats", ""))
    faults = [text_fault(field, value) for field, value in texts.items()]
    faults += [text_fault("beat", beat) for beat in beats]
    faults += [language_fault(texts["language"]), zone_fault(texts["zone"])]
    reasons = [fault for fault in faults if fault is not None]
    if isinstance(address, Finding):
        words = "; ".join([address.message, *reasons])
        return Finding(address.code, "error", words, line)
    if reasons:
        words = f"{visible(address.shown)}: {'; '.join(reasons)}"
        return Finding("contact", "error", words, line)
    texts["zone"] = zone_spelled(texts["zone"]) or ""
    return NewContact(address=address, beats=beats, **texts)


def clean(value: str) -> str:
    """A cell's text without the blanks around it, composed (NFC); lines end in LF."""
    return unicodedata.normalize("NFC", value.strip(_AROUND)).replace("\r\n", "\n")


def read_beats(text: str) -> tuple[str, ...]:
    """The topics in ``text``, each once, in their order."""
    named: dict[str, str] = {}
    for part in _BETWEEN_BEATS.split(text):
        named.setdefault(name_key(part), clean(part))
    return tuple(beat for key, beat in named.items() if key)


def language_fault(value: str) -> str | None:
    """Why ``value`` is not a language tag; None when it is, or is empty."""
    if not value or _LANGUAGE.match(value):
        return None
    return f'"{visible(value)}" is no language code like en or de-AT'


def zone_fault(value: str) -> str | None:
    """Why ``value`` is not an IANA time zone; None when it is, or is empty."""
    if not value or zone_spelled(value):
        return None
    return f'"{visible(value)}" is no time zone like Europe/London'
