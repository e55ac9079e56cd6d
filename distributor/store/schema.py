"""The tables: what may be stored, and what the database itself refuses.

Read top-down: press texts, journalists, distribution, the machines that send, the record.
Triggers (nothing leaves ``accepted`` but by a returned notice; approved text and audit rows are
immutable) stand in the migrations, which alone create and change tables.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    literal_column,
    text,
)

from distributor.core.model import EmbargoState, Outcome, WaveKind
from distributor.core.states import (
    LIVE,
    BatchState,
    DeliveryState,
    HoldReason,
    VersionState,
    WaveState,
)
from distributor.store.types import Instant, Key, Word, one_of

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    },
)


def _id() -> Column[int]:
    return Column("id", Key, primary_key=True)


def _to(target: str, *, on_delete: str | None = None, **options: Any) -> ForeignKey:  # noqa: ANN401 - SQLAlchemy's own options
    return ForeignKey(f"{target}.id", ondelete=on_delete, **options)


def _all_or_none(*columns: str) -> str:
    every = " AND ".join(f"{name} IS NOT NULL" for name in columns)
    none = " AND ".join(f"{name} IS NULL" for name in columns)
    return f"({every}) OR ({none})"


# --- press texts -----------------------------------------------------------------------------

releases = Table(
    "releases",
    metadata,
    _id(),
    Column("created_at", Instant, nullable=False),
    Column("withdrawn_at", Instant),
)

versions = Table(
    "versions",
    metadata,
    _id(),
    Column("release_id", Key, _to("releases"), nullable=False),
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
        _all_or_none("embargo_at", "embargo_wall", "embargo_zone", "embargo_fold"),
        name="embargo_whole",
    ),
    CheckConstraint("embargo_fold IN (0, 1)", name="embargo_fold"),
    CheckConstraint(_all_or_none("approved_at", "approved_by", "seal"), name="approval_whole"),
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
    Column("version_id", Key, _to("versions"), primary_key=True),
    Column("kind", Word(WaveKind), nullable=False),
    Column("reason", Text, nullable=False),
    Column("base_id", Key, _to("versions"), nullable=False),
    Column("base_on", Date, nullable=False),
    one_of("kind", frozenset({"correction", "withdrawal", "follow-up"}), name="kind"),
    CheckConstraint("base_id < version_id", name="base_is_earlier"),
)

compiled_messages = Table(
    "compiled_messages",
    metadata,
    _id(),
    Column("version_id", Key, _to("versions"), nullable=False),
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
    Column("version_id", Key, _to("versions"), primary_key=True),
    Column("digest", String, ForeignKey("attachments.digest"), primary_key=True, index=True),
)

# --- journalists -----------------------------------------------------------------------------

outlets = Table(
    "outlets",
    metadata,
    _id(),
    Column("name", Text, nullable=False),
    Column("key", Text, nullable=False, unique=True),
)

beats = Table(
    "beats",
    metadata,
    _id(),
    Column("name", Text, nullable=False),
    Column("key", Text, nullable=False, unique=True),
)

contacts = Table(
    "contacts",
    metadata,
    _id(),
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
    Column("outlet_id", Key, _to("outlets")),
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
    Column("contact_id", Key, _to("contacts", on_delete="CASCADE"), primary_key=True),
    Column("beat_id", Key, _to("beats"), primary_key=True),
)

lists = Table(
    "lists",
    metadata,
    _id(),
    Column("name", Text, nullable=False),
    Column("key", Text, nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
)

list_members = Table(
    "list_members",
    metadata,
    Column("list_id", Key, _to("lists", on_delete="CASCADE"), primary_key=True),
    Column("contact_id", Key, _to("contacts", on_delete="CASCADE"), primary_key=True),
    Column("added_at", Instant, nullable=False),
)
Index("ix_list_members_contact_id", list_members.c.contact_id)

suppressions = Table(
    "suppressions",
    metadata,
    _id(),
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
    CheckConstraint(_all_or_none("lifted_at", "lifted_by"), name="lifting_whole"),
)
Index(
    "uq_suppressions_standing",
    suppressions.c.address_key,
    unique=True,
    sqlite_where=text("lifted_at IS NULL"),
    postgresql_where=text("lifted_at IS NULL"),
)

# --- distribution ----------------------------------------------------------------------------

waves = Table(
    "waves",
    metadata,
    _id(),
    Column("release_id", Key, _to("releases"), nullable=False),
    Column("version_id", Key, _to("versions"), nullable=False),
    Column("kind", Word(WaveKind), nullable=False),
    Column("state", Word(WaveState), nullable=False),
    Column("reason", Word(HoldReason)),
    # Where a held wave goes back to, and since when it is held.
    Column("resume_to", Word(WaveState)),
    Column("held_at", Instant),
    Column("waived", JSON, nullable=False),
    Column("send_at", Instant, nullable=False),
    # The rule of its audience: {"lists": [id…], "exclude": [id…]}, and where it is so
    # {"had": true} or {"again": [state…]}.
    Column("audience", JSON, nullable=False),
    # The worker that is making the audience; its unsealed rows are nobody else's.
    Column("prepared_by", String),
    Column("recipients", Integer),
    Column("exclusions", Integer),
    Column("audience_hash", String),
    Column("sealed_at", Instant),
    Column("first_mail_at", Instant),
    Column("finished_at", Instant),
    Column("created_at", Instant, nullable=False),
    Column("created_by", Text, nullable=False),
    # Leaves under the embargo, to people who accepted its terms and have an earlier version (I1).
    Column("before_lift", Boolean, nullable=False, server_default=false()),
    one_of("kind", WaveKind, name="kind"),
    one_of("state", WaveState, name="state"),
    CheckConstraint(
        _all_or_none("recipients", "exclusions", "audience_hash", "sealed_at"),
        name="seal_whole",
    ),
    CheckConstraint(
        "state NOT IN ('ready', 'sending', 'finished') OR sealed_at IS NOT NULL",
        name="sends_sealed_only",
    ),
    CheckConstraint(
        "(state = 'held') = (resume_to IS NOT NULL) AND (state = 'held') = (held_at IS NOT NULL)",
        name="held_knows_way_back",
    ),
    CheckConstraint("state <> 'held' OR reason IS NOT NULL", name="held_has_reason"),
    CheckConstraint("(state = 'finished') = (finished_at IS NOT NULL)", name="finished_at"),
)
Index("ix_waves_state_send_at", waves.c.state, waves.c.send_at)
Index(
    # One distribution of a kind at a time per version; a cancelled one may be planned again.
    "uq_waves_one_general",
    waves.c.version_id,
    unique=True,
    sqlite_where=text("kind = 'general' AND state <> 'cancelled'"),
    postgresql_where=text("kind = 'general' AND state <> 'cancelled'"),
)

exclusions = Table(
    "exclusions",
    metadata,
    _id(),
    Column("wave_id", Key, _to("waves"), nullable=False),
    Column("contact_id", Key, _to("contacts", on_delete="SET NULL")),
    Column("address", Text, nullable=False),
    Column("reason", String, nullable=False),
    Column("evidence", Text, nullable=False, server_default=""),
    UniqueConstraint("wave_id", "contact_id"),
)

batches = Table(
    "batches",
    metadata,
    _id(),
    Column("wave_id", Key, _to("waves"), nullable=False),
    Column("state", Word(BatchState), nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("owner", String, _to("workers")),
    Column("token", Key),
    Column("lease_until", Instant),
    one_of("state", BatchState, name="state"),
    CheckConstraint(
        "(state = 'claimed') = (owner IS NOT NULL AND token IS NOT NULL"
        " AND lease_until IS NOT NULL)",
        name="claimed_is_owned",
    ),
)
Index("ix_batches_state_due_at", batches.c.state, batches.c.due_at)
Index("ix_batches_wave_id", batches.c.wave_id)

deliveries = Table(
    "deliveries",
    metadata,
    _id(),
    Column("wave_id", Key, _to("waves"), nullable=False),
    Column("version_id", Key, _to("versions"), nullable=False),
    Column("batch_id", Key, _to("batches")),
    Column("compiled_id", Key, _to("compiled_messages"), nullable=False),
    Column("contact_id", Key, _to("contacts", on_delete="SET NULL")),
    # Opaque, in every header that leaves: says nothing of the release (I9).
    Column("reference", String, nullable=False, unique=True),
    # The slot values, frozen at sealing (I6).
    Column("address", Text, nullable=False),
    Column("address_key", Text, nullable=False),
    Column("name", Text, nullable=False, server_default=""),
    Column("given_name", Text, nullable=False, server_default=""),
    Column("outlet", Text, nullable=False, server_default=""),
    Column("state", Word(DeliveryState), nullable=False),
    Column("token", Key),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("crashes", Integer, nullable=False, server_default="0"),
    # The Date header: set when first marked for the wire, kept for an identical resend.
    Column("dated_at", Instant),
    Column("due_at", Instant),
    Column("code", Integer),
    Column("enhanced", String),
    Column("reply", Text),
    Column("relay", String),
    Column("at", Instant, nullable=False),
    # Message-IDs of this recipient's earlier mails that it follows, frozen at sealing (I6).
    Column("thread", Text),
    one_of("state", DeliveryState, name="state"),
    CheckConstraint("(state = 'sending') = (token IS NOT NULL)", name="sending_has_token"),
    CheckConstraint("state <> 'sending' OR dated_at IS NOT NULL", name="sending_is_dated"),
    CheckConstraint("(state = 'deferred') = (due_at IS NOT NULL)", name="deferred_is_due"),
)
#: Rows that bar another of the same version and address. Words, not parameters: by parameters no
#: database could tell that the index below holds all of them; it is made of the same words.
live_delivery = deliveries.c.state.in_([literal_column(f"'{word}'") for word in sorted(LIVE)])
Index(
    "uq_deliveries_one_live",  # I4
    deliveries.c.version_id,
    deliveries.c.address_key,
    unique=True,
    sqlite_where=live_delivery,
    postgresql_where=live_delivery,
)
Index("ix_deliveries_wave_id_state", deliveries.c.wave_id, deliveries.c.state)
Index("ix_deliveries_batch_id", deliveries.c.batch_id)

attempts = Table(
    "attempts",
    metadata,
    _id(),
    Column("delivery_id", Key, _to("deliveries", on_delete="CASCADE"), nullable=False),
    Column("worker_id", String, nullable=False),
    Column("token", Key, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant, nullable=False),
    Column("outcome", Word(Outcome), nullable=False),
    Column("phase", String, nullable=False),
    Column("code", Integer),
    Column("enhanced", String),
    Column("reply", Text),
    Column("relay", String),
    # True when the worker had lost its claim: the fact is kept, the row's state was not touched.
    Column("late", Boolean, nullable=False),
    one_of("outcome", Outcome, name="outcome"),
)
Index("ix_attempts_delivery_id", attempts.c.delivery_id)

trials = Table(
    "trials",
    metadata,
    _id(),
    Column("release_id", Key, _to("releases"), nullable=False),
    Column("version_id", Key, _to("versions"), nullable=False),
    # Opaque, in every header that leaves (I9).
    Column("reference", String, nullable=False, unique=True),
    Column("address", Text, nullable=False),
    Column("address_key", Text, nullable=False),
    # Whether it left before the lift, confirmed twice (I1).
    Column("embargoed", Boolean, nullable=False),
    Column("ordered_at", Instant, nullable=False),
    Column("ordered_by", Text, nullable=False),
    Column("outcome", Word(Outcome)),
    Column("code", Integer),
    Column("enhanced", String),
    Column("reply", Text),
    Column("relay", String),
    one_of("outcome", Outcome, name="outcome"),
)
Index("ix_trials_release_id", trials.c.release_id)

# --- the machines that send ------------------------------------------------------------------

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

# --- the record ------------------------------------------------------------------------------

audit = Table(
    "audit",
    metadata,
    _id(),
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
