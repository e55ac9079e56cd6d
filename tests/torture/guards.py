"""Every place where the product is patched to take one of its guards away.

Only the torture does so, and only here. A guard that is not where it is looked for is an error:
a harness that patches nothing proves nothing.
"""

from __future__ import annotations

import inspect
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, is_dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select, update

from distributor.core import letter, message, outcome
from distributor.core.model import Outcome
from distributor.core.states import DeliveryState
from distributor.mail import flightlog, transaction
from distributor.store import batches, results, schema
from tests.torture.virtual import patched

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


class GuardNotFound(LookupError):
    """The product has moved; say here where the guard stands now."""


def _found(owner: Any, name: str, *parameters: str) -> Any:
    """The guard that stands there; it must take what we rely on."""
    there = getattr(owner, name, None)
    if there is None:
        raise GuardNotFound(f"{owner.__name__}.{name}")
    missing = set(parameters) - set(inspect.signature(there).parameters)
    if missing:
        raise GuardNotFound(f"{owner.__name__}.{name} takes no {', '.join(sorted(missing))}")
    return there


def _changed(value: Any, **fields: Any) -> Any:
    """The value with other fields, whatever kind of record it is."""
    known: Any = value
    return replace(known, **fields) if is_dataclass(value) else known._replace(**fields)


#: What went wrong inside the patches themselves: then nothing that was found counts.
BROKEN: Final[list[str]] = []


def _loud(name: str, instead: Any) -> Any:
    """Remember when a patch does not fit the product any more, whoever swallows its error."""

    def called(*args: Any, **kwargs: Any) -> Any:
        try:
            return instead(*args, **kwargs)
        except (TypeError, AttributeError, LookupError, NameError) as error:
            BROKEN.append(f"{name}: {error!r}")
            raise

    return called


def everywhere(owner: Any, name: str, instead: Any) -> list[tuple[Any, str, Any]]:
    """The change for each module of the product that knows that very thing by that name."""
    there = _found(owner, name)
    return [
        (module, name, instead)
        for known, module in list(sys.modules.items())
        if known.startswith("distributor") and getattr(module, name, None) is there
    ]


# --- the gate -------------------------------------------------------------------------------------


def _open(gate: Callable[[], Any]) -> Callable[[], Any]:
    """Ask the gate, and go on whatever it says."""

    def asked() -> None:
        gate()

    return asked


def _session(*, at_mail: bool) -> list[tuple[Any, str, Any]]:
    """Have a session ask only one of its two gates: the one before MAIL, or the one after 354."""
    send = _found(transaction.Session, "send", "envelope", "gate", "behind")
    carries = _found(transaction.Session, "carries", "envelope")

    async def sends(self: Any, envelope: Any, *, gate: Any, behind: Any = None, **more: Any) -> Any:
        asked = 1 if carries(self, envelope) else 0

        def ask() -> Any:
            nonlocal asked
            asked += 1
            is_at_mail = asked == 1
            said = gate()
            return None if is_at_mail == at_mail else said

        def follow() -> Any:
            follower = behind()
            return follower and (follower[0], _open(follower[1]))

        more["behind"] = follow if at_mail and behind is not None else behind
        return await send(self, envelope, gate=ask, **more)

    return [(transaction.Session, "send", sends)]


# --- claims and results ---------------------------------------------------------------------------


def _unconditional_claim() -> list[tuple[Any, str, Any]]:
    """A batch is whoever's took it last."""
    _found(batches, "take", "tx", "batch_id", "owner", "token", "until")
    _found(batches, "claimable")

    def take(tx: Any, batch_id: int, *, owner: str, token: int, until: Any, **_: Any) -> bool:
        table = schema.batches
        tx.execute(
            update(table)
            .where(table.c.id == batch_id)
            .values(state="claimed", owner=owner, token=token, lease_until=until)
        )
        return True

    return [(batches, "take", take)]


def _any_token() -> list[tuple[Any, str, Any]]:
    """Whoever comes back last has the word, whosever the row is by now."""
    record = _found(results, "record", "tx", "told")

    def recorded(tx: Any, told: Any, *args: Any, **more: Any) -> Any:
        table = schema.deliveries
        ids = [result.delivery_id for result in told]
        rows = tx.execute(
            select(table.c.id, table.c.token).where(
                table.c.id.in_(ids), table.c.state == DeliveryState.SENDING
            )
        )
        now = {row.id: row.token for row in rows}
        ours = [_changed(one, token=now.get(one.delivery_id, one.token)) for one in told]
        return record(tx, ours, *args, **more)

    return everywhere(results, "record", recorded)


# --- what is known ----------------------------------------------------------------------------


def _no_flight_log() -> list[tuple[Any, str, Any]]:
    """What is said to be noted is not."""
    log = flightlog.FlightLog

    def forgets(*_: Any, **__: Any) -> None:
        return None

    for name in ("started", "dotted", "answered"):
        _found(log, name, "delivery", "token")
    return [(log, name, forgets) for name in ("started", "dotted", "answered")]


def _only_250() -> list[tuple[Any, str, Any]]:
    """A mail is accepted by 250 alone; any other number refuses it (reliability finding 4)."""
    judge = _found(outcome, "judge", "facts")

    def judged(facts: Any) -> Any:
        judgement = judge(facts)
        if facts.dotted and facts.code not in {None, 250} and facts.code // 100 not in {4, 5}:
            return _changed(judgement, outcome=Outcome.REFUSED)
        return judgement

    return everywhere(outcome, "judge", judged)


# --- what was sealed ------------------------------------------------------------------------------


def _unsealed() -> list[tuple[Any, str, Any]]:
    """Who a mail goes to follows the list of contacts until the batch is claimed."""
    take = _found(batches, "take", "tx", "batch_id")

    def taken(tx: Any, batch_id: int, **more: Any) -> bool:
        rows, people = schema.deliveries, schema.contacts
        tx.execute(
            update(rows)
            .where(
                rows.c.batch_id == batch_id,
                rows.c.state == DeliveryState.QUEUED,
                rows.c.contact_id == people.c.id,
            )
            .values(address=people.c.address, address_key=people.c.address_key)
        )
        return bool(take(tx, batch_id, **more))

    return [(batches, "take", taken)]


def _unchecked() -> list[tuple[Any, str, Any]]:
    """The final bytes go as they are."""
    _found(letter, "check_final")
    return everywhere(message, "check_final", lambda *_, **__: None)


@dataclass(frozen=True)
class Guard:
    """One guard, the profile of runs in which it alone prevents harm, and how to take it away."""

    name: str
    profile: str
    without: Callable[[], list[tuple[Any, str, Any]]]


GUARDS: Final = (
    Guard("gate at MAIL", "holds", lambda: _session(at_mail=True)),
    Guard("gate after 354", "holds", lambda: _session(at_mail=False)),
    Guard("conditional claim", "claims", _unconditional_claim),
    Guard("token", "zombies", _any_token),
    Guard("flight log", "kills", _no_flight_log),
    Guard("first-digit rule", "digits", _only_250),
    Guard("sealing", "audience", _unsealed),
    Guard("final-bytes check", "bytes", _unchecked),
)


@contextmanager
def removed(name: str) -> Generator[None]:
    """Switch one guard off until left.

    Raises:
        GuardNotFound: It is not where it was.

    """
    (guard,) = (guard for guard in GUARDS if guard.name == name)
    changes = guard.without()
    if not changes:
        raise GuardNotFound(name)
    BROKEN.clear()
    loud = [(owner, what, _loud(f"{name}, {what}", instead)) for owner, what, instead in changes]
    with ExitStack() as stack:
        stack.enter_context(patched(*loud))
        yield
    if BROKEN:
        raise GuardNotFound(BROKEN[0])
