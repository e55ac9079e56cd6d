"""One wave of ours between two runs of the anchor: for whoever makes the sender faster.

.venv/bin/python -m benchmarks.whole_path --mails 20000 [--connections 10] [--no-pipelining]
    [--runs 3] [--profile out.prof] [--anchor-mails N]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.anchor import Load, smtp_source
from benchmarks.office import START_S, Office, Sending, next_lift, sqlite_copy
from benchmarks.processes import Failed, LeftOut, say
from benchmarks.receivers import smtp_sink
from distributor.logs import set_up

if TYPE_CHECKING:
    from collections.abc import Sequence

CACHE = Path(tempfile.gettempdir()) / "distributor-bench"
#: Recipients sealed in a second at the very least: how far ahead the lift must lie.
_SEALED_PER_S = 12_000


def ours(
    folder: Path,
    url: str,
    mails: int,
    *,
    launcher: Sequence[str] = ("-m", "distributor"),
    **changes: Any,
) -> tuple[Sending, int]:
    """Send one wave from a database with so many contacts; also gives the size of a mail."""
    with Office(folder, url, changes, launcher) as office:
        ref = office.schedule(next_lift(START_S + mails / _SEALED_PER_S))
        office.seal()
        octets = len(office.app.review.preview(ref, None, now=office.now()).data)
        office.start()
        sending = office.measure(ref, within_s=900.0)
        office.stop()
        office.require_all_accepted(ref)
        return sending, octets


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mails", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=10)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--no-pipelining", action="store_true")
    parser.add_argument("--profile", type=Path, help="write cProfile's figures here")
    chosen = parser.parse_args()
    set_up("error", "text")
    launcher = ("-m", "distributor")
    if chosen.profile:
        launcher = ("-m", "benchmarks.profiled", str(chosen.profile.resolve()))
    octets = 9_000
    for _ in range(chosen.runs):
        with tempfile.TemporaryDirectory(prefix="bench-") as name:
            folder = Path(name)
            url = sqlite_copy(CACHE, folder, chosen.mails)
            with smtp_sink(folder, pipelining=not chosen.no_pipelining) as sink:
                sending, octets = ours(
                    folder,
                    url,
                    chosen.mails,
                    launcher=launcher,
                    relay__port=sink.port,
                    relay__connections=chosen.connections,
                )
                sink.require(chosen.mails)
            with smtp_sink(folder) as sink:
                anchor = smtp_source(folder, sink.port, Load(chosen.mails, octets))
                sink.require(chosen.mails)
        per_s = chosen.mails / anchor.wall_s
        say(
            f"ours {sending.per_s:7.0f}/s {sending.cpu_us:5.1f} µs CPU a mail, "
            f"{sending.rss_mb:.0f} MB; smtp-source {per_s:7.0f}/s "
            f"{anchor.cpu_s / chosen.mails * 1e6:5.1f} µs; ratio {sending.per_s / per_s:.2f} "
            f"({octets} octets)"
        )
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Failed, LeftOut) as error:
        sys.exit(str(error))
