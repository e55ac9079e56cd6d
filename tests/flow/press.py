"""A press office in a folder: its desk in this process, its workers here or as processes.

The sample release is in the shape of a trade body's statement as it comes by mail: headline,
paragraphs, end marker, two contacts, boilerplate. Its words are ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from distributor.app import App, open_app, sending_policy
from distributor.config import load
from distributor.core.states import DeliveryState, WaveState
from distributor.desk.contacts import Import
from distributor.desk.releases import read_text
from distributor.desk.waves import Target
from distributor.intake.table import read_table
from distributor.mail.sink import Received, read_record
from distributor.review import Filter, Line, WaveView
from distributor.settings import PREFIX
from distributor.stages import preparing, scheduling
from distributor.store.database import upgrade
from distributor.worker import Worker

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from datetime import datetime
    from types import TracebackType

#: Full-size versions of the long tests: DISTRIBUTOR-free name, so that the suite keeps it.
FULL: Final = os.environ.get("FULL_SIZE") == "1"

STATEMENT: Final = """\
Ferry operators failed passengers on the Mordale crossing

The Institute of Passenger Transport has today answered the county's report into the Mordale \
crossing, which found that one sailing in four did not run last winter.

“A timetable is a promise,” said Ines Falk, the Institute's head of policy. “Nobody at Mordale \
was asked to keep it.”

The Institute calls for one named manager for each crossing, and for the figures to be \
published every month.

-ends –

For further information please contact:

Marian Okafor, Institute press office
Tel: 0191 498 0142
Owen Tarn, Institute press office
Tel: 0191 498 0156

About the Institute of Passenger Transport

The Institute of Passenger Transport is the professional body of people who run buses, trains \
and ferries. It has 9,000 members.
"""


def config_text(port: int, **changes: Any) -> str:
    """A configuration for 127.0.0.1:port; ``relay__connections=2`` changes one key."""
    values: dict[str, dict[str, Any]] = {
        "desk": {"organisation": "Institute of Passenger Transport"},
        "sender": {"address": "press@institute.example"},
        "database": {"url": "sqlite:///distributor.db"},
        "relay": {"host": "127.0.0.1", "port": port, "security": "none"},
        "sending": {},
        "dkim": {},
        "look": {},
        "templates": {},
        "worker": {"state_dir": "state", "tick_s": 0.2},
        "log": {"format": "json"},
    }
    for name, value in changes.items():
        section, _, key = name.partition("__")
        values[section][key] = value
    return "\n".join(
        f"[{section}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
        for section, keys in values.items()
    )


class Press:
    """One desk on one database; ``with`` closes it and whatever it started."""

    def __init__(self, folder: Path, port: int, *, url: str | None = None, **changes: Any) -> None:
        self.folder = folder
        self.config = folder / "config.toml"
        if url is not None:
            changes["database__url"] = url
        self.config.write_text(config_text(port, **changes), encoding="utf-8")
        self.config.chmod(0o600)
        settings = load(self.config)
        if url is None:
            upgrade(settings.database.url)
        self.app: App = open_app(settings)
        self.processes: list[Process] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self.processes:
            process.kill()
        self.app.close()

    # --- the desk -------------------------------------------------------------------------------

    def wave(self, people: int, *, after_s: float = 0.0, list_name: str = "press") -> str:
        """Import people and the statement, approve, schedule; gives the reference."""
        self.people(people, list_name)
        return self.release(after_s=after_s, list_name=list_name)

    def people(self, count: int, list_name: str = "press") -> None:
        rows = "".join(
            f"Reader {number},reader{number}@paper{number % 40}.example,Paper {number % 40}\n"
            for number in range(count)
        )
        table = read_table(f"name,email,outlet\n{rows}".encode())
        order = Import(table, "readers.csv", list_name)
        self.app.contacts.import_table(order, by="tester", now=self.now())

    def release(self, *, after_s: float = 0.0, list_name: str = "press") -> str:
        """Bring the statement in, embargoed for ``after_s`` ahead (0: immediate), and schedule."""
        path = self.folder / "statement.txt"
        path.write_text(STATEMENT, encoding="utf-8")
        reading = read_text(path, received=self.now().date(), zone="Europe/London", language="en")
        embargo = "immediate"
        if after_s:
            at = (self.now() + timedelta(seconds=after_s)).replace(microsecond=0)
            embargo = f"{at:%Y-%m-%d %H:%M:%S} UTC"
        version = self.app.releases.bring_in(
            reading,
            sender=self.app.sender(),
            embargo=embargo,
            language=None,
            by="tester",
            now=self.now(),
        )
        self.app.releases.approve(version.ref, by="tester", now=self.now())
        target = Target([list_name], at=None)
        self.app.waves.schedule(version.ref, target, by="tester", now=self.now())
        return version.ref

    def seal(self, worker: str = "tester") -> None:
        """Let planned waves become ready, without any worker."""
        policy = sending_policy(self.app.settings)
        scheduling.tick(self.app.database, policy, now=self.now(), clock_agrees=True)
        preparing.tick(self.app.database, policy, worker=worker, now=self.now())

    def now(self) -> datetime:
        return self.app.clock.now()

    def hold(self, ref: str) -> None:
        self.app.waves.hold(ref, by="tester", now=self.now())

    def resume(self, ref: str, waive: str | None = None) -> None:
        self.app.waves.resume(ref, waive=waive, by="tester", now=self.now())

    def cancel(self, ref: str) -> None:
        self.app.waves.cancel(ref, by="tester", now=self.now())

    # --- what became of it ----------------------------------------------------------------------

    def view(self, ref: str) -> WaveView:
        return self.app.review.release(ref).waves[-1]

    def counts(self, ref: str) -> dict[str, int]:
        return {state.value: n for state, n in self.view(ref).counts.items() if n}

    def log(self, ref: str, *states: DeliveryState) -> list[Line]:
        return list(self.app.review.log(ref, Filter(states)))

    def is_finished(self, ref: str) -> bool:
        return self.view(ref).wave.state is WaveState.FINISHED

    def sums_hold(self, ref: str) -> bool:
        """I3: stored recipients are the sum over the delivery states, once they are sealed."""
        view = self.view(ref)
        return view.wave.recipients is None or sum(view.counts.values()) == view.wave.recipients

    def wait(self, ready: Callable[[], bool], *, within_s: float = 30.0) -> None:
        """Look until ``ready``; the sums of every wave must hold at every look."""
        until = time.monotonic() + within_s
        while not ready():
            assert time.monotonic() < until, self.story()
            for release in self.app.review.releases():
                for view in release.waves:
                    if view.wave.recipients is not None:
                        assert sum(view.counts.values()) == view.wave.recipients
            time.sleep(0.05)

    def story(self) -> str:
        waves = [
            (release.version.ref, view.wave.state, view.wave.reason, view.counts)
            for release in self.app.review.releases()
            for view in release.waves
        ]
        said = [process.said()[-3000:] for process in self.processes]
        return f"{waves}\n" + "\n---\n".join(said)

    # --- workers --------------------------------------------------------------------------------

    def worker(self, command: str = "worker", **environment: str) -> Process:
        """Start ``distributor worker`` (or ``run``) as a process of its own."""
        process = Process(self.config, command, number=len(self.processes), environment=environment)
        self.processes.append(process)
        return process

    @asynccontextmanager
    async def working(self) -> AsyncGenerator[Worker]:
        """Run a worker in this loop until left; asyncio must have nothing to complain about."""
        complaints: list[str] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(str(context)))
        worker = Worker(self.app)
        working = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker._dispatch.stop()
            await working
            gc.collect()
            await asyncio.sleep(0)
        assert not complaints

    async def until(self, ready: Callable[[], bool], *, within_s: float = 30.0) -> None:
        """Look until ``ready``, without standing in anybody's way."""
        try:
            async with asyncio.timeout(within_s):
                while not await asyncio.to_thread(ready):  # noqa: ASYNC110 - rows make no event
                    await asyncio.sleep(0.03)
        except TimeoutError:
            raise AssertionError(self.story()) from None

    async def done(self, ref: str, *, within_s: float = 30.0) -> dict[str, int]:
        """Wait until the wave is finished; gives its counts."""
        await self.until(lambda: self.is_finished(ref), within_s=within_s)
        return self.counts(ref)


def outside() -> dict[str, str]:
    """The environment of a process: this checkout's program, nobody's settings, all warnings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    root = Path(__file__).parents[2]
    return kept | {"PYTHONPATH": str(root), "PYTHONWARNINGS": "default"}


class Process:
    """One ``distributor`` process, its words kept in a file."""

    def __init__(
        self, config: Path, command: str, *, number: int, environment: dict[str, str]
    ) -> None:
        self._said = config.parent / f"{command}-{number}.log"
        with self._said.open("wb") as words:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "distributor", "--config", str(config), command],
                stdout=words,
                stderr=words,
                cwd=config.parent,
                env=outside() | environment,
            )

    @property
    def pid(self) -> int:
        return self.popen.pid

    def said(self) -> str:
        return self._said.read_text(encoding="utf-8", errors="replace")

    def kill(self) -> None:
        """SIGKILL, and everything it started with it."""
        for pid in [*children(self.pid), self.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.popen.wait()

    def stop(self, *, within_s: float = 20.0) -> int:
        self.popen.terminate()
        return self.popen.wait(within_s)


def children(pid: int) -> list[int]:
    """The processes that ``pid`` started and that still run."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as listed:  # noqa: PTH123
            return [int(word) for word in listed.read().split()]
    except OSError:
        return []


@dataclass
class Receiver:
    """A sink in a process of its own, and its record."""

    port: int
    directory: Path
    popen: subprocess.Popen[str] = field(repr=False)

    def received(self) -> list[Received]:
        try:
            return read_record(self.directory)
        except (FileNotFoundError, json.JSONDecodeError):
            return []

    def count(self) -> int:
        try:
            return (self.directory / "received.jsonl").read_bytes().count(b"\n")
        except FileNotFoundError:
            return 0

    def times(self) -> Counter[str]:
        """How often each Message-ID arrived."""
        return Counter(mail.message_id or "" for mail in self.received())


@contextmanager
def receiver(directory: Path, port: int = 0) -> Generator[Receiver]:
    """Run ``python -m distributor.mail.sink`` as a process until left."""
    popen = subprocess.Popen(
        [
            *(sys.executable, "-m", "distributor.mail.sink"),
            *("--port", str(port), "--directory", str(directory)),
        ],
        stdout=subprocess.PIPE,
        text=True,
        env=outside(),
    )
    try:
        assert popen.stdout is not None
        ready = popen.stdout.readline()
        yield Receiver(int(ready.rsplit(":", 1)[1]), directory, popen)
    finally:
        popen.terminate()
        popen.wait(10)
        assert popen.stdout is not None
        popen.stdout.close()
