"""A release with attachments and pictures, compiled, signed, and sent to many without a copy."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from base64 import b64decode
from dataclasses import replace
from email import message_from_bytes, policy
from typing import TYPE_CHECKING, Any

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from distributor.core.final import FinalHead, check_final, size_of, tail_of, whole_of
from distributor.core.message import CompiledMessage, header_names, merge
from distributor.core.model import Attachment, Outcome, Picture, Recipient
from distributor.core.outcome import judge
from distributor.core.tail import judged
from distributor.errors import MessageError
from distributor.mail.capabilities import Capabilities
from distributor.mail.compiling import compile_message, decoded_parts, letter_of
from distributor.mail.readhtml import seen_in
from distributor.mail.signing import Signing, read_key
from distributor.mail.transaction import BLOCK
from distributor.mail.wire import Wire
from tests.golden.samples import EMBARGOED, LIFT, PERSONAL, PLAIN, TEMPLATES
from tests.mail.scripted import CUT, SILENCE, InBody, Scripted
from tests.mail.test_signing import written
from tests.mail.test_transaction import ENVELOPE, Notes, a_session, talk
from tests.pictures import PDF, jpeg, png

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from distributor.core.message import ReleaseContent

OCTETS = {hashlib.sha256(data).hexdigest(): data for data in (PDF, png(), jpeg(), b"\0" * 99_999)}
(PDF_HASH, PNG_HASH, JPEG_HASH, LARGE_HASH) = OCTETS
PLAN = Attachment(PDF_HASH, "Fahrplan für Zoë.pdf", "application/pdf", len(PDF))
LARGE = Attachment(LARGE_HASH, "all.zip", "application/zip", 99_999)
FERRY = Attachment(
    PNG_HASH,
    "ferry.png",
    "image/png",
    len(png()),
    Picture("The ferry <at> the pier", 1600, 1000, "The ferry in May.", "Zoë Öz/Harbour Trust"),
)
PIER = Attachment(JPEG_HASH, "pier.jpg", "image/jpeg", len(jpeg()), Picture("The pier", 16, 8))


def octets_of(digest: str) -> list[bytes]:
    return [OCTETS[digest]]


def enclosing(*attachments: Attachment, base: ReleaseContent = EMBARGOED) -> ReleaseContent:
    return replace(base, draft=replace(base.draft, attachments=attachments))


def compiled(*attachments: Attachment, templates: Path = TEMPLATES) -> CompiledMessage:
    return compile_message(
        enclosing(*attachments), kind="release", templates=templates, octets_of=octets_of
    )


ALL = (PLAN, FERRY, LARGE, PIER)


@pytest.mark.parametrize("attachments", [(PLAN,), (FERRY,), ALL])
def test_a_copy_parses_to_its_text_and_the_same_octets(
    attachments: tuple[Attachment, ...],
) -> None:
    message = compiled(*attachments)
    letter = letter_of(message, EMBARGOED.sender, octets_of=octets_of)
    head = letter.copy_for(PERSONAL.recipient, reference="k7f3", date=LIFT)
    mail = message_from_bytes(whole_of(head), policy=policy.default)
    assert not any(part.defects for part in mail.walk())
    found = {part.get_filename(): part.get_payload(decode=True) for part in mail.walk()}
    del found[None]
    assert found == {each.name: OCTETS[each.digest] for each in attachments}
    assert decoded_parts(whole_of(head)) == decoded_parts(head)
    text, html = decoded_parts(head)
    assert f"Sent to {PERSONAL.recipient.address} (Jane Doe, The Herald)" in text
    ids = [str(part["Content-ID"])[1:-1] for part in mail.walk() if part["Content-ID"]]
    assert [html.count(f'src="cid:{cid}"') for cid in ids] == [1] * len(ids)
    assert html.count("cid:") == sum(each.picture is not None for each in attachments)


def test_the_stored_message_holds_no_octet_of_an_attachment() -> None:
    grown = len(compiled(*ALL).to_json()) - len(compiled().to_json())
    assert 0 < grown < 5_000
    message = compiled(*ALL)
    assert CompiledMessage.from_json(message.to_json()) == message


def test_without_attachments_nothing_is_changed() -> None:
    message = compiled()
    assert message.enclosures is None
    assert '"format":1' in message.to_json()
    letter = letter_of(message, EMBARGOED.sender, octets_of=octets_of)
    copy = letter.copy_for(PERSONAL.recipient, reference="k7f3", date=LIFT)
    assert tail_of(copy) is None
    assert letter._single.frame is not None


def test_caption_and_credit_stand_in_text_and_html() -> None:
    text, html = decoded_parts(merge(compiled(FERRY, PIER), PERSONAL))
    assert "[Picture: The ferry <at> the pier]\nThe ferry in May.\nCredit: Zoë Öz/Harbour" in text
    assert "[Picture: The pier]\n\n" in text
    shown = [tag for tag in seen_in(html) if isinstance(tag, tuple) and tag[0] == "img"]
    assert [dict(tag[1])["alt"] for tag in shown] == ["The ferry <at> the pier", "The pier"]
    assert 'width="520" height="325"' in html
    assert 'width="16" height="8"' in html
    assert "The ferry in May. <span" in html
    assert "Credit: Zoë Öz/Harbour Trust</span>" in html


@pytest.mark.parametrize("change", [{"digest": "0" * 64}, {"digest": LARGE_HASH}])
def test_an_attachment_that_is_not_kept_cannot_be_approved(change: dict[str, Any]) -> None:
    wrong = {**OCTETS, LARGE_HASH: b"other"}
    with pytest.raises(MessageError, match="not what it was"):
        compile_message(
            enclosing(replace(PLAN, **change)),
            kind="release",
            templates=TEMPLATES,
            octets_of=lambda digest: [wrong.get(digest, b"")],
        )


def test_i6_a_letter_whose_attachment_was_changed_makes_no_copy_and_says_why() -> None:
    message = compiled(PLAN)
    for reads in (None, lambda _: [b"%PDF-1.4 other"]):
        letter = letter_of(message, EMBARGOED.sender, octets_of=reads)
        with pytest.raises(MessageError, match="not what it was") as refused:
            letter.copy_for(PERSONAL.recipient, reference="k7f3", date=LIFT)
        assert refused.value.remedy


shown = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")) | st.sampled_from("=.<b>Fr om-"),
    max_size=80,
)
MESSAGE = compiled(*ALL)
LETTER = letter_of(MESSAGE, EMBARGOED.sender, octets_of=octets_of)


@settings(max_examples=60)
@given(name=shown, outlet=shown)
def test_spliced_equals_rendered_with_attachments_too(name: str, outlet: str) -> None:
    recipient = Recipient("zoe@paper.example", name, "Zoë", outlet)
    personal = PERSONAL._replace(recipient=recipient)
    head = LETTER.copy_for(recipient, reference="k7f3", date=LIFT)
    assert isinstance(head, FinalHead)
    assert head.tail is LETTER.tail
    merged = merge(MESSAGE, personal)
    check_final(merged, headers=header_names(MESSAGE, personal), recipient=recipient.address)
    known = f" ({name}, {outlet})" if name and outlet else f" ({name or outlet})"
    known = known if name or outlet else ""
    mail = message_from_bytes(whole_of(head), policy=policy.default)
    assert f"Sent to zoe@paper.example{known}\n" in decoded_parts(head)[0]
    found = [part.get_payload(decode=True) for part in mail.walk() if part.get_filename()]
    assert found == [OCTETS[each.digest] for each in (FERRY, PIER, PLAN, LARGE)]


def test_a_rendered_template_goes_with_attachments_too(tmp_path: Path) -> None:
    shutil.copytree(TEMPLATES, tmp_path / "t")
    html = tmp_path / "t" / "release" / "body.html.j2"
    old = html.read_text()
    html.write_text(
        old.replace("{{ headline }}", "{{ headline }}{% if recipient.name %}!{% endif %}", 1)
    )
    message = compiled(*ALL, templates=tmp_path / "t")
    assert message.script is not None
    assert CompiledMessage.from_json(message.to_json()) == message
    letter = letter_of(message, EMBARGOED.sender, octets_of=octets_of)
    copy = letter.copy_for(PERSONAL.recipient, reference="k7f3", date=LIFT)
    mail = message_from_bytes(whole_of(copy), policy=policy.default)
    assert len([part for part in mail.walk() if part.get_filename()]) == len(ALL)
    assert f"{EMBARGOED.draft.headline}!</h1>" in decoded_parts(copy)[1]


CORRUPT: dict[str, Callable[[bytes], bytes]] = {
    "a line too many at the end": lambda data: data + b"more\r\n",
    "the last line missing": lambda data: data[: data.rindex(b"--=_")],
    "a dot before the end": lambda data: data[: data.rindex(b"--=_")] + b".\r\n",
    "another boundary": lambda data: data[:-6] + b"0" * 4 + data[-2:],
}


@pytest.mark.parametrize("fault", CORRUPT)
def test_the_beginning_of_a_mail_is_judged_like_any_other(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = CORRUPT[fault]
    monkeypatch.setattr("distributor.core.letter.merge", lambda *merged: broken(merge(*merged)))
    with pytest.raises(MessageError):
        LETTER.copy_for(PERSONAL.recipient, reference="k7f3", date=LIFT)


# --- signed --------------------------------------------------------------------------------------


def test_a_signature_covers_the_shared_end_and_others_accept_it(tmp_path: Path) -> None:
    keys = {
        "rsa": rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "ed": ed25519.Ed25519PrivateKey.generate(),
    }
    signing = Signing(
        [
            read_key(written(tmp_path / name, key), domain="forum.example", selector=name)
            for name, key in keys.items()
        ]
    )
    letter = replace(LETTER, sign=signing.sign)
    head = letter.copy_for(PERSONAL.recipient, reference="k7f3", date=LIFT.replace(month=2))
    assert isinstance(head, FinalHead)
    assert head.tail is LETTER.tail
    records = {f"{key.signatory.record}.".encode(): key.record.encode() for key in signing.keys}

    def accepted(data: bytes, number: int) -> bool:
        verifier = dkim.DKIM(data)
        try:
            return bool(verifier.verify(number, dnsfunc=lambda name, **_: records[name]))
        except dkim.ValidationError:
            return False

    whole = whole_of(head)
    middle = len(whole) - len(head.tail) // 2
    other = b"B" if whole[middle : middle + 1] == b"A" else b"A"
    for number in range(2):
        assert accepted(whole, number)
        assert not accepted(whole[:middle] + other + whole[middle + 1 :], number)
        assert not accepted(whole[: -len(head.tail)], number)


# --- on the wire ---------------------------------------------------------------------------------

TAIL = judged(b"".join(b"%075d\r\n" % number for number in range(40_000)))
HEAD = FinalHead(b"To: a@b.example\r\n\r\n" + b"text\r\n" * 20, TAIL)
MAIL = ENVELOPE._replace(data=HEAD)
PIPELINED = {"size": "", "pipelining": ""}


@pytest.mark.parametrize("data", [HEAD, FinalHead(HEAD[:20] + b"x\r\n" * BLOCK, TAIL)])
def test_the_whole_mail_arrives_and_its_size_is_the_true_one(data: FinalHead) -> None:
    server = Scripted()
    notes = Notes()
    facts, alive, _ = talk(server, MAIL._replace(data=data), notes=notes)
    assert judge(facts).outcome is Outcome.ACCEPTED
    assert alive
    assert notes.letters == "SBA"
    assert server.last.bodies == [whole_of(data) + b".\r\n"]
    assert b" SIZE=%d" % (len(data) + len(TAIL)) in server.last.commands[0]
    assert size_of(data) == len(whole_of(data))


def test_mails_that_ride_have_the_whole_end_too() -> None:
    server = Scripted()
    mails = [MAIL._replace(delivery=number) for number in range(3)]

    async def run() -> list[Any]:
        async with server:
            session = await a_session(server, extensions=PIPELINED)
            waiting = list(mails)
            found = []
            while waiting:
                mail = waiting.pop(0)
                behind = (lambda: (waiting[0], lambda: None)) if waiting else None
                how: dict[str, Any] = {"gate": lambda: None, "flight": Notes(), "behind": behind}
                found.append(await session.send(mail, **how))
            await session.quit()
        return found

    for facts in asyncio.run(run()):
        assert judge(facts).outcome is Outcome.ACCEPTED
    assert server.last.bodies == [whole_of(HEAD) + b".\r\n"] * 3


def test_the_shared_end_is_never_copied_and_written_in_bounded_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[bytes | memoryview] = []
    plain = Wire.write
    monkeypatch.setattr(Wire, "write", lambda wire, data: (seen.append(data), plain(wire, data)))
    server = Scripted()
    facts, _, _ = talk(server, MAIL)
    assert judge(facts).outcome is Outcome.ACCEPTED
    views = [data for data in seen if isinstance(data, memoryview) and data.obj is TAIL.octets]
    assert sum(map(len, views)) > len(TAIL) - BLOCK
    assert max(map(len, seen)) <= BLOCK + len(b".\r\n")


@pytest.mark.parametrize(
    ("does", "outcome"), [(CUT, Outcome.NOT_SENT), (SILENCE, Outcome.NOT_SENT)]
)
def test_a_server_that_stops_reading_in_the_shared_end_leaves_no_doubt(
    does: Any, outcome: Outcome
) -> None:
    notes = Notes()
    server = Scripted(in_body=InBody(500_000, does), receive_buffer=4096)
    facts, alive, _ = talk(server, MAIL, notes=notes)
    assert judge(facts).outcome is outcome
    assert not facts.dotted
    assert not alive
    assert "B" not in notes.letters


def test_a_mail_larger_than_the_server_takes_is_not_even_begun() -> None:
    server = Scripted()
    notes = Notes()
    over = {"size": str(size_of(HEAD) - 1)}

    async def run() -> Any:
        async with server:
            session = await a_session(server, extensions=over)
            facts = await session.send(MAIL, gate=lambda: None, flight=notes)
            assert session.alive
            await session.quit()
            return facts

    facts = asyncio.run(run())
    assert (facts.code, facts.enhanced) == (552, "5.3.4")
    assert f"larger than the {size_of(HEAD) - 1} octets" in facts.reply
    assert notes.letters == ""
    assert server.last.commands == [b"QUIT"]


@pytest.mark.parametrize(
    ("said", "size"),
    [("10240000", 10_240_000), ("", 0), ("0", 0), ("much", 0), ("-5", 0), ("9" * 21, 0), ("٣", 0)],
)
def test_what_a_server_says_of_its_size_is_read_with_care(said: str, size: int) -> None:
    assert Capabilities({"size": said}).size_max == size
    assert Capabilities().size_max == 0


def test_base64_of_every_octet_is_read_back() -> None:
    every = bytes(range(256)) * 3
    digest = hashlib.sha256(every).hexdigest()
    message = compile_message(
        enclosing(replace(LARGE, digest=digest, size=len(every)), base=PLAIN),
        kind="release",
        templates=TEMPLATES,
        octets_of=lambda _: [every],
    )
    assert message.enclosures is not None
    octets = message.enclosures.tail(lambda _: [every]).octets
    assert b64decode(octets.partition(b"\r\n\r\n")[2].partition(b"--=_")[0]) == every
