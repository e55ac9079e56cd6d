"""Distribution: waves, their audiences, batches, deliveries, attempts; and test mails."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    literal_column,
    text,
)

from distributor.core.model import Outcome, WaveKind
from distributor.core.states import (
    LIVE,
    BatchState,
    DeliveryState,
    HoldReason,
    WaveState,
)
from distributor.store.schema.metadata import all_or_none, id_column, metadata, references
from distributor.store.types import Instant, Key, Word, one_of

waves = Table(
    "waves",
    metadata,
    id_column(),
    Column("release_id", Key, references("releases"), nullable=False),
    Column("version_id", Key, references("versions"), nullable=False),
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
        all_or_none("recipients", "exclusions", "audience_hash", "sealed_at"),
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
    id_column(),
    Column("wave_id", Key, references("waves"), nullable=False),
    Column("contact_id", Key, references("contacts", on_delete="SET NULL")),
    Column("address", Text, nullable=False),
    Column("reason", String, nullable=False),
    Column("evidence", Text, nullable=False, server_default=""),
    UniqueConstraint("wave_id", "contact_id"),
)

batches = Table(
    "batches",
    metadata,
    id_column(),
    Column("wave_id", Key, references("waves"), nullable=False),
    Column("state", Word(BatchState), nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("owner", String, references("workers")),
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
    id_column(),
    Column("wave_id", Key, references("waves"), nullable=False),
    Column("version_id", Key, references("versions"), nullable=False),
    Column("batch_id", Key, references("batches")),
    Column("compiled_id", Key, references("compiled_messages"), nullable=False),
    Column("contact_id", Key, references("contacts", on_delete="SET NULL")),
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
#: The deferred alone: every tick asks for the soonest of them, and nearly all rows are not.
_deferred = deliveries.c.due_at.is_not(None)
Index(
    "ix_deliveries_due_at",
    deliveries.c.due_at,
    sqlite_where=_deferred,
    postgresql_where=_deferred,
)

attempts = Table(
    "attempts",
    metadata,
    id_column(),
    Column("delivery_id", Key, references("deliveries", on_delete="CASCADE"), nullable=False),
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
    id_column(),
    Column("release_id", Key, references("releases"), nullable=False),
    Column("version_id", Key, references("versions"), nullable=False),
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
