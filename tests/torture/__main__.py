"""The full form: ``make torture``, or ``python -m tests.torture``.

``SEED=profile/number`` repeats one simulated run, ``ORDEAL=words`` one run of real processes;
``WITHOUT=guard`` does so with that guard switched off.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from tests.torture import campaign
from tests.torture.campaign import Total
from tests.torture.faults import SECURING, SENDING, SETTING_UP
from tests.torture.guards import GUARDS
from tests.torture.scenario import CLOCK_STEPS, PROFILES
from tests.torture.sweep import Arena, Ordeal

#: So often at least each kind of fault must have happened.
AT_LEAST = 50
#: Simulated runs of each profile; those stand here that need another number.
RUNS = dict.fromkeys(PROFILES, 40) | {"replies": 25, "clocks": 110, "logins": 60, "claims": 25}
#: Rounds of extra runs for faults that came up too seldom, and runs of a profile in each: at first
#: few for many profiles, then many for the few that are left.
ROUNDS, EXTRA, MANY = 12, 4, 12
#: Everything that is said stands there too.
LOG = Path("build/torture.log")
KILLS = 500
SLEEPS = 50
DISKS = 50
GUARD_SEEDS = 50

FAULTS = (
    *(fault.name for fault in (*SETTING_UP, *SECURING, *SENDING)),
    *CLOCK_STEPS,
    *("worker killed", "worker frozen past its lease", "worker cut off from the database"),
    *("worker ended by SIGTERM", "database away", "database full", "database write failed"),
    *("database answer lost", "flight log full", "flight log: no space"),
    *("flight log: half a line", "server away", "two see the same batch free"),
    *("hold", "resume", "cancel", "embargo moved", "objection", "somebody joins a list"),
    *("somebody leaves a list", "somebody's address changes", "merge: a Bcc appears"),
    *("merge: a Cc appears", "merge: a second To", "merge: no Message-ID"),
    *("kill -9 around a commit", "kill -9 around a flight log", "kill -9 around a socket"),
    *("SIGSTOP past the lease", "disk full (no file may grow)"),
)


def say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()
    if LOG.exists():
        with LOG.open("a", encoding="utf-8") as log:
            log.write(f"{words}\n")


def main() -> int:
    """Run what is asked for; the exit code says whether all is well."""
    # Whoever ends it ends the workers that it has frozen and the offices it has built as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    without = os.environ.get("WITHOUT", "")
    if seed := os.environ.get("SEED"):
        return _repeat_seed(seed, without)
    if words := os.environ.get("ORDEAL"):
        return asyncio.run(_repeat_ordeal(words))
    return _full()


def _repeat_seed(seed: str, without: str) -> int:
    profile, _, number = seed.partition("/")
    with campaign.Simulations(processes=1) as simulations:
        (told,) = simulations.run([(profile, int(number), without)])
    say(f"{told.key}: {dict(told.counts)}")
    for name, count in sorted(told.happened.items()):
        say(f"  {count:4} {name}")
    for line in told.says:
        say(f"  {line}")
    return int(told.guilty)


async def _repeat_ordeal(words: str) -> int:
    arena = Arena(1)
    outcome = await arena.go_through(Ordeal.named(words))
    arena.close()
    say(f"{words}: {dict(outcome.verdict.counts)} {dict(outcome.happened)} {outcome.points}")
    for line in outcome.verdict.says:
        say(f"  {line}")
    return int(outcome.verdict.guilty)


def _full() -> int:
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text("", encoding="utf-8")
    total = Total(say)
    began_s = time.monotonic()

    def minutes() -> str:
        return f"[{(time.monotonic() - began_s) / 60:4.1f} min]"

    say("Level B: real processes, kill -9 at the Nth crash point")
    asyncio.run(campaign.processes(total, kills=KILLS, sleeps=SLEEPS, disks=DISKS))
    say(f"{minutes()} {total.line}")
    with campaign.Simulations() as simulations:
        say(f"Level A: {sum(RUNS.values())} simulated runs in {len(PROFILES)} profiles")
        for profile, runs in RUNS.items():
            total.simulated(simulations.run([(profile, seed, "") for seed in range(1, runs + 1)]))
            say(f"{minutes()} {profile}: {total.line}")
        for extra in range(ROUNDS):
            seldom = campaign.more_for(total.happened, FAULTS, AT_LEAST)
            if not seldom:
                break
            each = EXTRA if len(seldom) > EXTRA else MANY
            first = 1000 + extra * MANY
            orders = [(profile, first + at, "") for profile in seldom for at in range(each)]
            total.simulated(simulations.run(orders))
            say(f"{minutes()} more of {', '.join(seldom)}: {total.line}")
        say("Guards switched off, one at a time")
        found = campaign.guards(simulations, say, most=GUARD_SEEDS)
    return _report(total, found)


def _report(total: Total, found: dict[str, int]) -> int:
    say("\nFaults, and how often each happened")
    for name in sorted({*FAULTS, *total.happened}, key=str.lower):
        few = "  too seldom" if name in FAULTS and total.happened[name] < AT_LEAST else ""
        say(f"  {total.happened[name]:6} {name}{few}")
    say("\nGuard switched off: found after so many runs")
    for guard in GUARDS:
        say(f"  {found.get(guard.name) or 'NOT FOUND':>9} {guard.name}")
    kept, doubled = total.counts["kept"], total.counts["doubled in doubt"]
    say(f"\n{total.runs} runs, {kept} mails kept; crash points of the last run: {total.points}")
    for line in total.says:
        say(f"  {line}")
    seldom = [name for name in FAULTS if total.happened[name] < AT_LEAST]
    say(f"{doubled} doubled under resend: each was in doubt, and byte-identical")
    say(total.last_line(found, len(GUARDS)))
    return int(total.guilty or len(found) < len(GUARDS) or bool(seldom) or total.kills < KILLS)


if __name__ == "__main__":
    sys.exit(main())
