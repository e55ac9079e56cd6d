"""``distributor`` under cProfile, its main thread and its writer thread each on its own.

    python -m benchmarks.profiled OUT ARGUMENTS…

writes OUT (main thread) and OUT.writer; look at them with ``python -m pstats OUT``.
"""

from __future__ import annotations

import cProfile
import sys
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import FrameType

_WRITER: Final = "store-writer"


def main() -> None:
    """Run the program; write the profiles whatever way it ends."""
    out = sys.argv[1]
    sys.argv = ["distributor", *sys.argv[2:]]
    from distributor.cli.main import main as program  # noqa: PLC0415 - after argv is set

    writers: list[cProfile.Profile] = []

    def begin(_frame: FrameType, _event: str, _argument: object) -> None:
        sys.setprofile(None)
        if threading.current_thread().name.startswith(_WRITER):
            writers.append(cProfile.Profile())
            writers[-1].enable()

    threading.setprofile(begin)
    profile = cProfile.Profile()
    profile.enable()
    try:
        program()
    finally:
        profile.disable()
        profile.dump_stats(out)
        for writer in writers:
            writer.dump_stats(f"{out}.writer")


if __name__ == "__main__":
    main()
