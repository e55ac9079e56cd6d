"""Orders about what has gone out already: correct it, follow it up, withdraw it, send it again.

What must not leave any more is stopped first, in the transaction of the order. The mail about it is
a version of its own: a correction waits for its approval as any text does; a withdrawal, which says
nothing but the reason given, is approved by the order itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from distributor.core.approval import seal_of
from distributor.core.audience import Exclusion, exclusion
from distributor.core.header import check_text
from distributor.core.letter import message_name
from distributor.core.model import (
    AudienceRule,
    EmbargoState,
    Sequel,
    Version,
    Wave,
    WaveKind,
    reference,
)
from distributor.core.sequel import REPLACING
from distributor.core.states import DeliveryState, WaveState
from distributor.core.timing import describe, exact
from distributor.desk.releases import (
    agreed,
    approve_as,
    base_of,
    compiled_of,
    draft_version,
    embargo_words,
    record,
    require_standing,
    require_text,
    stated_sender,
)
from distributor.desk.waves import approved, has_begun, is_withdrawal, stopped, way_back
from distributor.errors import EmbargoUnclear, Refused
from distributor.mail.sequels import what_changed
from distributor.store import attachments, audiences, lists, releases, sequels, waves
from distributor.store.waves import Order

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime
    from pathlib import Path

    from sqlalchemy import Connection

    from distributor.core.changes import Change
    from distributor.core.model import Embargo
    from distributor.desk.releases import Reading
    from distributor.mail.stationery import Stationery
    from distributor.store.database import Database

#: States from which a delivery may be sent anew as a wave of its own (I4).
AGAIN = (DeliveryState.REFUSED, DeliveryState.EXPIRED)


@dataclass(frozen=True, slots=True)
class Text:
    """The new text of a correction or follow-up, and why; ``embargo`` and ``language`` if stated.

    ``kind`` is ``correction`` or ``follow-up``.
    """

    reading: Reading
    reason: str
    kind: WaveKind = WaveKind.CORRECTION
    embargo: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A new draft, what it changes, and the wave that was stopped for it, if one was going."""

    version: Version
    changes: tuple[Change, ...]
    stopped: Wave | None


@dataclass(frozen=True, slots=True)
class Audience:
    """A planned wave and who is on it as things stand: everybody left out by name.

    ``wave`` is None when there was nobody to plan for.
    """

    wave: Wave | None
    recipients: int = 0
    excluded: tuple[Exclusion, ...] = ()


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A release as withdrawn: what was stopped, and the mail about it."""

    ref: str
    stopped: Wave | None
    audience: Audience = field(default_factory=lambda: Audience(None))


class Sequels:
    """Carries out orders; every one writes its audit row in the same transaction."""

    def __init__(self, database: Database, templates: Stationery | Path, zone: str) -> None:
        """Work on this database; a day is a day in the desk's ``zone``."""
        self._database = database
        self._templates = templates
        self._zone = ZoneInfo(zone)

    def rewrite(self, ref: str, text: Text, *, by: str, now: datetime) -> Rewritten:
        """Stop what has not left, and store the new text as a draft that speaks of the old one.

        A follow-up stops nothing: the earlier text still holds.

        Raises:
            NotFound: No such release.
            Refused: Nothing of it has left, it has been withdrawn, the text is the same, has no
                headline or body, or would be embargoed although it is out.
            EmbargoUnclear: The text states another embargo than the release has.
            MessageError: A text cannot stand in a mail's header.

        """
        reason = _reason(text.reason)

        def work(tx: Connection) -> Rewritten:
            release_id = releases.find_release(tx, ref)
            require_standing(tx, release_id)
            base = _base(tx, release_id)
            draft = self._new(base, text, now)
            sequel = Sequel(text.kind, reason, base.id, self._day(tx, base, now))
            draft = replace(draft, sequel=sequel)
            changed = what_changed(draft, base)
            if not changed:
                msg = f"The text is the one that {base.ref} went out with: nothing is changed."
                raise Refused(msg, remedy="Nothing was stopped. Give the new text: --file FILE")
            order = Order(by, now)
            halted = _stop_all(tx, release_id, order, text.kind)
            stored = releases.add_draft(tx, draft, by=by)
            record(tx, stored, text.kind.value, by, now)
            return Rewritten(stored, changed, halted)

        return self._database.write(work).result()

    def _new(self, base: Version, text: Text, now: datetime) -> Version:
        draft = text.reading.draft
        draft = replace(
            draft,
            embargo=_embargo(base, text, now),
            language=text.language or base.draft.language,
            # A correction speaks of the words; the files that came with them still belong to it.
            attachments=base.draft.attachments,
        )
        require_text(draft)
        sender = stated_sender(draft, base.sender)
        return draft_version(base.release_id, draft, text.reading.source, sender, now)

    def _day(self, tx: Connection, base: Version, now: datetime) -> date:
        """The day on which a version went out, in the desk's zone."""
        begun = [
            wave.first_mail_at
            for wave in waves.of_release(tx, base.release_id)
            if wave.version_id == base.id and wave.first_mail_at is not None
        ]
        return min(begun, default=now).astimezone(self._zone).date()

    def schedule(self, ref: str, *, also: Sequence[str] = (), by: str, now: datetime) -> Audience:
        """Plan the wave of an approved sequel to exactly those who may have an earlier version.

        It leaves at once. Before the lift it goes by consent to those who have an advance copy
        (I10): a correction or withdrawal that waits for the lift comes too late for them. ``also``
        names lists whose members get it besides.

        Raises:
            NotFound: No such release or list.
            Refused: It is no sequel, is not approved, or nobody is left who would get it.

        """

        def foreseen(tx: Connection) -> Wave:
            version = approved(tx, ref)
            if version.sequel is None:
                msg = f"{version.ref} version {version.number} speaks of no earlier one."
                raise Refused(msg, remedy=f"Say to whom: release schedule {ref} --list NAME")
            rule = AudienceRule(tuple(lists.get(tx, name).id for name in also), had=True)
            wave = _planned(version, version.sequel.kind, rule, now)
            if wave.before_lift:
                _require_before_lift(tx, version, wave)
            return wave

        with self._database.read() as tx:
            wave = foreseen(tx)
            recipients, excluded = _who(tx, wave, now)
        if not recipients:
            msg = (
                f"Nobody would get it: whoever may have {wave.ref} has been told or is suppressed."
            )
            raise Refused(msg, remedy=f"Who has it: distributor log {wave.ref}")

        def work(tx: Connection) -> Wave:
            again = foreseen(tx)
            return replace(again, id=waves.plan(tx, again, Order(by, now)))

        return Audience(self._database.write(work).result(), recipients, excluded)

    def withdraw(self, ref: str, reason: str, *, by: str, now: datetime) -> Withdrawn:
        """Stop what has not left; then tell exactly those who may have it to disregard it ("kill").

        The order is the approval of the mail, which says nothing but the reason given. An order
        that was interrupted after the stop is carried on by giving it again.

        Raises:
            NotFound: No such release.
            Refused: It has been withdrawn already.
            MessageError: The reason cannot stand in a mail.
            TemplateError: The mail cannot be compiled; all is stopped, and nothing else done.

        """
        reason = _reason(reason)

        def stop(tx: Connection) -> tuple[str, Wave | None, Version | None]:
            release_id = releases.find_release(tx, ref)
            newest = releases.latest(tx, release_id)
            if is_withdrawal(newest):
                msg = f"{newest.ref} has been withdrawn already."
                raise Refused(msg, remedy=f"Who has been told: distributor log {newest.ref}")
            begun = sequels.newest_begun(tx, release_id)
            halted = _stop_all(tx, release_id, Order(by, now), WaveKind.WITHDRAWAL)
            releases.withdraw(tx, release_id, now)
            record(tx, newest, "withdrawn", by, now)
            base = None if begun is None else releases.version_of(tx, begun)
            if base is None:
                return newest.ref, halted, None
            sequel = Sequel(WaveKind.WITHDRAWAL, reason, base.id, self._day(tx, base, now))
            # Nothing of what is withdrawn is sent once more, and so none of its files.
            draft = replace(base.draft, attachments=())
            version = draft_version(release_id, draft, reason, base.sender, now)
            return newest.ref, halted, replace(version, sequel=sequel)

        name, halted, version = self._database.write(stop).result()
        if version is None:
            return Withdrawn(name, halted)
        return Withdrawn(name, halted, self._tell(version, by=by, now=now))

    def _tell(self, version: Version, *, by: str, now: datetime) -> Audience:
        with self._database.read() as tx:
            base = base_of(tx, version)
        octets_of = attachments.reader(self._database)
        compiled, _ = compiled_of(
            version, base, templates=self._templates, octets_of=octets_of, now=now
        )

        def work(tx: Connection) -> Wave:
            stored = releases.add_draft(tx, version, by=by)
            seal = seal_of(stored, [each.digest for each in compiled])
            done = approve_as(tx, stored, compiled, seal, Order(by, now))
            wave = _planned(done, WaveKind.WITHDRAWAL, AudienceRule((), had=True), now)
            return replace(wave, id=waves.plan(tx, wave, Order(by, now)))

        wave = self._database.write(work).result()
        with self._database.read() as tx:
            return Audience(wave, *_who(tx, wave, now))

    def resend(
        self, ref: str, states: Sequence[DeliveryState] = AGAIN, *, by: str, now: datetime
    ) -> Audience:
        """Plan a new wave of the newest version to those it was refused to or expired for (I4).

        Raises:
            NotFound: No such release.
            Refused: A wave is not over yet, the release is withdrawn or embargoed, a state is not
                one that can be sent again, or nobody is in it.

        """
        odd = [state for state in states if state not in AGAIN]
        if odd:
            msg = f"What is {odd[0]} is not sent again as a wave of its own."
            raise Refused(msg, remedy="Choose from: --state refused, --state expired")

        def foreseen(tx: Connection) -> Wave:
            version = approved(tx, ref)
            embargo = version.draft.embargo
            if embargo.at is not None and embargo.at > now and embargo.local is not None:
                until = describe(embargo.at, embargo.local.zone)
                msg = f"{version.ref} is embargoed until {until}."
                raise Refused(msg, remedy="Send it again after that.")
            rule = AudienceRule((), again=tuple(states))
            return _planned(version, WaveKind.RESEND, rule, now)

        with self._database.read() as tx:
            wave = foreseen(tx)
            recipients, excluded = _who(tx, wave, now)
        if not recipients:
            words = " or ".join(states)
            msg = f"Nobody would get it: of {wave.ref} no delivery is {words}"
            msg += " whose address may be written to and has not got it since."
            raise Refused(msg, remedy=f"Who has not got it: distributor log {wave.ref} --missed")

        def work(tx: Connection) -> Wave:
            again = foreseen(tx)
            return replace(again, id=waves.plan(tx, again, Order(by, now)))

        return Audience(self._database.write(work).result(), recipients, excluded)


def _planned(version: Version, kind: WaveKind, rule: AudienceRule, now: datetime) -> Wave:
    """A wave that leaves at once; a follow-up under embargo leaves at the lift."""
    embargo_at = version.draft.embargo.at
    standing = embargo_at is not None and embargo_at > now
    early = standing and kind in REPLACING
    return Wave(
        id=0,
        release_id=version.release_id,
        version_id=version.id,
        kind=kind,
        state=WaveState.PLANNED,
        send_at=embargo_at if embargo_at is not None and standing and not early else now,
        audience=rule,
        embargo_at=embargo_at,
        before_lift=early,
    )


def _require_before_lift(tx: Connection, version: Version, wave: Wave) -> None:
    if wave.audience.lists:
        msg = f"{version.ref} is embargoed: before the lift it goes to those alone who have it."
        raise Refused(msg, remedy="Leave out --also; send it to others at the lift.")
    name = message_name(wave.kind, before_lift=True)
    if all(item.template != name for item in releases.compiled_of(tx, version.id).values()):
        msg = f"{version.ref} version {version.number} was approved as one that leaves at its lift."
        raise Refused(msg, remedy=f"Order it again: distributor release correct {version.ref}")


def _who(tx: Connection, wave: Wave, now: datetime) -> tuple[int, tuple[Exclusion, ...]]:
    """How many get it as things stand now, and everybody who does not."""
    recipients, excluded = 0, list[Exclusion]()
    for candidate in audiences.candidates(tx, wave.audience, version_id=wave.version_id, now=now):
        found = exclusion(candidate, wave.kind, before_lift=wave.before_lift)
        if found is None:
            recipients += 1
        else:
            excluded.append(found)
    return recipients, tuple(excluded)


def _base(tx: Connection, release_id: int) -> Version:
    begun = sequels.newest_begun(tx, release_id)
    if begun is None:
        ref = reference(release_id)
        msg = f"Nothing of {ref} has left yet, so there is nobody to tell."
        wave = waves.pending_of(tx, release_id)
        first = f"{way_back(wave)}; then: " if wave is not None else ""
        raise Refused(msg, remedy=f"{first}distributor release edit {ref}")
    return releases.version_of(tx, begun)


def _stop_all(tx: Connection, release_id: int, order: Order, kind: WaveKind) -> Wave | None:
    """Stop whatever of a release has not left, or take back what has not begun; gives the wave.

    Raises:
        Refused: A follow-up must wait: what it follows is still going.

    """
    wave = waves.pending_of(tx, release_id)
    if wave is None:
        return None
    if kind not in REPLACING:
        msg = f"{wave.ref} is not over yet ({wave.state})."
        raise Refused(msg, remedy=way_back(wave))
    if has_begun(wave):
        return stopped(tx, wave, order)
    waves.discard(tx, wave, order)
    return waves.get(tx, wave.id)


def _reason(text: str) -> str:
    reason = " ".join(text.split(" ")).strip()
    check_text(reason, "reason")
    if not reason:
        raise Refused("A reason is needed.", remedy='Say why: --reason "A figure was wrong."')
    return reason


def _embargo(base: Version, text: Text, now: datetime) -> Embargo:
    """The embargo of the new text: its release's own, unless the order states another.

    New facts may have an embargo of their own, and have none when the earlier one is over.

    Raises:
        EmbargoUnclear: The text states another one, and the order does not.
        Refused: The release is out, so that it cannot be embargoed any more.

    """
    before, read = base.draft.embargo, text.reading.draft.embargo
    stands = before.at is not None and before.at > now
    new_facts = text.kind is WaveKind.FOLLOW_UP and not stands
    same = (read.state, read.at) == (before.state, before.at)
    # A wording that a person had to state once is unclear again when the text comes again.
    same = same or (read.state is EmbargoState.UNCLEAR and read.text == before.text)
    if text.embargo is not None:
        chosen = agreed(text.reading, text.embargo, now)
    elif new_facts:
        chosen = read
    elif same or read.state is EmbargoState.NONE:
        chosen = before
    elif stands and read.state is not EmbargoState.UNCLEAR:
        msg = f"The text says {embargo_words(read)}, but {base.ref} is embargoed"
        local = before.local
        choices = (f'--embargo "{exact(before.at, local.zone)}"',) if before.at and local else ()
        raise EmbargoUnclear(f"{msg} otherwise: they disagree.", choices=choices)
    else:
        chosen = read
    if chosen.at is not None and chosen.at > now and not stands and not new_facts:
        msg = f"{base.ref} is out: it cannot be embargoed any more."
        raise Refused(msg, remedy="Take the embargo out of the text, or state: --embargo immediate")
    return chosen
