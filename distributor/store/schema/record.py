"""The record: who ordered what, and when."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Column,
    Index,
    String,
    Table,
    Text,
)

from distributor.store.schema.metadata import id_column, metadata
from distributor.store.types import Instant

audit = Table(
    "audit",
    metadata,
    id_column(),
    Column("at", Instant, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("facts", JSON, nullable=False),
    # Filled afterwards, row by row, by keeping (I12).
    Column("previous", String),
    Column("hash", String),
)
Index("ix_audit_subject", audit.c.subject)
