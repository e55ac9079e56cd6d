"""How drafts, releases and moments are shown to people."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from distributor.cli.attaching import attachment_words
from distributor.cli.output import console, print_table, say, say_field, state_text
from distributor.core.hold import going_on, hold_words
from distributor.core.model import EmbargoState
from distributor.core.states import DeliveryState, VersionState, WaveState
from distributor.core.timing import describe
from distributor.desk.releases import embargo_words, orders_that_state

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from distributor.core.forecast import Forecast
    from distributor.core.model import Draft, Embargo, Version, Wave
    from distributor.review import ReleaseView, WaveView

_OVER = frozenset({WaveState.FINISHED, WaveState.CANCELLED})
_EXCERPT = 400
_FIELD = 13

#: The server took the mail; what a return said later is told apart.
_ARRIVED = frozenset({DeliveryState.ACCEPTED})
_WAITING = frozenset({DeliveryState.QUEUED, DeliveryState.SENDING})


def moment(at: datetime, zone: str) -> str:
    """An instant as people of that zone say it, with zone and offset."""
    return describe(at, zone)


def brief(at: datetime, zone: str) -> str:
    """An instant for a table: date and minute of the zone's clocks, and the zone's name then."""
    return at.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M %Z")


def embargo_text(embargo: Embargo) -> str:
    """An embargo in one line, with every doubt."""
    match embargo.state:
        case EmbargoState.NONE:
            return "none stated"
        case EmbargoState.IMMEDIATE:
            return "none: for immediate release"
        case EmbargoState.EMBARGOED:
            at, local = embargo.at, embargo.local
            return moment(at, local.zone) if at and local else ""
        case EmbargoState.UNCLEAR:
            return f"UNCLEAR: {embargo_words(embargo)}. {' '.join(embargo.doubts)}"


def say_next(version: Version) -> None:
    """Print what a person does next with a version that nothing is planned for."""
    for line in _next_step(version).splitlines():
        say(line)


def _next_step(version: Version) -> str:
    ref = version.ref
    if version.draft.embargo.state is EmbargoState.UNCLEAR:
        first, *others = orders_that_state(version)
        if not others:
            return f"State the embargo: {first}"
        return "\n  ".join(("State the embargo by one of these:", first, *others))
    if version.state is VersionState.APPROVED and version.sequel is not None:
        return f"Next: distributor release schedule {ref}, to those who may have an earlier version"
    if version.state is VersionState.APPROVED:
        return f"Next: distributor release schedule {ref} --list NAME"
    return f"Next: distributor release approve {ref}"


def show_draft(draft: Draft) -> None:
    """Print a draft field by field; absent fields are named, so that nothing is overlooked."""
    _field("Embargo", embargo_text(draft.embargo))
    _field("Label", draft.label)
    _field("Headline", draft.headline)
    _field("Subheadline", draft.subheadline)
    if draft.dateline is not None:
        day = draft.dateline.date.isoformat() if draft.dateline.date else None
        _field("Dateline", ", ".join(part for part in (draft.dateline.place, day) if part))
    _field("Body", textwrap.shorten(draft.body, _EXCERPT, placeholder=" …") or None)
    for quote in draft.quotes:
        _field("Quote", textwrap.shorten(quote, _EXCERPT, placeholder=" …"))
    _field("End marker", draft.end_marker)
    for contact in draft.contacts:
        known = (contact.name, contact.belongs, contact.phone, contact.email)
        _field("Contact", ", ".join(part for part in known if part))
    for note in draft.notes:
        _field("Note", textwrap.shorten(note, _EXCERPT, placeholder=" …"))
    for item in draft.boilerplate:
        name = f"About {item.organisation or '(unnamed)'}: "
        _field("Boilerplate", name + textwrap.shorten(item.text, _EXCERPT, placeholder=" …"))

    show_attachments(draft)


def show_attachments(draft: Draft) -> None:
    """Print what goes with a release: name, type and size, and what is said of a picture."""
    for each in draft.attachments:
        _field("Picture" if each.picture else "Attachment", attachment_words(each))
        if each.picture is not None:
            said = (f"shown as “{each.picture.alt}”", each.picture.caption, each.picture.credit)
            _field("", "; ".join(part for part in said if part))


def _field(name: str, value: str | None) -> None:
    say_field(name, value, width=_FIELD)


def due_text(view: ReleaseView, zone: str) -> str:
    """When a release's newest wave is due, in the desk's zone; else its embargo."""
    if view.waves:
        return brief(view.waves[-1].wave.send_at, zone)
    embargo = view.version.draft.embargo
    return brief(embargo.at, zone) if embargo.at else ""


def show_release(view: ReleaseView, zone: str, forecasts: Mapping[int, Forecast]) -> None:
    """Print a release with its waves and their numbers."""
    version = view.version
    edition = f"  version {version.number}"
    if view.state != version.state:
        edition += f" ({version.state})"
    if version.sequel is not None:
        edition += f", a {version.sequel.kind}"
    if view.withdrawn:
        edition += ", withdrawn"
    say((version.ref, "bold"), "  ", state_text(view.state), edition)
    if version.sequel is not None:
        _field("Why", version.sequel.reason)
    show_draft(version.draft)
    sender = version.sender
    _field("From", f"{sender.name} <{sender.address}>")
    _field("Reply-To", sender.reply_to or "as From")
    if version.approved_at:
        _field("Approved", moment(version.approved_at, zone))
        _field("Seal", version.seal)
    for item in view.waves:
        console.print()
        _show_wave(item, zone, forecasts.get(item.wave.id))
    if not any(item.wave.version_id == version.id for item in view.waves):
        console.print()
        say_next(version)


def _show_wave(item: WaveView, zone: str, seen: Forecast | None) -> None:
    wave = item.wave
    held = wave.state is WaveState.HELD
    reason = f" ({wave.reason})" if wave.reason else ""
    say(
        (f"{wave.kind.value.capitalize()} wave  ", "bold"),
        state_text(wave.state.value),
        f"{reason}, to {_to(item)}",
        f" without {', '.join(item.exclude)}" if item.exclude else "",
    )
    if held:
        _field("Held", f"{hold_words(wave)}. Nothing of it leaves.")
        _field("To go on", going_on(wave))
    _field("Send time", moment(wave.send_at, zone))
    if wave.first_mail_at is not None:
        late_s = (wave.first_mail_at - wave.send_at).total_seconds()
        _field("First mail", f"{late_s:.3f} s after the send time")
    if seen is not None:
        _field("Forecast", seen.said(zone))
    if wave.finished_at is not None:
        _field("Finished", moment(wave.finished_at, zone))
    show_counts(item)


def _to(item: WaveView) -> str:
    """Whom a wave is for, in words."""
    rule = item.wave.audience
    had = ("everybody who may have an earlier version",) if rule.had else ()
    again = (f"those who are {' or '.join(rule.again)}",) if rule.again else ()
    return ", ".join((*had, *again, *item.lists))


def unsealed_text(wave: Wave) -> str:
    """Why a wave has no recipients yet, or never had."""
    if wave.state in _OVER:
        return f"{wave.ref} was taken back before it began: nothing had left."
    return f"The audience is sealed shortly before it leaves: {wave.ref} is {wave.state}."


def show_counts(item: WaveView) -> None:
    """Print the exact numbers of a wave: states, their sum, and the audience they add up to."""
    wave = item.wave
    if wave.recipients is None:
        say(unsealed_text(wave))
        return
    rows = [(state_text(state.value), f"{number:>7}") for state, number in item.counts.items()]
    print_table(("STATE", " NUMBER"), rows)
    total = sum(item.counts.values())
    excluded = f"; {wave.exclusions} more excluded" if wave.exclusions else ""
    say(f"{total} of {wave.recipients} recipients accounted for{excluded}.")
    _say_who_did_not(item)
    if item.unsettled and wave.state in _OVER:
        say(
            (f"{item.unsettled} unsettled. ", "bold magenta"),
            f"Decide: distributor settle {wave.ref} --all sent|resend|never",
        )


def _say_who_did_not(item: WaveView) -> None:
    """Name the one command that shows who has not got it, and why."""
    without = [state for state in item.counts if state not in _ARRIVED | _WAITING]
    number = sum(item.counts[state] for state in without)
    if number:
        say(f"{number} not accepted: distributor log {item.wave.ref} --missed")
