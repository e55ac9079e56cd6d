"""One release's letter: what is the same for everybody, and how one journalist's copy is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import quote

from distributor.core.final import FinalBytes, FinalHead, check_final, frame_of
from distributor.core.message import Personal, ReleaseContent, header_names, merge, personal_names
from distributor.core.model import Recipient, WaveKind
from distributor.core.sequel import SEQUELS
from distributor.errors import MessageError

if TYPE_CHECKING:
    from distributor.core.final import Frame
    from distributor.core.message import CompiledMessage
    from distributor.core.model import Sender, Version
    from distributor.core.script import Render
    from distributor.core.sequel import SequelContent
    from distributor.core.tail import Tail


class Sign(Protocol):
    """Puts the desk's signatures above a mail, by the mail's own date; the same every time."""

    def __call__(self, data: FinalBytes, *, at: datetime) -> FinalBytes:
        """The signed mail."""
        ...


#: The template of a general wave.
TEMPLATE = "release"


def message_name(kind: WaveKind, *, before_lift: bool = False) -> str:
    """Under which name a version stores the message that a wave of this kind sends.

    What leaves before the lift has a message of its own, which says that it is embargoed.
    """
    if kind in SEQUELS:
        return f"advance-{kind}" if before_lift else kind.value
    return "advance" if kind is WaveKind.ADVANCE else TEMPLATE


@dataclass(frozen=True, slots=True)
class Letter:
    """A compiled message with its sender.

    ``render`` gives the parts that a message with a script has rendered for each recipient;
    ``sign`` puts signatures above each copy; ``tail`` is what a message with enclosures ends with,
    the same octets for all copies. Made once for many copies: whatever no copy changes is worked
    out and judged here.
    """

    compiled: CompiledMessage
    sender: Sender
    render: Render | None = None
    sign: Sign | None = None
    tail: Tail | None = None
    _domain: str = field(init=False, repr=False, compare=False)
    _list_id: str = field(init=False, repr=False, compare=False)
    _unsubscribe: str = field(init=False, repr=False, compare=False)
    _single: _Form = field(init=False, repr=False, compare=False)
    _threaded: _Form = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Prepare the copies. A message that is not fit to leave is told of at each copy.

        Raises:
            MessageError: the message has enclosures and there are none, or the reverse.

        """
        if (self.compiled.enclosures is None) is not (self.tail is None):
            raise MessageError("the attachments of this message are missing")
        domain = domain_of(self.sender.address)
        sample = Personal(
            recipient=Recipient("nobody@example.com"),
            message_id=message_id("sample", domain),
            date=datetime(2000, 1, 1, tzinfo=UTC),
            delivery="sample",
            unsubscribe_mailto=unsubscribe_uri(self.sender, "sample"),
            list_id=f"releases.{domain}",
        )
        prepared = {
            "_domain": domain,
            "_list_id": sample.list_id,
            "_unsubscribe": unsubscribe_uri(self.sender, ""),
            "_single": _form(self.compiled, sample),
            "_threaded": _form(self.compiled, sample._replace(thread=sample.message_id)),
        }
        for name, value in prepared.items():
            object.__setattr__(self, name, value)

    def copy_for(
        self, recipient: Recipient, *, reference: str, date: datetime, thread: str | None = None
    ) -> FinalBytes:
        """The final, checked bytes of one journalist's copy, to their shared end.

        ``thread``: the Message-IDs of their earlier mails that it follows, the oldest first. The
        same arguments always give the same bytes: a resend is identical (I5).

        Raises:
            MessageError: The copy must not leave; the message names the rule, never the text.

        """
        personal = Personal(
            recipient,
            message_id(reference, self._domain),
            date,
            reference,
            f"{self._unsubscribe}{reference}",
            self._list_id,
            thread,
        )
        form = self._single if thread is None else self._threaded
        if self.render is None:
            data = merge(self.compiled, personal)
        else:
            data = merge(self.compiled, personal, self.render(recipient))
        check_final(
            data,
            headers=form.headers,
            recipient=recipient.address,
            frame=form.frame,
        )
        final = FinalBytes(data) if self.tail is None else FinalHead(data, self.tail)
        return final if self.sign is None else self.sign(final, at=date)


class _Form(NamedTuple):
    """The headers that a copy must have, and what stands unchanged in it."""

    headers: tuple[str, ...]
    frame: Frame | None


def _form(compiled: CompiledMessage, sample: Personal) -> _Form:
    frame = frame_of(
        personal_names(compiled, sample),
        tuple(name for name, _ in compiled.headers),
        (compiled.opening, *compiled.segments[1:]),
        whole=compiled.script is not None,
    )
    return _Form(header_names(compiled, sample), frame)


def content_of(
    version: Version, sequel: SequelContent | None = None, *, lifted: bool = True
) -> ReleaseContent:
    """What a version's message is compiled from. A general wave leaves at the lift.

    ``sequel``: what it says of an earlier version; ``lifted``: whether it leaves after the lift.
    """
    embargo = version.draft.embargo
    return ReleaseContent(
        draft=version.draft,
        sender=version.sender,
        language=version.draft.language,
        embargo_at=embargo.at,
        zone=embargo.local.zone if embargo.local else None,
        unsubscribe=version.sender.reply_to or version.sender.address,
        lifted=lifted,
        sequel=sequel,
    )


def message_id(reference: str, domain: str) -> str:
    """Stable for a delivery and opaque: it says nothing of the release (design section 7, I9)."""
    return f"<{reference}@{domain}>"


def unsubscribe_uri(sender: Sender, reference: str) -> str:
    """Where an objection goes: a mail to the desk naming the delivery (RFC 2369)."""
    to = quote(sender.reply_to or sender.address, safe="@")
    return f"mailto:{to}?subject={quote(f'unsubscribe {reference}')}"


def domain_of(address: str) -> str:
    """The part after the last @."""
    return address.rpartition("@")[2]
