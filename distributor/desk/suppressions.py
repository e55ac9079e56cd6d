"""Orders not to mail an address, and to mail it again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from distributor.core.address import visible
from distributor.core.contact import text_fault
from distributor.errors import InputError, NotFound, Refused
from distributor.intake.addresses import clean, stated_address
from distributor.store import audit, suppressions
from distributor.store.suppressions import NewSuppression, SuppressionReason

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from distributor.store.database import Database
    from distributor.store.suppressions import Suppression

#: Orders that the journalist gave: only the journalist may take them back (practice statement 46).
_THEIRS: Final = frozenset({SuppressionReason.OBJECTION, SuppressionReason.COMPLAINT})


@dataclass(frozen=True, slots=True)
class SuppressionOrder:
    """An order as a person states it. Without ``expires_at`` it stands for good."""

    address: str
    reason: str = SuppressionReason.PERSON.value
    evidence: str = ""
    expires_at: datetime | None = None

    def checked(self) -> NewSuppression:
        """The order in the store's terms.

        Raises:
            InputError: The address, the reason or the evidence cannot be taken.

        """
        try:
            reason = SuppressionReason(self.reason)
        except ValueError:
            choices = ", ".join(SuppressionReason)
            msg = f'There is no reason "{visible(self.reason)}".'
            raise InputError(msg, remedy=f"Reasons are: {choices}.") from None
        evidence = clean(self.evidence)
        fault = text_fault("evidence", evidence)
        if fault is not None:
            raise InputError(f"{fault[0].upper()}{fault[1:]}.")
        return NewSuppression(stated_address(self.address), reason, evidence, self.expires_at)


class Suppressions:
    """The suppressions' side of the desk."""

    def __init__(self, database: Database) -> None:
        """Work on this database."""
        self._database = database

    def every(self, *, now: datetime, ended: bool = False) -> list[Suppression]:
        """The orders that stand, newest first; with ``ended`` also those that no longer do."""
        with self._database.read() as tx:
            return suppressions.every(tx, now=now, ended=ended)

    def show(self, address: str) -> list[Suppression]:
        """Every order there ever was for an address, newest first.

        Raises:
            InputError: ``address`` is not one.

        """
        key = stated_address(address).key
        with self._database.read() as tx:
            return suppressions.of_address(tx, key)

    def add(
        self,
        order: SuppressionOrder,
        *,
        by: str,
        now: datetime,
    ) -> tuple[Suppression, bool]:
        """Suppress an address, of a contact or not; gives what stands and whether it is new.

        A weaker order leaves a stronger one as it is.

        Raises:
            InputError: The address, the reason or the evidence cannot be taken.
            Refused: Its time is over already.

        """
        wanted = order.checked()
        if wanted.expires_at is not None and wanted.expires_at <= now:
            raise Refused("A suppression cannot end in the past.")

        def work(tx: Connection) -> tuple[Suppression, bool]:
            id_, new = suppressions.add(tx, wanted, by=by, now=now)
            standing = suppressions.standing(tx, [wanted.address.key], now=now)
            if new:
                facts = {"reason": standing[wanted.address.key].reason.value}
                audit.record(tx, audit.Entry(now, by, "suppressed", f"suppression {id_}", facts))
            return standing[wanted.address.key], new

        return self._database.write(work).result()

    def remove(self, address: str, *, because: str = "", by: str, now: datetime) -> Suppression:
        """Lift the order on an address; gives it as it stood.

        Raises:
            InputError: ``address`` is not one.
            NotFound: None stands.
            Refused: The journalist gave it, and nothing is said of who took it back.

        """
        wanted = stated_address(address)

        def work(tx: Connection) -> Suppression:
            old = suppressions.standing(tx, [wanted.key], now=now).get(wanted.key)
            if old is None:
                msg = f"{visible(wanted.shown)} is not suppressed."
                raise NotFound(msg, remedy="distributor suppressions show")
            if old.reason in _THEIRS and not because.strip():
                raise Refused(
                    f"{visible(old.address)} was suppressed by the journalist ({old.reason}).",
                    remedy='State how they took it back: --because "asked again by mail, 3 May"',
                )
            suppressions.lift(tx, wanted.key, by=by, now=now)
            facts = {"reason": old.reason.value, "because": clean(because)}
            audit.record(tx, audit.Entry(now, by, "lifted", f"suppression {old.id}", facts))
            return old

        return self._database.write(work).result()
