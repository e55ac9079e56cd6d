"""Where the files that ship with the program lie.

An editable install leaves a copy in ``_data`` that grows stale, so a checkout is asked first.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def shipped(name: str) -> Path:
    """Path of a shipped file or folder: beside pyproject.toml in a checkout, else in the wheel."""
    beside = _PACKAGE.parent / name
    # Some packages drop a pyproject.toml of their own beside ours when installed: that alone
    # does not make a checkout.
    if (_PACKAGE.parent / "pyproject.toml").is_file() and beside.exists():
        return beside
    return _PACKAGE / "_data" / name
