"""How large a mail may be: what newsrooms take, and what is refused before anything leaves.

Newsrooms refuse mail of more than 10 to 25 MB (practice statement 52), and base64 adds 37 %: a desk
is warned from 5 MB on, and a mail above the desk's own limit, or above what a mail server said that
it takes (RFC 1870), is not approved: at the lift it would be too late.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from distributor.core.model import Finding
from distributor.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable

    from distributor.core.model import Attachment

#: Octets of a whole mail from which a desk is warned.
LARGE: Final = 5_000_000
#: Octets of a whole mail that are the most unless the desk says otherwise.
MESSAGE_MAX: Final = 25_000_000
#: What a recipient's own values and a signature add to a compiled message, at the most, in octets.
PERSONAL_MAX: Final = 10_000
#: The remedy for all of it.
GIVE_A_LINK: Final = "Put the file on your web site and give a link instead."

_LINE: Final = 57
_WRITTEN_LINE: Final = 78


@dataclass(frozen=True, slots=True)
class SizeLimit:
    """The most octets of a mail, and who says so, for people."""

    octets: int = MESSAGE_MAX
    whose: str = "sending.message_max_mb in config.toml"


def encoded_size(octets: int) -> int:
    """What so many octets come to in a mail: lines of base64, each with its CRLF."""
    whole, rest = divmod(octets, _LINE)
    return whole * _WRITTEN_LINE + (-(-rest // 3) * 4 + 2 if rest else 0)


def size_words(octets: int) -> str:
    """A size as people say it: 812 bytes, 41 kB, 3.4 MB."""
    if octets < 1_000:  # noqa: PLR2004
        return f"{octets} bytes"
    if octets < 999_500:  # noqa: PLR2004
        return f"{octets / 1_000:.0f} kB"
    return f"{octets / 1_000_000:.1f} MB"


def size_findings(attachments: Iterable[Attachment]) -> tuple[Finding, ...]:
    """A warning when a mail with these is one that newsrooms may refuse."""
    total = sum(encoded_size(each.size) for each in attachments)
    return large_findings(total)


def large_findings(octets: int) -> tuple[Finding, ...]:
    """A warning when a mail of that size is one that newsrooms may refuse."""
    if octets < LARGE:
        return ()
    said = f"each mail has {size_words(octets)}: newsrooms refuse mail of more than 10 to 25 MB"
    return (Finding("mail-large", "warning", f"{said}; a link would reach everybody"),)


def require_size(octets: int, limits: Iterable[SizeLimit]) -> None:
    """Refuse a compiled message of so many octets that is above one of the limits.

    Raises:
        Refused: which limit, and what to do.

    """
    least = min(limits, key=lambda limit: limit.octets)
    if octets + PERSONAL_MAX > least.octets:
        raise Refused(
            f"Each mail would have {size_words(octets)}; {size_words(least.octets)} is the most "
            f"({least.whose}).",
            remedy=GIVE_A_LINK,
        )
