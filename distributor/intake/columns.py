"""Where in a table the fields stand: its separator, its headings, its column of addresses."""

from __future__ import annotations

import csv
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from distributor.core.address import visible
from distributor.core.contact import TEXT_FIELDS
from distributor.core.model import Finding
from distributor.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: A row of more lines than this is a quote that was never closed.
_ROW_LINES_MAX: Final = 200
#: Rows looked at to find the separator and the address column.
_SAMPLE: Final = 50
_SEPARATORS: Final = (",", ";", "\t", "|")

#: Fields a column may be mapped to.
FIELDS: Final = ("address", *TEXT_FIELDS, "beats")

#: Headings as people write them (folded by :func:`_heading_key`), the surest first.
_HEADINGS: Final[dict[str, tuple[str, ...]]] = {
    "address": (
        "email", "e mail", "email address", "e mail address", "mail", "e mail adresse", "courriel",
        "work email", "business email", "contact email", "email 1", "mail address", "address",
    ),
    "name": ("name", "full name", "contact", "contact name", "journalist", "display name"),
    "given_name": (
        "first name", "firstname", "given name", "given names", "forename", "vorname", "prénom",
    ),
    "family_name": (
        "surname", "last name", "lastname", "family name", "nachname", "familienname", "nom",
    ),
    "outlet": (
        "outlet", "publication", "media outlet", "media", "medium", "organisation", "organization",
        "company", "title of publication", "newspaper", "redaktion", "employer",
    ),
    "role": ("role", "job title", "jobtitle", "position", "job", "funktion", "title"),
    "phone": (
        "phone", "telephone", "tel", "phone number", "telephone number", "telefon", "direct line",
        "mobile", "mobile phone", "cell", "handy",
    ),
    "beats": ("beats", "beat", "topics", "topic", "subjects", "subject", "specialism", "ressort"),
    "language": ("language", "lang", "sprache", "langue"),
    "zone": ("zone", "time zone", "timezone", "zeitzone"),
    "note": ("note", "notes", "comment", "comments", "remarks", "bemerkung"),
}  # fmt: skip


# --- lines to records ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Record:
    """One row: its first and last line, and its cells or why they cannot be told apart."""

    line: int
    last: int
    cells: list[str]
    fault: str | None = None


def records(lines: Sequence[str], first: int, separator: str) -> Iterator[Record]:
    """The rows from line index ``first``. After one that cannot be read, the next line begins one.

    A quoted cell may hold line breaks; a quote that is never closed must not swallow the file.
    """
    at = first
    while at < len(lines):
        source = iter(lines[at : at + _ROW_LINES_MAX])
        reader = csv.reader(source, delimiter=separator, strict=True)
        try:
            cells = next(reader)
        except csv.Error as error:
            yield Record(at + 1, at + 1, [], _quote_fault(str(error)))
            at += 1
            continue
        except StopIteration:
            return
        yield Record(at + 1, at + reader.line_num, cells)
        at += reader.line_num


def _quote_fault(words: str) -> str:
    if "unexpected end" in words:
        return "a quote is opened and never closed"
    if "expected after" in words:
        return "there is text after a closing quote"
    return f"it cannot be taken apart ({words})"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the fields stand: ``columns`` maps a field to its column's index.

    ``first`` is the index of the first line that holds a contact.
    """

    separator: str
    first: int
    headings: list[str]
    columns: dict[str, int]
    findings: tuple[Finding, ...]


def find_layout(lines: Sequence[str], mapping: Mapping[str, str]) -> Layout:
    """The reading that makes most sense: addresses found, then headings known, then cells apart.

    ``mapping`` says ``heading or column number -> field`` and wins over any heading.

    Raises:
        InputError: No column of addresses; a mapping that names no column or no field.

    """
    first, stated = _stated_separator(lines)
    choices = (stated,) if stated else _SEPARATORS
    samples = {choice: _sample(lines, first, choice) for choice in choices}
    separator = max(choices, key=lambda choice: _score(samples[choice], mapping))
    sample = samples[separator]
    if not sample:
        raise InputError("No row of the table can be read.", remedy="Save it again as CSV (UTF-8).")
    head = sample[0]
    headed = not any(_is_address(cell) for cell in head.cells)
    rows = [record.cells for record in (sample[1:] if headed else sample)]
    columns = _mapped(head.cells, mapping, headed=headed)
    if headed:
        _take_headings(columns, head.cells, rows)
    if "address" not in mapping.values():
        _settle_addresses(columns, head.cells if headed else [], rows)
    if "address" not in columns:
        raise _no_addresses(head.cells)
    named = head.cells if headed else [""] * len(head.cells)
    headings = [visible(_one_line(cell), limit=40) for cell in named]
    headings = [cell or str(at) for at, cell in enumerate(headings, 1)]
    used = set(columns.values()) | {at for at in range(len(named)) if not _filled(rows, at)}
    unused = [name for at, name in enumerate(headings) if at not in used]
    begin = head.last if headed else head.line - 1
    return Layout(separator, begin, headings, columns, _findings(unused, rows))


def _one_line(cell: str) -> str:
    """A heading on one line, without the blanks around it."""
    return " ".join(cell.split())


def _stated_separator(lines: Sequence[str]) -> tuple[int, str | None]:
    """Excel's own first line ``sep=;``, which names the separator and is no row."""
    start = lines[0].strip("\r\n") if lines else ""
    if start.lower().startswith("sep=") and len(start) == len("sep=") + 1:
        return 1, start[-1]
    return 0, None


def _sample(lines: Sequence[str], first: int, separator: str) -> list[Record]:
    sample: list[Record] = []
    for record in records(lines, first, separator):
        if record.fault is None and any(cell.strip() for cell in record.cells):
            sample.append(record)
        if len(sample) > _SAMPLE:
            break
    return sample


def _score(
    sample: Sequence[Record],
    mapping: Mapping[str, str],
) -> tuple[float, float, int, int]:
    """How well one separator explains the rows.

    Addresses alone in their cells and a heading for them weigh alike, so that neither a few odd
    rows nor a heading line written with another separator decides against all the rest.
    """
    if not sample:
        return (0.0, 0.0, 0, 0)
    rows = [record.cells for record in sample]
    keys = {_heading_key(cell) for cell in rows[0]}
    named = {_heading_key(name) for name in mapping}
    headed = bool(keys & (named | set(_HEADINGS["address"])))
    found = sum(any(_is_address(cell) for cell in cells) for cells in rows[headed:])
    share = found / max(1, len(rows) - headed)
    usual, count = Counter(len(cells) for cells in rows).most_common(1)[0]
    known = len(keys & (_KNOWN_HEADINGS | named))
    return share + headed, share, known, count if usual > 1 else 0


def _mapped(head: Sequence[str], mapping: Mapping[str, str], *, headed: bool) -> dict[str, int]:
    """The columns a person named, by heading or by number (the first is 1)."""
    keys = [_heading_key(cell) for cell in head]
    columns: dict[str, int] = {}
    for heading, name in mapping.items():
        if name not in FIELDS:
            raise InputError(
                f'There is no field "{visible(name)}".',
                remedy=f"Fields are: {', '.join(FIELDS)}.",
            )
        if headed and _heading_key(heading) in keys:
            columns[name] = keys.index(_heading_key(heading))
        elif heading.isdecimal() and 1 <= int(heading) <= len(head):
            columns[name] = int(heading) - 1
        else:
            raise InputError(
                f'The table has no column "{visible(heading)}".',
                remedy=f"Its columns are: {_listed(head)}."
                if headed
                else f"It has no headings: number its columns from 1 to {len(head)}.",
            )
    return columns


def _take_headings(
    columns: dict[str, int],
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
) -> None:
    """Give each field that has none the first free column whose heading we know.

    For the address, a column that holds addresses goes before one that merely says so: "Address"
    may well be the postal one.
    """
    keys = [_heading_key(cell) for cell in head]
    for name, known in _HEADINGS.items():
        places = [keys.index(key) for key in known if key in keys]
        free = [at for at in places if at not in columns.values()]
        if name == "address":
            free.sort(key=lambda at: not _share(rows, at))
        if name not in columns and free:
            columns[name] = free[0]


def _settle_addresses(
    columns: dict[str, int],
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
) -> None:
    """Where the headings gave no column of addresses, take one that clearly is one."""
    at = columns.get("address")
    if at is not None and (_share(rows, at) or not rows):
        return
    width = max((len(cells) for cells in rows), default=0)
    best = max(range(width), key=lambda column: _share(rows, column), default=None)
    if best is not None and _share(rows, best) * 2 >= len(rows):
        for name in [name for name, taken in columns.items() if taken == best]:
            del columns[name]
        columns["address"] = best
    elif at is not None and _heading_key(head[at]) == _POSTAL:
        del columns["address"]


def _share(rows: Sequence[Sequence[str]], at: int) -> int:
    """How many rows have something like an address in column ``at``."""
    return sum(at < len(cells) and _is_address(cells[at]) for cells in rows)


def _filled(rows: Sequence[Sequence[str]], at: int) -> bool:
    return any(at < len(cells) and cells[at].strip() for cells in rows)


def _is_address(cell: str) -> bool:
    """A cell that is an address by its look: one word with an @ inside. Not yet a good one."""
    text = cell.strip()
    local, _, domain = text.partition("@")
    labels = domain.replace("-", "").split(".")
    named = len(labels) > 1 and all(label.isalnum() for label in labels)
    return bool(local) and named and not set(" ,;\t|") & set(local)


def _heading_key(text: str) -> str:
    folded = unicodedata.normalize("NFC", text).casefold()
    return " ".join("".join(sign if sign.isalnum() else " " for sign in folded).split())


#: The heading that means an e-mail address only when e-mail addresses stand below it.
_POSTAL: Final = "address"
_KNOWN_HEADINGS: Final = frozenset(key for keys in _HEADINGS.values() for key in keys)


def _listed(cells: Sequence[str]) -> str:
    return ", ".join(f'"{visible(_one_line(cell), limit=40)}"' for cell in cells[:20])


def _no_addresses(head: Sequence[str]) -> InputError:
    return InputError(
        "No column of the table holds e-mail addresses. Separators tried: comma, semicolon, tab,"
        f" bar; its first row reads: {_listed(head)}.",
        remedy='Head the column "email", or name it: --map COLUMN=address',
    )


def _findings(unused: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[Finding, ...]:
    if not rows:
        return (Finding("table-empty", "warning", "the table has headings but no rows"),)
    if not unused:
        return ()
    names = ", ".join(f'"{name}"' for name in unused)
    words = f"columns not used: {names}. To use one: --map {unused[0]}=FIELD ({', '.join(FIELDS)})"
    return (Finding("columns-unused", "info", words),)
