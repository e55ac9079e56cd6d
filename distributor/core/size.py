"""How large a mail may be before somebody does not get the whole of it, or none of it.

The limits are those of practice: Gmail shows about the first 102,400 octets of HTML and hides the
rest, with it the lines on who wrote and how to stop (statement 51); many newsrooms refuse mails of
more than 10 to 25 MB, and base64 adds 37 % (statement 52). So a desk is warned; and a mail above
the desk's own limit, or above what a mail server said that it takes (RFC 1870), is not approved: at
the lift it would be too late.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from distributor.core.model import Finding
from distributor.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable

    from distributor.core.model import Attachment

#: Octets of HTML at which Gmail cuts a mail off, and from which a desk is warned.
HTML_CLIPPED: Final = 102_400
HTML_WARNING: Final = 80_000
#: Octets of a whole mail as it goes on the wire, from which a desk is warned.
MAIL_WARNING: Final = 5_000_000
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
    if octets < 1_000:  # noqa: PLR2004 - a kilobyte
        return f"{octets} bytes"
    if octets < 999_500:  # noqa: PLR2004 - what rounds to 1000 kB
        return f"{octets / 1_000:.0f} kB"
    return f"{octets / 1_000_000:.1f} MB"


def findings(html: int, mail: int) -> tuple[Finding, ...]:
    """What is to be said of a mail with so many octets of HTML and on the wire; else nothing."""
    found: list[Finding] = []
    if html > HTML_WARNING:
        message = f"the HTML has {html} bytes; Gmail cuts mails off at about {HTML_CLIPPED}"
        found.append(Finding("html-size", "warning", message))
    if mail > MAIL_WARNING:
        said = f"each mail has {size_words(mail)}: newsrooms refuse mail of more than 10 to 25 MB"
        found.append(Finding("mail-size", "warning", f"{said}; a link would reach everybody"))
    return tuple(found)


def size_findings(attachments: Iterable[Attachment]) -> tuple[Finding, ...]:
    """A warning when a mail with these is one that newsrooms may refuse."""
    return findings(0, sum(encoded_size(each.size) for each in attachments))


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
