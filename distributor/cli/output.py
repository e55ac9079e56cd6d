"""What commands print: text for people on a terminal, JSON for scripts, faults on stderr.

Invariant: text from outside (headlines, names, replies) is never read as markup, and what could
steer a terminal is shown escaped (reliability rows 14 and 26).
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict, is_dataclass
from datetime import date, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, cast

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from distributor.core.model import Finding
    from distributor.errors import DistributorError

#: stdout: the answer. A pipe gets full-width lines, so that scripts see whole rows.
console = Console(soft_wrap=True, highlight=False)
#: stderr: reasons, findings and progress.
errors = Console(stderr=True, soft_wrap=True, highlight=False)

_COLOURS = {"error": "bold red", "warning": "yellow", "info": "cyan"}
_STATE_COLOURS = {
    "accepted": "green",
    "finished": "green",
    "approved": "green",
    "sending": "cyan",
    "ready": "cyan",
    "refused": "red",
    "bounced": "red",
    "quarantined": "red",
    "uncertain": "bold magenta",
    "held": "bold yellow",
    "deferred": "yellow",
    "expired": "yellow",
    "cancelled": "dim",
    "suppressed": "dim",
}

#: C0 and C1 controls (ECMA-48: U+009B starts a sequence as ESC [ does), line separators, changes
#: of writing direction, and what cannot be encoded. Line feeds and tabs are for the caller to keep.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_GAP = 2
_INDENT = 4
#: A middle column wider than SHORT (a time with its zone) may be cut down to NARROWEST.
_SHORT = 20
_NARROWEST = 12
#: With less than this, the last column goes beneath.
_READABLE = 24


def visible(text: str) -> str:
    r"""``text`` with everything that could steer a terminal as ``\x1b`` or ``\u202e``."""
    return _STEERING.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def emit_json(value: object, *, indent: int | None = 2) -> None:
    """Print one JSON document; ``indent=None`` prints it on one line."""
    document = json.dumps(value, default=plain, ensure_ascii=False, indent=indent)
    sys.stdout.write(_STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", document) + "\n")


def plain(value: object) -> object:
    """What JSON can hold of a value of ours."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, frozenset | set | tuple):
        return list(cast("Iterable[Any]", value))
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    msg = f"{type(value).__name__} has no JSON form"
    raise TypeError(msg)


def print_findings(findings: Iterable[Finding]) -> None:
    """Print each finding on a line of its own to stderr, worst word first."""
    for finding in findings:
        where = f"line {finding.line}: " if finding.line is not None else ""
        word = (f"{finding.severity}: ", _COLOURS[finding.severity])
        errors.print(Text.assemble(word, visible(f"{where}{finding.message}")))


def warn(text: str) -> None:
    """Print one warning to stderr."""
    errors.print(Text.assemble(("warning: ", _COLOURS["warning"]), visible(text)))


def explain(error: DistributorError) -> None:
    """Print why something was refused, and what a person can do about it, to stderr."""
    reason, *more = str(error).splitlines()
    errors.print(Text.assemble(("refused: ", "bold red"), visible(reason)))
    for line in [*more, *(error.remedy or "").splitlines()]:
        errors.print(Text(f"  {visible(line)}"))


def say(*parts: str | tuple[str, str] | Text) -> None:
    """Print one line of plain text: nothing in it is read as markup."""
    line = Text.assemble(*(_cell(part) for part in parts))
    line.rstrip()
    console.print(line, emoji=False)


def say_field(name: str | Text, value: str | None, *, width: int) -> None:
    """Print ``name`` and its value; on a terminal the lines that follow stand under the first."""
    head = name.copy() if isinstance(name, Text) else Text(name, style="bold")
    head.pad_right(width - cell_len(head.plain))
    text = _cell(value or "–")
    shown = [text]
    if console.is_terminal and (room := console.width - width) >= _READABLE:
        shown = text.wrap(console, room)
    for number, line in enumerate(shown):
        say(Text(" " * width) if number else head, line)


def state_text(state: str) -> Text:
    """A state in its colour; the word itself always stands there."""
    return Text(state, style=_STATE_COLOURS.get(state, ""))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """Print rows under their headings, aligned, without a box (copies well into a mail).

    A pipe gets every cell whole. On a terminal the first column stands whole, the middle ones are
    cut when there is no other way, and what does not fit of the last stands beneath its row; a
    ``Text`` whose overflow is ``ellipsis`` is cut there instead.
    """
    cells = [[_one_line(cell) for cell in row] for row in rows]
    heads = [Text(column, style="bold") for column in columns]
    natural = [
        max((cell_len(row[at].plain) for row in [heads, *cells]), default=0)
        for at in range(len(columns))
    ]
    room = console.width if console.is_terminal else None
    widths = natural if room is None else _fitted(natural, room)
    heads[-1].overflow = "ellipsis"
    for row in [heads, *cells]:
        _print_row(row, widths, room)


def _cell(part: str | tuple[str, str] | Text) -> Text:
    if isinstance(part, Text):
        safe = visible(part.plain)
        return part if safe == part.plain else Text(safe, part.style, overflow=part.overflow)
    return Text(visible(part)) if isinstance(part, str) else Text(visible(part[0]), part[1])


def _one_line(cell: str | Text) -> Text:
    text = _cell(cell)
    flat = " ".join(text.plain.split()) if "\n" in text.plain or "\t" in text.plain else text.plain
    return text if flat == text.plain else Text(flat, text.style, overflow=text.overflow)


def _fitted(natural: Sequence[int], room: int) -> list[int]:
    """Widths that leave the last column a readable rest of ``room``, widest middle ones cut."""
    *front, last = natural
    widths = list(front)
    if widths:
        widths[0] = min(widths[0], room // 2)
    over = sum(widths) + _GAP * len(widths) + min(last, _READABLE) - room
    while over > 0:
        long = [at for at in range(1, len(widths)) if natural[at] > _SHORT]
        widest = max(long, key=lambda at: widths[at], default=0)
        if not widest or widths[widest] <= _NARROWEST:
            break
        cut = min(over, widths[widest] - _NARROWEST)
        widths[widest] -= cut
        over -= cut
    return [*widths, last]


def _print_row(row: Sequence[Text], widths: Sequence[int], room: int | None) -> None:
    line = Text()
    for at, (cell, width) in enumerate(zip(row[:-1], widths, strict=False)):
        shown = _shortened(cell, width) if at else cell
        line.append_text(shown)
        line.append(" " * (max(0, width - cell_len(shown.plain)) + _GAP))
    last = row[-1]
    rest = None if room is None else room - cell_len(line.plain)
    if rest is None or cell_len(last.plain) <= max(rest, 0):
        say(line, last)
    elif last.overflow == "ellipsis":
        say(line, _shortened(last, rest))
    else:
        _print_last(line, last, cast("int", room))


def _print_last(line: Text, last: Text, room: int) -> None:
    """What does not fit: wrapped in its own column while that is readable, else beneath."""
    indent = cell_len(line.plain)
    if room - indent < _READABLE:
        say(line)
        indent = _INDENT
        line = Text(" " * indent)
    for wrapped in last.wrap(console, max(room - indent, 1)):
        say(line, wrapped)
        line = Text(" " * indent)


def _shortened(cell: Text, width: int) -> Text:
    if cell_len(cell.plain) <= width:
        return cell
    if width < 1:
        return Text()
    return Text(set_cell_size(cell.plain, width - 1) + "…", cell.style)
