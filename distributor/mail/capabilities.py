"""What a mail server offers on a connection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Figures of a size that is to be believed: RFC 1870 4 has at most 20.
_FIGURES_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the server offers on this connection, as its last EHLO said."""

    extensions: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def size(self) -> bool:
        """SIZE= may be declared (RFC 1870)."""
        return "size" in self.extensions

    @property
    def size_max(self) -> int:
        """The octets of the largest mail it takes (RFC 1870 4); 0 when it does not say."""
        said = self.extensions.get("size", "").strip()
        figures = said.isascii() and said.isdecimal() and len(said) <= _FIGURES_MAX
        return int(said) if figures else 0

    @property
    def smtputf8(self) -> bool:
        """Addresses may be international (RFC 6531)."""
        return "smtputf8" in self.extensions

    @property
    def pipelining(self) -> bool:
        """Commands may be sent without awaiting each answer (RFC 2920)."""
        return "pipelining" in self.extensions

    @property
    def eight_bit(self) -> bool:
        """Bodies need not be ASCII (RFC 6152)."""
        return "8bitmime" in self.extensions

    @property
    def dsn(self) -> bool:
        """Notices of failure can be asked for (RFC 3461)."""
        return "dsn" in self.extensions
