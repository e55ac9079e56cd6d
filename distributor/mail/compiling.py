"""A release's content to a compiled message: rendered once, CSS inlined once, encoded once.

Recipient values are rendered as marks, which become the slots. Then four probe recipients are
rendered both ways, spliced and whole, and must come out the same; a template that passes cannot
depend on its recipient.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Final, Literal

import css_inline

from distributor.core.header import check_body, check_text, constant_headers
from distributor.core.message import (
    SLOT_VALUES,
    CompiledMessage,
    Personal,
    ReleaseContent,
    Slot,
    check_final,
    header_names,
    merge,
)
from distributor.core.model import Recipient
from distributor.core.quoted import quoted
from distributor.core.wording import (
    blocks,
    dateline_text,
    direction,
    release_line,
    telephone,
    unnumbered,
)
from distributor.errors import TemplateError
from distributor.mail.rendering import RecipientValue, Rendered, render

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from distributor.core.model import Draft

#: Gmail clips at 102,400 octets of HTML; a desk is warned before (statement 51).
HTML_SIZE_WARNING: Final = 80_000

_FIELDS: Final = tuple(SLOT_VALUES)
_INLINER: Final = css_inline.CSSInliner(
    keep_at_rules=True,  # the phone's and the dark screen's rules cannot be inlined
    load_remote_stylesheets=False,
    minify_css=True,
)
#: Empty, long, beyond ASCII, and markup: what a value must not be able to change.
_PROBES: Final = (
    Recipient("a@example.com"),
    Recipient(
        f"{'l' * 64}@{'long.' * 12}example.com",
        name="Maximiliana " * 16 + "Long",
        given_name="Maximiliana" * 9,
        outlet=".The very long outlet " * 12,
    ),
    Recipient(
        "zoe@xn--zeitung-n2a.example", "Zoë Ōta-Müller", "Zoë", "Die Straßenzeitung \U0001f5de"
    ),
    Recipient("b&b@example.com", '<b>&"', "From '&amp;'", "</td>=?x?q?=0D?= = {{ 7*7 }}"),
)


def compile_message(content: ReleaseContent, *, kind: str, templates: Path) -> CompiledMessage:
    """Compile ``content`` with the templates of ``kind``.

    Raises:
        TemplateError: a template cannot be rendered or depends on its recipient's data.
        MessageError: the content cannot stand in a mail; the field is named.
        EmbargoUnclear: the content's zone is unknown.

    """
    _check_content(content)
    context = _context(content)
    # Unguessable, so that no release text can pose as a slot.
    token = secrets.token_hex(8)
    marks = {field: RecipientValue(field, f"q{token}{at:02}q") for at, field in enumerate(_FIELDS)}
    rendered = _rendered(kind, {**context, "recipient": marks}, templates)
    compiled = _assemble(content, kind=kind, rendered=rendered, token=token)
    for probe in _PROBES:
        values = {field: value_of(probe) for field, value_of in SLOT_VALUES.items()}
        whole = _rendered(kind, {**context, "recipient": values}, templates)
        _compare(compiled, probe, rendered.subject, whole)
    return compiled


def _rendered(kind: str, context: Mapping[str, object], templates: Path) -> Rendered:
    rendered = render(kind, context, templates=templates)
    return Rendered(rendered.subject, rendered.text, _INLINER.inline(rendered.html))


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
    for standing in draft.boilerplate:
        check_body(standing.text + (standing.organisation or ""), "boilerplate")
    for contact in draft.contacts:
        for part in (contact.name, contact.organisation, contact.phone, contact.email):
            check_text(part or "", "contact")


def _context(content: ReleaseContent) -> dict[str, object]:
    draft, sender = content.draft, content.sender
    line = release_line(content.embargo_at, content.zone, lifted=content.lifted)
    organisation = sender.organisation or sender.name
    return {
        "language": content.language,
        "direction": direction(content.language),
        "release_line": line,
        "label": draft.label or "Press release",
        "headline": draft.headline or "",
        "subheadline": draft.subheadline or "",
        "dateline": dateline_text(draft.dateline),
        "body": blocks(draft.body),
        "end_marker": draft.end_marker or "Ends",
        "contacts": _contacts(draft),
        "notes": [blocks(note) for note in unnumbered(draft.notes)],
        "boilerplate": [
            {
                "about": standing.organisation or (organisation if at == 0 else ""),
                "blocks": blocks(standing.text),
            }
            for at, standing in enumerate(draft.boilerplate)
        ],
        "organisation": organisation,
        "unsubscribe": content.unsubscribe or "",
    }


def _contacts(draft: Draft) -> list[dict[str, str]]:
    return [
        {
            "name": contact.name or "",
            "organisation": contact.organisation or "",
            "phone": contact.phone or contact.phone_e164 or "",
            "tel": telephone(contact),
            "email": contact.email or "",
        }
        for contact in draft.contacts
    ]


def _assemble(
    content: ReleaseContent, *, kind: str, rendered: Rendered, token: str
) -> CompiledMessage:
    marks = re.compile(rf"q{token}(\d\d)q")
    if marks.search(rendered.subject):
        raise TemplateError(f"{kind}/subject.txt.j2: the subject is the same for all recipients")
    tree = _tree(
        _with_slots(rendered.text, marks, "text", token),
        _with_slots(rendered.html, marks, "html", token),
    )
    data = tree.as_bytes(policy=policy.SMTP)
    _, _, body = data.partition(b"\r\n\r\n")
    first, *others = re.split(rb"%b(text|html)(\d\d)\r\n" % token.encode(), body)
    codings, fields, following = others[0::3], others[1::3], others[2::3]
    slots = tuple(
        Slot(_FIELDS[int(field)], "html" if coding == b"html" else "text")
        for coding, field in zip(codings, fields, strict=True)
    )
    return CompiledMessage(
        kind=kind,
        language=content.language,
        headers=constant_headers(
            content.sender,
            subject=rendered.subject,
            language=content.language,
            content_type=str(tree["Content-Type"]),
        ),
        segments=(first, *following),
        slots=slots,
        html_size=len(marks.sub("", rendered.html).encode()),
    )


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
    marked = re.compile(r"^[0-9a-f]{16}(?=(?:text|html)\d\d\r$)", re.MULTILINE)
    content = hashlib.sha256(marked.sub("", text + html).encode("ascii")).hexdigest()
    tree = MIMEMultipart("alternative", boundary=f"=_{content[:32]}")
    for subtype, payload in (("plain", text), ("html", html)):
        part = MIMENonMultipart("text", subtype, charset="utf-8")
        del part["MIME-Version"]
        part["Content-Transfer-Encoding"] = "quoted-printable"
        part.set_payload(payload)
        tree.attach(part)
    return tree


def _compare(compiled: CompiledMessage, probe: Recipient, subject: str, whole: Rendered) -> None:
    """Refuse a template whose mail to ``probe`` is not what splicing makes of it."""
    personal = Personal(
        recipient=probe,
        message_id="<probe@example.com>",
        date=datetime(2000, 1, 1, tzinfo=UTC),
        delivery="probe",
    )
    data = merge(compiled, personal)
    check_final(data, headers=header_names(compiled, personal), recipient=probe.address)
    spliced = decoded_parts(data)
    same = {
        "subject.txt.j2": subject == whole.subject,
        "body.txt.j2": spliced[0] == whole.text,
        "body.html.j2": _events(spliced[1]) == _events(whole.html),
    }
    for template, holds in same.items():
        if not holds:
            raise TemplateError(
                f"{compiled.kind}/{template}: recipient data changes more than its own place",
                remedy="Show recipient values alone in {{ }}, outside filters and wrapped text.",
            )


def decoded_parts(data: bytes) -> tuple[str, str]:
    r"""Text and HTML of a mail as a journalist's program reads them; lines end in ``\n``."""
    message = message_from_bytes(data, policy=policy.default)
    text, html = (part.get_content().replace("\r\n", "\n") for part in message.iter_parts())
    return text, html


def subject_of(data: bytes) -> str:
    """Subject of a mail as a journalist's program shows it."""
    return str(message_from_bytes(data, policy=policy.default)["Subject"])


class _Events(HTMLParser):
    """What a reader of HTML sees: tags with their attributes, and texts, entities resolved."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.seen: list[object] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, tuple(attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.seen.append(tag)

    def handle_data(self, data: str) -> None:
        self.seen.append(("", data))

    def handle_comment(self, data: str) -> None:
        self.seen.append(("!", data))


def _events(html: str) -> list[object]:
    parser = _Events()
    parser.feed(html)
    parser.close()
    return parser.seen
