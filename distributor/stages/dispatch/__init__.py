"""Dispatch: batches are claimed, sent over kept connections, and what came of it is recorded.

One long-lived task. Commit, wire, commit: no transaction is open while a server is talked to.
"""

from __future__ import annotations

from distributor.stages.dispatch.dispatch import Dispatch

__all__ = ["Dispatch"]
