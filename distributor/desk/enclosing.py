"""What an order does to the attachments of a draft."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from distributor.core.size import SizeLimit, require_size
from distributor.errors import NotFound, Refused
from distributor.store import attachments, relays

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from distributor.core.message import CompiledMessage
    from distributor.core.model import Draft
    from distributor.intake.attachment import Brought

#: More files than anybody opens.
ATTACHMENTS_MAX: Final = 30


def attached(draft: Draft, files: Sequence[Brought]) -> Draft:
    """The draft with these files behind those it has.

    Raises:
        Refused: one of them is there already, or there are too many.

    """
    every = (*draft.attachments, *(file.attachment for file in files))
    names: set[str] = set()
    digests: dict[str, str] = {}
    for each in every:
        if each.name.casefold() in names:
            msg = f"There are two files called {each.name}."
            raise Refused(msg, remedy="Rename one, or take one out: --detach NAME")
        if each.digest in digests:
            msg = f"{each.name} is the same file as {digests[each.digest]}."
            raise Refused(msg, remedy="Attach it once.")
        names.add(each.name.casefold())
        digests[each.digest] = each.name
    if len(every) > ATTACHMENTS_MAX:
        msg = f"{len(every)} files are more than the {ATTACHMENTS_MAX} that a release may have."
        raise Refused(msg, remedy="Pack them into a ZIP archive, or give a link.")
    return replace(draft, attachments=every)


def detached(draft: Draft, names: Iterable[str]) -> Draft:
    """The draft without the files of these names.

    Raises:
        NotFound: it has none of that name.

    """
    left = draft.attachments
    for name in names:
        without = tuple(each for each in left if each.name.casefold() != name.casefold())
        if len(without) == len(left):
            has = ", ".join(each.name for each in left) or "no file at all"
            raise NotFound(f"No file called {name} is attached.", remedy=f"It has {has}.")
        left = without
    return replace(draft, attachments=left)


def keep(tx: Connection, files: Iterable[Brought], now: datetime) -> None:
    """Keep the octets of files before a version names them."""
    for file in files:
        attachments.keep(tx, file.attachment.digest, file.octets, now=now)


def require_deliverable(
    tx: Connection, message: CompiledMessage, limit: SizeLimit, names: Iterable[str]
) -> None:
    """Refuse a message that is larger than the desk or a mail server takes.

    ``names`` are the mail servers in use: what they said of themselves counts.

    Raises:
        Refused: which limit, and what to do.

    """
    known = relays.sizes(tx)
    said = (SizeLimit(known[name], f"so {name} says") for name in names if name in known)
    require_size(message.size, (limit, *said))
