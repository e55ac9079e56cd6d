"""Every kind of release mail, octet for octet, and the facts a journalist must find in it.

``GOLDEN_UPDATE=1 pytest tests/golden`` writes the files anew: read the difference, then commit.
"""

from __future__ import annotations

import os
import re
from email import message_from_bytes, policy
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from distributor.core.message import check_final, header_names, merge
from distributor.mail.compiling import compile_message, decoded_parts
from tests.golden.samples import GOLDEN, TEMPLATES

if TYPE_CHECKING:
    from email.message import EmailMessage

HERE = Path(__file__).parent


def kept(name: str) -> EmailMessage:
    return message_from_bytes((HERE / f"{name}.eml").read_bytes(), policy=policy.default)


@pytest.mark.parametrize("name", GOLDEN)
def test_the_mail_is_the_one_that_is_kept(name: str) -> None:
    content, personal = GOLDEN[name]
    message = compile_message(content, kind="release", templates=TEMPLATES)
    data = merge(message, personal)
    check_final(data, headers=header_names(message, personal), recipient=personal.recipient.address)
    file = HERE / f"{name}.eml"
    if os.environ.get("GOLDEN_UPDATE") == "1":
        file.write_bytes(data)
    assert file.read_bytes() == data


@pytest.mark.parametrize("name", GOLDEN)
def test_a_kept_mail_parses_without_a_defect_and_says_who_when_and_what(name: str) -> None:
    content, personal = GOLDEN[name]
    mail = kept(name)
    assert not mail.defects
    for part in mail.walk():
        assert not part.defects
    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    assert [found.addr_spec for found in mail["To"].addresses] == [personal.recipient.address]
    assert mail["From"].addresses[0].display_name == content.sender.name
    assert mail["Subject"].endswith(content.draft.headline)
    assert mail["Date"].datetime == personal.date
    assert mail["Content-Language"] == content.language


@pytest.mark.parametrize("name", GOLDEN)
def test_statement_18_text_and_html_hold_the_same_facts(name: str) -> None:
    content, personal = GOLDEN[name]
    text, html = decoded_parts((HERE / f"{name}.eml").read_bytes())
    draft = content.draft
    flat = " ".join(text.split())
    for fact in (
        *(contact.name for contact in draft.contacts),
        *(contact.phone for contact in draft.contacts),
        *(contact.email for contact in draft.contacts),
        draft.headline,
        draft.subheadline,
        content.unsubscribe,
        personal.recipient.address,
        "https://forum.example/buses-2026/survey?route" if name.startswith("long") else None,
    ):
        if fact:
            assert fact in flat
            assert fact in html


def test_the_release_line_stands_first_and_is_the_same_sentence_everywhere() -> None:
    lines = {
        "plain": "For immediate release",
        "embargoed-then-lifted": "Embargo lifted at 00:01 on Tuesday 1 December 2026, "
        "Europe/London (GMT, UTC+00:00)",
        "advance": "EMBARGOED until 00:01 on Tuesday 1 December 2026, "
        "Europe/London (GMT, UTC+00:00)",
        "foreign": "Sperrfrist abgelaufen: Dienstag, 1. Dezember 2026, 01:01 Uhr, "
        "Europe/Vienna (MEZ, UTC+01:00)",
        "french": "Embargo levé\N{NO-BREAK SPACE}: mardi 1er décembre 2026 à 01:01, "
        "Europe/Paris (CET, UTC+01:00)",
        "french-advance": "SOUS EMBARGO jusqu’au mardi 1er décembre 2026 à 01:01, "
        "Europe/Paris (CET, UTC+01:00)",
        "spanish": "Para publicación inmediata",
    }
    for name, line in lines.items():
        text, html = decoded_parts((HERE / f"{name}.eml").read_bytes())
        assert text.startswith(f"{line}\n\n")
        first = html.partition("<p")[2].partition(">")[2].partition("</p>")[0]
        assert unescape(first) == line


def test_only_the_advance_copy_is_called_embargoed() -> None:
    prefixes = ("EMBARGOED 00:01 Tue 1 Dec: ", "SOUS EMBARGO 01:01 mar. 1er déc.: ")
    for name in GOLDEN:
        advance = name.endswith("advance")
        mail = kept(name)
        assert mail["Subject"].startswith(prefixes) == advance
        parts = decoded_parts((HERE / f"{name}.eml").read_bytes())
        for part in parts:
            assert any(sign in part for sign in ("EMBARGOED", "SOUS EMBARGO")) == advance


#: English words of ours that must not stand in a mail of another language.
ENGLISH_WORDS = (
    "Press",
    "Notes to",
    "About",
    "Telephone",
    "Sent to",
    "because",
    "write to",
    "Ends",
)


@pytest.mark.parametrize("name", ["foreign", "french", "french-advance", "spanish"])
def test_a_mail_speaks_one_language(name: str) -> None:
    text, html = decoded_parts((HERE / f"{name}.eml").read_bytes())
    shown = re.sub(r"<style.*?</style>|<[^>]*>", " ", html, flags=re.DOTALL)
    for words in ENGLISH_WORDS:
        assert not re.search(rf"\b{words.upper()}\b", text)
        assert not re.search(rf"\b{words}\b", text)
        assert not re.search(rf"\b{words}\b", shown)


def test_lists_quotes_and_escapes_arrive_whole() -> None:
    text, html = decoded_parts((HERE / "long-bulleted-quoted.eml").read_bytes())
    assert "\n- rural routes are four times" in text
    assert "\n1. Which routes lose money?\n2. For how long can you go on?\n3. What" in text
    assert "\n2. The grant is 22p a litre.\n\n   It ends on 31 March 2027.\n" in text
    assert '"From March there will be nothing before nine."' in text
    assert "\n.Dots at the start of a line stay.\nFrom the start of a line stays too.\n" in text
    assert html.count("<li") == 9
    assert "Harrowgate &amp; then" in html
    assert "&lt;that gets them there&gt;" in html
    assert '<a href="https://forum.example/buses-2026/survey?route=all&amp;year=2026"' in html
    raw = (HERE / "long-bulleted-quoted.eml").read_bytes()
    assert b"\r\n." not in raw
    assert b"\r\nFrom " not in raw
