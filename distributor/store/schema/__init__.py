"""The tables: what may be stored, and what the database itself refuses.

Press texts, journalists, distribution, the machines that send, the record: a module each.
Triggers (nothing leaves ``accepted`` but by a returned notice; approved text and audit rows are
immutable) stand in the migrations, which alone create and change tables.
"""

from __future__ import annotations

from distributor.store.schema.distribution import (
    attempts,
    batches,
    deliveries,
    exclusions,
    live_delivery,
    trials,
    waves,
)
from distributor.store.schema.journalists import (
    beats,
    contact_beats,
    contacts,
    list_members,
    lists,
    outlets,
    suppressions,
)
from distributor.store.schema.machines import installation, keys, relay_health, relay_use, workers
from distributor.store.schema.metadata import metadata
from distributor.store.schema.record import audit
from distributor.store.schema.texts import (
    attachment_pieces,
    attachments,
    compiled_messages,
    releases,
    sequels,
    version_attachments,
    versions,
)

__all__ = [
    "attachment_pieces",
    "attachments",
    "attempts",
    "audit",
    "batches",
    "beats",
    "compiled_messages",
    "contact_beats",
    "contacts",
    "deliveries",
    "exclusions",
    "installation",
    "keys",
    "list_members",
    "lists",
    "live_delivery",
    "metadata",
    "outlets",
    "relay_health",
    "relay_use",
    "releases",
    "sequels",
    "suppressions",
    "trials",
    "version_attachments",
    "versions",
    "waves",
    "workers",
]
