"""Recording: what transactions came to, written in groups behind the wire.

Nothing is ever dropped: while the database cannot be written, results wait in memory (and in
the flight log), and the bounded queue stops the connections by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from distributor.core.model import Outcome
from distributor.core.outcome import (
    FAULT_WINDOW,
    Blame,
    Judgement,
    Phase,
    TransactionFacts,
    judge,
    wave_fault,
)
from distributor.core.retry import outcome_state
from distributor.core.states import DeliveryState, HoldReason
from distributor.errors import StoreError
from distributor.stages.dispatch.claims import commit
from distributor.store import deliveries, results, waves
from distributor.store.results import Result

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from distributor.core.model import Delivery
    from distributor.core.policy import SendingPolicy
    from distributor.stages.dispatch.claims import Claims, Holding
    from distributor.store.database import Database

log = structlog.get_logger(__name__)

#: A group is written after so many results, or so many seconds after its first.
GROUP = 200
GROUP_WAIT_S = 0.2
#: Connections wait while so many results are not yet written.
UNSAVED_LIMIT = 2_000
#: Pause before a failed write is tried again, in seconds.
_RETRY_S = 1.0
#: A mail cut off so often between MAIL and the dot under one claim is put off like a deferred
#: one: something about it may be what breaks the connection, and the others want to go.
CUT_OFF_LIMIT = 3


def _may_be_a_fault(facts: TransactionFacts) -> bool:
    """Only a refusal can make a wave's fault of what was none before it."""
    return facts.code is not None and facts.code // 100 == 5  # noqa: PLR2004


@dataclass(slots=True, eq=False)
class Return:
    """One delivery back from the wire."""

    holding: Holding
    delivery: Delivery
    started_at: datetime
    ended_at: datetime
    facts: TransactionFacts
    judgement: Judgement
    put_off: bool = False

    @property
    def reached_wire(self) -> bool:
        """Whether a MAIL was written: only then was it an attempt.

        Before it stand the gate, and the flight log that cannot be written (no code).
        """
        facts = self.facts
        stopped = facts.shut is not None or (facts.local and facts.code is None)
        return facts.phase is not Phase.CONNECT and not (facts.phase is Phase.MAIL and stopped)

    @property
    def waits_again(self) -> bool:
        """Whether its row is queued again."""
        return self.judgement.outcome is Outcome.NOT_SENT and not self.put_off


def _was_cut_off(facts: TransactionFacts, judgement: Judgement) -> bool:
    """Whether a mail that was not sent failed on its way to the dot by nobody's decision."""
    begun = facts.phase not in {Phase.CONNECT, Phase.MAIL}
    ours = facts.shut is not None or facts.local
    return begun and not ours and judgement.blame is Blame.NONE


def result_of(back: Return, *, worker: str, relay: str, policy: SendingPolicy) -> Result:
    """The row to write for one transaction."""
    facts, judgement, wave = back.facts, back.judgement, back.holding.wave
    state, due_at = outcome_state(
        Outcome.DEFERRED if back.put_off else judgement.outcome,
        attempts=back.delivery.attempts + 1,
        now=back.ended_at,
        deadline=policy.deadline(wave.send_at, first_mail_at=wave.first_mail_at),
        retry=policy.retry,
    )
    return Result(
        delivery_id=back.delivery.id,
        token=back.holding.claim.token,
        worker=worker,
        started_at=back.started_at,
        ended_at=back.ended_at,
        outcome=judgement.outcome,
        state=state,
        phase=facts.phase.value,
        code=facts.code,
        enhanced=facts.enhanced,
        reply=facts.reply or None,
        relay=relay,
        due_at=due_at,
    )


class Recorder:
    """Takes returns from the connections and writes them."""

    def __init__(
        self,
        database: Database,
        claims: Claims,
        policy: SendingPolicy,
        *,
        worker: str,
        relay: str,
    ) -> None:
        """Begin with nothing to write."""
        self._database = database
        self._claims = claims
        self._policy = policy
        self._worker = worker
        self._relay = relay
        self._returns: list[Return] = []
        self._arrived = asyncio.Event()
        self._is_full = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._finishing = False
        self._codes: dict[int, deque[int | None]] = {}

    @property
    def has_room(self) -> bool:
        """Whether another return may be taken: not while too many are unsaved."""
        return self._room.is_set()

    async def room(self) -> None:
        """Wait until there is."""
        await self._room.wait()

    def take(
        self,
        holding: Holding,
        delivery: Delivery,
        facts: TransactionFacts,
        *,
        began: datetime,
        ended: datetime,
    ) -> Judgement:
        """Keep one return for writing. Whoever brings it has asked for room before its MAIL."""
        judgement = judge(facts)
        put_off = False
        if judgement.outcome is Outcome.NOT_SENT and _was_cut_off(facts, judgement):
            holding.cut_off[delivery.id] += 1
            put_off = holding.cut_off[delivery.id] >= CUT_OFF_LIMIT
        self._returns.append(Return(holding, delivery, began, ended, facts, judgement, put_off))
        waiting = len(self._returns)
        if waiting == 1:
            self._arrived.set()
        elif waiting == GROUP:
            self._is_full.set()
        elif waiting >= UNSAVED_LIMIT:
            self._room.clear()
        return judgement

    async def run(self) -> None:
        """Write groups until :meth:`finish`; everything taken before that is written."""
        while (group := await self._group()) is not None:
            await self._save(group)

    def finish(self) -> None:
        """Let :meth:`run` return once all is written."""
        self._finishing = True
        self._arrived.set()
        self._is_full.set()

    async def _group(self) -> list[Return] | None:
        """The next group; None at the end."""
        await self._arrived.wait()
        if len(self._returns) < GROUP and not self._finishing:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GROUP_WAIT_S):
                    await self._is_full.wait()
        group, self._returns = self._returns[:GROUP], self._returns[GROUP:]
        if not self._finishing:
            if not self._returns:
                self._arrived.clear()
            if len(self._returns) < GROUP:
                self._is_full.clear()
        return group or None

    async def _save(self, group: list[Return]) -> None:
        while True:
            try:
                late = await commit(self._database, lambda tx: self._write(tx, group))
            except StoreError as error:
                log.debug("Results not written yet", action="record_failed", reason=str(error))
                await asyncio.sleep(_RETRY_S)
            else:
                break
        if late:
            log.warning("Results came late", action="results_late", count=late)
        if len(self._returns) < UNSAVED_LIMIT:
            self._room.set()
        for back in group:
            back.holding.came_back(1, to_wait=back.waits_again)
        await self._look_for_faults(group)

    def _write(self, tx: Connection, group: list[Return]) -> int:
        on_wire = [back for back in group if back.reached_wire]
        told = [
            result_of(back, worker=self._worker, relay=self._relay, policy=self._policy)
            for back in on_wire
        ]
        late = results.record(tx, told)
        for back in group:
            if not back.reached_wire:
                deliveries.unmark(
                    tx,
                    back.holding.claim,
                    [back.delivery.id],
                    DeliveryState.QUEUED,
                    back.ended_at,
                )
        sent = (back.holding.wave for back in on_wire)
        for wave_id in {wave.id for wave in sent if wave.first_mail_at is None}:
            first = min(back.started_at for back in on_wire if back.holding.wave.id == wave_id)
            waves.note_first_mail(tx, wave_id, first)
        return late

    async def _look_for_faults(self, group: list[Return]) -> None:
        """Hold a wave whose sender, content or quota is refused rather than its recipients."""
        faulty: set[int] = set()
        for back in group:
            if not back.reached_wire:
                continue
            wave_id = back.holding.wave.id
            codes = self._codes.setdefault(wave_id, deque(maxlen=FAULT_WINDOW))
            codes.append(back.facts.code)
            if not _may_be_a_fault(back.facts):
                continue
            if back.judgement.blame is Blame.WAVE or wave_fault(list(codes)) is not None:
                codes.clear()
                faulty.add(wave_id)
        for wave_id in faulty:
            await self._claims.hold_wave(wave_id, HoldReason.REFUSED)
