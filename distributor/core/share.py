"""One process's share of what all processes of a machine may do together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Share:
    """This process is number ``index`` (from 0) of ``of``; alone it has the whole."""

    index: int = 0
    of: int = 1

    def part(self, whole: int) -> int:
        """This process's part of what can only be counted, such as connections.

        The parts of all processes add up to ``whole``; where it cannot be divided evenly the
        first ones have one more. With more processes than ``whole`` the last ones have nothing.
        """
        each, over = divmod(whole, self.of)
        return each + (self.index < over)

    def portion(self, whole: float) -> float:
        """This process's part of what can be divided at will, such as mails a minute."""
        return whole / self.of


#: The share of a process that is alone.
WHOLE: Final = Share()
