"""One wave of ours between two runs of the anchor: for whoever makes the sender faster.

.venv/bin/python -m benchmarks.whole_path --mails 20000 [--connections 10] [--no-pipelining]
    [--runs 3] [--profile out.prof]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.anchor import Load, smtp_source
from benchmarks.bench import send_wave
from benchmarks.office import sqlite_copy
from benchmarks.processes import Failed, LeftOut, say
from benchmarks.receivers import smtp_sink
from distributor.logs import set_up

CACHE = Path(tempfile.gettempdir()) / "distributor-bench"
#: Octets of one mail of ours, as the newsroom writes it.
_OCTETS = 9_245


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
    for _ in range(chosen.runs):
        with tempfile.TemporaryDirectory(prefix="bench-") as name:
            folder = Path(name)
            url = sqlite_copy(CACHE, folder, chosen.mails)
            with smtp_sink(folder, pipelining=not chosen.no_pipelining) as sink:
                sending = send_wave(
                    folder,
                    url,
                    chosen.mails,
                    launcher=launcher,
                    relay__port=sink.port,
                    relay__connections=chosen.connections,
                )
                sink.require(chosen.mails)
            with smtp_sink(folder) as sink:
                anchor = smtp_source(folder, sink.port, Load(chosen.mails, _OCTETS))
                sink.require(chosen.mails)
        per_s = chosen.mails / anchor.wall_s
        say(
            f"ours {sending.per_s:7.0f}/s {sending.cpu_us:5.1f} µs CPU a mail, "
            f"{sending.rss_mb:.0f} MB; smtp-source {per_s:7.0f}/s "
            f"{anchor.cpu_s / chosen.mails * 1e6:5.1f} µs; ratio {sending.per_s / per_s:.2f} "
            f"({_OCTETS} octets)"
        )
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Failed, LeftOut) as error:
        sys.exit(str(error))
