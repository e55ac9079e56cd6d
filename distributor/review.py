"""Read-only answers: releases, audiences, and who got what with which reply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from distributor.core.message import CompiledMessage
from distributor.core.states import VersionState, WaveState
from distributor.errors import NotFound
from distributor.store import deliverylog, lists, releases, waves

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from distributor.core.model import Version, Wave
    from distributor.core.states import DeliveryState
    from distributor.store.database import Database
    from distributor.store.deliverylog import Attempt, Filter, Line, Member


@dataclass(frozen=True, slots=True)
class WaveView:
    """A wave with the numbers people ask for."""

    wave: Wave
    counts: dict[DeliveryState, int]
    lists: tuple[str, ...]
    exclude: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReleaseView:
    """A release as it stands: its newest version and all its waves."""

    version: Version
    waves: tuple[WaveView, ...]

    @property
    def state(self) -> str:
        """The release's own state: that of its newest wave, or else of its version."""
        if self.waves:
            newest = self.waves[-1].wave
            over = newest.state in {WaveState.CANCELLED, WaveState.FINISHED}
            if not (over and self.version.state is VersionState.DRAFT):
                return newest.state.value
        return self.version.state.value


class Review:
    """Answers questions; changes nothing."""

    def __init__(self, database: Database) -> None:
        """Ask this database."""
        self._database = database

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
            return ReleaseView(releases.latest(tx, release_id), views)

    def compiled(self, version: Version) -> CompiledMessage | None:
        """The message that approval stored; None for a draft."""
        with self._database.read() as tx:
            stored = releases.compiled_of(tx, version.id)
        return next((CompiledMessage.from_json(item.content) for item in stored.values()), None)

    def log(self, ref: str, wanted: Filter) -> Iterator[Line]:
        """One line per delivery of a release, oldest first, streamed.

        Raises:
            NotFound: There is no such release.

        """
        with self._database.read() as tx:
            release_id = releases.find_release(tx, ref)
            yield from deliverylog.lines(tx, release_id, wanted)

    def changes(self, ref: str, since: datetime) -> list[Line]:
        """Deliveries whose state changed at or after an instant: what ``--follow`` shows."""
        with self._database.read() as tx:
            return deliverylog.changed_since(tx, releases.find_release(tx, ref), since)

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

    def audience(self, ref: str) -> tuple[WaveView | None, list[Member]]:
        """A release's sealed audience, everybody with the reason against them if there is one.

        Raises:
            NotFound: There is no such release.

        """
        view = self.release(ref)
        if not view.waves:
            return None, []
        newest = view.waves[-1]
        with self._database.read() as tx:
            return newest, deliverylog.audience(tx, newest.wave.id)

    def next_due(self, now: datetime) -> list[Wave]:
        """Waves still to come, the soonest first."""
        states = (WaveState.PLANNED, WaveState.PREPARING, WaveState.READY, WaveState.HELD)
        with self._database.read() as tx:
            found = waves.in_states(tx, states)
        return sorted(found, key=lambda wave: (wave.send_at < now, wave.send_at))


def _view(wave: Wave, counts: dict[DeliveryState, int], names: dict[int, str]) -> WaveView:
    return WaveView(
        wave,
        counts,
        tuple(names.get(item, f"(deleted list {item})") for item in wave.audience.lists),
        tuple(names.get(item, f"(deleted list {item})") for item in wave.audience.exclude),
    )
