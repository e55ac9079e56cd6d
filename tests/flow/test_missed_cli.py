"""``log REF --missed``: who has not got it, once each, and what the answer speaks of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from distributor.core.model import Embargo, EmbargoState, Outcome
from distributor.core.states import WaveState
from distributor.stages import preparing
from distributor.store import waves
from distributor.store.database import open_database
from tests.builders import (
    MORNING,
    NOON,
    ORDER,
    POLICY,
    WORKER,
    a_contact,
    a_list,
    a_release,
    a_result,
    a_wave,
    a_worker,
    claimed,
    marked,
    moved,
    recorded,
    wave_of,
)
from tests.commandline import CommandLine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection

    from distributor.core.model import Wave
    from distributor.store.database import Database

ANN, BOB, CARL = "ann@a.example", "bob@b.example", "carl@c.example"
NOBODY: frozenset[str] = frozenset()


@pytest.fixture
def engine_name() -> str:
    """The command line is the same on both engines; the store's tests run on each."""
    return "sqlite"


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    database = open_database(migrated_url)
    yield database
    database.close()


@pytest.fixture
def desk(
    database: Database,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> CommandLine:
    """A desk whose R-1, for immediate release, is planned to three people."""
    desk = CommandLine(tmp_path, capsys, monkeypatch)
    desk.configure()

    def plan(tx: Connection) -> None:
        a_worker(tx)
        people = [a_contact(ANN, name="Ann Lee", outlet="The Herald"), a_contact(BOB)]
        members = a_list(tx, "press", [*people, a_contact(CARL)])
        a_wave(tx, a_release(tx, embargo=Embargo(EmbargoState.IMMEDIATE)), members)

    database.write(plan).result()
    return desk


def newest(database: Database) -> Wave:
    with database.read() as tx:
        return waves.of_release(tx, 1)[-1]


def sealed(database: Database) -> Wave:
    """The newest wave with its audience made."""
    wave = moved(database, newest(database), WaveState.PREPARING)
    preparing.prepare(database, POLICY, wave, worker=WORKER, now=MORNING)
    return wave_of(database, wave)


def sent(database: Database, *, refused: frozenset[str] = NOBODY) -> None:
    """Send the newest wave to its end; these addresses are refused."""
    wave = sealed(database)
    while (claim := claimed(database)) is not None:
        for each in marked(database, claim):
            no = each.recipient.address in refused
            told = a_result(each.id, 7, Outcome.REFUSED if no else Outcome.ACCEPTED)
            recorded(database, told._replace(code=550, reply="no such user") if no else told)
    database.write(lambda tx: waves.note_first_mail(tx, wave.id, NOON)).result()
    assert database.write(lambda tx: waves.finish(tx, wave_of(database, wave), NOON)).result()


def stopped(database: Database) -> None:
    """Cancel the newest wave once its audience is sealed, before anything was tried."""
    wave = moved(database, sealed(database), WaveState.STOPPING)
    assert database.write(lambda tx: waves.complete_stop(tx, wave, ORDER)).result()


# --- once each, by the answer that decides --------------------------------------------------------


def test_after_a_resend_nobody_who_has_got_it_is_missing(
    desk: CommandLine, database: Database
) -> None:
    sent(database, refused=frozenset({ANN, BOB, CARL}))
    desk.says("release", "resend", "R-1")
    stopped(database)
    said = desk.says("log", "R-1", "--missed")
    assert [said.count(each) for each in (ANN, BOB, CARL)] == [1, 1, 1]
    assert said.count("refused: 550 no such user") == 3
    assert "3 have not got R-1, as far as is known." in said
    desk.says("release", "resend", "R-1")
    sent(database, refused=frozenset({CARL}))
    [line] = desk.says("log", "R-1", "--missed", "--json").splitlines()
    assert (json.loads(line)["address"], json.loads(line)["state"]) == (CARL, "refused")
    desk.says("contacts", "edit", CARL, "--address", "carl@new.example")
    desk.says("release", "resend", "R-1")
    sent(database)
    assert desk.says("log", "R-1", "--missed").strip() == "Nobody: all 3 have got R-1."
    assert desk.says("log", "R-1", "--missed", "--json") == ""
