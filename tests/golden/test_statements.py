"""The numbered statements about mail, each on final bytes: of the kept mails and of drawn ones.

The numbers are those of the practice notes. Everything is read from the octets as they leave, with
as little of the program's own code as can be.
"""

from __future__ import annotations

import asyncio
import re
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.header import decode_header
from email.utils import parsedate_to_datetime
from functools import cache
from html import unescape
from html.parser import HTMLParser
from quopri import decodestring
from typing import TYPE_CHECKING, Final

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from distributor.core.dkim import Signatory
from distributor.core.final import FinalBytes
from distributor.core.model import Finding, Recipient, WaveKind
from distributor.core.returnpath import ReturnPath
from distributor.core.size import HTML_CLIPPED, HTML_WARNING, MAIL_WARNING, findings
from distributor.errors import MessageError
from distributor.mail.compiling import compile_message, letter_of
from distributor.mail.relay import Relay, RelayPolicy
from distributor.mail.signing import Signing, SigningKey
from distributor.mail.sink import Sink
from distributor.mail.transaction import Envelope
from tests.golden.drawn import DRAWS, ENCLOSING, HERE, KEPT, NAMES, drawn_letter, mail, with_draft
from tests.golden.samples import EMBARGOED, JANE, LIFT, LONG, TEMPLATES
from tests.golden.sequels import SEQUELS

if TYPE_CHECKING:
    from email.message import EmailMessage

    from distributor.core.message import ReleaseContent
    from tests.golden.drawn import Mail

NUMBERS: Final = (*range(11, 21), 29, 37, 39, 44, 45, *range(51, 56))
every_mail = pytest.mark.parametrize("name", NAMES)

#: Of RFC 5322 3.6: what may stand once, and what must.
ONCE: Final = (
    *("date", "from", "sender", "reply-to", "to", "cc", "bcc"),
    *("message-id", "in-reply-to", "references", "subject"),
)
MUST: Final = ("date", "from", "message-id", "to", "subject", "mime-version", "content-type")


def head_of(data: bytes) -> list[str]:
    """The header lines as they stand, folded ones apart."""
    return data.partition(b"\r\n\r\n")[0].decode("ascii").split("\r\n")


def raw(data: bytes) -> dict[str, str]:
    """Headers by lower-case name, unfolded by taking out the line ends alone (RFC 5322 2.2.3)."""
    lines = data.partition(b"\r\n\r\n")[0].decode("ascii").replace("\r\n ", " ").split("\r\n")
    return {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }


def read(data: bytes) -> EmailMessage:
    return message_from_bytes(data, policy=policy.default)


def both(data: bytes) -> tuple[str, str]:
    """Text and HTML, decoded here and not by the program."""
    parts = {
        part.get_content_type(): decodestring(str(part.get_payload()).encode()).decode()
        for part in message_from_bytes(data).walk()
        if not part.is_multipart()
    }
    return tuple(parts[kind].replace("\r\n", "\n") for kind in ("text/plain", "text/html"))  # pyright: ignore[reportReturnType]


def flat(text: str) -> str:
    return " ".join(text.split())


class Page(HTMLParser):
    """What a reader meets: the tags, the words outside of them, and where each link goes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.links: dict[str, str] = {}
        self.pieces: list[str] = []
        self._silent = False
        self._to: str | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._silent = tag in {"style", "title"}
        self._to = dict(attrs).get("href") if tag == "a" else self._to
        self.pieces.append(" " if tag in {"p", "br", "li", "h1", "h2", "td", "div"} else "")

    def handle_endtag(self, tag: str) -> None:
        self._silent = False
        self._to = None if tag == "a" else self._to

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.pieces.append(data)
        if self._to is not None:
            self.links[self._to] = self.links.get(self._to, "") + data

    @property
    def words(self) -> str:
        return flat("".join(self.pieces))

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name in tags]


def compiled_from(content: ReleaseContent, recipient: Recipient = JANE) -> FinalBytes:
    message = compile_message(content, kind="release", templates=TEMPLATES)
    return letter_of(message, content.sender).copy_for(recipient, reference="r1", date=LIFT)


@cache
def signing() -> Signing:
    first = Signatory("forum.example", "press-2026", "rsa-sha256")
    second = Signatory("forum.example", "press-ed", "ed25519-sha256")
    return Signing(
        [
            SigningKey(first, rsa.generate_private_key(65537, 2048)),
            SigningKey(second, ed25519.Ed25519PrivateKey.generate()),
        ]
    )


def signatures(data: bytes) -> list[dict[str, str]]:
    """The tags of each signature above a mail."""
    found = message_from_bytes(data).get_all("DKIM-Signature") or []
    return [
        dict(
            tag.strip().split("=", 1) for tag in re.sub(r"\s+", "", value).split(";") if "=" in tag
        )
        for value in found
    ]


def verified(data: bytes) -> list[bool]:
    """What a verifier by others says of each signature."""
    keys = signing().keys
    records = {f"{key.signatory.record}.".encode(): key.record.encode() for key in keys}

    def ask(name: bytes, timeout: int = 5) -> bytes | None:
        del timeout
        return records.get(name)

    return [dkim.DKIM(data).verify(idx=at, dnsfunc=ask) for at in range(len(keys))]


def test_every_statement_about_mail_has_a_test_by_its_number() -> None:
    names = " ".join(vars(sys.modules[__name__]))
    assert [number for number in NUMBERS if f"test_statement_{number}_" not in names] == []


@every_mail
def test_statement_11_lines_are_of_78_octets_but_for_the_one_that_may_not_be_folded(
    name: str,
) -> None:
    head, _, body = mail(name).data.partition(b"\r\n\r\n")
    long = [line for line in head.split(b"\r\n") if len(line) > 78]
    assert all(line.startswith(b"List-Unsubscribe: <") for line in long)
    assert max(len(line) for line in head.split(b"\r\n")) <= 998
    assert max(len(line) for line in body.split(b"\r\n")) <= 78


@every_mail
def test_statement_12_each_header_once_and_what_must_stand_stands(name: str) -> None:
    names = [line.partition(":")[0].lower() for line in head_of(mail(name).data) if line[0] != " "]
    assert {one for one in (*ONCE, *MUST) if names.count(one) > 1} == set()
    assert [one for one in MUST if one not in names] == []


@pytest.mark.parametrize("seed", range(DRAWS))
def test_statement_12_two_mails_of_one_release_have_two_message_ids(seed: int) -> None:
    one, other = (raw(copy.data)["message-id"] for copy in drawn_letter(seed))
    assert one != other
    assert re.fullmatch(r"<[^<>@\s]+@forum\.example>", one)


def withdraws(one: Mail) -> bool:
    """Whether a mail takes a release back: then it does not repeat its text."""
    return one.content.sequel is not None and one.content.sequel.kind is WaveKind.WITHDRAWAL


@every_mail
def test_statement_13_a_mail_answers_its_recipients_earlier_ones_and_a_first_one_none(
    name: str,
) -> None:
    said = raw(mail(name).data)
    if name not in SEQUELS:
        assert not {"in-reply-to", "references"} & set(said)
        return
    chain = (SEQUELS[name][1].thread or "").split()
    assert said["in-reply-to"].strip() == chain[-1]
    assert said["references"].split() == chain


@every_mail
def test_statement_14_one_recipient_and_no_copy_header(name: str) -> None:
    one = mail(name)
    message = read(one.data)
    assert [found.addr_spec for found in message["To"].addresses] == [one.recipient.address]
    assert not {"cc", "bcc", "apparently-to", "resent-to"} & set(raw(one.data))


@pytest.mark.parametrize("seed", range(DRAWS))
def test_statement_14_nobody_else_on_the_list_stands_anywhere_in_the_bytes(seed: int) -> None:
    one, other = drawn_letter(seed)
    for mine, theirs in ((one, other), (other, one)):
        seen = "".join((*head_of(mine.data), *both(mine.data)))
        assert theirs.recipient.address not in seen
        assert theirs.recipient.address.partition("@")[0] not in seen
        assert mine.recipient.address in seen


@every_mail
def test_statement_15_encoded_words_are_short_whole_and_never_within_quotes(name: str) -> None:
    one = mail(name)
    for line in head_of(one.data):
        words = re.findall(r"=\?[^?\s]+\?[^?\s]+\?[^?\s]*\?=", line)
        assert not words or len(line) <= 76
        for word in words:
            assert len(word) <= 75
            ((octets_of_it, charset),) = decode_header(word)
            assert isinstance(octets_of_it, bytes)
            octets_of_it.decode(charset or "ascii")  # no character is split between two words
        assert not re.search(r'"[^"]*=\?[^"]*"', line)
        assert not re.search(r"<[^>]*=\?", line)
    message = read(one.data)
    assert flat(message["Subject"]).endswith(flat(one.content.draft.headline or ""))
    assert message["From"].addresses[0].display_name == flat(one.content.sender.name)


@every_mail
def test_statement_16_a_name_of_a_file_is_ascii_or_in_the_form_of_rfc_2231(name: str) -> None:
    for part in message_from_bytes(mail(name).data).walk():
        named = [str(part.get(header, "")) for header in ("Content-Disposition", "Content-Type")]
        assert all(value.isascii() for value in named)
        assert not any(re.search(r"name=\"?=\?", value) for value in named)
        # A release without attachments has parts to read, and no file.
        assert part.get_filename() is None


@every_mail
def test_statement_17_quoted_lines_keep_dots_from_lines_and_trailing_blanks(name: str) -> None:
    one = mail(name)
    body = one.data.partition(b"\r\n\r\n")[2].split(b"\r\n")
    assert max(len(line) for line in body) <= 76
    assert not [
        line for line in body if line.startswith((b".", b"From ")) or line.endswith((b" ", b"\t"))
    ]
    text, html = both(one.data)
    # The signature mark ends in a blank (RFC 3676 4.3): it survived.
    assert "\n-- \n" in text
    # The signs of lists are the HTML's own.
    words = [word for word in one.content.draft.body.split() if not re.match(r"\d\.|[-•.]$", word)]
    for part in (text, unescape(html)):
        if withdraws(one):
            assert flat(one.content.draft.body) not in flat(part)
        else:
            assert [word for word in words if word not in part] == []


@every_mail
def test_statement_18_text_first_and_both_say_the_same(name: str) -> None:
    one = mail(name)
    message = read(one.data)
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    text, html = both(one.data)
    page, plain = Page(html), flat(text)
    draft = one.content.draft
    facts = [
        *(
            value
            for contact in draft.contacts
            for value in (contact.name, contact.phone, contact.email)
        ),
        *(draft.headline, one.recipient.address, one.content.unsubscribe),
        *((draft.subheadline,) if not withdraws(one) else ()),
        text.split("\n", 1)[0],
    ]
    for fact in filter(None, facts):
        assert flat(fact) in plain
        assert flat(fact) in page.words
    targets = [
        to.removeprefix("mailto:").partition("?")[0] for to in page.links if to[:4] != "tel:"
    ]
    assert [to for to in targets if (to if "://" not in to else unescape(to)) not in plain] == []


@every_mail
def test_statement_19_addresses_are_ascii_and_a_labels_are_kept(name: str) -> None:
    one = mail(name)
    for header in ("to", "from", "reply-to"):
        value = raw(one.data).get(header, "")
        assert value.isascii()
    assert f"{one.recipient.address}" in raw(one.data)["to"]
    with pytest.raises(MessageError, match="ASCII"):
        compiled_from(EMBARGOED, Recipient("zoë@zeitung.example"))


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\0", "\u2028", "\x85"])
def test_statement_20_what_ends_a_line_never_comes_into_a_header(end: str) -> None:
    text = f"News{end}Bcc: injected@example.com"
    with pytest.raises(MessageError, match="headline"):
        compiled_from(with_draft(EMBARGOED, headline=text))
    with pytest.raises(MessageError, match="name"):
        compiled_from(replace(EMBARGOED, sender=replace(EMBARGOED.sender, name=text)))
    with pytest.raises(MessageError, match="name"):
        compiled_from(EMBARGOED, Recipient("a@paper.example", text))


@every_mail
def test_statement_20_the_header_is_of_our_names_and_no_others(name: str) -> None:
    ours = {
        *("to", "date", "message-id", "x-distributor-delivery", "list-id", "list-unsubscribe"),
        *("from", "reply-to", "subject", "mime-version", "content-type", "content-language"),
        *(("in-reply-to", "references") if name in SEQUELS else ()),
    }
    assert set(raw(mail(name).data)) <= ours


def returned_to(name: str, path: ReturnPath) -> str:
    """The sender in the envelope of a mail that went over the wire."""

    async def story(port: int) -> None:
        relay = Relay(RelayPolicy("r", "127.0.0.1", port, security="none"))
        session = await relay.connect()
        one = mail(name)
        sender = path.of("0a1b2c3d4e5f60718293a4b5", sender=one.content.sender.address)
        envelope = Envelope(sender, one.recipient.address, FinalBytes(one.data), 1)
        await session.send(envelope, gate=lambda: None, flight=Unnoted())
        await session.quit()

    with Sink() as sink:
        asyncio.run(story(sink.port))
        (arrived,) = sink.received
        assert arrived.data == mail(name).data
        return arrived.mail_from


class Unnoted:
    """A flight that keeps no log."""

    def started(self, *_: object, **__: object) -> None: ...
    def dotted(self, *_: object, **__: object) -> None: ...
    def answered(self, *_: object, **__: object) -> None: ...
    def flush(self) -> None: ...


@pytest.mark.parametrize("name", ["plain", "advance", "drawn 1"])
def test_statement_29_a_notice_of_failure_finds_a_mailbox_that_is_read(name: str) -> None:
    sender = mail(name).content.sender.address
    local, _, domain = sender.partition("@")
    # The null path is for notices of failure alone (RFC 5321 4.5.5); a release is none.
    assert returned_to(name, ReturnPath()) == sender
    assert returned_to(name, ReturnPath("returns@forum.example")) == "returns@forum.example"
    signed = returned_to(name, ReturnPath(key=b"k" * 32))
    # What stands behind the + is the mail's own: it comes to the same mailbox (RFC 5233).
    assert re.fullmatch(rf"{local}\+[0-9a-f]{{24}}\.[a-z2-7]{{16}}@{domain}", signed)


@every_mail
def test_statement_29_the_return_path_is_left_to_the_last_server(name: str) -> None:
    # RFC 5321 4.4: whoever sends does not write it.
    assert not {"return-path", "errors-to"} & set(raw(mail(name).data))


@every_mail
def test_statement_37_a_release_is_not_called_automatic_or_bulk(name: str) -> None:
    assert not {"auto-submitted", "precedence", "x-auto-response-suppress"} & set(
        raw(mail(name).data)
    )


@every_mail
def test_statement_39_list_headers_stand_once_each_in_unbroken_brackets(name: str) -> None:
    data = mail(name).data
    lines = head_of(data)
    for header, form in (
        ("List-Id", r"List-Id: <[a-z0-9-]+(\.[a-z0-9-]+)+>"),
        ("List-Unsubscribe", r"List-Unsubscribe: <mailto:[!-;=?-~]+@[a-z.]+\?subject=[!-;=?-~]+>"),
    ):
        found = [
            at for at, line in enumerate(lines) if line.lower().startswith(f"{header.lower()}:")
        ]
        assert len(found) == 1
        assert re.fullmatch(form, lines[found[0]])
        # Not folded: RFC 2369 2 has no white space within the brackets.
        assert not lines[found[0] + 1].startswith((" ", "\t"))


@every_mail
def test_statement_44_the_headers_that_matter_are_signed_and_the_first_ones_twice(
    name: str,
) -> None:
    one = mail(name)
    # Long past: verifiers refuse what is dated in their future.
    data = bytes(signing().sign(FinalBytes(one.data), at=datetime(2026, 2, 1, tzinfo=UTC)))
    assert verified(data) == [True, True]
    present = set(raw(one.data))
    for tags in signatures(data):
        names = [named.lower() for named in tags["h"].split(":")]
        assert present - {"content-language", "x-distributor-delivery"} <= set(names)
        for oversigned in ("from", "to", "subject", "date", "content-type"):
            assert names.count(oversigned) == 2
        assert not {"return-path", "received", "bcc"} & set(names)
        assert tags["c"] == "relaxed/relaxed"
        assert "l" not in tags
    assert [tags["a"] for tags in signatures(data)] == ["rsa-sha256", "ed25519-sha256"]


@every_mail
def test_statement_45_a_signature_is_of_the_mails_own_date_and_does_not_run_out(name: str) -> None:
    one = mail(name)
    content = one.content
    message = compile_message(content, kind="release", templates=TEMPLATES)
    letter = letter_of(message, content.sender, signing().sign)
    for later in (timedelta(), timedelta(hours=20)):
        date = one.date + later
        data = letter.copy_for(one.recipient, reference="r1", date=date)
        assert parsedate_to_datetime(raw(data)["date"]) == date
        for tags in signatures(data):
            assert int(tags["t"]) == int(date.timestamp())
            assert "x" not in tags


@every_mail
def test_statement_51_the_html_stays_far_from_where_mails_are_cut_off(name: str) -> None:
    html = both(mail(name).data)[1].encode()
    assert len(html) < HTML_WARNING < HTML_CLIPPED
    assert findings(len(html), len(mail(name).data)) == ()


def test_statement_51_the_longest_sample_leaves_room_to_spare_and_a_longer_one_is_told() -> None:
    longest = max(KEPT, key=lambda name: len(both(mail(name).data)[1]))
    assert longest == "long-bulleted-quoted"
    assert len(both(mail(longest).data)[1].encode()) < 80_000
    longer = compile_message(
        with_draft(LONG, body=LONG.draft.body * 8), kind="release", templates=TEMPLATES
    )
    (found,) = findings(longer.html_size, longer.size)
    assert (found.code, found.severity) == ("html-size", "warning")
    assert f"{longer.html_size} bytes" in found.message


@every_mail
def test_statement_52_a_mail_is_far_below_what_newsrooms_refuse(name: str) -> None:
    assert len(mail(name).data) < 1_000_000 < MAIL_WARNING


def test_statement_52_a_mail_too_large_for_newsrooms_is_told_before_it_leaves() -> None:
    content = with_draft(EMBARGOED, body="\n\n".join(["ü" * 1_000] * 900))
    message = compile_message(content, kind="release", templates=TEMPLATES)
    data = letter_of(message, content.sender).copy_for(JANE, reference="r1", date=LIFT)
    assert len(data) > MAIL_WARNING
    assert abs(message.size - len(data)) < 500
    found = {finding.code: finding for finding in findings(message.html_size, message.size)}
    assert isinstance(found["mail-size"], Finding)
    assert found["mail-size"].severity == "warning"
    assert "10 to 25 MB" in found["mail-size"].message
    assert findings(0, MAIL_WARNING) == ()


@every_mail
def test_statement_53_the_html_can_be_read_aloud(name: str) -> None:
    page = Page(both(mail(name).data)[1])
    language = mail(name).content.language
    side = "rtl" if language == "ar" else "ltr"
    (html,) = page.all("html")
    wrapper = page.all("div")[0]
    for element in (html, wrapper):
        assert (element["lang"], element["dir"]) == (language, side)
    assert all(table["role"] == "presentation" for table in page.all("table"))
    assert all("alt" in picture for picture in page.all("img"))
    assert len(page.all("h1")) == 1
    assert len(page.all("p")) > 3
    # The text of a link says where it goes.
    assert [to for to, shown in page.links.items() if len(flat(shown)) < 4] == []


@every_mail
def test_statement_54_the_text_is_wrapped_with_its_links_and_bullets(name: str) -> None:
    one = mail(name)
    text, html = both(one.data)
    _, *lines = text.split("\n")
    for line in lines:
        first, _, rest = line.strip().partition(" ")
        # A line is longer only where one word is: nothing is cut.
        assert len(line) <= 72 or not rest or max(len(first), len(rest)) > 60, line
    assert "\n\n\n" not in text
    bullets = len(re.findall(r"<ul", html)) > 0
    assert not bullets or re.search(r"(?m)^\s*[-*] \S", text)
    assert not re.search(r"</?(p|li|br|a|td|strong)\b", text)


@every_mail
def test_statement_55_release_line_headline_and_contacts_are_text_in_no_picture(name: str) -> None:
    one = mail(name)
    text, html = both(one.data)
    page = Page(html)
    assert not page.all("img", "svg", "picture", "object", "canvas", "video")
    assert "url(" not in html
    assert "background=" not in html
    line = flat(text.split("\n", 1)[0])
    assert page.words.startswith(line)
    if one.content.embargo_at is not None and not one.content.lifted:
        # Said in words, not by colour alone, and by the subject too.
        sign = line.partition(" ")[0]
        assert sign == sign.upper() != sign.lower()
        assert raw_subject(one).startswith(sign)


def raw_subject(one: Mail) -> str:
    return str(read(one.data)["Subject"])


def test_the_kept_mails_are_all_judged() -> None:
    assert (
        {path.stem for path in HERE.glob("*.eml")} - {ENCLOSING}
        == set(KEPT)
        == set(NAMES[: len(KEPT)])
    )
