"""Test mails: who gets one and when, what is noted of it, and that nothing else counts it (I1)."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from datetime import UTC, date, datetime
from email import message_from_bytes, policy
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from sqlalchemy import func, insert, select, update

from distributor.core.limits import Limits
from distributor.core.model import Outcome, Sender
from distributor.core.returnpath import ReturnPath
from distributor.desk.releases import Releases, read_text
from distributor.desk.suppressions import SuppressionOrder, Suppressions
from distributor.desk.trials import Trials, Wanted, Way
from distributor.errors import ConfigError, DistributorError, NotFound, Refused
from distributor.installation import Installation
from distributor.mail.relay import Relay, RelayPolicy
from distributor.mail.sink import Sink
from distributor.mail.transaction import Timeouts
from distributor.review import Review
from distributor.shipped import shipped
from distributor.store import contacts, relays, schema, trials
from distributor.store.database import open_database
from tests.builders import a_contact
from tests.mail.scripted import CUT, Scripted

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from distributor.store.database import Database
    from distributor.store.trials import Answer

DUTY = "duty@desk.example"
#: Far off, so that no clock of a test's machine is past it.
LIFT = datetime(2199, 1, 1, 0, 1, tzinfo=UTC)
BEFORE = datetime(2026, 11, 23, 10, tzinfo=UTC)
AFTER = datetime(2199, 1, 1, 0, 2, tzinfo=UTC)
TEXT = """\
A bridge opens for all

The bridge at Mordale opens to everybody on Tuesday, the county said today.

ENDS

Contact: Ines Falk, 0191 498 0142
"""
EMBARGO = "2199-01-01 00:01 Europe/London"
BANNER = "EMBARGOED until 00:01 on Tuesday 1 January 2199, Europe/London (GMT, UTC+00:00)"
TWICE: dict[str, Any] = {"confirm_embargoed": True, "again": "R-1"}


class Room(NamedTuple):
    """The desk's room for test mails, with an approved release under embargo."""

    database: Database
    texts: Releases
    review: Review
    folder: Path

    def bring(self, embargo: str | None, text: str = TEXT, *, approve: bool = True) -> str:
        path = self.folder / "text.txt"
        path.write_text(text, encoding="utf-8")
        reading = read_text(path, received=date(2026, 11, 23), zone="Europe/London", language="en")
        sender = Sender("Press Desk", "press@desk.example", organisation="The Desk")
        version = self.texts.bring_in(
            reading, sender=sender, embargo=embargo, language=None, by="ann", now=BEFORE
        )
        if approve:
            self.texts.approve(version.ref, by="ann", now=BEFORE)
        return version.ref

    def desk(self, *allowed: str, host: str = "here") -> Trials:
        home = Installation(self.database, self.folder / "state", host=host)
        return Trials(self.database, home, shipped("templates"), allowed or (DUTY,))

    def send(
        self,
        *through: Relay,
        ref: str = "R-1",
        to: str = DUTY,
        now: datetime = BEFORE,
        desk: Trials | None = None,
        **confirmed: Any,
    ) -> Answer:
        order = Wanted(ref, to, **confirmed)
        return (desk or self.desk()).send(order, lambda: Way(through), by="ann", now=now)

    def noted(self) -> int:
        with self.database.read() as tx:
            return tx.execute(select(func.count()).select_from(schema.trials)).scalar_one()

    def actions(self) -> list[str]:
        return [entry.action for entry in self.review.audit("R-1")]


@pytest.fixture
def room(migrated_url: str, tmp_path: Path) -> Iterator[Room]:
    database = open_database(migrated_url)
    templates = shipped("templates")
    room = Room(database, Releases(database, templates), Review(database, templates), tmp_path)
    room.bring(EMBARGO)
    yield room
    database.close()


sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


def a_relay(port: int, name: str = "main", **changes: Any) -> Relay:
    impatient = Timeouts(connect_s=5, command_s=5, data_s=5, block_s=5, after_dot_s=1)
    return Relay(
        RelayPolicy(name, "127.0.0.1", port, security="none", timeouts=impatient, **changes)
    )


@contextmanager
def a_server(**answers: Any) -> Generator[Scripted]:
    """A scripted mail server on a thread of its own, for an order runs a loop itself."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    server, over = Scripted(**answers), asyncio.Event()

    async def serve() -> None:
        async with server:
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


# --- what leaves ----------------------------------------------------------------------------------


def test_a_test_mail_leaves_at_once_marked_and_is_counted_nowhere_else(room: Room) -> None:
    with Sink() as sink:
        answer = room.send(a_relay(sink.port), **TWICE)
        [received] = sink.received
    assert answer.outcome is Outcome.ACCEPTED
    assert (answer.code, answer.relay) == (250, "main")
    assert received.rcpt_tos == (DUTY,)
    mail = message_from_bytes(received.data, policy=policy.default)
    assert mail["To"] == DUTY
    assert mail["Subject"] == "TEST 1: EMBARGOED 00:01 Tue 1 Jan: A bridge opens for all"
    parts = [part.get_content() for part in mail.iter_parts()]
    for part in parts:
        assert "TEST. This is a test mail." in part
        assert BANNER in " ".join(part.split())
        assert "The bridge at Mordale" in part
    view = room.review.release("R-1")
    [noted] = view.trials
    assert (noted.address, noted.version, noted.embargoed) == (DUTY, 1, True)
    assert (noted.outcome, noted.code, noted.relay) == (Outcome.ACCEPTED, 250, "main")
    assert noted.message_id == mail["Message-ID"] == received.message_id
    assert (noted.ordered_by, noted.ordered_at) == ("ann", BEFORE)
    assert (view.waves, view.state) == ((), "approved")
    with room.database.read() as tx:
        for table in (schema.deliveries, schema.attempts, schema.batches, schema.waves):
            assert tx.execute(select(func.count()).select_from(table)).scalar_one() == 0
    [entry, *_] = room.review.audit("R-1")
    assert (entry.actor, entry.action) == ("ann", "tested")
    assert entry.facts == {"trial": noted.id, "version": 1, "embargoed": True}


@sqlite
def test_statement_29_a_notice_of_failure_of_a_test_mail_comes_to_people(room: Room) -> None:
    with Sink() as sink:
        room.send(a_relay(sink.port, return_path=ReturnPath(key=b"k" * 32)), **TWICE)
        returns = ReturnPath("returns@desk.example", key=b"k" * 32)
        room.send(a_relay(sink.port, return_path=returns), **TWICE)
        assert [one.mail_from for one in sink.received] == [
            "press@desk.example",
            "returns@desk.example",
        ]


@sqlite
def test_statement_51_no_two_test_mails_of_a_release_have_one_subject(room: Room) -> None:
    with Sink() as sink:
        for _ in range(2):
            room.send(a_relay(sink.port), **TWICE)
        subjects = [message_from_bytes(one.data)["Subject"] for one in sink.received]
    assert [subject.partition(":")[0] for subject in subjects] == ["TEST 1", "TEST 2"]


@sqlite
def test_a_release_without_embargo_and_a_draft_can_be_tried_too(room: Room) -> None:
    ref = room.bring("immediate", approve=False)
    with Sink() as sink:
        assert room.send(a_relay(sink.port), ref=ref).outcome is Outcome.ACCEPTED
        mail = message_from_bytes(sink.received[0].data, policy=policy.default)
    assert mail["Subject"] == "TEST 1: A bridge opens for all"
    assert "EMBARGOED" not in sink.received[0].data.decode()
    assert not room.review.release(ref).trials[0].embargoed


@sqlite
def test_a_test_mail_is_made_out_to_the_contact_of_that_address(room: Room) -> None:
    person = a_contact(DUTY, name="Duty Officer", outlet="The Desk")
    room.database.write(
        lambda tx: contacts.carry_out(tx, contacts.plan(tx, [person]), source="here", now=BEFORE)
    ).result()
    with Sink() as sink:
        room.send(a_relay(sink.port), to="DUTY@desk.example", **TWICE)
        mail = message_from_bytes(sink.received[0].data, policy=policy.default)
    assert mail["To"] == "Duty Officer <DUTY@desk.example>"


# --- the embargo ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "confirmed",
    [
        {},
        {"confirm_embargoed": True},
        {"again": "R-1"},
        {"confirm_embargoed": True, "again": "R-2"},
        {"confirm_embargoed": True, "again": ""},
    ],
)
@sqlite
def test_i1_before_the_lift_no_test_mail_leaves_that_was_not_confirmed_twice(
    room: Room, confirmed: dict[str, Any]
) -> None:
    with Sink() as sink:
        with pytest.raises(Refused) as refused:
            room.send(a_relay(sink.port), **confirmed)
        assert sink.received == []
    assert "--again R-1" in (refused.value.remedy or "")
    assert room.noted() == 0
    assert "tested" not in room.actions()


@sqlite
def test_after_the_lift_nothing_is_asked_and_the_mail_does_not_claim_to_be_embargoed(
    room: Room,
) -> None:
    with Sink() as sink:
        assert room.send(a_relay(sink.port), now=LIFT).outcome is Outcome.ACCEPTED
        assert b"EMBARGOED" not in sink.received[0].data
    assert [one.embargoed for one in room.review.release("R-1").trials] == [False]


def test_i2_the_databases_clock_counts_when_it_is_the_earlier_one(
    room: Room, engine_name: str
) -> None:
    with Sink() as sink:
        if engine_name == "sqlite":  # it has no clock of its own
            room.send(a_relay(sink.port), now=AFTER)
        else:
            with pytest.raises(Refused, match="under embargo"):
                room.send(a_relay(sink.port), now=AFTER)
        assert len(sink.received) == (engine_name == "sqlite")


@sqlite
def test_an_unclear_embargo_is_cleared_up_before_anything_is_tried(room: Room) -> None:
    ref = room.bring(None, f"EMBARGOED until Tuesday\n\n{TEXT}", approve=False)
    with (
        Sink() as sink,
        pytest.raises(Refused, match=f"The embargo of {ref} is unclear") as refused,
    ):
        room.send(a_relay(sink.port), ref=ref, confirm_embargoed=True, again=ref)
    order = f"distributor release edit {ref} --embargo"
    assert refused.value.remedy == f'{order} "2026-11-24 HH:MM Europe/London"'
    assert room.noted() == 0


# --- who may get one ------------------------------------------------------------------------------


@sqlite
@pytest.mark.parametrize(
    ("to", "allowed", "error", "says"),
    [
        ("jane@herald.example", DUTY, Refused, "jane@herald.example is not a test address"),
        ("duty@desk.example.org", DUTY, Refused, "is not a test address"),
        ("xduty@desk.example", DUTY, Refused, "is not a test address"),
        (f"{DUTY}, jane@herald.example", DUTY, Refused, "address|@"),
        ("nobody", DUTY, Refused, "address|@"),
        (f"{DUTY}\r\nBcc: jane@herald.example", DUTY, Refused, "address|@"),
        (DUTY, "", ConfigError, "desk.test_addresses is empty"),
    ],
)
def test_only_an_address_that_is_listed_for_tests_gets_one(
    room: Room, to: str, allowed: str, error: type[DistributorError], says: str
) -> None:
    with Sink() as sink:
        with pytest.raises(error, match=says) as refused:
            room.send(a_relay(sink.port), to=to, desk=room.desk(allowed), **TWICE)
        assert sink.received == []
    assert refused.value.remedy
    assert room.noted() == 0


@sqlite
def test_a_suppressed_address_gets_none_and_neither_does_a_release_that_is_not_there(
    room: Room,
) -> None:
    order = SuppressionOrder(DUTY)
    Suppressions(room.database).add(order, by="ann", now=BEFORE)
    with pytest.raises(Refused, match="is suppressed"):
        room.send(**TWICE)
    with pytest.raises(NotFound):
        room.send(ref="R-9", **TWICE)
    assert room.noted() == 0


@sqlite
def test_i11_a_restored_copy_sends_no_test_mail_either(room: Room) -> None:
    Installation(room.database, room.folder / "state", host="there").start(now=BEFORE)
    with Sink() as sink, pytest.raises(Refused, match="restored or copied"):
        room.send(a_relay(sink.port), **TWICE)
    assert room.noted() == 0
    assert sink.received == []


# --- what the mail server says --------------------------------------------------------------------


@sqlite
@pytest.mark.parametrize(
    ("answers", "outcome", "code", "reply"),
    [
        ({"rcpt": b"550 5.1.1 nobody here\r\n"}, Outcome.REFUSED, 550, "5.1.1 nobody here"),
        ({"rcpt": b"450 4.7.1 later\r\n"}, Outcome.DEFERRED, 450, "4.7.1 later"),
        ({"dot": b"554 5.7.1 spam\r\n"}, Outcome.REFUSED, 554, "5.7.1 spam"),
        ({"dot": CUT}, Outcome.UNCERTAIN, None, "the connection was lost"),
        ({"mail": b"550 5.7.1 not you\r\n"}, Outcome.NOT_SENT, 550, "5.7.1 not you"),
        ({"data": CUT}, Outcome.NOT_SENT, None, "the connection was lost"),
    ],
)
def test_the_servers_answer_is_recorded_and_nothing_is_tried_again(
    room: Room, answers: dict[str, Any], outcome: Outcome, code: int | None, reply: str
) -> None:
    with a_server(**answers) as server:
        answer = room.send(a_relay(server.port), **TWICE)
        assert len(server.conversations) == 1
    assert (answer.outcome, answer.code, answer.reply) == (outcome, code, reply)
    [noted] = room.review.release("R-1").trials
    assert (noted.outcome, noted.code, noted.reply) == (outcome, code, reply)


@sqlite
def test_the_next_relay_takes_it_when_one_cannot_be_reached_or_takes_nothing(room: Room) -> None:
    with Sink() as sink, a_server(mail=b"451 4.3.0 not now\r\n") as server:
        answer = room.send(
            a_relay(9, "away"), a_relay(server.port, "busy"), a_relay(sink.port, "backup"), **TWICE
        )
        assert len(sink.received) == 1
    assert (answer.outcome, answer.relay) == (Outcome.ACCEPTED, "backup")


@sqlite
def test_a_relay_that_may_have_taken_it_is_the_last_one_that_is_asked(room: Room) -> None:
    with Sink() as sink, a_server(dot=CUT) as server:
        answer = room.send(a_relay(server.port), a_relay(sink.port, "backup"), **TWICE)
        assert sink.received == []
    assert (answer.outcome, answer.relay) == (Outcome.UNCERTAIN, "main")


@sqlite
def test_without_a_mail_server_nothing_is_sent_and_the_reason_is_kept(room: Room) -> None:
    answer = room.send(a_relay(9), **TWICE)
    assert answer.outcome is Outcome.NOT_SENT
    assert "127.0.0.1:9" in answer.reply
    assert room.review.release("R-1").trials[0].outcome is Outcome.NOT_SENT


@sqlite
def test_a_test_mail_counts_towards_the_relays_day(room: Room) -> None:
    with Sink() as sink:
        limited: dict[str, Any] = {"limits": Limits(per_day=1)}
        assert room.send(a_relay(sink.port, **limited), **TWICE).outcome is Outcome.ACCEPTED
        answer = room.send(a_relay(sink.port, **limited), **TWICE)
        assert len(sink.received) == 1
    assert answer.outcome is Outcome.NOT_SENT
    assert "per_day" in answer.reply
    with room.database.read() as tx:
        assert [mails for _, mails in relays.spent(tx)["main"]] == [1]


# --- what is stored -------------------------------------------------------------------------------


def a_row(**changes: Any) -> dict[str, Any]:
    return {
        "release_id": 1,
        "version_id": 1,
        "reference": "0a1b",
        "address": DUTY,
        "address_key": DUTY,
        "embargoed": False,
        "ordered_at": BEFORE,
        "ordered_by": "ann",
        **changes,
    }


def test_a_test_mail_whose_answer_was_never_written_down_is_uncertain(room: Room) -> None:
    room.database.write(lambda tx: tx.execute(insert(schema.trials).values(a_row()))).result()
    [noted] = room.review.release("R-1").trials
    assert (noted.outcome, noted.code, noted.reply) == (Outcome.UNCERTAIN, None, "")


def test_an_outcome_that_is_written_once_stays(room: Room) -> None:
    row = a_row(outcome=Outcome.ACCEPTED, code=250)
    room.database.write(lambda tx: tx.execute(insert(schema.trials).values(row))).result()
    [noted] = room.review.release("R-1").trials
    late = trials.Answer(Outcome.REFUSED, 550, None, "no", "main")
    room.database.write(lambda tx: trials.answer(tx, noted.id, late)).result()
    assert room.review.release("R-1").trials[0].outcome is Outcome.ACCEPTED


def test_the_database_refuses_an_outcome_that_is_none(room: Room) -> None:
    room.database.write(lambda tx: tx.execute(insert(schema.trials).values(a_row()))).result()
    with pytest.raises(Exception, match=r"(?i)ck_trials_outcome|constraint"):
        room.database.write(
            lambda tx: tx.exec_driver_sql("UPDATE trials SET outcome = 'lost'")
        ).result()
    room.database.write(
        lambda tx: tx.execute(update(schema.trials).values(outcome=Outcome.NOT_SENT))
    ).result()
