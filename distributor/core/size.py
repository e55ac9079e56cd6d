"""How large a mail may be before somebody does not get the whole of it, or none of it.

The limits are those of practice, not of a standard: Gmail shows about the first 102,400 octets of
HTML and hides the rest, with it the lines on who wrote and how to stop (statement 51); many
newsrooms refuse mails of more than 10 to 25 MB (statement 52).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from distributor.core.model import Finding

if TYPE_CHECKING:
    from distributor.core.message import CompiledMessage

#: Octets of HTML at which Gmail cuts a mail off, and from which a desk is warned.
HTML_CLIPPED: Final = 102_400
HTML_WARNING: Final = 80_000
#: Octets of a whole mail as it goes on the wire, from which a desk is warned, and from which most
#: newsrooms refuse it.
MAIL_REFUSED: Final = 25_000_000
MAIL_WARNING: Final = 10_000_000
#: Octets of headers that are one recipient's own, about.
_PERSONAL: Final = 600


def octets(compiled: CompiledMessage) -> int:
    """About how large each mail of a compiled message is on the wire, in octets.

    Parts that are rendered for each recipient are counted as the HTML's size, encoded or not.
    """
    rendered = compiled.html_size if compiled.script is not None else 0
    return len(compiled.opening) + sum(map(len, compiled.segments[1:])) + _PERSONAL + rendered


def findings(html: int, mail: int) -> tuple[Finding, ...]:
    """What is to be said of a mail with so many octets of HTML and on the wire; else nothing."""
    found: list[Finding] = []
    if html > HTML_WARNING:
        message = f"the HTML has {html} bytes; Gmail cuts mails off at about {HTML_CLIPPED}"
        found.append(Finding("html-size", "warning", message))
    if mail > MAIL_WARNING:
        message = (
            f"the mail has {mail} bytes; many newsrooms refuse more than "
            f"{MAIL_WARNING // 1_000_000} to {MAIL_REFUSED // 1_000_000} MB"
        )
        found.append(Finding("mail-size", "warning", message))
    return tuple(found)
