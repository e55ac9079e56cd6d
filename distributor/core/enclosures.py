"""What goes with a letter behind its text: how it stands in the mail, and its octets, encoded once.

The mail is ``mixed(alternative(text, related(html, pictures)), attachments)``, of which only what
is needed is there. Text and HTML hold the recipients' values; everything behind the HTML is the
same for all and makes the shared :class:`~distributor.core.tail.Tail`. A compiled message does not
hold that: it holds the lines between the attachments, the attachments' hashes, and the hash of the
whole, so that what is put together anew in a worker is what was approved (I6).
"""

from __future__ import annotations

import hashlib
import io
from base64 import encodebytes
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from distributor.core.filename import ascii_name, disposition_of
from distributor.core.tail import judged
from distributor.errors import MessageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from distributor.core.model import Attachment
    from distributor.core.tail import Tail

#: Gives the octets kept under a hash, in pieces of any size.
OctetsOf = Callable[[str], Iterable[bytes]]

#: Octets of a line of base64 before it is encoded (RFC 2045 6.8): 76 characters.
_LINE: Final = 57


@dataclass(frozen=True, slots=True)
class Enclosures:
    """The shared end of a letter's mails, without the octets of the attachments.

    ``parts`` are, for each attachment in the order of the mail, the lines before it (ASCII, CRLF)
    and its hash; ``closing`` the lines behind the last. ``digest`` and ``size`` are the SHA-256 and
    the octets of the whole once it is put together.
    """

    parts: tuple[tuple[str, str], ...]
    closing: str
    digest: str
    size: int

    def tail(self, octets_of: OctetsOf) -> Tail:
        """Put the end together and judge it.

        Raises:
            MessageError: it is not what was approved, or must not leave.

        """
        octets, digest = _written(self.parts, self.closing, octets_of)
        if digest != self.digest or len(octets) != self.size:
            raise MessageError(
                "the attachments are not those that were approved",
                remedy="Attach them anew, and approve the release anew.",
            )
        return judged(octets)

    def to_form(self) -> dict[str, Any]:
        """What JSON can hold of it."""
        return {
            "parts": self.parts,
            "closing": self.closing,
            "digest": self.digest,
            "size": self.size,
        }

    @classmethod
    def from_form(cls, form: Any) -> Enclosures:  # noqa: ANN401  # it comes from outside
        """Read what :meth:`to_form` gave; of another shape: ValueError, TypeError, KeyError."""
        parts = cast("list[tuple[str, str]]", form["parts"])
        return cls(
            parts=tuple((lines, digest) for lines, digest in parts),
            closing=form["closing"],
            digest=form["digest"],
            size=form["size"],
        )


class Enclosed(NamedTuple):
    """A mail with enclosures: its Content-Type, the body up to the shared end, and that end."""

    content_type: str
    body: bytes
    enclosures: Enclosures


def content_id(attachment: Attachment, domain: str) -> str:
    """What the HTML calls a picture by (RFC 2392); ``domain`` is the sender's."""
    return f"{attachment.digest[:32]}@{domain}"


def enclose(
    alternative: bytes,
    attachments: Sequence[Attachment],
    *,
    boundary: str,
    domain: str,
    octets_of: OctetsOf,
) -> Enclosed:
    """Put ``attachments`` behind a body of ``multipart/alternative`` with that ``boundary``.

    Raises:
        MessageError: the attachments cannot leave.

    """
    pictures = [each for each in attachments if each.picture is not None]
    others = [each for each in attachments if each.picture is None]
    # "=_" cannot come of an encoding; "m" and "r" are no hexadecimal figures: no boundary begins
    # like another (RFC 2046 5.1.1).
    mixed, related = f"=_m{boundary[3:]}", f"=_r{boundary[3:]}"
    content_type = f'multipart/alternative; boundary="{boundary}"'
    before, middle, html = alternative.rpartition(f"--{boundary}\r\n".encode("ascii"))
    end = f"--{boundary}--\r\n"
    html = html.removesuffix(end.encode("ascii"))
    body = before + middle
    tail = [*_parts(pictures, related, domain)]
    closing = f"--{related}--\r\n" if pictures else ""
    if pictures:
        head = f'Content-Type: multipart/related; type="text/html";\r\n boundary="{related}"\r\n'
        body += f"{head}\r\n--{related}\r\n".encode("ascii")
    body += html
    # The own part ends with a delimiter, so that its last segment looks like nothing before it.
    if pictures:
        first, digest = tail[0]
        opening, _, first = first.partition("\r\n")
        tail[0] = (first, digest)
        body += f"{opening}\r\n".encode("ascii")
        closing += end
    else:
        body += end.encode("ascii")
    if others:
        content_type = f'multipart/mixed;\r\n boundary="{mixed}"'
        head = f'--{mixed}\r\nContent-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n'
        body = f"{head}\r\n".encode("ascii") + body
        (lines, digest), *rest = _parts(others, mixed, domain)
        tail += [(closing + lines, digest), *rest]
        closing = f"--{mixed}--\r\n"
    octets, digest = _written(tail, closing, octets_of)
    judged(octets)
    return Enclosed(content_type, body, Enclosures(tuple(tail), closing, digest, len(octets)))


def _parts(
    attachments: Iterable[Attachment], boundary: str, domain: str
) -> Iterator[tuple[str, str]]:
    for each in attachments:
        shown = each.picture is not None
        kind = "inline" if shown else "attachment"
        lines = (
            f"--{boundary}",
            f'Content-Type: {each.media_type};\r\n name="{ascii_name(each.name)}"',
            "Content-Transfer-Encoding: base64",
            *((f"Content-ID: <{content_id(each, domain)}>",) if shown else ()),
            f"Content-Disposition: {kind};\r\n {disposition_of(each.name)}",
        )
        yield "\r\n".join(lines) + "\r\n\r\n", each.digest


def _written(
    parts: Iterable[tuple[str, str]], closing: str, octets_of: OctetsOf
) -> tuple[bytes, str]:
    """The whole end and its SHA-256; in memory is nothing but it and one piece."""
    whole = io.BytesIO()
    total = hashlib.sha256()
    for lines, digest in parts:
        for octets in chain([lines.encode("ascii")], _encoded(digest, octets_of(digest))):
            whole.write(octets)
            total.update(octets)
    end = closing.encode("ascii")
    whole.write(end)
    total.update(end)
    return whole.getvalue(), total.hexdigest()


def _encoded(digest: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Base64 in lines of 76; the octets must come to their hash."""
    seen = hashlib.sha256()
    rest = b""
    for piece in pieces:
        seen.update(piece)
        rest += piece
        whole = len(rest) - len(rest) % _LINE
        yield encodebytes(rest[:whole]).replace(b"\n", b"\r\n")
        rest = rest[whole:]
    yield encodebytes(rest).replace(b"\n", b"\r\n")
    if seen.hexdigest() != digest:
        raise MessageError(
            "an attachment is not what it was when it was attached",
            remedy="Attach it anew, and approve the release anew.",
        )
