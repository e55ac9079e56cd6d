"""When a release text may be published, read from its own wording, with the evidence.

Invariant: an instant is given only where nothing is in doubt. A wrong embargo is the worst error
this program can make, so whatever is left over, missing or contradicted becomes a doubt, and one
doubt is enough to hold and ask (design section 8; practice 56-58).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from distributor.core.agreement import Said, said_of, spellings
from distributor.core.clause import (
    TIMED,
    Desk,
    Reading,
    completed,
    in_words,
    is_same_day,
    read_clauses,
)
from distributor.core.model import Embargo, EmbargoState
from distributor.core.notice import NoticeKind, find_notices
from distributor.core.timing import MONTHS, find_zone
from distributor.core.vocabulary import Day, Kind, plain, read_words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from distributor.core.model import WallTime
    from distributor.core.notice import Notice


@dataclass(frozen=True, slots=True)
class Found:
    """An embargo and where it stood: ``lines``, from 0, that say nothing else.

    ``said`` is what the text says of it, whether or not that is enough for an embargo.
    """

    embargo: Embargo
    lines: frozenset[int] = frozenset()
    disagrees: bool = False
    said: tuple[Said, ...] = ()


def read_embargo(text: str, *, received: date, zone: str) -> Embargo:
    """What ``text`` says about its release time.

    ``received`` and ``zone`` (the desk's, IANA) complete what the text leaves out; a completed
    reading is never certain, and its doubts say what was completed.

    Raises:
        EmbargoUnclear: The desk's ``zone`` is unknown. Nothing in ``text`` raises.

    """
    return find_embargo(text.splitlines(), received=received, zone=zone).embargo


def find_embargo(lines: Sequence[str], *, received: date, zone: str) -> Found:
    """As :func:`read_embargo`, for a text in lines, with the lines that the wording takes up."""
    find_zone(zone)
    desk = Desk(received, zone)
    notices = find_notices(lines)
    immediate = [notice for notice in notices if notice.kind is NoticeKind.IMMEDIATE]
    stated = [notice for notice in notices if notice.kind is NoticeKind.STATEMENT]
    mentions = [notice for notice in notices if notice.kind is NoticeKind.MENTION]
    taken = {notice.line for notice in (*immediate, *stated) if notice.whole}
    readings: list[Reading] = []
    for notice in stated:
        reading, more = _read_on(notice, lines, desk)
        readings.append(reading)
        taken.update(more if notice.whole else ())
    embargo, disagrees = _join(readings, immediate, mentions, desk)
    said = _said(readings, immediate, mentions, desk)
    if embargo.state is EmbargoState.UNCLEAR:
        spelled = spellings(said, desk, at_once=bool(immediate))
        embargo = replace(embargo, readings=spelled)
    return Found(embargo, frozenset(taken), disagrees, said)


def _said(
    readings: list[Reading],
    immediate: list[Notice],
    mentions: list[Notice],
    desk: Desk,
) -> tuple[Said, ...]:
    """All that was said, one for each statement."""
    said = [said_of(reading, desk) for reading in readings]
    # "For immediate release, 1 December" a week before: at once, or on that day.
    said.extend(
        replace(said_of(read_clauses(notice, notice.wording, desk), desk), free=True)
        for notice in immediate
    )
    if mentions and not said:
        said.append(Said(free=True))
    return tuple(said)


def _join(
    readings: list[Reading],
    immediate: list[Notice],
    mentions: list[Notice],
    desk: Desk,
) -> tuple[Embargo, bool]:
    """One embargo out of all that was said, and whether it contradicts itself."""
    if readings and immediate:
        first, other = readings[0], immediate[0]
        doubt = (
            f"Line {other.line + 1} says “{other.text}” and line {first.line + 1} says "
            f"“{first.text}”: which holds?"
        )
        return _unclear(f"{first.text}\n{other.text}", (doubt, *first.doubts), first.local), True
    if readings:
        return _join_readings(readings)
    if immediate:
        return _immediate(immediate, desk), False
    if mentions:
        doubt = "The text speaks of an embargo but states no time: until when is it embargoed?"
        return _unclear(mentions[0].text, (doubt,), None), False
    return Embargo(), False


def _join_readings(readings: list[Reading]) -> tuple[Embargo, bool]:
    # The statement that leaves least in doubt speaks; the others must not contradict it.
    best = min(readings, key=lambda reading: (not reading.is_certain, len(reading.doubts)))
    clashes = [other for other in readings if other is not best and not _agrees(other, best)]
    doubts = list(best.doubts)
    doubts.extend(
        f"Line {best.line + 1} says “{best.text}” and line {other.line + 1} says “{other.text}”: "
        f"which holds?"
        for other in clashes
    )
    if doubts or best.at is None:
        text = "\n".join(dict.fromkeys(reading.text for reading in (best, *clashes)))
        return _unclear(text, tuple(doubts), best.local), bool(clashes)
    embargo = Embargo(EmbargoState.EMBARGOED, best.at, best.local, best.text)
    return embargo, False


def _agrees(other: Reading, best: Reading) -> bool:
    """Whether ``other`` says nothing that ``best`` does not say, too."""
    if other.is_certain or best.at is None:
        return other.at == best.at and (other.at is not None or other.text == best.text)
    if not other.is_only_short:
        return False
    same_day = other.day is None or best.day is None or is_same_day(other.day, best.day)
    same_hour = (
        other.hour is None or best.hour is None or other.hour.clock in {None, best.hour.clock}
    )
    # A zone of its own that the best does not share would have made another instant.
    same_instant = other.at is None or Kind.ZONE not in other.parts or other.at == best.at
    return same_day and same_hour and same_instant


def _immediate(notices: list[Notice], desk: Desk) -> Embargo:
    for notice in notices:
        for word in read_words(plain(notice.wording)):
            if isinstance(word.value, Day) and completed(word.value, desk) > desk.received:
                doubt = (
                    f"“{notice.text}” gives a day after {in_words(desk.received)}, when the text "
                    f"was received: at once, or on {in_words(completed(word.value, desk))}?"
                )
                return _unclear(notice.text, (doubt,), None)
    return Embargo(EmbargoState.IMMEDIATE, text=notices[0].text)


def _unclear(text: str, doubts: tuple[str, ...], local: WallTime | None) -> Embargo:
    unique = tuple(dict.fromkeys(doubts))
    return Embargo(EmbargoState.UNCLEAR, None, local, text, unique)


def _read_on(
    notice: Notice,
    lines: Sequence[str],
    desk: Desk,
) -> tuple[Reading, tuple[int, ...]]:
    """Read a notice, with the following lines where the wording goes on there."""
    alone = read_clauses(notice, notice.wording, desk)
    if alone.is_certain or not notice.text.strip() or not _ends_line(notice, lines):
        return alone, ()
    wording, text = notice.wording, notice.text
    taken: list[int] = []
    best: tuple[Reading, tuple[int, ...]] = (alone, ())
    for number in _following(notice.line, lines, skip=not alone.parts):
        wording, text = f"{wording} {lines[number].strip()}", f"{text}\n{lines[number].strip()}"
        if _is_only_timed(lines[number]):
            taken.append(number)
        longer = read_clauses(notice, wording, desk, text=text)
        if longer.is_certain:
            return longer, tuple(taken)
        if number in taken and longer.parts > best[0].parts:
            best = longer, tuple(taken)
    return best


def _ends_line(notice: Notice, lines: Sequence[str]) -> bool:
    return lines[notice.line].rstrip().endswith(notice.text)


def _following(line: int, lines: Sequence[str], *, skip: bool) -> list[int]:
    """Up to two more lines; over one empty line only when nothing was said yet."""
    numbers = [
        number
        for number in range(line + 1, min(line + 4, len(lines)))
        if lines[number].strip()
        and not any(word in lines[number].casefold() for word in ("embargo",))
    ][:2]
    gap = 2 if skip else 1
    kept: list[int] = []
    for before, number in pairwise([line, *numbers]):
        if number - before > (gap if before == line else 1):
            break
        kept.append(number)
    return kept


def _is_only_timed(line: str) -> bool:
    """Whether a line is nothing but a time, or the rest of one: "December 2026 GMT"."""
    words = read_words(plain(line))
    rest = [word for word in words if word.kind not in TIMED and word.kind is not Kind.FILLER]
    months = any(word.text.capitalize() in MONTHS for word in rest)
    return (months or any(word.kind in TIMED for word in words)) and all(
        word.text.isdigit() or word.text.capitalize() in MONTHS for word in rest
    )
