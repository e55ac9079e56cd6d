"""Test mails: what was ordered, and what the mail server answered.

A table of their own, so that no number of a wave ever counts one of them. A row without an outcome
is one whose answer was never written down: whether it arrived is not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import insert, select, update

from distributor.core.model import Outcome
from distributor.core.trial import trial_id
from distributor.store.schema import trials, versions

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Row


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTrial:
    """A test mail about to leave. ``embargoed``: confirmed twice, before the lift."""

    release_id: int
    version_id: int
    reference: str
    address: str
    address_key: str
    embargoed: bool
    ordered_at: datetime
    ordered_by: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a test mail. ``code`` is None where no server answered."""

    outcome: Outcome
    code: int | None
    enhanced: str | None
    reply: str
    relay: str | None


@dataclass(frozen=True, slots=True)
class Trial:
    """A test mail as stored. ``version`` is the number of the edition it showed."""

    id: int
    address: str
    version: int
    embargoed: bool
    message_id: str
    ordered_at: datetime
    ordered_by: str
    outcome: Outcome
    code: int | None
    enhanced: str | None
    reply: str
    relay: str | None


def add(tx: Connection, trial: NewTrial) -> int:
    """Note a test mail before it leaves; gives its key."""
    made = tx.execute(
        insert(trials).values(
            release_id=trial.release_id,
            version_id=trial.version_id,
            reference=trial.reference,
            address=trial.address,
            address_key=trial.address_key,
            embargoed=trial.embargoed,
            ordered_at=trial.ordered_at,
            ordered_by=trial.ordered_by,
        ),
    )
    return cast("int", made.inserted_primary_key[0])  # pyright: ignore[reportOptionalSubscript]


def answer(tx: Connection, key: int, what: Answer) -> None:
    """Write down what the server said; what was written once stays."""
    tx.execute(
        update(trials)
        .where(trials.c.id == key, trials.c.outcome.is_(None))
        .values(
            outcome=what.outcome,
            code=what.code,
            enhanced=what.enhanced,
            reply=what.reply,
            relay=what.relay,
        ),
    )


def of_release(tx: Connection, release_id: int) -> list[Trial]:
    """The test mails of a release, oldest first."""
    rows = tx.execute(
        select(trials, versions.c.number, versions.c.sender_address)
        .join(versions, versions.c.id == trials.c.version_id)
        .where(trials.c.release_id == release_id)
        .order_by(trials.c.id),
    )
    return [_trial(row) for row in rows]


def _trial(row: Row[Any]) -> Trial:
    return Trial(
        id=row.id,
        address=row.address,
        version=row.number,
        embargoed=row.embargoed,
        message_id=trial_id(row.reference, row.sender_address.rpartition("@")[2]),
        ordered_at=row.ordered_at,
        ordered_by=row.ordered_by,
        outcome=row.outcome or Outcome.UNCERTAIN,
        code=row.code,
        enhanced=row.enhanced,
        reply=row.reply or "",
        relay=row.relay,
    )
