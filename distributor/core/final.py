"""The last look at a mail: whether its final bytes may leave, whatever made them.

Every mail is judged to the last octet. What is the same in all mails of a letter is judged once,
line by line; in each mail it is then only compared (:class:`Frame`), and what is left between, the
recipient's lines, is read. A mail that is not put together so is taken apart like any other.

Invariant: nothing is believed of the code that merges; only its bytes are looked at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from distributor.core.header import LINE_MAX
from distributor.core.quoted import QP_LINE_MAX
from distributor.errors import MessageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from distributor.core.tail import Tail

_OCTETS_MAX: Final = 998  # RFC 5322 2.1.1
_ATOMS: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_TO: Final = re.compile(
    rf"(?:(?:\"(?:[^\"\\]|\\.)*\"|{_ATOMS}(?:(?:\r\n)? {_ATOMS})*)(?:\r\n)? <([^<>\r\n ]+)>"
    r"|([^<>\r\n ,;]+))",
)
_ID: Final = r"<[A-Za-z0-9._+-]{1,128}@[A-Za-z0-9.-]{1,253}>"
#: The personal headers of nearly every mail. What is folded or long is left to the slow way.
_HEADERS: Final[Mapping[str, str]] = {
    "To": r"(?=[^\r\n]{1,72}\r\n)"
    rf"(?:(?:\"(?:[ !#-\[\]-~]|\\[ -~])*\"|{_ATOMS}(?: {_ATOMS})*) <([!-;=?-~]+)>"
    r"|([!-+\--:=?-~]+))",
    "Date": r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000",
    "Message-ID": _ID,
    "X-Distributor-Delivery": r"[A-Za-z0-9._-]{1,64}",
    "List-Id": r"<[A-Za-z0-9._-]{1,253}>",
    "List-Unsubscribe": r"<mailto:[!-;=?-~]{3,900}>",
    "In-Reply-To": _ID,
    "References": rf"{_ID}(?:\r\n {_ID})*",
    "Subject": r"[!-~][ -~]{0,66}(?:\r\n [!-~][ -~]{0,74})*",
}
#: One line of a slot's value, softly broken (RFC 2045 6.7): the text goes on in the next line.
_VALUE_LINE: Final = re.compile(rb"(?!\.)[ -~\t]{1,75}=\r\n").match
#: Any line of a body: where a whole part stands, that its template gave for one recipient.
_BODY_LINE: Final = re.compile(rb"(?!\.)[ -~\t]{0,76}\r\n").match


class FinalBytes(bytes):
    """Octets that passed :func:`check_final`: they may follow DATA as they are.

    7-bit, CRLF alone as line end and at the end, no NUL, no line that begins with a dot.
    """

    __slots__ = ()


class FinalHead(FinalBytes):
    """The beginning of a mail whose end all mails of its letter share; together they are final.

    What is here alone is not a mail. It stays :class:`FinalBytes` so that no way to the wire can
    lose the ``tail``, and a mail without one costs nothing more.
    """

    tail: Tail

    def __new__(cls, data: bytes, tail: Tail) -> Self:
        """``data`` with what follows it."""
        made = super().__new__(cls, data)
        made.tail = tail
        return made


def tail_of(data: bytes) -> Tail | None:
    """The shared end of this mail; None when ``data`` is all of it."""
    return data.tail if isinstance(data, FinalHead) else None


def whole_of(data: bytes) -> bytes:
    """All of a mail in one piece: to be shown or stored, never on the way to many."""
    return data if not isinstance(data, FinalHead) else b"".join((data, data.tail.octets))


def size_of(data: bytes) -> int:
    """The octets of the whole mail."""
    return len(data) if not isinstance(data, FinalHead) else len(data) + len(data.tail)


def blocks_of(data: bytes, size: int) -> Iterator[memoryview]:
    """The whole mail in views of at most ``size``: what many mails share is copied for none."""
    own = memoryview(data)
    yield from (own[at : at + size] for at in range(0, len(own), size))
    if isinstance(data, FinalHead):
        yield from data.tail.blocks(size)


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands unchanged in every mail of a letter, judged before it is made.

    ``names`` are the personal headers in their order, ``opening`` the octets from the first
    constant header to the first slot, ``following`` those after each slot. ``whole``: a slot may
    hold a whole part, lines of every kind.
    """

    names: tuple[str, ...]
    opening: bytes
    following: tuple[bytes, ...]
    whole: bool = False
    head: re.Pattern[bytes] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Write down once what the personal headers look like."""
        lines = "".join(rf"{re.escape(name)}: {_HEADERS[name]}\r\n" for name in self.names)
        object.__setattr__(self, "head", re.compile(lines.encode("ascii")))

    def holds(self, data: bytes, recipient: str) -> bool:
        """Whether ``data`` is surely this frame, well-formed lines in it, and one recipient.

        False is no fault yet: names that need folding, or a value that looks like what follows it.
        """
        head = self.head.match(data)
        if head is None or (head[1] or head[2]) != recipient.encode():
            return False
        at = head.end()
        if not data.startswith(self.opening, at):
            return False
        at += len(self.opening)
        line_at = _BODY_LINE if self.whole else _VALUE_LINE
        for segment in self.following:
            while not data.startswith(segment, at):
                line = line_at(data, at)
                if line is None:
                    return False
                at = line.end()
            at += len(segment)
        return at == len(data)

    def fits(self, data: bytes) -> bool:
        """Whether well-formed ``data`` is this frame with nothing but slot values between.

        Each place is tried where a segment could begin: values may look like what follows them.
        """
        name = self.opening.partition(b":")[0]
        start = data.find(b"\r\n" + name + b": ") + 2
        if not data.startswith(self.opening, start):
            return False
        ends = {start + len(self.opening)}
        for segment in self.following:
            ends = {
                place + len(segment)
                for end in ends
                for place in self._line_starts(data, end)
                if data.startswith(segment, place)
            }
        return len(data) in ends

    def _line_starts(self, data: bytes, at: int) -> Iterable[int]:
        """``at``, and where each further line starts for as long as they could be a value's."""
        yield at
        line_at = _BODY_LINE if self.whole else _VALUE_LINE
        while (line := line_at(data, at)) is not None:
            at = line.end()
            yield at


def frame_of(
    personal: tuple[str, ...],
    constant: tuple[str, ...],
    parts: tuple[bytes, ...],
    *,
    whole: bool = False,
) -> Frame | None:
    """The frame of a letter, from its header names and its ``parts`` around the slots.

    ``personal`` headers come first; the first of the ``parts`` begins with the ``constant`` ones.
    ``whole``: a slot holds a whole part.

    None when the parts are not well-formed, or when a mail cannot be judged by them: then each is
    judged as a whole.
    """
    opening, *following = parts
    # A value must begin and end on lines of its own, else its neighbours are not constant.
    if not all(part.endswith(b"\r\n") or not part for part in (opening, *following[:-1])):
        return None
    bare = b"To: nobody@example.com\r\n" + b"".join(parts)
    try:
        check_final(bare, headers=("To", *constant), recipient="nobody@example.com")
    except MessageError:
        return None
    return Frame(personal, opening, tuple(following), whole)


def check_final(
    data: bytes, *, headers: Iterable[str], recipient: str, frame: Frame | None = None
) -> None:
    """Judge the final bytes of one mail, whatever made them (design section 7, I8).

    ``headers`` names every header expected, each once; ``recipient`` is the one address of To;
    ``frame`` is what must stand unchanged. Checked: ASCII; CRLF alone as line end, also at the end;
    no NUL; header lines of at most 998 octets, 76 with an encoded-word; body lines of at most 76,
    none beginning with a dot; the header set; To; the frame.

    Raises:
        MessageError: which rule is broken. No text of the mail is repeated.

    """
    if frame is not None and frame.holds(data, recipient):
        return
    if not data.isascii() or b"\0" in data:
        raise MessageError("the mail holds an octet that is not 7-bit text")
    head, _, body = data.partition(b"\r\n\r\n")
    _check_body(body)
    lines = head.splitlines()
    if b"\r\n".join(lines) != head:
        raise MessageError("the header holds a bare CR or LF")
    _check_header([line.decode("ascii") for line in lines], sorted(headers), recipient)
    if frame is not None and not frame.fits(data):
        raise MessageError("the mail holds something else than what was approved")


def _check_body(body: bytes) -> None:
    lines = body.splitlines()
    lengths = list(map(len, lines))
    # Each CRLF adds two octets to its line: a bare CR or LF, or a last line without end, adds less.
    if not lengths or len(body) != sum(lengths) + 2 * len(lengths):
        raise MessageError("the mail holds a bare CR or LF, or does not end in CRLF")
    if max(lengths) > QP_LINE_MAX:
        raise MessageError("a body line is longer than 76 octets")
    if body.startswith(b".") or b"\n." in body:
        raise MessageError("a line begins with a dot")


def _check_header(lines: list[str], expected: list[str], recipient: str) -> None:
    names: list[str] = []
    to = ""
    for line in lines:
        if len(line) > LINE_MAX and ("=?" in line or len(line) > _OCTETS_MAX):
            raise MessageError("a header line is too long")
        if line[:1] in " \t" and line.strip() and names:
            if names[-1] == "To":
                to += "\r\n" + line
            continue
        name, _, value = line.partition(": ")
        if not value or value.isspace():
            raise MessageError("a header line has no name or no value")
        names.append(name)
        if name == "To":
            to = value
    names.sort()
    if names != expected or len(set(names)) != len(names):
        odd = sorted(set(names) ^ set(expected)) or sorted({n for n in names if names.count(n) > 1})
        shown = ", ".join(f"{name[:40]!a}" for name in odd)
        raise MessageError(f"unexpected, missing or repeated headers: {shown}")
    parsed = _TO.fullmatch(to)
    if parsed is None or (parsed[1] or parsed[2]) != recipient:
        raise MessageError("To does not hold exactly the one recipient")
