"""Runs the migrations on the connection that distributor.store.database hands over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from alembic import context

from distributor.store.schema import metadata
from distributor.store.types import Instant, Word

if TYPE_CHECKING:
    from sqlalchemy import Connection


def render_item(kind: str, item: object, _autogen: object) -> str | Literal[False]:
    """Write our column types as what they are in the database: migrations outlive our code."""
    if kind == "type" and isinstance(item, Instant):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, Word):
        return "sa.String()"
    return False


def run(connection: Connection) -> None:
    """Apply the migrations, each in a transaction of its own."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_item=render_item,
        render_as_batch=connection.dialect.name == "sqlite",
        transaction_per_migration=True,
        compare_type=False,
    )
    with context.begin_transaction():
        context.run_migrations()


run(context.config.attributes["connection"])
