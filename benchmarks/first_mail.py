"""How long after the embargo the first mail arrives, by the receiver's own clock.

Each run is a press office of its own in a fresh folder: 2,000 contacts, a release embargoed for
20 seconds ahead, ``distributor run`` as a process, a receiver (``python -m
distributor.mail.sink``) as another. What is measured is MAIL FROM of the first mail less the
embargo; early would be negative, and fails the run.

    python benchmarks/first_mail.py --runs 10 [--people 2000] [--ahead 20]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.flow.press import Press, receiver


@dataclass(frozen=True)
class Run:
    """Milliseconds after the embargo, and the sums."""

    first_ms: float
    last_ms: float
    received: int
    accepted: int
    sealed: int


def run(people: int, ahead_s: float) -> Run:
    """Let one wave go out."""
    with (
        tempfile.TemporaryDirectory() as name,
        receiver(Path(name) / "mails") as far_end,
        Press(Path(name), far_end.port) as press,
    ):
        press.people(people)
        ref = press.release(after_s=ahead_s)
        worker = press.worker("run")
        while not press.is_finished(ref):
            time.sleep(0.5)
        worker.stop()
        wave = press.view(ref).wave
        delays = [(mail.at - wave.send_at).total_seconds() for mail in far_end.received()]
        log = press.log(ref)
        return Run(
            min(delays) * 1000,
            max(delays) * 1000,
            len(delays),
            sum(1 for line in log if line.state.value == "accepted" and line.reply),
            wave.recipients or 0,
        )


def say(line: str) -> None:
    """One line, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run, print, and fail on a mail that was early or missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--people", type=int, default=2000)
    parser.add_argument("--ahead", type=float, default=20.0, help="seconds to the embargo")
    chosen = parser.parse_args()
    runs: list[Run] = []
    for number in range(1, chosen.runs + 1):
        one = run(chosen.people, chosen.ahead)
        runs.append(one)
        say(
            f"run {number:2}: first mail {one.first_ms:6.1f} ms, last {one.last_ms:7.1f} ms after "
            f"the embargo; sealed {one.sealed}, received {one.received}, accepted {one.accepted}"
        )
    say(f"median of the first: {statistics.median(one.first_ms for one in runs):.1f} ms")
    sound = all(
        one.first_ms >= 0 and one.received == one.accepted == one.sealed == chosen.people
        for one in runs
    )
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
