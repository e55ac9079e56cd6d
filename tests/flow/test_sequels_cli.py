"""The commands about what has gone out, as a press officer types them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from distributor.core.model import Embargo, EmbargoState, Outcome
from distributor.core.states import WaveState
from distributor.stages import preparing
from distributor.store import suppressions, waves
from distributor.store.database import open_database
from distributor.store.suppressions import NewSuppression, SuppressionReason
from tests.builders import (
    MORNING,
    NOON,
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

    from distributor.store.database import Database

ANN, BOB, REFUSED = "ann@a.example", "bob@b.example", "carl@c.example"
NEW = "A new bridge\n\nIt opens on Wednesday.\n"
CORRECT = ("release", "correct", "R-1", "--file", "new.txt", "--reason", "A day was wrong.")


@pytest.fixture
def engine_name() -> str:
    """The command line is the same on both engines; the desk's tests run on each."""
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
    """A desk whose R-1 was sent: two accepted, one refused."""
    desk = CommandLine(tmp_path, capsys, monkeypatch)
    desk.configure()
    desk.file("new.txt", NEW)

    def plan(tx: Any) -> Any:
        a_worker(tx)
        version = a_release(tx, embargo=Embargo(EmbargoState.IMMEDIATE))
        return a_wave(tx, version, a_list(tx, "press", [ANN, BOB, REFUSED]))

    wave = moved(database, database.write(plan).result(), WaveState.PREPARING)
    preparing.prepare(database, POLICY, wave, worker=WORKER, now=MORNING)
    while (claim := claimed(database)) is not None:
        for each in marked(database, claim):
            no = each.recipient.address == REFUSED
            recorded(database, a_result(each.id, 7, Outcome.REFUSED if no else Outcome.ACCEPTED))
    database.write(lambda tx: waves.note_first_mail(tx, wave.id, NOON)).result()
    assert database.write(lambda tx: waves.finish(tx, wave_of(database, wave), NOON)).result()
    return desk


def test_from_the_correction_to_its_wave_every_step_names_the_next(desk: CommandLine) -> None:
    said = desk.says(*CORRECT)
    assert "R-1  version 2 is a correction, a draft." in said
    assert "Paragraph 1: “It opens on Tuesday.” now reads “It opens on Wednesday.”" in said
    assert "release approve R-1" in said
    assert "stopped" not in said
    said = desk.says("release", "approve", "R-1")
    assert "release schedule R-1, to those who may have an earlier version" in said
    assert "a correction" in desk.says("release", "show", "R-1")
    shown = desk.answers("release", "show", "R-1")
    assert (shown["sequel"], shown["reason"]) == ("correction", "A day was wrong.")
    assert not shown["withdrawn"]
    assert "CORRECTION: A new bridge" in desk.says("release", "preview", "R-1")
    assert "goes first" in desk.refuses(
        "release", "schedule", "R-1", "--list", "press", "--at", "now"
    )
    said = desk.says("release", "schedule", "R-1")
    assert "R-1  goes out as a correction to 2" in said
    assert "log R-1 --missed" in said
    shown = desk.says("release", "show", "R-1")
    assert "Correction wave planned, to everybody who may have an earlier version" in " ".join(
        shown.split()
    )


def test_who_objected_is_named_so_that_somebody_rings(
    desk: CommandLine, database: Database
) -> None:
    order = NewSuppression(a_contact(ANN).address, SuppressionReason.OBJECTION, "wrote to us")
    database.write(lambda tx: suppressions.add(tx, order, by="ann", now=MORNING)).result()
    done = desk.run("release", "withdraw", "R-1", "--reason", "It is not ours.")
    assert done.code == 0
    assert "R-1  is withdrawn." in done.out
    assert "goes out as a withdrawal to 1" in done.out
    assert f"{ANN} cannot be told by mail (suppressed: objection)" in done.err
    with database.read() as tx:
        wave = waves.of_release(tx, 1)[-1]
    wave = moved(database, wave, WaveState.PREPARING)
    preparing.prepare(database, POLICY, wave, worker=WORKER, now=NOON)
    missed = desk.says("log", "R-1", "--missed")
    assert ANN in missed
    assert "left out: suppressed, objection" in missed
    assert "get no mail about the withdrawal: ring." in missed
    assert "Nothing of the withdrawal of R-1 was tried yet: 1 waits." in missed  # that is BOB
    assert REFUSED not in missed  # has nothing that must be disregarded
    assert desk.answers("release", "show", "R-1")["withdrawn"]
    assert "withdrawn" in desk.refuses(*CORRECT)


def test_a_resend_goes_to_those_it_was_refused_to(desk: CommandLine) -> None:
    assert "release resend R-1 --state refused" in desk.says("log", "R-1", "--missed")
    assert "Nobody would get it" in desk.refuses("release", "resend", "R-1", "--state", "expired")
    assert "choose refused or expired" in desk.misused("release", "resend", "R-1", "--state", "x")
    said = desk.says("release", "resend", "R-1", "--state", "refused", "--state", "expired")
    assert "R-1  goes out again to 1" in said
    assert "those who are refused or expired" in desk.says("release", "show", "R-1")


def test_a_follow_up_says_what_is_new(desk: CommandLine) -> None:
    said = desk.says(
        "release", "follow-up", "R-1", "--file", "new.txt", "--reason", "The day is known."
    )
    assert "version 2 is a follow-up, a draft" in said
    desk.says("release", "approve", "R-1")
    desk.says("release", "preview", "R-1")
    text = (desk.folder / "R-1.txt").read_text(encoding="utf-8")
    assert "What is new: The day is known." in text
    assert "goes out as a follow-up to 2" in desk.says("release", "schedule", "R-1")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*CORRECT[:4], "nowhere.txt", *CORRECT[5:]), "does not exist"),
        ((*CORRECT[:6], " "), "A reason is needed"),
        ((*CORRECT, "--embargo", "2199-01-01 00:01 UTC"), "cannot be embargoed any more"),
        ((*CORRECT[:2], "R-9", *CORRECT[3:]), "There is no release R-9"),
        (("release", "withdraw", "R-9", "--reason", "x"), "There is no release R-9"),
        (("release", "withdraw", "R-1", "--reason", "a\rb"), "carriage return"),
        (("release", "resend", "R-9"), "There is no release R-9"),
        (("release", "schedule", "R-9"), "There is no release R-9"),
    ],
)
def test_an_order_that_cannot_be_carried_out_is_one_line_and_a_remedy(
    desk: CommandLine, words: tuple[str, ...], said: str
) -> None:
    assert said in desk.refuses(*words)
    assert desk.answers("release", "show", "R-1")["version"] == 1


@pytest.mark.parametrize("words", [("R-1",), ("R-1", "--also", "press", "--list", "press")])
def test_a_plain_release_is_asked_for_its_list(desk: CommandLine, words: tuple[str, ...]) -> None:
    desk.misused("release", "schedule", *words)
