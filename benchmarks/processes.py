"""Processes of a benchmark: started, watched for the CPU they take, ended by their own id."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

ROOT: Final = Path(__file__).parents[1]
#: Settings of whoever runs the benchmark must not reach what is measured.
_PREFIX: Final = "DISTRIBUTOR_"
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A measurement did not come about; the message says why."""


class LeftOut(Exception):
    """Something that a row needs is not on this machine; the message says what."""


def outside(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a process: this checkout's program, nobody's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_PREFIX)}
    return kept | {"PYTHONPATH": str(ROOT)} | dict(extra or {})


def tool(name: str) -> str:
    """Path of a program of the system, /usr/sbin included.

    Raises:
        LeftOut: It is not installed.

    """
    for folder in (*os.environ.get("PATH", "").split(":"), "/usr/sbin", "/sbin"):
        path = Path(folder) / name
        if folder and os.access(path, os.X_OK):
            return str(path)
    raise LeftOut(f"{name} is not installed")


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def wait_for_port(port: int, *, within_s: float = 15.0) -> None:
    """Return once somebody answers on that port of the loopback."""
    until = time.monotonic() + within_s
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError:
            if time.monotonic() > until:
                raise Failed(f"nobody listens on port {port}") from None
            time.sleep(0.05)
        else:
            return


def wait_until(ready: Callable[[], bool], *, within_s: float, what: str) -> None:
    """Look every 20 ms until ``ready``."""
    until = time.monotonic() + within_s
    while not ready():
        if time.monotonic() > until:
            raise Failed(f"{what}: not within {within_s:g} s")
        time.sleep(0.02)


def cpu_s(pid: int) -> float:
    """User and system seconds of one living process, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def peak_rss_mb(pid: int) -> float:
    """The most memory one living process has held (VmHWM), in MB of 10⁶ octets."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise Failed("the kernel does not tell the peak memory")


@dataclass(frozen=True, slots=True)
class Taken:
    """What a finished process took: wall and CPU seconds, and what it printed."""

    wall_s: float
    cpu_s: float
    said: str


def run(
    command: Sequence[str],
    *,
    cwd: Path,
    extra: Mapping[str, str] | None = None,
    within_s: float = 900.0,
) -> Taken:
    """Run a command to its end; its CPU is that of the process and of all it waited for.

    Raises:
        Failed: It did not end well, or not in time.

    """
    began = time.monotonic()
    output = cwd / f"{Path(command[0]).name}.said"
    with output.open("wb") as words:
        popen = subprocess.Popen(
            command, cwd=cwd, env=outside(extra), stdout=words, stderr=subprocess.STDOUT
        )
        try:
            code, cpu = _reap(popen, began + within_s)
        except BaseException:
            popen.kill()
            popen.wait()
            raise
    said = output.read_text(encoding="utf-8", errors="replace")
    if code:
        raise Failed(f"{' '.join(command[:3])} ended with {code}: {said[-800:]}")
    return Taken(time.monotonic() - began, cpu, said)


def _reap(popen: subprocess.Popen[bytes], until: float) -> tuple[int, float]:
    while True:
        pid, status, usage = os.wait4(popen.pid, os.WNOHANG)
        if pid:
            popen.returncode = os.waitstatus_to_exitcode(status)
            return popen.returncode, usage.ru_utime + usage.ru_stime
        if time.monotonic() > until:
            raise Failed(f"{popen.args!r} takes too long")
        time.sleep(0.005)


@contextmanager
def serving(
    command: Sequence[str],
    *,
    cwd: Path,
    port: int | None = None,
    said: Path | None = None,
) -> Generator[subprocess.Popen[bytes]]:
    """Keep a server running for as long as the block lasts, once ``port`` answers."""
    said = said or cwd / f"{Path(command[0]).name}.said"
    with said.open("wb") as words:
        popen = subprocess.Popen(
            command, cwd=cwd, env=outside(), stdout=words, stderr=subprocess.STDOUT
        )
        try:
            if port is not None:
                wait_for_port(port)
            yield popen
        finally:
            end(popen)


def end(popen: subprocess.Popen[bytes], *, within_s: float = 20.0) -> None:
    """SIGTERM, and SIGKILL for what does not listen."""
    if popen.poll() is not None:
        return
    popen.send_signal(signal.SIGTERM)
    try:
        popen.wait(within_s)
    except subprocess.TimeoutExpired:
        popen.kill()
        popen.wait()


def say(line: str) -> None:
    """One line, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
