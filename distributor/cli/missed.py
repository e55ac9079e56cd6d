"""Who has not got a release, by name, with the reason and what can be done about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from distributor.cli.output import say, say_field
from distributor.cli.reading import moment, unsealed_text
from distributor.core.audience import ExclusionReason
from distributor.core.sequel import REPLACING
from distributor.core.states import DeliveryState
from distributor.review import Filter

if TYPE_CHECKING:
    from distributor.app import App
    from distributor.review import Line

#: Every state but those in which the mail server has taken the mail.
MISSED = frozenset(DeliveryState) - {DeliveryState.ACCEPTED, DeliveryState.COMPLAINED}

_INDENT = 4
#: They are left out because they have been told.
_TOLD = ExclusionReason.ALREADY_SENT.value

#: What a person can do, by state; REF stands for the release.
_REMEDIES = {
    DeliveryState.DEFERRED: "deferred: tried again by itself while a worker runs.",
    DeliveryState.REFUSED: (
        "refused: mend the address (distributor contacts edit ADDRESS --address NEW); "
        "then: distributor release resend REF --state refused"
    ),
    DeliveryState.EXPIRED: (
        "expired: the server put it off until the deadline; ring them, or send it again: "
        "distributor release resend REF --state expired"
    ),
    DeliveryState.UNCERTAIN: (
        "uncertain: the answer was lost, it may have arrived. Ask them, or search the mail "
        "server's log for the Message-ID (distributor log REF ADDRESS); then decide: "
        "distributor settle REF ADDRESS sent|resend|never"
    ),
    DeliveryState.QUARANTINED: (
        "quarantined: a worker died twice while sending it; send it by hand "
        "(distributor release preview REF --for ADDRESS)."
    ),
}


def missed(app: App, ref: str, outlet: str | None) -> list[Line]:
    """Everybody who has not got a release; once it was corrected or withdrawn, that version.

    Who missed an earlier text has missed nothing that still holds.
    """
    version = app.review.release(ref).version
    replaced = version.sequel is not None and version.sequel.kind in REPLACING
    states = Filter(MISSED, outlet, version.id if replaced else None)
    return list(app.review.log(ref, states))


def show_missed(app: App, ref: str, lines: list[Line]) -> None:
    """Print everybody who has not got the release, then what can be done, state by state."""
    _show_untold(app, ref)
    if not lines:
        _say_nobody(app, ref)
        return
    zone = app.settings.desk.zone
    for line in lines:
        known = ", ".join(part for part in (line.name, line.outlet) if part)
        say((known or line.address, "bold"), "  ", line.address if known else "")
        due = f"; next try {moment(line.due_at, zone)}" if line.due_at else ""
        reason = answer(line).plain or "not tried yet"
        say_field("", f"{line.state}: {reason}{due}", width=_INDENT)
    say()
    people = "1 has" if len(lines) == 1 else f"{len(lines)} have"
    say(f"{people} not got {ref}, as far as is known.")
    for state, words in _REMEDIES.items():
        if any(line.state is state for line in lines):
            say(words.replace("REF", ref))


def _show_untold(app: App, ref: str) -> None:
    """Print, by address, who has an earlier version and cannot be told by mail."""
    view, members = app.review.audience(ref)
    if view is None or not view.wave.audience.had:
        return
    untold = [each for each in members if each.reason and each.reason != _TOLD]
    for each in untold:
        say((each.address, "bold"))
        say_field("", f"left out: {each.reason}, {each.evidence}", width=_INDENT)
    if untold:
        say(f"They may have an earlier version and get no mail about the {view.wave.kind}: ring.")
        say()


def _say_nobody(app: App, ref: str) -> None:
    waves = app.review.release(ref).waves
    if waves and waves[-1].counts:
        say(f"Nobody: all {sum(waves[-1].counts.values())} have got {ref}.")
    else:
        say_why_empty(app, ref)


def answer(line: Line) -> Text:
    """What the server said: all of it unless the mail was accepted and the line is full."""
    said = f"{line.code or ''} {line.reply or ''}".strip()
    if not said and line.state is DeliveryState.UNCERTAIN:
        said = "the answer was lost"
    return Text(said, overflow="ellipsis" if line.state is DeliveryState.ACCEPTED else None)


def say_why_empty(app: App, ref: str) -> None:
    """Say why a log has no line, and what to do next."""
    view = app.review.release(ref)
    if not view.waves:
        say(f"{ref} is not scheduled. Next: distributor release schedule {ref} --list NAME")
    elif view.waves[-1].wave.sealed_at is None:
        say(unsealed_text(view.waves[-1].wave))
    else:
        say("No delivery matches.")
