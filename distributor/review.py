"""Read-only answers: releases, audiences, and who got what with which reply."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from distributor.core.address import key_of
from distributor.core.audience import ExclusionReason
from distributor.core.final import whole_of
from distributor.core.forecast import Forecast, forecast
from distributor.core.message import CompiledMessage
from distributor.core.model import Recipient, reference
from distributor.core.sequel import REPLACING
from distributor.core.states import DeliveryState, VersionState, WaveState
from distributor.errors import NotFound
from distributor.mail.compiling import (
    compile_message,
    decoded_parts,
    letter_of,
    release_line_of,
    subject_of,
)
from distributor.mail.preview import Preview, with_pictures
from distributor.mail.sequels import Message, messages
from distributor.store import (
    attachments,
    audit,
    contacts,
    deliverylog,
    lists,
    missing,
    relays,
    releases,
    trials,
    waves,
    workers,
)
from distributor.store.deliverylog import Attempt, Copy, Filter, Line, Member
from distributor.store.trials import Trial

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection

    from distributor.core.limits import Limits
    from distributor.core.message import ReleaseContent
    from distributor.core.model import Version, Wave, WaveKind
    from distributor.mail.stationery import Stationery
    from distributor.store.audit import Entry
    from distributor.store.database import Database

__all__ = [
    "Attempt",
    "Filter",
    "Line",
    "Member",
    "Missing",
    "Preview",
    "ReleaseView",
    "Review",
    "Trial",
    "WaveView",
]


@dataclass(frozen=True, slots=True)
class WaveView:
    """A wave with the numbers people ask for."""

    wave: Wave
    counts: dict[DeliveryState, int]
    lists: tuple[str, ...]
    exclude: tuple[str, ...]

    @property
    def unsettled(self) -> int:
        """Deliveries whose answer was lost and that nobody has decided."""
        return self.counts.get(DeliveryState.UNCERTAIN, 0)

    @property
    def settled(self) -> bool:
        """Whether nothing is on the wire: only then are the numbers exact."""
        moving = self.counts.get(DeliveryState.SENDING, 0)
        return not moving and self.wave.state is not WaveState.STOPPING

    @property
    def only_retries(self) -> bool:
        """Whether everybody has been tried and some wait for another try."""
        waiting = self.counts.get(DeliveryState.QUEUED, 0) + self.counts.get(
            DeliveryState.SENDING, 0
        )
        retries = self.counts.get(DeliveryState.DEFERRED, 0)
        return self.wave.state is WaveState.SENDING and not waiting and retries > 0

    @property
    def left(self) -> int:
        """Deliveries that have still to leave, once they are sealed."""
        open_states = (DeliveryState.QUEUED, DeliveryState.SENDING, DeliveryState.DEFERRED)
        return sum(self.counts.get(state, 0) for state in open_states)

    @property
    def over(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.wave.state in {WaveState.FINISHED, WaveState.CANCELLED}


@dataclass(frozen=True, slots=True)
class ReleaseView:
    """A release as it stands: its newest version, all its waves, and its test mails apart."""

    version: Version
    waves: tuple[WaveView, ...]
    trials: tuple[Trial, ...] = ()
    withdrawn: bool = False

    @property
    def state(self) -> str:
        """The release's own state: that of its newest wave, or else of its version."""
        if self.waves:
            newest = self.waves[-1].wave
            over = newest.state in {WaveState.CANCELLED, WaveState.FINISHED}
            # What was taken back before anybody was on it is as if it had never been scheduled.
            taken_back = newest.state is WaveState.CANCELLED and newest.recipients is None
            if not (over and self.version.state is VersionState.DRAFT) and not taken_back:
                return newest.state.value
        return self.version.state.value


@dataclass(frozen=True, slots=True)
class Missing:
    """Who has not got what was asked about: what the ``waves``, all sealed, were to bring.

    ``lines`` name each person once; ``arrived`` counts the addresses that have got some mail of
    these waves, ``left_out`` those that were excluded on purpose. ``kinds`` and ``outlet`` are what
    the question named, if anything.
    """

    release: ReleaseView
    waves: tuple[WaveView, ...]
    kinds: frozenset[WaveKind] = frozenset()
    outlet: str | None = None
    lines: tuple[Line, ...] = ()
    arrived: int = 0
    left_out: int = 0

    @property
    def untried(self) -> bool:
        """Whether no mail of these waves was tried yet, and all wait."""
        return all(
            view.wave.first_mail_at is None and set(view.counts) <= {DeliveryState.QUEUED}
            for view in self.waves
        )


#: Whose name stands in a preview that is for nobody in particular.
_SAMPLE_REFERENCE = "preview"
_SAMPLE = Copy(
    Recipient("jane.doe@herald.example", "Jane Doe", "Jane", "The Herald"),
    _SAMPLE_REFERENCE,
    None,
)


class Review:
    """Answers questions; changes nothing."""

    def __init__(
        self,
        database: Database,
        templates: Stationery | Path,
        limits: Mapping[str, Limits] | None = None,
    ) -> None:
        """Ask this database; drafts are previewed with these templates.

        ``limits`` are those of the relays, by name, in order of preference.
        """
        self._limits = limits or {}
        self._database = database
        self._templates = templates

    def releases(self) -> list[ReleaseView]:
        """Every release, newest first."""
        with self._database.read() as tx:
            names = {item.id: item.name for item in lists.every(tx)}
            return [
                ReleaseView(
                    version,
                    tuple(
                        _view(wave, waves.counts(tx, wave.id), names)
                        for wave in waves.of_release(tx, version.release_id)
                    ),
                )
                for version in releases.newest_versions(tx)
            ]

    def release(self, ref: str) -> ReleaseView:
        """One release.

        Raises:
            NotFound: There is none of that name.

        """
        with self._database.read() as tx:
            release_id = releases.find_release(tx, ref)
            names = {item.id: item.name for item in lists.every(tx)}
            views = tuple(
                _view(wave, waves.counts(tx, wave.id), names)
                for wave in waves.of_release(tx, release_id)
            )
            tested = tuple(trials.of_release(tx, release_id))
            withdrawn = releases.is_withdrawn(tx, release_id)
            return ReleaseView(releases.latest(tx, release_id), views, tested, withdrawn)

    def wave(self, wave_id: int) -> WaveView:
        """One wave with its numbers, all of one moment."""
        with self._database.read() as tx:
            names = {item.id: item.name for item in lists.every(tx)}
            return _view(waves.get(tx, wave_id), waves.counts(tx, wave_id), names)

    def forecast(self, left: int, *, start: datetime) -> Forecast | None:
        """When so many mails can have left at the earliest; None when no limit delays them."""
        with self._database.read() as tx:
            quotas = relays.quotas(tx, self._limits)
        return forecast(left, list(quotas.values()), start=start)

    def workers_alive(self, now: datetime, *, within_s: float) -> int:
        """How many workers have shown themselves lately."""
        with self._database.read() as tx:
            return workers.count_alive(tx, now - timedelta(seconds=within_s))

    def audit(self, ref: str | None) -> list[Entry]:
        """The newest audit rows, of one release when it is named.

        Raises:
            NotFound: There is no such release.

        """
        with self._database.read() as tx:
            subject = None
            if ref is not None:
                subject = f"release {reference(releases.find_release(tx, ref))}"
            return audit.entries(tx, subject=subject)

    def compiled(self, version: Version, key: int | None = None) -> CompiledMessage | None:
        """A message that approval stored: its own, or the one of that key; None for a draft."""
        with self._database.read() as tx:
            stored = releases.compiled_of(tx, version.id)
        if not stored:
            return None
        return CompiledMessage.from_json(stored[key if key in stored else min(stored)].content)

    def preview(self, ref: str, address: str | None, *, now: datetime) -> Preview:
        """The mail as it would leave: of the approved message, or of the draft as it stands.

        Without an address a made-up journalist stands in. Once the audience is sealed, an
        address's own delivery is shown: the very bytes, with the Message-ID of the log, but for
        the signature that a worker puts above them.

        Raises:
            NotFound: No such release, or no contact of that address.
            TemplateError: A draft's message cannot be compiled.

        """
        with self._database.read() as tx:
            version = releases.latest(tx, releases.find_release(tx, ref))
            copy = _SAMPLE if address is None else _copy(tx, version, address)
            base = (
                None if version.sequel is None else releases.version_of(tx, version.sequel.base_id)
            )
        octets_of = attachments.reader(self._database)
        compiled = self.compiled(version, copy.compiled_id)
        approved = compiled is not None
        own, *others = messages(version, base, now=now)
        if compiled is None:
            compiled = compile_message(
                own.content, kind=own.kind, templates=self._templates, octets_of=octets_of
            )
        letter = letter_of(compiled, version.sender, octets_of=octets_of)
        data = letter.copy_for(
            copy.recipient,
            reference=copy.reference,
            date=copy.dated_at or now,
            thread=copy.thread,
        )
        text, html = decoded_parts(data)
        return Preview(
            version.ref,
            whole_of(data),
            subject_of(data),
            text,
            html,
            approved,
            version,
            release_line_of(_content(compiled.kind, own, *others)).text,
            page=with_pictures(html, version, octets_of),
            attachments=version.draft.attachments,
        )

    def log(self, ref: str, wanted: Filter) -> Iterator[Line]:
        """One line per delivery of a release, oldest first, streamed.

        Raises:
            NotFound: There is no such release.

        """
        with self._database.read() as tx:
            release_id = releases.find_release(tx, ref)
            yield from deliverylog.lines(tx, release_id, wanted)

    def missing(
        self, ref: str, *, outlet: str | None = None, kinds: Collection[WaveKind] = ()
    ) -> Missing:
        """Who has not got a release; once it was corrected or withdrawn, what it then was.

        Who missed an earlier text has missed nothing that still holds; ``kinds`` of wave ask about
        the waves of these kinds all the same.

        Raises:
            NotFound: There is no such release.

        """
        release = self.release(ref)
        asked = _asked_about(release, kinds)
        keys = [view.wave.id for view in asked]
        with self._database.read() as tx:
            return Missing(
                release,
                asked,
                frozenset(kinds),
                outlet,
                tuple(missing.missing(tx, keys, outlet)),
                missing.count_arrived(tx, keys, outlet),
                missing.count_left_out(tx, keys),
            )

    def attempts(self, ref: str, address: str) -> list[tuple[Line, list[Attempt]]]:
        """Every delivery of a release to one address, with its attempts.

        Raises:
            NotFound: No such release, or it has no delivery to that address.

        """
        with self._database.read() as tx:
            found = deliverylog.of_address(tx, releases.find_release(tx, ref), address)
        if not found:
            msg = f"{ref} has no delivery to {address}."
            remedy = f"Why not? distributor release audience {ref}"
            raise NotFound(msg, remedy=remedy)
        return found

    def audience(
        self, ref: str, kinds: Collection[WaveKind] = ()
    ) -> tuple[WaveView | None, list[Member]]:
        """A release's newest sealed audience, everybody with the reason against them if any.

        Before them, who was left out of earlier waves, but for those who had it already. Of
        ``kinds`` of wave, if there are any, only.

        Raises:
            NotFound: There is no such release, or no wave of it is of these kinds.

        """
        release = self.release(ref)
        found = [view for view in release.waves if not kinds or view.wave.kind in kinds]
        if not found and kinds:
            named = " or ".join(sorted(kind.value for kind in kinds))
            msg = f"{ref} has no {named} wave."
            raise NotFound(msg, remedy=f"Its waves: distributor release show {ref}")
        if not found:
            return None, []
        *earlier, newest = found
        had = ExclusionReason.ALREADY_SENT.value
        before = self.excluded(view.wave for view in earlier)
        with self._database.read() as tx:
            members = deliverylog.audience(tx, newest.wave.id)
        return newest, [*(each for each in before if each.reason != had), *members]

    def excluded(self, asked: Iterable[Wave]) -> list[Member]:
        """Everybody whom these waves left out, with the reason, the oldest wave first."""
        keys = [wave.id for wave in asked]
        with self._database.read() as tx:
            return deliverylog.excluded(tx, keys)


def _asked_about(release: ReleaseView, kinds: Collection[WaveKind]) -> tuple[WaveView, ...]:
    """The sealed waves of these kinds; of none, those since the newest correction or withdrawal."""
    if kinds:
        found = [view for view in release.waves if view.wave.kind in kinds]
    else:
        # One that was taken back before its audience was sealed has replaced nothing.
        replacing = [
            view.wave.version_id
            for view in release.waves
            if view.wave.kind in REPLACING
            and (view.wave.sealed_at is not None or view.wave.state is not WaveState.CANCELLED)
        ]
        since = max(replacing, default=0)
        found = [view for view in release.waves if view.wave.version_id >= since]
    return tuple(view for view in found if view.wave.sealed_at is not None)


def _view(wave: Wave, counts: dict[DeliveryState, int], names: dict[int, str]) -> WaveView:
    return WaveView(
        wave,
        counts,
        tuple(names.get(item, f"(deleted list {item})") for item in wave.audience.lists),
        tuple(names.get(item, f"(deleted list {item})") for item in wave.audience.exclude),
    )


def _content(kind: str, *found: Message) -> ReleaseContent:
    """What a message of that kind was compiled from, of all that its version has."""
    return next((each.content for each in found if each.kind == kind), found[0].content)


def _copy(tx: Connection, version: Version, address: str) -> Copy:
    sealed = deliverylog.copy_of(tx, version.id, address)
    if sealed is not None:
        return sealed
    contact = contacts.by_key(tx, key_of(address))
    if contact is None:
        msg = f"There is no contact {address}."
        remedy = "Look for them: distributor contacts find WORD; or add them: "
        raise NotFound(msg, remedy=f"{remedy}distributor contacts add {address}")
    recipient = Recipient(
        contact.wire_address or contact.address,
        contact.name,
        contact.given_name,
        contact.outlet,
    )
    return Copy(recipient, _SAMPLE_REFERENCE, None)
