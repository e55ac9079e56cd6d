"""The judge: the receiver's record against what the log says, address by address.

It reads the database file by itself and asks the program nothing.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from tests.torture.virtual import BEGIN

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from tests.torture.receiver import Seen

#: A hold, a cancellation or an objection counts from so many seconds after it was given (I7).
GRACE_S: Final = 1.0
#: Two clocks that count microseconds may differ by so much, in seconds, about one instant.
_RESOLUTION_S: Final = 2e-6
#: What changed so close to the sealing, in seconds, may be in it or not.
_CLOSE_S: Final = 0.6
_EXPECTED_HEADERS: Final = frozenset(
    {
        *("from", "to", "subject", "date", "message-id", "mime-version", "content-type"),
        *("content-language", "x-distributor-delivery", "list-id", "list-unsubscribe"),
        *("list-unsubscribe-post", "reply-to", "sender", "organization", "auto-submitted"),
        *("precedence", "content-transfer-encoding", "x-auto-response-suppress", "feedback-id"),
    }
)
#: What the log may say of somebody whose server took nothing, and said nothing.
_WAITING: Final = frozenset({"queued", "sending", "deferred"})
_GONE: Final = frozenset({"expired", "cancelled", "suppressed", "quarantined"})


@dataclass
class Span:
    """From when on nothing may leave, and until when."""

    from_s: float
    until_s: float = float("inf")

    def forbids(self, at_s: float) -> bool:
        return self.from_s + GRACE_S < at_s < self.until_s


@dataclass
class Change:
    """Somebody came to an audience, or left it."""

    at_s: float
    address: str
    joins: bool


@dataclass
class History:
    """What was ordered, by the true time in seconds after the beginning."""

    policy: str = "hold"
    begin: datetime = BEGIN
    audiences: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    lifts: dict[str, float] = field(default_factory=dict[str, float])
    holds: dict[str, list[Span]] = field(default_factory=dict[str, list[Span]])
    objected: dict[str, float] = field(default_factory=dict[str, float])
    changes: dict[str, list[Change]] = field(default_factory=dict[str, list[Change]])
    settled: set[str] = field(default_factory=set[str])

    def scheduled(self, ref: str, audience: set[str], *, lift_s: float) -> None:
        self.audiences[ref] = audience
        self.lifts[ref] = lift_s

    def changed(self, ref: str, at_s: float, address: str, *, joins: bool) -> None:
        self.changes.setdefault(ref, []).append(Change(at_s, address, joins))

    def sealed(self, ref: str, at_s: float) -> tuple[set[str], set[str]]:
        """Who must be in an audience sealed then, and who may be as well."""
        audience = set(self.audiences[ref])
        either: set[str] = set()
        objections = [Change(at, who, joins=False) for who, at in self.objected.items()]
        for change in sorted([*self.changes.get(ref, ()), *objections], key=lambda c: c.at_s):
            if abs(change.at_s - at_s) <= _CLOSE_S:
                either.add(change.address)
            elif change.at_s < at_s:
                (audience.add if change.joins else audience.discard)(change.address)
        return audience - either, either


@dataclass
class Verdict:
    """What a run came to. Every fault found has a line in ``says``."""

    counts: Counter[str] = field(default_factory=Counter[str])
    says: list[str] = field(default_factory=list[str])

    KINDS = ("lost", "silent", "early", "doubled", "unexpected")

    def find(self, kind: str, words: str) -> None:
        self.counts[kind] += 1
        self.says.append(f"{kind}: {words}")

    @property
    def guilty(self) -> bool:
        return any(self.counts[kind] for kind in self.KINDS)


@dataclass(frozen=True)
class _Row:
    """One delivery as the log has it."""

    ref: str
    address: str
    message_id: str
    state: str
    reply: str
    uncertain_attempts: int
    #: Claims under which it was accepted, and never in doubt.
    clear: int

    @property
    def excused(self) -> bool:
        """Whether an earlier copy may have arrived without anybody's knowing."""
        return self.uncertain_attempts > 0 and not self.clear


def sums_hold(database: Path) -> bool:
    """I3, at any instant: each sealed wave has as many rows as were sealed, and as were hashed."""
    with closing(sqlite3.connect(database)) as db:
        waves = db.execute(
            "SELECT id, recipients, exclusions, audience_hash FROM waves WHERE sealed_at NOTNULL"
        ).fetchall()
        for wave, recipients, exclusions, _ in waves:
            rows = db.execute("SELECT count(*) FROM deliveries WHERE wave_id = ?", (wave,))
            out = db.execute("SELECT count(*) FROM exclusions WHERE wave_id = ?", (wave,))
            if rows.fetchone()[0] != recipients or out.fetchone()[0] != exclusions:
                return False
    return True


def judge_run(database: Path, record: Sequence[Seen], history: History) -> Verdict:
    """Compare everything."""
    verdict = Verdict()
    with closing(sqlite3.connect(database)) as db:
        db.row_factory = sqlite3.Row
        if db.execute("PRAGMA integrity_check").fetchone()[0] != "ok":
            verdict.find("lost", "the database is damaged")
        rows = [row for ref in history.audiences for row in _rows(db, ref)]
        for ref in history.audiences:
            _judge_wave(db, ref, history, rows, verdict)
    kept: dict[str, list[Seen]] = defaultdict(list)
    for seen in record:
        if seen.kept:
            kept[seen.address or ""].append(seen)
    for row in rows:
        _judge_row(row, kept.get(row.address, []), record, history, verdict)
    _judge_times(record, history, verdict)
    _judge_mails(record, rows, history, verdict)
    verdict.counts["kept"] = sum(len(mails) for mails in kept.values())
    return verdict


def _rows(db: sqlite3.Connection, ref: str) -> Iterable[_Row]:
    found = db.execute(
        "SELECT d.*, (SELECT count(*) FROM attempts a WHERE a.delivery_id = d.id"
        "   AND a.outcome = 'uncertain') AS doubts,"
        " (SELECT count(DISTINCT a.token) FROM attempts a WHERE a.delivery_id = d.id"
        "   AND a.outcome = 'accepted' AND a.token NOT IN (SELECT b.token FROM attempts b"
        "     WHERE b.delivery_id = d.id AND b.outcome = 'uncertain')) AS clear"
        " FROM deliveries d JOIN waves w ON w.id = d.wave_id"
        " WHERE w.release_id = ? AND w.sealed_at NOTNULL ORDER BY d.id",
        (int(ref.removeprefix("R-")),),
    )
    for row in found:
        yield _Row(
            ref,
            row["address"],
            row["reference"],
            row["state"],
            row["reply"] or "",
            row["doubts"],
            row["clear"],
        )


def _judge_wave(
    db: sqlite3.Connection, ref: str, history: History, rows: list[_Row], verdict: Verdict
) -> None:
    """The wave has ended, its sums hold, and its audience is the one that was ordered."""
    wave = db.execute(
        "SELECT * FROM waves WHERE release_id = ? ORDER BY id DESC LIMIT 1",
        (int(ref.removeprefix("R-")),),
    ).fetchone()
    mine = [row for row in rows if row.ref == ref]
    if wave["state"] not in {"finished", "cancelled"}:
        states = Counter(row.state for row in mine)
        verdict.find("lost", f"{ref} never ended: {wave['state']} {wave['reason']} {states}")
        return
    if wave["sealed_at"] is None:
        return
    if len(mine) != wave["recipients"]:
        verdict.find("lost", f"{ref}: {wave['recipients']} were sealed, {len(mine)} are there")
    at_s = (_instant(wave["sealed_at"]) - history.begin).total_seconds()
    must, may = history.sealed(ref, at_s)
    there = {row.address for row in mine}
    for address in sorted(must - there):
        verdict.find("lost", f"{address} is not in the audience of {ref}")
    for address in sorted(there - must - may):
        verdict.find("unexpected", f"{address} is in the audience of {ref}")


def _instant(stored: Any) -> datetime:
    if isinstance(stored, int | float):
        return datetime.fromtimestamp(stored / 1e6, UTC)
    at = datetime.fromisoformat(str(stored))
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _judge_row(
    row: _Row, kept: list[Seen], record: Sequence[Seen], history: History, verdict: Verdict
) -> None:
    verdict.counts["uncertain"] += row.state == "uncertain"
    _judge_doubles(row, kept, history, verdict)
    by_hand = row.reply.startswith("settled by")
    where = f"{row.address} of {row.ref}"
    if row.state == "accepted":
        if not kept and not by_hand:
            verdict.find("silent", f"{where} is said to be accepted, and nothing was kept")
    elif row.state == "refused":
        refused = any(seen.refused for seen in record if seen.address == row.address)
        if kept and not row.excused:
            verdict.find("silent", f"{where} is said to be refused, and was kept: {_story(kept)}")
        elif not refused and not row.reply.endswith("(local)"):
            verdict.find("silent", f"{where} is said to be refused, and nobody refused it")
    elif row.state in _WAITING:
        verdict.find("lost", f"{where} is {row.state} for ever")
    elif row.state in _GONE:
        if kept and not row.excused:
            verdict.find("silent", f"{where} is said to be {row.state}, and was kept")
    elif row.state not in {"uncertain", "abandoned"}:
        verdict.find("lost", f"{where} is {row.state}")


def _judge_doubles(row: _Row, kept: list[Seen], history: History, verdict: Verdict) -> None:
    if len(kept) < 2:
        return
    same = len({hashlib.sha256(seen.data).digest() for seen in kept}) == 1
    ordered = history.policy == "resend" or "resend" in history.settled
    in_doubt = row.uncertain_attempts >= len(kept) - 1 and row.clear <= 1
    if ordered and same and in_doubt:
        verdict.counts["doubled in doubt"] += len(kept) - 1
        return
    why = "" if same else ", and they differ"
    verdict.find("doubled", f"{row.address} got {row.ref} {len(kept)} times{why}: {_story(kept)}")


def _story(kept: Sequence[Seen]) -> str:
    return ", ".join(f"{seen.mail_at:.2f} s {seen.fault or 'plainly'}" for seen in kept)


def _judge_times(record: Sequence[Seen], history: History, verdict: Verdict) -> None:
    """No MAIL and no content before the lift, or later than a second after a hold (I1, I7)."""
    for seen in record:
        refs = [ref for ref, people in history.audiences.items() if seen.address in people]
        for at_s, what in ((seen.mail_at, "MAIL"), (seen.content_at, "content")):
            if at_s is None:
                continue
            wrongs = [_wrong(ref, at_s, history) for ref in refs or history.audiences]
            if wrongs and all(wrongs):
                verdict.find("early", f"{what} to {seen.address} at {at_s:.2f} s: {wrongs[0]}")
                break
        objected_s = history.objected.get(seen.address or "")
        if objected_s is not None and seen.mail_at > objected_s + GRACE_S:
            verdict.find("unexpected", f"MAIL to {seen.address} after the objection")


def _wrong(ref: str, at_s: float, history: History) -> str:
    if at_s < history.lifts[ref] - _RESOLUTION_S:
        return f"{ref} lifts at {history.lifts[ref]:.2f} s"
    for span in history.holds.get(ref, ()):
        if span.forbids(at_s):
            return f"{ref} is held from {span.from_s:.2f} to {span.until_s:.2f} s"
    return ""


_HEADER: Final = re.compile(rb"([!-9;-~]+):")


def _judge_mails(
    record: Sequence[Seen], rows: list[_Row], history: History, verdict: Verdict
) -> None:
    """Each mail that was kept is one of the sealed, in the form that was approved."""
    known = {(row.address, f"<{row.message_id}@") for row in rows}
    for seen in record:
        if seen.fault == "RCPT refused, DATA 354" and seen.dotted_at is not None:
            verdict.find("unexpected", f"a mail for the refused {seen.address}")
        if not seen.kept:
            continue
        form = _malformed(seen)
        if form:
            verdict.find("unexpected", f"the mail to {seen.address} {form}")
        elif (seen.address, seen.message_id.partition("@")[0] + "@") not in known:
            verdict.find("unexpected", f"{seen.address} got {seen.message_id}, which is not sealed")
    del history


def _malformed(seen: Seen) -> str:
    head, _, body = seen.data.partition(b"\r\n\r\n")
    names: list[str] = []
    to = b""
    for line in head.split(b"\r\n"):
        if line[:1] in {b" ", b"\t"}:
            to += line if names and names[-1] == "to" else b""
            continue
        found = _HEADER.match(line)
        names.append(found[1].decode().lower() if found else "?")
        if names[-1] == "to":
            to += line
    extra = set(names) - _EXPECTED_HEADERS
    if extra or len(names) != len(set(names)):
        return f"has headers {sorted(extra) or sorted(names)}"
    if to.count(b"@") != 1 or (seen.address or "?").encode() not in to:
        return "is addressed to somebody else"
    plain = seen.data.replace(b"\r\n", b"")
    if b"\r" in plain or b"\n" in plain or b"\0" in plain or not body.endswith(b"\r\n.\r\n"):
        return "has a bare line end"
    return "" if seen.message_id else "has no Message-ID"
