"""The demo's processes in its folder: orders that end, servers that stay, and tidying up.

Invariant: no setting of whoever runs the demo reaches them, so nothing can leave for a real server.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from distributor.clock import GuardedClock
from distributor.errors import DemoFailed
from distributor.settings import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

#: How long one order may take, in seconds: a machine that is slower cannot show anything.
_ORDER_S: Final = 60.0
#: How long a server may take to be ready, in seconds, and how often it is looked at.
_READY_S: Final = 30.0
_LOOK_S: Final = 0.05
#: How long a server may take to stop by itself, in seconds.
_STOP_S: Final = 10.0
#: Last words quoted of a server that ended, in lines.
_LAST_LINES: Final = 5


@dataclass(frozen=True, slots=True)
class Said:
    """What an order answered, and how long it took in seconds."""

    answer: str
    remarks: str
    took_s: float


class Processes:
    """Runs ``distributor`` in a folder; leaving it stops every process it started."""

    def __init__(self, folder: Path, *, columns: int) -> None:
        """Start nothing yet; tables are to be ``columns`` wide."""
        self.folder = folder
        self._environment = child_environment(os.environ, columns=columns)
        self._clock = GuardedClock()
        self._servers: dict[str, subprocess.Popen[bytes]] = {}

    def order(self, *words: str) -> Said:
        """Carry out ``distributor words…`` and return what it says.

        Raises:
            DemoFailed: It refused, took too long, or a server is gone.

        """
        self.mind()
        command = [sys.executable, "-m", "distributor", *words]
        began_s = self._clock.monotonic()
        try:
            done = subprocess.run(  # noqa: S603 - our own program
                command,
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                timeout=_ORDER_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            msg = f"“distributor {' '.join(words)}” was not done after {_ORDER_S:.0f} s."
            raise DemoFailed(msg) from error
        if done.returncode:
            self.mind()
            msg = f"“distributor {' '.join(words)}” {_ended(done.returncode)}."
            raise DemoFailed(_with_words(msg, (done.stdout + done.stderr).splitlines()))
        return Said(done.stdout, done.stderr, self._clock.monotonic() - began_s)

    def start(self, name: str, module: str, *words: str) -> None:
        """Start a server that stays; what it says goes to its log file."""
        with self._log(name).open("wb") as log:
            self._servers[name] = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", module, *words],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C is ours to answer; and its children are found again by its group.
                start_new_session=True,
            )

    def wait_for(self, name: str, sign: Callable[[str], str | None]) -> str:
        """Wait until ``sign`` finds what it looks for in what a server has said.

        Raises:
            DemoFailed: The server ended, or never said it.

        """
        until_s = self._clock.monotonic() + _READY_S
        while self._clock.monotonic() < until_s:
            if found := sign(self._said(name)):
                return found
            self.mind()
            time.sleep(_LOOK_S)
        msg = f"The {name} was not ready after {_READY_S:.0f} s."
        raise DemoFailed(_with_words(msg, self._said(name).splitlines()))

    def mind(self) -> None:
        """See whether every server is still there.

        Raises:
            DemoFailed: One ended; the message says how, with its last words.

        """
        for name, server in self._servers.items():
            code = server.poll()
            if code is not None:
                msg = f"The {name} {_ended(code)}."
                raise DemoFailed(_with_words(msg, self._said(name).splitlines()))

    def stop(self) -> None:
        """Stop every server, the last one first; one that will not is killed."""
        for server in reversed(self._servers.values()):
            server.terminate()
            try:
                server.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                pass
            finally:
                _kill_group(server)
        self._servers.clear()

    def _log(self, name: str) -> Path:
        return self.folder / f"{name.replace(' ', '-')}.log"

    def _said(self, name: str) -> str:
        return self._log(name).read_text(encoding="utf-8", errors="replace")

    def __enter__(self) -> Self:
        """Nothing yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop what was started."""
        self.stop()


def child_environment(environment: Mapping[str, str], *, columns: int) -> dict[str, str]:
    """The environment without our settings and without colours, in UTF-8, so wide."""
    kept = {
        name: value
        for name, value in environment.items()
        if not name.upper().startswith(PREFIX) and name not in {"FORCE_COLOR", "TTY_COMPATIBLE"}
    }
    return kept | {"COLUMNS": str(columns), "NO_COLOR": "1", "PYTHONUTF8": "1"}


def _kill_group(server: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a server and of its own children."""
    try:
        os.killpg(server.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        server.wait()


def _ended(code: int) -> str:
    if code < 0:
        return f"was killed by signal {-code} ({signal.strsignal(-code) or 'unknown'})"
    return f"ended with exit code {code}"


def _with_words(message: str, lines: Sequence[str]) -> str:
    """The message with the last words said, if there were any."""
    last = [line for line in lines if line.strip()][-_LAST_LINES:]
    return "\n".join((message, *(f"  {line}" for line in last)))


class DemoFolder:
    """Where the demo happens: ``keep``, which stays; else a temporary folder, which goes."""

    def __init__(self, keep: Path | None) -> None:
        """Make nothing yet."""
        self._keep = keep
        self._path = Path()

    def __enter__(self) -> Path:
        """Make the folder.

        Raises:
            DemoFailed: There is something in it already.

        """
        if self._keep is None:
            self._path = Path(tempfile.mkdtemp(prefix="distributor-"))
            return self._path
        self._path = self._keep.expanduser().absolute()
        if self._path.is_dir() and any(self._path.iterdir()):
            msg = f"{self._keep} is not empty: the demo needs a folder of its own."
            raise DemoFailed(msg, remedy="Name a folder that does not exist yet.")
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._path

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the folder unless it is to be kept."""
        if self._keep is None:
            shutil.rmtree(self._path)
