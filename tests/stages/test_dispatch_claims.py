"""Claims: who gets a batch, what is marked, and what a lost answer of the database leaves."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from distributor.app import sending_policy
from distributor.core.states import DeliveryState, HoldReason
from distributor.errors import StoreError
from distributor.mail.sink import Sink
from distributor.stages.dispatch import claims as claims_module
from distributor.stages.dispatch.claims import Claims, UnknownClaim
from distributor.store import workers
from tests.builders import ORDER
from tests.flow.press import Press

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from distributor.core.model import Delivery
    from distributor.stages.dispatch.claims import Holding
    from distributor.store.database import Database


class Forgetful:
    """A database whose answer to one commit is lost on the way: it was carried out all the same."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.forgets = False

    def write(self, work: Callable[[Any], Any]) -> Future[Any]:
        done = self._database.write(work)
        if not self.forgets:
            return done
        self.forgets = False
        done.result()
        lost: Future[Any] = Future()
        lost.set_exception(StoreError("the connection was lost"))
        return lost

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


@pytest.fixture
def press(tmp_path: Path) -> Iterator[Press]:
    with Press(tmp_path, 2525, sending__lateness_limit_s=1) as press:
        yield press


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims_module, "RETRY_S", 0.01)


def claims_of(press: Press, database: object | None = None, worker: str = "w1") -> Claims:
    now = press.now()
    row = workers.Worker(worker, "here", "boot", 1, f"/nowhere/{worker}.flight", now, now)
    press.app.database.write(lambda tx: workers.add(tx, row)).result()
    return Claims(
        cast("Any", database or press.app.database),
        press.app.clock,
        sending_policy(press.app.settings),
        worker=worker,
    )


def test_a_wave_held_as_late_does_not_stand_in_the_way_of_the_next(press: Press) -> None:
    press.people(10)
    late = press.release()
    press.seal()
    time.sleep(1.2)
    ref = press.release()
    press.seal()

    async def story() -> None:
        holding = await claims_of(press).take()
        assert holding is not None
        assert holding.wave.ref == ref

    asyncio.run(story())
    assert press.view(late).wave.reason is HoldReason.LATE


def test_a_wave_past_its_deadline_is_not_taken(press: Press) -> None:
    press.wave(10)
    press.seal()
    claims = claims_of(press)
    policy = claims._policy
    object.__setattr__(policy, "deadline_s", 0.001)
    time.sleep(0.01)
    assert asyncio.run(claims.take()) is None


def test_two_workers_never_hold_the_same_batch(press: Press) -> None:
    press.wave(10)
    press.seal()
    first, second = claims_of(press), claims_of(press, worker="w2")

    async def story() -> None:
        held = await asyncio.gather(first.take(), second.take())
        assert [holding is not None for holding in held].count(True) == 1

    asyncio.run(story())


def test_a_claim_whose_answer_was_lost_calls_for_a_fresh_start(press: Press) -> None:
    press.wave(10)
    press.seal()
    database = Forgetful(press.app.database)
    claims = claims_of(press, database)

    async def story() -> None:
        await claims.renew()
        database.forgets = True
        with pytest.raises(StoreError):
            await claims.take()
        with pytest.raises(UnknownClaim):
            await claims.renew()

    asyncio.run(story())


def test_rows_marked_by_a_commit_whose_answer_was_lost_are_not_stranded(press: Press) -> None:
    ref = press.wave(80)
    press.seal()
    database = Forgetful(press.app.database)
    claims = claims_of(press, database)

    async def story() -> None:
        holding = await claims.take()
        assert holding is not None
        database.forgets = True
        with pytest.raises(StoreError):
            await claims.mark(holding)
        rest = await claims.mark(holding)
        assert len(rest) == 30
        await claims.take_back(holding, rest)
        assert press.counts(ref) == {"sending": 50, "queued": 30}
        await claims.give_back(holding)
        assert press.counts(ref) == {"queued": 80}
        again = await claims.take()
        assert again is not None
        assert len(await claims.mark(again)) == 50

    asyncio.run(story())


def test_a_claim_knows_whether_rows_of_it_wait(press: Press) -> None:
    press.wave(80)
    press.seal()
    claims = claims_of(press)

    async def story() -> None:
        holding = await claims.take()
        assert holding is not None
        first = await claims.mark(holding)
        assert (len(first), holding.waits) == (50, True)
        second = await claims.mark(holding)
        assert (len(second), holding.waits) == (30, False)
        await claims.take_back(holding, second[:1], DeliveryState.SUPPRESSED)
        assert not holding.waits
        await claims.take_back(holding, second[1:])
        assert holding.waits
        assert len(await claims.mark(holding)) == 29
        assert not holding.waits

    asyncio.run(story())


def test_no_group_is_asked_for_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    mark = Claims.mark

    async def counted(self: Claims, holding: Holding) -> list[Delivery]:
        group = await mark(self, holding)
        sizes.append(len(group))
        return group

    monkeypatch.setattr(Claims, "mark", counted)
    with Sink() as sink, Press(tmp_path, sink.port) as press:
        press.people(100)
        ref = press.release()

        async def story() -> None:
            async with press.working():
                assert await press.done(ref) == {"accepted": 100}

        asyncio.run(story())
    assert sizes == [50, 50]


def test_a_lease_that_somebody_else_took_is_known_at_the_next_renewal(press: Press) -> None:
    press.wave(10)
    press.seal()
    claims = claims_of(press)

    async def story() -> None:
        holding = await claims.take()
        assert holding is not None
        until = holding.leased_until_s
        await claims.renew()
        assert holding.leased_until_s > until
        assert not holding.lost
        from distributor.store import batches  # noqa: PLC0415

        press.app.database.write(
            lambda tx: batches.release_claims(tx, [holding.claim.batch_id], ORDER)
        ).result()
        await claims.renew()
        assert holding.lost
        assert await claims.mark(holding) == []

    asyncio.run(story())


def test_what_is_suppressed_after_the_claim_is_known_after_a_look(press: Press) -> None:
    from distributor.desk.suppressions import SuppressionOrder  # noqa: PLC0415

    press.wave(10)
    press.seal()
    claims = claims_of(press)

    async def story() -> None:
        holding = await claims.take()
        assert holding is not None
        group = await claims.mark(holding)
        await claims.look()
        assert not any(claims.is_suppressed(delivery) for delivery in group)
        order = SuppressionOrder(group[3].recipient.address)
        press.app.suppressions.add(order, by="tester", now=press.now() - timedelta(seconds=1))
        await claims.look()
        assert [delivery for delivery in group if claims.is_suppressed(delivery)] == [group[3]]

    asyncio.run(story())
