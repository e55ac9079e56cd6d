"""Postfix's ``smtp-sink`` as the far end: it takes every mail, keeps none, and counts them."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.processes import Failed, free_port, serving, tool, wait_until

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

_BACKLOG: Final = "256"
_COUNTED: Final = re.compile(rb"mesg=(\d+)")
#: Octets at the end of the sink's words that surely hold its last count.
_TAIL: Final = 200


@dataclass(frozen=True, slots=True)
class Receiver:
    """A listening sink on the loopback; ``port`` is where to send."""

    port: int
    said: Path

    def count(self) -> int:
        """How many mails it has taken, by its own count."""
        found = _COUNTED.findall(self.said.read_bytes()[-_TAIL:])
        return int(found[-1]) if found else 0

    def require(self, mails: int) -> None:
        """Wait a moment for the sink's count to be exactly ``mails``.

        Raises:
            Failed: It took another number.

        """
        with suppress(Failed):
            wait_until(lambda: self.count() >= mails, within_s=2.0, what="all mails")
        if self.count() != mails:
            raise Failed(f"{mails} mails were sent, the receiver counted {self.count()}")


@contextmanager
def smtp_sink(folder: Path, *, pipelining: bool = True) -> Generator[Receiver]:
    """A fresh ``smtp-sink`` for as long as the block lasts; it counts from nothing.

    Raises:
        LeftOut: Postfix's tools are not installed.

    """
    port = free_port()
    said = folder / f"smtp-sink-{port}.said"
    # -c: counters, one short write a mail. Whoever is measured meets the same sink.
    options = ["-c"] if pipelining else ["-c", "-p"]
    if os.geteuid() == 0:
        options += ["-u", "nobody"]  # it refuses to serve as root
    command = [tool("smtp-sink"), *options, f"127.0.0.1:{port}", _BACKLOG]
    with serving(command, cwd=folder, port=port, said=said):
        yield Receiver(port, said)
