"""A copy to a test mail: whatever the mail, it is marked, well-formed, and unlike the real one."""

from __future__ import annotations

import os
from email import message_from_bytes, policy
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart

import pytest

from distributor.core.final import FinalBytes
from distributor.core.model import Recipient
from distributor.core.trial import mark_of
from distributor.errors import MessageError
from distributor.mail.compiling import decoded_parts, headers_of, release_line_of, subject_of
from distributor.mail.marking import Addressed, marked
from tests.golden.drawn import HERE, NAMES, mail, tried
from tests.golden.samples import LIFT

KEPT = HERE / "trials"
TO = Addressed(Recipient("duty@forum.example"), "0a1b2c", "forum.example", LIFT)


@pytest.mark.parametrize("name", ["advance", "french"])
def test_the_test_mail_is_the_one_that_is_kept(name: str) -> None:
    file = KEPT / f"test-of-{name}.eml"
    if os.environ.get("GOLDEN_UPDATE") == "1":
        file.write_bytes(tried(mail(name)))
    assert file.read_bytes() == tried(mail(name))


@pytest.mark.parametrize("name", NAMES)
def test_every_mail_makes_a_test_mail_that_says_so_thrice_and_keeps_its_content(name: str) -> None:
    one = mail(name)
    data = tried(one)
    text, html = decoded_parts(data)
    real_text, real_html = decoded_parts(one.data)
    assert subject_of(data).startswith("TEST 1: ")
    assert subject_of(data).endswith(subject_of(one.data))
    assert text.startswith("TEST. ")
    assert text.endswith(f"\n\n{real_text}")
    before, _, after = real_html.partition("<body")
    assert html.startswith(before)
    assert html.endswith(after.partition(">")[2])
    assert "TEST. " in html
    if not one.content.lifted and one.content.embargo_at:
        banner = release_line_of(one.content).text
        assert banner in " ".join(text.removesuffix(real_text).split())
        assert banner in html.partition("<table")[0]


@pytest.mark.parametrize("name", NAMES)
def test_no_filter_and_nobody_takes_a_test_mail_for_the_real_one(name: str) -> None:
    one = mail(name)
    data = tried(one)
    headers = dict(headers_of(data))
    assert len(headers) == len(headers_of(data))
    assert headers["To"] == "Duty Officer <duty@forum.example>"
    assert headers["X-Distributor-Test"] == "0a1b2c"
    assert headers["Message-ID"] == "<test.0a1b2c@forum.example>"
    assert not {
        *("X-Distributor-Delivery", "List-Id", "List-Unsubscribe", "List-Unsubscribe-Post"),
        *("In-Reply-To", "References", "Cc", "Bcc"),
    } & set(headers)
    assert headers["From"] == dict(headers_of(one.data))["From"]
    real_id = dict(headers_of(one.data))["Message-ID"].strip("<>").encode()
    assert real_id not in data
    assert b"\r\n." not in data
    assert max(map(len, data.split(b"\r\n"))) <= 76


def test_an_attachment_stays_as_it_is_even_one_of_text() -> None:
    tree = MIMEMultipart("mixed", boundary="=_outer")
    words = MIMEMultipart("alternative", boundary="=_inner")
    for subtype, text in (("plain", "Text\r\n"), ("html", "<body><p>Text</p></body>\r\n")):
        part = MIMENonMultipart("text", subtype, charset="utf-8")
        part["Content-Transfer-Encoding"] = "quoted-printable"
        part.set_payload(text)
        words.attach(part)
    file = MIMENonMultipart("text", "plain", name="figures.txt")
    file["Content-Disposition"] = 'attachment; filename="figures.txt"'
    file["Content-Transfer-Encoding"] = "base64"
    file.set_payload("MSwyLDMK\r\n")
    tree.attach(words)
    tree.attach(file)
    head = (
        b"To: x@paper.example\r\nDate: Tue, 01 Dec 2026 00:01:00 +0000\r\nSubject: A bridge\r\n"
        b'From: Desk <press@forum.example>\r\nContent-Type: multipart/mixed;\r\n boundary="=_outer"'
        b"\r\nMIME-Version: 1.0\r\n\r\n"
    )
    body = tree.as_bytes(policy=policy.SMTP).partition(b"\r\n\r\n")[2]
    mark = mark_of(
        release_line_of(mail("advance").content), number=1, language="en", direction="ltr"
    )
    found = message_from_bytes(marked(FinalBytes(head + body), mark, TO), policy=policy.default)
    (attached,) = [part for part in found.walk() if part.get_filename()]
    assert attached.get_content() == "1,2,3\n"
    plain = found.get_body(preferencelist=("plain",))
    assert plain is not None
    assert plain.get_content().startswith("TEST. ")


def test_what_must_not_leave_is_refused_as_in_any_mail() -> None:
    one = mail("plain")
    mark = mark_of(release_line_of(one.content), number=1, language="en", direction="ltr")
    bad = TO._replace(recipient=Recipient("a@b.example\r\nBcc: x@y.example"))
    with pytest.raises(MessageError, match="test address"):
        marked(FinalBytes(one.data), mark, bad)
    with pytest.raises(MessageError, match="Message-ID"):
        marked(FinalBytes(one.data), mark, TO._replace(reference="a b"))
