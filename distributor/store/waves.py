"""Waves: planning, holding, stopping, finishing, and the numbers people ask for.

Every move of a wave goes through :func:`move`, which checks the table of legal moves in the
UPDATE itself and writes the audit row beside it (I12).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Select, Update, bindparam, delete, exists, func, insert, select, update

from distributor.core.model import AudienceRule, Wave, WaveKind
from distributor.core.states import (
    LIVE,
    OPEN,
    PENDING,
    BatchState,
    DeliveryState,
    HoldReason,
    WaveState,
    check_move,
    sources,
)
from distributor.errors import IllegalMove
from distributor.store import audit, sequels
from distributor.store.audit import DESK, Order
from distributor.store.schema import batches, deliveries, exclusions, versions, waves

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from sqlalchemy import Connection, Row


def _waves() -> Select[Any]:
    return select(waves, versions.c.embargo_at).join(versions, versions.c.id == waves.c.version_id)


def plan(tx: Connection, wave: Wave, order: Order) -> int:
    """Store a planned wave; gives its key."""
    made = tx.execute(
        insert(waves).values(
            release_id=wave.release_id,
            version_id=wave.version_id,
            kind=wave.kind,
            state=WaveState.PLANNED,
            waived=[],
            send_at=wave.send_at,
            audience=_written(wave.audience),
            before_lift=wave.before_lift,
            created_at=order.at,
            created_by=order.by,
        ),
    )
    facts = {"send_at": wave.send_at.isoformat(), "lists": list(wave.audience.lists)}
    audit.record(tx, audit.Entry(order.at, order.by, "planned", _subject(wave), facts))
    return cast("int", made.inserted_primary_key[0])  # pyright: ignore[reportOptionalSubscript]


def get(tx: Connection, wave_id: int) -> Wave:
    """One wave by its key."""
    return _wave(tx.execute(_one(), {"wave": wave_id}).one())


@cache
def _one() -> Select[Any]:
    return _waves().where(waves.c.id == bindparam("wave"))


def of_release(tx: Connection, release: int) -> list[Wave]:
    """A release's waves, oldest first."""
    rows = tx.execute(_waves().where(waves.c.release_id == release).order_by(waves.c.id))
    return [_wave(row) for row in rows]


def in_states(tx: Connection, states: Collection[WaveState]) -> list[Wave]:
    """Every wave in one of these states, the soonest first."""
    rows = tx.execute(_waves().where(waves.c.state.in_(states)).order_by(waves.c.send_at))
    return [_wave(row) for row in rows]


def due_to_prepare(tx: Connection, until: datetime) -> list[Wave]:
    """Planned waves whose send time is not after ``until``."""
    rows = tx.execute(
        _waves()
        .where(waves.c.state == WaveState.PLANNED, waves.c.send_at <= until)
        .order_by(waves.c.send_at),
    )
    return [_wave(row) for row in rows]


def next_send_at(tx: Connection, after: datetime) -> datetime | None:
    """The soonest send time after that instant of a wave that may still go out."""
    return tx.execute(
        select(func.min(waves.c.send_at)).where(
            waves.c.state.in_((WaveState.PLANNED, WaveState.PREPARING, WaveState.READY)),
            waves.c.send_at > after,
        ),
    ).scalar()


def move(
    tx: Connection,
    wave: Wave,
    to: WaveState,
    order: Order,
    *,
    action: str | None = None,
    **values: Any,  # noqa: ANN401 - column values, typed by the schema
) -> None:
    """Move one wave and write the audit row beside it.

    Raises:
        IllegalMove: The table does not list the move, or somebody moved the wave meanwhile.

    """
    check_move(wave.state, to)
    if wave.state is WaveState.HELD:
        values.setdefault("reason", None)
        values.update(resume_to=None, held_at=None)
    if wave.state is WaveState.FINISHED:
        values["finished_at"] = None
    done = tx.execute(
        update(waves)
        .where(waves.c.id == wave.id, waves.c.state == wave.state)
        .values(state=to, **values),
    )
    if done.rowcount != 1:
        now_in = tx.execute(select(waves.c.state).where(waves.c.id == wave.id)).scalar_one()
        raise IllegalMove(before=now_in, after=to)
    facts = {"wave": wave.id, "from": wave.state.value, "to": to.value}
    if "reason" in values and values["reason"] is not None:
        facts["reason"] = str(values["reason"])
    audit.record(tx, audit.Entry(order.at, order.by, action or to.value, _subject(wave), facts))


def hold(tx: Connection, wave: Wave, reason: HoldReason, order: Order) -> None:
    """Stop a wave for now; it remembers where to go on."""
    move(
        tx,
        wave,
        WaveState.HELD,
        order,
        reason=reason,
        resume_to=wave.state,
        held_at=order.at,
    )


def resume(tx: Connection, wave: Wave, order: Order, *, waive: str | None = None) -> None:
    """Let a held wave go on where it stopped; ``waive`` is remembered by name."""
    to = wave.resume_to
    if to is None:
        raise IllegalMove(before=wave.state, after="resumed")
    waived = sorted(wave.waived | {waive}) if waive else sorted(wave.waived)
    move(tx, wave, to, order, action="resumed", waived=waived)


def take_preparing(tx: Connection, wave: Wave, worker: str, *, after: str | None) -> bool:
    """Make the worker the one that prepares the wave; False when another was first.

    ``after`` is who prepared it before and is gone; None when nobody has begun.
    """
    before = waves.c.prepared_by.is_(None) if after is None else waves.c.prepared_by == after
    done = tx.execute(
        update(waves)
        .where(waves.c.id == wave.id, waves.c.state == WaveState.PREPARING, before)
        .values(prepared_by=worker),
    )
    return done.rowcount == 1


def still_preparing(tx: Connection, wave_id: int, worker: str) -> bool:
    """Whether the wave is still being prepared, by this worker; locks it for the transaction."""
    row = tx.execute(
        select(waves.c.id)
        .where(
            waves.c.id == wave_id,
            waves.c.state == WaveState.PREPARING,
            waves.c.prepared_by == worker,
        )
        .with_for_update(),
    ).first()
    return row is not None


def seal(tx: Connection, wave: Wave, facts: Mapping[str, Any], order: Order) -> None:
    """Freeze the audience: counts and hash, once, together with the move to ``ready`` (I3)."""
    move(tx, wave, WaveState.READY, order, action="sealed", sealed_at=order.at, **facts)


def unseal(tx: Connection, wave_id: int) -> None:
    """Drop the rows of an audience that is not sealed, or will be made anew."""
    tx.execute(delete(deliveries).where(deliveries.c.wave_id == wave_id))
    tx.execute(delete(batches).where(batches.c.wave_id == wave_id))
    tx.execute(delete(exclusions).where(exclusions.c.wave_id == wave_id))


def note_first_mail(tx: Connection, wave_id: int, at: datetime) -> None:
    """Remember when the wave's first MAIL went out; later calls change nothing."""
    tx.execute(_begun(), {"wave": wave_id, "first": at})


@cache
def _begun() -> Update:
    return (
        update(waves)
        .where(waves.c.id == bindparam("wave"), waves.c.first_mail_at.is_(None))
        .values(first_mail_at=bindparam("first"))
    )


def counts(tx: Connection, wave_id: int) -> dict[DeliveryState, int]:
    """How many of the wave's deliveries stand in each state; absent states are zero."""
    rows = tx.execute(
        select(deliveries.c.state, func.count())
        .where(deliveries.c.wave_id == wave_id)
        .group_by(deliveries.c.state),
    )
    return {row[0]: row[1] for row in rows}


def had_before(tx: Connection, wave: Wave) -> int:
    """How many deliveries of other versions may have arrived at addresses without this one."""
    newer = deliveries.alias("newer")
    has_this = exists().where(
        newer.c.version_id == wave.version_id,
        newer.c.address_key == deliveries.c.address_key,
        newer.c.state.in_(LIVE),
    )
    return tx.execute(
        select(func.count())
        .select_from(deliveries.join(waves, waves.c.id == deliveries.c.wave_id))
        .where(
            waves.c.release_id == wave.release_id,
            deliveries.c.version_id != wave.version_id,
            deliveries.c.state.in_((DeliveryState.ACCEPTED, DeliveryState.UNCERTAIN)),
            ~has_this,
        ),
    ).scalar_one()


def finish(tx: Connection, wave: Wave, now: datetime) -> bool:
    """Finish a sending wave when nothing is open and the sum holds (I3); say whether it did."""
    # Locked first: nobody may queue a row of it again between the count and the move.
    _lock(tx, wave.id)
    # Asked first, and answered from an index: a running wave is not counted at every tick.
    open_rows = exists().where(deliveries.c.wave_id == wave.id, deliveries.c.state.in_(OPEN))
    if tx.execute(select(open_rows)).scalar_one():
        return False
    if sum(counts(tx, wave.id).values()) != wave.recipients:
        return False
    order = Order(DESK, now)
    move(tx, wave, WaveState.FINISHED, order, finished_at=now)
    return True


def complete_stop(tx: Connection, wave: Wave, order: Order) -> bool:
    """Finish a cancellation once no worker holds any of the wave; say whether it is finished.

    What had not left is cancelled for good, with exact numbers in the audit (I7).
    """
    # Locked before they are looked at: a claim that is being made right now counts.
    states = tx.execute(
        select(batches.c.state)
        .where(batches.c.wave_id == wave.id)
        .order_by(batches.c.id)
        .with_for_update(),
    ).scalars()
    if BatchState.CLAIMED in set(states):
        return False
    tx.execute(
        update(deliveries)
        .where(
            deliveries.c.wave_id == wave.id,
            deliveries.c.state.in_((DeliveryState.QUEUED, DeliveryState.DEFERRED)),
        )
        .values(state=DeliveryState.CANCELLED, due_at=None, at=order.at),
    )
    stopped = tx.execute(
        update(batches)
        .where(
            batches.c.wave_id == wave.id,
            batches.c.state.in_(sources(BatchState.CANCELLED)),
        )
        .values(state=BatchState.CANCELLED)
        .returning(batches.c.id),
    ).scalars()
    audit.record_batches(tx, stopped.all(), "cancelled", order)
    if wave.sealed_at is None:
        unseal(tx, wave.id)
    move(tx, wave, WaveState.CANCELLED, order)
    return True


def discard(tx: Connection, wave: Wave, order: Order) -> None:
    """Cancel a wave that has not begun and drop its audience: it may be planned anew."""
    nothing = dict.fromkeys(("recipients", "exclusions", "audience_hash", "sealed_at"))
    # The move comes first: it fails when a worker has just begun to send.
    move(tx, wave, WaveState.STOPPING, order, action="unscheduled", **nothing)
    unseal(tx, wave.id)
    move(tx, get(tx, wave.id), WaveState.CANCELLED, order)


def _lock(tx: Connection, wave_id: int) -> WaveState:
    """Keep others from moving the wave until this transaction ends; gives its state."""
    return tx.execute(
        select(waves.c.state).where(waves.c.id == wave_id).with_for_update(),
    ).scalar_one()


def check_sendable(tx: Connection, wave_id: int) -> None:
    """Lock a wave whose rows are to be queued again.

    Raises:
        IllegalMove: It does not send (any more): what is queued there would never leave. Or its
            text has been replaced: it must not leave.

    """
    state = _lock(tx, wave_id)
    if sequels.is_replaced(tx, wave_id):
        raise IllegalMove(before="replaced", after=WaveState.SENDING)
    if state not in {WaveState.SENDING, WaveState.HELD}:
        raise IllegalMove(before=state, after=WaveState.SENDING)


def take_over_hold(tx: Connection, wave: Wave, order: Order) -> None:
    """A person holds what was held by itself: it no longer lifts by itself."""
    done = tx.execute(
        update(waves)
        .where(
            waves.c.id == wave.id,
            waves.c.state == WaveState.HELD,
            waves.c.reason == wave.reason,
        )
        .values(reason=HoldReason.PERSON, held_at=order.at),
    )
    if done.rowcount != 1:
        raise IllegalMove(before=wave.state, after=WaveState.HELD)
    facts = {"wave": wave.id, "reason": HoldReason.PERSON.value, "before": str(wave.reason)}
    audit.record(tx, audit.Entry(order.at, order.by, "held", _subject(wave), facts))


def renew_hold(tx: Connection, wave: Wave, now: datetime) -> None:
    """Note that the reason of a hold still stands."""
    tx.execute(
        update(waves)
        .where(
            waves.c.id == wave.id,
            waves.c.state == WaveState.HELD,
            waves.c.reason == wave.reason,
        )
        .values(held_at=now),
    )


def has_general(tx: Connection, version_id: int) -> bool:
    """Whether the version has a general wave that was not cancelled."""
    return tx.execute(
        select(
            exists().where(
                waves.c.version_id == version_id,
                waves.c.kind == WaveKind.GENERAL,
                waves.c.state != WaveState.CANCELLED,
            ),
        ),
    ).scalar_one()


def pending_of(tx: Connection, release: int) -> Wave | None:
    """The release's wave that is not over yet, the newest if there are two."""
    row = tx.execute(
        _waves()
        .where(
            waves.c.release_id == release,
            waves.c.state.in_(PENDING | {WaveState.STOPPING}),
        )
        # A withdrawal is planned while what it withdraws is still being stopped.
        .order_by(waves.c.id.desc())
        .limit(1),
    ).first()
    return _wave(row) if row is not None else None


def _subject(wave: Wave) -> str:
    return f"release {wave.ref}"


def _wave(row: Row[Any]) -> Wave:
    return Wave(
        id=row.id,
        release_id=row.release_id,
        version_id=row.version_id,
        kind=WaveKind(row.kind),
        state=row.state,
        send_at=row.send_at,
        audience=_rule(row.audience),
        reason=row.reason,
        resume_to=row.resume_to,
        held_at=row.held_at,
        waived=frozenset(row.waived),
        prepared_by=row.prepared_by,
        recipients=row.recipients,
        exclusions=row.exclusions,
        audience_hash=row.audience_hash,
        sealed_at=row.sealed_at,
        first_mail_at=row.first_mail_at,
        finished_at=row.finished_at,
        embargo_at=row.embargo_at,
        before_lift=row.before_lift,
    )


def _written(rule: AudienceRule) -> dict[str, Any]:
    """A rule as it is stored; what is not so is left out."""
    written: dict[str, Any] = {"lists": list(rule.lists), "exclude": list(rule.exclude)}
    if rule.had:
        written["had"] = True
    if rule.again:
        written["again"] = [state.value for state in rule.again]
    return written


def _rule(written: Mapping[str, Any]) -> AudienceRule:
    return AudienceRule(
        tuple(written["lists"]),
        tuple(written["exclude"]),
        had=written.get("had", False),
        again=tuple(DeliveryState(state) for state in written.get("again", ())),
    )
