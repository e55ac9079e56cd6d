"""``distributor demo``: the whole job on this machine, told as it happens."""

from __future__ import annotations

import io
import json
import math
import shlex
import signal
import sys
import time
from contextlib import contextmanager
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from collections.abc import Generator
    from datetime import datetime

    from distributor.cli.telling import Teller
    from distributor.demo.processes import Processes
    from distributor.demo.proof import Proof

_RELEASE: Final = "kingfisher.txt"
_CONTACTS: Final = "journalists.csv"
_LIST: Final = "Nature desks"
_REF: Final = "R-1"
_ZONE: Final = "Europe/London"
_RECEIVER: Final = "mail server"
_DESK: Final = "desk"
_RECEIVED: Final = "received"
_OBJECTOR: Final = "ned.barlow@anglers-post.example"
#: Whose mail is shown, if it is there: a name that a header cannot hold as it is.
_READER: Final = "eleni.papadopoulou@foni-potamou.example"

_CONFIG: Final = """\
[desk]
organisation = "Wendle Rivers Trust"
zone = "{zone}"

[sender]
address = "press@wendle-rivers.example"

[relay]
host = "127.0.0.1"
port = {port}
security = "none"    # allowed on this very machine only
hello_name = "desk.wendle-rivers.example"
"""

#: What is left to watch of the countdown, in seconds, when all orders are given.
_WATCH_S: Final = 4.0
#: Orders between stating the embargo and the countdown; each may take longer than the last did.
_ORDERS_BEFORE: Final = 3
_SLOWER: Final = 1.2
#: How long after the embargo everything must be over, in seconds.
_OVER_S: Final = 60.0
_LOOK_S: Final = 0.1
#: Plain lines of the log that are shown.
_LOG_LINES: Final = 10


def demo(
    keep: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keep everything in this new folder: mails, log, database, configuration.",
            show_default=False,
        ),
    ] = None,
    port: Annotated[
        int,
        typer.Option(help="Port of the demo's mail server on 127.0.0.1; 0: any free one.", min=0),
    ] = 0,
) -> None:
    """Show the whole job on this machine: a release, journalists, an embargo, the log.

    Its own mail server on 127.0.0.1 keeps what it receives; nothing leaves this machine and
    nothing is left behind. Exit code 0 only if every mail was accepted and none came early.

    Example: distributor demo --keep demo
    """
    from distributor.cli.output import errors
    from distributor.errors import DemoFailed

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show every script still gets the rest.
            stream.reconfigure(errors="replace")
    try:
        with _tidy_when_stopped():
            _perform(keep, port)
    except (DemoFailed, OSError) as error:
        errors.print("\nThe demo failed.", style="bold red")
        errors.print(str(error), markup=False)
        remedy = getattr(error, "remedy", None)
        errors.print(remedy or "To look into it: distributor demo --keep DIR", markup=False)
        raise typer.Exit(1) from error


@contextmanager
def _tidy_when_stopped() -> Generator[None]:
    """Let Ctrl-C and SIGTERM end the demo by the way of its ``finally`` clauses."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def stop(number: int, frame: object) -> None:
        del frame
        for each in numbers:
            # Once is enough: tidying up is not to be stopped half-way.
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    before = {
        number: signal.signal(number, stop)
        for number in numbers
        # Under nohup a hangup is none.
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _perform(keep: Path | None, port: int) -> None:
    from distributor.cli.telling import Teller
    from distributor.demo.processes import DemoFolder, Processes

    tell = Teller()
    try:
        with (
            DemoFolder(keep) as folder,
            Processes(folder, columns=tell.inner_width) as processes,
        ):
            _Show(tell, processes, kept=keep is not None).run(port)
    except SystemExit:
        words = "stopped." if keep is not None else "stopped. Nothing is left behind."
        tell.console.print(f"\nThe demo was {words}")
        raise


class _Show:
    """The story, chapter by chapter; every order is one that a press officer would type."""

    def __init__(self, tell: Teller, processes: Processes, *, kept: bool) -> None:
        from distributor.clock import GuardedClock

        self._tell = tell
        self._processes = processes
        self._folder = processes.folder
        self._kept = kept
        self._clock = GuardedClock()
        self._port = ""
        self._slowest_s = 0.0

    def run(self, port: int) -> None:
        """Tell it all.

        Raises:
            DemoFailed: It does not hold.

        """
        began_s = self._clock.monotonic()
        self._open()
        self._start_receiver(port)
        self._set_up_desk()
        self._bring_contacts()
        embargo = self._bring_release()
        proof = self._wait(embargo)
        self._show_log(proof)
        self._show_proof(proof)
        self._close(proof, self._clock.monotonic() - began_s)

    # --- chapters -------------------------------------------------------------------------------

    def _open(self) -> None:
        self._tell.line("distributor demo", style="bold")
        self._tell.line(
            "The whole job on this machine: a release, its journalists, an embargo, the log. "
            "Nothing leaves 127.0.0.1.",
        )
        stays = "all of it stays there" if self._kept else "removed at the end, as by Ctrl-C"
        self._tell.line(f"Folder: {self._folder} ({stays})", style="dim")

    def _start_receiver(self, port: int) -> None:
        self._tell.title("A mail server that keeps what it receives")
        module, words = "distributor.mail.sink", ("--port", str(port), "--directory", _RECEIVED)
        self._tell.command("python", "-m", module, *words, behind=True)
        self._processes.start(_RECEIVER, module, *words)
        self._port = self._processes.wait_for(_RECEIVER, _port_named)
        self._tell.line(f"ready on 127.0.0.1:{self._port}")

    def _set_up_desk(self) -> None:
        self._tell.title("The desk of a press office")
        config = _CONFIG.format(zone=_ZONE, port=self._port)
        path = self._folder / "config.toml"
        path.write_text(config, encoding="utf-8")
        path.chmod(0o600)
        self._tell.command("cat", path.name)
        self._tell.line(config.rstrip(), style="dim")
        self._order("init")
        self._tell.command("distributor", "run", behind=True)
        self._processes.start(_DESK, "distributor", "run")
        self._processes.wait_for(_DESK, _started)
        self._tell.line("a worker process waits for something to send")
        self._order("doctor")

    def _bring_contacts(self) -> None:
        self._tell.title("The journalists")
        self._take_out(_CONTACTS)
        self._order("contacts", "import", _CONTACTS, "--list", _LIST)
        evidence = "asked by telephone not to be written to"
        self._order(
            "suppressions", "add", _OBJECTOR, "--reason", "objection", "--evidence", evidence
        )

    def _bring_release(self) -> datetime:
        from distributor.core.timing import exact

        self._tell.title("The release")
        self._take_out(_RELEASE)
        ahead_s = math.ceil(_ORDERS_BEFORE * self._slowest_s * _SLOWER + _WATCH_S)
        embargo = self._clock.now().replace(microsecond=0) + timedelta(seconds=ahead_s)
        self._order("release", "import", _RELEASE, "--embargo", exact(embargo, _ZONE))
        self._order("release", "approve", _REF)
        self._order("release", "schedule", _REF, "--list", _LIST)
        return embargo

    def _wait(self, embargo: datetime) -> Proof:
        """Count down to the embargo and on until all is over."""
        from distributor.demo.proof import Proof
        from distributor.mail.sink import read_record

        self._tell.title("The embargo")
        self._count_down(embargo)
        wave = self._until_over(embargo)
        log = [json.loads(line) for line in self._ask("log", _REF, "--json").splitlines()]
        proof = Proof(embargo, wave, log, read_record(self._folder / _RECEIVED))
        if proof.received and not proof.early:
            all_s = max(proof.after_ms(mail) for mail in proof.received) / 1000
            self._tell.line(
                f"Until the embargo lifted the receiver had 0 mails; {all_s:.1f} s after it, "
                f"all {len(proof.received)}.",
            )
        return proof

    def _show_log(self, proof: Proof) -> None:
        from distributor.cli.output import state_text

        self._tell.title("The log")
        self._tell.command("distributor", "log", _REF)
        plain = [line for line in proof.log if line not in proof.odd]
        # From all over the list, so that many outlets are seen.
        shown = plain[:: max(1, math.ceil(len(plain) / _LOG_LINES))]
        self._tell.log([*shown, *proof.odd])
        if len(plain) > len(shown):
            self._tell.line(f"… and {len(plain) - len(shown)} more like these.", style="dim")
        self._tell.console.print()
        for state in sorted({line["state"] for line in proof.log}):
            number = sum(line["state"] == state for line in proof.log)
            self._tell.line(f"{number:>4} ", state_text(state))
        self._tell.line(f"{len(proof.odd):>4} odd: not accepted, or not at the first try")
        self._show_exclusions()

    def _show_exclusions(self) -> None:
        members = json.loads(self._ask("release", "audience", _REF, "--json"))
        left_out = [member for member in members if member["reason"]]
        self._tell.line(f"{len(left_out):>4} left out:")
        for one in left_out:
            self._tell.line(f"     {one['address']}, {one['reason']}: {one['evidence']}")

    def _show_proof(self, proof: Proof) -> None:
        from distributor.errors import DemoFailed

        self._tell.title("The proof")
        faults = proof.faults()
        if faults:
            raise DemoFailed("\n".join(f"  {fault}" for fault in faults))
        first = min(proof.received, key=lambda mail: mail.at)
        last = max(proof.received, key=lambda mail: mail.at)
        self._tell.line(
            f"By the receiver's own record ({_RECEIVED}/received.jsonl) and its own clock:"
        )
        rows = (
            ("embargo", _clock_time(proof.embargo), ""),
            ("first mail", _clock_time(first.at), f"{proof.after_ms(first):.0f} ms after"),
            ("last mail", _clock_time(last.at), f"{proof.after_ms(last):.0f} ms after"),
        )
        for name, at, remark in rows:
            self._tell.line((f"{name:<12}", "bold"), f"{at}  {remark}".rstrip())
        total = len(proof.received)
        self._tell.line(("before it   ", "bold"), (f"{len(proof.early)} mails", "green"))
        self._tell.line(("after it    ", "bold"), (f"{total} mails, no one twice", "green"))
        self._tell.line(
            ("our log     ", "bold"),
            (f"{len(proof.accepted)} accepted: the same {total}, by Message-ID", "green"),
        )

    def _close(self, proof: Proof, took_s: float) -> None:
        mails = self._folder / _RECEIVED
        self._tell.title("One of the mails")
        chosen = [mail for mail in proof.received if _READER in mail.rcpt_tos]
        self._tell.mail((chosen or proof.received)[0])
        self._tell.console.print()
        first_ms = min(proof.after_ms(mail) for mail in proof.received)
        self._tell.line(
            (f"Done in {took_s:.0f} s: ", "bold green"),
            f"first mail {first_ms:.0f} ms after the embargo, by the receiver's own clock; "
            f"{len(proof.early)} before it; {len(proof.accepted)} of {len(proof.log)} accepted.",
        )
        if self._kept:
            self._tell.line(f"The {len(proof.received)} mails lie in {mails}")
            self._tell.line(
                f"Look on: cd {shlex.quote(str(self._folder))} && distributor log {_REF}"
            )
        else:
            self._tell.line(f"The mails lay in {mails} and go with it now.")
            self._tell.line("To keep them and look on: distributor demo --keep DIR")

    # --- waiting --------------------------------------------------------------------------------

    def _count_down(self, embargo: datetime) -> None:
        """Show the seconds that are left and what the receiver has, until the embargo lifts."""
        from rich.live import Live

        from distributor.cli.contacts import counted
        from distributor.cli.telling import countdown

        total_s = (embargo - self._clock.now()).total_seconds()
        told = math.ceil(total_s) + 1
        with Live(console=self._tell.console, auto_refresh=False, transient=True) as live:
            while (left_s := (embargo - self._clock.now()).total_seconds()) > 0:
                self._processes.mind()
                mails = self._arrived()
                if self._tell.console.is_terminal:
                    live.update(countdown(left_s, total_s, mails), refresh=True)
                elif math.ceil(left_s) < told:
                    told = math.ceil(left_s)
                    self._tell.line(f"{told:>2} s to go, {counted(mails, 'mail')} at the receiver")
                time.sleep(min(_LOOK_S, left_s))

    def _until_over(self, embargo: datetime) -> dict[str, Any]:
        """The wave when nothing more happens to it, or as it is when patience has run out."""
        from rich.live import Live

        from distributor.cli.telling import lifted

        until = embargo + timedelta(seconds=_OVER_S)
        before = 0
        with Live(console=self._tell.console, auto_refresh=False, transient=True) as live:
            while True:
                self._processes.mind()
                mails = self._arrived()
                if self._tell.console.is_terminal:
                    live.update(lifted(mails), refresh=True)
                late = self._clock.now() > until
                if (mails and mails == before) or late:
                    wave = json.loads(self._ask("release", "show", _REF, "--json"))["waves"][-1]
                    if wave["state"] == "finished" or late:
                        return wave
                before = mails
                time.sleep(_LOOK_S)

    def _arrived(self) -> int:
        return (self._folder / _RECEIVED / "received.jsonl").read_bytes().count(b"\n")

    # --- orders and lines -----------------------------------------------------------------------

    def _order(self, *words: str) -> None:
        """Show an order, carry it out, show what it said."""
        self._tell.command("distributor", *words)
        said = self._processes.order(*words)
        self._slowest_s = max(self._slowest_s, said.took_s)
        self._tell.answer(said)

    def _ask(self, *words: str) -> str:
        return self._processes.order(*words).answer

    def _take_out(self, name: str) -> None:
        """Put sample material into the folder, as if it had come by mail."""
        sample = resources.files("distributor.demo") / "samples" / name
        (self._folder / name).write_bytes(sample.read_bytes())


def _started(said: str) -> str | None:
    """The word by which a worker says that it is there."""
    word = "worker_started"
    return word if word in said else None


def _port_named(said: str) -> str | None:
    """The port in ``ready on 127.0.0.1:2525``."""
    return said.rpartition(":")[2].strip() if said.startswith("ready on ") else None


def _clock_time(at: datetime) -> str:
    from zoneinfo import ZoneInfo

    return at.astimezone(ZoneInfo(_ZONE)).strftime("%H:%M:%S.%f")[:-3]
