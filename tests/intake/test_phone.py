from __future__ import annotations

import pytest

from distributor.core.model import Draft, PressContact
from distributor.intake.phone import e164, region_of, with_e164


@pytest.mark.parametrize(
    ("number", "region", "dialled"),
    [
        ("020 7946 0018", "GB", "+442079460018"),
        ("0207 946 0018", "GB", "+442079460018"),
        ("+44 (0)20 7946 0018", None, "+442079460018"),
        ("(+44) 20 7946 0018", None, "+442079460018"),
        ("020 7946 0018 ext 12", "GB", "+442079460018"),
        ("(202) 691-5902", "US", "+12026915902"),
        ("+32 2 295 12 34", "GB", "+3222951234"),
        # a US number at a British desk, a home number without a country, too short, words
        ("(202) 691-5902", "GB", None),
        ("020 7946 0018", None, None),
        ("0207", "GB", None),
        ("ring me", "GB", None),
        ("+", "GB", None),
        ("020 7946 0018", "XX", None),
    ],
)
def test_number_is_completed_only_where_its_country_is_certain(
    number: str,
    region: str | None,
    dialled: str | None,
) -> None:
    assert e164(number, region) == dialled


@pytest.mark.parametrize(
    ("zone", "region"),
    [("Europe/London", "GB"), ("America/New_York", "US"), ("UTC", None), ("Europe/Nowhere", None)],
)
def test_region_is_the_country_of_the_zone(zone: str, region: str | None) -> None:
    assert region_of(zone) == region


def test_draft_keeps_numbers_as_written() -> None:
    contacts = (
        PressContact(name="Ann Lee", phone="020 7946 0018"),
        PressContact(email="a@b.example"),
    )
    done = with_e164(Draft(contacts=contacts), "Europe/London")
    assert done.contacts[0].phone == "020 7946 0018"
    assert done.contacts[0].phone_e164 == "+442079460018"
    assert done.contacts[1] == contacts[1]
