"""Names of attachments: what is refused at entry, and what mail programs read."""

from __future__ import annotations

from email import message_from_bytes, policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.core.filename import NAME_MAX, ascii_name, checked_name, disposition_of
from distributor.errors import InputError


@pytest.mark.parametrize(
    "sign", ["\r", "\n", "\0", "\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1b", "\x7f", "\udc80"]
)
def test_row_1_a_control_character_in_an_attachment_name_is_refused(sign: str) -> None:
    with pytest.raises(InputError, match=r"U\+") as refused:
        checked_name(f"plan{sign}Bcc: a@b.example.pdf")
    assert sign not in str(refused.value)
    assert refused.value.remedy == "Rename the file and attach it again."


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "..\\..\\windows\\system.ini",
        "C:\\a.pdf",
        "a/b.pdf",
        "a\0.pdf",
        "a.pdf:stream",
        "..",
        ".",
        "",
        " ",
        "CON",
        "con.pdf",
        "NUL.tar.gz",
        "com1.pdf",
        "LPT\N{SUPERSCRIPT ONE}.pdf",
        "a.pdf.",
        "a.pdf ",
        " a.pdf",
        "a?.pdf",
        "a*.pdf",
        "<a>.pdf",
        "a|b.pdf",
    ],
)
def test_row_23_a_name_that_means_a_place_or_a_device_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="The attachment name"):
        checked_name(name)


@pytest.mark.parametrize("sign", ["\u202e", "\u202d", "\u2066", "\u200e", "\u200b", "\ufeff"])
def test_a_name_that_is_shown_otherwise_than_it_is_is_refused(sign: str) -> None:
    with pytest.raises(InputError, match=r"U\+"):
        checked_name(f"harmless{sign}fdp.exe")


def test_a_name_of_300_characters_is_refused_with_its_length() -> None:
    with pytest.raises(InputError, match="has 300 characters; 120 is the most"):
        checked_name("a" * 296 + ".pdf")
    assert checked_name("a" * (NAME_MAX - 4) + ".pdf")


def test_a_name_is_kept_in_its_composed_form() -> None:
    assert checked_name("Bru\u0308cke.pdf") == "Br\u00fccke.pdf"


NAMES = [
    "plan.pdf",
    "The plan (final), 2026.pdf",
    'The "plan".pdf',
    "100%.pdf",
    "Übersicht Brücken.pdf",
    "Żółć’s naïve résumé.docx",
    "新聞稿.pdf",
    "بيان صحفي.pdf",
    "🌉 bridge.png",
    "a  b.pdf",
    "x" * 116 + ".pdf",
    "ж" * 116 + ".pdf",
    "it's.pdf",
    "a;b.pdf",
]


def read_back(name: str, *, strict: bool) -> str | None:
    data = (
        f'Content-Type: application/pdf;\r\n name="{ascii_name(name)}"\r\n'
        f"Content-Disposition: attachment;\r\n {disposition_of(name)}\r\n\r\nx"
    ).encode("ascii")
    if strict:
        message = message_from_bytes(data, policy=policy.default)
        assert not message["Content-Disposition"].defects
        assert not message["Content-Type"].defects
        return message.get_filename()
    return message_from_bytes(data).get_filename()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("strict", [True, False])
def test_statement_16_a_name_of_any_script_is_read_back(name: str, strict: bool) -> None:  # noqa: FBT001
    assert read_back(checked_name(name), strict=strict) == name


@given(st.text(max_size=NAME_MAX))
def test_a_name_is_refused_or_read_back_and_stays_within_a_line(name: str) -> None:
    try:
        name = checked_name(name)
    except InputError:
        return
    assert read_back(name, strict=True) == name
    for line in (f' name="{ascii_name(name)}"', f" {disposition_of(name)}"):
        assert len(line) <= 998
        assert line.isascii()
        assert line.isprintable()
        assert "  " not in line


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("Übersicht.pdf", "Ubersicht.pdf"),
        ("新聞稿.pdf", "___.pdf"),
        ('a"b.pdf', "a_b.pdf"),
        ("a\\b", "a_b"),
        ("🌉", "_"),
    ],
)
def test_statement_16_old_programs_get_a_name_of_plain_letters(name: str, plain: str) -> None:
    assert ascii_name(name) == plain
