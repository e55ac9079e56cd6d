"""How the versions and waves of a release follow each other: what is replaced, and by what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import exists, or_, select

from distributor.core.sequel import REPLACING
from distributor.core.states import PENDING, WaveState
from distributor.store.schema import sequels, versions, waves

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from distributor.core.model import Wave


def is_replaced(tx: Connection, wave_id: int) -> bool:
    """Whether a correction or withdrawal, in whatever state, follows the version of this wave.

    From the order for it on, nobody must get the old text any more.
    """
    later = versions.alias("later")
    return tx.execute(
        select(
            exists().where(
                waves.c.id == wave_id,
                versions.c.id == waves.c.version_id,
                later.c.release_id == versions.c.release_id,
                later.c.number > versions.c.number,
                sequels.c.version_id == later.c.id,
                sequels.c.kind.in_(REPLACING),
            )
        )
    ).scalar_one()


def others_going(tx: Connection, wave: Wave) -> bool:
    """Whether another wave of the same release is not over: who has what may still change."""
    return tx.execute(
        select(
            exists().where(
                waves.c.release_id == wave.release_id,
                waves.c.id != wave.id,
                waves.c.state.in_(PENDING | {WaveState.STOPPING}),
            )
        )
    ).scalar_one()


def newest_begun(tx: Connection, release: int) -> int | None:
    """The release's newest version of which some mail may have left."""
    return tx.execute(
        select(waves.c.version_id)
        .where(
            waves.c.release_id == release,
            or_(
                waves.c.first_mail_at.is_not(None),
                waves.c.state == WaveState.SENDING,
                waves.c.resume_to == WaveState.SENDING,
            ),
        )
        .order_by(waves.c.version_id.desc())
        .limit(1),
    ).scalar()


def has_waves(tx: Connection, version_id: int) -> bool:
    """Whether the version has a wave that was not taken back before its first mail."""
    return tx.execute(
        select(
            exists().where(
                waves.c.version_id == version_id,
                or_(waves.c.state != WaveState.CANCELLED, waves.c.first_mail_at.is_not(None)),
            )
        )
    ).scalar_one()
