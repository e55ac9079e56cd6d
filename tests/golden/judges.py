"""Judges that others wrote: how they are found, and how they are asked.

``postal-mime`` reads mails, ``html-validate`` and ``axe-core`` look at their HTML. They run on Node
and in Chromium; ``make test`` installs them into ``tests/judges`` by their lock file where npm is
at hand. ``tests/judges/html.json`` says which rules of HTML are asked for.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from base64 import b64encode
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.leftout import leave_out

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HERE: Final = Path(__file__).parents[1] / "judges"
_INSTALLED: Final = HERE / "node_modules"
_PATIENCE_S: Final = 60.0
_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium() -> str | None:
    """The browser of this machine; None when there is none."""
    return next((path for path in map(shutil.which, _BROWSERS) if path), None)


@cache
def _node() -> str | None:
    return shutil.which("node") if _INSTALLED.is_dir() else None


def _ask(script: str, given: object) -> Any:
    node = _node()
    if node is None:
        leave_out("Node judges: no node, or `make test` could not install tests/judges by npm")
    done = subprocess.run(
        [node, str(HERE / script)],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def parsed(mails: Sequence[bytes]) -> list[dict[str, Any]]:
    """What postal-mime reads in each mail."""
    return _ask("parse.mjs", [b64encode(mail).decode() for mail in mails])


def checked(pages: Mapping[str, str]) -> dict[str, list[str]]:
    """What html-validate finds in each page: ``line:column rule: message``."""
    return _ask("check.mjs", dict(pages))


def axe() -> str:
    """The accessibility checker, to be run within a page."""
    script = _INSTALLED / "axe-core" / "axe.min.js"
    if not script.is_file():
        leave_out("axe: `make test` could not install tests/judges by npm")
    return script.read_text(encoding="utf-8")
