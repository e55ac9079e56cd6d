"""The end of a mail that all mails of a letter share: pictures and attachments, encoded once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from distributor.errors import MessageError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: RFC 5322 2.1.1. Lines of base64 have 76 (RFC 2045 6.8), a header with a long name has more.
_OCTETS_MAX: Final = 998
#: How much is looked at together: bounds what judging takes of the memory.
_LOOK: Final = 512 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class Tail:
    """Octets that passed :func:`judged`: they may follow a mail's own part as they are.

    7-bit, CRLF alone as line end and at the end, no NUL, no line that begins with a dot, none that
    ends in a blank, no empty last line. They are never copied: whoever sends takes views.
    """

    octets: bytes

    def __len__(self) -> int:
        """How many octets."""
        return len(self.octets)

    def blocks(self, size: int) -> Iterator[memoryview]:
        """The octets in views of at most ``size``."""
        whole = memoryview(self.octets)
        return (whole[at : at + size] for at in range(0, len(whole), size))


def judged(octets: bytes) -> Tail:
    """Judge the shared end of a letter's mails, once; nothing is believed of what made it.

    Raises:
        MessageError: which rule is broken. No text of the mail is repeated.

    """
    if not octets.isascii() or b"\0" in octets:
        raise MessageError("an attachment is not written in 7-bit text")
    if not octets.endswith(b"\r\n") or octets.endswith(b"\r\n\r\n"):
        raise MessageError("the attachments do not end in one CRLF")
    at = 0
    while at < len(octets):
        end = octets.rfind(b"\r\n", at, at + _LOOK) + 2
        if end == 1:
            raise MessageError("a line among the attachments is too long")
        _judge_lines(octets[at:end])
        at = end
    return Tail(octets)


def _judge_lines(block: bytes) -> None:
    """Judge whole lines, the last with its CRLF."""
    lines = block.splitlines()
    lengths = list(map(len, lines))
    # Each CRLF adds two octets to its line: a bare CR or LF adds less.
    if len(block) != sum(lengths) + 2 * len(lengths):
        raise MessageError("the attachments hold a bare CR or LF")
    if max(lengths) > _OCTETS_MAX:
        raise MessageError("a line among the attachments is too long")
    if block.startswith(b".") or b"\n." in block:
        raise MessageError("a line among the attachments begins with a dot")
    if b" \r" in block or b"\t" in block or b"  " in block:
        raise MessageError("a line among the attachments has blanks that are not kept")
