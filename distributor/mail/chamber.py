"""Rendering in a child process of its own, for templates that did not come with the program.

The sandbox of the template language keeps a template from what it must not see, but not from
eating memory and time. So one child (``distributor.mail.cell``) renders for this process, one part
after the other, and is killed when an answer takes too long or is too large; the next question
starts another. A template that does so stops itself, with an error that names it, and nothing else.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
import weakref
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, cast

import distributor
from distributor.errors import TemplateError
from distributor.mail.cell import OUTPUT_MAX, read_frame, write_frame
from distributor.mail.grammar import Mistake
from distributor.mail.rendering import TOO_MUCH, DecidesByRecipient
from distributor.mail.stationery import Overrun, TemplateFault

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from distributor.mail.stationery import Templates

#: How long one answer may take, in seconds: then the child is killed.
WALL_S: Final = 2.0
#: How long a child may take to begin, on a machine that is busy.
_START_S: Final = 60.0
#: An answer in JSON: its quotation marks and line feeds are escaped.
_FRAME_MAX: Final = 2 * OUTPUT_MAX


@dataclass(frozen=True)
class Job:
    """What is rendered: a kind, its templates, and the release's values as JSON."""

    kind: str
    templates: Templates
    values: str

    @cached_property
    def key(self) -> str:
        """What it is known by to the child."""
        return hashlib.sha256(repr((self.kind, self.templates, self.values)).encode()).hexdigest()


class Chamber:
    """Asks the child, from any thread; starts it when it is first asked."""

    def __init__(self) -> None:
        """No child yet."""
        self._lock = threading.Lock()
        self._child: _Child | None = None

    def rendered(
        self, job: Job, part: str, recipient: Mapping[str, str], *, marked: bool = False
    ) -> str:
        """One of the PARTS of ``job``. The recipient's values are ``marked`` while unknown.

        Raises:
            DecidesByRecipient: it does more with a marked value than showing it.
            Overrun: it took too much time or memory.
            TemplateFault: it cannot be rendered.

        """
        about = {"job": job.key, "kind": job.kind, "part": part}
        question = {"do": "render", **about, "recipient": recipient, "marked": marked}
        place = f"{job.kind}/{part}"
        with self._lock:
            answer = self._answer(question, place)
            if "unknown" in answer:
                told = {"templates": job.templates, "values": job.values}
                self._answer({"do": "keep", **about, **told}, place)
                answer = self._answer(question, place)
        return cast("str", _out(answer))

    def referred(self, kind: str, texts: Mapping[str, str]) -> Templates:
        """The templates of a kind, and all they refer to; see :func:`.rendering.referred`.

        Raises:
            TemplateError: a template is broken, or names another by an expression.

        """
        with self._lock:
            question = {"do": "referred", "kind": kind, "templates": list(texts.items())}
            answer = self._answer(question, kind)
        return tuple((name, text) for name, text in cast("Any", _out(answer)))

    def mistakes(
        self, name: str, templates: Mapping[str, str], known: Mapping[str, Sequence[str]]
    ) -> list[Mistake]:
        """What the source of one template shows; see :func:`.grammar.mistakes`.

        Raises:
            TemplateFault: it has no syntax at all, or reading it takes too much.

        """
        with self._lock:
            told = {"part": name, "templates": list(templates.items()), "known": known}
            answer = self._answer({"do": "mistakes", **told}, name)
        return [Mistake(*found) for found in cast("Any", _out(answer))]

    def end(self) -> None:
        """End the child; the next question starts another."""
        with self._lock:
            if self._child is not None:
                self._child.end()
                self._child = None

    def _answer(self, question: dict[str, Any], place: str) -> dict[str, Any]:
        child = self._child = self._child or _Child()
        answer = child.ask(question, WALL_S)
        if isinstance(answer, dict):
            return cast("dict[str, Any]", answer)
        self._child = None
        child.end()
        raise Overrun(
            place,
            f"it takes longer than {WALL_S:g} seconds" if child.late else TOO_MUCH,
            remedy="Make what is repeated, padded or formatted there smaller.",
        )


class _Child:
    """One child process. It sees nothing of our environment, and no file of ours is open in it."""

    def __init__(self) -> None:
        home = str(Path(distributor.__file__).parents[1])
        self._process = subprocess.Popen(
            [sys.executable, "-s", "-P", "-m", "distributor.mail.cell"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PYTHONPATH": home, "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"},
            cwd="/",
            start_new_session=True,
        )
        self.late = False
        self.end = weakref.finalize(self, _end, self._process)
        with self._watched(_START_S):
            began = self._heard()
        if not isinstance(began, dict):
            self.end()
            raise TemplateError(
                "the process that renders templates does not start",
                remedy="Is there memory left on this machine?",
            )

    def ask(self, question: dict[str, Any], wall_s: float) -> Any:  # noqa: ANN401 - JSON
        """The answer; None when there was none within that time, or none that can be read."""
        with self._watched(wall_s):
            with suppress(BrokenPipeError):
                write_frame(cast("IO[bytes]", self._process.stdin), question)
            return self._heard()

    def _heard(self) -> Any:  # noqa: ANN401 - JSON
        return read_frame(cast("IO[bytes]", self._process.stdout), limit=_FRAME_MAX)

    @contextmanager
    def _watched(self, wall_s: float) -> Generator[None]:
        """Kill the child if this takes longer: whoever waits for it hears that at once."""
        watch = threading.Timer(wall_s, self._kill)
        watch.daemon = True
        watch.start()
        try:
            yield
        finally:
            watch.cancel()

    def _kill(self) -> None:
        self.late = True
        self._process.kill()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    for stream in (process.stdin, process.stdout):
        with suppress(OSError):
            cast("IO[bytes]", stream).close()
    process.wait()


@lru_cache(maxsize=1)
def chamber() -> Chamber:
    """This process's own."""
    return Chamber()


def _out(answer: dict[str, Any]) -> object:
    fault = answer.get("fault")
    if not isinstance(fault, dict):
        return answer.get("out")
    told = cast("dict[str, Any]", fault)
    if not told["place"]:
        raise TemplateError(told["says"], remedy=told["remedy"])
    kinds = {kind.__name__: kind for kind in (DecidesByRecipient, Overrun)}
    kind = kinds.get(told["kind"], TemplateFault)
    raise kind(told["place"], told["says"], remedy=told["remedy"])
