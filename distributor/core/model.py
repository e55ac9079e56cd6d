"""The nouns of the trade, as frozen values.

Instants are timezone-aware datetimes in UTC unless a name says otherwise; a ``wall`` is a naive
datetime that only means something together with its IANA zone and fold.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from distributor.core.states import DeliveryState, HoldReason, VersionState, WaveState


class EmbargoState(StrEnum):
    """What a text says about its release time."""

    NONE = "none"
    IMMEDIATE = "immediate"
    EMBARGOED = "embargoed"
    UNCLEAR = "unclear"


class WaveKind(StrEnum):
    """What a wave is for."""

    GENERAL = "general"
    ADVANCE = "advance"
    CORRECTION = "correction"
    WITHDRAWAL = "withdrawal"
    FOLLOW_UP = "follow-up"
    RESEND = "resend"


Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a reader noticed in its input. Bad input is a value, never an exception.

    ``line`` counts from 1 in the text as given; None when the finding concerns all of it.
    """

    code: str
    severity: Severity
    message: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class WallTime:
    """A local time as people say it: naive ``wall`` + IANA ``zone`` + ``fold`` (PEP 495)."""

    wall: datetime
    zone: str
    fold: Literal[0, 1] = 0


@dataclass(frozen=True, slots=True)
class Embargo:
    """Instant before which recipients may not publish, with the evidence for reading it so.

    ``at`` is set exactly when ``state`` is ``embargoed``; ``text`` is the wording as typed;
    each doubt is one sentence a person can answer. ``readings`` of an unclear one are spelled as
    it would be stated, each as far as it was read (``2026-12-01 HH:MM Europe/London``).
    """

    state: EmbargoState = EmbargoState.NONE
    at: datetime | None = None
    local: WallTime | None = None
    text: str | None = None
    doubts: tuple[str, ...] = ()
    readings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Keep ``at`` in UTC and bound to ``state``."""
        if (self.at is not None) != (self.state is EmbargoState.EMBARGOED):
            msg = "an embargo has an instant exactly when it is embargoed"
            raise ValueError(msg)
        if self.at is not None and self.at.tzinfo is not UTC:
            msg = "an embargo's instant is in UTC"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class Dateline:
    """Where and when a release was issued, as its first line says."""

    place: str | None = None
    date: date | None = None


@dataclass(frozen=True, slots=True)
class PressContact:
    """Somebody journalists may ring: the release's contact, not a recipient.

    ``role`` is what else the text says of them: an office, a position, the hours.
    """

    name: str | None = None
    organisation: str | None = None
    phone: str | None = None
    phone_e164: str | None = None
    email: str | None = None
    role: str | None = None

    @property
    def belongs(self) -> str:
        """Role and organisation, as they stand behind the name."""
        return ", ".join(part for part in (self.role, self.organisation) if part)


@dataclass(frozen=True, slots=True)
class Boilerplate:
    """The standing paragraph "About X"."""

    text: str
    organisation: str | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """How a picture is shown in the mail: ``alt`` says what is to be seen, and is never empty.

    ``width`` and ``height`` are pixels; ``caption`` and ``credit`` stand in the text too.
    """

    alt: str
    width: int
    height: int
    caption: str = ""
    credit: str = ""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with a release; a ``picture`` when it is shown in the mail.

    Its octets are kept once under ``digest`` (SHA-256 in hex). ``name`` is shown and never opened;
    ``size`` is in octets.
    """

    digest: str
    name: str
    media_type: str
    size: int
    picture: Picture | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A release text taken apart. ``body`` is plain text, paragraphs separated by an empty line."""

    headline: str | None = None
    subheadline: str | None = None
    label: str | None = None
    language: str = "en"
    embargo: Embargo = field(default_factory=Embargo)
    dateline: Dateline | None = None
    body: str = ""
    quotes: tuple[str, ...] = ()
    end_marker: str | None = None
    contacts: tuple[PressContact, ...] = ()
    notes: tuple[str, ...] = ()
    boilerplate: tuple[Boilerplate, ...] = ()
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Sender:
    """Who a release's mail comes from and where replies go. ``address`` is ASCII."""

    name: str
    address: str
    reply_to: str | None = None
    organisation: str | None = None


class Recipient(NamedTuple):
    """What a sealed delivery knows of its journalist: the values of a message's slots.

    ``address`` is the address as it goes on the wire (domain in A-labels, RFC 5890); the other
    fields are shown to the journalist and may be empty.
    """

    address: str
    name: str = ""
    given_name: str = ""
    outlet: str = ""


class Outcome(StrEnum):
    """What one SMTP transaction came to (design section 6)."""

    ACCEPTED = "accepted"
    DEFERRED = "deferred"
    REFUSED = "refused"
    UNCERTAIN = "uncertain"
    NOT_SENT = "not sent"


@dataclass(frozen=True, slots=True)
class Sequel:
    """What a version is to the one before it: a correction, a withdrawal or a follow-up.

    ``base_id`` is the version it speaks of, ``base_on`` the day that one went out (the desk's).
    """

    kind: WaveKind
    reason: str
    base_id: int
    base_on: date


@dataclass(frozen=True, slots=True)
class Version:
    """One immutable edition of a release, as stored. ``number`` counts from 1 in its release."""

    id: int
    release_id: int
    number: int
    state: VersionState
    draft: Draft
    source: str
    sender: Sender
    created_at: datetime
    approved_at: datetime | None = None
    seal: str | None = None
    sequel: Sequel | None = None

    @property
    def ref(self) -> str:
        """The name people call the release by."""
        return reference(self.release_id)


@dataclass(frozen=True, slots=True)
class AudienceRule:
    """Who a wave is for: members of ``lists`` but not of ``exclude`` (ids of lists).

    ``had``: also everybody who may have an earlier version of the release, wherever they are on
    lists today. ``again``: also those whose delivery of this very version stands in these states.
    """

    lists: tuple[int, ...]
    exclude: tuple[int, ...] = ()
    had: bool = False
    again: tuple[DeliveryState, ...] = ()


@dataclass(frozen=True, slots=True)
class Wave:
    """One timed distribution of one version to one audience, as stored.

    ``before_lift``: it leaves under the embargo, to people who accepted its terms and have an
    earlier version already.
    """

    id: int
    release_id: int
    version_id: int
    kind: WaveKind
    state: WaveState
    send_at: datetime
    audience: AudienceRule
    reason: HoldReason | None = None
    resume_to: WaveState | None = None
    held_at: datetime | None = None
    waived: frozenset[str] = frozenset()
    prepared_by: str | None = None
    recipients: int | None = None
    exclusions: int | None = None
    audience_hash: str | None = None
    sealed_at: datetime | None = None
    first_mail_at: datetime | None = None
    finished_at: datetime | None = None
    embargo_at: datetime | None = None
    before_lift: bool = False

    @property
    def ref(self) -> str:
        """The release's name."""
        return reference(self.release_id)


@dataclass(frozen=True, slots=True)
class Claim:
    """A batch in a worker's hands. Results count only while the row still holds ``token``."""

    batch_id: int
    wave: Wave
    token: int


class Delivery(NamedTuple):
    """One version to one recipient, as a worker needs it."""

    id: int
    wave_id: int
    reference: str
    recipient: Recipient
    address_key: str
    compiled_id: int
    attempts: int
    dated_at: datetime
    thread: str | None = None


def reference(release_id: int) -> str:
    """``7`` -> ``R-7``."""
    return f"R-{release_id}"


def release_id(ref: str) -> int | None:
    """``R-7`` or ``r-7`` -> ``7``; None for anything else."""
    letter, dash, number = ref.strip().partition("-")
    if letter.upper() == "R" and dash and number.isascii() and number.isdecimal():
        return int(number)
    return None
