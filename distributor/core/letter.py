"""One release's letter: what is the same for everybody, and how one journalist's copy is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from distributor.core.message import Personal, ReleaseContent, check_final, header_names, merge

if TYPE_CHECKING:
    from datetime import datetime

    from distributor.core.message import CompiledMessage
    from distributor.core.model import Recipient, Sender, Version


#: The template of a general wave.
TEMPLATE = "release"


@dataclass(frozen=True, slots=True)
class Letter:
    """A compiled message with its sender; ``return_path`` is where bounces go."""

    compiled: CompiledMessage
    sender: Sender
    return_path: str

    def copy_for(self, recipient: Recipient, *, reference: str, date: datetime) -> bytes:
        """The final, checked bytes of one journalist's copy.

        The same arguments always give the same bytes: a resend is identical (I5).

        Raises:
            MessageError: The copy must not leave; the message names the rule, never the text.

        """
        personal = Personal(
            recipient=recipient,
            message_id=message_id(reference, self.sender),
            date=date,
            delivery=reference,
            unsubscribe_mailto=unsubscribe_uri(self.sender, reference),
            list_id=f"releases.{domain_of(self.sender.address)}",
        )
        data = merge(self.compiled, personal)
        check_final(
            data,
            headers=header_names(self.compiled, personal),
            recipient=recipient.address,
        )
        return data


def content_of(version: Version) -> ReleaseContent:
    """What a version's message is compiled from. A general wave leaves at the lift."""
    embargo = version.draft.embargo
    return ReleaseContent(
        draft=version.draft,
        sender=version.sender,
        language=version.draft.language,
        embargo_at=embargo.at,
        zone=embargo.local.zone if embargo.local else None,
        unsubscribe=version.sender.reply_to or version.sender.address,
    )


def message_id(reference: str, sender: Sender) -> str:
    """Stable for a delivery and opaque: it says nothing of the release (design section 7, I9)."""
    return f"<{reference}@{domain_of(sender.address)}>"


def unsubscribe_uri(sender: Sender, reference: str) -> str:
    """Where an objection goes: a mail to the desk naming the delivery (RFC 2369)."""
    to = quote(sender.reply_to or sender.address, safe="@")
    return f"mailto:{to}?subject={quote(f'unsubscribe {reference}')}"


def domain_of(address: str) -> str:
    """The part after the last @."""
    return address.rpartition("@")[2]
