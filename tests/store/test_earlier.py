"""Who may have a release already: by what left at some attempt, whatever lists say today."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import delete, update
from sqlalchemy.exc import IntegrityError

from distributor.core.audience import exclusion
from distributor.core.model import AudienceRule, Outcome, WaveKind
from distributor.core.states import DeliveryState, WaveState
from distributor.errors import IllegalMove
from distributor.store import audiences, recovery, releases, sequels, suppressions, waves
from distributor.store.schema import contacts
from distributor.store.schema import deliveries as rows
from distributor.store.schema import sequels as sequel_rows
from distributor.store.schema import waves as wave_rows
from distributor.store.suppressions import NewSuppression, SuppressionReason
from tests.builders import (
    DAY,
    MORNING,
    NOON,
    a_contact,
    a_list,
    a_result,
    a_sending_wave,
    a_sequel,
    a_worker,
    claimed,
    marked,
    moved,
    recorded,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from distributor.core.audience import Candidate
    from distributor.core.model import Delivery, Version, Wave
    from distributor.store.database import Database

HAD = AudienceRule((), had=True)


def candidates(database: Database, version: Version, rule: AudienceRule = HAD) -> list[Candidate]:
    with database.read() as tx:
        return list(audiences.candidates(tx, rule, version_id=version.id, now=NOON))


def sent(database: Database, count: int = 1) -> tuple[Wave, list[Delivery]]:
    """A sending wave whose first rows are marked for the wire."""
    wave = a_sending_wave(database, count)
    database.write(a_worker).result()
    group: list[Delivery] = []
    while (claim := claimed(database)) is not None:
        group += marked(database, claim)
    assert len(group) == count
    return wave, group


ACCEPTED, UNCERTAIN = Outcome.ACCEPTED, Outcome.UNCERTAIN
REFUSED, DEFERRED = Outcome.REFUSED, Outcome.DEFERRED


@pytest.mark.parametrize(
    ("outcomes", "state", "has_it"),
    [
        ((ACCEPTED,), None, True),
        ((UNCERTAIN,), None, True),
        ((REFUSED,), None, False),
        ((DEFERRED,), None, False),
        ((DEFERRED,), DeliveryState.CANCELLED, False),
        ((UNCERTAIN,), DeliveryState.CANCELLED, True),
        ((UNCERTAIN,), DeliveryState.EXPIRED, True),
        ((UNCERTAIN,), DeliveryState.ABANDONED, True),
        ((ACCEPTED,), DeliveryState.COMPLAINED, True),
        ((ACCEPTED,), DeliveryState.BOUNCED, False),
        ((), DeliveryState.QUEUED, False),
        ((), DeliveryState.CANCELLED, False),
        ((), DeliveryState.SUPPRESSED, False),
        ((), None, True),  # on its way
    ],
)
def test_somebody_may_have_it_when_a_whole_mail_left_and_was_not_turned_down(
    database: Database, outcomes: tuple[Outcome, ...], state: DeliveryState | None, *, has_it: bool
) -> None:
    wave, (delivery,) = sent(database)
    token = 7
    for outcome in outcomes:
        recorded(database, a_result(delivery.id, token, outcome))
    if state is not None:
        due = {"due_at": None, "token": None}
        change = update(rows).where(rows.c.id == delivery.id).values(state=state, **due)
        database.write(lambda tx: tx.execute(change)).result()
    version = database.write(lambda tx: a_sequel(tx, wave)).result()
    assert [one.address_key for one in candidates(database, version)] == (
        [delivery.address_key] if has_it else []
    )


def test_a_late_answer_of_a_worker_that_had_lost_its_claim_counts(database: Database) -> None:
    wave, (delivery,) = sent(database)
    recorded(database, a_result(delivery.id, 7, Outcome.NOT_SENT))
    assert recorded(database, a_result(delivery.id, 8, ACCEPTED)) == 1
    version = database.write(lambda tx: a_sequel(tx, wave)).result()
    assert len(candidates(database, version)) == 1


def test_the_thread_is_their_own_mails_the_oldest_first(database: Database) -> None:
    wave, group = sent(database, 2)
    recorded(database, *(a_result(each.id, 7, ACCEPTED) for each in group))
    version = database.write(lambda tx: a_sequel(tx, wave)).result()
    for one, delivery in zip(candidates(database, version), group, strict=True):
        assert one.thread == f"<{delivery.reference}@desk.example>"
        assert one.recipient == delivery.recipient
        assert one.contact_id is not None


def test_who_moved_or_is_gone_is_written_to_where_the_wrong_text_is(database: Database) -> None:
    wave, group = sent(database, 2)
    recorded(database, *(a_result(each.id, 7, ACCEPTED) for each in group))
    moved_on, gone = group
    elsewhere = {"address": "new@x.example", "address_key": "new@x.example", "wire_address": None}
    where = contacts.c.address_key
    for change in (
        update(contacts).where(where == moved_on.address_key).values(**elsewhere),
        delete(contacts).where(where == gone.address_key),
    ):
        database.write(lambda tx, c=change: tx.execute(c)).result()
    version = database.write(lambda tx: a_sequel(tx, wave)).result()
    found = candidates(database, version)
    assert [one.recipient for one in found] == [moved_on.recipient, gone.recipient]
    assert [one.contact_id for one in found] == [None, None]


def test_an_objection_beats_a_correction_and_is_said(database: Database) -> None:
    wave, (delivery,) = sent(database)
    recorded(database, a_result(delivery.id, 7, ACCEPTED))
    order = NewSuppression(a_contact(delivery.address_key).address, SuppressionReason.OBJECTION)
    database.write(lambda tx: suppressions.add(tx, order, by="ann", now=MORNING)).result()
    version = database.write(lambda tx: a_sequel(tx, wave)).result()
    [one] = candidates(database, version)
    found = exclusion(one, WaveKind.CORRECTION)
    assert found is not None
    assert (found.reason.value, found.evidence) == ("suppressed", "objection")


def test_lists_asked_for_besides_add_those_who_have_nothing(database: Database) -> None:
    wave, (delivery,) = sent(database)
    recorded(database, a_result(delivery.id, 7, ACCEPTED))

    def work(tx: Connection) -> tuple[Version, int]:
        others = a_list(tx, "also", [delivery.address_key, "other@x.example"])
        return a_sequel(tx, wave), others

    version, others = database.write(work).result()
    found = candidates(database, version, AudienceRule((others,), had=True))
    assert [(one.address_key, one.thread is None) for one in found] == [
        (delivery.address_key, False),
        ("other@x.example", True),
    ]


def test_consent_is_the_contacts_own_and_the_advance_copys_where_there_is_no_contact(
    database: Database,
) -> None:
    wave, group = sent(database, 3)
    recorded(database, *(a_result(each.id, 7, ACCEPTED) for each in group))
    agreed, withdrew, gone = (each.address_key for each in group)
    where = contacts.c.address_key
    for change in (
        update(wave_rows).values(kind=WaveKind.ADVANCE),
        update(contacts).where(where == agreed).values(terms_accepted_at=MORNING),
        delete(contacts).where(where == gone),
    ):
        database.write(lambda tx, c=change: tx.execute(c)).result()
    version = database.write(lambda tx: a_sequel(tx, wave)).result()
    answers = {
        one.address_key: exclusion(one, WaveKind.CORRECTION, before_lift=True)
        for one in candidates(database, version)
    }
    assert {key: found and found.reason.value for key, found in answers.items()} == {
        agreed: None,
        withdrew: "no embargo terms",
        gone: None,
    }


def test_of_what_failed_the_newest_counts_once_at_todays_address(database: Database) -> None:
    wave, group = sent(database, 3)
    refused, taken, later = group
    recorded(
        database,
        a_result(refused.id, 7, REFUSED),
        a_result(taken.id, 7, ACCEPTED),
        a_result(later.id, 7, DEFERRED),
    )
    expired = update(rows).where(rows.c.id == later.id).values(state="expired", due_at=None)
    mended = {"address": "Mended@x.example", "address_key": "mended@x.example", "name": "Mended"}
    change = (
        update(contacts)
        .where(contacts.c.address_key == refused.address_key)
        .values(**mended, wire_address=None)
    )
    for each in (expired, change):
        database.write(lambda tx, c=each: tx.execute(c)).result()
    with database.read() as tx:
        version = releases.version_of(tx, wave.version_id)
    both = AudienceRule((), again=(DeliveryState.REFUSED, DeliveryState.EXPIRED))
    found = {one.address_key: one for one in candidates(database, version, both)}
    assert set(found) == {"mended@x.example", later.address_key}
    assert found["mended@x.example"].recipient.address == "Mended@x.example"
    assert found["mended@x.example"].recipient.name == "Mended"
    assert found["mended@x.example"].compiled_id == refused.compiled_id
    one = AudienceRule((), again=(DeliveryState.EXPIRED,))
    assert [each.address_key for each in candidates(database, version, one)] == [later.address_key]


@pytest.mark.parametrize("ready", [True, False])
def test_from_the_order_for_a_correction_on_the_old_text_cannot_be_queued_again(
    database: Database, *, ready: bool
) -> None:
    wave, (delivery,) = sent(database)
    recorded(database, a_result(delivery.id, 7, UNCERTAIN))
    database.write(lambda tx: a_sequel(tx, wave, ready=ready)).result()
    with pytest.raises(IllegalMove, match="replaced"):
        database.write(lambda tx: recovery.requeue(tx, wave.id, [delivery.id], now=NOON)).result()


def test_a_follow_up_replaces_nothing(database: Database) -> None:
    wave, (delivery,) = sent(database)
    recorded(database, a_result(delivery.id, 7, UNCERTAIN))
    database.write(lambda tx: a_sequel(tx, wave, WaveKind.FOLLOW_UP)).result()
    database.write(lambda tx: recovery.requeue(tx, wave.id, [delivery.id], now=NOON)).result()


def test_a_sequel_comes_back_as_it_was_stored_and_stays(database: Database) -> None:
    wave = a_sending_wave(database, 1)
    version = database.write(lambda tx: a_sequel(tx, wave)).result()
    with database.read() as tx:
        assert releases.latest(tx, wave.release_id).sequel == version.sequel
    for change in (update(sequel_rows).values(reason="Other."), delete(sequel_rows)):
        with pytest.raises(IntegrityError, match="immutable"):
            database.write(lambda tx, c=change: tx.execute(c)).result()


def test_the_newest_version_that_went_out_is_the_one_to_be_told_of(database: Database) -> None:
    wave = a_sending_wave(database, 1)
    with database.read() as tx:
        assert sequels.newest_begun(tx, wave.release_id) == wave.version_id
        assert sequels.has_waves(tx, wave.version_id)
        assert not sequels.others_going(tx, wave)
    stopping = moved(database, wave, WaveState.STOPPING)
    over = moved(database, stopping, WaveState.CANCELLED)
    with database.read() as tx:
        assert sequels.newest_begun(tx, wave.release_id) is None
        assert not sequels.has_waves(tx, wave.version_id)
    database.write(lambda tx: waves.note_first_mail(tx, over.id, NOON - DAY)).result()
    with database.read() as tx:
        assert sequels.newest_begun(tx, wave.release_id) == wave.version_id
        assert sequels.has_waves(tx, wave.version_id)
