"""From samples to ``results.json`` and ``RESULTS.md``: medians, spread, ratios, goals."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.bench import Sample

ANCHOR: Final = "smtp-source"
RATE: Final = "mails/s"

#: Every row in the order it is shown: its unit, and what was measured.
ROWS: Final[Mapping[str, tuple[str, str]]] = {
    "ours/sqlite": (RATE, "our whole path, SQLite, one worker process, 10 connections"),
    "ours/postgresql": (RATE, "the same on PostgreSQL, its default settings, unix socket"),
    "ours/sqlite+tls": (
        RATE,
        (
            "through TLS from the first byte, ended by HAProxy before the sink; smtp-source knows "
            "no TLS, its figure is that of the plain sink"
        ),
    ),
    "ours/sqlite+dkim-rsa": (RATE, "each mail signed with RSA of 2048 bits"),
    "ours/sqlite+dkim-ed25519": (RATE, "each mail signed with Ed25519"),
    "ours/sqlite-no-pipelining": (RATE, "to a sink that offers no PIPELINING"),
    "ours/sqlite-20ms": (
        RATE,
        (
            "20 ms of round trip (a proxy that delays both ways), 50 connections; ratio to "
            "smtp-source the same way with 50"
        ),
    ),
    "ours/postfix": (
        RATE,
        (
            "to a Postfix that queues each mail on disk, then discards it; ratio to smtp-source to "
            "that same Postfix"
        ),
    ),
    "smtp-source": (RATE, "the anchor: `smtp-source -d -s 10`, mails of the same size"),
    "nodemailer": (RATE, "pool of 10, better-sqlite3, outcomes committed every 200 ms"),
    "django-post-office": (
        RATE,
        (
            "`send_queued_mail`, one process, 10 threads, batches of 1,000, SQLite, templates "
            "rendered on delivery"
        ),
    ),
    "aiosmtplib": (
        RATE,
        "10 connections, EmailMessage and Jinja2 for each recipient, outcomes every 200 ms",
    ),
    "prepare-1M-seconds": ("s", "1,000,000 contacts with exclusions, `preparing` to `ready`"),
    "rss-10k-mb": ("MB", "the worker's peak memory, 10,000 recipients"),
    "rss-1M-mb": ("MB", "the worker's peak memory, a million recipients"),
    "first-mail-ms": ("ms", "the first MAIL after the embargo, by the receiver's clock"),
    "p99-first-1000-ms": ("ms", "99th percentile of the first 1,000 final dots, the same clock"),
    "write-while-sending-p99-ms": (
        "ms",
        (
            "99th percentile of the desk's orders (contacts added, another wave held and resumed) "
            "in a process of its own, while a wave is sent on SQLite"
        ),
    ),
    "log-page-1M-ms": ("ms", "the first 50 lines of the log of a release to a million"),
}
#: From so much on, so many digits after the point; two below.
_DIGITS: Final = ((1_000, 0), (10, 1))
#: Rows whose ratio is to the anchor on their own way.
_OWN_ANCHOR: Final = frozenset({"ours/sqlite-20ms", "ours/postfix"})


@dataclass(frozen=True, slots=True)
class Goal:
    """One goal: the figure reached, in words, and whether that is enough."""

    text: str
    reached: float
    limit: float
    at_most: bool = False

    @property
    def met(self) -> bool:
        """Whether it is reached."""
        return self.reached <= self.limit if self.at_most else self.reached >= self.limit


def rows(samples: Mapping[str, Sequence[Sample]]) -> list[dict[str, Any]]:
    """The rows of ``results.json``, in the order of :data:`ROWS`; those without runs are absent."""
    anchor = _median([one.value for one in samples.get(ANCHOR, ())])
    return [_row(name, samples[name], anchor) for name in ROWS if samples.get(name)]


def _row(name: str, runs: Sequence[Sample], anchor: float | None) -> dict[str, Any]:
    unit, what = ROWS[name]
    values = [one.value for one in runs]
    middle = statistics.median(values)
    row: dict[str, Any] = {
        "name": name,
        "median": _round(middle),
        "min": _round(min(values)),
        "max": _round(max(values)),
        "unit": unit,
        "runs": len(values),
        "cpu_us": _rounded(_median([one.cpu_us for one in runs if one.cpu_us is not None])),
        "ratio_to_smtp_source": None,
        "measures": what,
        "values": [_round(value) for value in values],
    }
    beside = _median([one.beside for one in runs if one.beside is not None])
    if unit == RATE:
        base = beside if name in _OWN_ANCHOR else anchor
        row["ratio_to_smtp_source"] = round(middle / base, 3) if base else None
        row["ratio_over"] = "smtp-source, the same way" if name in _OWN_ANCHOR else ANCHOR
    if beside is not None:
        row["smtp_source_same_way"] = _round(beside)
    for key in runs[0].notes:
        row[key] = _rounded(_median([one.notes[key] for one in runs if key in one.notes]))
    return row


def goals(found: Sequence[Mapping[str, Any]]) -> list[Goal]:
    """Every goal whose figures are there."""
    middle = {row["name"]: float(row["median"]) for row in found}
    ratio = {row["name"]: row["ratio_to_smtp_source"] for row in found}
    ratios = (("ours/sqlite", 1.0), ("ours/postgresql", 1.0), ("ours/sqlite-no-pipelining", 0.7))
    reached = [
        Goal(f"{name} to {ANCHOR}", float(ratio[name]), limit)
        for name, limit in ratios
        if ratio.get(name) is not None
    ]
    ours = middle.get("ours/sqlite")
    reached += [
        Goal(f"ours/sqlite to {name}", round(ours / middle[name], 1), limit)
        for name, limit in (("nodemailer", 10), ("django-post-office", 25), ("aiosmtplib", 30))
        if ours is not None and name in middle
    ]
    if {"rss-1M-mb", "rss-10k-mb"} <= middle.keys():
        grown = round(middle["rss-1M-mb"] / middle["rss-10k-mb"], 3)
        reached.append(Goal("rss-1M-mb to rss-10k-mb", grown, 1.1, at_most=True))
    limits = (
        *(("rss-1M-mb", 150), ("prepare-1M-seconds", 20), ("first-mail-ms", 250)),
        *(("write-while-sending-p99-ms", 300), ("log-page-1M-ms", 200)),
    )
    reached += [
        Goal(name, middle[name], limit, at_most=True) for name, limit in limits if name in middle
    ]
    return reached


def markdown(results: Mapping[str, Any], notes: str) -> str:
    """RESULTS.md: how it was measured, every row, every goal, and the notes that people keep."""
    machine: Mapping[str, Any] = results["machine"]
    sizes: Mapping[str, Any] = results["sizes"]
    lines = [
        "# Results",
        "",
        f"`{results['command']}` wrote this page on {results['at']}; edit `NOTES.md` instead.",
        "",
        (
            "The job: rows in a database, one personal multipart/alternative mail of "
            f"{sizes['octets']:,} octets each, over SMTP on the loopback, the outcome of each "
            "committed. Ours begins with the sealed wave and is measured from the embargo to the "
            "last committed outcome, every guard and the flight log on, `synchronous=FULL`. After "
            "each run the database (all accepted, one attempt each) and the receiver's own count "
            "must agree, or the run does not count."
        ),
        "",
        (
            "Runs are interleaved: one of every row, then the next of every row. "
            f"{sizes['mails']:,} mails a run for ours and the anchor, "
            f"{sizes['slow']:,} a run for the peers and "
            "Postfix. CPU is the sender's user and system time for one mail, all its processes "
            "(ours: the worker; not the database server)."
        ),
        "",
        "![Mails a second](results.svg)",
        "",
        "| Row | Median | Min – max | Unit | Runs | CPU µs a mail | × smtp-source | Measured |",
        "|---|---:|---:|---|---:|---:|---:|---|",
    ]
    lines += [_line(row) for row in results["rows"]]
    lines += ["", "## Goals", "", "| Goal | Limit | Reached | |", "|---|---:|---:|---|"]
    for goal in goals(results["rows"]):
        sign = "≤" if goal.at_most else "≥"
        word = "met" if goal.met else "**missed**"
        lines.append(f"| {goal.text} | {sign} {goal.limit:g} | {goal.reached:g} | {word} |")
    if results["left_out"]:
        lines += ["", "## Left out", ""]
        lines += [f"- {name}: {reason}" for name, reason in results["left_out"].items()]
    lines += ["", "## Machine", ""]
    lines += [f"- {key}: {value}" for key, value in machine.items()]
    return "\n".join([*lines, "", notes.strip(), ""])


def _line(row: Mapping[str, Any]) -> str:
    cpu = "" if row["cpu_us"] is None else f"{row['cpu_us']:,.0f}"
    ratio = row["ratio_to_smtp_source"]
    shown = "" if ratio is None else f"{ratio:.2f}"
    return (
        f"| {row['name']} | {row['median']:,} | {row['min']:,} – {row['max']:,} | {row['unit']} "
        f"| {row['runs']} | {cpu} | {shown} | {row['measures']} |"
    )


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else _round(value)


def _round(value: float) -> float:
    """Three digits are more than the spread allows; large figures keep their ones."""
    digits = next((digits for least, digits in _DIGITS if abs(value) >= least), 2)
    return round(value, digits) if digits else round(value)


def rate_goals(found: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The lines in the picture: the rates that ours must reach."""
    anchor = next((float(row["median"]) for row in found if row["name"] == ANCHOR), None)
    if anchor is None:
        return {}
    return {"goal: 1.0 × smtp-source": anchor, "without PIPELINING: 0.7 ×": 0.7 * anchor}
