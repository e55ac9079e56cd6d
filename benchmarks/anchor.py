"""The anchor: Postfix's ``smtp-source``, one ready message over ten connections, no database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.processes import Taken, run, tool

if TYPE_CHECKING:
    from pathlib import Path

#: Octets of the headers that smtp-source puts before the length it is asked for.
HEADERS: Final = 142


@dataclass(frozen=True, slots=True)
class Load:
    """How many mails, how large each (whole, in octets), over how many connections."""

    mails: int
    octets: int
    connections: int = 10


def smtp_source(folder: Path, port: int, load: Load) -> Taken:
    """Send that load to a port of the loopback, each session for many mails (``-d``).

    Raises:
        LeftOut: Postfix's tools are not installed.
        Failed: It was refused.

    """
    command = [
        *(tool("smtp-source"), "-d", "-s", str(load.connections), "-m", str(load.mails)),
        *("-l", str(load.octets - HEADERS)),
        *("-f", "press@harbours.example", "-t", "reader@paper.example"),
        f"127.0.0.1:{port}",
    ]
    return run(command, cwd=folder)
