"""``make bench``: install, measure in interleaved rounds, write the results.

    python -m benchmarks [--rows NAME,NAME] [--runs 5] [--million-runs 5] [--quick]

``--quick`` takes small sizes and writes to ``benchmarks/.peers/quick``, never over the results.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from benchmarks import chart, delays, million, rates, report
from benchmarks.bench import INSTALLED, Bench, Sample, Sizes
from benchmarks.install import install
from benchmarks.machine import describe
from benchmarks.postgresql import cluster
from benchmarks.processes import ROOT, Failed, LeftOut, say
from distributor.logs import set_up

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import FrameType

    from benchmarks.postgresql import Cluster

HERE: Final = ROOT / "benchmarks"
_QUICK: Final = Sizes(mails=3_000, slow=1_000, small=2_000, million=20_000)
#: Interleaved runs of every row.
_RUNS: Final = 5
_MILLION: Final = ("prepare-1M-seconds", "rss-1M-mb", "log-page-1M-ms")

#: One round, in this order; the anchor comes twice. Each names its rows and roughly its seconds.
_ROUND: Final[tuple[tuple[Callable[[Bench], dict[str, Sample]], tuple[str, ...], float], ...]] = (
    (rates.anchor, ("smtp-source",), 6),
    (rates.sqlite, ("ours/sqlite",), 18),
    (rates.postgresql, ("ours/postgresql",), 20),
    (rates.no_pipelining, ("ours/sqlite-no-pipelining",), 20),
    (rates.anchor, ("smtp-source",), 6),
    (rates.tls, ("ours/sqlite+tls",), 22),
    (rates.dkim_rsa, ("ours/sqlite+dkim-rsa",), 25),
    (rates.dkim_ed25519, ("ours/sqlite+dkim-ed25519",), 12),
    (rates.nodemailer, ("nodemailer",), 12),
    (rates.post_office, ("django-post-office",), 25),
    (rates.aiosmtplib, ("aiosmtplib",), 32),
    (rates.far, ("ours/sqlite-20ms",), 55),
    (rates.postfix, ("ours/postfix",), 55),
    (delays.punctual, ("first-mail-ms", "p99-first-1000-ms"), 12),
    (delays.desk_writes, ("write-while-sending-p99-ms",), 20),
    (million.small, ("rss-10k-mb",), 12),
    (million.million, _MILLION, 330),
)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rows", default="", help="only these, with commas between")
    parser.add_argument("--runs", type=int, default=_RUNS)
    parser.add_argument("--million-runs", type=int, help="runs to a million; else as --runs")
    parser.add_argument("--mails", type=int, default=Sizes().mails, help="of ours, in one run")
    parser.add_argument("--quick", action="store_true", help="small sizes, for development")
    chosen = parser.parse_args()
    chosen.rows = [name for name in chosen.rows.replace(",", " ").split() if name]
    if unknown := set(chosen.rows) - report.ROWS.keys():
        parser.error(f"no such row: {', '.join(sorted(unknown))}; rows: {', '.join(report.ROWS)}")
    return chosen


def main() -> int:
    """Run the benchmark; 1 when a measurement failed, with what there is written all the same."""
    chosen = _arguments()
    set_up("error", "text")
    # Whoever ends it ends its servers and removes its folders too.
    signal.signal(signal.SIGTERM, _end)
    left_out = install()
    with contextlib.ExitStack() as open_now:
        cache = Path(tempfile.gettempdir()) / "distributor-bench"
        server: Cluster | None = None
        with contextlib.suppress(LeftOut):
            server = open_now.enter_context(cluster())
        bench = Bench(cache, _QUICK if chosen.quick else Sizes(mails=chosen.mails), server)
        say("making the contacts and the peers' templates")
        bench.prepare()
        machine = describe(server)
        partial = chosen.quick or bool(chosen.rows)
        folder = INSTALLED / "quick" if partial else HERE
        faults: dict[str, str] = {}
        # After every round: who is interrupted keeps what was measured.
        for samples in _rounds(bench, chosen, faults):
            found = report.rows(samples)
            results = {
                "machine": machine,
                "rows": found,
                "command": _command(chosen),
                "at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
                "sizes": asdict(bench.sizes) | {"octets": bench.octets},
                "left_out": left_out | faults,
            }
            _write(results, found, folder)
    say(f"written: {folder / 'RESULTS.md'}")
    return 1 if faults else 0


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def _command(chosen: argparse.Namespace) -> str:
    """What to type to measure the same again."""
    options = {
        "ROWS": " ".join(chosen.rows) if chosen.rows else None,
        "RUNS": chosen.runs if chosen.runs != _RUNS else None,
        "MILLION_RUNS": chosen.million_runs,
        "MAILS": chosen.mails if chosen.mails != Sizes().mails else None,
        "QUICK": 1 if chosen.quick else None,
    }
    said = [f'{name}="{value}"' for name, value in options.items() if value is not None]
    return " ".join(["make bench", *said])


def _rounds(
    bench: Bench, chosen: argparse.Namespace, faults: dict[str, str]
) -> Generator[dict[str, list[Sample]]]:
    """Measure round by round; gives all samples so far after each, and fills in ``faults``."""
    samples: dict[str, list[Sample]] = {name: [] for name in report.ROWS}
    million_runs = chosen.runs if chosen.million_runs is None else chosen.million_runs
    wanted = [step for step in _ROUND if not chosen.rows or set(step[1]) & set(chosen.rows)]
    whole = sum(s * (million_runs if names == _MILLION else chosen.runs) for _, names, s in wanted)
    if not chosen.quick:
        say(f"{chosen.runs} rounds of {len(wanted)} measurements: about {whole / 60:.0f} minutes")
    began = time.monotonic()
    for number in range(1, max(chosen.runs, million_runs) + 1):
        for measure, names, _ in wanted:
            if number > (million_runs if names == _MILLION else chosen.runs):
                continue
            try:
                found = measure(bench)
            except (Failed, LeftOut, OSError) as error:
                faults[names[0]] = str(error)
                say(f"{number}  {names[0]}: {error}")
                continue
            for name, sample in found.items():
                samples[name].append(sample)
                say(_progress(number, name, sample, time.monotonic() - began))
        yield samples


def _progress(number: int, name: str, sample: Sample, since_s: float) -> str:
    unit = report.ROWS[name][0]
    cpu = f"  {sample.cpu_us:6.0f} µs CPU a mail" if sample.cpu_us is not None else ""
    beside = f"  smtp-source the same way {sample.beside:,.0f}" if sample.beside else ""
    notes = "".join(f"  {key} {value:,.0f}" for key, value in sample.notes.items())
    return f"{since_s:5.0f} s  {number}  {name:27} {sample.value:10,.1f} {unit}{cpu}{beside}{notes}"


def _write(results: dict[str, Any], found: list[dict[str, Any]], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(results, indent=2, ensure_ascii=False) + "\n"
    (folder / "results.json").write_text(text, encoding="utf-8")
    notes = (HERE / "NOTES.md").read_text(encoding="utf-8")
    (folder / "RESULTS.md").write_text(report.markdown(results, notes), encoding="utf-8")
    shown = [row for row in found if row["unit"] == report.RATE]
    picture = chart.svg(shown, report.rate_goals(found))
    (folder / "results.svg").write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
