"""Orders about a release's distribution: schedule, hold, resume, cancel, settle."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from distributor.core.audience import exclusion
from distributor.core.hold import WAIVED_BY_NAME, going_on
from distributor.core.model import (
    AudienceRule,
    EmbargoState,
    Version,
    Wave,
    WaveKind,
)
from distributor.core.states import (
    HOLDABLE,
    DeliveryState,
    HoldReason,
    VersionState,
    WaveState,
)
from distributor.core.timing import describe, parse_when
from distributor.errors import NotFound, Refused
from distributor.store import audiences, audit, lists, recovery, releases, sequels, settling, waves
from distributor.store.waves import Order

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from distributor.core.policy import SendingPolicy
    from distributor.installation import Installation
    from distributor.reconcile import Reconcile, Reconciled
    from distributor.store.database import Database


class Decision(StrEnum):
    """What a person decides about an uncertain delivery."""

    SENT = "sent"
    RESEND = "resend"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A wave as planned, and its audience as it stands today: it is sealed shortly before.

    ``had_before`` counts deliveries of earlier versions that may have arrived: whoever gets this
    one too gets the release twice, not marked as a correction.
    """

    wave: Wave
    recipients: int
    exclusions: int
    had_before: int = 0


@dataclass(frozen=True, slots=True)
class Target:
    """To whom and when: names of lists, and a time in words or None for the embargo's."""

    lists: Sequence[str]
    exclude: Sequence[str] = ()
    at: str | None = None
    zone: str | None = None


_DECIDED = {
    Decision.SENT: DeliveryState.ACCEPTED,
    Decision.RESEND: DeliveryState.QUEUED,
    Decision.NEVER: DeliveryState.ABANDONED,
}


class Waves:
    """Carries out orders; every one writes its audit row in the same transaction."""

    def __init__(
        self,
        database: Database,
        installation: Installation,
        policy: SendingPolicy,
        reconcile: Reconcile,
    ) -> None:
        """Work on this database; ``policy`` says for how long a wave may send."""
        self._database = database
        self._reconcile = reconcile
        self._policy = policy
        self._installation = installation

    def schedule(self, ref: str, target: Target, *, by: str, now: datetime) -> Scheduled:
        """Plan a general wave of the approved version.

        Raises:
            NotFound: No such release or list.
            Refused: It is not approved, scheduled already, nobody would get it, or the time is
                before the embargo or in the past.
            EmbargoUnclear: The time is not exact.

        """
        # Counted while others write: it takes seconds for a million. Sealing counts for good.
        with self._database.read() as tx:
            version, wave = _foreseen(tx, ref, target, now)
            recipients, excluded = count(tx, wave, now)
            if not recipients:
                raise _nobody(version, excluded)

        def work(tx: Connection) -> Scheduled:
            _, wave = _foreseen(tx, ref, target, now)
            wave_id = waves.plan(tx, wave, Order(by, now))
            had_before = waves.had_before(tx, wave)
            return Scheduled(replace(wave, id=wave_id), recipients, excluded.total(), had_before)

        return self._database.write(work).result()

    def unschedule(self, ref: str, *, by: str, now: datetime) -> Wave:
        """Take back a wave that has not begun; its sealed audience is discarded.

        Raises:
            NotFound: Nothing is scheduled.
            Refused: It is being sent already.

        """

        def work(tx: Connection) -> Wave:
            wave = _pending(tx, ref)
            if has_begun(wave):
                msg = f"{wave.ref} is being sent already."
                raise Refused(msg, remedy=way_back(wave))
            waves.discard(tx, wave, Order(by, now))
            return wave

        return self._database.write(work).result()

    def hold(self, ref: str, *, by: str, now: datetime) -> Wave:
        """Stop a wave for now. When this returns, no MAIL starts later than a second after (I7).

        Raises:
            NotFound: Nothing is scheduled.
            Refused: It is held or being cancelled already.

        """

        def work(tx: Connection) -> Wave:
            wave = _pending(tx, ref)
            if wave.reason is HoldReason.CLOCK:
                waves.take_over_hold(tx, wave, Order(by, now))
                return waves.get(tx, wave.id)
            if wave.state not in HOLDABLE:
                msg = f"{wave.ref} is {wave.state} already."
                remedy = f"Go on: distributor release resume {wave.ref}"
                if wave.state is WaveState.STOPPING:
                    remedy = f"Its numbers: distributor release show {wave.ref}"
                raise Refused(msg, remedy=remedy)
            waves.hold(tx, wave, HoldReason.PERSON, Order(by, now))
            return waves.get(tx, wave.id)

        return self._database.write(work).result()

    def resume(self, ref: str, *, waive: str | None, by: str, now: datetime) -> Wave:
        """Let a held wave go on.

        Holds for lateness, a changed zone and a restored copy ask to be waived by name.

        Raises:
            NotFound: Nothing is scheduled.
            Refused: It is not held, or its reason must be waived by name.

        """
        with self._database.read() as tx:
            reason = _held(tx, ref).reason
        if reason is HoldReason.RESTORED and waive == HoldReason.RESTORED:
            self._installation.confirm(by=by, now=now)

        def work(tx: Connection) -> Wave:
            wave = _held(tx, ref)
            _require_waived(wave, waive)
            self._require_time(wave, now)
            waves.resume(tx, wave, Order(by, now), waive=waive)
            return waves.get(tx, wave.id)

        return self._database.write(work).result()

    def _require_time(self, wave: Wave, now: datetime) -> None:
        """Refuse to set going what keeping would expire at once."""
        deadline = self._policy.deadline(wave.send_at, first_mail_at=wave.first_mail_at)
        if wave.first_mail_at is not None and now >= deadline:
            hours = self._policy.deadline_s / 3600
            msg = f"{wave.ref} is over: {hours:g} hours after its first mail nothing is sent."
            raise Refused(msg, remedy="The limit is sending.deadline_s in config.toml.")

    def cancel(self, ref: str, *, by: str, now: datetime) -> Wave:
        """Stop what has not left, for good. The numbers are exact once it is ``cancelled``.

        Raises:
            NotFound: Nothing is scheduled.

        """

        def work(tx: Connection) -> Wave:
            wave = _pending(tx, ref)
            order = Order(by, now)
            return stopped(tx, wave, order)

        return self._database.write(work).result()

    def settle(
        self,
        ref: str,
        address: str | None,
        decision: Decision,
        *,
        by: str,
        now: datetime,
    ) -> int:
        """Decide uncertain deliveries of a release: one address, or all for None; gives how many.

        Raises:
            NotFound: No such release, or nothing uncertain there.
            Refused: A cancelled wave would have to send again.

        """

        def work(tx: Connection) -> int:
            found = settling.uncertain(tx, releases.find_release(tx, ref), address)
            if not found:
                to = f" to {address}" if address else ""
                msg = f"{ref} has no uncertain delivery{to}."
                raise NotFound(msg, remedy=f"See what it has: distributor log {ref}")
            for wave_id, ids in found.items():
                if decision is Decision.RESEND:
                    self._require_time(waves.get(tx, wave_id), now)
                _decide(tx, waves.get(tx, wave_id), ids, decision, Order(by, now))
            return sum(len(ids) for ids in found.values())

        return self._database.write(work).result()

    def ask(self, ref: str, *, now: datetime) -> Reconciled:
        """Ask the mail servers' own records about a release's uncertain deliveries, now.

        Raises:
            NotFound: No such release, or nothing uncertain there.
            Refused: There is no command to ask with.

        """
        with self._database.read() as tx:
            found = settling.doubts(tx, release=releases.find_release(tx, ref))
        if not found:
            msg = f"{ref} has no uncertain delivery."
            raise NotFound(msg, remedy=f"See what it has: distributor log {ref}")
        if not any(self._reconcile.asks(doubt) for doubt in found):
            msg = "No command is set that asks the mail server's own record."
            remedy = "Set relay.reconcile in config.toml (docs/operating.md has an example), or "
            raise Refused(msg, remedy=f"{remedy}decide: distributor settle {ref} --all sent")
        return self._reconcile.settle(found, now=now)


def stopped(tx: Connection, wave: Wave, order: Order) -> Wave:
    """Stop for good what has not left of a wave; ``cancelled`` once no worker holds any of it."""
    if wave.state is not WaveState.STOPPING:
        waves.move(tx, wave, WaveState.STOPPING, order, action="cancel")
    waves.complete_stop(tx, waves.get(tx, wave.id), order)
    return waves.get(tx, wave.id)


def has_begun(wave: Wave) -> bool:
    """Whether some of it may have left, so that only stopping is possible, not taking back."""
    return wave.state is WaveState.STOPPING or WaveState.SENDING in {wave.state, wave.resume_to}


def way_back(wave: Wave) -> str:
    """What a person orders to be free of a wave that is not over."""
    if wave.state is WaveState.HELD:
        stop = "cancel" if has_begun(wave) else "unschedule"
        return f"To go on: {going_on(wave)}; or: distributor release {stop} {wave.ref}"
    if has_begun(wave):
        return f"Wait until it is over, or: distributor release cancel {wave.ref}"
    return f"First: distributor release unschedule {wave.ref}"


def _decide(tx: Connection, wave: Wave, ids: list[int], decision: Decision, order: Order) -> None:
    if decision is Decision.RESEND:
        if sequels.is_replaced(tx, wave.id):
            msg = f"{wave.ref} has been corrected or withdrawn: its old text is not sent any more."
            raise Refused(msg, remedy="Settle it as sent or never: the new one goes there too.")
        if wave.state in {WaveState.STOPPING, WaveState.CANCELLED}:
            msg = f"{wave.ref} was cancelled: nothing of it is sent any more."
            raise Refused(msg, remedy="Settle it as sent or never.")
        if wave.state is WaveState.FINISHED:
            waves.move(tx, wave, WaveState.SENDING, order, action="resend")
        recovery.requeue(tx, wave.id, ids, now=order.at)
    else:
        words = f"settled by {order.by}: {decision.value}"
        settling.decide(tx, ids, _DECIDED[decision], words=words, now=order.at)
    facts = {"wave": wave.id, "deliveries": ids, "decision": decision.value}
    audit.record(tx, audit.Entry(order.at, order.by, "settled", f"release {wave.ref}", facts))


def is_withdrawal(version: Version) -> bool:
    """Whether a version says nothing but that an earlier one is withdrawn."""
    return version.sequel is not None and version.sequel.kind is WaveKind.WITHDRAWAL


def approved(tx: Connection, ref: str) -> Version:
    """The newest version, approved, of a release that nothing is going on with.

    Raises:
        NotFound: No such release.
        Refused: It is not so.

    """
    number = releases.find_release(tx, ref)
    pending = waves.pending_of(tx, number)
    if pending is not None:
        msg = f"{pending.ref} is scheduled already ({pending.state})."
        raise Refused(msg, remedy=way_back(pending))
    version = releases.latest(tx, number)
    if releases.is_withdrawn(tx, number) and not is_withdrawal(version):
        msg = f"{version.ref} has been withdrawn, and nobody has been told yet."
        raise Refused(msg, remedy=f"Go on: distributor release withdraw {version.ref} --reason …")
    if version.state is not VersionState.APPROVED:
        msg = f"{version.ref} version {version.number} is a {version.state}, not approved."
        raise Refused(msg, remedy=f"First: distributor release approve {version.ref}")
    return version


def _approved(tx: Connection, ref: str) -> Version:
    version = approved(tx, ref)
    if is_withdrawal(version):
        msg = f"{version.ref} has been withdrawn: its text is not sent any more."
        tell = f"Tell those who have it: distributor release schedule {ref}"
        told = f"Who has been told: distributor log {ref}"
        raise Refused(msg, remedy=told if sequels.has_waves(tx, version.id) else tell)
    if version.sequel is not None and not sequels.has_waves(tx, version.id):
        msg = (
            f"{version.ref} version {version.number} is a {version.sequel.kind}: it goes first to "
        )
        msg += "those who have the earlier one."
        raise Refused(msg, remedy=f"First, without --list: distributor release schedule {ref}")
    if waves.has_general(tx, version.id):
        msg = f"{version.ref} version {version.number} has been sent."
        raise Refused(
            msg, remedy=f"A changed text is a new version: distributor release edit {version.ref}"
        )
    return version


def _send_at(version: Version, target: Target, now: datetime) -> datetime:
    embargo = version.draft.embargo
    if target.at is None:
        return _own_time(version, now)
    if target.at.strip().lower() == "now":
        at = now
    else:
        _, at = parse_when(target.at, zone=target.zone)
        if at < now:
            msg = f"{target.at} lies in the past."
            raise Refused(msg, remedy="State a later time, or --at now.")
    if embargo.at is not None and embargo.local is not None and at < embargo.at:
        until = describe(embargo.at, embargo.local.zone)
        msg = f"{version.ref} is embargoed until {until}: nothing leaves before that."
        raise Refused(msg, remedy="Leave out --at to send it at that very minute.")
    return at


def _own_time(version: Version, now: datetime) -> datetime:
    embargo = version.draft.embargo
    if embargo.at is not None and embargo.at > now:
        return embargo.at
    if embargo.state is EmbargoState.IMMEDIATE:
        return now
    passed = embargo.at is not None
    msg = f"{version.ref} has no embargo, so its time must be stated."
    if passed:
        msg = f"The embargo of {version.ref} has passed."
    remedy = 'Add --at now, or --at "2026-12-01 09:30" --zone Europe/London'
    raise Refused(msg, remedy=remedy)


def _foreseen(tx: Connection, ref: str, target: Target, now: datetime) -> tuple[Version, Wave]:
    """The approved version and the wave that the order would plan, as things stand now."""
    version = _approved(tx, ref)
    rule = AudienceRule(
        tuple(lists.get(tx, name).id for name in target.lists),
        tuple(lists.get(tx, name).id for name in target.exclude),
    )
    return version, _new_wave(version, rule, send_at=_send_at(version, target, now))


def _new_wave(version: Version, rule: AudienceRule, *, send_at: datetime) -> Wave:
    return Wave(
        id=0,
        release_id=version.release_id,
        version_id=version.id,
        kind=WaveKind.GENERAL,
        state=WaveState.PLANNED,
        send_at=send_at,
        audience=rule,
        embargo_at=version.draft.embargo.at,
    )


def count(tx: Connection, wave: Wave, now: datetime) -> tuple[int, Counter[str]]:
    """Recipients, and exclusions by their reasons, as they stand now."""
    recipients, excluded = 0, Counter[str]()
    for candidate in audiences.candidates(tx, wave.audience, version_id=wave.version_id, now=now):
        found = exclusion(candidate, wave.kind, before_lift=wave.before_lift)
        if found is None:
            recipients += 1
        else:
            excluded[found.reason.value] += 1
    return recipients, excluded


def _nobody(version: Version, excluded: Counter[str]) -> Refused:
    if excluded:
        total = sum(excluded.values())
        reasons = ", ".join(f"{number} {reason}" for reason, number in excluded.items())
        msg = (
            f"Nobody would get {version.ref}: all {total} on these lists are excluded ({reasons})."
        )
        return Refused(msg, remedy="Choose other lists, or see: distributor suppressions show")
    msg = f"Nobody would get {version.ref}: these lists are empty."
    return Refused(msg, remedy="Fill one: distributor contacts import FILE --list NAME")


def _pending(tx: Connection, ref: str) -> Wave:
    wave = waves.pending_of(tx, releases.find_release(tx, ref))
    if wave is None:
        msg = f"Nothing of {ref} is scheduled or being sent."
        raise NotFound(msg, remedy=f"distributor release show {ref}")
    return wave


def _held(tx: Connection, ref: str) -> Wave:
    wave = _pending(tx, ref)
    if wave.state is not WaveState.HELD:
        msg = f"{wave.ref} is {wave.state}, not held."
        raise Refused(msg, remedy=f"See it: distributor release show {wave.ref}")
    return wave


def _require_waived(wave: Wave, waive: str | None) -> None:
    if wave.reason is HoldReason.CLOCK:
        msg = f"{wave.ref} is held because clocks disagree; that lifts by itself."
        raise Refused(msg, remedy="distributor doctor shows the clocks.")
    if wave.reason in WAIVED_BY_NAME and waive != wave.reason:
        msg = f"{wave.ref} is held: {wave.reason}."
        raise Refused(msg, remedy=f"distributor release resume {wave.ref} --waive {wave.reason}")
    if waive is not None and waive != wave.reason:
        msg = f"{wave.ref} is held for another reason: {wave.reason}."
        raise Refused(msg, remedy=f"Go on: distributor release resume {wave.ref}")
