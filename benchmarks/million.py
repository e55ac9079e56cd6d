"""A release to a million: preparing it, the worker's memory, the first page of its log."""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING, Final

from benchmarks.bench import Sample
from benchmarks.office import EXCLUDED, START_S, Office, next_lift, sqlite_copy
from benchmarks.processes import Failed
from benchmarks.receivers import smtp_sink
from distributor.review import Filter

if TYPE_CHECKING:
    from benchmarks.bench import Bench

#: One contact in so many is on the excluding list, and one in so many is suppressed.
_ONE_IN: Final = 500
_PAGE: Final = 50
#: Recipients counted and sealed in a second at the very least: how far ahead the lift must lie.
_SEALED_PER_S: Final = 7_500


def million(bench: Bench) -> dict[str, Sample]:
    """Seal, send and look at one release to ``sizes.million`` contacts on SQLite."""
    count = bench.sizes.million
    excluded = count // _ONE_IN
    with bench.folder() as folder, smtp_sink(folder) as sink:
        url = sqlite_copy(bench.cache, folder, count, excluded=excluded)
        with Office(folder, url, {"relay__port": sink.port}) as office:
            lift = next_lift(START_S + 10 + count / _SEALED_PER_S)
            ref = office.schedule(lift, exclude=[EXCLUDED])
            prepare_s = office.seal()
            office.start()
            sending = office.measure(ref, within_s=3_000.0)
            office.stop()
            office.require_all_accepted(ref)
            sink.require(sending.mails)
            page_ms = _first_page_ms(office, ref)
    notes = {"mails_per_s": sending.per_s, "mails": float(sending.mails)}
    return {
        "prepare-1M-seconds": Sample(prepare_s, notes={"recipients": float(sending.mails)}),
        "rss-1M-mb": Sample(sending.rss_mb, sending.cpu_us, notes=notes),
        "log-page-1M-ms": Sample(page_ms),
    }


def _first_page_ms(office: Office, ref: str) -> float:
    """Milliseconds until the log's first page is there, asked as ``distributor log`` asks."""
    began = time.monotonic()
    page = list(islice(office.app.review.log(ref, Filter()), _PAGE))
    took_ms = (time.monotonic() - began) * 1000
    if len(page) != _PAGE:
        raise Failed(f"the first page of the log has {len(page)} lines")
    return took_ms


def small(bench: Bench) -> dict[str, Sample]:
    """The worker's memory with ``sizes.small`` recipients, to compare with a million."""
    count = bench.sizes.small
    with bench.folder() as folder, smtp_sink(folder) as sink:
        url = sqlite_copy(bench.cache, folder, count)
        with Office(folder, url, {"relay__port": sink.port}) as office:
            ref = office.schedule(next_lift(START_S + 2))
            office.seal()
            office.start()
            sending = office.measure(ref, within_s=600.0)
            office.stop()
            office.require_all_accepted(ref)
    return {"rss-10k-mb": Sample(sending.rss_mb, sending.cpu_us)}
