"""Header rules, merging and the check of final bytes, without templates."""

from __future__ import annotations

import html
import json
import re
from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.utils import getaddresses

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from distributor.core.address import is_wire_address
from distributor.core.header import check_address, constant_headers, date_text, fold_text
from distributor.core.message import (
    CompiledMessage,
    Personal,
    Slot,
    check_final,
    header_names,
    merge,
    self_test,
)
from distributor.core.model import Recipient, Sender
from distributor.core.quoted import quoted
from distributor.errors import MessageError

AT = datetime(2026, 12, 1, 0, 1, tzinfo=UTC)
JANE = Recipient("jane.doe@herald.example", "Jane Doe", "Jane", "The Herald")
PERSONAL = Personal(
    recipient=JANE,
    message_id="<k7f3@press.example>",
    date=AT,
    delivery="d-1",
    unsubscribe_mailto="mailto:stop+k7f3@press.example?subject=Unsubscribe",
    list_id="press.example",
)
SENDER = Sender("Press office", "press@press.example", "officer@press.example")
INJECTION = "A \N{PILE OF POO} subject=?UTF-8?Q?=0D=0A?=Bcc: injected@example.com"

no_control = st.characters(
    exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="\u2028\u2029"
)
texts = st.text(no_control, min_size=1, max_size=300)


def compiled(subject: str = "Headline", *, sender: Sender = SENDER) -> CompiledMessage:
    return CompiledMessage(
        kind="plain",
        language="en",
        headers=constant_headers(
            sender, subject=subject, language="en", content_type='text/plain; charset="utf-8"'
        ),
        segments=(b"Dear =\r\n", b"<b>=\r\n", b"</b>\r\n"),
        slots=(Slot("name", "text"), Slot("outlet", "html")),
        html_size=12,
    )


def to(name: str, address: str = "jane.doe@herald.example") -> Personal:
    return PERSONAL._replace(recipient=Recipient(address, name=name))


def checked(message: CompiledMessage, personal: Personal) -> bytes:
    data = merge(message, personal)
    names = header_names(message, personal)
    check_final(data, headers=names, recipient=personal.recipient.address)
    return data


def raw_header(data: bytes, name: str) -> str:
    """The lines of one header as they stand, without its name."""
    head = data.partition(b"\r\n\r\n")[0].decode("ascii")
    found = re.search(rf"(?ms)^{name}: (.*?)(?=\r\n[!-~]|\Z)", head)
    assert found
    return found[1]


def decoded(raw: str) -> str:
    return str(make_header(decode_header(raw.replace("\r\n", ""))))


def test_a_typical_mail_reads_as_written() -> None:
    data = checked(compiled(), PERSONAL)
    assert data.decode("ascii").split("\r\n") == [
        "To: Jane Doe <jane.doe@herald.example>",
        "Date: Tue, 01 Dec 2026 00:01:00 +0000",
        "Message-ID: <k7f3@press.example>",
        "X-Distributor-Delivery: d-1",
        "List-Id: <press.example>",
        "List-Unsubscribe: <mailto:stop+k7f3@press.example?subject=Unsubscribe>",
        "From: Press office <press@press.example>",
        "Reply-To: officer@press.example",
        "Subject: Headline",
        "MIME-Version: 1.0",
        'Content-Type: text/plain; charset="utf-8"',
        "Content-Language: en",
        "",
        "Dear =",
        "Jane Doe=",
        "<b>=",
        "The Herald=",
        "</b>",
        "",
    ]


@given(name=texts, outlet=texts)
@example(name="." * 76, outlet="From me")
@example(name="From " * 40, outlet=" ")
@example(name="x" * 75 + "é", outlet="&<>\"'")
@example(name="=", outlet="a ")
@example(name=".x", outlet="From .x")
@example(name="From x", outlet=".x")
def test_slot_values_decode_to_themselves_on_legal_lines(name: str, outlet: str) -> None:
    message = compiled()
    body = checked(
        message, PERSONAL._replace(recipient=JANE._replace(name=name, outlet=outlet))
    ).partition(b"\r\n\r\n")[2]
    lines = body.split(b"\r\n")
    assert all(len(line) <= 76 for line in lines)
    assert not any(
        line.startswith((b".", b"From ")) or line.endswith((b" ", b"\t")) for line in lines
    )
    text = message_from_bytes(
        b'Content-Type: text/plain; charset="utf-8"\r\n'
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + body,
        policy=policy.default,
    ).get_content()
    before, after = f"Dear {name}<b>", "</b>\r\n"
    assert text.startswith(before)
    shown = text[len(before) :].removesuffix(after)
    assert not set(shown) & set("<>\"'")
    assert html.unescape(shown) == outlet


@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r"), max_size=400))
def test_quoted_text_decodes_to_itself(text: str) -> None:
    encoded = quoted(text)
    lines = encoded.split(b"\r\n")
    assert all(len(line) <= 76 and not line.endswith((b" ", b"\t")) for line in lines)
    assert not any(line.startswith((b".", b"From ")) for line in lines)
    part = message_from_bytes(
        b'Content-Type: text/plain; charset="utf-8"\r\n'
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + encoded
    )
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert payload.replace(b"\r\n", b"\n").decode() == text


@given(texts)
@example(INJECTION)
@example("\N{PILE OF POO}" * 250)
@example("é" * 500)
@example("EMBARGOED 00:01 Tue 1 Dec: " + "Long headline " * 40)
@example("x" * 500)
@example("=?utf-8?q?x?= and  two  spaces ")
@example("=?utf-8?q?x?=")
def test_statement_15_long_and_foreign_subjects_fold_into_whole_encoded_words(subject: str) -> None:
    if not subject.strip():
        return
    raw = raw_header(checked(compiled(subject), PERSONAL), "Subject")
    assert decoded(raw) == subject
    for line in f"Subject: {raw}".split("\r\n"):
        assert len(line) <= 76
        for word in re.findall(r"=\?[^ ]*\?=", line):
            assert len(word) <= 75
            # Each word is whole UTF-8 by itself: no character is split between two.
            ((octets, charset),) = decode_header(word)
            assert isinstance(octets, bytes)
            octets.decode(charset or "ascii")


@given(texts)
@example("Jürgen Müller-Lüdenscheidt, Frankfurter Allgemeine Sonntagszeitung, Berlin")
@example('O"Neil \\ Sons, Ltd')
@example("=?utf-8?q?injected?=")
@example("J. Doe")
def test_statement_15_names_are_never_encoded_inside_quotes(name: str) -> None:
    raw = raw_header(checked(compiled(), to(name)), "To")
    phrase = raw.replace("\r\n", "").rpartition("<")[0].strip()
    if '"' in phrase:
        assert "=?" not in phrase
        assert re.sub(r"\\(.)", r"\1", phrase[1:-1]) == name
    else:
        assert decoded(phrase) == name
    assert raw.endswith("<jane.doe@herald.example>")


@pytest.mark.parametrize(
    "end", ["\r", "\n", "\r\n", "\0", "\u2028", "\x85", "\x0b", "\x0c", "\ud800"]
)
@pytest.mark.parametrize("field", ["name", "outlet", "address", "subject", "sender", "reply_to"])
def test_row_1_statement_20_line_ends_are_refused_with_field_and_reason(
    end: str, field: str
) -> None:
    text = f"A{end}Bcc: injected@example.com"
    attempts = {
        "subject": lambda: compiled(text),
        "sender": lambda: compiled(sender=Sender(text, "press@press.example")),
        "reply_to": lambda: compiled(sender=Sender("Press", "press@press.example", text)),
    }
    changed = {} if field in attempts else {field: text}
    merging = PERSONAL._replace(recipient=JANE._replace(**changed))
    with pytest.raises(MessageError) as refused:
        attempts.get(field, lambda: merge(compiled(), merging))()
    said = str(refused.value)
    expected = {"sender": "sender's name", "reply_to": "reply-to"}
    assert expected.get(field, field) in said
    assert f"U+{ord(end[0]):04X}" in said
    assert end not in said


@pytest.mark.parametrize("changed", ["message_id", "delivery", "list_id", "unsubscribe_mailto"])
@pytest.mark.parametrize(
    "value", ["", "a b@c", "<a@b>\r\nBcc: x@y", "<a@b\0>", "mailto:a@b>,<x:y", "é"]
)
def test_statement_20_machine_headers_refuse_what_is_not_their_form(
    changed: str, value: str
) -> None:
    with pytest.raises(MessageError, match="not well-formed"):
        merge(compiled(), PERSONAL._replace(**{changed: value}))


def test_finding_1_row_2_the_injecting_text_adds_no_header() -> None:
    for message, personal in (
        (compiled(INJECTION), to(INJECTION)),
        (compiled(sender=Sender(INJECTION, "press@press.example")), PERSONAL),
    ):
        data = checked(message, personal)
        assert message_from_bytes(data, policy=policy.default).keys() == [
            *header_names(message, personal)
        ]
        assert b"\r\nBcc" not in data
    assert b"=?UTF-8?Q?=0D=0A?=" not in merge(compiled(INJECTION), to(INJECTION))


def test_finding_1_the_self_test_passes_here() -> None:
    self_test()


def test_finding_1_the_self_test_fails_where_text_becomes_a_header(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "distributor.core.header.fold_text",
        lambda value, **_: (
            value.replace("=?UTF-8?Q?=0D=0A?=", "\r\n").encode("ascii", "replace").decode()
        ),
    )
    with pytest.raises(MessageError):
        self_test()


def test_finding_1_the_self_test_fails_where_control_characters_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("header", "message"):
        monkeypatch.setattr(f"distributor.core.{module}.check_text", lambda *_: None)
    with pytest.raises(MessageError, match="self-test"):
        self_test()


def test_finding_2_a_long_unsubscribe_line_is_neither_encoded_nor_folded() -> None:
    uri = f"mailto:stop+{'k' * 150}@press.example?subject=Unsubscribe%20now"
    data = checked(compiled(), PERSONAL._replace(unsubscribe_mailto=uri))
    assert f"\r\nList-Unsubscribe: <{uri}>\r\n".encode() in data


REWRITTEN = (
    "b@x.example,c@x.example",
    "a@evil.example:b@x.example",
    'b"@x.example',
    "",
    "<b@x.example>",
    "b@x.example (comment)",
    "group: b@x.example;",
    "@relay.example:b@x.example",
    '"quoted local"@x.example',
    "b@[192.0.2.1]",
    "b@x",
    "b..c@x.example",
    f"{'l' * 65}@x.example",
    "zoë@x.example",
    "b@zeitüng.example",
    "b@x.example ",
    "b@x.example\n",
    "=?utf-8?q?b?=@x.example",
)


@pytest.mark.parametrize("address", REWRITTEN)
def test_finding_3_row_4_an_address_that_others_rewrite_is_refused(address: str) -> None:
    with pytest.raises(MessageError, match="recipient's address"):
        merge(compiled(), to("", address))


address_characters = "aZ9!#$%&'*+/=?^_`{|}~-."


@given(
    local=st.text(address_characters, min_size=1, max_size=66),
    domain=st.lists(st.text("aZ9-", min_size=1, max_size=64), min_size=1, max_size=6),
    name=st.sampled_from(["", "Jane Doe", "Doe, Jane", "Zoë", "j@ne <x@y.example>"]),
)
def test_finding_3_what_stands_in_to_parses_back_equal(
    local: str, domain: list[str], name: str
) -> None:
    address = f"{local}@{'.'.join(domain)}"
    if not is_wire_address(address) or "=?" in address:
        with pytest.raises(MessageError):
            check_address(address)
        return
    data = checked(compiled(), to(name, address))
    assert [found for _, found in getaddresses([raw_header(data, "To").replace("\r\n", "")])] == [
        address
    ]


def test_statement_12_each_header_once_and_a_message_id_per_mail() -> None:
    first = checked(compiled(), PERSONAL)
    second = checked(compiled(), PERSONAL._replace(message_id="<other@press.example>"))
    names = message_from_bytes(first).keys()
    assert len(names) == len(set(names))
    assert {"From", "Date", "Message-ID", "To", "Subject", "Reply-To"} <= set(names)
    assert raw_header(first, "Message-ID") != raw_header(second, "Message-ID")


def test_statement_14_one_recipient_and_no_copy_header() -> None:
    data = checked(compiled(), PERSONAL)
    message = message_from_bytes(data, policy=policy.default)
    assert [str(found.addr_spec) for found in message["To"].addresses] == [JANE.address]
    assert message["Cc"] is None
    assert message["Bcc"] is None


def test_statement_19_an_address_beyond_ascii_fails_and_is_not_downgraded() -> None:
    checked(compiled(), to("Zoë", "zoe@xn--zeitung-n2a.example"))
    with pytest.raises(MessageError, match="ASCII"):
        merge(compiled(), to("Zoë", "zoë@zeitung.example"))


def test_statement_37_no_mail_calls_itself_automatic() -> None:
    assert b"auto-submitted" not in merge(compiled(), PERSONAL).lower()


def test_statement_39_list_headers_are_left_out_where_they_have_no_value() -> None:
    bare = PERSONAL._replace(list_id=None, unsubscribe_mailto=None)
    assert b"List-" not in checked(compiled(), bare)


GOOD = merge(compiled(), PERSONAL)
SPOILED = {
    "a bare LF": GOOD.replace(b"Dear =\r\n", b"Dear =\n"),
    "a bare CR": GOOD.replace(b"Dear =\r\n", b"Dear =\r"),
    "CR CR LF": GOOD.replace(b"Dear =\r\n", b"Dear =\r\r\n"),
    "a bare LF in the header": GOOD.replace(b"Subject: ", b"Subject: a\n b"),
    "a bare CR in the header": GOOD.replace(b"Subject: ", b"Subject: a\r b"),
    "NUL": GOOD.replace(b"Dear", b"De\0r"),
    "8 bits": GOOD.replace(b"Dear", "Déar".encode()),
    "no end": GOOD[:-2],
    "no body": GOOD.partition(b"\r\n\r\n")[0] + b"\r\n\r\n",
    "a long body line": GOOD.replace(b"Dear", b"D" * 77),
    "a long header line": GOOD.replace(b"Subject: ", b"Subject: " + b"x" * 990),
    "a long encoded-word line": GOOD.replace(
        b"Subject: ", b"Subject: =?utf-8?q?" + b"x" * 66 + b"?="
    ),
    "Bcc": GOOD.replace(b"Subject: ", b"Bcc: x@y.example\r\nSubject: "),
    "two Subjects": GOOD.replace(b"Subject: ", b"Subject: x\r\nSubject: "),
    "no Subject": GOOD.replace(b"Subject: Headline\r\n", b""),
    "an empty Subject": GOOD.replace(b"Subject: Headline", b"Subject: "),
    "a line without a name": GOOD.replace(b"Subject: ", b"Subject\r\nSubject: "),
    "a blank continuation": GOOD.replace(b"Headline\r\n", b"Headline\r\n \r\n"),
    "two in To": GOOD.replace(b"To: ", b"To: x@y.example, "),
    "another in To": GOOD.replace(b"jane.doe@", b"john.doe@"),
    "a folded second in To": GOOD.replace(
        b"example>\r\nDate", b"example>,\r\n x@y.example\r\nDate"
    ),
    "a comment in To": GOOD.replace(b"To: Jane", b"To: (x@y.example) Jane"),
    "a route in To": GOOD.replace(b"<jane", b"<@x.example:jane"),
}


@pytest.mark.parametrize("fault", SPOILED)
def test_final_bytes_with_a_fault_are_refused(fault: str) -> None:
    assert SPOILED[fault] != GOOD
    with pytest.raises(MessageError):
        check_final(
            SPOILED[fault], headers=header_names(compiled(), PERSONAL), recipient=JANE.address
        )


def test_a_compiled_message_survives_storage_with_the_same_digest() -> None:
    message = compiled()
    back = CompiledMessage.from_json(message.to_json())
    assert back == message
    assert back.digest == message.digest
    assert merge(back, PERSONAL) == merge(message, PERSONAL)
    assert compiled("Other").digest != message.digest


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        json.dumps({**json.loads(compiled().to_json()), "format": 2}),
        json.dumps({**json.loads(compiled().to_json()), "segments": ["a"]}),
        json.dumps({**json.loads(compiled().to_json()), "segments": ["a", "b", "é"]}),
        json.dumps({**json.loads(compiled().to_json()), "slots": [["name", "text"], ["x", "y"]]}),
    ],
)
def test_a_stored_message_that_is_not_ours_is_refused(text: str) -> None:
    with pytest.raises(MessageError):
        CompiledMessage.from_json(text)


@pytest.mark.parametrize(
    ("subject", "language"), [("", "en"), ("  ", "en"), ("A", "en\r\nX: y"), ("A", "")]
)
def test_constant_headers_need_a_subject_and_a_language(subject: str, language: str) -> None:
    with pytest.raises(MessageError):
        constant_headers(SENDER, subject=subject, language=language, content_type="text/plain")


def test_a_tab_in_a_headline_is_kept_encoded() -> None:
    folded = fold_text("a\tb", used=9)
    assert "\t" not in folded
    assert decoded(folded) == "a\tb"


def test_a_date_is_in_utc_and_in_english() -> None:
    assert (
        date_text(datetime(2027, 3, 7, 9, 5, 3, 999, tzinfo=UTC))
        == "Sun, 07 Mar 2027 09:05:03 +0000"
    )
    with pytest.raises(ValueError, match="UTC"):
        date_text(datetime(2027, 3, 7, tzinfo=timezone(timedelta(hours=1))))
