"""The line between a parent and a worker it started: a pair of sockets, the worker's end its stdin.

The worker says on it once that it stands. The parent says that it lives by holding its end, which
closes however the parent ends: a worker never sends on unnoticed after its parent was killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_STANDS: Final = b"+"


class Lifeline:
    """The parent's end."""

    def __init__(self) -> None:
        """Make both ends; :attr:`theirs` is to be handed to the worker as its stdin."""
        self._ours, self.theirs = socket.socketpair()
        self._ours.settimeout(0)

    def handed_over(self) -> None:
        """Keep no copy of the worker's end."""
        self.theirs.close()

    def stands(self) -> bool:
        """Whether the worker has said, since last asked, that it stands."""
        try:
            return self._ours.recv(1) == _STANDS
        except OSError:
            return False

    def close(self) -> None:
        """Let the line go."""
        self._ours.close()


class Parent:
    """The worker's end."""

    def __init__(self, descriptor: int) -> None:
        """Hold on to the line at this descriptor (0: as :class:`Lifeline` hands it over)."""
        self._descriptor = descriptor

    def say_standing(self) -> None:
        """Tell the parent that the worker stands. One that is gone need not know."""
        with contextlib.suppress(OSError):
            os.write(self._descriptor, _STANDS)

    def when_gone(self, call: Callable[[], None]) -> None:
        """Call once, from the running loop, when the parent is gone."""
        loop = asyncio.get_running_loop()

        def heard() -> None:
            # The parent never says a word: what can be read is the end.
            loop.remove_reader(self._descriptor)
            call()

        loop.add_reader(self._descriptor, heard)
