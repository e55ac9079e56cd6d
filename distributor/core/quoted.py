"""Quoted-printable text (RFC 2045 6.7) that can be spliced: whole lines, joined by soft breaks."""

from __future__ import annotations

import re
from typing import Final

QP_LINE_MAX: Final = 76

#: Values that stand on their line as they are: printable ASCII but "=", fit for one line, and not
#: beginning in a way that a mail system changes ("." and "From "). HTML also leaves out its marks.
READY: Final = {
    "text": re.compile(r"(?!\.|From )[ -<>-~]{1,75}").fullmatch,
    "html": re.compile(r"(?!\.|From )[ !#-%(-;?-~]{1,75}").fullmatch,
}
_EQUALS: Final = ord("=")
_LITERAL: Final = frozenset(range(0x20, 0x7F)) - {ord("=")} | {ord("\t")}
_WRITTEN: Final = tuple(
    bytes((octet,)) if octet in _LITERAL else b"=%02X" % octet for octet in range(256)
)
_PLAIN: Final = re.compile(rb"[\t -<>-~]*").fullmatch


def quoted(text: str, *, closed: bool = False) -> bytes:
    r"""``text`` in quoted-printable, from the start of a line; ``\n`` becomes CRLF.

    No line is longer than 76 octets, none ends in a blank, none starts with "." or "From ".
    ``closed`` ends the last line with a soft break (unless it is empty), so that what follows in
    the mail also starts a line and yet decodes as its continuation.
    """
    *lines, rest = text.encode().split(b"\n")
    whole = b"".join(_line(line) + b"\r\n" for line in lines)
    if not closed:
        return whole + _line(rest)
    return whole + _line(rest, room=QP_LINE_MAX - 1) + b"=\r\n" if rest else whole


def _line(line: bytes, *, room: int = QP_LINE_MAX) -> bytes:
    """One line, softly broken; its last piece has at most ``room`` octets."""
    text = line if _PLAIN(line) else b"".join(map(_WRITTEN.__getitem__, line))
    if text[-1:] in {b" ", b"\t"}:
        text = text[:-1] + b"=%02X" % text[-1]
    pieces: list[bytes] = []
    at = 0
    while True:
        # The first sign of a piece that a mail system would change is written as its code.
        odd = text.startswith((b".", b"From ", b"From=20"), at)
        first = b"=%02X" % text[at] if odd else b""
        at += odd
        if len(first) + len(text) - at <= room:
            return b"\r\n".join((*pieces, first + text[at:]))
        end = at + QP_LINE_MAX - 1 - len(first)
        # No code is cut in two.
        end -= 1 if text[end - 1] == _EQUALS else 2 if text[end - 2] == _EQUALS else 0
        pieces.append(first + text[at:end] + b"=")
        at = end
