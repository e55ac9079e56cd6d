"""What a mail server's own record says of mails whose answer was lost, by Message-ID.

Invariant: an answer that cannot be read as a whole is no evidence of anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from distributor.core.outcome import clean_reply
from distributor.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

#: Longest line of an answer, in bytes; what is said of one mail is a log line, not a report.
LINE_LIMIT: Final = 1024


class Verdict(StrEnum):
    """What the record says of one mail.

    ``ACCEPTED``: the server took it, whatever became of it later. ``REFUSED``: it refused it
    for good (5xx). ``ABSENT``: it has not got it and never had, for sure, so that sending it
    again doubles nothing. ``UNKNOWN``: the record does not tell.
    """

    ACCEPTED = "accepted"
    REFUSED = "refused"
    ABSENT = "absent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict and the words it rests on, safe to store and show."""

    verdict: Verdict
    words: str = ""


NOTHING: Final = Answer(Verdict.UNKNOWN)


def read_answers(output: bytes, asked: Collection[str]) -> dict[str, Answer]:
    """Read ``MESSAGE-ID accepted|refused|absent|unknown [words]``, one mail a line.

    Angle brackets may be left out. Whoever is not named is unknown.

    Raises:
        InputError: A line is of another form or too long, or names a mail that was not asked
            for or that was named before. The message quotes nothing of it.

    """
    by_name = {_bare(name): name for name in asked}
    found: dict[str, Answer] = {}
    for number, line in enumerate(output.split(b"\n"), start=1):
        if not line.strip():
            continue
        bare, answer = _read(line, number)
        name = by_name.get(bare)
        if name is None:
            msg = f"Line {number} names a mail that was not asked for."
            raise InputError(msg)
        if name in found:
            msg = f"Line {number} names a mail a second time."
            raise InputError(msg)
        found[name] = answer
    return {name: found.get(name, NOTHING) for name in asked}


def _read(line: bytes, number: int) -> tuple[str, Answer]:
    name, _, rest = line.strip().partition(b" ")
    word, _, words = rest.strip().partition(b" ")
    try:
        verdict = Verdict(word.decode("ascii").lower())
        bare = _bare(name.decode("ascii"))
    except ValueError as error:
        msg = f"Line {number} is not of the form MESSAGE-ID accepted|refused|absent|unknown."
        raise InputError(msg) from error
    if len(line) > LINE_LIMIT:
        msg = f"Line {number} is longer than {LINE_LIMIT} bytes."
        raise InputError(msg)
    return bare, Answer(verdict, clean_reply(words.strip()))


def _bare(name: str) -> str:
    return name.strip().removeprefix("<").removesuffix(">")


def weigh(answers: Mapping[str, Answer], everybody: Collection[str]) -> tuple[str, Answer]:
    """What several servers say together of a mail that one of ``everybody`` was given.

    Gives the server whose word counts, and its word. One that took it settles the matter; "never
    had it" counts only from all of them, and a refusal only if all the others never had it.
    """
    said = {name: answers.get(name, NOTHING) for name in sorted(everybody)}
    if found := _of(said, Verdict.ACCEPTED):
        return found[0], said[found[0]]
    refused, absent = _of(said, Verdict.REFUSED), _of(said, Verdict.ABSENT)
    if not said or len(refused) + len(absent) < len(said):
        return "", NOTHING
    name = (refused or absent)[0]
    return name, said[name]


def _of(said: Mapping[str, Answer], verdict: Verdict) -> Sequence[str]:
    return [name for name, answer in said.items() if answer.verdict is verdict]
