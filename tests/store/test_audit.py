from __future__ import annotations

from typing import TYPE_CHECKING

from distributor.core.states import BatchState
from distributor.store import audit, batches
from tests.builders import ORDER, a_sending_wave, a_worker, claimed

if TYPE_CHECKING:
    from distributor.store.database import Database


def _told(database: Database, subject: str) -> list[str]:
    with database.read() as tx:
        return [entry.action for entry in audit.entries(tx, subject=subject)]


def test_I12_every_move_of_a_batch_writes_an_audit_row(database: Database) -> None:  # noqa: N802
    a_sending_wave(database)
    database.write(a_worker).result()
    claim = claimed(database)
    assert claim is not None
    subject = f"batch {claim.batch_id}"
    assert _told(database, subject) == ["claimed"]
    given = database.write(lambda tx: batches.give_back(tx, claim, ORDER)).result()
    assert given is BatchState.READY
    assert _told(database, subject) == ["ready", "claimed"]


def test_I12_a_lost_claim_writes_no_audit_row_when_it_is_given_back(  # noqa: N802
    database: Database,
) -> None:
    a_sending_wave(database)
    database.write(a_worker).result()
    claim = claimed(database)
    assert claim is not None
    database.write(lambda tx: batches.release_claims(tx, [claim.batch_id], ORDER)).result()
    assert database.write(lambda tx: batches.give_back(tx, claim, ORDER)).result() is None
    assert _told(database, f"batch {claim.batch_id}") == ["ready", "claimed"]
