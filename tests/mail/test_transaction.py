"""Real SMTP conversations with a server that does what the test says."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import time
from dataclasses import dataclass, field
from typing import Any

import aiosmtplib
import pytest
from aiosmtplib.email import parse_address

from distributor.core.model import Outcome
from distributor.core.outcome import Blame, Phase, TransactionFacts, judge
from distributor.mail.lines import dot_stuffed, is_mailbox
from distributor.mail.transaction import BLOCK, Capabilities, Envelope, Session, Timeouts
from distributor.mail.wire import MAX_REPLY, Wire
from tests.mail.scripted import CUT, SILENCE, Cut, InBody, Scripted, Step, Wait

ACCEPTED, DEFERRED, REFUSED = Outcome.ACCEPTED, Outcome.DEFERRED, Outcome.REFUSED
UNCERTAIN, NOT_SENT = Outcome.UNCERTAIN, Outcome.NOT_SENT
MAIL = b"Subject: test\r\n\r\nHello\r\n"
BIG = b"Subject: big\r\n\r\n" + b"0123456789abcdef" * 500_000 + b"\r\n"
#: Long enough for a machine with other work; what is never answered costs a test as much.
QUICK = Timeouts(command_s=1.0, data_s=1.0, block_s=1.0, after_dot_s=1.0)


@dataclass
class Notes:
    """A flight log in memory; ``full_at`` is the entry that no longer fits."""

    entries: list[tuple[Any, ...]] = field(default_factory=list)
    full_at: str = ""

    def _add(self, letter: str, *rest: object) -> None:
        if letter == self.full_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.entries.append((letter, *rest))

    def started(self, delivery: int | str, *, token: Any = None, **_: object) -> None:
        self._add("S", delivery, token)

    def dotted(self, delivery: int | str, *, token: Any = None, **_: object) -> None:
        self._add("B", delivery, token)

    def answered(
        self,
        delivery: int | str,
        code: int | None,
        reply: str,
        *,
        token: Any = None,
        **_: object,
    ) -> None:
        assert isinstance(reply, str)
        self._add("A", delivery, code, token)

    def flush(self) -> None:
        """Everything is noted at once here."""

    @property
    def letters(self) -> str:
        return "".join(entry[0] for entry in self.entries)


ENVELOPE = Envelope("desk@press.example", "ann@daily.example", MAIL, delivery=7, token="t1")


def an_envelope(**changes: Any) -> Envelope:
    return ENVELOPE._replace(**changes)


async def a_session(
    server: Scripted, *, extensions: dict[str, str] | None = None, timeouts: Timeouts = QUICK
) -> Session:
    """Connect and read the banner, without the relay: these tests are about one mail."""
    loop = asyncio.get_running_loop()
    banner = loop.create_future()

    class First(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            banner.set_result(data)

    transport, _ = await loop.create_connection(First, "127.0.0.1", server.port)
    await banner
    return Session(
        Wire(transport),
        capabilities=Capabilities(extensions or {"size": "10240000"}),
        timeouts=timeouts,
    )


def talk(
    server: Scripted, *envelopes: Envelope, notes: Notes | None = None, **how: Any
) -> tuple[TransactionFacts, bool, Conversed]:
    """Send each envelope; the last facts, whether the connection stands, and what was said."""
    kept = notes or Notes()

    async def run() -> tuple[TransactionFacts, bool]:
        facts = None
        async with server:
            session = await a_session(server)
            for envelope in envelopes or (an_envelope(),):
                how_now: dict[str, Any] = {"gate": lambda: None, **how}
                facts = await session.send(envelope, flight=kept, **how_now)
            alive = session.alive
            await session.quit()
            # A server told to be silent does not notice that we are gone.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(server.last.over.wait(), 0.3)
        assert facts is not None
        return facts, alive

    facts, alive = asyncio.run(run())
    return facts, alive, Conversed(server, kept)


@dataclass
class Conversed:
    server: Scripted
    notes: Notes


def test_a_mail_is_sent_and_its_reply_kept() -> None:
    server = Scripted()
    facts, alive, seen = talk(server)
    assert facts == TransactionFacts(
        Phase.DOT, 250, "2.0.0", "2.0.0 Ok: queued as 4F3A", dotted=True
    )
    assert judge(facts).outcome is ACCEPTED
    assert alive
    assert server.last.commands == [
        b"MAIL FROM:<desk@press.example> SIZE=%d" % len(MAIL),
        b"RCPT TO:<ann@daily.example>",
        b"DATA",
        b"QUIT",
    ]
    assert server.last.bodies == [MAIL + b".\r\n"]
    assert seen.notes.entries == [("S", 7, "t1"), ("B", 7, "t1"), ("A", 7, 250, "t1")]


def test_a_connection_carries_many_mails_one_after_the_other() -> None:
    server = Scripted()
    mails = [an_envelope(delivery=number, data=MAIL + b"%d\r\n" % number) for number in range(20)]
    _, alive, seen = talk(server, *mails)
    assert alive
    assert [body.removesuffix(b".\r\n") for body in server.last.bodies] == [m.data for m in mails]
    assert seen.notes.letters == "SBA" * 20


#: step of the script -> what the facts come to, whom they act on, and whether the line stands
FAULTS: dict[str, tuple[dict[str, Any], Outcome, Blame, bool]] = {
    "row 8 451 at MAIL": ({"mail": b"451 4.3.0 later\r\n"}, NOT_SENT, Blame.RELAY, True),
    "row 8 421 at MAIL": ({"mail": (b"421 closing\r\n", CUT)}, NOT_SENT, Blame.RELAY, False),
    "row 8 550 at MAIL": ({"mail": b"550 5.7.1 not you\r\n"}, NOT_SENT, Blame.WAVE, True),
    "row 8 garbage at MAIL": ({"mail": b"hello?\r\n"}, NOT_SENT, Blame.RELAY, False),
    "row 8 code 999": ({"mail": b"999 what\r\n"}, NOT_SENT, Blame.RELAY, False),
    "row 8 no code": ({"mail": b" ok\r\n"}, NOT_SENT, Blame.RELAY, False),
    "row 8 354 at MAIL": ({"mail": b"354 already\r\n"}, NOT_SENT, Blame.RELAY, False),
    "row 8 cut at MAIL": ({"mail": CUT}, NOT_SENT, Blame.NONE, False),
    "row 8 reset at MAIL": ({"mail": Cut(reset=True)}, NOT_SENT, Blame.NONE, False),
    "row 8 no reply": ({"mail": SILENCE}, NOT_SENT, Blame.NONE, False),
    "row 8 a byte at a time": (
        {"mail": (b"2", Wait(0.7), b"5", Wait(0.7), b"0 ok\r\n")},
        NOT_SENT,
        Blame.RELAY,
        False,
    ),
    "row 9 450 greylisted": ({"rcpt": b"450 4.7.1 grey\r\n"}, DEFERRED, Blame.RECIPIENT, True),
    "row 9 452": ({"rcpt": b"452 4.2.2 full\r\n"}, DEFERRED, Blame.RECIPIENT, True),
    "row 9 550": ({"rcpt": b"550 5.1.1 unknown\r\n"}, REFUSED, Blame.RECIPIENT, True),
    "row 9 551": ({"rcpt": b"551 moved\r\n"}, REFUSED, Blame.RECIPIENT, True),
    "row 9 552": ({"rcpt": b"552 too much\r\n"}, REFUSED, Blame.RECIPIENT, True),
    "row 9 several lines": (
        {"rcpt": b"550-5.1.1 no\r\n550-5.1.1 such\r\n550 5.1.1 user\r\n"},
        REFUSED,
        Blame.RECIPIENT,
        True,
    ),
    "row 9 lines that disagree": (
        {"rcpt": b"250-ok\r\n550 not ok\r\n"},
        NOT_SENT,
        Blame.RELAY,
        False,
    ),
    "row 9 354 although refused": (
        {"rcpt": b"550 5.1.1 no\r\n354 go on\r\n"},
        REFUSED,
        Blame.RECIPIENT,
        False,
    ),
    "row 9 354 before DATA": (
        {"rcpt": b"250 ok\r\n354 go on\r\n"},
        NOT_SENT,
        Blame.RELAY,
        False,
    ),
    "row 9 cut": ({"rcpt": CUT}, NOT_SENT, Blame.NONE, False),
    "row 10 451 at DATA": ({"data": b"451 4.3.0 no\r\n"}, NOT_SENT, Blame.NONE, False),
    "row 10 554 at DATA": ({"data": b"554 5.6.0 no\r\n"}, REFUSED, Blame.RECIPIENT, True),
    "row 10 250 at DATA": ({"data": b"250 ok\r\n"}, NOT_SENT, Blame.RELAY, False),
    "row 10 cut before 354": ({"data": CUT}, NOT_SENT, Blame.NONE, False),
    "row 10 no reply": ({"data": SILENCE}, NOT_SENT, Blame.NONE, False),
    "row 12 200 after the dot": ({"dot": b"200 fine\r\n"}, ACCEPTED, Blame.NONE, True),
    "row 12 252 after the dot": ({"dot": b"252 fine\r\n"}, ACCEPTED, Blame.NONE, True),
    "row 12 bare LF": ({"dot": b"250 fine\n"}, ACCEPTED, Blame.NONE, True),
    "row 12 code alone": ({"dot": b"250\r\n"}, ACCEPTED, Blame.NONE, True),
    "row 12 451 after the dot": ({"dot": b"451 4.3.0 x\r\n"}, DEFERRED, Blame.RECIPIENT, True),
    "row 12 421 after the dot": ({"dot": b"421 bye\r\n"}, DEFERRED, Blame.RELAY, False),
    "row 12 554 after the dot": ({"dot": b"554 5.7.1 spam\r\n"}, REFUSED, Blame.RECIPIENT, True),
    "row 12 150 after the dot": ({"dot": b"150 wait\r\n"}, UNCERTAIN, Blame.NONE, False),
    "row 12 354 after the dot": ({"dot": b"354 more\r\n"}, UNCERTAIN, Blame.NONE, False),
    "row 12 garbage": ({"dot": b"\xff\xfe<html>\r\n"}, UNCERTAIN, Blame.NONE, False),
    "row 12 NUL for a code": ({"dot": b"2\x0050 ok\r\n"}, UNCERTAIN, Blame.NONE, False),
    "row 12 NUL in the text": ({"dot": b"250 o\x00k\r\n"}, ACCEPTED, Blame.NONE, False),
    "row 12 cut after the dot": ({"dot": CUT}, UNCERTAIN, Blame.NONE, False),
    "row 12 reset after the dot": ({"dot": Cut(reset=True)}, UNCERTAIN, Blame.NONE, False),
    "row 12 half a reply": ({"dot": (b"250 o", CUT)}, UNCERTAIN, Blame.NONE, False),
    "row 12 half of several lines": ({"dot": (b"250-ok\r\n", CUT)}, UNCERTAIN, Blame.NONE, False),
    "row 12 reply, then cut": ({"dot": (b"250 ok\r\n", CUT)}, ACCEPTED, Blame.NONE, False),
    "row 12 no reply": ({"dot": SILENCE}, UNCERTAIN, Blame.NONE, False),
    "row 12 late reply": ({"dot": (Wait(1.5), b"250 ok\r\n")}, UNCERTAIN, Blame.NONE, False),
    "row 12 extra line": ({"dot": b"250 ok\r\n250 ok\r\n"}, ACCEPTED, Blame.NONE, False),
    "row 12 extra bytes": ({"dot": b"554 no\r\n2"}, REFUSED, Blame.RECIPIENT, False),
    "row 12 endless lines": ({"dot": b"250-x\r\n" * 50_000}, UNCERTAIN, Blame.NONE, False),
}


@pytest.mark.parametrize("case", FAULTS)
def test_each_fault_of_the_wire_comes_to_its_outcome(case: str) -> None:
    answers, outcome, blame, stands = FAULTS[case]
    facts, alive, seen = talk(Scripted(**answers))
    judgement = judge(facts)
    assert (judgement.outcome, judgement.blame) == (outcome, blame)
    if case != "row 12 reply, then cut":
        assert alive is stands
        assert judgement.drop is not stands
    assert ("B" in seen.notes.letters) is facts.dotted
    assert seen.notes.letters.endswith("B" if outcome is UNCERTAIN else "A")


@pytest.mark.parametrize("verb", ["rcpt", "data"])
def test_after_a_refusal_the_envelope_is_reset_and_the_connection_used_again(verb: str) -> None:
    then = {"rcpt": b"250 ok\r\n", "data": b"354 go\r\n"}[verb]
    server = Scripted(answers={verb: [b"554 5.1.1 no\r\n", then]})
    facts, alive, seen = talk(server, an_envelope(delivery=1), an_envelope(delivery=2))
    assert judge(facts).outcome is ACCEPTED
    assert alive
    assert server.last.verbs.count("RSET") == 1
    assert server.last.verbs.index("RSET") < len(server.last.verbs) - 4
    assert seen.notes.entries[1] == ("A", 1, 554, "t1")


def test_a_server_that_refuses_rset_is_dropped_and_nothing_sent() -> None:
    server = Scripted(rcpt=b"550 no\r\n", rset=b"500 what\r\n")
    facts, alive, seen = talk(server, an_envelope(delivery=1), an_envelope(delivery=2))
    assert (facts.phase, judge(facts).outcome, alive) == (Phase.CONNECT, NOT_SENT, False)
    assert seen.notes.entries == [("S", 1, "t1"), ("A", 1, 550, "t1")]


def test_what_the_server_says_while_idle_ends_the_session_before_the_next_mail() -> None:
    async def run() -> None:
        async with Scripted(noop=(b"250 here\r\n", Wait(0.05), b"421 4.4.2 idle\r\n")) as server:
            session, notes = await a_session(server), Notes()
            assert await session.noop()
            await asyncio.sleep(0.15)
            assert not session.alive
            facts = await session.send(an_envelope(), gate=lambda: None, flight=notes)
            assert (facts.phase, facts.code) == (Phase.CONNECT, 421)
            assert judge(facts).blame is Blame.RELAY
            assert notes.letters == ""
            assert not await session.noop()
            await session.quit()
            assert server.last.verbs == ["NOOP"]

    asyncio.run(run())


# Gate and lease


def test_i1_gate_shut_at_mail_writes_nothing() -> None:
    server = Scripted()
    facts, alive, seen = talk(server, gate=lambda: "embargo")
    assert facts == TransactionFacts(Phase.MAIL, shut="embargo")
    assert alive
    assert server.last.verbs == ["QUIT"]
    assert seen.notes.letters == ""


@pytest.mark.parametrize("reason", ["embargo", "held", "stopped", "clock"])
def test_i1_gate_shut_after_354_drops_the_connection_without_a_lone_dot(reason: str) -> None:
    answers = iter([None, reason])
    server = Scripted()
    facts, alive, seen = talk(server, gate=lambda: next(answers))
    assert facts == TransactionFacts(Phase.BODY, shut=reason)
    assert judge(facts).outcome is NOT_SENT
    assert not alive
    assert server.last.verbs == ["MAIL", "RCPT", "DATA"]
    assert server.last.bodies == [b""]
    assert seen.notes.entries == [("S", 7, "t1"), ("A", 7, None, "t1")]


def test_i1_the_gate_is_asked_right_before_mail_and_after_354_and_never_waits_between() -> None:
    server = Scripted(mail=(Wait(0.1), b"250 ok\r\n"), data=(Wait(0.1), b"354 go\r\n"))
    asked: list[list[str]] = []

    def gate() -> None:
        asked.append(server.last.verbs)

    talk(server, gate=gate)
    assert asked == [[], ["MAIL", "RCPT", "DATA"]]


def test_row_11_a_lease_that_ends_in_the_body_aborts_before_the_dot() -> None:
    server = Scripted()
    facts, alive, seen = talk(server, lease_ok=lambda: False)
    assert facts == TransactionFacts(Phase.BODY, shut="lease")
    assert judge(facts).outcome is NOT_SENT
    assert not alive
    assert server.last.bodies in ([MAIL], [b""])
    assert seen.notes.letters == "SA"


# Body


def test_row_11_cut_in_the_body_is_not_sent() -> None:
    facts, alive, seen = talk(Scripted(in_body=InBody(100_000, CUT)), an_envelope(data=BIG))
    assert (facts.phase, facts.dotted, judge(facts).outcome) == (Phase.BODY, False, NOT_SENT)
    assert not alive
    assert seen.notes.letters == "SA"


def test_row_11_a_server_that_stops_reading_is_given_up_after_the_block_timeout() -> None:
    began = time.monotonic()
    facts, _, seen = talk(
        Scripted(in_body=InBody(4096, SILENCE), receive_buffer=4096), an_envelope(data=BIG)
    )
    assert (facts.phase, facts.cut, facts.dotted) == (Phase.BODY, True, False)
    assert judge(facts).outcome is NOT_SENT
    assert time.monotonic() - began < 5
    assert seen.notes.letters == "SA"


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (b"552 5.3.4 too big\r\n", REFUSED),
        (b"452 4.3.1 no room\r\n", DEFERRED),
        (b"421 4.3.2 going down\r\n", NOT_SENT),
        (b"250 2.0.0 thank you\r\n", NOT_SENT),
        (b"\x00\x00\r\n", NOT_SENT),
    ],
)
@pytest.mark.parametrize("reads_on", [True, False])
def test_row_11_an_early_reply_ends_the_body_before_the_dot(
    reply: bytes, outcome: Outcome, *, reads_on: bool
) -> None:
    does = reply if reads_on else (reply, SILENCE)
    facts, alive, seen = talk(
        Scripted(in_body=InBody(50_000, does), receive_buffer=4096), an_envelope(data=BIG)
    )
    assert (facts.phase, facts.dotted, alive) == (Phase.BODY, False, False)
    assert judge(facts).outcome is outcome
    assert seen.notes.letters == "SA"


def test_row_11_eight_megabytes_arrive_whole() -> None:
    server = Scripted()
    facts, _, _ = talk(server, an_envelope(data=BIG))
    assert judge(facts).outcome is ACCEPTED
    assert server.last.bodies == [BIG + b".\r\n"]


SMUGGLING = [b"\n.\r\n", b"\r.\r", b"\r\n.\n", b"\r\r\n.\r\r\n", b"\n.\n", b"\r.\r\n", b"a\0b"]


@pytest.mark.parametrize("trick", SMUGGLING)
def test_row_3_bare_line_ends_are_refused_before_anything_is_written(trick: bytes) -> None:
    server = Scripted()
    data = MAIL + trick + b"MAIL FROM:<evil@x.example>\r\n"
    facts, alive, seen = talk(server, an_envelope(data=data))
    assert (facts.phase, facts.code, facts.local) == (Phase.MAIL, 554, True)
    assert judge(facts).blame is Blame.WAVE
    assert alive
    assert server.last.verbs == ["QUIT"]
    assert seen.notes.letters == ""


@pytest.mark.parametrize(
    ("data", "wire"),
    [
        (b".\r\n", b"..\r\n"),
        (b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n"),
        (b"\r\n.\r\n.\r\n", b"\r\n..\r\n..\r\n"),
        (b"..a\r\n", b"...a\r\n"),
        (b"a.\r\nb", b"a.\r\nb\r\n"),
        (b"", b"\r\n"),
    ],
)
def test_dots_are_stuffed_as_rfc_5321_4_5_2_says(data: bytes, wire: bytes) -> None:
    assert dot_stuffed(data) == wire
    server = Scripted()
    facts, _, _ = talk(server, an_envelope(data=data))
    assert judge(facts).outcome is ACCEPTED
    assert server.last.bodies == [wire + b".\r\n"]
    assert server.last.verbs == ["MAIL", "RCPT", "DATA", "QUIT"]


def test_a_dot_at_the_edge_of_a_block_is_stuffed() -> None:
    for shift in range(-3, 4):
        data = b"x" * (BLOCK - 2 + shift) + b"\r\n.\r\nMAIL FROM:<x@y.example>\r\n"
        server = Scripted()
        talk(server, an_envelope(data=data))
        assert server.last.verbs == ["MAIL", "RCPT", "DATA", "QUIT"]
        assert server.last.bodies == [data.replace(b"\r\n.", b"\r\n..") + b".\r\n"]


# Addresses


ODD_ADDRESSES = [
    "b@x.com,c@x.com",
    "a@evil.com:b@x.com",
    'b"@x.com',
    "",
    "a@x.com\r\nRCPT TO:<b@x.com>",
    "a@x.com\n",
    "a b@x.com",
    "<a@x.com>",
    "a@x.com>",
    "a\0@x.com",
    "a@x..com",
    ".a@x.com",
    "a..b@x.com",
    "a@[127.0.0.1]",
    "a(c)@x.com",
    "Ann <a@x.com>",
    '"a b"@x.com',
    "@route:a@x.com",
    "a@-x.com",
    "a@x.com.",
    "a",
    "a@",
    "@x.com",
    "x" * 65 + "@x.com",
    "a@" + ".".join(["x" * 63] * 4),
    "a@x.com SMTPUTF8",
    "a\u202e@x.com",
    "a\u00a0b@x.com",
    "a\ud800@x.com",
    "a@m\u00fcnchen.example",
]


@pytest.mark.parametrize("address", ODD_ADDRESSES, ids=ascii)
def test_row_6_an_odd_address_is_refused_before_anything_is_written(address: str) -> None:
    server = Scripted()
    facts, alive, seen = talk(server, an_envelope(rcpt_to=address))
    assert (facts.phase, facts.local) == (Phase.RCPT, True)
    assert judge(facts).outcome is REFUSED
    assert not judge(facts).suppress
    assert alive
    assert server.last.verbs == ["QUIT"]
    assert seen.notes.letters == ""


PLAIN_ADDRESSES = [
    "ann@daily.example",
    "Ann.O'Hara+press=x@sub.daily.example",
    "a@localhost",
    "a@xn--mnchen-3ya.example",
    "_-{}|~`!#$%&*/?^@x.example",
    "x" * 64 + "@x.example",
]


@pytest.mark.parametrize("address", PLAIN_ADDRESSES)
def test_finding_3_the_address_on_the_wire_is_the_address_stored(address: str) -> None:
    assert parse_address(address) == address
    server = Scripted()
    talk(server, an_envelope(rcpt_to=address, mail_from=address))
    assert server.last.commands[0].split(b" SIZE")[0] == b"MAIL FROM:<%s>" % address.encode()
    assert server.last.commands[1] == b"RCPT TO:<%s>" % address.encode()


@pytest.mark.parametrize("address", ["b@x.com,c@x.com", "a@evil.com:b@x.com", 'b"@x.com', ""])
def test_finding_3_what_the_library_would_rewrite_we_refuse(address: str) -> None:
    assert parse_address(address) != address or not address
    assert not is_mailbox(address)


def test_a_null_return_path_is_written_as_such_and_an_odd_one_holds_the_wave() -> None:
    server = Scripted()
    talk(server, an_envelope(mail_from=""))
    assert server.last.commands[0].startswith(b"MAIL FROM:<> ")
    facts, _, _ = talk(Scripted(), an_envelope(mail_from="a@x.com> SIZE=1"))
    assert judge(facts).blame is Blame.WAVE


def test_row_7_an_international_address_is_refused_where_the_relay_cannot() -> None:
    server = Scripted()
    facts, alive, _ = talk(server, an_envelope(rcpt_to="jos\u00e9@x.example"), an_envelope())
    assert (judge(facts).outcome, alive) == (ACCEPTED, True)
    facts, _, _ = talk(Scripted(), an_envelope(rcpt_to="jos\u00e9@x.example"))
    assert (facts.code, facts.local, judge(facts).outcome) == (553, True, REFUSED)
    assert "internationalised" in facts.reply


def test_row_7_an_international_address_goes_with_smtputf8_where_it_is_offered() -> None:
    async def run(server: Scripted) -> TransactionFacts:
        async with server:
            session = await a_session(server, extensions={"smtputf8": ""})
            envelope = an_envelope(rcpt_to="jos\u00e9@x.example")
            facts = await session.send(envelope, gate=lambda: None, flight=Notes())
            await session.quit()
        return facts

    server = Scripted()
    assert judge(asyncio.run(run(server))).outcome is ACCEPTED
    assert server.last.commands[0] == b"MAIL FROM:<desk@press.example> SMTPUTF8"
    assert server.last.commands[1] == "RCPT TO:<jos\u00e9@x.example>".encode()


# Flight log


@pytest.mark.parametrize(("letter", "verbs"), [("S", []), ("B", ["MAIL", "RCPT", "DATA"])])
def test_row_12_where_the_flight_log_cannot_be_written_there_is_no_dot(
    letter: str, verbs: list[str]
) -> None:
    server = Scripted()
    facts, alive, _ = talk(server, notes=Notes(full_at=letter))
    assert (facts.dotted, facts.local, judge(facts).outcome) == (False, True, NOT_SENT)
    assert "flight log" in facts.reply
    assert alive is (letter == "S")
    assert [verb for verb in server.last.verbs if verb != "QUIT"] == verbs
    assert not any(body.endswith(b"\r\n.\r\n") for body in server.last.bodies)


def test_row_13_an_answer_that_cannot_be_noted_is_still_told() -> None:
    facts, _, seen = talk(Scripted(), notes=Notes(full_at="A"))
    assert judge(facts).outcome is ACCEPTED
    assert seen.notes.letters == "SB"


def test_the_dot_is_noted_before_it_is_written_and_mail_too() -> None:
    server = Scripted()
    order: list[str] = []

    class Watching(Notes):
        def _add(self, letter: str, *rest: object) -> None:
            said = server.last.verbs or ["nothing"]
            order.append(f"{letter} after {said[-1]}, {len(server.last.bodies)}")
            super()._add(letter, *rest)

    talk(server, notes=Watching())
    assert order == ["S after nothing, 0", "B after DATA, 1", "A after DATA, 1"]
    assert server.last.bodies[0].endswith(b"\r\n.\r\n")


def test_a_cancelled_send_drops_the_connection() -> None:
    async def run() -> None:
        async with Scripted(dot=SILENCE) as server:
            dotted = asyncio.Event()

            class Telling(Notes):
                def dotted(self, delivery: int | str, *, token: Any = None, **_: object) -> None:
                    super().dotted(delivery, token=token)
                    dotted.set()

            session, notes = await a_session(server, timeouts=Timeouts()), Telling()
            sending = asyncio.ensure_future(
                session.send(an_envelope(), gate=lambda: None, flight=notes)
            )
            await asyncio.wait_for(dotted.wait(), 5)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            assert not session.alive
            assert notes.letters == "SB"

    asyncio.run(run())


# Findings 4 and 5


@pytest.fixture(params=["before 354", "in the body", "after the dot"])
def cut_point(request: pytest.FixtureRequest) -> tuple[dict[str, Any], Outcome]:
    return {
        "before 354": ({"data": CUT}, NOT_SENT),
        "in the body": ({"in_body": InBody(20_000, Cut(reset=True))}, NOT_SENT),
        "after the dot": ({"dot": CUT}, UNCERTAIN),
    }[request.param]


def test_finding_4_the_facts_say_whether_the_mail_left_where_the_library_cannot(
    cut_point: tuple[dict[str, Any], Outcome],
) -> None:
    answers, outcome = cut_point
    facts, _, _ = talk(Scripted(**answers), an_envelope(data=BIG))
    assert judge(facts).outcome is outcome
    assert facts.dotted is (outcome is UNCERTAIN)

    async def library() -> None:
        async with Scripted(**answers) as server:
            smtp = aiosmtplib.SMTP(hostname="127.0.0.1", port=server.port, start_tls=False)
            await smtp.connect()
            try:
                await smtp.sendmail("a@x.example", ["b@x.example"], BIG)
            finally:
                smtp.close()

    with pytest.raises(aiosmtplib.SMTPServerDisconnected):
        asyncio.run(library())


def test_finding_4_an_extra_reply_never_answers_for_the_next_mail() -> None:
    rcpt: list[Step] = [b"250 ok\r\n", b"550 5.1.1 no\r\n"]
    server = Scripted(dot=b"250 ok\r\n250 ok\r\n", answers={"rcpt": rcpt})
    facts, alive, _ = talk(server, an_envelope(delivery=1), an_envelope(delivery=2))
    assert (judge(facts).outcome, facts.phase, alive) == (NOT_SENT, Phase.CONNECT, False)
    assert server.last.verbs == ["MAIL", "RCPT", "DATA"]


def test_finding_5_each_step_has_a_wait_of_its_own_and_the_longest_is_after_the_dot() -> None:
    waits = Timeouts()
    assert (waits.connect_s, waits.command_s, waits.data_s) == (30, 300, 120)
    assert (waits.block_s, waits.after_dot_s) == (180, 600)

    async def run() -> None:
        slow = Scripted(dot=(Wait(0.6), b"250 ok\r\n"), mail=(Wait(0.2), b"250 ok\r\n"))
        async with slow as server:
            waits = Timeouts(command_s=0.4, data_s=0.4, block_s=0.4, after_dot_s=5)
            session = await a_session(server, timeouts=waits)
            facts = await session.send(an_envelope(), gate=lambda: None, flight=Notes())
            await session.quit()
        assert judge(facts).outcome is ACCEPTED

    asyncio.run(run())


# Row 26


def test_row_26_a_reply_with_escape_codes_is_kept_harmless() -> None:
    facts, alive, _ = talk(Scripted(dot=b"250 2.0.0 \x1b[2Jok \xe2\x80\xae<b>\r\n"))
    assert facts.reply == "2.0.0 \\x1b[2Jok \\u202e<b>"
    assert judge(facts).outcome is ACCEPTED
    assert alive


def test_row_26_a_reply_of_a_megabyte_is_not_kept_and_drops_the_connection() -> None:
    facts, alive, _ = talk(Scripted(dot=b"250 " + b"x" * 1_000_000 + b"\r\n"))
    assert judge(facts).outcome is UNCERTAIN
    assert (facts.odd, alive) == (True, False)
    assert len(facts.reply) <= 2048 < MAX_REPLY


def test_row_26_what_follows_garbage_is_thrown_away_and_memory_stays_bounded() -> None:
    async def run() -> None:
        async with Scripted() as server:
            wire = (await a_session(server))._wire
            wire.data_received(b"rubbish\r\n")
            for _ in range(100):
                wire.data_received(b"250-more\r\n" * 1000 + b"x" * 100_000)
            assert (len(wire._buffer), len(wire._lines), len(wire._replies)) == (0, 0, 1)
            assert wire.unread
            wire.abort()

    asyncio.run(run())
