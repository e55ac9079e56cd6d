"""A merge that now and then makes what must never leave."""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from distributor.core import letter
from tests.torture.virtual import patched

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Generator

    from tests.torture.scenario import Scenario


def _with_bcc(data: bytes) -> bytes:
    return data.replace(b"\r\nDate:", b"\r\nBcc: spy@elsewhere.example\r\nDate:", 1)


def _to_another(data: bytes) -> bytes:
    return data.replace(b"\r\nDate:", b"\r\nCc: everybody@elsewhere.example\r\nDate:", 1)


def _second_to(data: bytes) -> bytes:
    return data.replace(b"\r\nDate:", b"\r\nTo: other@elsewhere.example\r\nDate:", 1)


def _without_id(data: bytes) -> bytes:
    return data.replace(b"\r\nMessage-ID:", b"\r\nX-Message:", 1)


_WAYS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "merge: a Bcc appears": _with_bcc,
    "merge: a Cc appears": _to_another,
    "merge: a second To": _second_to,
    "merge: no Message-ID": _without_id,
}


@contextmanager
def merges(scenario: Scenario, happened: Counter[str]) -> Generator[None]:
    """Have a share of the copies come out wrong."""
    if not scenario.spoiled:
        yield
        return
    really: Any = letter.merge

    def merge(compiled: Any, personal: Any, *args: Any, **kwargs: Any) -> bytes:
        data: bytes = really(compiled, personal, *args, **kwargs)
        # The same person's copy is wrong at every try: what is refused stays refused.
        dice = random.Random(f"{scenario.key}/{personal.recipient.address}")  # noqa: S311
        if dice.random() >= scenario.spoiled:
            return data
        name = dice.choice(sorted(_WAYS))
        happened[name] += 1
        return _WAYS[name](data)

    with patched((letter, "merge", merge)):
        yield
