"""The short form of ``make torture``: every kind of trouble once, judged by the receiver."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.torture import campaign, guards
from tests.torture.campaign import Simulations, Total
from tests.torture.guards import GUARDS, GuardNotFound
from tests.torture.scenario import PROFILES
from tests.torture.sweep import Arena, Ordeal, all_of

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

#: Runs known to need the guard. Threads of two workers race, so some guards get more than one.
NEEDS_IT = {
    "gate at MAIL": (1, 3),
    "gate after 354": (4, 5),
    "conditional claim": (1, 2, 4),
    "token": (2, 3),
    "flight log": (1, 2),
}
