"""Test mails: how one is marked, and when it may leave before the lift (I1).

A test mail carries a release past the gate that every delivery is asked at, so it goes to the
desk's own test addresses alone. It says what it is in the subject and at the head of both parts,
and while the release is embargoed, until when. In the code it is called a trial, for what is named
a test there tests the program.

It must not be taken for the real mail by a filter either: it has none of the List-* headers, a
Message-ID of another form, and ``X-Distributor-Test`` where a delivery has its own header.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Final

from distributor.core.timing import Shut

if TYPE_CHECKING:
    from datetime import datetime

    from distributor.core.wording import ReleaseLine

#: The header that names a test mail; its value is opaque, as a delivery's reference is.
HEADER: Final = "X-Distributor-Test"
#: What stands before the reference in a test mail's Message-ID.
_ID: Final = "test."
#: In capitals in every language we have words for: "TEST" is the same word in all of them.
SIGN: Final = "TEST"
_NOTICES: Final = {
    "en": "This is a test mail. It is not a publication and must not be passed on. What follows is "
    "the mail as it will leave.",
    "de": "Das ist eine Testmail. Sie ist keine Veröffentlichung und darf nicht weitergegeben "
    "werden. Es folgt die Mail, wie sie versandt wird.",
    "fr": "Ceci est un message d’essai. Il ne vaut pas publication et ne doit pas être transmis. "
    "Voici le message tel qu’il sera envoyé.",
    "es": "Este es un mensaje de prueba. No es una publicación y no debe reenviarse. A "
    "continuación, el mensaje tal como se enviará.",
}
#: Characters in a line of text (statement 54).
_WIDTH: Final = 72
_BODY: Final = re.compile(r"<body\b[^>]*>", re.IGNORECASE)
#: White on a dark red: 9:1, by day and by night (WCAG 2.2, 1.4.3 asks for 4.5:1).
_STYLE: Final = (
    "margin:0;padding:12px 16px;background-color:#8a1538;color:#ffffff;"
    "font:bold 16px/1.5 Arial,sans-serif"
)


@dataclass(frozen=True, slots=True)
class Mark:
    """What stands at the head of a test mail: ``lines``; ``embargoed`` leads its subject too.

    ``number`` counts the test mails of a release from 1: Gmail joins mails of one subject to a
    conversation and cuts that off as a whole (statement 51).
    """

    number: int
    embargoed: str
    lines: tuple[str, ...]
    language: str
    direction: str

    def on_subject(self, subject: str) -> str:
        """The subject as a test mail has it."""
        lead = "" if subject.startswith(self.embargoed) else self.embargoed
        return f"{SIGN} {self.number}: {lead}{subject}"

    def on_text(self, text: str) -> str:
        """The text part, marked at its head."""
        wrapped = (textwrap.wrap(line, _WIDTH, break_on_hyphens=False) for line in self.lines)
        return "".join("\n".join(line) + "\n\n" for line in wrapped) + text

    def on_html(self, html: str) -> str:
        """The HTML part, marked before all else that is shown; what it holds is not changed."""
        shown = "<br>\n".join(map(_escaped, self.lines))
        head = (
            f'\n<div lang="{self.language}" dir="{self.direction}">\n'
            f'<p style="{_STYLE}">{shown}</p>\n</div>'
        )
        body = _BODY.search(html)
        at = body.end() if body else 0
        return html[:at] + head + html[at:]


def mark_of(line: ReleaseLine, *, number: int, language: str, direction: str) -> Mark:
    """The mark of a release's test mail of that number; the banner comes from its ``line``.

    Words are in the release's language where we have it, else in English.
    """
    notice = _NOTICES.get(language.partition("-")[0].lower())
    spoken = language if notice else "en"
    first = f"{SIGN}. {notice or _NOTICES['en']}"
    banner = (line.text,) if line.embargoed else ()
    way = direction if notice else "ltr"
    return Mark(number, line.subject_prefix, (first, *banner), spoken, way)


def shut(embargo_at: datetime | None, *, now: datetime, confirmed: bool) -> Shut | None:
    """Whether a test mail may leave at ``now``: None lets it go (I1).

    Before the embargo's instant only one that a person has ``confirmed`` twice.
    """
    if now.tzinfo is not UTC:
        raise ValueError("instants are compared in UTC only")
    if embargo_at is not None and now < embargo_at and not confirmed:
        return Shut.EMBARGO
    return None


def trial_id(reference: str, domain: str) -> str:
    """The Message-ID of a test mail: of a form that no delivery's has."""
    return f"<{_ID}{reference}@{domain}>"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
