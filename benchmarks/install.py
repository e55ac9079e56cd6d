"""What the benchmark needs and the machine lacks: system packages by apt, peers by lock file.

Everything of the peers goes below ``benchmarks/.peers``. What cannot be had is told, and its rows
are left out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.bench import INSTALLED, PEERS
from benchmarks.processes import LeftOut, say, tool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: A program, and the Debian package it comes with.
_SYSTEM: Final = (
    ("smtp-sink", "postfix"),
    ("haproxy", "haproxy"),
    ("openssl", "openssl"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("initdb", "postgresql"),
)
_LIMIT_S: Final = 900.0


def install() -> dict[str, str]:
    """Install what is missing; gives what is still missing, and why."""
    missing: dict[str, str] = {}
    for name, package in _SYSTEM:
        _try(missing, name, lambda name=name, package=package: _system(name, package))
    _try(missing, "django-post-office, aiosmtplib", _python_peers)
    _try(missing, "nodemailer", _node_peers)
    return missing


def _try(missing: dict[str, str], what: str, step: Callable[[], None]) -> None:
    try:
        step()
    except (LeftOut, OSError, subprocess.SubprocessError) as error:
        missing[what] = str(error)
        say(f"left out: {what}: {error}")


def _system(name: str, package: str) -> None:
    if name == "initdb" and any(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        return
    try:
        tool(name)
    except LeftOut:
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise LeftOut(f"{name} is missing; install {package}") from None
        say(f"installing {package}")
        # Runlevel 1: a service that comes with it is not started.
        quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        _run(["apt-get", "update", "-qq"], environment=quiet)
        order = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package]
        _run(order, environment=quiet)


def _python_peers() -> None:
    lock = PEERS / "requirements.lock"
    folder = INSTALLED / "venv"
    if _current(folder, lock):
        return
    say("installing the Python peers")
    shutil.rmtree(folder, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(folder)])
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps"]
    _run([*pip, "--require-hashes", "-r", str(lock)])
    _note(folder, lock)


def _node_peers() -> None:
    lock = PEERS / "package-lock.json"
    folder = INSTALLED / "node"
    if _current(folder, lock):
        return
    npm = tool("npm")
    say("installing the Node peer; its SQLite is compiled, which takes a minute")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(PEERS / name, folder)
    _run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder)
    environment = dict(os.environ)
    if Path("/usr/include/node/node.h").exists():
        # Node's own headers as the system installed them: nothing is fetched to compile.
        environment["npm_config_nodedir"] = "/usr"
    module = folder / "node_modules" / "better-sqlite3"
    _run([npm, "run", "build-release"], cwd=module, environment=environment)
    _note(folder, lock)


def _current(folder: Path, lock: Path) -> bool:
    note = folder / "installed.lock"
    return note.exists() and note.read_bytes() == lock.read_bytes()


def _note(folder: Path, lock: Path) -> None:
    shutil.copy(lock, folder / "installed.lock")


def _run(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    environment: dict[str, str] | None = None,
) -> None:
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=_LIMIT_S,
    )
    if done.returncode:
        raise LeftOut(f"{' '.join(command[:3])}: {(done.stderr or done.stdout).strip()[-300:]}")
