"""Preparing: one snapshot of the audience becomes sealed deliveries, exclusions and batches.

Rows are written in chunks into a wave that is still ``preparing`` and count for nothing until
the last transaction seals them with counts and hash (I3). A worker that dies in between leaves
unsealed rows, which the next one drops.
"""

from __future__ import annotations

import secrets
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING

import structlog

from distributor.core.audience import AudienceHash, Candidate, Exclusion, exclusion
from distributor.core.letter import message_name
from distributor.core.states import HoldReason, WaveState
from distributor.errors import StoreError
from distributor.store import audiences, deliveries, releases, waves, workers
from distributor.store.waves import DESK, Order

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future
    from datetime import datetime

    from sqlalchemy import Connection

    from distributor.core.model import Wave
    from distributor.core.policy import SendingPolicy
    from distributor.store.database import Database

log = structlog.get_logger(__name__)

#: Candidates a transaction: keeps every write lock well under half a second.
CHUNK = 5_000
#: Octets of a delivery's opaque reference: those it shares with its chunk, then its own.
_SHARED_OCTETS = 4
_OWN_OCTETS = 8


class Lost(Exception):
    """The wave is no longer ours to prepare."""


@dataclass(slots=True)
class _Tally:
    recipients: int = 0
    exclusions: int = 0
    hash: AudienceHash = field(default_factory=AudienceHash)


def tick(database: Database, policy: SendingPolicy, *, worker: str, now: datetime) -> None:
    """Prepare every wave that nobody living is preparing."""
    with database.read() as tx:
        waiting = waves.in_states(tx, (WaveState.PREPARING,))
        living = {
            other.id
            for other in workers.living(tx)
            if other.seen_at >= now - timedelta(seconds=policy.lease_s)
        }
    for wave in waiting:
        if wave.prepared_by == worker or wave.prepared_by not in living:
            prepare(database, policy, wave, worker=worker, now=now)


def prepare(
    database: Database,
    policy: SendingPolicy,
    wave: Wave,
    *,
    worker: str,
    now: datetime,
) -> None:
    """Freeze one wave's audience; a wave that was taken or stopped meanwhile is left alone."""
    try:
        database.write(lambda tx: _begin(tx, wave, worker)).result()
        tally = _Tally()
        with database.read() as snapshot:
            compiled_id = _message_of(snapshot, wave)
            stream = audiences.candidates(
                snapshot,
                wave.audience,
                version_id=wave.version_id,
                now=now,
            )
            entries = _Chunk(wave, compiled_id, worker, policy.batch_size, now)
            # Closed before its snapshot is, also when the wave is lost half-way.
            with closing(stream):
                written: Future[None] | None = None
                for chunk in _chunks(stream):
                    # One chunk is read while the one before it is written, and no further ahead.
                    if written is not None:
                        written.result()
                    written = database.write(lambda tx, c=chunk: entries.store(tx, c, tally))
                if written is not None:
                    written.result()
        database.write(lambda tx: _seal(tx, wave, tally, worker, now)).result()
    except Lost:
        log.info("Preparing given up", action="preparing_given_up", wave=wave.id)
    else:
        log.info(
            "Audience sealed",
            action="audience_sealed",
            wave=wave.id,
            recipients=tally.recipients,
            exclusions=tally.exclusions,
        )


def _begin(tx: Connection, wave: Wave, worker: str) -> None:
    if not waves.take_preparing(tx, wave, worker, after=wave.prepared_by):
        raise Lost
    waves.unseal(tx, wave.id)


def _message_of(tx: Connection, wave: Wave) -> int:
    """The compiled message of a wave's kind; the version's own where it has none of that name.

    Not before the lift, when only one that says so may leave.
    """
    stored = releases.compiled_of(tx, wave.version_id)
    name = message_name(wave.kind, before_lift=wave.before_lift)
    found = next((key for key, item in stored.items() if item.template == name), None)
    if found is None and wave.before_lift:
        msg = f"wave {wave.id}: its version has no message {name}"
        raise StoreError(msg)
    return min(stored) if found is None else found


def _chunks(stream: Iterator[Candidate]) -> Iterator[list[Candidate]]:
    while chunk := list(islice(stream, CHUNK)):
        yield chunk


@dataclass(frozen=True, slots=True)
class _Chunk:
    wave: Wave
    compiled_id: int
    worker: str
    batch_size: int
    now: datetime

    def store(self, tx: Connection, candidates: Sequence[Candidate], tally: _Tally) -> None:
        """Write one chunk's deliveries, exclusions and batches in one transaction."""
        if not waves.still_preparing(tx, self.wave.id, self.worker):
            raise Lost
        wave = self.wave
        answers = [
            (item, exclusion(item, wave.kind, before_lift=wave.before_lift)) for item in candidates
        ]
        recipients = [item for item, why_not in answers if why_not is None]
        excluded: list[Exclusion] = [why_not for _, why_not in answers if why_not is not None]
        size = self.batch_size
        batch_ids = deliveries.add_batches(
            tx,
            self.wave.id,
            -(-len(recipients) // size),
            self.wave.send_at,
        )
        references = _references(len(recipients))
        entries = [
            deliveries.Entry(item, batch_ids[at // size], references[at])
            for at, item in enumerate(recipients)
        ]
        deliveries.add_recipients(
            tx,
            self.wave,
            entries,
            compiled_id=self.compiled_id,
            now=self.now,
        )
        deliveries.add_exclusions(tx, self.wave.id, excluded)
        tally.recipients += len(recipients)
        tally.exclusions += len(excluded)
        tally.hash.add(*(item.address_key for item in recipients))


def _references(count: int) -> list[str]:
    """So many opaque references: random, and drawn from the system at once.

    Those of one chunk begin alike: their index takes them in one place.
    """
    width = 2 * _OWN_OCTETS
    shared = secrets.token_hex(_SHARED_OCTETS)
    signs = secrets.token_hex(_OWN_OCTETS * count)
    return [shared + signs[at : at + width] for at in range(0, len(signs), width)]


def _seal(tx: Connection, wave: Wave, tally: _Tally, worker: str, now: datetime) -> None:
    if not waves.still_preparing(tx, wave.id, worker):
        raise Lost
    stored = deliveries.stored_counts(tx, wave.id)
    if stored != (tally.recipients, tally.exclusions):
        msg = f"wave {wave.id}: {stored} rows stored, {tally.recipients} + {tally.exclusions} made"
        raise StoreError(msg)
    order = Order(DESK, now)
    if not tally.recipients:
        waves.hold(tx, waves.get(tx, wave.id), HoldReason.EMPTY, order)
        return
    facts = {
        "recipients": tally.recipients,
        "exclusions": tally.exclusions,
        "audience_hash": tally.hash.hexdigest(),
    }
    waves.seal(tx, waves.get(tx, wave.id), facts, order)
