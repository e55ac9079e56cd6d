"""What every measurement shares: sizes, where templates lie, the servers that run throughout."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks import job, newsroom
from benchmarks.office import START_S, Office, Sending, import_people, next_lift, sqlite_copy
from benchmarks.processes import ROOT

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from benchmarks.postgresql import Cluster
    from benchmarks.receivers import Receiver

PEERS: Final = ROOT / "benchmarks" / "peers"
INSTALLED: Final = ROOT / "benchmarks" / ".peers"
#: Recipients sealed in a second at the very least: how far ahead the lift must lie.
_SEALED_PER_S: Final = 10_000
_TEMPLATE: Final = "template_of_all"


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured value; ``cpu_us`` a mail, ``beside`` the same run's own anchor."""

    value: float
    cpu_us: float | None = None
    beside: float | None = None
    notes: dict[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class Sizes:
    """Mails of one run: ours and the anchor, slow ones, and the release to a million."""

    mails: int = 50_000
    slow: int = 10_000
    small: int = 10_000
    million: int = 1_000_000


class Bench:
    """The material of one benchmark: templates, made once, and a PostgreSQL server if there."""

    def __init__(self, cache: Path, sizes: Sizes, cluster: Cluster | None) -> None:
        """Keep what is given; :meth:`prepare` makes the rest."""
        self.cache = cache
        self.sizes = sizes
        self.cluster = cluster
        self.octets = 0
        self._runs = 0

    def prepare(self) -> None:
        """Make the peers' templates from one of our own mails, whose size is everybody's."""
        material = self.cache / "material"
        material.mkdir(parents=True, exist_ok=True)
        count = self.sizes.mails
        person = list(newsroom.people(8, of=count))[7]
        with self.folder() as folder:
            url = sqlite_copy(self.cache, folder, count)
            with Office(folder, url, {}) as office:
                ref = office.schedule(next_lift(60))
                preview = office.app.review.preview(ref, person[1], now=office.now())
        job.write_material(material, preview, addressed_to=person)
        self.octets = len(preview.data)
        if self.cluster is not None:
            with self.folder() as folder:
                import_people(folder, self.cluster.create(_TEMPLATE), count)

    @contextmanager
    def folder(self) -> Generator[Path]:
        """A folder for one run."""
        with tempfile.TemporaryDirectory(prefix="bench-") as name:
            # Postfix's daemons and smtp-sink leave root behind, and still must get here.
            Path(name).chmod(0o755)
            yield Path(name)

    def ours(self, folder: Path, sink: Receiver, **changes: Any) -> Sending:
        """Our whole path on SQLite; afterwards database and sink both say that all arrived."""
        url = sqlite_copy(self.cache, folder, self.sizes.mails)
        sending = send_wave(folder, url, self.sizes.mails, relay__port=sink.port, **changes)
        sink.require(sending.mails)
        return sending

    def ours_on_postgresql(self, folder: Path, cluster: Cluster, sink: Receiver) -> Sending:
        """The same on PostgreSQL, in a database of the run's own."""
        self._runs += 1
        name = f"run_{self._runs}"
        try:
            url = cluster.create(name, template=_TEMPLATE)
            sending = send_wave(folder, url, self.sizes.mails, relay__port=sink.port)
        finally:
            cluster.drop(name)
        sink.require(sending.mails)
        return sending


def send_wave(
    folder: Path,
    url: str,
    mails: int,
    *,
    launcher: Sequence[str] = ("-m", "distributor"),
    **changes: Any,
) -> Sending:
    """Seal and send one wave to everybody of a database with so many contacts."""
    with Office(folder, url, changes, launcher) as office:
        ref = office.schedule(next_lift(START_S + mails / _SEALED_PER_S))
        office.seal()
        office.start()
        sending = office.measure(ref, within_s=1_200.0)
        office.stop()
        office.require_all_accepted(ref)
        return sending
