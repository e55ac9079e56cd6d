"""A mail to be looked at before it leaves: its bytes, what a reader's program makes of them."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from html import unescape
from typing import TYPE_CHECKING

from distributor.core import size
from distributor.core.enclosures import content_id
from distributor.core.letter import domain_of
from distributor.core.model import Finding
from distributor.mail.compiling import headers_of

if TYPE_CHECKING:
    from distributor.core.enclosures import OctetsOf
    from distributor.core.model import Attachment, Version


@dataclass(frozen=True, slots=True)
class Preview:
    """One mail as it would leave: its final bytes, and what a reader's program makes of them.

    ``release_line`` is what must stand at its head, in the text and in the HTML. The signature that
    a worker puts above it is not there yet. ``page`` is the HTML with its
    pictures in it, so that it can be looked at alone.
    """

    ref: str
    data: bytes
    subject: str
    text: str
    html: str
    approved: bool
    version: Version
    release_line: str
    page: str
    attachments: tuple[Attachment, ...] = ()

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers in their order, decoded."""
        return headers_of(self.data)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is to be said of it: its sizes, and a release line that its templates left out."""
        line = _flat(self.release_line)
        seen = (("text", _flat(self.text)), ("HTML", _flat(unescape(self.html))))
        missing = tuple(
            Finding("release-line", "warning", f"the {part} does not hold the release line: {line}")
            for part, words in seen
            if line not in words
        )
        return (*missing, *size.findings(len(self.html.encode()), len(self.data)))


def _flat(text: str) -> str:
    return " ".join(text.split())


def with_pictures(html: str, version: Version, octets_of: OctetsOf) -> str:
    """The HTML with each picture in it, where the mail has it in a part of its own."""
    domain = domain_of(version.sender.address)
    for each in version.draft.attachments:
        if each.picture is not None:
            octets = b64encode(b"".join(octets_of(each.digest))).decode("ascii")
            source = f"cid:{content_id(each, domain)}"
            html = html.replace(source, f"data:{each.media_type};base64,{octets}")
    return html
