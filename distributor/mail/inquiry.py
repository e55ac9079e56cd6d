"""Asks a mail server's own record what became of mails, by running a command of the desk's.

The command gets Message-IDs on standard input, one a line, and answers one line a mail
(:func:`distributor.core.evidence.read_answers`).

Invariant: no shell, nothing of our environment but what a program needs to run, and no trust in
what comes back: its time and its length are bounded.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from distributor.core.evidence import read_answers
from distributor.errors import InputError, InquiryFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from typing import IO

    from distributor.core.evidence import Answer

#: The most that is read of an answer, in bytes.
OUTPUT_LIMIT: Final = 1024 * 1024
#: What a command sees of our environment: no setting of ours, so no password either.
_KEPT: Final = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "TZ", "USER")
_CHUNK: Final = 65536
#: How often a command that says nothing is looked at, in seconds.
_LOOK_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Record:
    """How one mail server's record is asked: the command and its arguments, and how long."""

    relay: str
    command: tuple[str, ...]
    timeout_s: float


class Inquiry:
    """Asks one record. :meth:`give_up` may be called from any thread."""

    def __init__(self, record: Record, monotonic: Callable[[], float]) -> None:
        """Ask nothing yet. ``monotonic`` gives seconds that only grow."""
        self._record = record
        self._monotonic = monotonic
        self._given_up = threading.Event()

    @property
    def relay(self) -> str:
        """The mail server's name, as the log of deliveries has it."""
        return self._record.relay

    @property
    def given_up(self) -> bool:
        """Whether nothing is asked any more."""
        return self._given_up.is_set()

    def give_up(self) -> None:
        """End a question that is being asked, and ask none any more."""
        self._given_up.set()

    def ask(self, message_ids: Collection[str]) -> dict[str, Answer]:
        """What the record says of each of these mails.

        Raises:
            InquiryFailed: The command could not be run, failed, took too long or said too much,
                or its answer cannot be read: then nothing is known of any of them.

        """
        output = self._run("".join(f"{name}\n" for name in message_ids).encode())
        try:
            return read_answers(output, message_ids)
        except InputError as error:
            raise self._failed(f"answered what cannot be read. {error}") from error

    def _run(self, question: bytes) -> bytes:
        try:
            with tempfile.TemporaryFile() as asked:
                asked.write(question)
                asked.seek(0)
                # A command of the configuration, which only its owner can write.
                child = subprocess.Popen(  # noqa: S603
                    self._record.command,
                    stdin=asked,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env={name: os.environ[name] for name in _KEPT if name in os.environ},
                    cwd="/",
                    start_new_session=True,
                )
        except (OSError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) else None
            raise self._failed(f"cannot be run: {said or error}.") from error
        with child:
            try:
                return self._heard(child)
            except BaseException:
                # With whatever it started. Not yet waited for, so its number is still its own.
                if child.returncode is None:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.killpg(child.pid, signal.SIGKILL)
                raise

    def _heard(self, child: subprocess.Popen[bytes]) -> bytes:
        until_s = self._monotonic() + self._record.timeout_s
        output = bytearray()
        for part in self._parts(child, until_s):
            output += part
            if len(output) > OUTPUT_LIMIT:
                raise self._failed(f"said more than {OUTPUT_LIMIT} bytes.")
        try:
            code = child.wait(max(until_s - self._monotonic(), _LOOK_S))
        except subprocess.TimeoutExpired as error:
            raise self._late() from error
        if code:
            raise self._failed(f"ended with code {code}.")
        return bytes(output)

    def _parts(self, child: subprocess.Popen[bytes], until_s: float) -> Iterator[bytes]:
        stream = cast("IO[bytes]", child.stdout)
        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while (left_s := until_s - self._monotonic()) > 0:
                if self.given_up:
                    raise self._failed("was given up.")
                if not selector.select(min(left_s, _LOOK_S)):
                    continue
                part = os.read(stream.fileno(), _CHUNK)
                if not part:
                    return
                yield part
        raise self._late()

    def _late(self) -> InquiryFailed:
        return self._failed(f"took longer than {self._record.timeout_s:g} s.")

    def _failed(self, what: str) -> InquiryFailed:
        return InquiryFailed(
            f"The reconcile command of {self.relay} {what}",
            remedy="Nothing was changed. Run it by hand, a Message-ID on its standard input: it "
            "has to answer with a line such as <ID> accepted. docs/operating.md has an example.",
        )
