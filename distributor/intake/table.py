"""A table of contacts (CSV as people really send it) -> contacts, and a finding for every bad row.

One row's fault never stops the rest, and nothing is dropped without a finding that names its line.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Final

from distributor.core.address import visible
from distributor.core.contact import NewContact, name_key
from distributor.core.export import formula_plain
from distributor.core.model import Finding
from distributor.errors import InputError
from distributor.intake.addresses import language_fault, read_contact, zone_fault
from distributor.intake.columns import Layout, Record, find_layout, records
from distributor.intake.encoding import guess_encoding

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: The most bytes one table may have: some 200,000 journalists, all of them in memory.
TABLE_MAX: Final = 20_000_000


@dataclass(frozen=True, slots=True)
class Row:
    """One contact and the line of the file it begins in (the first line is 1)."""

    line: int
    contact: NewContact


@dataclass(frozen=True, slots=True)
class ContactTable:
    """A table as it was read. Rows of one address are merged into its first.

    ``read`` counts the rows with anything in them: rows + duplicates + refused rows.
    ``columns`` pairs each heading (or column number) with the field it fills.
    """

    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]
    read: int
    duplicates: int
    refused: int
    encoding: str
    separator: str
    columns: tuple[tuple[str, str], ...]


def read_table(
    data: bytes,
    *,
    mapping: Mapping[str, str] | None = None,
    encoding: str | None = None,
) -> ContactTable:
    """Read a table of contacts; ``mapping`` says ``heading or number -> field`` where we cannot.

    Raises:
        InputError: Empty, too large, not text, no column of addresses, an unusable mapping.

    """
    text, encoding, doubts = _decode(data, encoding)
    lines = list(io.StringIO(text, newline=""))
    layout = find_layout(lines, mapping or {})
    reading = _Reading(layout)
    for record in records(lines, layout.first, layout.separator):
        reading.take(record)
    return ContactTable(
        rows=tuple(Row(line, contact) for line, contact in reading.contacts.values()),
        findings=(*doubts, *layout.findings, *reading.all_findings()),
        read=reading.read,
        duplicates=reading.duplicates,
        refused=reading.refused,
        encoding=encoding,
        separator=layout.separator,
        columns=tuple((layout.headings[at], name) for name, at in layout.columns.items()),
    )


def table_bytes(path: Path) -> bytes:
    """A file's bytes, never more than it takes to know that they are too many.

    Raises:
        InputError: It cannot be opened or read.

    """
    try:
        with path.open("rb") as file:
            return file.read(TABLE_MAX + 1)
    except OSError as error:
        msg = f"{visible(str(path))} cannot be read: {error.strerror}."
        raise InputError(msg) from error


# --- bytes to text ---------------------------------------------------------------------------

_OTHER_KINDS: Final = {
    b"PK\x03\x04": "a spreadsheet or an archive",
    b"\xd0\xcf\x11\xe0": "an old Excel or Word file",
    b"%PDF": "a PDF",
    b"\x1f\x8b": "a compressed file",
}
_AS_CSV: Final = "Save it as CSV (UTF-8) and import that."


def _decode(data: bytes, encoding: str | None) -> tuple[str, str, tuple[Finding, ...]]:
    """The text, the encoding it was in, and a finding when that encoding was guessed."""
    if len(data) > TABLE_MAX:
        raise InputError(
            f"The table has more than {TABLE_MAX // 1_000_000} MB.",
            remedy="Split it and import the parts one after the other.",
        )
    for start, kind in _OTHER_KINDS.items():
        if data.startswith(start):
            raise InputError(f"This is {kind}, not a table of text.", remedy=_AS_CSV)
    doubts: tuple[Finding, ...] = ()
    if encoding is None:
        encoding, sure = guess_encoding(data)
        if encoding is None:
            msg = "This is not a table of text in any known encoding."
            raise InputError(msg, remedy=_AS_CSV)
        if not sure:
            words = f"read as {encoding}; if names look wrong, state it with --encoding"
            doubts = (Finding("encoding-guessed", "warning", words),)
    try:
        # Old DOS programs close a text with this mark.
        text = data.decode(encoding).removesuffix("\x1a")
    except (UnicodeError, LookupError) as error:
        words = f"The table cannot be read as {visible(encoding)}."
        raise InputError(words, remedy=_AS_CSV) from error
    if _looks_binary(text):
        raise InputError("This is not a table of text.", remedy=_AS_CSV)
    if not text.strip():
        raise InputError("The table is empty.", remedy="Choose a file with a row of headings.")
    return text.removeprefix("\ufeff"), encoding, doubts


def _looks_binary(text: str) -> bool:
    """More than one sign in fifty is a control character. A single one is that row's fault."""
    start = text[:10_000]
    return sum(sign < " " and sign not in "\t\r\n" for sign in start) * 50 > len(start)


# --- records to contacts ---------------------------------------------------------------------


@dataclass(slots=True)
class _Reading:
    """What the rows came to so far."""

    layout: Layout
    contacts: dict[str, tuple[int, NewContact]] = field(
        default_factory=dict[str, tuple[int, NewContact]]
    )
    findings: list[Finding] = field(default_factory=list[Finding])
    ignored: dict[tuple[str, str], list[int]] = field(
        default_factory=dict[tuple[str, str], list[int]]
    )
    read: int = 0
    duplicates: int = 0
    refused: int = 0

    def take(self, record: Record) -> None:
        """Read one row into a contact or a finding."""
        if record.fault is None and not any(cell.strip() for cell in record.cells):
            return
        self.read += 1
        found = self._contact(record)
        if isinstance(found, Finding):
            self.refused += 1
            self.findings.append(found)
            return
        key = found.address.key
        if key not in self.contacts:
            self.contacts[key] = (record.line, found)
            return
        line, first = self.contacts[key]
        self.duplicates += 1
        self.contacts[key] = (line, _merged(first, found))
        words = (
            f"{visible(found.address.shown)} already stands in line {line}: merged into that row"
        )
        self.findings.append(Finding("duplicate", "warning", words, record.line))

    def _contact(self, record: Record) -> NewContact | Finding:
        if record.fault is not None:
            return Finding("row", "error", f"this row cannot be read: {record.fault}", record.line)
        if len(record.cells) > len(self.layout.headings) and any(
            cell.strip() for cell in record.cells[len(self.layout.headings) :]
        ):
            words = (
                f"this row has {len(record.cells)} cells under {len(self.layout.headings)} headings"
            )
            return Finding("row", "error", words, record.line)
        values = {
            name: formula_plain(record.cells[at])
            for name, at in self.layout.columns.items()
            if at < len(record.cells)
        }
        self._drop_unreadable(values, record.line)
        found = read_contact(values, line=record.line)
        if isinstance(found, Finding) and record.last > record.line:
            words = f"{found.message} (lines {record.line} to {record.last} are one row)"
            return replace(found, message=words)
        return found

    def _drop_unreadable(self, values: dict[str, str], line: int) -> None:
        """A language or zone we do not know is no reason to lose a journalist: it is left empty."""
        for name, fault in (("language", language_fault), ("zone", zone_fault)):
            words = fault(values.get(name, "").strip())
            if words is not None:
                self.ignored.setdefault((name, words), []).append(line)
                values[name] = ""

    def all_findings(self) -> list[Finding]:
        """Every finding in the order of the file; a value that was left empty once for all rows."""
        once = [
            Finding(f"{name}-ignored", "warning", f"{words}: left empty in {len(at)} rows", at[0])
            for (name, words), at in self.ignored.items()
        ]
        return sorted([*self.findings, *once], key=lambda finding: finding.line or 0)


def _merged(first: NewContact, again: NewContact) -> NewContact:
    """``first``, its empty fields filled from ``again``; the topics of both."""
    filled = {
        item.name: getattr(first, item.name) or getattr(again, item.name)
        for item in fields(NewContact)
        if item.name not in {"address", "beats"}
    }
    beats = {name_key(beat): beat for beat in (*again.beats, *first.beats)}
    return replace(first, beats=tuple(beats.values()), **filled)
