"""The log: one line per delivery, filters, attempts, and who was left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import update

from distributor.core.model import Outcome, WaveKind
from distributor.core.states import DeliveryState
from distributor.store import deliverylog
from distributor.store.deliverylog import Filter
from distributor.store.schema import deliveries as rows
from tests.builders import (
    MINUTE,
    NOON,
    a_result,
    a_sending_wave,
    a_worker,
    claimed,
    marked,
    recorded,
)

if TYPE_CHECKING:
    from distributor.core.model import Wave
    from distributor.store.database import Database


@pytest.fixture
def wave(database: Database) -> Wave:
    """Two deliveries: one accepted at noon, one refused a minute later; and a bystander."""
    database.write(a_worker).result()
    wave = a_sending_wave(database, 2)
    claim = claimed(database)
    assert claim
    one, two = marked(database, claim)
    recorded(
        database,
        a_result(one.id, 7, Outcome.ACCEPTED),
        a_result(two.id, 7, Outcome.REFUSED, code=550, ended_at=NOON + MINUTE),
    )
    for key, outlet in ((one.id, "Écho"), (two.id, "THE PAPER")):
        change = update(rows).where(rows.c.id == key).values(outlet=outlet)
        database.write(lambda tx, c=change: tx.execute(c)).result()
    a_sending_wave(database, 1)
    return wave


def shown(database: Database, wave: Wave, wanted: Filter) -> list[str]:
    with database.read() as tx:
        return [line.outlet for line in deliverylog.lines(tx, wave.release_id, wanted)]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Filter(), ["Écho", "THE PAPER"]),
        (Filter(states={DeliveryState.REFUSED}), ["THE PAPER"]),
        (Filter(states={DeliveryState.QUEUED}), []),
        (Filter(outlet="the paper"), ["THE PAPER"]),
        (Filter(outlet="Écho"), ["Écho"]),
        (Filter(outlet="ÉCHO"), ["Écho"]),
        (Filter(states={DeliveryState.REFUSED}, outlet="Écho"), []),
        (Filter(kinds={WaveKind.GENERAL}), ["Écho", "THE PAPER"]),
        (Filter(kinds={WaveKind.CORRECTION, WaveKind.RESEND}), []),
    ],
)
def test_lines_are_filtered_as_people_write(
    database: Database, wave: Wave, wanted: Filter, found: list[str]
) -> None:
    assert shown(database, wave, wanted) == found


def test_a_line_says_what_the_server_said(database: Database, wave: Wave) -> None:
    with database.read() as tx:
        line, *_ = deliverylog.lines(tx, wave.release_id, Filter())
    assert (line.state, line.attempts, line.code) == (DeliveryState.ACCEPTED, 1, 250)
    assert (line.reply, line.relay, line.at) == ("so the server said", "main", NOON)
    assert line.message_id.endswith("@desk.example>")
    assert (line.kind, line.version) == (WaveKind.GENERAL, 1)


def test_an_address_shows_its_attempts_in_any_case(database: Database, wave: Wave) -> None:
    with database.read() as tx:
        first, *_ = deliverylog.lines(tx, wave.release_id, Filter())
        ((line, (attempt,)),) = deliverylog.of_address(tx, wave.release_id, first.address.upper())
        assert deliverylog.of_address(tx, wave.release_id, "nobody@x.example") == []
    assert line == first
    assert (attempt.outcome, attempt.code, attempt.late) == ("accepted", 250, False)


def test_the_audience_names_its_recipients(database: Database, wave: Wave) -> None:
    with database.read() as tx:
        members = deliverylog.audience(tx, wave.id)
    assert [(m.outlet, m.state, m.reason) for m in members] == [
        ("Écho", "accepted", None),
        ("THE PAPER", "refused", None),
    ]
