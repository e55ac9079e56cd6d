"""The rule of an audience: who is a recipient, who is not, and the one reason why.

Audience = recipients + exclusions. Every candidate (a member of one of the wave's lists) gets
exactly one answer, by the first rule below that applies.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from distributor.core.model import WaveKind

if TYPE_CHECKING:
    from distributor.core.model import Recipient


class ExclusionReason(StrEnum):
    """Why a candidate gets nothing, strongest first."""

    SUPPRESSED = "suppressed"
    EXCLUDED_LIST = "excluded list"
    NO_TERMS = "no embargo terms"
    ALREADY_SENT = "already sent"


class Candidate(NamedTuple):
    """Somebody a wave's rule names, with what the rules ask about them.

    ``contact_id`` is None when no contact has that address any more. ``thread`` holds the
    Message-IDs of their earlier mails, the oldest first; ``compiled_id`` is the message they get
    where the wave has not the same for all.

    ``suppression`` is the standing order's reason; ``excluded_by`` the name of a list the wave
    leaves out; ``has_version`` that a delivery of this very version to the address is live (I4).
    """

    contact_id: int | None
    address_key: str
    recipient: Recipient
    suppression: str | None = None
    excluded_by: str | None = None
    accepted_terms: bool = False
    has_version: bool = False
    compiled_id: int | None = None
    thread: str | None = None


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A candidate who gets nothing: the reason and what it rests on."""

    candidate: Candidate
    reason: ExclusionReason
    evidence: str


def exclusion(
    candidate: Candidate, kind: WaveKind, *, before_lift: bool = False
) -> Exclusion | None:
    """The first reason against mailing this candidate; None when they are a recipient.

    An objection beats every list (practice statement 48), and a correction too: who must be told
    all the same is rung. Whatever leaves before the lift goes only to people who accepted embargo
    terms (I10).
    """
    if candidate.suppression is not None:
        return Exclusion(candidate, ExclusionReason.SUPPRESSED, candidate.suppression)
    if candidate.excluded_by is not None:
        return Exclusion(
            candidate,
            ExclusionReason.EXCLUDED_LIST,
            f"on the list {candidate.excluded_by}",
        )
    if (before_lift or kind is WaveKind.ADVANCE) and not candidate.accepted_terms:
        return Exclusion(candidate, ExclusionReason.NO_TERMS, "no recorded acceptance")
    if candidate.has_version:
        return Exclusion(candidate, ExclusionReason.ALREADY_SENT, "has this version already")
    return None


class AudienceHash:
    """SHA-256 sums of the address keys added up modulo 2**256: what sealing binds (I3).

    Adding is order-free, so a million recipients are hashed in one pass over any page order.
    """

    def __init__(self) -> None:
        """Start with nobody."""
        self._sum = 0

    def add(self, *address_keys: str) -> None:
        """Count recipients in."""
        digests = (hashlib.sha256(key.encode()).digest() for key in address_keys)
        self._sum = (self._sum + sum(map(int.from_bytes, digests))) % (1 << 256)

    def hexdigest(self) -> str:
        """64 hexadecimal digits."""
        return f"{self._sum:064x}"
