"""What compiling needs of a release's attachments: pictures as templates see them, and refusals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from distributor.core.enclosures import content_id
from distributor.core.letter import domain_of
from distributor.errors import MessageError

if TYPE_CHECKING:
    from distributor.core.model import Draft, Recipient, Sender

#: Pixels between the margins of a mail (templates, style.css).
COLUMN: Final = 520


def shown_pictures(draft: Draft, sender: Sender) -> list[dict[str, object]]:
    """The pictures in their order: never wider than the column, and never than they are."""
    shown: list[dict[str, object]] = []
    for attachment in draft.attachments:
        picture = attachment.picture
        if picture is None:
            continue
        width = min(picture.width, COLUMN)
        shown.append(
            {
                "source": f"cid:{content_id(attachment, domain_of(sender.address))}",
                "alt": picture.alt,
                "caption": picture.caption,
                "credit": picture.credit,
                "width": width,
                "height": max(round(picture.height * width / picture.width), 1),
            }
        )
    return shown


def nothing(_digest: str) -> tuple[bytes, ...]:
    """The octets of any attachment where nobody can give them: none."""
    return ()


@dataclass(frozen=True, slots=True)
class Refusing:
    """Stands for the recipients' parts of a letter that must not leave at all."""

    error: MessageError

    def __call__(self, _: Recipient) -> dict[str, str]:
        """Say why.

        Raises:
            MessageError: always.

        """
        raise MessageError(str(self.error), remedy=self.error.remedy)
