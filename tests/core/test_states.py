from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from distributor.core.states import (
    BATCH_MOVES,
    DELIVERY_MOVES,
    LIVE,
    MOVES,
    OPEN,
    VERSION_MOVES,
    WAVE_MOVES,
    BatchState,
    DeliveryState,
    VersionState,
    WaveState,
    check_move,
    is_legal,
    sources,
)
from distributor.errors import IllegalMove
from distributor.store.schema import metadata

KINDS: list[Any] = [VersionState, WaveState, BatchState, DeliveryState]

#: The same moves once more, in the words of design section 5: two hands must agree on them.
WRITTEN = {
    VersionState: "draft>approved superseded; approved>superseded",
    WaveState: (
        "planned>preparing held stopping; preparing>ready planned held stopping;"
        "ready>sending planned held stopping; sending>finished held stopping;"
        "held>planned preparing ready sending stopping; stopping>cancelled; finished>sending"
    ),
    BatchState: "ready>claimed cancelled; claimed>done ready cancelled",
    DeliveryState: (
        "queued>sending cancelled suppressed expired quarantined;"
        "sending>accepted deferred refused uncertain queued cancelled suppressed expired;"
        "deferred>queued expired cancelled suppressed; refused>queued; quarantined>queued;"
        "uncertain>accepted queued abandoned bounced; accepted>bounced complained"
    ),
}


def written(kind: Any) -> set[tuple[Any, Any]]:
    pairs: set[tuple[Any, Any]] = set()
    for line in WRITTEN[kind].split(";"):
        before, _, after = line.strip().partition(">")
        pairs |= {(kind(before), kind(word)) for word in after.split()}
    return pairs


@pytest.mark.parametrize("kind", KINDS)
def test_i12_every_move_of_the_table_is_legal_and_no_other(kind: Any) -> None:
    for before, after in product(kind, kind):
        legal = (before, after) in written(kind)
        assert is_legal(before, after) is legal, (before, after)
        if legal:
            check_move(before, after)
        else:
            with pytest.raises(IllegalMove) as refusal:
                check_move(before, after)
            assert (refusal.value.before, refusal.value.after) == (before, after)


@pytest.mark.parametrize("kind", KINDS)
def test_every_state_stands_in_its_table(kind: Any) -> None:
    assert set(MOVES[kind]) == set(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_sources_are_the_table_read_backwards(kind: Any) -> None:
    for after in kind:
        assert sources(after) == {before for before in kind if is_legal(before, after)}


def test_words_that_kinds_share_do_not_mix() -> None:
    assert WaveState.READY == BatchState.READY
    assert WaveState.CANCELLED == DeliveryState.CANCELLED
    assert sources(WaveState.READY) == {WaveState.PREPARING, WaveState.HELD}
    assert sources(BatchState.READY) == {BatchState.CLAIMED}
    assert all(type(state) is BatchState for state in sources(BatchState.READY))
    assert sources(WaveState.CANCELLED) == {WaveState.STOPPING}
    assert not is_legal(WaveState.READY, WaveState.CANCELLED)
    assert is_legal(BatchState.READY, BatchState.CANCELLED)
    assert is_legal(WaveState.READY, WaveState.SENDING)
    assert is_legal(DeliveryState.SENDING, DeliveryState.ACCEPTED)
    assert not is_legal(WaveState.SENDING, WaveState.CANCELLED)
    assert is_legal(DeliveryState.SENDING, DeliveryState.CANCELLED)


def test_nothing_leaves_accepted_but_by_a_returned_notice() -> None:
    returned = {DeliveryState.BOUNCED, DeliveryState.COMPLAINED}
    assert DELIVERY_MOVES[DeliveryState.ACCEPTED] == returned


def test_ends_are_ends() -> None:
    ends = {
        state
        for table in (VERSION_MOVES, WAVE_MOVES, BATCH_MOVES, DELIVERY_MOVES)
        for state, targets in table.items()
        if not targets
    }
    assert {(type(end).__name__, end.value) for end in ends} >= {
        ("VersionState", "superseded"),
        ("BatchState", "done"),
    }
    for table in (WAVE_MOVES, DELIVERY_MOVES):
        for state, targets in table.items():
            assert state not in targets


def test_what_is_open_is_live() -> None:
    assert OPEN < LIVE
    assert {DeliveryState.ACCEPTED, DeliveryState.UNCERTAIN} == LIVE - OPEN


def test_i12_the_tables_checks_list_exactly_the_words() -> None:
    text = Path("alembic/versions/0001_the_first_tables.py").read_text(encoding="utf-8")
    tables = {
        "versions": VersionState,
        "waves": WaveState,
        "batches": BatchState,
        "deliveries": DeliveryState,
    }
    for table, kind in tables.items():
        pattern = rf'"state IN \(([^)]*)\)", name=op\.f\(\'ck_{table}_state\'\)'
        listed = re.search(pattern, text)
        assert listed, table
        assert set(re.findall(r"'([^']+)'", listed[1])) == set(kind)
        (check,) = [c for c in metadata.tables[table].constraints if c.name == f"ck_{table}_state"]
        assert set(re.findall(r"'([^']+)'", str(check.sqltext))) == set(kind)  # type: ignore[attr-defined]
