"""What is said of waves as they are ordered and stopped: whom they reach, and exact numbers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributor.app import App
    from distributor.core.model import Wave
    from distributor.desk.sequels import Audience

#: How long hold and cancel wait for what is on the wire to settle, in seconds.
_SETTLE_S = 15.0
_LOOK_S = 0.1


def tell_audience(planned: Audience) -> None:
    """Say to how many a wave goes and, by address, who cannot be written to."""
    from distributor.cli.output import say, warn
    from distributor.core.audience import ExclusionReason

    wave = planned.wave
    if wave is None:
        return
    kind = "again" if wave.audience.again else f"as a {wave.kind}"
    say((wave.ref, "bold"), f"  goes out {kind} to {planned.recipients}, by what is known now.")
    done = ExclusionReason.ALREADY_SENT
    unreached = [each for each in planned.excluded if each.reason is not done]
    for each in unreached:
        address = each.candidate.recipient.address
        warn(f"{address} cannot be told by mail ({each.reason}: {each.evidence}); ring them.")
    say(f"Who was not reached, when it is over: distributor log {wave.ref} --missed")


def tell_without_workers(application: App) -> None:
    """Warn when nobody is there to send."""
    from distributor.cli.output import say, warn

    alive = application.review.workers_alive(
        application.clock.now(), within_s=application.settings.worker.lease_s
    )
    if not alive:
        warn("no worker is running, so nothing leaves.")
        say("Next: distributor run, and leave it running")


def report_numbers(application: App, wave: Wave) -> None:
    """Wait until nothing is on the wire any more, then say the exact numbers (I7)."""
    from distributor.cli.output import warn
    from distributor.cli.reading import show_counts

    view = application.review.wave(wave.id)
    for _ in range(int(_SETTLE_S / _LOOK_S)):
        if view.settled:
            break
        time.sleep(_LOOK_S)
        view = application.review.wave(wave.id)
    show_counts(view)
    if not view.settled:
        warn(f"a worker still holds some; look again: distributor release show {wave.ref}")
