"""How log records leave the program: facts on stderr, as text for people or as JSON.

Invariant: no address and no word of a release is ever logged; rows are named by their keys.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from typing import TYPE_CHECKING, TextIO, cast

import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor


class _Unfailing(io.TextIOBase):
    """Standard error that never fails: a log on a full disk, or read by nobody, stops no mail."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str, /) -> int:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


def _marked(child: int) -> Processor:
    def mark(_logger: object, _method: str, record: EventDict) -> EventDict:
        record["child"] = child
        return record

    return mark


def set_up(level: str, form: str, *, child: int | None = None) -> None:
    """Log from ``level`` on (debug … error); ``form`` is ``text`` or ``json``.

    ``child``: the number of this worker among several, so that their records are told apart.
    """
    out = cast("TextIO", _Unfailing(sys.stderr))
    last: Processor = structlog.processors.JSONRenderer()
    if form == "text":
        last = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=24)
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    numeric = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, *([] if child is None else [_marked(child)]), last],
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        # A record and its end in one write: several processes write to the same place.
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    # Libraries speak through the standard logging: only what matters, through the same door.
    logging.basicConfig(
        stream=_Unfailing(sys.stderr), level=logging.WARNING, format="%(message)s", force=True
    )
    # The ticks say themselves what failed; the ticker would add addresses out of a statement, and
    # a warning for every tick that found the last one still running, which is on purpose.
    logging.getLogger("apscheduler").setLevel(logging.CRITICAL)
