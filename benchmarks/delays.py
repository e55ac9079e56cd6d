"""Milliseconds: how late the first mails are, how long a person at the desk waits meanwhile."""

from __future__ import annotations

import contextlib
import math
import subprocess
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from benchmarks.bench import Sample
from benchmarks.office import START_S, Office, next_lift, sqlite_copy
from benchmarks.processes import Failed, free_port, outside, serving
from benchmarks.receivers import smtp_sink

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.bench import Bench

#: Recipients of the punctual release, and how many of its mails count.
_PEOPLE: Final = 2_000
_COUNTED: Final = 1_000
#: Seconds to seal as many thousand recipients as a run here has, at most.
_SEAL_S_PER_1000: Final = 0.1


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` (0 to 1) of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def punctual(bench: Bench) -> dict[str, Sample]:
    """First MAIL, and the 99th percentile of the first 1,000 final dots, after the embargo."""
    port = free_port()
    with bench.folder() as folder:
        notes = folder / "notes.txt"
        command = [sys.executable, "-m", "benchmarks.recorder", str(port), str(notes)]
        url = sqlite_copy(bench.cache, folder, _PEOPLE)
        with (
            serving(command, cwd=folder, port=port),
            Office(folder, url, {"relay__port": port}) as office,
        ):
            ref = office.schedule(next_lift(START_S + 2))
            office.seal()
            office.start()
            office.measure(ref, within_s=120.0)
            office.stop()
            office.require_all_accepted(ref)
            lift = office.wave(ref).send_at.timestamp()
        lines = [line.split() for line in notes.read_text(encoding="ascii").splitlines()]
    if len(lines) != _PEOPLE:
        raise Failed(f"{_PEOPLE} mails were sent, the receiver noted {len(lines)}")
    first = (min(float(began) for began, _ in lines) - lift) * 1000
    if first < 0:
        raise Failed(f"a mail was {-first:.1f} ms early")
    dots = sorted((float(dot) - lift) * 1000 for _, dot in lines)[:_COUNTED]
    return {
        "first-mail-ms": Sample(first),
        "p99-first-1000-ms": Sample(percentile(dots, 0.99)),
    }


def desk_writes(bench: Bench) -> dict[str, Sample]:
    """What the desk's orders take in a process of their own, from the lift to the last outcome."""
    count = bench.sizes.mails
    with bench.folder() as folder, smtp_sink(folder) as sink:
        url = sqlite_copy(bench.cache, folder, count)
        with Office(folder, url, {"relay__port": sink.port}) as office:
            lift = next_lift(START_S + count / 1000 * _SEAL_S_PER_1000)
            ref = office.schedule(lift)
            office.seal()
            other = office.schedule(lift + timedelta(days=1))
            office.start()
            with _desk(folder, other, lift.timestamp()):
                sending = office.measure(ref, within_s=1_200.0)
            office.stop()
            office.require_all_accepted(ref)
        sink.require(count)
        took = [float(line) for line in (folder / "took.txt").read_text().split()]
    worst = {"orders": float(len(took)), "worst_ms": max(took), "mails_per_s": sending.per_s}
    return {"write-while-sending-p99-ms": Sample(percentile(took, 0.99), notes=worst)}


@contextlib.contextmanager
def _desk(folder: Path, ref: str, begin: float):  # noqa: ANN202 - a context manager
    stop = folder / "stop"
    words = [str(folder / "config.toml"), ref, repr(begin), str(stop), str(folder / "took.txt")]
    popen = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.deskwrites", *words], cwd=folder, env=outside()
    )
    try:
        yield
        stop.touch()
        if popen.wait(60):
            raise Failed("the desk's orders failed")
    finally:
        if popen.poll() is None:
            time.sleep(0.1)
            popen.kill()
            popen.wait()
