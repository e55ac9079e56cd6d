"""Who has not got a release, by name, with the reason and what can be done about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from distributor.cli.naming import kinds_text, spoken_of
from distributor.cli.output import say, say_field
from distributor.cli.reading import moment, unsealed_text
from distributor.core.audience import ExclusionReason
from distributor.core.hold import hold_words, resume_order
from distributor.core.states import DeliveryState, WaveState

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
#: The same where another wave must wait for the one that is held.
_HELD_REMEDIES = {
    DeliveryState.REFUSED: (
        "refused: mend the address (distributor contacts edit ADDRESS --address NEW), or what "
        "the server's words name. They can have it again once REF is over."
    ),
    DeliveryState.EXPIRED: (
        "expired: the server put it off until the deadline; ring them. They can have it again "
        "once REF is over."
    ),
}
_REPLACED = "there is a newer version of REF, so this one is not sent again; ring them."
_MEANWHILE = "Nothing of it leaves meanwhile."


def show_missed(app: App, ref: str, found: Missing) -> None:
    """Print everybody who has not got the release, then what can be done, state by state."""
    held = _say_held(ref, found)
    _show_untold(app, found)
    kinds = {view.wave.kind for view in found.waves}
    what = spoken_of(ref, kinds, asked=found.kinds)
    if found.lines and found.untried:
        _say_waiting(app, found, what, held=held)
    elif found.lines:
        _show_people(app, ref, found, what, held=held)
    else:
        _say_nobody(app, ref, found, what)
    if found.left_out:
        say(f"{found.left_out} left out on purpose: distributor release audience {ref}")


def _say_held(ref: str, found: Missing) -> bool:
    """Say first that the newest wave is held, and the way on; gives whether it is."""
    newest = found.release.waves[-1].wave if found.release.waves else None
    if newest is None or newest.state is not WaveState.HELD:
        return False
    say((f"{ref} is held ", "bold yellow"), f"({hold_words(newest)}). ", _MEANWHILE)
    say(f"To go on: {resume_order(newest)}")
    return True


def _say_waiting(app: App, found: Missing, what: str, *, held: bool) -> None:
    """One line for everybody, before anybody was tried."""
    number = len(found.lines)
    wait, they = ("waits", "It") if number == 1 else ("wait", "They")
    send_at = max(view.wave.send_at for view in found.waves)
    at = moment(send_at, app.settings.desk.zone)
    when = f" {they} may leave from {at} on." if send_at > app.clock.now() else ""
    due = "" if held else when or f" The send time was {at}; a worker sends: distributor run"
    say(f"Nothing of {what} was tried yet: {number} {wait}.{due}")


def _show_people(app: App, ref: str, found: Missing, what: str, *, held: bool) -> None:
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
    for state in _REMEDIES:
        versions = {line.version for line in found.lines if line.state is state}
        if versions:
            current = found.release.version.number in versions
            say(_remedy(state, held=held, current=current).replace("REF", ref))


def _remedy(state: DeliveryState, *, held: bool, current: bool) -> str:
    """What to do about deliveries in that state; ``current`` if some are of the newest version."""
    if state in _HELD_REMEDIES and held:
        return _HELD_REMEDIES[state]
    if state in _HELD_REMEDIES and not current:
        return f"{state}: {_REPLACED}"
    return _REMEDIES[state]


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
