"""Orders about a release's text: bring it in, edit it, approve it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from distributor.core.address import hidden_fault
from distributor.core.agreement import UNREAD, contradicts
from distributor.core.approval import seal_of
from distributor.core.header import constant_headers
from distributor.core.model import Embargo, EmbargoState, Finding, Version, reference
from distributor.core.parse import read_release, said_in
from distributor.core.size import SizeLimit
from distributor.core.states import VersionState
from distributor.core.timing import describe, exact, find_zone, parse_when
from distributor.desk.enclosing import attached, detached, keep, require_deliverable
from distributor.desk.waves import way_back
from distributor.errors import EmbargoUnclear, MessageError, Refused
from distributor.intake.addresses import read_address
from distributor.intake.phone import with_e164
from distributor.intake.text import decode, read_file
from distributor.mail.compiling import compile_message
from distributor.mail.sequels import messages
from distributor.store import attachments, audit, releases, sequels, waves
from distributor.store.audit import Order

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime
    from pathlib import Path

    from sqlalchemy import Connection

    from distributor.core.agreement import Said
    from distributor.core.enclosures import OctetsOf
    from distributor.core.message import CompiledMessage
    from distributor.core.model import Draft, Sender
    from distributor.intake.attachment import Brought
    from distributor.mail.stationery import Stationery
    from distributor.store.database import Database

#: RFC 2047: text in disguise. Ours is encoded when the mail is built, never before.
_ENCODED_WORD: Final = re.compile(r"=\?[^\s?]+\?[bq]\?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as it was read: taken apart, with what was noticed, and as it came.

    ``said`` is what it says of its embargo, be it enough for one or not.
    """

    draft: Draft
    findings: tuple[Finding, ...]
    source: str
    files: tuple[Brought, ...] = ()
    said: tuple[Said, ...] = ()


@dataclass(frozen=True, slots=True)
class Changes:
    """What an edit changes; None leaves a field as it is.

    ``detach`` are names of attachments to be taken out, before ``attach`` are put in.
    """

    embargo: str | None = None
    headline: str | None = None
    language: str | None = None
    sender_name: str | None = None
    reply_to: str | None = None
    attach: tuple[Brought, ...] = ()
    detach: tuple[str, ...] = ()


def read_text(path: Path, *, received: date, zone: str, language: str) -> Reading:
    """Read a plain-text release from a file, storing nothing.

    The desk's ``zone`` and ``language``, and the day it was ``received``, complete what the text
    leaves out.

    Raises:
        InputError: The file is empty, binary, too large or in no known encoding.

    """
    text, noticed = decode(read_file(path), name=path.name)
    draft, findings = read_release(text, received=received, zone=zone)
    draft = replace(with_e164(draft, zone), language=language)
    said = said_in(text, received=received, zone=zone)
    return Reading(draft, (*noticed, *findings), text, said=said)


def stated_embargo(text: str, *, now: datetime) -> Embargo:
    """The embargo a person states: ``none``, ``immediate`` or an exact time with its zone.

    Raises:
        EmbargoUnclear: The time is not exact.
        Refused: It lies in the past.

    """
    word = text.strip().lower()
    if word in {"none", "immediate"}:
        return Embargo(EmbargoState(word), text=text)
    local, at = parse_when(text, zone=None)
    if at <= now:
        msg = f"The embargo {describe(at, local.zone)} lies in the past."
        raise Refused(msg, remedy="State a later time, or --embargo immediate.")
    return Embargo(EmbargoState.EMBARGOED, at, local, text)


def embargo_words(embargo: Embargo) -> str:
    """The wording as typed, in quotation marks, on one line wherever it stood in the text."""
    return " … ".join(f"“{line}”" for line in (embargo.text or "").splitlines())


class Releases:
    """Carries out orders; every one writes its audit row in the same transaction."""

    def __init__(
        self,
        database: Database,
        templates: Stationery | Path,
        *,
        size_limit: SizeLimit | None = None,
        relays: Sequence[str] = (),
    ) -> None:
        """Work on this database, with these templates.

        A mail may be as large as ``size_limit`` and the mail servers of those names say.
        """
        self._database = database
        self._templates = templates
        self._size_limit = size_limit or SizeLimit()
        self._relays = tuple(relays)

    def bring_in(
        self,
        reading: Reading,
        *,
        sender: Sender,
        embargo: str | None,
        language: str | None,
        by: str,
        now: datetime,
    ) -> Version:
        """Store a text as the first draft of a new release.

        Raises:
            Refused: It has no headline or body; two files are the same or have the same name.
            EmbargoUnclear: The embargo stated is not exact, or contradicts the text's.
            MessageError: A text or an address cannot stand in a mail's header.

        """
        draft = reading.draft
        if embargo is not None:
            draft = replace(draft, embargo=agreed(reading, embargo, now))
        if language is not None:
            draft = replace(draft, language=language)
        require_text(draft)
        draft = attached(draft, reading.files)
        sender = stated_sender(draft, sender)

        def work(tx: Connection) -> Version:
            keep(tx, reading.files, now)
            release_id = releases.create_release(tx, now)
            version = draft_version(release_id, draft, reading.source, sender, now)
            stored = releases.add_draft(tx, version, by=by)
            record(tx, stored, "imported", by, now)
            return stored

        return self._database.write(work).result()

    def edit(self, ref: str, changes: Changes, *, by: str, now: datetime) -> Version:
        """Store the changed text as a new draft; it needs its own approval (I6).

        Raises:
            NotFound: No such release, or no attachment of that name.
            Refused: A wave of it is not over yet; it would have no headline; a file is there twice.
            EmbargoUnclear: The embargo stated is not exact.
            MessageError: A text or an address cannot stand in a mail's header.

        """

        def work(tx: Connection) -> Version:
            release_id = releases.find_release(tx, ref)
            wave = waves.pending_of(tx, release_id)
            if wave is not None:
                msg = f"{wave.ref} is scheduled ({wave.state}); its text is what was approved."
                raise Refused(msg, remedy=way_back(wave))
            require_standing(tx, release_id)
            before = releases.latest(tx, release_id)
            keep(tx, changes.attach, now)
            # What has gone out is told of by a sequel of its own, not by an edit of its text.
            sequel = None if sequels.has_waves(tx, before.id) else before.sequel
            changed = replace(_changed(before, changes, now), sequel=sequel)
            stored = releases.add_draft(tx, changed, by=by)
            record(tx, stored, "edited", by, now)
            return stored

        return self._database.write(work).result()

    def approve(self, ref: str, *, by: str, now: datetime) -> tuple[Version, CompiledMessage]:
        """Compile the newest draft and bind text and message under one seal.

        Raises:
            NotFound: No such release.
            Refused: It is approved already, its embargo is unclear, something is missing, or its
                mail would be larger than is taken.
            TemplateError: The message cannot be compiled. A template that decides by its recipient
                can: it is rendered for each, and the message's ``script.reasons`` say so.

        """
        with self._database.read() as tx:
            version = releases.latest(tx, releases.find_release(tx, ref))
            require_standing(tx, version.release_id)
            base = base_of(tx, version)
        _require_approvable(version, now)
        octets_of = attachments.reader(self._database)
        compiled, message = compiled_of(
            version, base, templates=self._templates, octets_of=octets_of, now=now
        )
        with self._database.read() as tx:
            require_deliverable(tx, message, self._size_limit, self._relays)
        seal = seal_of(version, [each.digest for each in compiled])

        def work(tx: Connection) -> Version:
            require_standing(tx, version.release_id)
            return approve_as(tx, version, compiled, seal, Order(by, now))

        return self._database.write(work).result(), message


def base_of(tx: Connection, version: Version) -> Version | None:
    """The earlier version that a version speaks of, if it does."""
    return None if version.sequel is None else releases.version_of(tx, version.sequel.base_id)


def compiled_of(
    version: Version,
    base: Version | None,
    *,
    templates: Stationery | Path,
    octets_of: OctetsOf,
    now: datetime,
) -> tuple[list[releases.Compiled], CompiledMessage]:
    """Every message of a version as approval stores it, and its own, which stands first.

    Raises:
        TemplateError: One of them cannot be compiled.

    """
    made = [
        (
            each.name,
            compile_message(each.content, kind=each.kind, templates=templates, octets_of=octets_of),
        )
        for each in messages(version, base, now=now)
    ]
    language = version.draft.language
    stored = [
        releases.Compiled(name, language, message.to_json(), message.digest)
        for name, message in made
    ]
    return stored, made[0][1]


def approve_as(
    tx: Connection, version: Version, compiled: list[releases.Compiled], seal: str, order: Order
) -> Version:
    """Bind a draft to its compiled messages under one seal, and say so in the audit."""
    releases.approve(tx, version, compiled, seal=seal, by=order.by, now=order.at)
    approved = releases.version_of(tx, version.id)
    record(tx, approved, "approved", order.by, order.at)
    return approved


def require_standing(tx: Connection, release_id: int) -> None:
    """Refuse an order about the text of a release that has been withdrawn.

    Raises:
        Refused: It has.

    """
    if releases.is_withdrawn(tx, release_id):
        msg = f"{reference(release_id)} has been withdrawn: its text is not sent any more."
        raise Refused(msg, remedy="A new text is a new release: distributor release import FILE")


def draft_version(
    release_id: int,
    draft: Draft,
    source: str,
    sender: Sender,
    now: datetime,
) -> Version:
    """A draft to be stored; its key and number come then."""
    return Version(
        id=0,
        release_id=release_id,
        number=0,
        state=VersionState.DRAFT,
        draft=draft,
        source=source,
        sender=sender,
        created_at=now,
    )


def _changed(version: Version, changes: Changes, now: datetime) -> Version:
    draft, sender = version.draft, version.sender
    if changes.embargo is not None:
        draft = replace(draft, embargo=stated_embargo(changes.embargo, now=now))
    if changes.headline is not None:
        draft = replace(draft, headline=changes.headline.strip() or None)
    if changes.language is not None:
        draft = replace(draft, language=changes.language)
    if changes.sender_name is not None:
        sender = replace(sender, name=changes.sender_name)
    if changes.reply_to is not None:
        sender = replace(sender, reply_to=changes.reply_to or None)
    require_text(draft)
    draft = attached(detached(draft, changes.detach), changes.attach)
    sender = stated_sender(draft, sender)
    return draft_version(version.release_id, draft, version.source, sender, now)


def agreed(reading: Reading, stated: str, now: datetime) -> Embargo:
    """The stated embargo, unless the text says another, be it only in part.

    Raises:
        EmbargoUnclear: The time stated is not exact, or the text says another one.
        Refused: It lies in the past.

    """
    embargo, read = stated_embargo(stated, now=now), reading.draft.embargo
    certain = read.state in {EmbargoState.EMBARGOED, EmbargoState.IMMEDIATE}
    differs = certain and (read.state, read.at) != (embargo.state, embargo.at)
    unlike = read.state is EmbargoState.UNCLEAR and contradicts(reading.said, embargo)
    if differs or unlike:
        msg = f"The text says {embargo_words(read)}, the order says “{stated}”: they disagree."
        spelled = tuple(f'--embargo "{each}"' for each in _spellings(read))
        raise EmbargoUnclear(msg, choices=(*spelled, "or take it out of the text"))
    return embargo


def overruled(version: Version, *, zone: str) -> str | None:
    """What the text says of its embargo, where the one that stands is another; None if it is not.

    A person may move an embargo by an edit; a slip of the hand must not pass unseen.
    """
    received = version.created_at.astimezone(find_zone(zone)).date()
    said = said_in(version.source, received=received, zone=zone)
    if version.draft.embargo.state is EmbargoState.UNCLEAR:
        return None
    if not contradicts(said, version.draft.embargo):
        return None
    read, _ = read_release(version.source, received=received, zone=zone)
    return embargo_words(read.embargo)


def _spellings(read: Embargo) -> tuple[str, ...]:
    """How the embargo of a text is stated, as far as it was read."""
    if read.state is EmbargoState.UNCLEAR:
        return read.readings or (UNREAD,)
    if read.at is None or read.local is None:
        return ("immediate",)
    return (exact(read.at, read.local.zone),)


def orders_that_state(version: Version) -> tuple[str, ...]:
    """The orders that settle an unclear embargo, ready to copy, one for each reading of it."""
    order = f"distributor release edit {version.ref} --embargo"
    return tuple(f'{order} "{each}"' for each in _spellings(version.draft.embargo))


def require_text(draft: Draft) -> None:
    """Refuse a text without headline or body."""
    for field, value in (("headline", draft.headline), ("body", draft.body)):
        if not value:
            msg = f"The text has no {field}."
            remedy = "See how it is read: distributor release read FILE"
            raise Refused(msg, remedy=remedy)


def stated_sender(draft: Draft, sender: Sender) -> Sender:
    """The sender with the reply address as it goes on the wire, fit for a header with this text.

    Asked at entry by the rule of the mail itself, so that nobody finds out at approval (practice
    statement 20, reliability rows 1 and 2).

    Raises:
        MessageError: The field and the reason are named.

    """
    if not sender.name.strip():
        raise MessageError("the sender's name is empty", remedy='Give one: --from "Press Office"')
    for field, value in (("headline", draft.headline or ""), ("sender's name", sender.name)):
        if _ENCODED_WORD.search(value):
            msg = f"the {field} holds an encoded word (=?…?=), which hides what it says"
            raise MessageError(msg, remedy=f"Write the {field} out.")
    fault = hidden_fault(sender.name)
    if fault is not None:
        raise MessageError(f"the sender's name {fault}", remedy="Take it out: --from NAME")
    if sender.reply_to:
        sender = replace(sender, reply_to=_reply_to(sender.reply_to))
    constant_headers(
        sender,
        subject=draft.headline or "",
        language=draft.language,
        content_type="text/plain",
    )
    return sender


def _reply_to(text: str) -> str:
    found = read_address(text)
    if not isinstance(found, Finding) and found.wire is not None:
        return found.wire
    why = found.message if isinstance(found, Finding) else f"{text} is not plain ASCII before the @"
    remedy = "Give one address: --reply-to press@example.org"
    raise MessageError(f"the reply-to address cannot be used: {why}", remedy=remedy)


def _require_approvable(version: Version, now: datetime) -> None:
    embargo = version.draft.embargo
    if version.state is not VersionState.DRAFT:
        msg = f"{version.ref} version {version.number} is {version.state} already."
        raise Refused(msg, remedy=f"Next: distributor release schedule {version.ref} --list NAME")
    if embargo.state is EmbargoState.UNCLEAR:
        doubts = " ".join(embargo.doubts)
        msg = f"The embargo of {version.ref} is unclear: {embargo_words(embargo)}. {doubts}"
        raise Refused(msg.strip(), remedy="\n".join(orders_that_state(version)))
    lifted = embargo.at is not None and embargo.at <= now
    # A sequel is about what has gone out: that its embargo has lifted is what it says.
    if lifted and version.sequel is None and embargo.at is not None and embargo.local is not None:
        msg = f"The embargo {describe(embargo.at, embargo.local.zone)} has passed."
        remedy = f"distributor release edit {version.ref} --embargo immediate"
        raise Refused(msg, remedy=remedy)


def record(tx: Connection, version: Version, action: str, by: str, now: datetime) -> None:
    """Write the audit row of an order about a version."""
    facts = {
        "version": version.number,
        "embargo": version.draft.embargo.state.value,
        "embargo_at": version.draft.embargo.at.isoformat() if version.draft.embargo.at else None,
        "seal": version.seal,
    }
    audit.record(tx, audit.Entry(now, by, action, f"release {version.ref}", facts))
