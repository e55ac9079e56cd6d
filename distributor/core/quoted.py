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
_LITERAL: Final = frozenset(range(0x20, 0x7F)) - {ord("=")} | {ord("\t")}


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
    pieces: list[bytes] = []
    current = b""
    end = len(line) - 1
    for position in range(len(line)):
        token = _token(line, position, starts=not current)
        if len(current) + len(token) > (room if position == end else QP_LINE_MAX - 1):
            pieces.append(current + b"=")
            current, token = b"", _token(line, position, starts=True)
        current += token
    return b"\r\n".join((*pieces, current))


def _token(line: bytes, position: int, *, starts: bool) -> bytes:
    octet = line[position]
    plain = octet in _LITERAL
    if octet in b" \t" and position == len(line) - 1:
        plain = False
    if starts and (octet == ord(".") or line.startswith(b"From ", position)):
        plain = False
    return bytes((octet,)) if plain else b"=%02X" % octet
