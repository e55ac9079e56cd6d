"""What the figures were measured on: hardware, kernel, versions of everything that took part."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import sqlite3
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.bench import INSTALLED
from benchmarks.processes import ROOT, LeftOut, tool
from distributor import __version__

if TYPE_CHECKING:
    from benchmarks.postgresql import Cluster


def describe(cluster: Cluster | None) -> dict[str, str]:
    """By name; what is not there is absent."""
    facts = {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{_release()}, Linux {platform.release()}",
        "distributor": f"{__version__} ({_commit()})",
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "SQLAlchemy": importlib.metadata.version("sqlalchemy"),
        "psycopg": importlib.metadata.version("psycopg"),
        "Postfix (smtp-sink, smtp-source)": _asked("postconf", "-dh", "mail_version"),
        "HAProxy": _asked("haproxy", "-v").removeprefix("HAProxy version ").partition(" ")[0],
        "Node.js": _asked("node", "--version"),
        "nodemailer": _node("nodemailer"),
        "better-sqlite3": _node("better-sqlite3"),
        "PostgreSQL": cluster.version() if cluster else "",
        **{name: _peer(name) for name in ("django", "django-post-office", "aiosmtplib", "jinja2")},
    }
    return {name: fact for name, fact in facts.items() if fact}


def _commit() -> str:
    return _first_line(["git", "-C", str(ROOT), "describe", "--always", "--dirty"])


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _release() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.system()


def _asked(name: str, *arguments: str) -> str:
    try:
        return _first_line([tool(name), *arguments])
    except LeftOut:
        return ""


def _first_line(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout.strip().splitlines() or [""])[0]


def _node(name: str) -> str:
    package = INSTALLED / "node" / "node_modules" / name / "package.json"
    return json.loads(package.read_text(encoding="utf-8"))["version"] if package.exists() else ""


def _peer(name: str) -> str:
    python = INSTALLED / "venv" / "bin" / "python"
    if not python.exists():
        return ""
    question = f"import importlib.metadata as m; print(m.version({name!r}))"
    return _first_line([str(python), "-c", question])
