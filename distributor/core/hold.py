"""Holds: what each reason means to a person, and the order that lets a wave go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from distributor.core.states import HoldReason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from distributor.core.model import Wave

#: A person lifts these only by saying what they waive.
WAIVED_BY_NAME: Final = frozenset({HoldReason.LATE, HoldReason.ZONE, HoldReason.RESTORED})

_MEANS: Final[Mapping[HoldReason, str]] = {
    HoldReason.PERSON: "by a person, whom the audit names",
    HoldReason.CLOCK: "the clocks disagree; it goes on by itself once they agree for a minute",
    HoldReason.LATE: "its first mail would have left too late to be news",
    HoldReason.REFUSED: "the mail server refuses the sender, the content or the quota",
    HoldReason.RESTORED: "this database was restored or copied",
    HoldReason.ZONE: "the rules of its time zone have changed since it was scheduled",
    HoldReason.EMPTY: "nobody would get it",
}


def hold_words(wave: Wave) -> str:
    """Why a held wave is held, for people; empty when it is not."""
    return f"{wave.reason}: {_MEANS[wave.reason]}" if wave.reason is not None else ""


def resume_order(wave: Wave) -> str:
    """The order that lets a held wave go on; for clocks, which none mends, the one that looks."""
    if wave.reason is HoldReason.CLOCK:
        return "distributor doctor"
    waive = f" --waive {wave.reason}" if wave.reason in WAIVED_BY_NAME else ""
    return f"distributor release resume {wave.ref}{waive}"


def going_on(wave: Wave) -> str:
    """What to do about a held wave: the order that lets it go on, and what to look at before."""
    order = resume_order(wave)
    if wave.reason is HoldReason.REFUSED:
        return f"Read the replies: distributor log {wave.ref} --missed; then: {order}"
    return order
