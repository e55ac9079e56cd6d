"""``log REF --missed``: who has not got it, once each, and what the answer speaks of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import update

from distributor.core.model import Embargo, EmbargoState, Outcome
from distributor.core.states import HoldReason, WaveState
from distributor.stages import preparing
from distributor.store import suppressions, waves
from distributor.store.database import open_database
from distributor.store.schema import waves as wave_rows
from distributor.store.suppressions import NewSuppression, SuppressionReason
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


# --- what it speaks of ----------------------------------------------------------------------------


def suppressed(database: Database, address: str) -> None:
    order = NewSuppression(a_contact(address).address, SuppressionReason.OBJECTION, "wrote to us")
    database.write(lambda tx: suppressions.add(tx, order, by="ann", now=MORNING)).result()


def corrected(desk: CommandLine) -> None:
    desk.file("new.txt", "A new bridge\n\nIt opens on Wednesday.\n")
    desk.says("release", "correct", "R-1", "--file", "new.txt", "--reason", "A day was wrong.")
    desk.says("release", "approve", "R-1")
    desk.says("release", "schedule", "R-1")


def last_line(said: str) -> str:
    return said.strip().splitlines()[-1]


def test_after_a_correction_the_log_tells_the_waves_apart(
    desk: CommandLine, database: Database
) -> None:
    sent(database, refused=frozenset({CARL}))
    assert "WAVE" not in desk.says("log", "R-1")
    desk.says("release", "resend", "R-1")
    sent(database)
    corrected(desk)
    sent(database)
    said = desk.says("log", "R-1")
    assert "WAVE" in said
    assert [said.count(word) for word in ("general v1", "resend v1", "correction v2")] == [3, 1, 3]
    one = desk.says("log", "R-1", CARL)
    assert f"{CARL}  refused  general v1" in one
    assert f"{CARL}  accepted  resend v1" in one
    lines = [json.loads(line) for line in desk.says("log", "R-1", "--json").splitlines()]
    kinds = [(line["kind"], line["version"]) for line in lines]
    assert kinds == [("general", 1)] * 3 + [("resend", 1)] + [("correction", 2)] * 3
    head, *rows = desk.says("log", "R-1", "--csv").splitlines()
    assert head.endswith(",due_at,kind,version")
    assert [row.rsplit(",", 2)[1:] for row in rows] == [[kind, str(n)] for kind, n in kinds]


@pytest.mark.parametrize(
    ("words", "kinds"),
    [
        (("--wave", "correction"), ["correction"] * 3),
        (("--wave", "Resend,correction"), ["resend", *["correction"] * 3]),
        (("--wave", "resend", "--wave", "general"), [*["general"] * 3, "resend"]),
        (("--wave", "general", "--state", "refused"), ["general"]),
        (("--wave", "withdrawal"), []),
        (("--wave", "general", "--missed"), ["general"]),
        (("--missed",), []),
    ],
)
def test_the_log_is_filtered_by_kinds_of_wave(
    desk: CommandLine, database: Database, words: tuple[str, ...], kinds: list[str]
) -> None:
    sent(database, refused=frozenset({CARL}))
    desk.says("release", "resend", "R-1")
    sent(database)
    corrected(desk)
    sent(database)
    lines = desk.says("log", "R-1", "--json", *words).splitlines()
    assert [json.loads(line)["kind"] for line in lines] == kinds


def test_the_last_sentence_names_the_withdrawal_or_correction_that_it_speaks_of(
    desk: CommandLine, database: Database
) -> None:
    sent(database, refused=frozenset({CARL}))
    assert "1 has not got R-1, as far" in desk.says("log", "R-1", "--missed")
    corrected(desk)
    assert "sealed shortly before" in desk.says("log", "R-1", "--missed")
    sent(database, refused=frozenset({BOB}))
    assert "1 has not got the correction of R-1, as far" in desk.says("log", "R-1", "--missed")
    desk.says("release", "schedule", "R-1", "--list", "press", "--at", "now")
    sent(database, refused=NOBODY)
    said = desk.says("log", "R-1", "--missed")
    assert said.strip() == "Nobody: all 3 have got the corrected R-1."
    desk.says("release", "withdraw", "R-1", "--reason", "It is not ours.")
    sent(database)
    said = desk.says("log", "R-1", "--missed")
    assert said.strip() == "Nobody: all 3 have got the withdrawal of R-1."
    said = desk.says("log", "R-1", "--missed", "--outlet", "the herald")
    assert said.strip() == "Nobody of the herald: all 1 have got the withdrawal of R-1."
    said = desk.says("log", "R-1", "--missed", "--wave", "correction")
    assert "1 has not got the correction of R-1, as far" in said
    said = desk.says("log", "R-1", "--missed", "--wave", "general,resend")
    assert said.strip() == "Nobody: all 3 have got the general or resend wave of R-1."


def test_who_was_left_out_of_the_first_wave_is_found_after_a_correction(
    desk: CommandLine, database: Database
) -> None:
    suppressed(database, CARL)
    sent(database)
    said = desk.says("release", "audience", "R-1")
    assert "WAVE" not in said
    assert last_line(said) == "2 recipients, 1 excluded."
    suppressed(database, BOB)
    corrected(desk)
    said = desk.says("release", "audience", "R-1")
    assert CARL in said
    assert "sealed shortly before" in said
    sent(database)
    said = desk.says("release", "audience", "R-1")
    rows = [line.split() for line in said.splitlines()]
    assert [CARL, "general", "excluded", "suppressed:", "objection"] in rows
    assert [BOB, "correction", "excluded", "suppressed:", "objection"] in rows
    assert last_line(said) == "The correction wave: 1 recipients, 1 excluded."
    members = desk.answers("release", "audience", "R-1")
    assert [(each["address"], each["kind"], each["reason"]) for each in members] == [
        (CARL, "general", "suppressed"),
        (BOB, "correction", "suppressed"),
        (ANN, "correction", None),
    ]
    said = desk.says("release", "audience", "R-1", "--wave", "general")
    assert BOB in said
    assert last_line(said) == "2 recipients, 1 excluded."
    assert "R-1 has no resend wave" in desk.refuses(
        "release", "audience", "R-1", "--wave", "resend"
    )
    desk.misused("release", "audience", "R-1", "--wave", "nonsense")
    missed = desk.says("log", "R-1", "--missed")
    assert f"{BOB}\n    left out: suppressed, objection" in missed
    assert "get no mail about the correction: ring." in missed


def test_whoever_has_it_already_is_not_listed_as_left_out_of_an_earlier_wave(
    desk: CommandLine, database: Database
) -> None:
    sent(database)
    corrected(desk)
    sent(database)
    desk.says("contacts", "add", "dee@d.example")
    desk.says("lists", "add", "press", "dee@d.example")
    desk.says("release", "schedule", "R-1", "--list", "press", "--at", "now")
    sent(database)
    desk.says("release", "withdraw", "R-1", "--reason", "It is not ours.")
    sent(database)
    assert not any(each["reason"] for each in desk.answers("release", "audience", "R-1"))
    assert last_line(desk.says("release", "audience", "R-1")) == "4 recipients, 0 excluded."


def test_who_was_left_out_on_purpose_is_counted_in_the_end_with_where_to_look(
    desk: CommandLine, database: Database
) -> None:
    suppressed(database, CARL)
    sent(database, refused=frozenset({BOB}))
    look = "1 left out on purpose: distributor release audience R-1"
    assert last_line(desk.says("log", "R-1", "--missed")) == look
    desk.says("release", "resend", "R-1")
    sent(database)
    said = desk.says("log", "R-1", "--missed").splitlines()
    assert said == ["Nobody: all 2 have got R-1.", look]


# --- before anything was tried, and while it is held ----------------------------------------------


@pytest.mark.parametrize(
    ("year", "three", "one"),
    [
        (2199, "3 wait. They may leave from 12:00 on ", "1 waits. It may leave from 12:00 on "),
        (2020, "3 wait. The send time was 12:00 on ", "1 waits. The send time was 12:00 on "),
    ],
)
def test_before_anything_was_tried_one_line_says_how_many_wait_and_until_when(
    desk: CommandLine, database: Database, year: int, three: str, one: str
) -> None:
    wave = sealed(database)
    at = update(wave_rows).where(wave_rows.c.id == wave.id).values(send_at=NOON.replace(year=year))
    database.write(lambda tx: tx.execute(at)).result()
    [line] = desk.says("log", "R-1", "--missed").splitlines()
    assert line.startswith(f"Nothing of R-1 was tried yet: {three}")
    assert str(year) in line
    assert len(desk.says("log", "R-1", "--missed", "--json").splitlines()) == 3
    [line] = desk.says("log", "R-1", "--missed", "--outlet", "the herald").splitlines()
    assert one in line


def test_once_something_was_tried_who_still_waits_is_named(
    desk: CommandLine, database: Database
) -> None:
    sealed(database)
    claim = claimed(database)
    assert claim is not None
    first, *_ = marked(database, claim)
    recorded(database, a_result(first.id, 7, Outcome.REFUSED))
    said = desk.says("log", "R-1", "--missed")
    assert said.count("not tried yet") == 2
    assert "3 have not got R-1" in said


@pytest.mark.parametrize(
    ("reason", "told", "way"),
    [
        (HoldReason.PERSON, "by a person", "release resume R-1"),
        (HoldReason.REFUSED, "refuses the sender", "release resume R-1"),
        (HoldReason.LATE, "too late to be news", "release resume R-1 --waive late"),
        (HoldReason.CLOCK, "clocks disagree", "distributor doctor"),
    ],
)
def test_a_held_wave_is_said_first_with_the_way_on_and_no_advice_to_send_again(
    desk: CommandLine, database: Database, reason: HoldReason, told: str, way: str
) -> None:
    wave = sealed(database)
    claim = claimed(database)
    assert claim is not None
    rows = marked(database, claim)
    recorded(database, *(a_result(each.id, 7, Outcome.REFUSED) for each in rows))
    database.write(lambda tx: waves.hold(tx, wave_of(database, wave), reason, ORDER)).result()
    first, second, *rest = desk.says("log", "R-1", "--missed").splitlines()
    assert first.startswith("R-1 is held (")
    assert told in first
    assert first.endswith("Nothing of it leaves meanwhile.")
    assert way in second
    assert "resend" not in "".join(rest)
    assert any(line.startswith("refused: mend the address") for line in rest)


def test_what_waits_while_held_is_said_to_wait_for_that(
    desk: CommandLine, database: Database
) -> None:
    wave = sealed(database)
    database.write(lambda tx: waves.hold(tx, wave, HoldReason.PERSON, ORDER)).result()
    first, second, third = desk.says("log", "R-1", "--missed").splitlines()
    assert "by a person" in first
    assert second == "To go on: distributor release resume R-1"
    assert third == "Nothing of R-1 was tried yet: 3 wait."


def test_a_text_that_was_replaced_is_not_advised_to_be_sent_again(
    desk: CommandLine, database: Database
) -> None:
    sent(database, refused=frozenset({CARL}))
    assert "release resend R-1" in desk.says("log", "R-1", "--missed")
    desk.says("release", "withdraw", "R-1", "--reason", "It is not ours.")
    sent(database, refused=frozenset({BOB}))
    assert "release resend R-1" in desk.says("log", "R-1", "--missed")
    said = desk.says("log", "R-1", "--missed", "--wave", "general")
    assert CARL in said
    assert "resend" not in said
    assert "a newer version of R-1" in said
