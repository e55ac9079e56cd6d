"""The worker's append-only file: started, dotted, answered.

One JSON array a line: ``["S",delivery,token]`` before MAIL, ``["B",…]`` before the final dot,
``["A",delivery,token,code,enhanced,reply]`` with the reply; ``code`` is null when the mail
certainly did not leave. The first line is a header object.

Invariant: no fsync. What ``write`` returned from survives the death of the process, not that of
the machine; after a power loss another rule holds (I5), told apart by the boot id.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Self, cast

from distributor.core.outcome import Phase, TransactionFacts, parse_enhanced

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

VERSION: Final = 1
SUFFIX: Final = ".flight"
#: Made once: ``json.dumps`` with separators makes an encoder a call, half the cost of a line.
_ENCODE: Final = json.JSONEncoder(separators=(",", ":")).encode
#: A reply that JSON writes as it stands between its quotes.
_PLAIN: Final = re.compile(r"[ !#-\[\]-~]*").fullmatch

DeliveryKey = int | str
Token = int | str | None


class Stage(StrEnum):
    """The last that a flight log says of a delivery."""

    STARTED = "S"
    DOTTED = "B"
    ANSWERED = "A"


@dataclass(frozen=True, slots=True)
class Header:
    """Who flew: worker id (fresh per start), host, boot id and process id."""

    worker: str
    host: str
    boot_id: str
    pid: int


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one delivery, of its latest attempt.

    ``undotted`` counts this file's attempts that neither reached the dot nor were answered: at
    most the one during which the process died. The same at two crashes quarantines a delivery.
    """

    delivery: DeliveryKey
    token: Token
    stage: Stage
    dotted: bool = False
    undotted: int = 0
    code: int | None = None
    enhanced: str | None = None
    reply: str = ""


@dataclass(frozen=True, slots=True)
class Flight:
    """A flight log as read back.

    ``header`` is None when it cannot be read: then nothing here may be trusted to be complete.
    ``torn``: the last line has no end, as a crash leaves it; it was never acknowledged.
    ``corrupt`` are the numbers (from 1) of other lines that cannot be read.
    """

    header: Header | None
    entries: dict[DeliveryKey, Entry]
    torn: bool = False
    corrupt: tuple[int, ...] = ()

    def was_started(self, delivery: DeliveryKey, *, token: Token = None) -> bool:
        """Whether an attempt under ``token`` was begun and not answered."""
        entry = self._entry(delivery, token)
        return entry is not None and entry.stage is not Stage.ANSWERED

    def _entry(self, delivery: DeliveryKey, token: Token) -> Entry | None:
        """What is known of the attempt made under ``token``; an earlier one does not count."""
        entry = self.entries.get(delivery)
        return entry if entry is not None and token in {None, entry.token} else None

    def facts(self, delivery: DeliveryKey, *, token: Token = None) -> TransactionFacts:
        """Return what :func:`distributor.core.outcome.judge` needs to settle ``delivery``.

        Answered: that outcome. Dotted alone: uncertain. Otherwise not sent, unless a line that
        cannot be read might have said more: then uncertain too. With ``token`` only the attempt
        made under that claim counts: an earlier one says nothing of this one.
        """
        entry = self._entry(delivery, token)
        if entry is not None and entry.stage is Stage.ANSWERED and entry.code is not None:
            # A 2xx is noted after the dot only, whatever became of the line before.
            dotted = entry.dotted or entry.code // 100 == 2  # noqa: PLR2004
            return TransactionFacts(
                phase=Phase.DOT if dotted else Phase.RCPT,
                code=entry.code,
                enhanced=entry.enhanced,
                reply=entry.reply,
                dotted=dotted,
            )
        closed = entry is not None and entry.stage is Stage.ANSWERED
        doubtful = (self.header is None or bool(self.corrupt)) and not closed
        if doubtful or (entry is not None and entry.stage is Stage.DOTTED):
            return TransactionFacts(Phase.DOT, dotted=True, cut=True)
        return TransactionFacts(Phase.BODY, reply=entry.reply if entry else "", cut=True)


class FlightLog:
    """The open log of one worker. Its lock is held as long as the process lives.

    Every method that notes raises OSError when the line is not wholly written; the file then
    ends where it ended before, so that a later line is not glued to half a one. A line that may
    ``wait`` goes out in one append with the next: a mail's answer, the dot of the one behind it
    and the start of a third are known at one instant, and an append is not for nothing. A line
    that waited is lost with the one it waited for.
    """

    def __init__(self, descriptor: int, path: Path, header: bytes) -> None:
        """Adopt an open, locked, empty file; see :meth:`open`."""
        self.path = path
        self._descriptor = descriptor
        self._size = 0
        self._waiting: list[str] = []
        self._broken: OSError | None = None
        self._append(header)
        self._header_size = self._size

    @classmethod
    def open(cls, directory: Path, *, worker: str, host: str, boot_id: str) -> Self:
        """Begin ``<worker>.flight`` in ``directory``, which is made if it is missing.

        Raises:
            OSError: it cannot be written, or a log of that worker is there already.

        """
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = directory / (worker + SUFFIX)
        if path.name != worker + SUFFIX or path.exists():
            raise FileExistsError(errno.EEXIST, "not a fresh worker id", str(path))
        # Born under another name and locked before it takes its own: nobody can seize a log
        # between its first byte and its lock.
        fresh = directory / f".{worker}.new"
        descriptor = os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_RDWR | os.O_APPEND, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            header = {"flight": VERSION, "worker": worker, "host": host, "boot_id": boot_id}
            log = cls(descriptor, path, _line({**header, "pid": os.getpid()}))
            fresh.rename(path)
        except OSError:
            os.close(descriptor)
            fresh.unlink(missing_ok=True)
            raise
        return log

    def started(self, delivery: DeliveryKey, *, token: Token = None, wait: bool = False) -> None:
        """Note that MAIL is about to be written."""
        self._note(f'["S",{_keys(delivery, token)}]\n', wait=wait)

    def dotted(self, delivery: DeliveryKey, *, token: Token = None, wait: bool = False) -> None:
        """Note that the final dot is about to be written."""
        self._note(f'["B",{_keys(delivery, token)}]\n', wait=wait)

    def answered(
        self,
        delivery: DeliveryKey,
        code: int | None,
        reply: str,
        *,
        token: Token = None,
        wait: bool = False,
    ) -> None:
        """Note the server's answer; ``code`` None: the mail certainly did not leave."""
        enhanced = parse_enhanced(reply)
        if code and enhanced and _PLAIN(reply):
            rest = f'{code},"{enhanced}","{reply}"]'
        else:
            rest = _ENCODE((code, enhanced, reply)).removeprefix("[")
        self._note(f'["A",{_keys(delivery, token)},{rest}\n', wait=wait)

    def flush(self) -> None:
        """Write what waits.

        Raises:
            OSError: It is not written, and will not be.

        """
        if self._waiting:
            lines = "".join(self._waiting)
            self._waiting.clear()
            self._append(lines.encode("ascii"))

    def clear(self) -> None:
        """Forget every entry. Only when the outcome of each is committed elsewhere.

        Raises:
            OSError: the file cannot be cut.

        """
        self._waiting.clear()
        os.ftruncate(self._descriptor, self._header_size)
        self._size = self._header_size

    def close(self) -> None:
        """Let go of the lock; the file stays for whoever recovers it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def discard(self) -> None:
        """Remove the file and close: every outcome is committed elsewhere."""
        self.path.unlink(missing_ok=True)
        self.close()

    def _note(self, line: str, *, wait: bool) -> None:
        self._waiting.append(line)
        if not wait:
            self.flush()

    def _append(self, line: bytes) -> None:
        if self._broken is not None:
            raise self._broken
        try:
            written = os.write(self._descriptor, line)
        except OSError:
            self._mend()
            raise
        if written != len(line):
            self._mend()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        self._size += written

    def _mend(self) -> None:
        """Cut what a failed write left behind, or refuse every later line."""
        try:
            os.ftruncate(self._descriptor, self._size)
        except OSError as error:
            self._broken = error


class Seized:
    """A dead worker's log, held by this process alone until closed."""

    def __init__(self, descriptor: int, path: Path) -> None:
        """Adopt the locked file; see :func:`seize`."""
        self.path = path
        self._descriptor = descriptor
        self.flight = _parse(_contents(descriptor))

    def discard(self) -> None:
        """Remove the file: what it said is committed."""
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        """Hold the log."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of it."""
        self.close()


def logs(directory: Path) -> list[Path]:
    """Return every flight log in ``directory``, of the living and the dead."""
    return sorted(directory.glob("*" + SUFFIX))


def read(path: Path) -> Flight:
    """Read a log, without asking whether its owner lives.

    Raises:
        OSError: it cannot be read.

    """
    return _parse(path.read_bytes())


def seize(path: Path) -> Seized | None:
    """Take a dead worker's log for recovery; None while its owner, or another taker, lives.

    Raises:
        OSError: it cannot be read.

    """
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Another taker may have discarded it between our open and our lock.
        if os.fstat(descriptor).st_nlink:
            return Seized(descriptor, path)
    except BlockingIOError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _contents(descriptor: int) -> bytes:
    parts: list[bytes] = []
    offset = 0
    while part := os.pread(descriptor, 1 << 20, offset):
        parts.append(part)
        offset += len(part)
    return b"".join(parts)


def _keys(delivery: DeliveryKey, token: Token) -> str:
    """Both keys as JSON; nearly always numbers, which need no encoder."""
    if type(delivery) is int and type(token) is int:
        return f"{delivery},{token}"
    return f"{_ENCODE(delivery)},{_ENCODE(token)}"


def _line(value: object) -> bytes:
    return _ENCODE(value).encode() + b"\n"


def _parse(data: bytes) -> Flight:
    *whole, last = data.split(b"\n")
    entries: dict[DeliveryKey, Entry] = {}
    corrupt: list[int] = []
    header = _header(whole[0]) if whole else None
    for number, line in enumerate(whole[1:], start=2):
        if not _apply(line, entries):
            corrupt.append(number)
    if whole and header is None:
        corrupt.insert(0, 1)
    return Flight(header, entries, torn=bool(last), corrupt=tuple(corrupt))


def _header(line: bytes) -> Header | None:
    try:
        values = json.loads(line)
        if values["flight"] != VERSION:
            return None
        return Header(values["worker"], values["host"], values["boot_id"], values["pid"])
    except (ValueError, KeyError, TypeError):
        return None


def _apply(line: bytes, entries: dict[DeliveryKey, Entry]) -> bool:
    """Add one line to what is known; False when it cannot be read."""
    try:
        parts = cast("list[Any]", json.loads(line))
        letter, delivery, token = parts[:3]
        stage = Stage(letter)
        if isinstance(delivery, bool) or not isinstance(delivery, int | str):
            return False
        before = entries.get(delivery)
        undotted = before.undotted if before else 0
        match stage, parts[3:]:
            case Stage.STARTED, []:
                entry = Entry(delivery, token, stage, undotted=undotted + 1)
            case Stage.DOTTED, []:
                undotted = max(undotted - 1, 0)
                entry = Entry(delivery, token, stage, dotted=True, undotted=undotted)
            case Stage.ANSWERED, [int() | None as code, str() | None as enhanced, str() as reply]:
                known = before or Entry(delivery, token, stage)
                undotted = undotted if known.dotted else max(undotted - 1, 0)
                known = replace(known, token=token, stage=stage, undotted=undotted)
                entry = replace(known, code=code, enhanced=enhanced, reply=reply)
            case _:
                return False
    except (ValueError, TypeError):
        return False
    entries[delivery] = entry
    return True
