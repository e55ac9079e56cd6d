from __future__ import annotations

import pytest

from distributor.core.address import Address
from distributor.core.contact import NewContact
from distributor.core.model import Finding
from distributor.intake.addresses import read_address, read_beats, read_contact


@pytest.mark.parametrize(
    ("text", "wire", "key"),
    [
        ("jane@paper.example", "jane@paper.example", "jane@paper.example"),
        (" News@Paper.EXAMPLE ", "News@Paper.EXAMPLE", "news@paper.example"),
        ("jane@server.test", "jane@server.test", "jane@server.test"),
        ("Jane@Bücher.example", "Jane@xn--bcher-kva.example", "jane@xn--bcher-kva.example"),
        ("jane@straße.example", "jane@xn--strae-oqa.example", "jane@xn--strae-oqa.example"),
        ("jürgen@bücher.example", None, "jürgen@xn--bcher-kva.example"),
    ],
)
def test_an_address_keeps_its_spelling_and_gets_a_wire_form_and_a_key(
    text: str, wire: str | None, key: str
) -> None:
    assert read_address(text) == Address(shown=text.strip(), wire=wire, key=key)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "jane",
        '"jane doe"@paper.example',
        "jane(news)@paper.example",
        "a@b.example,c@d.example",
        "a@evil.com:b@x.com",
        "jane@[192.0.2.1]",
        "x" * 65 + "@paper.example",
        "jane@paper.example\r\n",
        "jane@newsroom.local",
        "jane@localhost",
        "jane@paper.invalid",
        "jane@xn--\u00fc.example",
        "jane@xn--zzzzzzzzzzzz99999.example",
        "jane@a\u00a0b.example",
    ],
)
def test_row_6_anything_else_is_a_finding(text: str) -> None:
    found = read_address(text, line=7)
    assert isinstance(found, Finding)
    assert (found.severity, found.line) == ("error", 7)
    assert "\n" not in found.message


def test_a_contact_with_several_faults_is_one_finding_that_names_them_all() -> None:
    found = read_contact(
        {"address": "jane", "name": "J\u202ea", "language": "English!", "beats": "x" * 101},
        line=3,
    )
    assert isinstance(found, Finding)
    for words in ("has no @", "name holds", "beat has 101", "language code"):
        assert words in found.message


def test_a_text_keeps_its_words_and_loses_the_blanks_around_it() -> None:
    found = read_contact(
        {"address": "a@x.example", "name": "\u00a0 Zoe\u0308 Doe ", "note": "a\r\nb"}
    )
    assert isinstance(found, NewContact)
    assert (found.name, found.note) == ("Zoë Doe", "a\nb")


def test_topics_are_told_apart_and_named_once_in_their_order() -> None:
    assert read_beats(" Health; NHS ,health|Old  age;;") == ("Health", "NHS", "Old  age")
