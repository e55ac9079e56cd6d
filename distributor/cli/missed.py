"""Who has not got a release, by name, with the reason and what can be done about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from distributor.cli.naming import kinds_text, spoken_of
from distributor.cli.output import say, say_field
from distributor.cli.reading import moment, unsealed_text
from distributor.core.audience import ExclusionReason
from distributor.core.states import DeliveryState

if TYPE_CHECKING:
    from distributor.app import App
    from distributor.review import Line, Missing

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


def show_missed(app: App, ref: str, found: Missing) -> None:
    """Print everybody who has not got the release, then what can be done, state by state."""
    _show_untold(app, found)
    kinds = {view.wave.kind for view in found.waves}
    what = spoken_of(ref, kinds, asked=found.kinds)
    if found.lines:
        _show_people(app, ref, found, what)
    else:
        _say_nobody(app, ref, found, what)
    if found.left_out:
        say(f"{found.left_out} left out on purpose: distributor release audience {ref}")


def _show_people(app: App, ref: str, found: Missing, what: str) -> None:
    zone = app.settings.desk.zone
    for line in found.lines:
        known = ", ".join(part for part in (line.name, line.outlet) if part)
        say((known or line.address, "bold"), "  ", line.address if known else "")
        due = f"; next try {moment(line.due_at, zone)}" if line.due_at else ""
        reason = answer(line).plain or "not tried yet"
        say_field("", f"{line.state}: {reason}{due}", width=_INDENT)
    say()
    people = "1 has" if len(found.lines) == 1 else f"{len(found.lines)} have"
    say(f"{people} not got {what}, as far as is known.")
    for state, words in _REMEDIES.items():
        if any(line.state is state for line in found.lines):
            say(words.replace("REF", ref))


def _show_untold(app: App, found: Missing) -> None:
    """Print, by address, who has an earlier version and cannot be told by mail."""
    about = [view.wave for view in found.waves if view.wave.audience.had]
    untold = {each.address: each for each in app.review.excluded(about) if each.reason != _TOLD}
    for each in untold.values():
        say((each.address, "bold"))
        say_field("", f"left out: {each.reason}, {each.evidence}", width=_INDENT)
    if untold:
        kind = kinds_text({wave.kind for wave in about})
        say(f"They may have an earlier version and get no mail about the {kind}: ring.")
        say()


def _say_nobody(app: App, ref: str, found: Missing, what: str) -> None:
    if found.arrived and found.outlet is not None:
        say(f"Nobody of {found.outlet}: all {found.arrived} have got {what}.")
    elif found.arrived:
        say(f"Nobody: all {found.arrived} have got {what}.")
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
