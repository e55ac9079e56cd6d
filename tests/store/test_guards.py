"""What the database itself refuses, whoever asks."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import IntegrityError, StatementError

from distributor.core.model import Outcome
from distributor.core.states import DeliveryState, HoldReason, VersionState, WaveState
from distributor.store import audit, releases, waves
from distributor.store.schema import metadata
from distributor.store.waves import Order
from tests.builders import (
    HOUR,
    MORNING,
    NOON,
    a_list,
    a_ready_wave,
    a_release,
    a_result,
    a_sending_wave,
    a_version,
    a_wave,
    a_worker,
    approved,
    claimed,
    marked,
    recorded,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from distributor.core.model import Wave
    from distributor.store.database import Database

T = metadata.tables


def refused(database: Database, words: str, work: Callable[[Connection], object]) -> None:
    with pytest.raises(IntegrityError, match=words):
        database.write(work).result()


def set_of(table: str, key: int, **values: Any) -> Callable[[Connection], object]:
    rows = T[table]
    return lambda tx: tx.execute(update(rows).where(rows.c.id == key).values(**values))


def a_sent_delivery(database: Database) -> int:
    wave = a_ready_wave(database, 1)
    database.write(a_worker).result()
    claim = claimed(database)
    assert claim is not None
    assert claim.wave.id == wave.id
    (delivery,) = marked(database, claim)
    recorded(database, a_result(delivery.id, claim.token, Outcome.ACCEPTED))
    return delivery.id


def test_i12_nothing_leaves_accepted_but_by_a_returned_notice(database: Database) -> None:
    delivery = a_sent_delivery(database)
    needs: dict[str, dict[str, Any]] = {"sending": {"token": 1}, "deferred": {"due_at": NOON}}
    for state in set(DeliveryState) - {"accepted", "bounced", "complained"}:
        change = set_of("deliveries", delivery, state=state, **needs.get(state, {}))
        refused(database, "only becomes bounced", change)


@pytest.mark.parametrize("state", [DeliveryState.BOUNCED, DeliveryState.COMPLAINED])
def test_an_accepted_delivery_may_bounce(database: Database, state: DeliveryState) -> None:
    delivery = a_sent_delivery(database)
    database.write(set_of("deliveries", delivery, state=state)).result()


def test_an_accepted_delivery_is_never_deleted(database: Database) -> None:
    delivery = a_sent_delivery(database)
    rows = T["deliveries"]
    refused(
        database,
        "only becomes bounced",
        lambda tx: tx.execute(delete(rows).where(rows.c.id == delivery)),
    )


FROZEN: dict[str, Any] = {
    "headline": "Another",
    "text": {"body": "another"},
    "source": "another",
    "language": "fr",
    "number": 9,
    "sender_name": "Another",
    "sender_address": "other@desk.example",
    "sender_organisation": "Another",
    "reply_to": "other@desk.example",
    "embargo_at": NOON - HOUR,
    "embargo_wall": MORNING.replace(tzinfo=None),
    "embargo_zone": "Europe/Paris",
    "embargo_fold": 1,
    "embargo_text": "another",
    "approved_at": NOON,
    "approved_by": "eve",
    "seal": "0000",
    "state": VersionState.DRAFT,
}


def test_i6_what_was_approved_is_immutable(database: Database) -> None:
    version = database.write(a_release).result()
    changes = [set_of("versions", version.id, **{name: FROZEN[name]}) for name in FROZEN]
    for change in changes:
        refused(database, "approved version is immutable", change)
    database.write(set_of("versions", version.id, state=VersionState.SUPERSEDED)).result()
    for change in changes:
        refused(database, "approved version is immutable", change)


def test_i6_a_superseded_version_is_never_approved_again(database: Database) -> None:
    version = database.write(a_release).result()
    database.write(set_of("versions", version.id, state=VersionState.SUPERSEDED)).result()
    back = set_of("versions", version.id, state=VersionState.APPROVED)
    refused(database, "approved version is immutable", back)


def test_i6_a_compiled_message_is_immutable(database: Database) -> None:
    version = database.write(a_release).result()
    with database.read() as tx:
        (key,) = releases.compiled_of(tx, version.id)
    for column in ("content", "digest", "template", "language"):
        change = set_of("compiled_messages", key, **{column: "another"})
        refused(database, "approved version is immutable", change)


def test_a_draft_may_change(database: Database) -> None:
    def work(tx: Connection) -> int:
        release = releases.create_release(tx, MORNING)
        return releases.add_draft(tx, a_version(release_id=release), by="ann").id

    draft = database.write(work).result()
    database.write(set_of("versions", draft, headline="Another")).result()


EDITS = [{"at": NOON + HOUR}, {"actor": "eve"}, {"action": "x"}, {"subject": "x"}, {"facts": {}}]


def test_i12_the_audit_is_append_only(database: Database) -> None:
    entry = audit.Entry(NOON, "ann", "did", "a thing", {"a": 1})
    database.write(lambda tx: audit.record(tx, entry)).result()
    for edit in EDITS:
        change = update(T["audit"]).values(**edit)
        refused(database, "append-only", lambda tx, c=change: tx.execute(c))
    refused(database, "append-only", lambda tx: tx.execute(delete(T["audit"])))
    # Only its chain is filled in later.
    database.write(
        lambda tx: tx.execute(update(T["audit"]).values(previous="", hash="aa")),
    ).result()
    with database.read() as tx:
        assert audit.entries(tx) == [entry]


# --- CHECKs, keys and foreign keys -----------------------------------------------------------

WAVE_ROWS: list[tuple[str, dict[str, Any]]] = [
    ("ck_waves_held_has_reason", {"state": "held", "resume_to": "planned", "held_at": NOON}),
    ("ck_waves_held_knows_way_back", {"state": "held", "reason": "person", "held_at": NOON}),
    ("ck_waves_held_knows_way_back", {"state": "held", "reason": "late", "resume_to": "ready"}),
    ("ck_waves_held_knows_way_back", {"resume_to": "ready"}),
    ("ck_waves_held_knows_way_back", {"held_at": NOON}),
    ("ck_waves_sends_sealed_only", {"state": "ready"}),
    ("ck_waves_sends_sealed_only", {"state": "sending"}),
    ("ck_waves_sends_sealed_only", {"state": "finished", "finished_at": NOON}),
    ("ck_waves_finished_at", {"finished_at": NOON}),
    ("ck_waves_seal_whole", {"recipients": 3}),
    ("ck_waves_seal_whole", {"sealed_at": NOON}),
    ("ck_waves_state", {"state": "gone"}),
    ("ck_waves_kind", {"kind": "blast"}),
]


def raw(table: str, key: int, values: dict[str, Any]) -> Callable[[Connection], object]:
    """An UPDATE past our own types, which would refuse some of these words themselves."""
    words = ", ".join(f"{name} = :{name}" for name in values)
    given = {k: v.isoformat(" ") if hasattr(v, "isoformat") else v for k, v in values.items()}
    statement = text(f"UPDATE {table} SET {words} WHERE id = :key")  # noqa: S608 - our own words
    return lambda tx: tx.execute(statement, {**given, "key": key})


def test_the_database_refuses_an_impossible_wave(database: Database) -> None:
    def plan(tx: Connection) -> Wave:
        return a_wave(tx, a_release(tx), a_list(tx, "L", ["a@x.example"]))

    wave = database.write(plan).result()
    for check, values in WAVE_ROWS:
        refused(database, check, raw("waves", wave.id, values))


DELIVERY_ROWS: list[tuple[str, dict[str, Any]]] = [
    ("ck_deliveries_sending_has_token", {"state": "sending", "dated_at": NOON}),
    ("ck_deliveries_sending_has_token", {"token": 7}),
    ("ck_deliveries_sending_is_dated", {"state": "sending", "token": 7}),
    ("ck_deliveries_deferred_is_due", {"state": "deferred"}),
    ("ck_deliveries_deferred_is_due", {"due_at": NOON}),
    ("ck_deliveries_state", {"state": "lost"}),
]


def test_the_database_refuses_an_impossible_delivery(database: Database) -> None:
    a_ready_wave(database, 1)
    with database.read() as tx:
        key = tx.execute(select(T["deliveries"].c.id)).scalar_one()
    for check, values in DELIVERY_ROWS:
        refused(database, check, raw("deliveries", key, values))


BATCH_ROWS: list[tuple[str, dict[str, Any]]] = [
    ("ck_batches_claimed_is_owned", {"state": "claimed"}),
    ("ck_batches_claimed_is_owned", {"state": "claimed", "token": 1, "lease_until": NOON}),
    ("ck_batches_claimed_is_owned", {"state": "claimed", "owner": "w1", "lease_until": NOON}),
    ("ck_batches_claimed_is_owned", {"state": "claimed", "owner": "w1", "token": 1}),
    ("ck_batches_claimed_is_owned", {"owner": "w1", "token": 1, "lease_until": NOON}),
    ("ck_batches_state", {"state": "lost"}),
    ("(?i)foreign key", {"state": "claimed", "owner": "x", "token": 1, "lease_until": NOON}),
]


def test_the_database_refuses_an_impossible_batch(database: Database) -> None:
    a_ready_wave(database, 1)
    database.write(a_worker).result()
    with database.read() as tx:
        key = tx.execute(select(T["batches"].c.id)).scalar_one()
    for check, values in BATCH_ROWS:
        refused(database, check, raw("batches", key, values))


VERSION_ROWS: list[tuple[str, dict[str, Any]]] = [
    ("ck_versions_embargo_at", {"embargo_state": "immediate"}),
    ("ck_versions_embargo_(at|whole)", {"embargo_at": None}),
    ("ck_versions_embargo_whole", {"embargo_zone": None}),
    ("ck_versions_embargo_fold", {"embargo_fold": 2}),
    ("ck_versions_approv", {"state": "approved"}),
    ("ck_versions_approval_whole", {"seal": "5ea1"}),
    ("ck_versions_state", {"state": "lost"}),
]


def test_the_database_refuses_an_impossible_version(database: Database) -> None:
    def work(tx: Connection) -> int:
        release = releases.create_release(tx, MORNING)
        return releases.add_draft(tx, a_version(release_id=release), by="ann").id

    draft = database.write(work).result()
    for check, values in VERSION_ROWS:
        refused(database, check, raw("versions", draft, values))


def test_an_unclear_embargo_cannot_be_approved(database: Database) -> None:
    def work(tx: Connection) -> None:
        release = releases.create_release(tx, MORNING)
        draft = releases.add_draft(tx, a_version(release_id=release), by="ann")
        rows = T["versions"]
        nothing = dict.fromkeys(("embargo_at", "embargo_wall", "embargo_zone", "embargo_fold"))
        tx.execute(
            update(rows).where(rows.c.id == draft.id).values(embargo_state="unclear", **nothing),
        )
        approved(tx, draft)

    refused(database, "ck_versions_approved_embargo_is_clear", work)


@pytest.mark.parametrize(
    "state",
    [DeliveryState.QUEUED, DeliveryState.DEFERRED, DeliveryState.ACCEPTED, DeliveryState.UNCERTAIN],
)
def test_i4_one_live_delivery_per_version_and_address(
    database: Database, state: DeliveryState
) -> None:
    a_sending_wave(database, 1)
    rows = T["deliveries"]
    due = NOON if state is DeliveryState.DEFERRED else None
    database.write(lambda tx: tx.execute(update(rows).values(state=state, due_at=due))).result()

    def again(tx: Connection) -> None:
        known = tx.execute(select(rows)).mappings().one()
        twin = {**known, "reference": "another", "state": DeliveryState.QUEUED, "due_at": None}
        del twin["id"]
        tx.execute(insert(rows).values(**twin))

    refused(database, "(?i)unique", again)


@pytest.mark.parametrize("state", [DeliveryState.REFUSED, DeliveryState.EXPIRED])
def test_i4_what_is_over_does_not_stand_in_the_way(
    database: Database, state: DeliveryState
) -> None:
    a_sending_wave(database, 1)
    rows = T["deliveries"]
    database.write(lambda tx: tx.execute(update(rows).values(state=state))).result()

    def again(tx: Connection) -> None:
        known = tx.execute(select(rows)).mappings().one()
        twin = {**known, "reference": "another", "state": DeliveryState.QUEUED}
        del twin["id"]
        tx.execute(insert(rows).values(**twin))

    database.write(again).result()


def test_one_general_wave_per_version_until_it_is_cancelled(database: Database) -> None:
    wave = a_ready_wave(database, 1)

    def plan(tx: Connection) -> Wave:
        version = releases.version_of(tx, wave.version_id)
        return a_wave(tx, version, *wave.audience.lists)

    refused(database, "(?i)unique", plan)
    database.write(lambda tx: waves.discard(tx, wave, Order("ann", MORNING))).result()
    assert database.write(plan).result().state is WaveState.PLANNED


def test_words_and_instants_come_back_as_they_went_in(database: Database) -> None:
    wave = a_ready_wave(database, 1)
    database.write(
        lambda tx: waves.hold(tx, wave, HoldReason.PERSON, Order("ann", NOON)),
    ).result()
    with database.read() as tx:
        held = waves.get(tx, wave.id)
        row = tx.execute(select(T["deliveries"])).one()
    assert held.reason is HoldReason.PERSON
    assert held.resume_to is WaveState.READY
    assert held.held_at == NOON
    assert held.held_at is not None
    assert held.held_at.tzinfo is UTC
    assert row.state is DeliveryState.QUEUED
    with pytest.raises(StatementError, match="needs its zone"):
        database.write(set_of("deliveries", row.id, at=NOON.replace(tzinfo=None))).result()
