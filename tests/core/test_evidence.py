"""What a mail server's record says: read as a whole, or not believed at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.core.evidence import Answer, Verdict, read_answers, weigh
from distributor.errors import InputError

ONE, TWO, THREE = "<a1@desk.example>", "<b2@desk.example>", "<c3@desk.example>"
ASKED = (ONE, TWO, THREE)


def verdicts(output: bytes) -> dict[str, str]:
    return {name: answer.verdict.value for name, answer in read_answers(output, ASKED).items()}


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (b"", {}),
        (b"\n \r\n", {}),
        (b"<a1@desk.example> accepted\n", {ONE: "accepted"}),
        (b"a1@desk.example ACCEPTED", {ONE: "accepted"}),
        (b"<a1@desk.example>  refused  550 no\r\n", {ONE: "refused"}),
        (
            b"<b2@desk.example> absent\n<a1@desk.example> unknown",
            {ONE: "unknown", TWO: "absent"},
        ),
    ],
)
def test_an_answer_is_read_and_who_is_not_named_is_unknown(
    output: bytes, said: dict[str, str]
) -> None:
    assert verdicts(output) == dict.fromkeys(ASKED, "unknown") | said


@pytest.mark.parametrize(
    "line",
    [
        b"<a1@desk.example>",
        b"<a1@desk.example> perhaps",
        b"accepted <a1@desk.example>",
        b"<x9@desk.example> accepted",
        b"<a1@desk.example> accepted\n<a1@desk.example> absent",
        b"<a1@desk.example> accepted\na1@desk.example accepted",
        b"Nov 23 06:00:00 mx postfix/smtp[1]: ...",
        b"\x00\xff\xfe",
        b"<a1@desk.example> accepted " + b"x" * 2000,
        b"<A1@desk.example> accepted",
    ],
)
def test_one_bad_line_makes_the_whole_answer_worthless(line: bytes) -> None:
    with pytest.raises(InputError) as refused:
        read_answers(b"<b2@desk.example> accepted\n" + line, ASKED)
    assert "x9" not in str(refused.value)
    assert "mx postfix" not in str(refused.value)


def test_the_words_are_made_safe_to_show() -> None:
    found = read_answers(b"<a1@desk.example> accepted 4F3A \x1b[2J \xff", ASKED)
    assert found[ONE] == Answer(Verdict.ACCEPTED, "4F3A \\x1b[2J \\xff")


@given(st.binary(max_size=400))
def test_no_bytes_at_all_are_read_as_more_than_they_say(output: bytes) -> None:
    try:
        found = read_answers(output, ASKED)
    except InputError:
        return
    named = {name for name in ASKED if name.strip("<>").encode() in output}
    assert {name for name, answer in found.items() if answer.verdict != "unknown"} <= named


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({"a": "accepted", "b": "absent"}, "a accepted"),
        ({"a": "unknown", "b": "accepted"}, "b accepted"),
        ({"a": "absent", "b": "absent"}, "a absent"),
        ({"a": "absent", "b": "unknown"}, " unknown"),
        ({"a": "absent"}, " unknown"),
        ({"a": "absent", "b": "refused"}, "b refused"),
        ({"a": "unknown", "b": "refused"}, " unknown"),
        ({}, " unknown"),
    ],
)
def test_never_had_it_counts_only_from_everybody_who_may_have_had_it(
    said: dict[str, str], word: str
) -> None:
    answers = {name: Answer(Verdict(verdict)) for name, verdict in said.items()}
    name, answer = weigh(answers, ("a", "b"))
    assert f"{name} {answer.verdict.value}" == word


def test_nobody_to_ask_is_unknown() -> None:
    assert weigh({}, ())[1].verdict is Verdict.UNKNOWN
