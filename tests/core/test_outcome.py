"""The whole table of design section 6 and reliability section 3, row by row."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.core.model import Outcome
from distributor.core.outcome import (
    DEAD_ADDRESS,
    REPLY_LIMIT,
    Blame,
    Phase,
    TransactionFacts,
    clean_reply,
    judge,
    parse_enhanced,
    wave_fault,
)

ACCEPTED, DEFERRED, REFUSED = Outcome.ACCEPTED, Outcome.DEFERRED, Outcome.REFUSED
UNCERTAIN, NOT_SENT = Outcome.UNCERTAIN, Outcome.NOT_SENT
RECIPIENT, RELAY, WAVE, NOBODY = Blame.RECIPIENT, Blame.RELAY, Blame.WAVE, Blame.NONE
KEEP, DROP = False, True


def facts(phase: Phase, code: int | None = None, **more: object) -> TransactionFacts:
    return TransactionFacts(phase=phase, code=code, dotted=phase is Phase.DOT, **more)  # pyright: ignore[reportArgumentType]


TABLE = {
    "connect refused": (facts(Phase.CONNECT, cut=True), NOT_SENT, RELAY, DROP),
    "554 banner": (facts(Phase.CONNECT, 554), NOT_SENT, RELAY, DROP),
    "421 at connect": (facts(Phase.CONNECT, 421), NOT_SENT, RELAY, DROP),
    "454 at STARTTLS": (facts(Phase.CONNECT, 454), NOT_SENT, RELAY, DROP),
    "535 at AUTH": (facts(Phase.CONNECT, 535), NOT_SENT, RELAY, DROP),
    "421 at MAIL": (facts(Phase.MAIL, 421), NOT_SENT, RELAY, DROP),
    "454 at MAIL": (facts(Phase.MAIL, 454), NOT_SENT, RELAY, KEEP),
    "451 at MAIL": (facts(Phase.MAIL, 451), NOT_SENT, RELAY, KEEP),
    "550 at MAIL": (facts(Phase.MAIL, 550), NOT_SENT, WAVE, KEEP),
    "552 at MAIL": (facts(Phase.MAIL, 552), NOT_SENT, WAVE, KEEP),
    "354 at MAIL": (facts(Phase.MAIL, 354), NOT_SENT, RELAY, DROP),
    "garbage at MAIL": (facts(Phase.MAIL, odd=True), NOT_SENT, RELAY, DROP),
    "cut at MAIL": (facts(Phase.MAIL, cut=True), NOT_SENT, NOBODY, DROP),
    "gate shut at MAIL": (facts(Phase.MAIL, shut="embargo"), NOT_SENT, NOBODY, KEEP),
    "421 at RCPT": (facts(Phase.RCPT, 421), NOT_SENT, RELAY, DROP),
    "454 at RCPT": (facts(Phase.RCPT, 454), NOT_SENT, RELAY, KEEP),
    "450 at RCPT": (facts(Phase.RCPT, 450), DEFERRED, RECIPIENT, KEEP),
    "451 at RCPT": (facts(Phase.RCPT, 451), DEFERRED, RECIPIENT, KEEP),
    "452 at RCPT": (facts(Phase.RCPT, 452), DEFERRED, RECIPIENT, KEEP),
    "550 at RCPT": (facts(Phase.RCPT, 550), REFUSED, RECIPIENT, KEEP),
    "551 at RCPT": (facts(Phase.RCPT, 551), REFUSED, RECIPIENT, KEEP),
    "554 at RCPT": (facts(Phase.RCPT, 554), REFUSED, RECIPIENT, KEEP),
    "354 although RCPT was refused": (
        facts(Phase.RCPT, 550, odd=True),
        REFUSED,
        RECIPIENT,
        DROP,
    ),
    "354 at RCPT": (facts(Phase.RCPT, 354), NOT_SENT, RELAY, DROP),
    "250 and extra bytes at RCPT": (facts(Phase.RCPT, 250, odd=True), NOT_SENT, RELAY, DROP),
    "cut at RCPT": (facts(Phase.RCPT, cut=True), NOT_SENT, NOBODY, DROP),
    "451 at DATA": (facts(Phase.DATA, 451), NOT_SENT, NOBODY, DROP),
    "554 at DATA": (facts(Phase.DATA, 554), REFUSED, RECIPIENT, KEEP),
    "250 at DATA": (facts(Phase.DATA, 250), NOT_SENT, RELAY, DROP),
    "cut before 354": (facts(Phase.DATA, cut=True), NOT_SENT, NOBODY, DROP),
    "gate shut after 354": (facts(Phase.BODY, shut="held"), NOT_SENT, NOBODY, DROP),
    "lease ended in the body": (facts(Phase.BODY, shut="lease"), NOT_SENT, NOBODY, DROP),
    "cut in the body": (facts(Phase.BODY, cut=True), NOT_SENT, NOBODY, DROP),
    "552 early in the body": (facts(Phase.BODY, 552), REFUSED, RECIPIENT, DROP),
    "452 early in the body": (facts(Phase.BODY, 452), DEFERRED, RECIPIENT, DROP),
    "421 early in the body": (facts(Phase.BODY, 421), NOT_SENT, RELAY, DROP),
    "250 early in the body": (facts(Phase.BODY, 250), NOT_SENT, RELAY, DROP),
    "flight log full at the dot": (facts(Phase.BODY, local=True), NOT_SENT, NOBODY, DROP),
    "200 after the dot": (facts(Phase.DOT, 200), ACCEPTED, NOBODY, KEEP),
    "250 after the dot": (facts(Phase.DOT, 250), ACCEPTED, NOBODY, KEEP),
    "252 after the dot": (facts(Phase.DOT, 252), ACCEPTED, NOBODY, KEEP),
    "250 and extra lines": (facts(Phase.DOT, 250, odd=True), ACCEPTED, NOBODY, DROP),
    "421 after the dot": (facts(Phase.DOT, 421), DEFERRED, RELAY, DROP),
    "451 after the dot": (facts(Phase.DOT, 451), DEFERRED, RECIPIENT, KEEP),
    "554 after the dot": (facts(Phase.DOT, 554), REFUSED, RECIPIENT, KEEP),
    "554 and extra lines": (facts(Phase.DOT, 554, odd=True), REFUSED, RECIPIENT, DROP),
    "150 after the dot": (facts(Phase.DOT, 150), UNCERTAIN, NOBODY, DROP),
    "354 after the dot": (facts(Phase.DOT, 354), UNCERTAIN, NOBODY, DROP),
    "garbage after the dot": (facts(Phase.DOT, odd=True), UNCERTAIN, NOBODY, DROP),
    "cut after the dot": (facts(Phase.DOT, cut=True), UNCERTAIN, NOBODY, DROP),
    "cut right after the reply": (facts(Phase.DOT, 250, cut=True), ACCEPTED, NOBODY, DROP),
}


@pytest.mark.parametrize("case", TABLE)
def test_every_row_of_the_outcome_table(case: str) -> None:
    seen, outcome, blame, drop = TABLE[case]
    judgement = judge(seen)
    assert (judgement.outcome, judgement.blame, judgement.drop) == (outcome, blame, drop)


@given(
    code=st.none() | st.integers(100, 599),
    cut=st.booleans(),
    odd=st.booleans(),
    shut=st.none() | st.just("held"),
)
def test_a_dotted_mail_is_never_called_not_sent(
    code: int | None, *, cut: bool, odd: bool, shut: str | None
) -> None:
    judgement = judge(facts(Phase.DOT, code, cut=cut, odd=odd, shut=shut))
    assert judgement.outcome is not NOT_SENT
    assert judgement.outcome is ACCEPTED or code is None or code // 100 != 2


@given(
    phase=st.sampled_from([phase for phase in Phase if phase is not Phase.DOT]),
    code=st.none() | st.integers(100, 599),
    cut=st.booleans(),
    odd=st.booleans(),
)
def test_without_a_dot_nothing_is_accepted_or_uncertain(
    phase: Phase, code: int | None, *, cut: bool, odd: bool
) -> None:
    assert judge(facts(phase, code, cut=cut, odd=odd)).outcome not in {ACCEPTED, UNCERTAIN}


@pytest.mark.parametrize("enhanced", sorted(DEAD_ADDRESS))
@pytest.mark.parametrize("phase", [Phase.RCPT, Phase.DOT])
def test_a_dead_address_is_suppressed(enhanced: str, phase: Phase) -> None:
    assert judge(facts(phase, 550, enhanced=enhanced)).suppress


@pytest.mark.parametrize(
    "seen",
    [
        facts(Phase.RCPT, 550, enhanced="5.7.1"),
        facts(Phase.RCPT, 550),
        facts(Phase.RCPT, 450, enhanced="5.1.1"),
        facts(Phase.MAIL, 550, enhanced="5.1.1"),
        facts(Phase.DATA, 550, enhanced="5.1.1"),
        facts(Phase.BODY, 550, enhanced="5.1.1"),
        facts(Phase.DOT, 250, enhanced="5.1.1"),
        facts(Phase.RCPT, 553, enhanced="5.1.3", local=True),
    ],
)
def test_nothing_else_suppresses(seen: TransactionFacts) -> None:
    assert not judge(seen).suppress


@pytest.mark.parametrize(
    ("reply", "enhanced"),
    [
        ("2.0.0 Ok: queued as 4F3A", "2.0.0"),
        ("5.1.10 Recipient not found", "5.1.10"),
        ("5.1.1", "5.1.1"),
        (" 4.7.1 greylisted", "4.7.1"),
        ("Ok 5.1.1", None),
        ("5.1.1234 no", None),
        ("5.1.1.2 an address, not a code", None),
        ("3.1.1 no such class", None),
        ("", None),
    ],
)
def test_enhanced_codes_are_read_only_where_they_open_the_text(
    reply: str, enhanced: str | None
) -> None:
    assert parse_enhanced(reply) == enhanced


def test_row_26_a_reply_is_kept_without_what_steers_a_terminal_or_a_log() -> None:
    raw = b"2.0.0 \x1b[31mok\x00\r\nAug 1 sshd: forged\x9b \xe2\x80\xae \xff<b>\xc2\x85"
    assert clean_reply(raw) == (
        "2.0.0 \\x1b[31mok\\x00\\r\\nAug 1 sshd: forged\\x9b \\u202e \\xff<b>\\x85"
    )


def test_row_26_a_reply_of_a_megabyte_is_capped() -> None:
    assert clean_reply(b"x" * 1_000_000) == "x" * REPLY_LIMIT
    assert len(clean_reply(b"\x1b" * 1_000_000)) <= REPLY_LIMIT


@given(st.binary(max_size=5000))
def test_row_26_whatever_comes_is_printable_and_short(raw: bytes) -> None:
    kept = clean_reply(raw)
    assert len(kept.encode()) <= REPLY_LIMIT
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in kept)


@pytest.mark.parametrize(
    ("codes", "fault"),
    [
        ([550] * 10, 550),
        ([550] * 9, None),
        ([250] * 10 + [550] * 10, 550),
        ([250] * 11 + [550] * 9, None),
        ([550] * 10 + [250] * 10, 550),
        ([550] * 10 + [250] * 11, None),
        ([550] * 200 + [250] * 20, None),
        ([550, 554] * 10, 550),
        ([550, 554, 553] * 7, None),
        ([451] * 20, None),
        ([None] * 10 + [554] * 10, 554),
        ([], None),
    ],
)
def test_a_wave_is_at_fault_when_one_5xx_is_half_of_the_last_twenty(
    codes: list[int | None], fault: int | None
) -> None:
    assert wave_fault(codes) == fault
