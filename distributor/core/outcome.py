"""What one SMTP transaction came to: facts of the wire in, a judgement out.

Invariant: a mail whose final dot was written is never called "not sent"; what nobody knows is
called uncertain (design section 6, promise 2).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from distributor.core.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

#: How much of a server's reply is kept, in bytes of UTF-8 (reliability section 6, row 26).
REPLY_LIMIT: Final = 2048
#: Enhanced codes (RFC 3463) saying that the mailbox is not there: they suppress the address.
DEAD_ADDRESS: Final = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"})
#: The server closes (421) or cannot serve anybody just now (454): the relay's fault.
_RELAY_CODES: Final = frozenset({421, 454})
_CLOSING: Final = 421
#: Of how many last answers a wave's fault is read, and how many must be alike.
FAULT_WINDOW: Final = 20
FAULT_COUNT: Final = 10
_ENHANCED = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})(?!\S)")
#: Control, format, unassigned-by-purpose and line-separating characters: never shown raw.
_UNSHOWN: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})


class Phase(StrEnum):
    """How far a transaction came: the step whose answer, or lack of one, ended it.

    ``BODY`` stands for everything between the 354 and the final dot; ``DOT`` for the dot.
    """

    CONNECT = "connect"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    BODY = "body"
    DOT = "dot"


class Blame(StrEnum):
    """Whom a failure acts on: this recipient, the relay, the whole wave, or nobody."""

    RECIPIENT = "recipient"
    RELAY = "relay"
    WAVE = "wave"
    NONE = "none"


class TransactionFacts(NamedTuple):
    """What was seen on the wire during one transaction. A tuple: every mail makes one.

    ``code`` is None when no whole reply was read; ``reply`` is the server's text without its
    code, cleaned (:func:`clean_reply`). ``dotted``: the final dot was written. ``cut``: lost or
    timed out. ``odd``: malformed, or more than was asked for. ``shut``: why the gate was found
    shut. ``local``: the reply is ours, the server was not asked.
    """

    phase: Phase
    code: int | None = None
    enhanced: str | None = None
    reply: str = ""
    dotted: bool = False
    cut: bool = False
    odd: bool = False
    shut: str | None = None
    local: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """An outcome, whom it acts on, and whether to drop the connection or suppress the address."""

    outcome: Outcome
    blame: Blame
    drop: bool = False
    suppress: bool = False


#: What nearly every mail comes to; made once, as it is asked for at every mail.
_TAKEN: Final = Judgement(Outcome.ACCEPTED, Blame.NONE)
#: Replies before the dot, by phase and first digit. Whatever is not here is the relay's fault.
_REFUSALS: Final[dict[tuple[Phase, int], tuple[Outcome, Blame]]] = {
    (Phase.MAIL, 5): (Outcome.NOT_SENT, Blame.WAVE),
    (Phase.RCPT, 4): (Outcome.DEFERRED, Blame.RECIPIENT),
    (Phase.RCPT, 5): (Outcome.REFUSED, Blame.RECIPIENT),
    (Phase.DATA, 4): (Outcome.NOT_SENT, Blame.NONE),
    (Phase.DATA, 5): (Outcome.REFUSED, Blame.RECIPIENT),
    (Phase.BODY, 4): (Outcome.DEFERRED, Blame.RECIPIENT),
    (Phase.BODY, 5): (Outcome.REFUSED, Blame.RECIPIENT),
}


def judge(facts: TransactionFacts) -> Judgement:
    """Decide what a transaction came to (design section 6, reliability section 3).

    A reply is judged by its first digit. An odd reply that can be read keeps its outcome, but
    the connection is dropped.
    """
    if facts.dotted:
        if _first_digit(facts) == 2 and not facts.odd and not facts.cut:  # noqa: PLR2004
            return _TAKEN
        outcome, blame = _after_the_dot(facts)
    elif facts.shut is not None:
        outcome, blame = Outcome.NOT_SENT, Blame.NONE
    else:
        outcome, blame = _before_the_dot(facts)
    return Judgement(
        outcome=outcome,
        blame=blame,
        drop=_must_drop(facts, outcome),
        suppress=_suppresses(facts, outcome),
    )


def _first_digit(facts: TransactionFacts) -> int | None:
    return None if facts.code is None else facts.code // 100


def _after_the_dot(facts: TransactionFacts) -> tuple[Outcome, Blame]:
    match _first_digit(facts):
        case 2:
            return Outcome.ACCEPTED, Blame.NONE
        case 4:
            return (
                Outcome.DEFERRED,
                Blame.RELAY if facts.code in _RELAY_CODES else Blame.RECIPIENT,
            )
        case 5:
            return Outcome.REFUSED, Blame.RECIPIENT
        case _:
            return Outcome.UNCERTAIN, Blame.NONE


def _before_the_dot(facts: TransactionFacts) -> tuple[Outcome, Blame]:
    if facts.phase is Phase.CONNECT or facts.code in _RELAY_CODES:
        return Outcome.NOT_SENT, Blame.RELAY
    if facts.code is None:
        # A cut, or our own flight log: another connection will do. Garbage is the relay's.
        return Outcome.NOT_SENT, Blame.RELAY if facts.odd else Blame.NONE
    return _REFUSALS.get((facts.phase, facts.code // 100), (Outcome.NOT_SENT, Blame.RELAY))


def _must_drop(facts: TransactionFacts, outcome: Outcome) -> bool:
    """Whether the connection may not carry another mail.

    Past the 354 there is no way back to a clean envelope without a dot, so anything that ends
    there drops it; so does an answer of a kind that was not asked for.
    """
    if facts.odd or facts.cut or facts.code == _CLOSING or outcome is Outcome.UNCERTAIN:
        return True
    if facts.dotted:
        return False
    if facts.phase in {Phase.CONNECT, Phase.BODY, Phase.DOT}:
        return True
    if facts.phase is Phase.DATA and outcome is Outcome.NOT_SENT:
        return True
    return _first_digit(facts) in {1, 2, 3}


def _suppresses(facts: TransactionFacts, outcome: Outcome) -> bool:
    return (
        outcome is Outcome.REFUSED
        and not facts.local
        and (facts.dotted or facts.phase is Phase.RCPT)
        and facts.enhanced in DEAD_ADDRESS
    )


def wave_fault(codes: Sequence[int | None]) -> int | None:
    """Return the reply code for which a wave must be held (reason ``refused``), if there is one.

    ``codes`` are the answers of a wave's transactions in order, None where there was no answer.
    One 5xx code at least ten times, and in at least half of the last twenty, is no longer about
    recipients: it is the sender, the content or a quota (design section 6).
    """
    recent = codes[-FAULT_WINDOW:]
    counts = Counter(code for code in recent if code is not None and code // 100 == 5)  # noqa: PLR2004
    if not counts:
        return None
    code, count = counts.most_common(1)[0]
    return code if count >= FAULT_COUNT and 2 * count >= len(recent) else None


def parse_enhanced(reply: str) -> str | None:
    """Read the enhanced status code (RFC 3463) that opens a reply's text, if one does."""
    match = _ENHANCED.match(reply)
    return match[1] if match else None


def clean_reply(raw: bytes) -> str:
    """Make a server's words safe to store and show: at most 2 KiB, nothing invisible left raw.

    Bytes that are no UTF-8 and characters that steer a terminal, a log or the direction of
    reading become backslash escapes (reliability section 6, row 26). HTML is the page's matter.
    """
    if len(raw) <= REPLY_LIMIT and raw.isascii() and (plain := raw.decode("ascii")).isprintable():
        return plain
    kept: list[str] = []
    room = REPLY_LIMIT
    for character in raw[:REPLY_LIMIT].decode("utf-8", "backslashreplace"):
        shown = character
        if unicodedata.category(character) in _UNSHOWN:
            shown = character.encode("unicode_escape").decode("ascii")
        room -= len(shown.encode())
        if room < 0:
            break
        kept.append(shown)
    return "".join(kept)
