"""The child process in which templates that did not come with the program are rendered.

It reads questions from its standard input and writes an answer to each, as JSON behind four octets
of length; ``distributor.mail.chamber`` is the other end. Nothing is told to it but templates and a
release's values, and once it has begun it can open no file and no connection: were a template to
break out of the sandbox, there is nothing here to take.

Invariant: memory, output and the time of each answer are bounded. What goes beyond ends this
process at worst, and no other.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from collections import OrderedDict
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, Final, NoReturn

from distributor.core.script import PARTS
from distributor.errors import TemplateError
from distributor.mail.grammar import mistakes
from distributor.mail.markup import active_in, place_of
from distributor.mail.parts import part_of
from distributor.mail.rendering import (
    TOO_MUCH,
    OutOfTime,
    RecipientValue,
    referred,
)
from distributor.mail.stationery import TemplateFault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

#: What a template may take: address space in bytes, seconds of one answer, bytes of one part.
MEMORY_MAX: Final = 512 * 1024 * 1024
TIME_S: Final = 1.6
OUTPUT_MAX: Final = 5_000_000
#: Above :data:`TIME_S`, for code that does not come back to Python to hear of it; whole seconds.
_CPU_S: Final = 3
_KEPT: Final = 8
#: What Jinja and Python import only when it is first used.
_WARMING: Final = (
    "{{ words | pprint }}{{ words | tojson }}{{ lipsum(1) | truncate(9) }}"
    "{{ 'a\\u00e9' | urlize }}{{ 'a@b.example' | linked | striptags | wordwrap(9) }}"
    "{{ [2, 1] | random }}{{ recipient.name }}"
)


def main() -> None:
    """Answer until nobody asks any more."""
    heard, said = sys.stdin.buffer, sys.stdout.buffer
    _confine()
    answers = Answers()
    _warm(answers)
    # Nothing can be opened from here on: no file, no socket, no pipe.
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    write_frame(said, {"ready": True})
    while (question := read_frame(heard)) is not None:
        _begin()
        try:
            answer = answers.to(question)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        write_frame(said, answer)


def read_frame(stream: IO[bytes], *, limit: int | None = None) -> Any:  # noqa: ANN401 - JSON
    """The next message; None at the end of the stream, or when what comes is longer or not JSON."""
    head = stream.read(4)
    size = int.from_bytes(head, "big")
    if len(head) < 4 or (limit is not None and size > limit):  # noqa: PLR2004 - octets of length
        return None
    data = stream.read(size)
    try:
        return json.loads(data) if len(data) == size else None
    except (ValueError, RecursionError):
        return None


def write_frame(stream: IO[bytes], message: object) -> None:
    """Write one message."""
    data = json.dumps(message, ensure_ascii=False).encode("utf-8", "surrogatepass")
    stream.write(len(data).to_bytes(4, "big") + data)
    stream.flush()


class Answers:
    """Answers questions; remembers the last few jobs, so that each is told but once."""

    def __init__(self) -> None:
        """Nothing was told yet."""
        self._jobs: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def to(self, question: dict[str, Any]) -> dict[str, object]:
        """The answer: ``out``, or the ``fault``, or that the job is ``unknown``."""
        if question["do"] == "render" and question["job"] not in self._jobs:
            return {"unknown": True}
        answer: Callable[[dict[str, Any]], object] = {
            "render": self._render,
            "keep": self._keep,
            "referred": _referred,
            "mistakes": _mistakes,
        }[question["do"]]
        try:
            return {"out": answer(question)}
        except (TemplateError, MemoryError, OSError) as error:
            return {"fault": _fault(error, question)}

    def _keep(self, question: dict[str, Any]) -> bool:
        templates = tuple((name, text) for name, text in question["templates"])
        self._jobs[question["job"]] = {**question, "templates": templates}
        while len(self._jobs) > _KEPT:
            self._jobs.popitem(last=False)
        return True

    def _render(self, question: dict[str, Any]) -> str:
        job, part = self._jobs[question["job"]], question["part"]
        self._jobs.move_to_end(question["job"])
        recipient = question["recipient"]
        if question["marked"]:
            recipient = {name: RecipientValue(name, mark) for name, mark in recipient.items()}
        context = {**json.loads(job["values"]), "recipient": recipient}
        out = part_of(job["kind"], part, context, job["templates"])
        if len(out.encode("utf-8", "surrogatepass")) > OUTPUT_MAX:
            place = f"{job['kind']}/{part}"
            raise TemplateFault(place, "it gives more than a mail can hold")
        if part.endswith(".html.j2") and (active := active_in(out)):
            place = place_of(active[0], job["templates"], f"{job['kind']}/{part}")
            raise TemplateFault(place, active[0].says, remedy=active[0].remedy)
        return out


def _referred(question: dict[str, Any]) -> object:
    return referred(question["kind"], dict(question["templates"]))


def _mistakes(question: dict[str, Any]) -> object:
    found = mistakes(question["part"], dict(question["templates"]), question["known"])
    return [[mistake.line, mistake.says, mistake.remedy] for mistake in found]


def _fault(
    error: TemplateError | MemoryError | OSError, question: Mapping[str, Any]
) -> dict[str, object]:
    place = f"{question.get('kind', '')}/{question.get('part', '')}".strip("/")
    if isinstance(error, TemplateFault):
        return _told(type(error).__name__, error.place, error.says, error.remedy)
    if isinstance(error, OutOfTime):
        return _told("Overrun", place, str(error), error.remedy)
    if isinstance(error, TemplateError):
        return _told("", "", str(error), error.remedy)
    says = TOO_MUCH if isinstance(error, MemoryError) else "it needs what no template may have"
    return _told("", place, says, None)


def _told(kind: str, place: str, says: str, remedy: str | None) -> dict[str, object]:
    return {"kind": kind, "place": place, "says": says, "remedy": remedy}


def _confine() -> None:
    """Give up what rendering does not need."""
    signal.signal(signal.SIGALRM, _overran)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core holds a release's words
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX, MEMORY_MAX))
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def _begin() -> None:
    """The time of one answer runs from now."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + _CPU_S, most))
    signal.setitimer(signal.ITIMER_REAL, TIME_S)


def _overran(_: int, __: FrameType | None) -> NoReturn:
    raise OutOfTime(
        f"it takes longer than the {TIME_S:g} seconds a mail may take",
        remedy="Look for a loop in a loop, and for what is repeated.",
    )


def _warm(answers: Answers) -> None:
    """Go every way once: what is imported late could not be opened any more."""
    templates = [
        ["warm/subject.txt.j2", _WARMING],
        ["warm/body.txt.j2", "{% if %}"],
        ["warm/body.html.j2", "<style>p { margin: 0 }</style><p>{{ missing }}</p>"],
    ]
    asked: dict[str, Any] = {"do": "keep", "job": "", "kind": "warm", "templates": templates}
    answers.to({**asked, "values": '{"words": {"a": "\\u00e9"}}'})
    for part in PARTS:
        question = {"do": "render", "job": "", "part": part, "marked": False}
        answers.to({**question, "recipient": {"name": "x"}})
    answers.to({**asked, "do": "referred"})
    answers.to({**asked, "do": "mistakes", "part": "warm/subject.txt.j2", "known": {"wrds": []}})


if __name__ == "__main__":
    with suppress(BrokenPipeError, KeyboardInterrupt):
        main()
