"""Preparing: one snapshot becomes a sealed audience, or nothing (I3)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select

from distributor.core.address import Address, key_of
from distributor.core.audience import AudienceHash
from distributor.core.model import AudienceRule, WaveKind
from distributor.core.states import HoldReason, WaveState
from distributor.stages import preparing
from distributor.store import (
    audit,
    contacts,
    deliverylog,
    lists,
    releases,
    suppressions,
    waves,
    workers,
)
from distributor.store.schema import batches as batch_rows
from distributor.store.schema import deliveries as rows
from distributor.store.schema import exclusions as exclusion_rows
from distributor.store.suppressions import NewSuppression, SuppressionReason
from distributor.store.waves import Order
from tests.builders import (
    MORNING,
    NOON,
    POLICY,
    WORKER,
    a_list,
    a_preparing_wave,
    a_release,
    a_wave,
    a_worker,
    addresses,
    assert_accounted_for,
    claimed,
    counts,
    marked,
    moved,
    wave_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from distributor.core.model import Wave
    from distributor.store.database import Database


def prepare(database: Database, wave: Wave, worker: str = WORKER) -> None:
    preparing.prepare(database, POLICY, wave, worker=worker, now=MORNING)


def stored(database: Database) -> tuple[int, int, int]:
    with database.read() as tx:
        return tuple(
            tx.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (rows, exclusion_rows, batch_rows)
        )  # type: ignore[return-value]


def suppress(tx: Connection, address: str) -> None:
    order = NewSuppression(
        Address(address, address, key_of(address)), SuppressionReason.OBJECTION, "by phone"
    )
    suppressions.add(tx, order, by="ann", now=MORNING)


def in_chunks(monkeypatch: pytest.MonkeyPatch, size: int, between: Callable[[int], None]) -> None:
    """Prepare in small chunks; ``between`` is called before each is stored, with its number."""
    monkeypatch.setattr(preparing, "CHUNK", size)
    store = preparing._Chunk.store
    number = 0

    def spied(self: Any, tx: Connection, candidates: Any, tally: Any) -> None:
        nonlocal number
        number += 1
        between(number)
        store(self, tx, candidates, tally)

    monkeypatch.setattr(preparing._Chunk, "store", spied)


def test_i3_sealing_stores_recipients_exclusions_and_hash(database: Database) -> None:
    def plan(tx: Connection) -> Wave:
        version = a_release(tx)
        first = a_list(tx, "Health", addresses(5))
        # On both lists: counted once.
        second = a_list(tx, "Science", ["n5@paper.example", "n6@paper.example"])
        left_out = a_list(tx, "Trade", ["n2@paper.example"])
        suppress(tx, "n1@paper.example")
        rule = AudienceRule((first, second), (left_out,))
        return a_wave(tx, version, audience=rule)

    wave = moved(database, database.write(plan).result(), WaveState.PREPARING)
    prepare(database, wave)
    sealed = wave_of(database, wave)
    assert sealed.state is WaveState.READY
    assert (sealed.recipients, sealed.exclusions, sealed.sealed_at) == (4, 2, MORNING)
    total = AudienceHash()
    for number in (6, 5, 4, 3):
        total.add(f"n{number}@paper.example")
    assert sealed.audience_hash == total.hexdigest()
    assert_accounted_for(database, wave)
    with database.read() as tx:
        members = deliverylog.audience(tx, wave.id)
        references = tx.execute(select(rows.c.reference)).scalars().all()
        sizes = tx.execute(select(func.count(rows.c.id)).group_by(rows.c.batch_id)).scalars().all()
    assert [(m.address, m.reason, m.evidence) for m in members if m.reason] == [
        ("n1@paper.example", "suppressed", "objection"),
        ("n2@paper.example", "excluded list", "on the list Trade"),
    ]
    assert len(set(references)) == 4
    # Of one chunk: begun alike, each with 64 bits of its own, and as long as a return path allows.
    assert len({reference[:8] for reference in references}) == 1
    assert all(re.fullmatch(r"[0-9a-f]{24}", reference) for reference in references)
    assert sorted(sizes) == [2, 2]


def test_an_audience_larger_than_a_chunk_is_sealed_whole(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    in_chunks(monkeypatch, 3, seen.append)
    wave = a_preparing_wave(database, 8)
    prepare(database, wave)
    assert seen == [1, 2, 3]
    assert counts(database, wave) == {"queued": 8}
    assert_accounted_for(database, wave)


def test_i3_killed_while_preparing_leaves_unsealed_rows_that_the_next_worker_drops(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(number: int) -> None:
        if number == 3:
            msg = "kill -9"
            raise KeyError(msg)

    wave = a_preparing_wave(database, 8)
    with monkeypatch.context() as patch:
        in_chunks(patch, 2, dies)
        with pytest.raises(KeyError):
            prepare(database, wave)
    assert stored(database) == (4, 0, 2)
    assert wave_of(database, wave).sealed_at is None
    assert claimed(database) is None
    database.write(lambda tx: a_worker(tx, "w2", seen_at=MORNING)).result()
    preparing.tick(database, POLICY, worker="w2", now=MORNING)
    assert stored(database) == (8, 0, 4)
    sealed = wave_of(database, wave)
    assert (sealed.state, sealed.recipients) == (WaveState.READY, 8)
    assert_accounted_for(database, wave)


def test_a_wave_in_the_hands_of_a_living_worker_is_left_to_it(database: Database) -> None:
    wave = a_preparing_wave(database, 1)
    database.write(lambda tx: a_worker(tx, "w2", seen_at=MORNING)).result()
    assert database.write(lambda tx: waves.take_preparing(tx, wave, "w2", after=None)).result()
    preparing.tick(database, POLICY, worker=WORKER, now=MORNING)
    assert wave_of(database, wave).state is WaveState.PREPARING
    database.write(lambda tx: workers.end(tx, "w2", MORNING)).result()
    preparing.tick(database, POLICY, worker=WORKER, now=MORNING)
    assert wave_of(database, wave).state is WaveState.READY


def test_of_two_workers_that_prepare_the_same_wave_one_wins(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    wave = a_preparing_wave(database, 4)
    prepare(database, wave)
    # The other saw the wave before it was taken: it gives up without touching anything.
    before = stored(database)
    prepare(database, wave, "w2")
    assert stored(database) == before
    assert wave_of(database, wave).prepared_by == WORKER

    second = a_preparing_wave(database, 4)
    with monkeypatch.context() as patch:
        patch.setattr(preparing, "_seal", lambda *_: None)
        prepare(database, second)
    prepare(database, wave_of(database, second), "w2")
    assert wave_of(database, second).prepared_by == "w2"
    assert_accounted_for(database, second)


def test_a_worker_whose_wave_was_taken_meanwhile_gives_up(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    wave = a_preparing_wave(database, 6)
    taken = waves.waves.update().where(waves.waves.c.id == wave.id).values(prepared_by="w2")
    store = preparing._Chunk.store

    def loses(self: Any, tx: Connection, candidates: Any, tally: Any) -> None:
        store(self, tx, candidates, tally)
        tx.execute(taken)

    monkeypatch.setattr(preparing._Chunk, "store", loses)
    monkeypatch.setattr(preparing, "CHUNK", 2)
    prepare(database, wave)
    assert wave_of(database, wave).state is WaveState.PREPARING
    assert stored(database)[0] == 2


@pytest.mark.parametrize("order", ["hold", "cancel"])
def test_i7_an_order_during_preparing_stops_it(
    database: Database, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    wave = a_preparing_wave(database, 6)
    store = preparing._Chunk.store
    by = Order("ann", MORNING)

    def ordered(self: Any, tx: Connection, candidates: Any, tally: Any) -> None:
        store(self, tx, candidates, tally)
        if order == "hold":
            waves.hold(tx, waves.get(tx, wave.id), HoldReason.PERSON, by)
        else:
            waves.move(tx, waves.get(tx, wave.id), WaveState.STOPPING, by)

    with monkeypatch.context() as patch:
        patch.setattr(preparing._Chunk, "store", ordered)
        patch.setattr(preparing, "CHUNK", 2)
        prepare(database, wave)
    now = wave_of(database, wave)
    assert now.sealed_at is None
    if order == "hold":
        assert now.state is WaveState.HELD
        database.write(lambda tx: waves.resume(tx, now, by)).result()
        preparing.tick(database, POLICY, worker=WORKER, now=MORNING)
        assert wave_of(database, wave).recipients == 6
        assert_accounted_for(database, wave)
    else:
        assert database.write(lambda tx: waves.complete_stop(tx, now, by)).result()
        assert wave_of(database, wave).state is WaveState.CANCELLED
        assert stored(database) == (0, 0, 0)


def test_a_change_between_snapshot_and_seal_does_not_mix_two_audiences(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    wave = a_preparing_wave(database, 4)
    domain = f"paper{wave.release_id}.example"
    store = preparing._Chunk.store
    changed = False

    def interfered(self: Any, tx: Connection, candidates: Any, tally: Any) -> None:
        nonlocal changed
        store(self, tx, candidates, tally)
        if not changed:
            changed = True
            suppress(tx, f"n4@{domain}")
            a_list(tx, "Later", [f"n9@{domain}"])
            every = lists.get(tx, f"list {wave.release_id}")
            new = lists.get(tx, "Later")
            joined = [m.id for m in contacts.members(tx, new.id)]
            lists.add_members(tx, every.id, joined, now=MORNING)

    monkeypatch.setattr(preparing._Chunk, "store", interfered)
    monkeypatch.setattr(preparing, "CHUNK", 2)
    prepare(database, wave)
    sealed = wave_of(database, wave)
    assert (sealed.recipients, sealed.exclusions) == (4, 0)
    assert_accounted_for(database, wave)
    # Whoever objected after the snapshot is left out when rows are marked for the wire.
    database.write(a_worker).result()
    for token in (1, 2):
        claim = claimed(database, token=token)
        assert claim
        marked(database, claim)
    assert counts(database, wave) == {"sending": 3, "suppressed": 1}


def test_a_wave_to_nobody_is_held_and_says_why(database: Database) -> None:
    wave = a_preparing_wave(database, 2)
    for address in addresses(2, domain=f"paper{wave.release_id}.example"):
        database.write(lambda tx, a=address: suppress(tx, a)).result()
    prepare(database, wave)
    held = wave_of(database, wave)
    assert (held.state, held.reason) == (WaveState.HELD, HoldReason.EMPTY)
    assert held.resume_to is WaveState.PREPARING


def test_i4_who_has_this_version_already_is_left_out(database: Database) -> None:
    wave = a_preparing_wave(database, 2)
    prepare(database, wave)

    def plan(tx: Connection) -> Wave:
        version = releases.version_of(tx, wave.version_id)
        more = a_list(tx, "More", ["new@radio.example"])
        return a_wave(tx, version, *wave.audience.lists, more, kind=WaveKind.FOLLOW_UP)

    second = moved(database, database.write(plan).result(), WaveState.PREPARING)
    prepare(database, second)
    sealed = wave_of(database, second)
    assert (sealed.recipients, sealed.exclusions) == (1, 2)
    with database.read() as tx:
        reasons = {m.reason for m in deliverylog.audience(tx, second.id)}
    assert reasons == {None, "already sent"}


def test_i12_sealing_and_its_audit_row_are_one_transaction(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    wave = a_preparing_wave(database, 1)

    def full(*_: Any) -> None:
        msg = "no room for the audit"
        raise OSError(msg)

    with monkeypatch.context() as patch:
        patch.setattr(audit, "record", full)
        with pytest.raises(OSError, match="no room"):
            prepare(database, wave)
    assert wave_of(database, wave).state is WaveState.PREPARING
    assert wave_of(database, wave).sealed_at is None
    prepare(database, wave_of(database, wave))
    with database.read() as tx:
        newest = audit.entries(tx, limit=1)[0]
    assert (newest.action, newest.facts["to"]) == ("sealed", "ready")
    assert wave_of(database, wave).send_at == NOON
