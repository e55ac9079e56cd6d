"""Relays: what of their day's limit is spent, how they fare, and the key of our return paths.

A day's limit is shared by all workers: each takes a portion before it sends, and gives back what
it did not use. So nothing is written for a single mail, and a worker that dies takes one portion
with it at most, until that is a day old.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sqlalchemy import case, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from distributor.core.forecast import DAY, SPAN, Quota, span_of
from distributor.store.schema import keys, relay_health, relay_use

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from distributor.core.limits import Limits

#: Any number will do, as long as it stays this one: PostgreSQL's lock on one relay's count.
_LOCK: Final = 4_711_003
_RETURN_PATH: Final = "return path"
#: What a worker said of a relay is forgotten after so long.
_REMEMBERED: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Report:
    """How a relay fares, as one worker saw it change at that instant.

    ``state`` is a word for people; ``says`` the reason, empty while it is well; ``size_max`` the
    octets of the largest mail it takes, where it says so.
    """

    relay: str
    worker: str
    at: datetime
    state: str
    says: str = ""
    size_max: int | None = None


def reserve(tx: Connection, relay: str, *, per_day: int, wanted: int, now: datetime) -> int:
    """Take up to ``wanted`` mails of what any 24 hours may hold; gives how many were left."""
    if tx.dialect.name == "postgresql":
        # Two workers at once would both take what is left; SQLite has one writer anyway.
        tx.execute(select(func.pg_advisory_xact_lock(_LOCK, func.hashtext(relay))))
    _forget(tx, relay, now)
    used = tx.execute(
        select(func.coalesce(func.sum(relay_use.c.mails), 0)).where(relay_use.c.relay == relay),
    ).scalar_one()
    granted = max(min(wanted, per_day - used), 0)
    if granted:
        insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
        tx.execute(
            insert(relay_use)
            .values(relay=relay, at=span_of(now), mails=granted)
            .on_conflict_do_update(
                index_elements=["relay", "at"],
                set_={"mails": relay_use.c.mails + granted},
            ),
        )
    return granted


def give_back(tx: Connection, relay: str, *, mails: int, taken_at: datetime) -> None:
    """Return what was taken at that instant and not used; never more than was taken."""
    tx.execute(
        update(relay_use)
        .where(relay_use.c.relay == relay, relay_use.c.at == span_of(taken_at))
        .values(mails=case((relay_use.c.mails > mails, relay_use.c.mails - mails), else_=0)),
    )


def spent(tx: Connection) -> dict[str, tuple[tuple[datetime, int], ...]]:
    """What was taken of each relay's day, oldest first; some of it may be older than a day."""
    found: dict[str, tuple[tuple[datetime, int], ...]] = {}
    for row in tx.execute(select(relay_use).order_by(relay_use.c.at)):
        found[row.relay] = (*found.get(row.relay, ()), (row.at, row.mails))
    return found


def quotas(tx: Connection, limits: Mapping[str, Limits]) -> dict[str, Quota]:
    """Each relay's limits with what of its day is spent, by name and in the order given."""
    used = spent(tx)
    return {name: Quota(name, each, used.get(name, ())) for name, each in limits.items()}


def _forget(tx: Connection, relay: str, now: datetime) -> None:
    tx.execute(
        delete(relay_use).where(relay_use.c.relay == relay, relay_use.c.at <= now - DAY - SPAN),
    )


def report(tx: Connection, seen: Report) -> None:
    """Note how a relay fares now, in place of what that worker noted before."""
    values = {
        "at": seen.at,
        "state": seen.state,
        "says": seen.says,
        "size_max": seen.size_max,
    }
    insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    tx.execute(
        insert(relay_health)
        .values(relay=seen.relay, worker_id=seen.worker, **values)
        .on_conflict_do_update(index_elements=["relay", "worker_id"], set_=values),
    )
    tx.execute(delete(relay_health).where(relay_health.c.at < seen.at - _REMEMBERED))


def reports(tx: Connection) -> dict[str, Report]:
    """The newest word on each relay, from whichever worker."""
    rows = tx.execute(select(relay_health).order_by(relay_health.c.at))
    return {
        row.relay: Report(row.relay, row.worker_id, row.at, row.state, row.says, row.size_max)
        for row in rows
    }


def sizes(tx: Connection) -> dict[str, int]:
    """The octets of the largest mail that each relay takes, where it said so, as it last did."""
    rows = tx.execute(
        select(relay_health.c.relay, relay_health.c.size_max)
        .where(relay_health.c.size_max.is_not(None))
        .order_by(relay_health.c.at),
    )
    return {row.relay: row.size_max for row in rows}


def return_path_key(tx: Connection) -> bytes:
    """The key that signs return paths: made once for this database, and never shown."""
    return tx.execute(select(keys.c.value).where(keys.c.name == _RETURN_PATH)).scalar_one()
