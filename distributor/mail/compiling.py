"""A release's content to a compiled message: rendered once, CSS inlined once, encoded once.

Recipient values are rendered as marks, which become the slots. Then four probe recipients are
rendered both ways, spliced and whole, and must come out the same. A template that does not pass is
rendered for each recipient instead, from what was stored at approval; its reason is kept.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from typing import TYPE_CHECKING, Final, Literal, cast

from distributor.core.enclosures import enclose
from distributor.core.final import check_final
from distributor.core.furniture import furniture
from distributor.core.header import check_body, check_text, constant_headers
from distributor.core.letter import Letter, domain_of
from distributor.core.message import (
    SLOT_VALUES,
    CompiledMessage,
    Personal,
    ReleaseContent,
    Slot,
    header_names,
    merge,
)
from distributor.core.model import Sender, WaveKind
from distributor.core.quoted import quoted
from distributor.core.script import BODIES, PARTS, SUBJECT, Script
from distributor.core.sequel import sequel_words
from distributor.core.wording import (
    ReleaseLine,
    blocks,
    direction,
    release_line,
    telephone,
    unnumbered,
)
from distributor.errors import MessageError, TemplateError
from distributor.mail import calendar
from distributor.mail.chamber import Job
from distributor.mail.enclosing import Refusing, nothing, shown_pictures
from distributor.mail.look import OURS
from distributor.mail.performing import (
    PROBES,
    Performance,
    job_of,
    known,
    parts_for,
    proof_of,
    rendered,
    templates_of,
)
from distributor.mail.readhtml import seen_in
from distributor.mail.rendering import DecidesByRecipient
from distributor.mail.sequels import sequel_context
from distributor.mail.stationery import stationery

if TYPE_CHECKING:
    from pathlib import Path

    from distributor.core.enclosures import OctetsOf
    from distributor.core.furniture import Furniture
    from distributor.core.letter import Sign
    from distributor.core.model import Draft
    from distributor.mail.look import Look
    from distributor.mail.stationery import Stationery, Templates

_FIELDS: Final = tuple(SLOT_VALUES)
_CODINGS: Final[tuple[Literal["text", "html"], ...]] = ("text", "html")


def compile_message(
    content: ReleaseContent,
    *,
    kind: str,
    templates: Stationery | Path,
    octets_of: OctetsOf | None = None,
) -> CompiledMessage:
    """Compile ``content`` with the templates of ``kind``; its attachments by ``octets_of``.

    Raises:
        TemplateError: a template cannot be rendered.
        MessageError: the content cannot stand in a mail; the field is named.
        EmbargoUnclear: the content's zone is unknown.

    """
    _check_content(content)
    texts = templates_of(kind, templates)
    values = json.dumps(
        _plain(_context(content, stationery(templates).look)), sort_keys=True, separators=(",", ":")
    )
    desk = _Desk(content, kind, texts, values, octets_of)
    reasons: dict[str, str] = {}
    while True:
        compiled = desk.compiled(reasons)
        odd = _odd_parts(compiled, texts, values)
        if not odd:
            return compiled
        for part in odd:
            reasons[part] = f"{kind}/{part}: recipient data changes more than its own place"


def context_names(content: ReleaseContent) -> dict[str, list[str]]:
    """The names a template may show, each with those behind its dot, where there are such."""
    context = cast("dict[str, object]", _plain(_context(content)))
    names = {
        name: sorted(cast("dict[str, object]", value)) if isinstance(value, dict) else []
        for name, value in context.items()
    }
    return {**names, "recipient": list(SLOT_VALUES)}


def letter_of(
    compiled: CompiledMessage,
    sender: Sender,
    sign: Sign | None = None,
    octets_of: OctetsOf | None = None,
) -> Letter:
    """A letter with all it needs to render what its message does not hold ready, and to sign.

    ``octets_of`` gives its attachments. Where they are not those that were approved, no copy of the
    letter can be made, and each tells why.
    """
    if compiled.enclosures is None:
        return Letter(compiled, sender, _renderer(compiled), sign)
    try:
        tail = compiled.enclosures.tail(octets_of or nothing)
    except MessageError as error:
        return Letter(replace(compiled, enclosures=None), sender, Refusing(error))
    return Letter(compiled, sender, _renderer(compiled), sign, tail)


def _renderer(compiled: CompiledMessage) -> Performance | None:
    return None if compiled.script is None else Performance(compiled.kind, compiled.script)


@dataclass(frozen=True, slots=True)
class _Desk:
    """What one message is compiled from: ``values`` are the release's, as JSON."""

    content: ReleaseContent
    kind: str
    texts: Templates
    values: str
    octets_of: OctetsOf | None

    def compiled(self, reasons: dict[str, str]) -> CompiledMessage:
        """Compile; parts with a reason, and those found to have one now, are left to rendering."""
        # Unguessable, so that no release text can pose as a slot.
        token = secrets.token_hex(8)
        marks = {field: f"q{token}{at:02}q" for at, field in enumerate(_FIELDS)}
        job = Job(self.kind, self.texts, self.values)
        ready: dict[str, str] = {}
        for part in PARTS:
            if part in reasons:
                continue
            try:
                ready[part] = rendered(job, part, marks, marked=True)
            except DecidesByRecipient as error:
                reasons[part] = f"{error}{_line_of(self.texts, error.place)}"
        if token in ready.get(SUBJECT, ""):
            del ready[SUBJECT]
            reasons[SUBJECT] = f"{self.kind}/{SUBJECT}: the subject shows its recipient's data"
        return self._assembled(ready, token, self._script(reasons))

    def _assembled(
        self, ready: dict[str, str], token: str, script: Script | None
    ) -> CompiledMessage:
        content = self.content
        marks = re.compile(rf"q{token}(\d\d)q")
        tree = _tree(
            *(
                _with_slots(ready[part], marks, coding, token)
                if part in ready
                else f"{token}whole{at:02}\r\n"
                for at, (part, coding) in enumerate(zip(BODIES, _CODINGS, strict=True))
            )
        )
        _, _, body = tree.as_bytes(policy=policy.SMTP).partition(b"\r\n\r\n")
        content_type, enclosures = str(tree["Content-Type"]), None
        if content.draft.attachments:
            content_type, body, enclosures = enclose(
                body,
                content.draft.attachments,
                boundary=str(tree.get_boundary()),
                domain=domain_of(content.sender.address),
                octets_of=self.octets_of or nothing,
            )
        segments, slots = _cut(body, token)
        html = ready.get(BODIES[1])
        if html is None and script is not None:
            html = rendered(job_of(self.kind, script), BODIES[1], known(PROBES[0]))
        return CompiledMessage(
            kind=self.kind,
            language=content.language,
            headers=constant_headers(
                content.sender,
                subject=ready.get(SUBJECT),
                language=content.language,
                # The boundary on a line of its own: both on one exceed 78 octets (statement 11).
                content_type=content_type.replace("; ", ";\r\n "),
            ),
            segments=segments,
            slots=slots,
            html_size=len(marks.sub("", html or "").encode()),
            script=script,
            enclosures=enclosures,
        )

    def _script(self, reasons: dict[str, str]) -> Script | None:
        if not reasons:
            return None
        parts = tuple((part, reasons[part]) for part in PARTS if part in reasons)
        script = Script(templates=self.texts, values=self.values, reasons=parts, proof="")
        return replace(script, proof=proof_of(self.kind, script))


def _line_of(texts: Templates, place: str) -> str:
    """The line of a template at ``place``, to be quoted behind what is said of it."""
    name, _, number = place.partition(", line ")
    lines = dict(texts).get(name, "").splitlines()
    if not number or int(number) > len(lines):
        return ""
    return f" in “{lines[int(number) - 1].strip()[:120]}”"


def _plain(value: object) -> object:
    """``value`` as JSON holds it: what is rendered at approval is what can be stored."""
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in cast("dict[str, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("list[object]", value)]
    return value


def _check_content(content: ReleaseContent) -> None:
    draft = content.draft
    for name, line in (
        ("headline", draft.headline),
        ("subheadline", draft.subheadline),
        ("label", draft.label),
        ("sender's name", content.sender.name),
        ("sender's organisation", content.sender.organisation),
        ("unsubscribe address", content.unsubscribe),
    ):
        check_text(line or "", name)
    check_body(draft.body, "body")
    check_body(draft.end_marker or "", "end marker")
    check_body("".join(draft.notes), "notes")
    if content.sequel is not None:
        check_text(content.sequel.reason, "reason")
    for standing in draft.boilerplate:
        check_body(standing.text + (standing.organisation or ""), "boilerplate")
    for picture in (each.picture for each in draft.attachments if each.picture):
        check_text(picture.alt + picture.caption + picture.credit, "text of a picture")
    for contact in draft.contacts:
        for part in (contact.name, contact.belongs, contact.phone, contact.email):
            check_text(part or "", "contact")


def _context(content: ReleaseContent, look: Look = OURS) -> dict[str, object]:
    draft, sender = content.draft, content.sender
    words = furniture(content.language)
    organisation = sender.organisation or sender.name
    unsubscribe = content.unsubscribe or ""
    return {
        "language": content.language,
        "direction": direction(content.language),
        "release_line": release_line_of(content),
        "words": {
            "press_contact": words.press_contact,
            "press_contacts": words.press_contacts,
            "telephone": words.telephone,
            "email": words.email,
            "notes": words.notes,
            "sent_to": words.sent_to,
            "sent_by": words.sent_by.format(organisation=organisation),
            "no_more": words.no_more.format(organisation=organisation),
            "write_to": words.write_to.format(address=unsubscribe),
            "picture": words.picture,
            "credit": words.credit,
        },
        "label": draft.label or words.label,
        "headline": draft.headline or "",
        "subheadline": draft.subheadline or "",
        "dateline": calendar.dateline(draft.dateline, content.language),
        "body": blocks(draft.body),
        "pictures": shown_pictures(draft, sender),
        "end_marker": draft.end_marker or words.ends,
        "contacts": _contacts(draft),
        "notes": [blocks(note) for note in unnumbered(draft.notes)],
        "boilerplate": [
            {
                **_about(words, standing.organisation or (organisation if at == 0 else "")),
                "blocks": blocks(standing.text),
            }
            for at, standing in enumerate(draft.boilerplate)
        ],
        "organisation": organisation,
        "unsubscribe": unsubscribe,
        "look": look.values(content.language),
        **sequel_context(content),
    }


def release_line_of(content: ReleaseContent) -> ReleaseLine:
    """The one sentence of when it may be used, that subject, text and HTML take (statement 61)."""
    at, zone, language = content.embargo_at, content.zone, content.language
    words = furniture(language)
    withdrawn = content.sequel is not None and content.sequel.kind is WaveKind.WITHDRAWAL
    if withdrawn and (content.lifted or at is None):
        # Whoever reads but one line of it must not read that it is free for use.
        return ReleaseLine(sequel_words(language).withdrawn, "", embargoed=True)
    if at is None or zone is None:
        return release_line(words, None, "", lifted=content.lifted)
    short = calendar.short_moment(at, zone, language)
    return release_line(words, calendar.moment(at, zone, language), short, lifted=content.lifted)


def _about(words: Furniture, organisation: str) -> dict[str, str]:
    """The heading over a boilerplate; in capitals too, but for the organisation's own name."""
    if not organisation:
        return {"heading": words.about_us, "capitals": words.about_us.upper()}
    capitals = words.about.format(organisation="{}").upper().format(organisation)
    return {"heading": words.about.format(organisation=organisation), "capitals": capitals}


def _contacts(draft: Draft) -> list[dict[str, str]]:
    return [
        {
            "name": contact.name or "",
            "organisation": contact.belongs,
            "phone": contact.phone or contact.phone_e164 or "",
            "tel": telephone(contact),
            "email": contact.email or "",
        }
        for contact in draft.contacts
    ]


def _cut(body: bytes, token: str) -> tuple[tuple[bytes, ...], tuple[Slot, ...]]:
    """A body in its constant segments, and the slots between them."""
    first, *others = re.split(rb"%b(text|html|whole)(\d\d)\r\n" % token.encode(), body)
    slots = tuple(
        _slot(coding.decode(), int(number))
        for coding, number in zip(others[0::3], others[1::3], strict=True)
    )
    return (first, *others[2::3]), slots


def _slot(coding: str, number: int) -> Slot:
    if coding == "whole":
        return Slot(BODIES[number], "whole")
    return Slot(_FIELDS[number], "html" if coding == "html" else "text")


def _with_slots(
    part: str, marks: re.Pattern[str], coding: Literal["text", "html"], token: str
) -> str:
    """``part`` encoded, each mark on a line of its own between soft breaks."""
    *before, last = marks.split(part)
    pieces: list[str] = []
    for constant, field in zip(before[0::2], before[1::2], strict=True):
        pieces += (quoted(constant, closed=True).decode("ascii"), f"{token}{coding}{field}\r\n")
    return "".join((*pieces, quoted(last).decode("ascii")))


def _tree(text: str, html: str) -> MIMEMultipart:
    """The MIME tree, text first (statement 18), of two encoded parts.

    The boundary comes from the content, so that the same release compiles to the same bytes; "=_"
    cannot stand in quoted-printable (RFC 2045 6.7).
    """
    marked = re.compile(r"^[0-9a-f]{16}(?=(?:text|html|whole)\d\d\r$)", re.MULTILINE)
    content = hashlib.sha256(marked.sub("", text + html).encode("ascii")).hexdigest()
    tree = MIMEMultipart("alternative", boundary=f"=_{content[:32]}")
    for subtype, payload in (("plain", text), ("html", html)):
        part = MIMENonMultipart("text", subtype, charset="utf-8")
        del part["MIME-Version"]
        part["Content-Transfer-Encoding"] = "quoted-printable"
        part.set_payload(payload)
        tree.attach(part)
    return tree


def _odd_parts(compiled: CompiledMessage, texts: Templates, values: str) -> list[str]:
    """The parts that come out otherwise for some probe when spliced than when rendered whole."""
    render = _renderer(compiled)
    job = Job(compiled.kind, texts, values)
    odd: set[str] = set()
    for probe in PROBES:
        parts = parts_for(job, PARTS, probe)
        whole = [parts[part] for part in PARTS]
        personal = Personal(
            recipient=probe,
            message_id="<probe@example.com>",
            date=datetime(2000, 1, 1, tzinfo=UTC),
            delivery="probe",
        )
        data = merge(compiled, personal, render(probe) if render else {})
        check_final(data, headers=header_names(compiled, personal), recipient=probe.address)
        text, html = decoded_parts(data)
        same = (
            unfolded_subject(data) == whole[0],
            text == whole[1],
            seen_in(html) == seen_in(whole[2]),
        )
        odd |= {part for part, holds in zip(PARTS, same, strict=True) if not holds}
    if odd & set(compiled.script.parts if compiled.script else ()):
        raise TemplateError(f"{compiled.kind}: a part cannot be sent as it is rendered")
    return [part for part in PARTS if part in odd]


def unfolded_subject(data: bytes) -> str:
    """The subject as it was before it was folded and encoded, blanks and all."""
    raw = str(message_from_bytes(data, policy=policy.compat32)["Subject"])
    return str(make_header(decode_header(raw.replace("\r", "").replace("\n", ""))))


def decoded_parts(data: bytes) -> tuple[str, str]:
    r"""Text and HTML of a mail as a journalist's program reads them; lines end in ``\n``."""
    message = message_from_bytes(data, policy=policy.default)
    text, html = (
        body.get_content().replace("\r\n", "\n") if body is not None else ""
        for body in (message.get_body(("plain",)), message.get_body(("html",)))
    )
    return text, html


def headers_of(data: bytes) -> list[tuple[str, str]]:
    """The headers of a mail in their order, decoded as a journalist's program shows them."""
    message = message_from_bytes(data, policy=policy.default)
    return [(name, str(value)) for name, value in message.items()]


def subject_of(data: bytes) -> str:
    """Subject of a mail as a journalist's program shows it."""
    return str(message_from_bytes(data, policy=policy.default)["Subject"])
