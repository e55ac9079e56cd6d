"""The numbered rules of mail, each on the final bytes of a compiled release.

Statements are those of the practice notes, rows those of the hostile inputs.
"""

from __future__ import annotations

import re
from dataclasses import replace
from email import message_from_bytes, policy
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from distributor.core.message import check_final, header_names, merge
from distributor.core.model import Boilerplate, PressContact, Recipient, Sender
from distributor.core.size import HTML_WARNING
from distributor.errors import MessageError
from distributor.mail.compiling import compile_message, decoded_parts
from distributor.mail.look import OURS
from distributor.mail.rendering import render_part
from tests.golden.samples import ADVANCE, EMBARGOED, FOREIGN, LONG, PERSONAL, PLAIN, TEMPLATES, ZOE

if TYPE_CHECKING:
    from collections.abc import Callable

    from distributor.core.message import CompiledMessage, Personal, ReleaseContent
    from distributor.core.model import Draft

ALL = (PLAIN, EMBARGOED, ADVANCE, LONG, FOREIGN)


def compiled(content: ReleaseContent) -> CompiledMessage:
    return compile_message(content, kind="release", templates=TEMPLATES)


def mailed(content: ReleaseContent, personal: Personal = PERSONAL) -> bytes:
    message = compiled(content)
    data = merge(message, personal)
    names = header_names(message, personal)
    check_final(data, headers=names, recipient=personal.recipient.address)
    return data


def with_draft(**changes: object) -> ReleaseContent:
    draft: Draft = replace(EMBARGOED.draft, **changes)  # pyright: ignore[reportArgumentType]
    return replace(EMBARGOED, draft=draft)


def test_statement_11_row_4_long_lines_and_headers_stay_within_bounds() -> None:
    headline = "Überlang " * 500
    data = mailed(
        with_draft(headline=headline.strip(), body="x" * 100_000, notes=("é" * 5_000,)),
        PERSONAL._replace(unsubscribe_mailto=f"mailto:{'u' * 200}@forum.example"),
    )
    head, _, body = data.partition(b"\r\n\r\n")
    assert max(len(line) for line in head.split(b"\r\n")) <= 998
    assert max(len(line) for line in body.split(b"\r\n")) <= 76
    assert re.search(rb"\r\nList-Unsubscribe: <mailto:u{200}@forum\.example>\r\n", data)
    assert "x" * 100_000 in decoded_parts(data)[1]


@pytest.mark.parametrize("content", ALL)
def test_statement_12_each_header_once(content: ReleaseContent) -> None:
    names = [name.lower() for name in message_from_bytes(mailed(content)).keys()]  # noqa: SIM118
    assert len(names) == len(set(names))
    assert {"date", "from", "message-id", "to", "subject"} <= set(names)


def test_statement_13_a_first_mail_answers_no_earlier_one() -> None:
    names = message_from_bytes(mailed(EMBARGOED)).keys()
    assert not {"In-Reply-To", "References"} & set(names)


@pytest.mark.parametrize("content", ALL)
def test_statement_14_row_8_no_other_recipient_stands_anywhere(content: ReleaseContent) -> None:
    message = compiled(content)
    merge(message, ZOE)
    data = merge(message, PERSONAL)
    known = {
        *(PERSONAL.recipient.address, content.sender.address, content.sender.reply_to),
        *(contact.email for contact in content.draft.contacts),
        *(content.unsubscribe, "data@forum.example", PERSONAL.message_id.strip("<>")),
        "unsubscribe+9t4mq2k7f3@forum.example",
    }
    head = data.partition(b"\r\n\r\n")[0].decode()
    text, html = decoded_parts(data)
    found = set(re.findall(r"[\w.+-]+@[\w.-]+\w", f"{head}\n{text}\n{html}"))
    assert found <= known


def test_statement_15_headers_beyond_ascii_are_encoded_and_read_back() -> None:
    data = mailed(FOREIGN, ZOE)
    for line in data.partition(b"\r\n\r\n")[0].split(b"\r\n"):
        assert b"=?" not in line or len(line) <= 76
        assert not re.search(rb'"[^"]*=\?', line)
    mail = message_from_bytes(data, policy=policy.default)
    assert mail["Subject"] == FOREIGN.draft.headline
    assert mail["To"].addresses[0].display_name == ZOE.recipient.name
    assert mail["From"].addresses[0].display_name == FOREIGN.sender.name


def test_statement_16_no_part_is_named_as_a_file() -> None:
    for part in message_from_bytes(mailed(LONG), policy=policy.default).walk():
        assert part.get_filename() is None
        assert part["Content-Disposition"] is None


def test_statement_17_dots_from_lines_and_trailing_blanks_survive() -> None:
    body = ".\n\n..two\n\nFrom me\n\n=41\n\ntab\tinside"
    data = mailed(with_draft(body=body))
    raw = data.partition(b"\r\n\r\n")[2].split(b"\r\n")
    assert all(len(line) <= 76 for line in raw)
    assert not any(
        line.startswith((b".", b"From ")) or line.endswith((b" ", b"\t")) for line in raw
    )
    text, _ = decoded_parts(data)
    for line in (".", "..two", "From me", "=41"):
        assert f"\n{line}\n" in text or f"\u2013 {line}\n" in text
    assert "\n-- \nSent to" in text


@pytest.mark.parametrize("content", ALL)
def test_statement_18_plain_text_stands_first(content: ReleaseContent) -> None:
    mail = message_from_bytes(mailed(content), policy=policy.default)
    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]


def test_statement_19_an_address_beyond_ascii_is_refused_and_a_labels_are_kept() -> None:
    assert b"<zoe@xn--zeitung-n2a.example>" in mailed(EMBARGOED, ZOE)
    with pytest.raises(MessageError, match="ASCII"):
        mailed(EMBARGOED, ZOE._replace(recipient=Recipient("zoë@zeitung.example")))


@pytest.mark.parametrize("end", ["\r", "\n", "\0", "\u2028", "\x85", "\x0b", "\x0c"])
@pytest.mark.parametrize(
    ("field", "content"),
    [
        ("headline", lambda text: with_draft(headline=text)),
        ("sender's name", lambda text: replace(PLAIN, sender=Sender(text, "press@forum.example"))),
        ("contact", lambda text: with_draft(contacts=(PressContact(text),))),
    ],
)
def test_statement_20_row_1_line_ends_in_one_line_fields_are_refused(
    end: str, field: str, content: Callable[[str], ReleaseContent]
) -> None:
    with pytest.raises(MessageError, match=rf"{field} holds .*U\+{ord(end):04X}"):
        compiled(content(f"A{end}Bcc: injected@example.com"))


@pytest.mark.parametrize("part", ["body", "notes", "boilerplate"])
def test_row_1_texts_that_no_mail_can_carry_are_refused(part: str) -> None:
    for bad in ("\0", "\x0b", "\ud800"):
        text = f"A{bad}b"
        value = {"body": text, "notes": (text,), "boilerplate": (Boilerplate(text),)}[part]
        with pytest.raises(MessageError, match=part):
            compiled(with_draft(**{part: value}))


def test_row_2_an_encoded_word_in_the_headline_stays_text() -> None:
    headline = "A \N{PILE OF POO} subject=?UTF-8?Q?=0D=0A?=Bcc: injected@example.com"
    data = mailed(with_draft(headline=headline))
    mail = message_from_bytes(data, policy=policy.default)
    assert mail["Subject"] == headline
    assert mail["Bcc"] is None


@pytest.mark.parametrize(
    "body", ["a\n.\r\nb", "a\r.\rb", "a\r\n.\nb", "a\r\r\n.\r\r\nb", "a\n.\nb", "a\n\n.\n\nb\n..\n"]
)
def test_row_3_no_body_ends_the_mail_early(body: str) -> None:
    content = with_draft(body=body)
    if "\r" in body:
        with pytest.raises(MessageError, match="body holds a carriage return"):
            compiled(content)
        return
    data = mailed(content)
    assert data.count(b"\r") == data.count(b"\n") == data.count(b"\r\n")
    assert b"\r\n." not in data


def test_statement_51_the_size_of_the_html_is_known() -> None:
    message = compiled(EMBARGOED)
    _, html = decoded_parts(merge(message, PERSONAL))
    assert abs(message.html_size - len(html.encode())) < 200
    assert message.html_size < HTML_WARNING
    assert compiled(with_draft(body="word " * 20_000)).html_size > HTML_WARNING


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def test_statement_53_the_html_can_be_read_aloud() -> None:
    for content, language, side in (
        (LONG, "en-GB", "ltr"),
        (replace(LONG, language="ar"), "ar", "rtl"),
    ):
        tags = Tags(decoded_parts(mailed(content))[1])
        (page,) = tags.all("html")
        (wrapper,) = [div for div in tags.all("div") if div.get("class") == "ground"]
        for element in (page, wrapper):
            assert (element["lang"], element["dir"]) == (language, side)
        assert all(table["role"] == "presentation" for table in tags.all("table"))
        assert len(tags.all("h1")) == 1
        assert len(tags.all("h2")) == 3
        assert tags.all("ul")
        assert tags.all("ol")
        assert len(tags.all("p")) > 10


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def styles() -> tuple[tuple[str, str], ...]:
    return (("_base/style.css", (TEMPLATES / "_base" / "style.css").read_text(encoding="utf-8")),)


def test_statement_53_every_text_has_contrast_in_light_and_dark() -> None:
    style = render_part("_base", "style.css", {"look": OURS.values("en")}, templates=styles())
    light, dark = style.split("@media (prefers-color-scheme: dark)")
    for rules, sheet in ((light, "#ffffff"), (dark, "#1d1d1b")):
        for rule in re.findall(r"\{([^{}]*)\}", rules):
            ink = re.search(r"(?<![-\w])color: (#\w{6})", rule)
            ground = re.search(r"background-color: (#\w{6})", rule)
            if ink:
                assert contrast(ink[1], ground[1] if ground else sheet) >= 4.5, rule


@pytest.mark.parametrize("content", ALL)
def test_statement_50_55_nothing_is_fetched_and_nothing_is_a_picture(
    content: ReleaseContent,
) -> None:
    _, html = decoded_parts(mailed(content))
    tags = Tags(html)
    fetching = {"img", "link", "script", "iframe", "base", "form", "object", "video", "svg"}
    assert not fetching & {tag for tag, _ in tags.found}
    assert not any("src" in attributes for _, attributes in tags.found)
    assert "url(" not in html
    assert "@import" not in html
    for link in tags.all("a"):
        assert re.match(r"https?://|mailto:|tel:\+?[0-9]", link["href"] or "")


def test_statement_53_styles_are_inlined_and_the_phones_rules_kept() -> None:
    _, html = decoded_parts(mailed(EMBARGOED))
    assert re.search(r'<h1 style="[^"]*font-size:31px', html)
    assert html.count("@media") == 2
    assert "max-width:600px" in html


@pytest.mark.parametrize("content", [PLAIN, EMBARGOED, ADVANCE, LONG])
def test_statement_54_the_text_part_is_wrapped_for_pasting(content: ReleaseContent) -> None:
    text, _ = decoded_parts(mailed(content))
    release_line, *lines = text.split("\n")
    assert release_line
    for line in lines:
        assert len(line) <= 72 or " " not in line.strip()
    assert "\n\n\n" not in text


def test_statement_55_the_embargo_does_not_rest_on_colour() -> None:
    text, html = decoded_parts(mailed(ADVANCE))
    for part in (text, re.sub(r"<style.*?</style>|<[^>]*>", "", html, flags=re.DOTALL)):
        assert "EMBARGOED until 00:01 on Tuesday 1 December 2026" in part
