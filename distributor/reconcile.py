"""Doubts settled by evidence: what a mail server's own record says of uncertain deliveries.

Invariant: only what the record says in so many words changes a row. What it does not know, or
what cannot be read, leaves the mail uncertain, for a person to decide.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from distributor.core.evidence import NOTHING, Answer, Verdict, weigh
from distributor.core.states import DeliveryState, WaveState
from distributor.errors import IllegalMove, InquiryFailed
from distributor.store import audit, recovery, sequels, settling, waves
from distributor.store.waves import Order

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from distributor.core.model import Wave
    from distributor.core.policy import SendingPolicy
    from distributor.mail.inquiry import Inquiry
    from distributor.store.database import Database
    from distributor.store.settling import Doubt

#: Mails asked for in one run of a command.
_AT_ONCE: Final = 200
_OVER: Final = frozenset({WaveState.STOPPING, WaveState.CANCELLED})


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What came of asking: how many were asked for, what was settled, and what failed.

    ``answered``: the relays whose record was asked and could be read. ``settled`` counts by the
    state taken; the rest stay uncertain. ``failures`` by relay.
    """

    asked: int
    answered: frozenset[str] = frozenset()
    settled: Mapping[DeliveryState, int] = field(default_factory=dict[DeliveryState, int])
    failures: Mapping[str, InquiryFailed] = field(default_factory=dict[str, InquiryFailed])


@dataclass(frozen=True, slots=True)
class _Found:
    """A doubt with the word that counts, and whose it is."""

    doubt: Doubt
    relay: str
    answer: Answer


class Reconcile:
    """Asks the records there are, and settles what they tell."""

    def __init__(
        self,
        database: Database,
        inquiries: Sequence[Inquiry],
        policy: SendingPolicy,
        *,
        relays: Collection[str],
    ) -> None:
        """``relays`` names every mail server in use, also those whose record cannot be asked."""
        self._database = database
        self._inquiries = {inquiry.relay: inquiry for inquiry in inquiries}
        self._policy = policy
        self._relays = frozenset(relays)

    @property
    def possible(self) -> bool:
        """Whether there is any record to ask."""
        return bool(self._inquiries)

    @property
    def given_up(self) -> bool:
        """Whether nothing is asked any more."""
        return any(inquiry.given_up for inquiry in self._inquiries.values())

    def give_up(self) -> None:
        """Ask nothing any more, and end what is being asked; from any thread."""
        for inquiry in self._inquiries.values():
            inquiry.give_up()

    def asks(self, doubt: Doubt) -> bool:
        """Whether anybody's record may tell of it."""
        return self.possible if doubt.relay is None else doubt.relay in self._inquiries

    def settle(self, doubts: Sequence[Doubt], *, now: datetime) -> Reconciled:
        """Ask about these and settle what is answered, wave by wave.

        Raises:
            StoreError: The database cannot be used.

        """
        doubts = [doubt for doubt in doubts if self.asks(doubt)]
        answers, failures = self._ask(doubts)
        by_wave: dict[int, list[_Found]] = defaultdict(list)
        for doubt in doubts:
            everybody = self._relays if doubt.relay is None else {doubt.relay}
            told = {relay: said.get(doubt.message_id, NOTHING) for relay, said in answers.items()}
            relay, answer = weigh(told, everybody)
            if answer.verdict is not Verdict.UNKNOWN:
                by_wave[doubt.wave_id].append(_Found(doubt, relay, answer))
        settled: dict[DeliveryState, int] = defaultdict(int)
        for wave_id, found in by_wave.items():
            for state, count in self._settle_wave(wave_id, found, now).items():
                settled[state] += count
        return Reconciled(len(doubts), frozenset(answers), dict(settled), failures)

    def _ask(
        self,
        doubts: Sequence[Doubt],
    ) -> tuple[dict[str, dict[str, Answer]], dict[str, InquiryFailed]]:
        answers: dict[str, dict[str, Answer]] = {}
        failures: dict[str, InquiryFailed] = {}
        for relay, inquiry in self._inquiries.items():
            ids = [doubt.message_id for doubt in doubts if doubt.relay in {relay, None}]
            if not ids:
                continue
            said: dict[str, Answer] = {}
            try:
                for start in range(0, len(ids), _AT_ONCE):
                    said |= inquiry.ask(ids[start : start + _AT_ONCE])
            except InquiryFailed as error:
                failures[relay] = error
            else:
                answers[relay] = said
        return answers, failures

    def _settle_wave(
        self,
        wave_id: int,
        found: Sequence[_Found],
        now: datetime,
    ) -> dict[DeliveryState, int]:
        def work(tx: Connection) -> dict[DeliveryState, int]:
            lasting = settling.lasting(tx, [each.doubt for each in found])
            wave = waves.get(tx, wave_id)
            groups: dict[tuple[str, Verdict, DeliveryState], list[_Found]] = defaultdict(list)
            replaced = sequels.is_replaced(tx, wave_id)
            for each in found:
                state = self._state(each, wave, now)
                if state is DeliveryState.QUEUED and replaced:
                    # Its text was corrected or withdrawn: it never goes.
                    state = DeliveryState.ABANDONED
                if state is not None and each.doubt.delivery_id in lasting:
                    groups[each.relay, each.answer.verdict, state].append(each)
            settled: dict[DeliveryState, int] = defaultdict(int)
            for (relay, verdict, state), group in groups.items():
                order = Order(f"reconcile {relay}", now)
                _settle(tx, waves.get(tx, wave_id), group, state, order)
                ids = [each.doubt.delivery_id for each in group]
                facts = {"wave": wave_id, "deliveries": ids, "decision": verdict.value}
                entry = audit.Entry(now, order.by, "settled", f"release {wave.ref}", facts)
                audit.record(tx, entry)
                settled[state] += len(group)
            return dict(settled)

        try:
            return self._database.write(work).result()
        except IllegalMove:
            # A person moved the wave meanwhile; the doubts are there for the next question.
            return {}

    def _state(self, found: _Found, wave: Wave, now: datetime) -> DeliveryState | None:
        """The state a verdict leads to; None to leave the doubt as it is.

        A mail that never arrived goes again, but only once by itself, not before a slow server
        has had its time, and not when its wave is over: then it never goes.
        """
        if found.answer.verdict is Verdict.ACCEPTED:
            return DeliveryState.ACCEPTED
        if found.answer.verdict is Verdict.REFUSED:
            return DeliveryState.ABANDONED
        if now < self.absent_from(found.doubt):
            return None
        deadline = self._policy.deadline(wave.send_at, first_mail_at=wave.first_mail_at)
        if wave.state in _OVER or now >= deadline:
            return DeliveryState.ABANDONED
        return DeliveryState.QUEUED if found.doubt.times == 1 else None

    def absent_from(self, doubt: Doubt) -> datetime:
        """From when on "never had it" is believed: a server may still be busy with a mail."""
        return doubt.since + timedelta(seconds=self._policy.retry.resend_after_s)


def _settle(
    tx: Connection,
    wave: Wave,
    group: Sequence[_Found],
    state: DeliveryState,
    order: Order,
) -> None:
    if state is DeliveryState.QUEUED:
        if wave.state is WaveState.FINISHED:
            waves.move(tx, wave, WaveState.SENDING, order, action="resend")
        recovery.requeue(tx, wave.id, [each.doubt.delivery_id for each in group], now=order.at)
        return
    for each in group:
        said = " ".join(word for word in (each.answer.verdict.value, each.answer.words) if word)
        words = f"{order.by}: {said}"
        settling.decide(tx, [each.doubt.delivery_id], state, words=words, now=order.at)
