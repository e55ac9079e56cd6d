"""The nemesis and the people of a simulated run: what they do to it, and when.

Every method named after a happening carries it out.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from distributor.core.states import HoldReason, WaveState
from distributor.desk.releases import Changes
from distributor.desk.suppressions import SuppressionOrder
from distributor.desk.waves import Decision, Target
from distributor.errors import DistributorError
from tests.torture.judge import Span, sums_hold
from tests.torture.virtual import BEGIN
from tests.torture.world import BY, DATABASE, addresses, newcomer

if TYPE_CHECKING:
    from collections.abc import Callable

    from distributor.core.model import Wave
    from tests.torture.scenario import Happening
    from tests.torture.simulation import Run

#: Reasons for which a person lets a wave go on by name.
_WAIVED: Final = {HoldReason.LATE, HoldReason.ZONE, HoldReason.RESTORED}


class Nemesis:
    """What is done to one run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.scenario = run.scenario
        self.loop = run.loop
        self.hands = run.hands
        self.posts = run.posts
        self.template = run.template
        self.happened = run.happened
        self.history = run.history
        self.desk = run.desk
        self.now = run.now

    async def carry_out(self, happening: Happening) -> None:
        await asyncio.sleep(happening.at_s)
        name = "_".join(happening.what.split())
        if happening.what.startswith("clock "):
            name = "clock_set"
        await getattr(self, f"_{name}")(happening)
        assert await asyncio.to_thread(sums_hold, self._run.folder / DATABASE)

    # --- people ---------------------------------------------------------------------------------

    async def order(self, work: Callable[[], Any]) -> Any:
        """What a person orders; None when it is refused."""
        try:
            return await asyncio.to_thread(work)
        except DistributorError:
            return None

    async def mind_the_desk(self) -> None:
        """Lets go on what was held by itself; holds of people end with them."""
        while True:
            await asyncio.sleep(3.0)
            for room in self.scenario.rooms:
                await self.order(lambda ref=self.template.refs[room]: self._let_go(ref))

    def _let_go(self, ref: str) -> None:
        wave = self._wave(ref)
        reason = wave.reason if wave is not None and wave.state is WaveState.HELD else None
        if reason in {None, HoldReason.PERSON, HoldReason.CLOCK}:
            return
        waive = reason.value if reason in _WAIVED else None  # type: ignore[union-attr]
        self.desk.waves.resume(ref, waive=waive, by=BY, now=self.now())

    def _wave(self, ref: str) -> Wave | None:
        views = self.desk.review.release(ref).waves
        return views[-1].wave if views else None

    def _target(self, happening: Happening) -> tuple[str, str]:
        """The room and the release that something happens to."""
        rooms = sorted(self.scenario.rooms)
        room = rooms[int(happening.at_s * 1e5) % len(rooms)]
        return room, self.template.refs[room]

    def _somebody(self, happening: Happening) -> str:
        room, _ = self._target(happening)
        people = addresses(room, self.scenario.rooms[room])
        return people[int(happening.at_s * 1e4) % len(people)]

    async def _clock_set(self, happening: Happening) -> None:
        self.happened[happening.what] += 1
        self.hands.off_s += happening.value
        await asyncio.sleep(happening.lasts_s)
        self.hands.off_s -= happening.value

    async def _worker_killed(self, happening: Happening) -> None:
        self._run.kill(self.posts[happening.worker])

    async def _worker_ended(self, happening: Happening) -> None:
        self.happened["worker ended by SIGTERM"] += 1
        self._run.end(self.posts[happening.worker])

    async def _worker_frozen(self, happening: Happening) -> None:
        post = self.posts[happening.worker]
        life = post.life
        if life is None or life.database.dead or post.frozen:
            return
        past = happening.lasts_s > self.scenario.lease_s
        self.happened["worker frozen past its lease" if past else "worker frozen"] += 1
        post.frozen = True
        self.loop.freeze(life.name)
        await asyncio.sleep(happening.lasts_s)
        post.frozen = False
        if not life.database.dead:
            self.loop.thaw(life.name)

    async def _worker_cut_off_from_the_database(self, happening: Happening) -> None:
        self.happened[happening.what] += 1
        trouble = self.posts[happening.worker].trouble
        trouble.cut_off = True
        await asyncio.sleep(happening.lasts_s)
        trouble.cut_off = False

    async def _database_away(self, happening: Happening) -> None:
        await self._for_all(happening, "away")

    async def _database_full(self, happening: Happening) -> None:
        await self._for_all(happening, "full")

    async def _flight_log_full(self, happening: Happening) -> None:
        await self._for_all(happening, "disk_full")

    async def _for_all(self, happening: Happening, what: str) -> None:
        self.happened[happening.what] += 1
        for post in self.posts:
            setattr(post.trouble, what, True)
        await asyncio.sleep(happening.lasts_s)
        for post in self.posts:
            setattr(post.trouble, what, False)

    async def _server_away(self, happening: Happening) -> None:
        self.happened[happening.what] += 1
        await self._run.receiver.close()
        await asyncio.sleep(happening.lasts_s)
        await self._run.receiver.open()

    async def _hold(self, happening: Happening) -> None:
        _, ref = self._target(happening)
        hold = lambda: self.desk.waves.hold(ref, by=BY, now=self.now())  # noqa: E731
        if await self.order(hold) is None:
            return
        self.happened["hold"] += 1
        span = Span(self.loop.now_s)
        self.history.holds.setdefault(ref, []).append(span)
        await asyncio.sleep(happening.lasts_s)
        # Right before: from the commit on it may go.
        span.until_s = self.loop.now_s
        resume = lambda: self.desk.waves.resume(ref, waive=None, by=BY, now=self.now())  # noqa: E731
        if await self.order(resume) is not None:
            self.happened["resume"] += 1

    async def _cancel(self, happening: Happening) -> None:
        _, ref = self._target(happening)
        cancel = lambda: self.desk.waves.cancel(ref, by=BY, now=self.now())  # noqa: E731
        if await self.order(cancel) is not None:
            self.happened["cancel"] += 1
            self.history.holds.setdefault(ref, []).append(Span(self.loop.now_s))

    async def _embargo_moved(self, _: Happening) -> None:
        """Taken back, edited, approved and scheduled anew, for an earlier or a later time."""
        if "morning" not in self.scenario.rooms:
            return
        ref = self.template.refs["morning"]
        lift_s = float(round(self.loop.now_s) + self.scenario.dice.randint(4, 30))
        lift = f"{BEGIN + timedelta(seconds=lift_s):%Y-%m-%d %H:%M:%S} UTC"
        target = Target([f"morning-{self.scenario.rooms['morning']}"], at=None)

        def work() -> bool:
            self.desk.waves.unschedule(ref, by=BY, now=self.now())
            self.desk.releases.edit(ref, Changes(embargo=lift), by=BY, now=self.now())
            self.desk.releases.approve(ref, by=BY, now=self.now())
            self.desk.waves.schedule(ref, target, by=BY, now=self.now())
            return True

        if await self.order(work):
            self.happened["embargo moved"] += 1
            self.history.lifts[ref] = lift_s

    async def _objection(self, happening: Happening) -> None:
        order = SuppressionOrder(self._somebody(happening), evidence="rang us")
        add = lambda: self.desk.suppressions.add(order, by=BY, now=self.now())  # noqa: E731
        if await self.order(add) is not None:
            self.happened["objection"] += 1
            self.history.objected.setdefault(order.address, self.loop.now_s)

    async def _a_person_settles(self, happening: Happening) -> None:
        _, ref = self._target(happening)
        decision = list(Decision)[int(happening.at_s * 1000) % 3]

        def work() -> int:
            return self.desk.waves.settle(ref, None, decision, by=BY, now=self.now())

        if await self.order(work) is not None:
            self.happened[f"a person settles: {decision}"] += 1
            self.history.settled.add(decision.value)

    async def _somebody_joins(self, happening: Happening) -> None:
        room, ref = self._target(happening)
        who = newcomer(int(happening.at_s * 1000) % 5)
        name = f"{room}-{self.scenario.rooms[room]}"
        join = lambda: self.desk.lists.add(name, [who], by=BY, now=self.now())  # noqa: E731
        if await self.order(join):
            self.happened["somebody joins a list"] += 1
            self.history.changed(ref, self.loop.now_s, who, joins=True)

    async def _somebody_leaves(self, happening: Happening) -> None:
        room, ref = self._target(happening)
        who = self._somebody(happening)
        name = f"{room}-{self.scenario.rooms[room]}"
        leave = lambda: self.desk.lists.remove(name, [who], by=BY, now=self.now())  # noqa: E731
        if await self.order(leave):
            self.happened["somebody leaves a list"] += 1
            self.history.changed(ref, self.loop.now_s, who, joins=False)

    async def _somebody_moves(self, happening: Happening) -> None:
        _, ref = self._target(happening)
        who = self._somebody(happening)
        change = {"address": f"moved-{who}"}
        move = lambda: self.desk.contacts.edit(who, change, by=BY, now=self.now())  # noqa: E731
        if await self.order(move):
            self.happened["somebody's address changes"] += 1
            self.history.changed(ref, self.loop.now_s, who, joins=False)
            self.history.changed(ref, self.loop.now_s, f"moved-{who}", joins=True)
