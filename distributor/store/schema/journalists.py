"""Journalists: who they are, the lists they are on, and who is not to be written to."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    Index,
    String,
    Table,
    Text,
    text,
)

from distributor.store.schema.metadata import all_or_none, id_column, metadata, references
from distributor.store.types import Instant, Key, one_of

outlets = Table(
    "outlets",
    metadata,
    id_column(),
    Column("name", Text, nullable=False),
    Column("key", Text, nullable=False, unique=True),
)

beats = Table(
    "beats",
    metadata,
    id_column(),
    Column("name", Text, nullable=False),
    Column("key", Text, nullable=False, unique=True),
)

contacts = Table(
    "contacts",
    metadata,
    id_column(),
    Column("address", Text, nullable=False),
    Column("address_key", Text, nullable=False, unique=True),
    Column("wire_address", Text),
    Column("name", Text, nullable=False, server_default=""),
    Column("given_name", Text, nullable=False, server_default=""),
    Column("family_name", Text, nullable=False, server_default=""),
    Column("role", Text, nullable=False, server_default=""),
    Column("phone", Text, nullable=False, server_default=""),
    Column("language", String, nullable=False, server_default=""),
    Column("zone", String, nullable=False, server_default=""),
    Column("note", Text, nullable=False, server_default=""),
    Column("outlet_id", Key, references("outlets")),
    # Where the address came from, as GDPR Art. 14 asks (practice statement 47).
    Column("source", Text, nullable=False),
    # When embargo terms were accepted: only then may an advance copy go there (I10).
    Column("terms_accepted_at", Instant),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)
Index("ix_contacts_outlet_id", contacts.c.outlet_id)

contact_beats = Table(
    "contact_beats",
    metadata,
    Column("contact_id", Key, references("contacts", on_delete="CASCADE"), primary_key=True),
    Column("beat_id", Key, references("beats"), primary_key=True),
)

lists = Table(
    "lists",
    metadata,
    id_column(),
    Column("name", Text, nullable=False),
    Column("key", Text, nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
)

list_members = Table(
    "list_members",
    metadata,
    Column("list_id", Key, references("lists", on_delete="CASCADE"), primary_key=True),
    Column("contact_id", Key, references("contacts", on_delete="CASCADE"), primary_key=True),
    Column("added_at", Instant, nullable=False),
)
Index("ix_list_members_contact_id", list_members.c.contact_id)

suppressions = Table(
    "suppressions",
    metadata,
    id_column(),
    Column("address", Text, nullable=False),
    Column("address_key", Text, nullable=False),
    Column("reason", String, nullable=False),
    Column("evidence", Text, nullable=False, server_default=""),
    Column("created_at", Instant, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", Instant),
    Column("lifted_at", Instant),
    Column("lifted_by", Text),
    one_of(
        "reason",
        frozenset({"objection", "bounced", "refused", "complaint", "person"}),
        name="reason",
    ),
    CheckConstraint(all_or_none("lifted_at", "lifted_by"), name="lifting_whole"),
)
Index(
    "uq_suppressions_standing",
    suppressions.c.address_key,
    unique=True,
    sqlite_where=text("lifted_at IS NULL"),
    postgresql_where=text("lifted_at IS NULL"),
)
