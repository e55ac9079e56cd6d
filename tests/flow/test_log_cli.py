from __future__ import annotations

import csv
import io
import json
import re
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from distributor.cli import output
from distributor.core.model import Outcome
from distributor.core.outcome import clean_reply
from distributor.core.states import WaveState
from distributor.stages import preparing
from distributor.store import batches, waves
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

    from distributor.core.contact import NewContact
    from distributor.core.model import Wave
    from distributor.store.database import Database
    from distributor.store.results import Result

RUBBISH = "5.7.1 <\x1b[31mno\x1b[0m> [bold]blocked[/bold] \r\n250 2.0.0 forged\x00 " + "x" * 5000
PEOPLE = [
    a_contact("ann@herald.example", name="Ann Lee", outlet="The Herald"),
    a_contact("bob@times.example", name="Bob [red]Roe[/red]", outlet="=cmd()|' /C calc'!A0"),
    a_contact("Cem@times.example", name="@Cem", outlet="+44 Times"),
    a_contact("dee@times.example", name="Dee", outlet="日本経済新聞"),
    a_contact("eve@times.example", name="Eve", outlet="The Herald"),
]
OUTCOMES: dict[str, dict[str, Any]] = {
    "ann@herald.example": {
        "outcome": Outcome.ACCEPTED,
        "code": 250,
        "enhanced": "2.0.0",
        "reply": "2.0.0 Ok: queued as 4bX1",
    },
    "bob@times.example": {
        "outcome": Outcome.REFUSED,
        "phase": "rcpt",
        "code": 550,
        "enhanced": "5.7.1",
        "reply": clean_reply(RUBBISH.encode()),
    },
    "Cem@times.example": {
        "outcome": Outcome.UNCERTAIN,
        "code": None,
        "reply": None,
    },
    "dee@times.example": {
        "outcome": Outcome.ACCEPTED,
        "code": 250,
        "reply": "=HYPERLINK(1)",
    },
    "eve@times.example": {
        "outcome": Outcome.REFUSED,
        "phase": "rcpt",
        "code": 550,
        "enhanced": "5.1.1",
        "reply": "5.1.1 No such user",
    },
}


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
    """A desk whose R-1 was sent: two accepted, two refused, one uncertain."""
    desk = CommandLine(tmp_path, capsys, monkeypatch)
    desk.configure()
    wave = _ready(database, PEOPLE)
    _send(database)
    assert database.write(lambda tx: waves.finish(tx, wave_of(database, wave), NOON)).result()
    return desk


def _ready(database: Database, people: list[NewContact]) -> Wave:
    def plan(tx: Any) -> Wave:
        version = a_release(tx, headline="A [bold]bridge[/bold]")
        a_worker(tx)
        return a_wave(tx, version, a_list(tx, "press", people))

    wave = moved(database, database.write(plan).result(), WaveState.PREPARING)
    preparing.prepare(database, POLICY, wave, worker=WORKER, now=MORNING)
    return wave_of(database, wave)


def _send(database: Database) -> None:
    while (claim := claimed(database)) is not None:
        results: list[Result] = []
        for row in marked(database, claim):
            said = OUTCOMES.get(row.recipient.address, OUTCOMES["ann@herald.example"])
            ended_at = NOON + timedelta(milliseconds=125)
            results.append(a_result(row.id, claim.token, **said, ended_at=ended_at))
        recorded(database, *results)
        database.write(lambda tx, c=claim: batches.give_back(tx, c, ORDER)).result()


def _states(desk: CommandLine, *words: str) -> list[str]:
    return [json.loads(line)["state"] for line in desk.says("log", "R-1", *words).splitlines()]


# --- scripts --------------------------------------------------------------------------------------


def test_the_json_has_one_object_a_line_with_every_promised_key(desk: CommandLine) -> None:
    lines = [json.loads(line) for line in desk.says("log", "R-1", "--json").splitlines()]
    assert [line["address"] for line in lines] == sorted(OUTCOMES, key=str.casefold)
    for line in lines:
        assert list(line) == [
            *("address", "outlet", "state", "attempts", "code", "enhanced", "reply", "relay"),
            *("message_id", "at", "name", "due_at", "kind", "version"),
        ]
    lost = lines[2]
    assert (lost["state"], lost["code"], lost["reply"]) == ("uncertain", None, None)
    assert re.fullmatch(r"<[^@<>]+@desk\.example>", lines[0]["message_id"])
    assert lines[0]["at"].endswith("+00:00")


def test_row_9_no_cell_of_the_csv_is_a_formula(desk: CommandLine) -> None:
    rows = list(csv.DictReader(io.StringIO(desk.says("log", "R-1", "--csv"))))
    assert len(rows) == 5
    assert [(row["kind"], row["version"]) for row in rows] == [("general", "1")] * 5
    cells = [cell for row in rows for cell in row.values()]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert rows[1]["outlet"] == "'=cmd()|' /C calc'!A0"
    assert rows[3]["reply"] == "'=HYPERLINK(1)"


@pytest.mark.parametrize(
    ("words", "states"),
    [
        ([], ["accepted", "refused", "uncertain", "accepted", "refused"]),
        (["--state", "refused"], ["refused", "refused"]),
        (["--state", "refused,uncertain"], ["refused", "uncertain", "refused"]),
        (["--state", "Refused", "--state", "uncertain"], ["refused", "uncertain", "refused"]),
        (["--state", "queued"], []),
        (["--outlet", "the herald"], ["accepted", "refused"]),
        (["--outlet", "the herald", "--state", "accepted"], ["accepted"]),
        (["--outlet", "Herald"], []),
    ],
)
def test_the_log_is_filtered_by_states_and_outlet(
    desk: CommandLine,
    words: list[str],
    states: list[str],
) -> None:
    assert _states(desk, "--json", *words) == states


@pytest.mark.parametrize("text", ["' OR '1'='1", '"; DROP TABLE deliveries; --', "%", "_", "\\"])
def test_row_32_sql_in_a_filter_is_only_a_word_that_matches_nothing(
    desk: CommandLine,
    text: str,
) -> None:
    assert _states(desk, "--json", "--outlet", text) == []
    assert "is not an address" in desk.refuses("log", "R-1", text)
    assert "no delivery to" in desk.refuses("log", "R-1", f"{text}@x.example")
    assert "There is no release" in desk.refuses("log", text)
    assert "There is no release" in desk.refuses("audit", "show", text)
    assert "no uncertain delivery" in desk.refuses("settle", "R-1", text, "sent")
    desk.misused("log", "R-1", "--state", text)
    assert len(_states(desk, "--json")) == 5


@pytest.mark.parametrize(
    "words",
    [
        ["R-1", "--csv", "--json"],
        ["R-1", "--json", "--follow"],
        ["R-1", "--state", "nonsense"],
        ["R-1", "--state", ""],
        ["R-1", "ann@herald.example", "--csv"],
        ["R-1", "ann@herald.example", "--state", "refused"],
        ["R-1", "--follow", "--outlet", "x"],
        ["R-1", "--wave", "nonsense"],
        ["R-1", "--follow", "--wave", "general"],
        ["R-1", "ann@herald.example", "--wave", "general"],
        ["R-1", "--tests", "--wave", "general"],
        [],
    ],
)
def test_options_that_do_not_go_together_are_said(desk: CommandLine, words: list[str]) -> None:
    desk.misused("log", *words)


# --- people ---------------------------------------------------------------------------------------


def test_the_log_for_people_shows_replies_as_they_are(desk: CommandLine) -> None:
    said = desk.says("log", "R-1")
    assert "5 deliveries. All attempts of one: distributor log R-1 ADDRESS" in said
    assert "250 2.0.0 Ok: queued as 4bX1" in said
    assert "the answer was lost" in said
    assert "2026-12-01 12:00 GMT" in said
    assert "[bold]blocked[/bold]" in said


@pytest.mark.parametrize("words", [["log", "R-1"], ["log", "R-1", "bob@times.example"]])
@pytest.mark.parametrize("width", [80, 120])
def test_row_26_a_reply_neither_steers_the_terminal_nor_forges_a_line(
    desk: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    width: int,
    words: list[str],
) -> None:
    monkeypatch.setattr(output.console, "_force_terminal", True)
    monkeypatch.setattr(output.console, "_width", width)
    said = re.sub(r"\x1b\[[0-9;]*m", "", desk.says(*words))
    assert "\\x1b[31mno" in said
    assert not set(said) & {"\x1b", "\0", "\r"}
    lines = said.splitlines()
    assert not any(line.startswith("250 2.0.0 forged") for line in lines)
    assert all(output.cell_len(line) <= width for line in lines)


def test_the_attempts_of_one_address_in_any_case(desk: CommandLine) -> None:
    said = desk.says("log", "r-1", "CEM@TIMES.example")
    assert "Cem@times.example  uncertain" in said
    assert "12:00 on Tuesday 1 December 2026, Europe/London (GMT, UTC+00:00)" in said
    assert "uncertain at dot: no reply (0.125 s)" in said
    [found] = json.loads(desk.says("log", "R-1", "cem@times.example", "--json"))
    assert found["log"][0]["outcome"] == "uncertain"


def test_who_is_not_in_the_log_is_said_with_where_to_look(desk: CommandLine) -> None:
    refused = desk.refuses("log", "R-1", "nobody@times.example")
    assert "release audience R-1" in refused
    assert "No delivery matches." in desk.says("log", "R-1", "--state", "queued")


def test_the_morning_report_says_who_did_not_get_it_in_one_command(desk: CommandLine) -> None:
    said = desk.says("release", "show", "R-1")
    assert "5 of 5 recipients accounted for." in said
    assert re.search(r"accepted +2\n", said)
    assert "3 not accepted: distributor log R-1 --missed" in said
    assert sorted(_states(desk, "--missed", "--json")) == ["refused", "refused", "uncertain"]
    assert "1 unsettled. Decide: distributor settle R-1 --all sent|resend|never" in said


def test_who_has_missed_it_is_said_by_name_with_the_reason_and_the_remedy(
    desk: CommandLine,
) -> None:
    said = desk.says("log", "R-1", "--missed")
    assert "3 have not got R-1, as far as is known." in said
    assert "uncertain: the answer was lost" in said
    assert "distributor settle R-1 ADDRESS sent|resend|never" in said
    assert "distributor contacts edit ADDRESS --address NEW" in said
    assert "accepted" not in said


def test_two_thousand_lines_are_quick(database: Database, desk: CommandLine) -> None:
    people = [a_contact(f"n{number}@mass.example", outlet="Mass") for number in range(2000)]

    def plan(tx: Any) -> Wave:
        return a_wave(tx, a_release(tx), a_list(tx, "mass", people))

    wave = moved(database, database.write(plan).result(), WaveState.PREPARING)
    preparing.prepare(database, POLICY, wave, worker=WORKER, now=MORNING)
    began_s = time.monotonic()
    said = desk.says("log", "R-2")
    assert time.monotonic() - began_s < 3
    assert "2000 deliveries" in said


def test_the_log_of_what_is_not_scheduled_says_what_comes_next(
    desk: CommandLine,
    database: Database,
) -> None:
    database.write(a_release).result()
    for words in (["log", "R-2"], ["log", "R-2", "--follow"], ["release", "audience", "R-2"]):
        assert "distributor release schedule R-2 --list NAME" in desk.says(*words)


# --- follow ---------------------------------------------------------------------------------------


def test_follow_prints_a_line_for_each_change_and_ends_with_the_wave(
    desk: CommandLine,
    database: Database,
) -> None:
    def plan(tx: Any) -> Wave:
        return a_wave(tx, a_release(tx), a_list(tx, "more", [a_contact("x@herald.example")]))

    wave = moved(database, database.write(plan).result(), WaveState.PREPARING)
    preparing.prepare(database, POLICY, wave, worker=WORKER, now=MORNING)

    def go_on() -> None:
        time.sleep(1.2)
        _send(database)
        database.write(lambda tx: waves.finish(tx, wave_of(database, wave), NOON)).result()

    other = threading.Thread(target=go_on)
    other.start()
    said = desk.says("log", "R-2", "--follow")
    other.join()
    assert said.count("R-2  ready  1 recipients: 1 queued") == 1
    assert "R-2  finished  1 recipients: 1 accepted" in said
    assert said.rstrip().endswith("1 of 1 recipients accounted for.")


# --- settle and audit -----------------------------------------------------------------------------


def test_settling_one_address_says_the_numbers_after(desk: CommandLine) -> None:
    said = desk.says("settle", "R-1", "CEM@times.example", "sent")
    assert said.startswith("1 settled: sent.")
    assert re.search(r"accepted +3\n", said)
    assert "uncertain" not in said
    assert "no uncertain delivery." in desk.refuses("settle", "R-1", "--all", "never")


def test_settling_all(desk: CommandLine) -> None:
    said = desk.says("settle", "R-1", "--all", "never")
    assert "1 settled: never." in said
    assert re.search(r"abandoned +1\n", said)


@pytest.mark.parametrize(
    "words",
    [
        ["R-1"],
        ["R-1", "sent"],
        ["R-1", "--all"],
        ["R-1", "--all", "perhaps"],
        ["R-1", "cem@times.example", "perhaps"],
        ["R-1", "cem@times.example", "sent", "--all"],
    ],
)
def test_a_decision_that_is_none_is_said(desk: CommandLine, words: list[str]) -> None:
    assert "sent, resend" in desk.misused("settle", *words)
    assert _states(desk, "--json").count("uncertain") == 1


def test_the_audit_says_who_did_what_and_when(desk: CommandLine) -> None:
    desk.says("settle", "R-1", "--all", "sent")
    said = desk.says("audit", "show", "R-1")
    assert "settled" in said.splitlines()[1]
    assert "wave 1" in said
    entries = desk.answers("audit", "show")
    assert entries[0]["action"] == "settled"
