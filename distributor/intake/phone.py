"""Telephone numbers of press contacts in E.164 (ITU-T), where their country is certain."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import phonenumbers

if TYPE_CHECKING:
    from distributor.core.model import Draft


def with_e164(draft: Draft, zone: str) -> Draft:
    """``draft`` with ``phone_e164`` set for every contact whose number can be dialled abroad.

    The country of ``zone`` (IANA, the desk's) is taken for numbers written as people dial them at
    home; a zone of no country leaves those alone. The numbers as written do not change.
    """
    region = region_of(zone)
    contacts = tuple(
        replace(contact, phone_e164=e164(contact.phone, region)) if contact.phone else contact
        for contact in draft.contacts
    )
    return replace(draft, contacts=contacts)


def e164(number: str, region: str | None) -> str | None:
    """``number`` in E.164, None when it is no valid number or its country is not certain.

    ``region`` (ISO 3166) is where a number without a country code is dialled.
    """
    is_international = number.lstrip("( ").startswith("+")
    if not is_international and (region is None or not _is_home_form(number, region)):
        return None
    try:
        parsed = phonenumbers.parse(number, None if is_international else region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(parsed):
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


@cache
def region_of(zone: str) -> str | None:
    """The country of an IANA zone (ISO 3166), by the zone database; None when it names none."""
    table = files("tzdata").joinpath("zoneinfo", "zone.tab").read_text("utf-8")
    for line in table.splitlines():
        if not line.startswith("#"):
            country, _, name = line.split("\t")[:3]
            if name == zone:
                return country
    return None


def _is_home_form(number: str, region: str) -> bool:
    """Whether ``number`` begins as one is dialled in ``region``: with its trunk prefix, if any.

    Without this a US number would pass for a British one that somebody wrote without its 0.
    """
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    prefix = metadata.national_prefix if metadata else None
    digits = "".join(sign for sign in number if sign.isdigit())
    # North America's prefix, 1, is the country code, too, and is mostly left out.
    return metadata is not None and (prefix in {None, "", "1"} or digits.startswith(str(prefix)))
