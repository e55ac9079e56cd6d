"""The progress of a release, live: ``distributor log REF --follow``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.live import Live
from rich.text import Text

from distributor.cli.missed import say_why_empty
from distributor.cli.output import console, say, state_text
from distributor.cli.reading import moment, show_counts

if TYPE_CHECKING:
    from distributor.app import App
    from distributor.review import WaveView

#: Pause between two looks, in seconds.
_FOLLOW_S = 0.5


def show_progress(app: App, ref: str) -> None:
    """Show numbers live on a terminal, or a line per change of numbers elsewhere."""
    if not app.review.release(ref).waves:
        say_why_empty(app, ref)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        before = ""
        while True:
            item = app.review.release(ref).waves[-1]
            shown = _progress(item)
            if console.is_terminal:
                live.update(_clocked(app, item, shown), refresh=True)
            elif shown.plain != before:
                say(shown.plain.replace("\n", "  "))
                before = shown.plain
            if item.over or item.only_retries:
                break
            time.sleep(_FOLLOW_S)
    show_counts(item)
    if item.only_retries:
        say("Everybody has been tried. What was put off is tried again while a worker runs.")


def _progress(item: WaveView) -> Text:
    """State and numbers: what changes only when something happens."""
    wave = item.wave
    text = Text.assemble((wave.ref, "bold"), "  ", state_text(wave.state.value))
    if wave.reason:
        text.append(f" ({wave.reason.value})")
    if wave.recipients is not None:
        states = ", ".join(f"{number} {state.value}" for state, number in item.counts.items())
        text.append(f"\n{wave.recipients} recipients: {states}")
    return text


def _clocked(app: App, item: WaveView, shown: Text) -> Text:
    """The progress with what moves by the second: the countdown, and whether anybody works."""
    now = app.clock.now()
    text = shown.copy()
    left_s = (item.wave.send_at - now).total_seconds()
    if left_s > 0:
        at = moment(item.wave.send_at, app.settings.desk.zone)
        text.append(f"\nleaves in {_span(left_s)}, at {at}")
    if not app.review.workers_alive(now, within_s=app.settings.worker.lease_s):
        text.append("\nNo worker is running. Start one: distributor run", style="yellow")
    return text


def _span(seconds: float) -> str:
    """A length of time as a countdown shows it: ``1 d 02:03:04``, ``03:04`` or ``4 s``."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days} d {hour:02}:{minute:02}:{second:02}"
    if hours:
        return f"{hour:02}:{minute:02}:{second:02}"
    return f"{minute:02}:{second:02}" if minutes else f"{second} s"
