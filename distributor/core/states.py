"""States of version, wave, batch and delivery, and the one table of legal moves.

Invariant: no state changes anywhere in the program by a move that is not listed here (I12).
Single moves are checked with :func:`check_move`; bulk updates take their ``WHERE state IN``
from :func:`sources`; the database's CHECK constraints are written from the same enums.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeVar

from distributor.errors import IllegalMove

if TYPE_CHECKING:
    from collections.abc import Mapping


class VersionState(StrEnum):
    """One immutable edition of a release."""

    DRAFT = "draft"
    APPROVED = "approved"
    SUPERSEDED = "superseded"


class WaveState(StrEnum):
    """One timed distribution of one version to one audience."""

    PLANNED = "planned"
    PREPARING = "preparing"
    READY = "ready"
    SENDING = "sending"
    FINISHED = "finished"
    HELD = "held"
    STOPPING = "stopping"
    CANCELLED = "cancelled"


class HoldReason(StrEnum):
    """Why a wave is held. Only a person lifts a hold, but for ``clock``, which lifts itself."""

    PERSON = "person"
    CLOCK = "clock"
    LATE = "late"
    REFUSED = "refused"
    RESTORED = "restored"
    ZONE = "zone"
    EMPTY = "empty"


class BatchState(StrEnum):
    """At most 200 deliveries: the unit of claiming."""

    READY = "ready"
    CLAIMED = "claimed"
    DONE = "done"
    CANCELLED = "cancelled"


class DeliveryState(StrEnum):
    """One version to one recipient."""

    QUEUED = "queued"
    SENDING = "sending"
    ACCEPTED = "accepted"
    DEFERRED = "deferred"
    REFUSED = "refused"
    UNCERTAIN = "uncertain"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    SUPPRESSED = "suppressed"
    QUARANTINED = "quarantined"
    ABANDONED = "abandoned"
    BOUNCED = "bounced"
    COMPLAINED = "complained"


S = TypeVar("S", VersionState, WaveState, BatchState, DeliveryState)

_V, _W, _B, _D = VersionState, WaveState, BatchState, DeliveryState

# One table for each kind of thing: words such as ``ready`` occur in several, and members of
# different StrEnums with the same value are equal.

VERSION_MOVES: Final[Mapping[VersionState, frozenset[VersionState]]] = {
    _V.DRAFT: frozenset({_V.APPROVED, _V.SUPERSEDED}),
    _V.APPROVED: frozenset({_V.SUPERSEDED}),
    _V.SUPERSEDED: frozenset(),
}

#: Before sending, rescheduling discards the sealed rows and plans anew.
WAVE_MOVES: Final[Mapping[WaveState, frozenset[WaveState]]] = {
    _W.PLANNED: frozenset({_W.PREPARING, _W.HELD, _W.STOPPING}),
    _W.PREPARING: frozenset({_W.READY, _W.PLANNED, _W.HELD, _W.STOPPING}),
    _W.READY: frozenset({_W.SENDING, _W.PLANNED, _W.HELD, _W.STOPPING}),
    _W.SENDING: frozenset({_W.FINISHED, _W.HELD, _W.STOPPING}),
    _W.HELD: frozenset({_W.PLANNED, _W.PREPARING, _W.READY, _W.SENDING, _W.STOPPING}),
    _W.STOPPING: frozenset({_W.CANCELLED}),
    # A person's later decision on an uncertain row may set a finished wave sending again.
    _W.FINISHED: frozenset({_W.SENDING}),
    _W.CANCELLED: frozenset(),
}

BATCH_MOVES: Final[Mapping[BatchState, frozenset[BatchState]]] = {
    _B.READY: frozenset({_B.CLAIMED, _B.CANCELLED}),
    _B.CLAIMED: frozenset({_B.DONE, _B.READY, _B.CANCELLED}),
    _B.DONE: frozenset(),
    _B.CANCELLED: frozenset(),
}

DELIVERY_MOVES: Final[Mapping[DeliveryState, frozenset[DeliveryState]]] = {
    _D.QUEUED: frozenset(
        {_D.SENDING, _D.CANCELLED, _D.SUPPRESSED, _D.EXPIRED, _D.QUARANTINED},
    ),
    _D.SENDING: frozenset(
        {
            _D.ACCEPTED,
            _D.DEFERRED,
            _D.REFUSED,
            _D.UNCERTAIN,
            # failed before the dot: nothing left, so it waits its turn again
            _D.QUEUED,
            # the gate was shut between the claim and MAIL
            _D.CANCELLED,
            _D.SUPPRESSED,
            _D.EXPIRED,
        },
    ),
    _D.DEFERRED: frozenset({_D.QUEUED, _D.EXPIRED, _D.CANCELLED, _D.SUPPRESSED}),
    _D.REFUSED: frozenset({_D.QUEUED}),
    _D.QUARANTINED: frozenset({_D.QUEUED}),
    _D.UNCERTAIN: frozenset({_D.ACCEPTED, _D.QUEUED, _D.ABANDONED, _D.BOUNCED}),
    _D.ACCEPTED: frozenset({_D.BOUNCED, _D.COMPLAINED}),
    _D.EXPIRED: frozenset(),
    _D.CANCELLED: frozenset(),
    _D.SUPPRESSED: frozenset(),
    _D.ABANDONED: frozenset(),
    _D.BOUNCED: frozenset(),
    _D.COMPLAINED: frozenset(),
}

#: Every legal move, by kind. A move that is not here cannot be written.
MOVES: Final[Mapping[type[StrEnum], Mapping[Any, frozenset[Any]]]] = {
    _V: VERSION_MOVES,
    _W: WAVE_MOVES,
    _B: BATCH_MOVES,
    _D: DELIVERY_MOVES,
}

#: I4: at most one delivery per version and address may stand in one of these.
LIVE: Final = frozenset({_D.QUEUED, _D.SENDING, _D.DEFERRED, _D.ACCEPTED, _D.UNCERTAIN})
#: Rows that still have something to do by themselves; a wave with none of them is finished.
OPEN: Final = frozenset({_D.QUEUED, _D.SENDING, _D.DEFERRED})
#: Waves whose rows may not leave yet but will, unless a person stops them.
PENDING: Final = frozenset({_W.PLANNED, _W.PREPARING, _W.READY, _W.SENDING, _W.HELD})
#: What a person may hold, and where the wave goes back to on resume.
HOLDABLE: Final = frozenset({_W.PLANNED, _W.PREPARING, _W.READY, _W.SENDING})


def is_legal(before: S, after: S) -> bool:
    """Whether the table lists the move ``before -> after``."""
    return after in _moves(before)[before]


def check_move(before: S, after: S) -> None:
    """Refuse a move that the table does not list.

    Raises:
        IllegalMove: ``before -> after`` is not in :data:`MOVES`.

    """
    if not is_legal(before, after):
        raise IllegalMove(before=before, after=after)


def sources(after: S) -> frozenset[S]:
    """Every state from which ``after`` may be reached: the WHERE of a bulk update."""
    return frozenset(before for before, targets in _moves(after).items() if after in targets)


def _moves(state: StrEnum) -> Mapping[Any, frozenset[Any]]:
    return MOVES[type(state)]
