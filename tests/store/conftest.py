"""One open database for every store test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from distributor.store.database import open_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributor.store.database import Database


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    """An open database with this program's tables, on each engine."""
    database = open_database(migrated_url)
    yield database
    database.close()
