"""What a sequel's mail says of the one before it: its values for templates, and what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from distributor.core.changes import changes, passages
from distributor.core.letter import TEMPLATE, content_of, message_name
from distributor.core.model import WaveKind
from distributor.core.sequel import REPLACING, SequelContent, in_words, sequel_words
from distributor.mail import calendar

if TYPE_CHECKING:
    from datetime import datetime

    from distributor.core.changes import Change
    from distributor.core.message import ReleaseContent
    from distributor.core.model import Version


class Message(NamedTuple):
    """A message that a version needs: its ``name`` there, the ``kind`` of template, its content."""

    name: str
    kind: str
    content: ReleaseContent


def messages(version: Version, base: Version | None, *, now: datetime) -> list[Message]:
    """Everything to compile for a version, its own message first; ``base`` is what it speaks of.

    A sequel that may leave before the lift needs one that says so. The text of a correction or
    follow-up also goes out as a release: to those who never had the earlier one.

    Raises:
        EmbargoUnclear: its zone is unknown.

    """
    sequel = version.sequel
    if sequel is None or base is None:
        return [Message(TEMPLATE, TEMPLATE, content_of(version))]
    kind = sequel.kind
    whole = kind is not WaveKind.WITHDRAWAL
    said = SequelContent(
        kind=kind,
        reason=sequel.reason,
        headline=base.draft.headline or "",
        on=sequel.base_on,
        changes=what_changed(version, base) if kind is WaveKind.CORRECTION else (),
    )
    embargo_at = version.draft.embargo.at
    found: list[Message] = []
    if kind in REPLACING and embargo_at is not None and embargo_at > now:
        name = message_name(kind, before_lift=True)
        found.append(Message(name, kind, content_of(version, said, lifted=False)))
    found.append(Message(message_name(kind), kind, content_of(version, said)))
    if whole:
        found.append(Message(TEMPLATE, TEMPLATE, content_of(version)))
    return found


def what_changed(version: Version, base: Version) -> tuple[Change, ...]:
    """What differs between a version and the one it speaks of, in the words of its language."""
    return compared(content_of(base), content_of(version))


def sequel_context(content: ReleaseContent) -> dict[str, object]:
    """What a mail says of the earlier one it speaks of; the ``verb`` heads subject and title."""
    sequel = content.sequel
    if sequel is None:
        return {"verb": "", "sequel": None}
    words = sequel_words(content.language)
    own = words.kinds[sequel.kind]
    on = calendar.day(sequel.on, content.language)
    return {
        "verb": own.verb,
        "sequel": {
            "label": own.verb.rstrip(": \N{NO-BREAK SPACE}"),
            "about": own.about.format(on=on, headline=sequel.headline),
            "to_do": own.to_do,
            "why": own.why.format(reason=sequel.reason),
            "what_changed": words.what_changed,
            "changes": in_words(sequel.changes, words),
            "text": words.text,
            "ask": words.ask.format(address=content.sender.reply_to or content.sender.address),
        },
    }


def compared(before: ReleaseContent, after: ReleaseContent) -> tuple[Change, ...]:
    """What differs between two versions, embargo and dateline in the words of the newer's language.

    Raises:
        EmbargoUnclear: a content's zone is unknown.

    """
    old, new = (
        passages(
            each.draft,
            embargo=_embargo_words(each, after.language),
            dateline=calendar.dateline(each.draft.dateline, after.language),
        )
        for each in (before, after)
    )
    return changes(old, new)


def _embargo_words(content: ReleaseContent, language: str) -> str:
    if content.embargo_at is None or content.zone is None:
        return ""
    return calendar.moment(content.embargo_at, content.zone, language)
