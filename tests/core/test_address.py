from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.core.address import (
    address_fault,
    hidden_fault,
    is_wire_address,
    key_of,
    visible,
)


@pytest.mark.parametrize(
    "text",
    [
        "jane@paper.example",
        "Jane.Doe@Paper.Example",
        "o'brien+press@mail.paper.example",
        "a@b.example",
        "x" * 64 + "@paper.example",
        "desk-7@xn--bcher-kva.example",
    ],
)
def test_an_ordinary_address_may_stand_in_rcpt_as_it_is(text: str) -> None:
    assert address_fault(text) is None
    assert is_wire_address(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ('"jane doe"@paper.example', "quoted"),
        ('"@paper.example', "quoted"),
        ("jane(news)@paper.example", "comment"),
        ("Jane <jane@paper.example>", "angle"),
        ("staff:jane@paper.example;", "before the @"),
        ("@relay.example:jane@paper.example", "more than one @"),
        ("a@b.example,c@d.example", "more than one @"),
        ("a@evil.example:b@paper.example", "more than one @"),
        ("jane@[192.0.2.1]", "literal IP"),
        ("jane@[IPv6:2001:db8::1]", "literal IP"),
        ("jane@192.0.2.1", "number"),
        ("=?utf-8?q?jane?=@paper.example", "encoded word"),
        ("x" * 65 + "@paper.example", "more than 64"),
        ("é" * 33 + "@paper.example", "more than 64"),
        ("jane@paper.example\r\nBcc: x@y.example", "line break"),
        ("jane@paper.example\n", "line break"),
        ("jane\0@paper.example", "NUL"),
        ("jane\u2028@paper.example", "line break"),
        ("jane@pa\u202eper.example", "direction"),
        ("jane@pa\u200bper.example", "without width"),
        ("jane\ud800@paper.example", "cannot be seen"),
        ("jane", "has no @"),
        ("@paper.example", "nothing before"),
        ("jane@", "nothing after"),
        (".jane@paper.example", "before the @"),
        ("jane.@paper.example", "before the @"),
        ("ja..ne@paper.example", "before the @"),
        ("jane doe@paper.example", "before the @"),
        ("jane@paper", "no dot"),
        ("jane@paper..example", "after the @"),
        ("jane@-paper.example", "after the @"),
        ("jane@paper-.example", "after the @"),
        ("jane@pa_per.example", "after the @"),
        ("jane@paper.example.", "after the @"),
        ("jane@paper.example,", "after the @"),
        ("jane@" + "x" * 64 + ".example", "part of more than 63"),
        ("jane@" + "x." * 126 + "example", "more than 253"),
        ("x" * 64 + "@" + "y" * 60 + "." + "y" * 60 + "." + "y" * 60 + ".example", "more than 254"),
    ],
)
def test_row_6_what_is_not_one_strict_mailbox_is_refused_with_its_reason(
    text: str, reason: str
) -> None:
    fault = address_fault(text)
    assert fault is not None
    assert reason in fault
    assert not is_wire_address(text)


def test_an_address_beyond_ascii_has_a_good_shape_but_is_not_for_the_wire() -> None:
    assert address_fault("jürgen@bücher.example") is None
    assert address_fault("jane@bücher。example") is None
    assert not is_wire_address("jürgen@bücher.example")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Jane@Paper.Example", "jane@paper.example", True),
        ("JU\u0308RGEN@x.example", "jürgen@x.example", True),
        ("jane.doe@x.example", "janedoe@x.example", False),
        ("jane+news@x.example", "jane@x.example", False),
    ],
)
def test_row_8_case_alone_makes_no_second_address(one: str, other: str, *, same: bool) -> None:
    assert (key_of(one) == key_of(other)) is same


@given(st.text(max_size=100))
def test_what_is_passed_for_the_wire_holds_one_at_and_nothing_hidden(text: str) -> None:
    if is_wire_address(text):
        assert text.count("@") == 1
        assert text.isascii()
        assert not set(text) & set('\r\n\0\t "(),:;<>[]\\')


@given(st.text(alphabet=st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"]), min_size=1))
def test_no_hidden_character_passes_in_any_text(text: str) -> None:
    assert hidden_fault(f"Jane{text}Doe") is not None


def test_a_note_may_have_lines_and_tabs_but_nothing_else_hidden() -> None:
    assert hidden_fault("one\n\ttwo", lines=True) is None
    assert hidden_fault("one\rtwo", lines=True) is not None
    assert hidden_fault("one\n\u202etwo", lines=True) is not None


def test_letters_of_every_script_pass() -> None:
    for name in (
        "Ólafur Þór",
        "Αλέξης",
        "Мария",
        "李小龙",
        "محمد",
        "दिव्या",
        "O\u2019Brien",
        "A\u00a0B",
    ):
        assert hidden_fault(name) is None


def test_a_quoted_text_shows_what_cannot_be_seen_and_is_cut() -> None:
    assert visible("a\r\n\u202eb\x1b[31m") == "a\\r\\n\\u202eb\\x1b[31m"
    assert visible("x" * 100, limit=10) == "x" * 9 + "…"
