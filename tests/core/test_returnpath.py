from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.core.address import is_wire_address
from distributor.core.returnpath import BASE_MAX, ReturnPath, has_room, reference_in, signed

KEY = bytes(range(32))
REFERENCE = "0123456789abcdef01234567"
DESK = "press@desk.example"
SIGNED = signed(DESK, REFERENCE, key=KEY)


def test_an_address_carries_its_reference_and_a_code() -> None:
    local, _, domain = SIGNED.partition("@")
    name, _, tag = local.partition("+")
    reference, _, code = tag.partition(".")
    assert (name, reference, domain) == ("press", REFERENCE, "desk.example")
    assert len(code) == 16
    assert code.isascii()
    assert code == code.lower()
    assert reference_in(SIGNED, key=KEY) == REFERENCE


@given(
    key=st.binary(min_size=32, max_size=32),
    reference=st.text("0123456789abcdef", min_size=24, max_size=24),
    local=st.from_regex(r"[a-z0-9+-]{1,20}", fullmatch=True),
)
def test_what_was_signed_is_read_back_and_is_a_strict_mailbox(
    key: bytes, reference: str, local: str
) -> None:
    address = signed(f"{local}@desk.example", reference, key=key)
    assert is_wire_address(address)
    assert reference_in(address, key=key) == reference
    assert reference_in(address.upper(), key=key) == reference


@pytest.mark.parametrize(
    "address",
    [
        "",
        DESK,
        "press+@desk.example",
        "press+.@desk.example",
        f"press+{REFERENCE}@desk.example",
        f"press+{REFERENCE}.@desk.example",
        f"press+{REFERENCE}.aaaaaaaaaaaaaaaa@desk.example",
        SIGNED.replace("0123", "0124"),
        SIGNED.replace("@", "a@"),
        SIGNED.replace("press+", "press"),
        "press+é.é@desk.example",
        "no-at-sign",
    ],
)
def test_row_27_what_we_did_not_sign_names_nobody(address: str) -> None:
    assert reference_in(address, key=KEY) is None


def test_row_27_every_changed_character_is_found() -> None:
    at = SIGNED.index("+") + 1
    for place in range(at, SIGNED.index("@")):
        other = "b" if SIGNED[place] != "b" else "c"
        forged = SIGNED[:place] + other + SIGNED[place + 1 :]
        assert reference_in(forged, key=KEY) is None
    assert reference_in(SIGNED, key=bytes(32)) is None


def test_a_fixed_return_path_is_the_same_for_all() -> None:
    assert ReturnPath().of(REFERENCE, sender=DESK) == DESK
    assert ReturnPath("bounce@x.example").of(REFERENCE, sender=DESK) == "bounce@x.example"


def test_a_signed_one_stands_on_its_own_address_or_on_the_senders() -> None:
    assert ReturnPath(key=KEY).of(REFERENCE, sender=DESK) == SIGNED
    own = ReturnPath("b@returns.example", KEY).of(REFERENCE, sender=DESK)
    assert own.startswith(f"b+{REFERENCE}.")
    assert own.endswith("@returns.example")


def test_an_address_too_long_for_a_reference_is_used_as_it_is() -> None:
    fits, long = f"{'a' * BASE_MAX}@x.example", f"{'a' * (BASE_MAX + 1)}@x.example"
    assert has_room(fits)
    assert len(signed(fits, REFERENCE, key=KEY).partition("@")[0]) == 64
    assert not has_room(long)
    assert ReturnPath(key=KEY).of(REFERENCE, sender=long) == long
    assert not has_room(f"press@{'a' * 60}.{'b' * 60}.{'c' * 60}.{'d' * 40}.example")


def test_the_key_is_not_shown() -> None:
    assert repr(KEY) not in repr(ReturnPath(key=KEY))
    assert "key" not in repr(ReturnPath(key=KEY))
