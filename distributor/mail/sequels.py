"""What a sequel's mail says of the one before it: its values for templates, and what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distributor.core.changes import changes, passages
from distributor.core.sequel import in_words, sequel_words
from distributor.mail import calendar

if TYPE_CHECKING:
    from distributor.core.changes import Change
    from distributor.core.message import ReleaseContent


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
