"""The mail with an attachment and a picture, octet for octet, and as two other readers have it.

``GOLDEN_UPDATE=1 pytest tests/golden`` writes the file anew: read the difference, then commit.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path
from typing import Final

import fast_mail_parser
import pytest

from distributor.core.final import whole_of
from distributor.core.model import Attachment, Picture
from distributor.mail.compiling import compile_message, letter_of
from tests.golden.samples import EMBARGOED, JANE, LIFT, TEMPLATES
from tests.pictures import PDF, jpeg, png

FILE: Final = Path(__file__).parent / "attachments.eml"
FERRY, PIER = png(width=48, height=30), jpeg(width=64, height=40)
OCTETS: Final = {hashlib.sha256(data).hexdigest(): data for data in (FERRY, PIER, PDF)}
(FERRY_HASH, PIER_HASH, PDF_HASH) = OCTETS
ATTACHMENTS: Final = (
    Attachment(
        FERRY_HASH,
        "ferry.png",
        "image/png",
        len(FERRY),
        Picture(
            "The red ferry at Mordale pier",
            48,
            30,
            "The ferry in May.",
            "Zoë Öz/Harbour Trust",
        ),
    ),
    Attachment(PDF_HASH, "Winter “timetable” – Überblick.pdf", "application/pdf", len(PDF)),
    Attachment(PIER_HASH, "pier.jpg", "image/jpeg", len(PIER), Picture("The pier", 64, 40)),
    Attachment(
        hashlib.sha256(b"day,first,last\n1,06:40,21:20\n").hexdigest(),
        "sailings.csv",
        "text/csv; charset=utf-8",
        29,
    ),
)
OCTETS[ATTACHMENTS[-1].digest] = b"day,first,last\n1,06:40,21:20\n"
NAMES: Final = {each.name: OCTETS[each.digest] for each in ATTACHMENTS}


def test_the_mail_is_the_one_that_is_kept() -> None:
    content = replace(EMBARGOED, draft=replace(EMBARGOED.draft, attachments=ATTACHMENTS))

    def octets_of(digest: str) -> list[bytes]:
        return [OCTETS[digest]]

    message = compile_message(content, kind="release", templates=TEMPLATES, octets_of=octets_of)
    letter = letter_of(message, content.sender, octets_of=octets_of)
    data = whole_of(letter.copy_for(JANE, reference="9t4mq2k7f3", date=LIFT))
    if os.environ.get("GOLDEN_UPDATE") == "1":
        FILE.write_bytes(data)
    assert FILE.read_bytes() == data


def test_the_standard_library_gives_back_the_same_octets_and_finds_no_defect() -> None:
    mail = message_from_bytes(FILE.read_bytes(), policy=policy.default)
    assert not any(part.defects for part in mail.walk())
    assert [part.get_content_type() for part in mail.walk()] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "image/jpeg",
        "application/pdf",
        "text/csv",
    ]
    found = {part.get_filename(): part.get_payload(decode=True) for part in mail.walk()}
    del found[None]
    assert found == NAMES
    assert [part.get_filename() for part in mail.iter_attachments()] == [
        "Winter “timetable” – Überblick.pdf",
        "sailings.csv",
    ]


def test_another_reader_gives_back_the_same_octets_under_the_same_names() -> None:
    mail = fast_mail_parser.parse_email(FILE.read_bytes())
    assert {each.filename: bytes(each.content) for each in mail.attachments} == NAMES
    (text,) = mail.text_plain
    assert "[Picture: The red ferry at Mordale pier]" in text
    (html,) = mail.text_html
    assert f"cid:{FERRY_HASH[:32]}@forum.example" in html


@pytest.mark.parametrize("each", ATTACHMENTS[::2], ids=lambda each: each.name)
def test_each_picture_is_found_by_what_the_html_calls_it(each: Attachment) -> None:
    mail = message_from_bytes(FILE.read_bytes(), policy=policy.default)
    html = mail.get_body(("html",))
    assert html is not None
    (part,) = [part for part in mail.walk() if part.get_filename() == each.name]
    assert f'src="cid:{str(part["Content-ID"])[1:-1]}"' in html.get_content()
    assert each.picture is not None
    assert f'alt="{each.picture.alt}"' in html.get_content()
