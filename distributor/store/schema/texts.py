"""Press texts: releases, their versions and messages, and the files that go with them."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from distributor.core.model import EmbargoState, WaveKind
from distributor.core.states import (
    VersionState,
)
from distributor.store.schema.metadata import all_or_none, id_column, metadata, references
from distributor.store.types import Instant, Key, Word, one_of

releases = Table(
    "releases",
    metadata,
    id_column(),
    Column("created_at", Instant, nullable=False),
    Column("withdrawn_at", Instant),
)

versions = Table(
    "versions",
    metadata,
    id_column(),
    Column("release_id", Key, references("releases"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", Word(VersionState), nullable=False),
    Column("headline", Text, nullable=False),
    # The whole text taken apart (core.model.Draft without its embargo), by field name.
    Column("text", JSON, nullable=False),
    Column("source", Text, nullable=False),
    Column("language", String, nullable=False),
    Column("sender_name", Text, nullable=False),
    Column("sender_address", Text, nullable=False),
    Column("sender_organisation", Text, nullable=False),
    Column("reply_to", Text),
    Column("embargo_state", Word(EmbargoState), nullable=False),
    Column("embargo_at", Instant),
    Column("embargo_wall", DateTime(timezone=False)),
    Column("embargo_zone", String),
    Column("embargo_fold", Integer),
    Column("embargo_text", Text),
    Column("embargo_doubts", JSON, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("approved_at", Instant),
    Column("approved_by", Text),
    Column("seal", String),
    UniqueConstraint("release_id", "number"),
    one_of("state", VersionState, name="state"),
    one_of("embargo_state", EmbargoState, name="embargo_state"),
    CheckConstraint("(embargo_state = 'embargoed') = (embargo_at IS NOT NULL)", name="embargo_at"),
    CheckConstraint(
        all_or_none("embargo_at", "embargo_wall", "embargo_zone", "embargo_fold"),
        name="embargo_whole",
    ),
    CheckConstraint("embargo_fold IN (0, 1)", name="embargo_fold"),
    CheckConstraint(all_or_none("approved_at", "approved_by", "seal"), name="approval_whole"),
    CheckConstraint("state <> 'approved' OR seal IS NOT NULL", name="approved_is_sealed"),
    CheckConstraint(
        "state <> 'approved' OR embargo_state <> 'unclear'",
        name="approved_embargo_is_clear",
    ),
)
Index(
    "uq_versions_one_draft",
    versions.c.release_id,
    unique=True,
    sqlite_where=text("state = 'draft'"),
    postgresql_where=text("state = 'draft'"),
)
Index(
    "uq_versions_one_approved",
    versions.c.release_id,
    unique=True,
    sqlite_where=text("state = 'approved'"),
    postgresql_where=text("state = 'approved'"),
)

# What a version is to an earlier one; none for a release that is about itself.
sequels = Table(
    "sequels",
    metadata,
    Column("version_id", Key, references("versions"), primary_key=True),
    Column("kind", Word(WaveKind), nullable=False),
    Column("reason", Text, nullable=False),
    Column("base_id", Key, references("versions"), nullable=False),
    Column("base_on", Date, nullable=False),
    one_of("kind", frozenset({"correction", "withdrawal", "follow-up"}), name="kind"),
    CheckConstraint("base_id < version_id", name="base_is_earlier"),
)

compiled_messages = Table(
    "compiled_messages",
    metadata,
    id_column(),
    Column("version_id", Key, references("versions"), nullable=False),
    Column("template", String, nullable=False),
    Column("language", String, nullable=False),
    Column("content", Text, nullable=False),
    Column("digest", String, nullable=False),
    UniqueConstraint("version_id", "template", "language"),
)

# The octets of attachments, once for all releases, under their SHA-256 in hex, in bounded pieces.
attachments = Table(
    "attachments",
    metadata,
    Column("digest", String, primary_key=True),
    Column("size", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    CheckConstraint("length(digest) = 64", name="digest"),
    CheckConstraint("size > 0", name="size"),
)

attachment_pieces = Table(
    "attachment_pieces",
    metadata,
    Column(
        "digest", String, ForeignKey("attachments.digest", ondelete="CASCADE"), primary_key=True
    ),
    Column("number", Integer, primary_key=True),
    Column("octets", LargeBinary, nullable=False),
    CheckConstraint("number >= 0", name="number"),
)

# What a version names cannot go: its attachments stand in its text, under its seal.
version_attachments = Table(
    "version_attachments",
    metadata,
    Column("version_id", Key, references("versions"), primary_key=True),
    Column("digest", String, ForeignKey("attachments.digest"), primary_key=True, index=True),
)
