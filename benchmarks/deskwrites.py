"""What a person orders while a wave is being sent, each order timed, in a process of its own.

    python -m benchmarks.deskwrites CONFIG REF FROM STOP OUT

From the instant FROM (Unix time) until the file STOP appears: contacts are added one by one, and
every fifth order holds or resumes REF, another wave. OUT gets the milliseconds of each.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from distributor.app import open_app
from distributor.config import load

if TYPE_CHECKING:
    from distributor.app import App

_BY: Final = "benchmark"
_PAUSE_S: Final = 0.01
_HOLD_EVERY: Final = 5


def _order(app: App, ref: str, number: int) -> None:
    now = app.clock.now()
    turn, rest = divmod(number, _HOLD_EVERY)
    if rest:
        values = {"address": f"late{number}@paper.example", "name": f"Late Reader {number}"}
        app.contacts.add(values, by=_BY, now=now)
    elif turn % 2:
        app.waves.resume(ref, waive=None, by=_BY, now=now)
    else:
        app.waves.hold(ref, by=_BY, now=now)


def main() -> None:
    """Give orders until told to stop."""
    config, ref, begin, stop, out = sys.argv[1:]
    app = open_app(load(Path(config)))
    took_ms: list[float] = []
    try:
        time.sleep(max(0.0, float(begin) - time.time()))
        number = 0
        while not Path(stop).exists():
            began = time.monotonic()
            _order(app, ref, number)
            took_ms.append((time.monotonic() - began) * 1000)
            number += 1
            time.sleep(_PAUSE_S)
    finally:
        app.close()
    Path(out).write_text("".join(f"{ms:.3f}\n" for ms in took_ms), encoding="ascii")


if __name__ == "__main__":
    main()
