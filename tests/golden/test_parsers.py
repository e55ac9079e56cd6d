"""Two parsers that know nothing of each other read the same mail, and it is the one we meant.

One is Python's own, the other postal-mime, which has its own MIME code and runs on Node.
"""

from __future__ import annotations

import json
import re
from email import message_from_bytes, policy
from html import unescape
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest

from distributor.core.script import PARTS
from distributor.mail import compiling
from distributor.mail.chamber import Job
from distributor.mail.performing import parts_for, templates_of
from distributor.mail.readhtml import seen_in
from tests.golden import judges
from tests.golden.drawn import NAMES, mail
from tests.golden.samples import TEMPLATES

if TYPE_CHECKING:
    from tests.golden.drawn import Mail

_UNSUBSCRIBE: Final = "mailto:unsubscribe@forum.example?subject=Unsubscribe"
#: Where the links of the kept mails go, in their order.
LINKS: Final = {
    "plain": ["tel:+441632960142"],
    "embargoed-then-lifted": ["tel:+441632960142", _UNSUBSCRIBE],
    "advance": ["tel:+441632960142", _UNSUBSCRIBE],
    "long-bulleted-quoted": [
        "https://forum.example/buses-2026/survey?route=all&year=2026",
        "tel:+441632960142",
        "mailto:press@forum.example",
        "mailto:data@forum.example",
        _UNSUBSCRIBE,
    ],
    "foreign": ["tel:+4315550100", _UNSUBSCRIBE],
    "french": ["tel:+33199001234", _UNSUBSCRIBE],
    "french-advance": ["tel:+33199001234", _UNSUBSCRIBE],
    "spanish": [
        "tel:+34900555142",
        "mailto:ocre@forum.example",
        "mailto:prensa@forum.example",
        _UNSUBSCRIBE,
    ],
}


class View(NamedTuple):
    """What a parser makes of a mail."""

    subject: str
    sender: tuple[str, str]
    to: list[tuple[str, str]]
    copies: list[str]
    message_id: str
    headers: list[str]
    text: str
    html: str
    links: list[str]
    files: int


def links(html: str) -> list[str]:
    return [unescape(found) for found in re.findall(r'<a href="([^"]*)"', html)]


def view_of_python(data: bytes) -> View:
    found = message_from_bytes(data, policy=policy.default)
    text, html = (part.get_content().replace("\r\n", "\n") for part in found.iter_parts())
    sender = found["From"].addresses[0]

    def name(of: Any) -> str:
        # In a name it keeps the blank between two encoded-words, which is none (RFC 2047 6.2).
        return " ".join(of.display_name.split())

    return View(
        subject=str(found["Subject"]),
        sender=(name(sender), sender.addr_spec),
        to=[(name(one), one.addr_spec) for one in found["To"].addresses],
        copies=[str(value) for name in ("Cc", "Bcc") for value in found.get_all(name, [])],
        message_id=str(found["Message-ID"]),
        headers=[name.lower() for name in found.keys()],  # noqa: SIM118 - repeated ones count
        text=text,
        html=html,
        links=links(html),
        files=sum(part.get_filename() is not None for part in found.walk()),
    )


def view_of_postal_mime(found: dict[str, Any]) -> View:
    # It counts the line end before a boundary to the part (RFC 2046 5.1.1 does not).
    text, html = (found[part].removesuffix("\n") for part in ("text", "html"))
    return View(
        subject=found["subject"],
        sender=(found["from"]["name"], found["from"]["address"]),
        to=[(one["name"], one["address"]) for one in found["to"]],
        copies=found["copies"],
        message_id=found["message_id"],
        headers=found["headers"],
        text=text,
        html=html,
        links=links(html),
        files=found["attachments"],
    )


def rendered(one: Mail) -> tuple[str, str, str]:
    """Subject, text and HTML as the templates give them whole, never encoded nor spliced."""
    values = json.dumps(compiling._plain(compiling._context(one.content)))
    sequel = one.content.sequel
    kind = sequel.kind if sequel is not None else "release"
    job = Job(kind, templates_of(kind, TEMPLATES), values)
    subject, text, html = parts_for(job, PARTS, one.recipient).values()
    return subject, text, html


@pytest.fixture(scope="module")
def read_by_another() -> dict[str, View]:
    found = judges.parsed([mail(name).data for name in NAMES])
    return dict(zip(NAMES, map(view_of_postal_mime, found), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_two_parsers_read_the_mail_that_was_meant(
    name: str, read_by_another: dict[str, View]
) -> None:
    one = mail(name)
    subject, text, html = rendered(one)
    for view in (view_of_python(one.data), read_by_another[name]):
        assert view.subject == subject
        assert view.sender == (one.content.sender.name.strip(), one.content.sender.address)
        assert view.to == [(one.recipient.name, one.recipient.address)]
        assert view.copies == []
        assert view.text == text
        # As a reader meets it: a recipient's apostrophe may be written in two ways.
        assert seen_in(view.html) == seen_in(html)
        assert view.files == 0
        if name in LINKS:
            assert view.links == LINKS[name]


@pytest.mark.parametrize("name", NAMES)
def test_two_parsers_agree_in_all_they_say(name: str, read_by_another: dict[str, View]) -> None:
    assert view_of_python(mail(name).data) == read_by_another[name]
