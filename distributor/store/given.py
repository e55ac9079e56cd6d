"""Rows handed over as one JSON document: one statement a group, and no loop of ours.

The database takes the document apart, or puts it together. A row costs a tenth of what it costs
as parameters or as a row fetched; and the statement runs as a whole without Python's lock, which
a row at a time would be asked for again and again while a sender holds it.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    ColumnElement,
    String,
    Subquery,
    bindparam,
    cast,
    func,
    select,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import JSONB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Select
    from sqlalchemy.types import TypeEngine

#: The name under which a statement built by :func:`given` takes its document.
ROWS: Final = "rows"
_ENCODE: Final = json.JSONEncoder(separators=(",", ":")).encode


def given(dialect: str, columns: Sequence[tuple[str, TypeEngine[Any]]]) -> Subquery:
    """The rows of the document as a table with columns of these names and types, in this order.

    ``dialect`` is ``sqlite`` or ``postgresql``.
    """
    if dialect == "postgresql":
        rows = func.jsonb_array_elements(cast(bindparam(ROWS, type_=String), JSONB))
        each = rows.table_valued("value", name="given_rows").render_derived()
        cells: list[ColumnElement[Any]] = [
            cast(func.jsonb_extract_path_text(each.c.value, str(at)), kind)
            for at, (_, kind) in enumerate(columns)
        ]
    else:
        rows = func.json_each(bindparam(ROWS, type_=String))
        each = rows.table_valued("value", name="given_rows")
        cells = [
            type_coerce(func.json_extract(each.c.value, f"$[{at}]"), kind)
            for at, (_, kind) in enumerate(columns)
        ]
    named = (cell.label(name) for cell, (name, _) in zip(cells, columns, strict=True))
    return select(*named).subquery("given")


def document(rows: Sequence[Sequence[object]]) -> str:
    """Rows as the text that goes under :data:`ROWS`; instants as :func:`instant` writes them."""
    return _ENCODE(rows)


@lru_cache(maxsize=64)  # mails of one millisecond share their instants
def instant(at: datetime | None) -> str | None:
    """An instant as both databases read it: UTC without saying so, of fixed width."""
    if at is None:
        return None
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def gathered(dialect: str, rows: Select[*tuple[Any, ...]]) -> Select[str, Any]:
    """One JSON text of all the rows of a query, an array for each, and their highest first cell.

    The highest is so by the order of the database, which its collation may make another than ours:
    what comes after it is the next page. Instants come as text, as the database writes them.
    """
    table = rows.subquery("gathered")
    highest = func.max(next(iter(table.c)))
    if dialect == "postgresql":
        one = func.jsonb_build_array(*table.c)
        whole = cast(func.coalesce(func.jsonb_agg(one), cast([], JSONB)), String)
    else:
        whole = func.json_group_array(func.json_array(*table.c), type_=String)
    return select(whole, highest)


def read_gathered(
    tx: Connection, query: Select[str, Any], values: dict[str, Any]
) -> tuple[list[Any], Any]:
    """Run a query of :func:`gathered`: a list for each row, in the order of their first cells.

    Then the highest of these; None when there is no row.
    """
    whole, highest = tx.execute(query, values).one()
    return sorted(json.loads(whole)), highest
