"""The machines that send: workers, relays and their day, and this installation."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
)

from distributor.store.schema.metadata import metadata
from distributor.store.types import Instant, Key

workers = Table(
    "workers",
    metadata,
    Column("id", String, primary_key=True),
    Column("host", String, nullable=False),
    Column("boot", String, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("flight_log", Text, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("ended_at", Instant),
)

installation = Table(
    "installation",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("identity", String, nullable=False),
    Column("starts", Integer, nullable=False),
    Column("confirmed_at", Instant, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)

relay_use = Table(
    "relay_use",
    metadata,
    Column("relay", String, primary_key=True),
    # The beginning of a span of ten minutes (core.forecast.SPAN).
    Column("at", Instant, primary_key=True),
    # Taken from the day's limit in portions, by whichever worker.
    Column("mails", Integer, nullable=False),
    CheckConstraint("mails >= 0", name="mails"),
)

relay_health = Table(
    "relay_health",
    metadata,
    Column("relay", String, primary_key=True),
    Column("worker_id", String, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("state", String, nullable=False),
    Column("says", Text, nullable=False),
    Column("size_max", Key),
)

keys = Table(
    "keys",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
