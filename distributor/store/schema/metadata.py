"""What the tables have in common: their naming, and pieces of their columns."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Column,
    ForeignKey,
    MetaData,
)

from distributor.store.types import Key

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    },
)


def id_column() -> Column[int]:
    """The key of a table."""
    return Column("id", Key, primary_key=True)


def references(target: str, *, on_delete: str | None = None, **options: Any) -> ForeignKey:  # noqa: ANN401 - SQLAlchemy's own options
    """A column's reference to the key of the table ``target``."""
    return ForeignKey(f"{target}.id", ondelete=on_delete, **options)


def all_or_none(*columns: str) -> str:
    """The condition that these columns are all set, or none of them is."""
    every = " AND ".join(f"{name} IS NOT NULL" for name in columns)
    none = " AND ".join(f"{name} IS NULL" for name in columns)
    return f"({every}) OR ({none})"
