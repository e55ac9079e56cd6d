"""Parcels: deliveries that wait, in one line, for whichever connection is free to carry them."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from distributor.core.final import FinalBytes
    from distributor.core.letter import Letter
    from distributor.core.model import Delivery
    from distributor.core.outcome import TransactionFacts
    from distributor.errors import MessageError
    from distributor.mail.transaction import Envelope
    from distributor.stages.dispatch.claims import Holding

#: How many parcels may wait while more are brought: as many as leave while a group is marked.
AHEAD = 100


@dataclass(slots=True, eq=False)
class Parcel:
    """One delivery on its way to a connection, with the letter its copy is made from.

    ``copy``, or the ``fault`` why there is none, is there when it was made beforehand.
    """

    holding: Holding
    delivery: Delivery
    letter: Letter
    copy: FinalBytes | None = None
    fault: MessageError | None = None

    def made(self) -> FinalBytes:
        """The recipient's copy, made now unless it is there.

        Raises:
            MessageError: It must not leave.

        """
        if self.copy is not None:
            return self.copy
        if self.fault is not None:
            raise self.fault
        delivery = self.delivery
        return self.letter.copy_for(
            delivery.recipient,
            reference=delivery.reference,
            date=delivery.dated_at,
            thread=delivery.thread,
        )


@dataclass(slots=True, eq=False)
class Load:
    """A parcel with its copy made, or why it cannot be; ``began`` is when it set out."""

    parcel: Parcel
    began: datetime
    content: Envelope | TransactionFacts


@dataclass(slots=True)
class Hand:
    """What a courier carries next on its connection: at most one load, mostly riding already."""

    load: Load | None = None

    def take(self) -> Load | None:
        """Empty the hand."""
        load, self.load = self.load, None
        return load


class Line:
    """The parcels that wait. Of every relay the couriers take from here."""

    def __init__(self) -> None:
        """Nobody waits yet."""
        self._parcels: deque[Parcel] = deque()
        self._brought = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._withdrawn: set[int] = set()

    def __bool__(self) -> bool:
        """Whether a parcel waits."""
        return bool(self._parcels)

    def add(self, parcels: Sequence[Parcel]) -> None:
        """Let parcels wait, in their order."""
        for token in {parcel.holding.claim.token for parcel in parcels}:
            self._withdrawn.discard(token)
        self._parcels.extend(parcels)
        self._tell()

    async def room(self, wait_s: float) -> bool:
        """Whether few enough parcels wait to bring more; waits so long for it."""
        if not self._room.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._room.wait()
        return self._room.is_set()

    async def wait(self, wait_s: float) -> None:
        """Return as soon as a parcel waits, or after so long."""
        if not self._parcels:
            self._brought.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._brought.wait()

    def pick(self, may: Callable[[Parcel], bool] | None = None) -> Parcel | None:
        """Take the first parcel, or the first that ``may`` go; None when there is none.

        What may not go stays where it is, and holds up nobody behind it.
        """
        if not self._parcels:
            return None
        at = 0
        if may is not None:
            at = next((at for at, parcel in enumerate(self._parcels) if may(parcel)), -1)
            if at < 0:
                return None
        if at == 0:
            parcel = self._parcels.popleft()
        else:
            parcel = self._parcels[at]
            del self._parcels[at]
        if len(self._parcels) <= AHEAD:
            self._room.set()
        return parcel

    def put_back(self, parcel: Parcel) -> None:
        """Let a parcel that was picked wait again, before all others."""
        self._parcels.appendleft(parcel)
        self._tell()

    def withdraw(self, holding: Holding) -> list[Delivery]:
        """Hand out again what waits of that claim; what is on the wire is finished.

        But a mail that rides waits too, for the answer to the one before it: its content stays.
        """
        self._withdrawn.add(holding.claim.token)
        waiting = list(self._parcels)
        self._parcels = deque(parcel for parcel in waiting if parcel.holding is not holding)
        self._tell()
        return [parcel.delivery for parcel in waiting if parcel.holding is holding]

    def is_withdrawn(self, holding: Holding) -> bool:
        """Whether that claim is being taken back."""
        return holding.claim.token in self._withdrawn

    def _tell(self) -> None:
        """Have whoever waits for parcels, or for room for them, look again."""
        if self._parcels:
            self._brought.set()
        if len(self._parcels) <= AHEAD:
            self._room.set()
        else:
            self._room.clear()
