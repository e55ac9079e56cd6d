"""What approval binds: text, embargo, sender and compiled messages under one hash (I6)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from distributor.core.model import Version


def seal_of(version: Version, digests: Iterable[str]) -> str:
    """SHA-256 over everything a person approves, in hex; any edit gives another."""
    bound: dict[str, object] = {
        "release": version.release_id,
        "number": version.number,
        "draft": asdict(version.draft),
        "sender": asdict(version.sender),
        "messages": sorted(digests),
    }
    if version.sequel is not None:
        bound["sequel"] = asdict(version.sequel)
    canonical = json.dumps(bound, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()
