"""Pipelined conversations: one group a mail, and the next mail's group behind the dot."""

from __future__ import annotations

import asyncio
import errno
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distributor.core.outcome import Blame, Phase, TransactionFacts, judge
from distributor.mail.lines import xtext
from distributor.mail.transaction import Envelope, Session, Timeouts
from tests.mail.scripted import CUT, SILENCE, Cut, InBody, Scripted, Step, Wait
from tests.mail.test_transaction import (
    ACCEPTED,
    BIG,
    DEFERRED,
    FAULTS,
    NOT_SENT,
    REFUSED,
    UNCERTAIN,
    Notes,
    a_session,
    an_envelope,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from distributor.core.model import Outcome

PIPELINED: Final = {"size": "10240000", "pipelining": ""}
QUICK = Timeouts(command_s=0.15, data_s=0.15, block_s=0.15, after_dot_s=0.15)
OPEN: Callable[[], str | None] = lambda: None  # noqa: E731
GROUP: Final = ["MAIL", "RCPT", "DATA"]


def mail(number: int, **changes: Any) -> Envelope:
    data = b"Subject: test\r\n\r\nmail number %d\r\n" % number
    return an_envelope(
        **{"rcpt_to": f"r{number}@daily.example", "data": data, "delivery": number, **changes}
    )


@dataclass
class Mailbag:
    """A courier in small: what is sent, what rides, and what each came to."""

    mails: list[Envelope]
    gates: dict[int, Callable[[], str | None]] = field(default_factory=dict[int, Any])
    notes: Notes = field(default_factory=Notes)
    rides: bool = True
    lease_ok: Callable[[], bool] = lambda: True
    came_to: dict[int, TransactionFacts] = field(default_factory=dict[int, TransactionFacts])
    held: list[Envelope] = field(default_factory=list[Envelope])
    rode: list[int] = field(default_factory=list[int])

    def gate_of(self, envelope: Envelope) -> Callable[[], str | None]:
        return self.gates.get(int(envelope.delivery), OPEN)

    def behind(self) -> tuple[Envelope, Callable[[], str | None]] | None:
        if not self.mails or not self.rides:
            return None
        self.held.append(self.mails.pop(0))
        return self.held[0], self.gate_of(self.held[0])

    async def empty(self, session: Session) -> None:
        """Send until the connection is gone, or nothing is left."""
        while self.held or (self.mails and session.alive):
            envelope = self.held.pop() if self.held else self.mails.pop(0)
            if session.carries(envelope):
                self.rode.append(int(envelope.delivery))
            elif not session.alive:
                self.mails.insert(0, envelope)
                return
            self.came_to[int(envelope.delivery)] = await session.send(
                envelope,
                gate=self.gate_of(envelope),
                flight=self.notes,
                lease_ok=self.lease_ok,
                behind=self.behind,
            )

    def outcome(self, number: int) -> Outcome:
        return judge(self.came_to[number]).outcome

    def letters(self, number: int) -> str:
        return "".join(entry[0] for entry in self.notes.entries if entry[1] == number)


def carry(
    server: Scripted,
    bag: Mailbag,
    *,
    connections: int = 1,
    timeouts: Timeouts = QUICK,
    extensions: dict[str, str] = PIPELINED,
) -> bool:
    """Carry a bag over up to so many connections, one after the other; whether the last stands."""

    async def run() -> bool:
        alive = False
        async with server:
            for _ in range(connections):
                session = await a_session(server, extensions=extensions, timeouts=timeouts)
                await bag.empty(session)
                alive = session.alive
                await session.quit()
                if not bag.mails:
                    break
            # Time for what was written to arrive, on a server that may be told to be silent.
            await asyncio.wait(
                [asyncio.create_task(seen.over.wait()) for seen in server.conversations],
                timeout=0.3,
            )
        return alive

    return asyncio.run(run())


def test_mode_a_sends_the_three_commands_at_once_and_awaits_each_dot() -> None:
    server, bag = Scripted(mail=(Wait(0.1), b"250 ok\r\n")), Mailbag([mail(1), mail(2)])
    bag.rides = False
    assert carry(server, bag)
    assert server.last.verbs == [*GROUP, *GROUP, "QUIT"]
    assert (bag.outcome(1), bag.outcome(2), bag.rode) == (ACCEPTED, ACCEPTED, [])
    assert bag.notes.letters == "SBASBA"


def test_mode_b_sends_the_next_group_behind_the_dot() -> None:
    server, bag = Scripted(), Mailbag([mail(number) for number in range(20)])
    assert carry(server, bag)
    assert bag.rode == list(range(1, 20))
    assert [bytes(body) for body in server.last.bodies] == [
        mail(number).data + b".\r\n" for number in range(20)
    ]
    assert bag.notes.letters == "S" + "BSA" * 19 + "BA"
    assert all(judge(facts).outcome is ACCEPTED for facts in bag.came_to.values())


def test_mode_b_takes_one_round_trip_a_mail() -> None:
    """Each answer waits, and the commands behind it are there before it."""
    there: list[int] = []

    class Slow(Scripted):
        async def _do(self, writer: asyncio.StreamWriter, step: Step) -> None:
            if step == b"250 2.0.0 Ok: queued as 4F3A\r\n":
                await asyncio.sleep(0.05)
                there.append(len(waiting()))
            await super()._do(writer, step)

        async def _body(self, incoming: Any, writer: Any, seen: Any) -> None:
            nonlocal waiting
            waiting = lambda: bytes(incoming._rest) + bytes(incoming._reader._buffer)  # noqa: E731
            await super()._body(incoming, writer, seen)

    def waiting() -> bytes:
        return b""

    assert carry(Slow(), Mailbag([mail(1), mail(2), mail(3)]))
    assert there[0] > 60
    assert there[1] > 60
    assert there[2] == 0


def test_nothing_rides_where_pipelining_is_not_offered() -> None:
    server, bag = Scripted(), Mailbag([mail(1), mail(2)])
    assert carry(server, bag, extensions={"size": ""})
    assert (bag.rode, bag.outcome(2)) == ([], ACCEPTED)
    assert bag.notes.letters == "SBASBA"


# Every fault of the wire again

#: In a group these come to something else, or need a server that goes on after its refusal.
GROUPED: Final[dict[str, tuple[Outcome, Blame, bool]]] = {
    # The extra 354 answers for DATA, and that DATA's own answer is then one too many.
    "row 9 354 before DATA": (NOT_SENT, Blame.RELAY, False),
}


def fault(case: str) -> tuple[dict[str, Any], Outcome, Blame, bool]:
    answers, outcome, blame, stands = FAULTS[case]
    return (answers, *GROUPED.get(case, (outcome, blame, stands)))


@pytest.mark.parametrize("case", FAULTS)
def test_each_fault_comes_to_the_same_outcome_in_a_group(case: str) -> None:
    answers, outcome, blame, stands = fault(case)
    bag = Mailbag([mail(1)], rides=False)
    alive = carry(Scripted(**answers), bag)
    judgement = judge(bag.came_to[1])
    assert (judgement.outcome, judgement.blame) == (outcome, blame)
    if case != "row 12 reply, then cut":
        assert (alive, judgement.drop) == (stands, not stands)
    assert bag.letters(1) == {True: "SB", False: "S"}[bag.came_to[1].dotted] + (
        "" if outcome is UNCERTAIN else "A"
    )


@pytest.mark.parametrize("case", FAULTS)
def test_each_fault_of_a_riding_mail_leaves_the_mail_before_it_accepted(case: str) -> None:
    answers, outcome, blame, stands = fault(case)
    good = Scripted().answers
    server = Scripted(answers={step: [*good[step], does] for step, does in answers.items()})
    bag = Mailbag([mail(1), mail(2)])
    alive = carry(server, bag)
    assert bag.rode == [2]
    assert (bag.outcome(1), bag.letters(1)) == (ACCEPTED, "SBA")
    judgement = judge(bag.came_to[2])
    assert (judgement.outcome, judgement.blame) == (outcome, blame)
    if case != "row 12 reply, then cut":
        assert (alive, judgement.drop) == (stands, not stands)
    assert bag.letters(2).endswith("B" if outcome is UNCERTAIN else "A")


DOTS = [case for case in FAULTS if case.startswith("row 12")]
#: What is lost at the dot is lost for the rider too; these answers alone keep the connection.
HARMLESS: Final = {
    "row 12 200 after the dot",
    "row 12 252 after the dot",
    "row 12 bare LF",
    "row 12 code alone",
    "row 12 451 after the dot",
    "row 12 554 after the dot",
}


@pytest.mark.parametrize("case", DOTS)
def test_each_fault_at_a_dot_leaves_the_riding_mail_accepted_or_certainly_not_sent(
    case: str,
) -> None:
    answers, outcome, _, _ = FAULTS[case]
    server = Scripted(answers={"dot": [answers["dot"], b"250 2.0.0 ok\r\n"]})
    bag = Mailbag([mail(1), mail(2)])
    carry(server, bag)
    assert bag.rode == [2]
    assert bag.outcome(1) is outcome
    assert bag.letters(1) == ("SB" if outcome is UNCERTAIN else "SBA")
    if case in HARMLESS:
        assert (bag.outcome(2), bag.letters(2)) == (ACCEPTED, "SBA")
    else:
        assert (bag.outcome(2), bag.letters(2)) == (NOT_SENT, "SA")
        assert not any(b"mail number 2" in body for body in server.last.bodies)


@pytest.mark.parametrize("dot", [CUT, Cut(reset=True), SILENCE, (b"250 o", CUT)])
def test_i5_a_cut_in_mode_b_leaves_one_uncertain_and_charges_nobody_for_the_other(
    dot: Step,
) -> None:
    bag = Mailbag([mail(1), mail(2)])
    assert not carry(Scripted(dot=dot), bag)
    assert bag.outcome(1) is UNCERTAIN
    assert bag.came_to[2] == TransactionFacts(Phase.MAIL, cut=True)
    assert judge(bag.came_to[2]).blame is Blame.NONE


# A group that is refused

REFUSALS: Final[list[tuple[str, dict[str, Step], Outcome]]] = [
    ("RCPT 550", {"rcpt": b"550 5.1.1 no\r\n"}, REFUSED),
    ("RCPT 450", {"rcpt": b"450 4.2.0 later\r\n"}, DEFERRED),
    ("MAIL 451", {"mail": b"451 4.3.0 later\r\n"}, NOT_SENT),
    ("MAIL 550", {"mail": b"550 5.7.1 no\r\n"}, NOT_SENT),
]


@pytest.mark.parametrize("riding", [False, True])
@pytest.mark.parametrize(("name", "answers", "outcome"), REFUSALS)
def test_354_after_a_refusal_drops_the_connection_and_nothing_at_all_is_sent(
    name: str, answers: dict[str, Step], outcome: Outcome, *, riding: bool
) -> None:
    good = Scripted().answers
    steps = {verb: [*good[verb] * riding, does] for verb, does in answers.items()}
    server = Scripted(careless=True, answers=steps)
    bag = Mailbag([mail(1), mail(2)] if riding else [mail(2)])
    assert not carry(server, bag), name
    assert bag.outcome(2) is outcome
    assert server.last.bodies[-1] == b""
    assert [rcpt for rcpt, _ in server.last.taken] == [b"RCPT TO:<r1@daily.example>"] * riding


@pytest.mark.parametrize("riding", [False, True])
@pytest.mark.parametrize(("name", "answers", "outcome"), REFUSALS)
@pytest.mark.parametrize("after", [b"503 no\r\n", b"554 5.5.1 none\r\n", b"451 no\r\n"])
def test_a_refused_group_is_read_to_its_end_and_the_connection_carries_on(
    name: str, answers: dict[str, Step], outcome: Outcome, after: bytes, *, riding: bool
) -> None:
    good = Scripted().answers
    steps: dict[str, Step | list[Step]] = {
        verb: [*good[verb] * riding, does, *good[verb]] for verb, does in answers.items()
    }
    steps["data"] = [*good["data"] * riding, after, *good["data"]]
    if "mail" in answers:
        steps["rcpt"] = [*good["rcpt"] * riding, after, *good["rcpt"]]
    server = Scripted(careless=True, answers=steps)
    bag = Mailbag([mail(1), mail(2), mail(3)] if riding else [mail(2), mail(3)])
    assert carry(server, bag), name
    assert bag.outcome(2) is outcome
    assert bag.outcome(3) is ACCEPTED
    assert ("RSET" in server.last.verbs) is ("rcpt" in answers)


@pytest.mark.parametrize("then", [CUT, SILENCE, b"hello\r\n", b"250 fine\r\n", b"421 bye\r\n"])
def test_a_refused_group_whose_end_is_odd_keeps_its_outcome_and_drops_the_connection(
    then: Step,
) -> None:
    server = Scripted(careless=True, rcpt=b"550 5.1.1 no\r\n", data=then)
    bag = Mailbag([mail(1)])
    assert not carry(server, bag)
    assert (bag.outcome(1), bag.came_to[1].enhanced) == (REFUSED, "5.1.1")
    assert bag.letters(1) == "SA"


# Gate and lease


def shut_at(number: int, reason: str = "held") -> Callable[[], str | None]:
    """A gate that is found shut when asked for the nth time."""
    asked = 0

    def gate() -> str | None:
        nonlocal asked
        asked += 1
        return reason if asked == number else None

    return gate


def test_i1_a_riding_mail_is_asked_for_by_its_own_gate_right_before_its_mail_is_written() -> None:
    server, asked = Scripted(), list[tuple[str, str]]()
    bag = Mailbag([mail(1), mail(2)])

    def watching(who: str) -> Callable[[], None]:
        return lambda: asked.append((who, bag.notes.letters))

    bag.gates = {1: watching("first"), 2: watching("second")}
    carry(server, bag)
    assert asked == [
        ("first", ""),
        ("first", "S"),
        ("second", "SB"),
        ("second", "SBSA"),
    ]


def test_i1_a_mail_whose_gate_is_shut_does_not_ride() -> None:
    server = Scripted(dot=(Wait(0.1), b"250 ok\r\n"))
    bag = Mailbag([mail(1), mail(2)], gates={2: lambda: "embargo"})
    assert carry(server, bag)
    assert bag.rode == []
    assert bag.outcome(1) is ACCEPTED
    assert bag.came_to[2] == TransactionFacts(Phase.MAIL, shut="embargo")
    assert server.last.verbs == [*GROUP, "QUIT"]
    assert bag.letters(2) == ""


def test_i1_a_gate_shut_after_the_354_of_a_riding_mail_drops_the_connection_without_a_dot() -> None:
    server = Scripted(dot=(Wait(0.1), b"250 ok\r\n"))
    bag = Mailbag([mail(1), mail(2), mail(3)], gates={2: shut_at(2)})
    assert not carry(server, bag)
    assert bag.outcome(1) is ACCEPTED
    assert bag.came_to[2] == TransactionFacts(Phase.BODY, shut="held")
    assert bag.letters(2) == "SA"
    assert server.last.verbs == [*GROUP, *GROUP]
    assert server.last.bodies == [mail(1).data + b".\r\n", b""]
    assert 3 not in bag.came_to


def test_row_11_a_lease_that_ends_before_a_dot_lets_nothing_ride() -> None:
    bag = Mailbag([mail(1), mail(2)], lease_ok=lambda: False)
    server = Scripted()
    assert not carry(server, bag)
    assert bag.came_to[1] == TransactionFacts(Phase.BODY, shut="lease")
    assert bag.rode == []
    assert server.last.verbs == GROUP
    assert bag.notes.letters == "SA"


# Flight log


@dataclass
class FullOnce(Notes):
    """The nth append fails."""

    at: int = 0
    tried: int = 0

    def _add(self, letter: str, *rest: object) -> None:
        self.tried += 1
        if self.tried == self.at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.entries.append((letter, *rest))


@pytest.mark.parametrize(
    ("at", "verbs", "bodies", "outcomes"),
    [
        (1, GROUP, 1, [NOT_SENT, ACCEPTED]),  # S of the first
        (2, GROUP, 1, [NOT_SENT]),  # B of the first: no dot, nothing rides
        (3, GROUP, 1, [NOT_SENT]),  # S of the second: it goes into one append with that B
        (4, [*GROUP, *GROUP], 2, [ACCEPTED, ACCEPTED]),  # A of the first
        (5, [*GROUP, *GROUP], 2, [ACCEPTED, NOT_SENT]),  # B of the second
    ],
)
def test_row_12_what_the_flight_log_cannot_note_is_not_written(
    at: int, verbs: list[str], bodies: int, outcomes: list[Outcome]
) -> None:
    server, bag = Scripted(), Mailbag([mail(1), mail(2)], notes=FullOnce(at=at))
    carry(server, bag)
    assert [verb for verb in server.last.verbs if verb != "QUIT"] == verbs
    assert len(server.last.bodies) == bodies
    assert [bag.outcome(number) for number in sorted(bag.came_to)] == outcomes
    assert bag.rode == ([2] if at in {4, 5} else [])
    assert len(server.last.taken) == outcomes.count(ACCEPTED)


def test_the_next_mail_is_noted_before_the_write_that_carries_it() -> None:
    server, order = Scripted(), list[str]()

    class Watching(Notes):
        def _add(self, letter: str, *rest: object) -> None:
            order.append(f"{letter}{rest[0]} after {len(server.last.verbs)} commands")
            super()._add(letter, *rest)

    carry(server, Mailbag([mail(1), mail(2)], notes=Watching()))
    assert order == [
        "S1 after 0 commands",
        "B1 after 3 commands",
        "S2 after 3 commands",
        "A1 after 6 commands",
        "B2 after 6 commands",
        "A2 after 6 commands",
    ]


def test_a_cancelled_send_notes_that_the_riding_mail_did_not_leave() -> None:
    async def run() -> None:
        async with Scripted(dot=SILENCE) as server:
            session = await a_session(server, extensions=PIPELINED, timeouts=Timeouts())
            bag = Mailbag([mail(1), mail(2)])
            sending = asyncio.create_task(bag.empty(session))
            while "S" not in bag.letters(2):  # noqa: ASYNC110 - a file makes no event
                await asyncio.sleep(0.01)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            assert not session.alive
            assert (bag.letters(1), bag.letters(2)) == ("SB", "SA")

    asyncio.run(run())


def test_while_a_mail_rides_no_other_is_sent_and_quit_says_nothing() -> None:
    async def run() -> None:
        async with Scripted() as server:
            session = await a_session(server, extensions=PIPELINED)
            notes, second = Notes(), mail(2)
            await session.send(mail(1), gate=OPEN, flight=notes, behind=lambda: (second, OPEN))
            assert session.alive
            assert session.carries(second)
            with pytest.raises(ValueError, match="rides"):
                await session.send(mail(3), gate=OPEN, flight=notes)
            await session.quit()
            await asyncio.wait_for(server.last.over.wait(), 1)
            assert server.last.bodies[-1] == b""
            assert server.last.verbs == [*GROUP, *GROUP]

    asyncio.run(run())


def test_a_big_mail_rides_and_is_ridden_behind() -> None:
    server = Scripted()
    bag = Mailbag([mail(1), mail(2, data=BIG), mail(3)])
    assert carry(server, bag, timeouts=Timeouts())
    assert bag.rode == [2, 3]
    assert [len(body) for body in server.last.bodies] == [
        len(mail(1).data) + 3,
        len(BIG) + 3,
        len(mail(3).data) + 3,
    ]


def test_row_11_a_riding_mail_cut_in_its_body_is_not_sent() -> None:
    server = Scripted(in_body=[None, InBody(100_000, CUT)])
    bag = Mailbag([mail(1), mail(2, data=BIG)])
    assert not carry(server, bag)
    assert (bag.outcome(1), bag.outcome(2)) == (ACCEPTED, NOT_SENT)
    assert (bag.came_to[2].phase, bag.letters(2)) == (Phase.BODY, "SA")


def test_an_address_that_must_not_be_written_does_not_ride() -> None:
    server, bag = Scripted(), Mailbag([mail(1), mail(2, rcpt_to="b@x.example,c@x.example")])
    assert carry(server, bag)
    assert (bag.rode, bag.outcome(2)) == ([], REFUSED)
    assert server.last.verbs == [*GROUP, "QUIT"]


# Parameters


def test_statement_30_a_notice_of_failure_is_asked_for_where_dsn_is_offered() -> None:
    server, bag = Scripted(), Mailbag([mail(1, rcpt_to="ann+a=b@x.example", reference="Q7+k=")])
    carry(server, bag, extensions={"dsn": "", "pipelining": ""})
    assert server.last.commands[:2] == [
        b"MAIL FROM:<desk@press.example> RET=HDRS ENVID=Q7+2Bk+3D",
        b"RCPT TO:<ann+a=b@x.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;ann+2Ba+3Db@x.example",
    ]


def test_parameters_are_given_only_where_offered_and_needed() -> None:
    eight = "Subject: caf\u00e9\r\n\r\nx\r\n".encode()
    server = Scripted()
    carry(server, Mailbag([mail(1, data=eight, reference="r")]), extensions={"8bitmime": ""})
    assert server.last.commands[0] == b"MAIL FROM:<desk@press.example> BODY=8BITMIME"
    server = Scripted()
    carry(server, Mailbag([mail(1, reference="r")]), extensions={"8bitmime": ""})
    assert server.last.commands[:2] == [
        b"MAIL FROM:<desk@press.example>",
        b"RCPT TO:<r1@daily.example>",
    ]
    server = Scripted()
    both = {"dsn": "", "smtputf8": ""}
    carry(server, Mailbag([mail(1, rcpt_to="jos\u00e9@x.example")]), extensions=both)
    assert server.last.commands[:2] == [
        b"MAIL FROM:<desk@press.example> SMTPUTF8 RET=HDRS",
        "RCPT TO:<jos\u00e9@x.example> NOTIFY=FAILURE,DELAY".encode(),
    ]


@given(st.text())
def test_an_xtext_holds_no_byte_that_could_end_its_parameter(text: str) -> None:
    written = xtext(text.encode("utf-8", "ignore").decode())
    assert all("!" <= character <= "~" and character != "=" for character in written)


# Whatever the server does

FATES: Final[dict[str, list[Step]]] = {
    "mail": [b"250 ok\r\n", b"451 4.3.0 x\r\n", b"550 5.7.1 x\r\n", (b"421 x\r\n", CUT), CUT],
    "rcpt": [b"250 ok\r\n", b"450 4.2.0 x\r\n", b"550 5.1.1 x\r\n", b"250-a\r\n550 b\r\n", CUT],
    "data": [b"354 go\r\n", b"451 x\r\n", b"554 x\r\n", b"250 ok\r\n", CUT, (b"354 g\r\n", CUT)],
    "dot": [
        b"250 ok\r\n",
        b"252 ok\r\n",
        b"451 x\r\n",
        b"554 x\r\n",
        (b"421 x\r\n", CUT),
        b"354 x\r\n",
        b"150 x\r\n",
        b"rubbish\r\n",
        b"250 ok\r\n250 ok\r\n",
        b"250 ok\r\n2",
        (b"250 ok\r\n", CUT),
        (b"250 o", CUT),
        CUT,
        Cut(reset=True),
        SILENCE,
    ],
}


def fates(step: str) -> st.SearchStrategy[list[Step]]:
    good, *bad = FATES[step]
    return st.lists(st.one_of(st.just(good), st.sampled_from([good, *bad])), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(
    script=st.fixed_dictionaries({step: fates(step) for step in FATES}),
    count=st.integers(1, 6),
    mode=st.sampled_from("SAB"),
    careless=st.booleans(),
    shut=st.dictionaries(st.integers(1, 6), st.integers(1, 2)),
)
def test_whatever_the_server_does_its_record_equals_ours(
    script: dict[str, list[Step]],
    count: int,
    mode: str,
    careless: bool,  # noqa: FBT001
    shut: dict[int, int],
) -> None:
    # The last step of a list stays for good: an answer, so that silence does not take minutes.
    answers: dict[str, Any] = {step: [*does, FATES[step][0]] for step, does in script.items()}
    server = Scripted(answers=answers, careless=careless)
    bag = Mailbag([mail(number) for number in range(1, count + 1)], rides=mode == "B")
    bag.gates = {number: shut_at(asked) for number, asked in shut.items()}
    extensions = {"size": ""} if mode == "S" else PIPELINED
    waits = Timeouts(command_s=0.5, data_s=0.5, block_s=0.5, after_dot_s=0.06)
    carry(server, bag, connections=count + 1, timeouts=waits, extensions=extensions)
    assert set(bag.came_to) == set(range(1, count + 1))
    _compare(server, bag)


def _compare(server: Scripted, bag: Mailbag) -> None:
    said: dict[int, list[bytes]] = {number: [] for number in bag.came_to}
    for seen in server.conversations:
        whole = [bytes(body) for body in seen.bodies if body.endswith(b".\r\n")]
        assert b".\r\n" not in whole, "a lone dot delivers an empty mail"
        for (rcpt, answer), body in zip(seen.taken, whole, strict=True):
            number = int(rcpt.split(b"<r")[1].split(b"@")[0])
            assert body == mail(number).data + b".\r\n", "one recipient's mail went to another"
            said[number].append(answer)
    for number, facts in bag.came_to.items():
        _compare_one(bag.outcome(number), facts, said[number], bag.letters(number))


def _compare_one(
    outcome: Outcome, facts: TransactionFacts, said: Sequence[bytes], letters: str
) -> None:
    assert len(said) <= 1, "sent twice"
    assert facts.dotted is ("B" in letters)
    if outcome is ACCEPTED:
        assert said
        assert said[0].startswith(b"2")
    elif outcome is UNCERTAIN:
        assert letters == "SB"
    elif facts.dotted:
        assert said
        assert said[0][:1] in {b"4", b"5"}
    else:
        assert not said
    if outcome is not UNCERTAIN:
        assert letters[-1:] in {"A", ""}


def test_the_comparison_finds_a_mail_sent_twice_and_one_that_is_not_there() -> None:
    accepted = TransactionFacts(Phase.DOT, 250, dotted=True)
    for said in ([], [b"250 ok"] * 2, [b"550 no"]):
        with pytest.raises(AssertionError):
            _compare_one(ACCEPTED, accepted, said, "SBA")
    with pytest.raises(AssertionError):
        _compare_one(NOT_SENT, TransactionFacts(Phase.MAIL, cut=True), [b"250 ok"], "SA")
    assert accepted._replace(code=None).code is None
