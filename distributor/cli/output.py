"""What commands print: text for people on a terminal, JSON for scripts, faults on stderr."""

from __future__ import annotations

import json
from dataclasses import asdict, is_dataclass
from datetime import date, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, cast

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from distributor.core.model import Finding

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


def emit_json(value: object, *, indent: int | None = 2) -> None:
    """Print one JSON document; ``indent=None`` prints it on one line."""
    console.print(
        json.dumps(value, default=plain, ensure_ascii=False, indent=indent),
        markup=False,
        emoji=False,
    )


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
        line = Text()
        line.append(f"{finding.severity}: ", style=_COLOURS[finding.severity])
        line.append(f"{where}{finding.message}")
        errors.print(line)


def say(*parts: str | tuple[str, str] | Text) -> None:
    """Print one line of plain text: nothing in it is read as markup."""
    console.print(Text.assemble(*parts), emoji=False)


def state_text(state: str) -> Text:
    """A state in its colour; the word itself always stands there."""
    return Text(state, style=_STATE_COLOURS.get(state, ""))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """Print rows under their headings, aligned, without a box (copies well into a mail)."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    console.print(table, soft_wrap=False)
