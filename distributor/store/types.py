"""Column types: UTC instants and the trade's words stored by value."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Integer, String
from sqlalchemy.types import TypeDecorator

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

E = TypeVar("E", bound=StrEnum)

#: Row identity: 64 bits everywhere (SQLite's INTEGER PRIMARY KEY already is).
Key = BigInteger().with_variant(Integer(), "sqlite")


class Instant(TypeDecorator[datetime]):
    """An aware datetime in UTC. SQLite keeps it as fixed-width text, so it compares in order."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive datetimes: a wall time never belongs in an instant's column."""
        if value is None:
            return None
        if value.tzinfo is None:
            msg = "an instant needs its zone"
            raise ValueError(msg)
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the instant back in UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Word(TypeDecorator[E], Generic[E]):
    """A member of one of the trade's enumerations, stored by its value."""

    impl = String
    cache_ok = True

    def __init__(self, words: type[E]) -> None:
        """Remember which enumeration the column speaks."""
        super().__init__()
        self.words = words

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ANN401 - SQLAlchemy's signature
        """Store the word; an unknown one raises ValueError."""
        del dialect
        return None if value is None else self.words(value).value

    def process_result_value(self, value: str | None, dialect: Dialect) -> E | None:
        """Give the member back."""
        del dialect
        return None if value is None else self.words(value)


def one_of(column: str, words: type[StrEnum] | frozenset[str], *, name: str) -> CheckConstraint:
    """The CHECK that lets ``column`` hold nothing but these words."""
    return CheckConstraint(f"{column} IN ({quoted(words)})", name=name)


def quoted(words: type[StrEnum] | frozenset[str] | frozenset[Any]) -> str:
    """The words as an SQL list, in a stable order."""
    return ", ".join(f"'{word}'" for word in sorted(str(word) for word in words))
