"""Test mails: one release's mail to one of the desk's own addresses, now, and what came of it.

The gate that every delivery is asked at is not asked here (I1 excepts test mails). In its place:
only addresses that the configuration lists; marked as a test in subject, text and HTML; while the
release is embargoed, only when ordered twice over; and a table of their own.

Invariant: no wave, batch, delivery or worker has to do with one; nothing here tries again.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, replace
from datetime import UTC
from typing import TYPE_CHECKING, Final

from distributor.core.address import key_of, visible
from distributor.core.letter import domain_of
from distributor.core.message import CompiledMessage
from distributor.core.model import EmbargoState, Outcome, Recipient
from distributor.core.outcome import judge
from distributor.core.timing import describe
from distributor.core.trial import mark_of, shut
from distributor.core.wording import direction
from distributor.desk.releases import base_of, embargo_words, orders_that_state
from distributor.errors import ConfigError, InputError, Refused, RelayError
from distributor.intake.addresses import stated_address
from distributor.mail.compiling import compile_message, letter_of, release_line_of
from distributor.mail.marking import Addressed, marked
from distributor.mail.sequels import messages
from distributor.mail.transaction import Envelope
from distributor.store import attachments, audit, contacts, relays, releases, suppressions, trials
from distributor.store.database import database_now
from distributor.store.trials import Answer, NewTrial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection

    from distributor.core.address import Address
    from distributor.core.final import FinalBytes
    from distributor.core.letter import Sign
    from distributor.core.model import Version
    from distributor.installation import Installation
    from distributor.mail.relay import Relay
    from distributor.mail.stationery import Stationery
    from distributor.store.database import Database

#: Octets of a test mail's reference: as long as a delivery's.
_REFERENCE: Final = 12


@dataclass(frozen=True, slots=True)
class Wanted:
    """A test mail as a person orders it.

    ``confirm_embargoed`` and the release's name typed once ``again`` are the two confirmations
    without which none leaves before the lift.
    """

    ref: str
    address: str
    confirm_embargoed: bool = False
    again: str | None = None


@dataclass(frozen=True, slots=True)
class Way:
    """How test mails leave: the mail servers in order, and the signature if there is one."""

    relays: Iterable[Relay]
    sign: Sign | None = None


@dataclass(frozen=True, slots=True)
class _Order:
    """A good order: what is to be shown, to whom, and whether before the lift."""

    version: Version
    base: Version | None
    compiled: CompiledMessage | None
    address: Address
    recipient: Recipient
    number: int
    embargoed: bool
    now: datetime


class Trials:
    """Carries out orders for test mails; each writes its audit row before anything leaves."""

    def __init__(
        self,
        database: Database,
        installation: Installation,
        templates: Stationery | Path,
        allowed: Sequence[str],
    ) -> None:
        """Work on this database; only the ``allowed`` addresses get anything."""
        self._database = database
        self._installation = installation
        self._templates = templates
        self._allowed = frozenset(key_of(address) for address in allowed if address)

    def send(self, wanted: Wanted, way: Callable[[], Way], *, by: str, now: datetime) -> Answer:
        """Send one test mail now, and write down what became of it.

        ``way`` is asked for once the order is found good.

        Raises:
            NotFound: There is no such release.
            Refused: The address is not one for tests, or suppressed; the embargo is unclear, or
                was not confirmed twice; the database is a copy.
            ConfigError: No test address is configured, or the signing key cannot be used.
            MessageError: The mail cannot be made.

        """
        order = self._order(wanted, now)
        through = way()
        reference = secrets.token_hex(_REFERENCE)
        data = self._mail(order, reference)
        if through.sign is not None:
            data = through.sign(data, at=order.now)
        trial = NewTrial(
            release_id=order.version.release_id,
            version_id=order.version.id,
            reference=reference,
            address=order.address.shown,
            address_key=order.address.key,
            embargoed=order.embargoed,
            ordered_at=order.now,
            ordered_by=by,
        )
        key = self._database.write(lambda tx: _noted(tx, order.version, trial)).result()
        envelope = Envelope("", order.recipient.address, data, "trial", reference=reference)
        answer = asyncio.run(self._carried(order, envelope, through.relays))
        self._database.write(lambda tx: trials.answer(tx, key, answer)).result()
        return answer

    def _order(self, wanted: Wanted, now: datetime) -> _Order:
        address = self._test_address(wanted.address)
        with self._database.read() as tx:
            version = releases.latest(tx, releases.find_release(tx, wanted.ref))
            # The earliest of the clocks there are (I2).
            now = min(now, database_now(tx, now).astimezone(UTC))
            base = base_of(tx, version)
            stored = releases.compiled_of(tx, version.id)
            recipient = _recipient(tx, address)
            number = len(trials.of_release(tx, version.release_id)) + 1
            self._require_sendable(tx, address, now)
        embargoed = _confirmed(version, wanted, now)
        compiled = [CompiledMessage.from_json(item.content) for item in stored.values()]
        message = next(iter(compiled), None)
        return _Order(version, base, message, address, recipient, number, embargoed, now)

    def _mail(self, order: _Order, reference: str) -> FinalBytes:
        """The mail as it would leave, of the approved message or of the draft, and its mark."""
        version, recipient, now = order.version, order.recipient, order.now
        own, *_ = messages(version, order.base, now=now)
        content = own.content
        octets_of = attachments.reader(self._database)
        compiled = order.compiled or compile_message(
            content, kind=own.kind, templates=self._templates, octets_of=octets_of
        )
        letter = letter_of(compiled, version.sender, octets_of=octets_of)
        copy = letter.copy_for(recipient, reference=reference, date=now)
        line = release_line_of(replace(content, lifted=not order.embargoed))
        mark = mark_of(
            line,
            number=order.number,
            language=content.language,
            direction=direction(content.language),
        )
        domain = domain_of(version.sender.address)
        return marked(copy, mark, Addressed(recipient, reference, domain, now))

    def _test_address(self, text: str) -> Address:
        if not self._allowed:
            msg = "desk.test_addresses is empty: test mails go only to addresses that it lists."
            remedy = 'Set it in config.toml: test_addresses = ["you@example.org"]'
            raise ConfigError(msg, remedy=remedy)
        try:
            address = stated_address(text)
        except InputError as error:
            raise Refused(str(error), remedy="Give one address: --to you@example.org") from error
        if address.key not in self._allowed:
            msg = f"{visible(text)} is not a test address, so no test mail goes there."
            remedy = (
                "Only what desk.test_addresses in config.toml lists gets one. What a journalist "
            )
            raise Refused(msg, remedy=f"{remedy}would get: distributor release preview REF --for …")
        if address.wire is None:
            msg = f"{visible(text)} cannot be written in plain ASCII before the @."
            raise Refused(msg, remedy="Use another test address.")
        return address

    def _require_sendable(self, tx: Connection, address: Address, now: datetime) -> None:
        if not self._installation.is_home(tx):
            msg = "This database was restored or copied: it sends nothing until a person confirms."
            remedy = "distributor doctor says more."
            raise Refused(msg, remedy=remedy)
        if suppressions.standing(tx, [address.key], now=now):
            msg = f"{address.shown} is suppressed: nothing may be mailed there."
            remedy = f"Why: distributor suppressions show {address.shown}"
            raise Refused(msg, remedy=remedy)

    async def _carried(self, order: _Order, envelope: Envelope, through: Iterable[Relay]) -> Answer:
        """Hand it to the first relay that takes it in hand and has room left today."""
        embargo_at = order.version.draft.embargo.at
        answer = Answer(Outcome.NOT_SENT, None, None, "there is no mail server", None)
        for relay in through:
            if not self._has_room(relay, order.now):
                answer = _not_sent(relay, "today's limit (relay.per_day) is used up")
                continue
            try:
                session = await relay.connect()
            except RelayError as error:
                answer = _not_sent(relay, f"{error} {error.remedy or ''}".strip(), error.code)
                continue
            # Not an address of its own, as a delivery has: a notice of failure is to be read by
            # people, not matched (statement 29).
            sender = relay.policy.return_path.address or order.version.sender.address
            facts = await session.send(
                envelope._replace(mail_from=sender),
                gate=lambda: shut(embargo_at, now=order.now, confirmed=order.embargoed),
                flight=_Unlogged(),
            )
            await session.quit()
            reply = facts.reply or facts.shut or ("the connection was lost" if facts.cut else "")
            outcome = judge(facts).outcome
            answer = Answer(outcome, facts.code, facts.enhanced, reply, relay.name)
            if outcome is not Outcome.NOT_SENT:
                break
        return answer

    def _has_room(self, relay: Relay, now: datetime) -> bool:
        """Whether the relay's day has room for one more; it counts as any mail does."""
        per_day = relay.policy.limits.per_day
        if not per_day:
            return True

        def work(tx: Connection) -> int:
            return relays.reserve(tx, relay.name, per_day=per_day, wanted=1, now=now)

        return self._database.write(work).result() > 0


class _Unlogged:
    """A flight without a log: the row in the database, written before, is all there is."""

    def started(self, *_: object, **__: object) -> None:
        """MAIL is about to be written."""

    def dotted(self, *_: object, **__: object) -> None:
        """The final dot is about to be written."""

    def answered(self, *_: object, **__: object) -> None:
        """The server answered."""

    def flush(self) -> None:
        """Nothing waits."""


def _not_sent(relay: Relay, why: str, code: int | None = None) -> Answer:
    return Answer(Outcome.NOT_SENT, code, None, why, relay.name)


def _noted(tx: Connection, version: Version, trial: NewTrial) -> int:
    key = trials.add(tx, trial)
    facts = {"trial": key, "version": version.number, "embargoed": trial.embargoed}
    subject = f"release {version.ref}"
    audit.record(tx, audit.Entry(trial.ordered_at, trial.ordered_by, "tested", subject, facts))
    return key


def _recipient(tx: Connection, address: Address) -> Recipient:
    """Whom the mail is made out to: by name where a contact has that address."""
    wire = address.wire or address.shown
    contact = contacts.by_key(tx, address.key)
    if contact is None:
        return Recipient(wire)
    return Recipient(wire, contact.name, contact.given_name, contact.outlet)


def _confirmed(version: Version, wanted: Wanted, now: datetime) -> bool:
    """Whether it leaves before the lift by two confirmations; False when it needs none.

    Raises:
        Refused: It needs them and has not both; or the embargo is unclear.

    """
    embargo, ref = version.draft.embargo, version.ref
    if embargo.state is EmbargoState.UNCLEAR:
        msg = f"The embargo of {ref} is unclear: {embargo_words(embargo)}."
        raise Refused(msg, remedy="\n".join(orders_that_state(version)))
    if wanted.again is not None and wanted.again.strip().upper() != ref:
        msg = f"“{visible(wanted.again)}” is not the name of the release, which is {ref}."
        raise Refused(msg, remedy=f"Nothing was sent. To confirm: --again {ref}")
    twice = wanted.confirm_embargoed and wanted.again is not None
    if shut(embargo.at, now=now, confirmed=False) is None:
        return False
    if not twice:
        until = describe(embargo.at, embargo.local.zone) if embargo.at and embargo.local else ""
        msg = f"{ref} is under embargo until {until}, and a test mail carries its words."
        order = f"distributor release test {ref} --to {wanted.address}"
        remedy = f"To send it all the same, say so twice: {order} --confirm-embargoed --again {ref}"
        raise Refused(msg, remedy=remedy)
    return True
