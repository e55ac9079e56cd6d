"""An SMTP server that keeps what it receives: for the demo, rehearsals and tests.

Runs in a thread (:class:`Sink`) or as a process of its own
(``python -m distributor.mail.sink --port 2525 --directory DIR``).

Invariant: it is the far end. It reads the bare wall clock, not the guarded one: what guards the
sender must not vouch for it too (I1). It keeps a mail before it says so, and never passes one on.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import logging
import os
import re
import signal
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from weakref import WeakSet

from aiosmtpd.smtp import SMTP

from distributor.clock import system_wall

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from aiosmtpd.smtp import Envelope, Session

#: One JSON object a line, in the directory: at, mail_from, rcpt_tos, message_id, sha256, replied,
#: file. ``at`` is the instant of MAIL FROM.
RECORD: Final = "received.jsonl"
MAX_BYTES: Final = 64 * 1024 * 1024
_MESSAGE_ID = re.compile(rb"^message-id:[ \t]*(?:\r\n[ \t]+)?(\S+)", re.IGNORECASE | re.MULTILINE)
_START_S: Final = 10.0
#: What its own help says.
_ABOUT: Final = (
    "A mail server that keeps what it receives and never passes any of it on: each mail as a file, "
    "and a line for each in received.jsonl. For rehearsals: name its port under [relay] in "
    'config.toml, with host = "127.0.0.1" and security = "none".'
)


@dataclass(frozen=True, slots=True)
class Received:
    """One mail as it arrived. ``at`` is in UTC, when MAIL FROM came; ``data`` are its bytes."""

    at: datetime
    mail_from: str
    rcpt_tos: tuple[str, ...]
    message_id: str | None
    sha256: str
    replied: str
    path: Path | None = None
    raw: bytes | None = None

    @property
    def data(self) -> bytes:
        """The mail's bytes, from memory or from its file."""
        if self.raw is not None:
            return self.raw
        return self.path.read_bytes() if self.path is not None else b""


class Sink:
    """A receiving server on ``host:port`` (0: any free port, see :attr:`port`).

    With a ``directory`` every mail is an .eml file there and a line of ``received.jsonl``, both
    written before the reply, and synced to disk if ``durable``; without one they stay in memory.
    ``received`` grows with each mail unless ``remember`` is False.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        directory: Path | None = None,
        durable: bool = False,
        remember: bool = True,
    ) -> None:
        """Open nothing yet; see :meth:`start`."""
        self.host = host
        self.port = port
        self.received: list[Received] = []
        self._keep = _Folder(directory, durable=durable) if directory else None
        self._remember = remember
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    def start(self) -> Self:
        """Listen, in a thread of its own, and return when ready.

        Raises:
            OSError: the port is taken, or the directory cannot be written.

        """
        ready = threading.Event()
        failures: list[BaseException] = []

        def run() -> None:
            try:
                asyncio.run(self.serve(ready.set))
            except BaseException as error:  # noqa: BLE001 - handed to the caller below
                failures.append(error)
                ready.set()

        self._thread = threading.Thread(target=run, name="sink", daemon=True)
        self._thread.start()
        if not ready.wait(_START_S):
            raise TimeoutError("the sink did not start")
        if failures:
            self._thread.join()
            self._thread = None
            raise failures[0]
        return self

    def stop(self) -> None:
        """Close every connection and the port; what was received stays."""
        if self._thread is None or self._loop is None or self._stopping is None:
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._thread = None

    async def serve(self, ready: Callable[[], object]) -> None:
        """Listen until told to stop; ``ready`` is called once the port is open."""
        # The library logs addresses at info and bodies at debug (I9, house rule 11).
        logging.getLogger("mail.log").setLevel(logging.WARNING)
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        connections: WeakSet[SMTP] = WeakSet()
        if self._keep is not None:
            self._keep.open()
        try:
            server = await self._loop.create_server(
                lambda: self._connection(connections), self.host, self.port, backlog=256
            )
            self.port = server.sockets[0].getsockname()[1]
            ready()
            await self._stopping.wait()
            server.close()
            for connection in connections:
                if isinstance(connection.transport, asyncio.Transport):
                    connection.transport.abort()
            await asyncio.sleep(0)
        finally:
            if self._keep is not None:
                self._keep.close()

    def ask_to_stop(self) -> None:
        """Let :meth:`serve` return; from its own loop only."""
        if self._stopping is not None:
            self._stopping.set()

    def take(self, mail: Received) -> str:
        """Keep one mail and return the reply; 452 when it cannot be kept."""
        try:
            kept = self._keep.write(mail) if self._keep is not None else mail
        except OSError:
            return "452 4.3.1 cannot be kept here"
        if self._remember:
            self.received.append(kept)
        return kept.replied

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    def _connection(self, connections: WeakSet[SMTP]) -> SMTP:
        connection = SMTP(
            _Hooks(self),
            loop=self._loop,
            hostname="sink.localhost",
            ident="sink",
            enable_SMTPUTF8=True,
            data_size_limit=MAX_BYTES,
        )
        connections.add(connection)
        return connection


class _Hooks:
    """What happens on one connection; the names are the library's."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._at = datetime.fromtimestamp(0, UTC)

    async def handle_MAIL(  # noqa: N802
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        self._at = system_wall()
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Ok"

    async def handle_DATA(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        data = bytes(envelope.original_content or b"")
        digest = hashlib.sha256(data).hexdigest()
        found = _MESSAGE_ID.search(data.partition(b"\r\n\r\n")[0])
        mail = Received(
            at=self._at,
            mail_from=envelope.mail_from or "",
            rcpt_tos=tuple(envelope.rcpt_tos),
            message_id=found[1].decode("ascii", "backslashreplace") if found else None,
            sha256=digest,
            replied=f"250 2.0.0 Ok: kept as {digest[:12]}",
            raw=data,
        )
        return self._sink.take(mail)


class _Folder:
    """Mails as files, and one line for each."""

    def __init__(self, directory: Path, *, durable: bool) -> None:
        self._directory = directory
        self._durable = durable
        self._count = 0
        self._record = -1

    def open(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        numbers = [int(path.stem) for path in self._directory.glob("[0-9]*.eml")]
        self._count = max(numbers, default=0)
        flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND
        self._record = os.open(self._directory / RECORD, flags, 0o600)

    def close(self) -> None:
        os.close(self._record)

    def write(self, mail: Received) -> Received:
        """Write one mail and its line; what is returned no longer holds the bytes.

        Raises:
            OSError: the disk is full.

        """
        self._count += 1
        path = self._directory / f"{self._count:06d}.eml"
        kept = Received(
            at=mail.at,
            mail_from=mail.mail_from,
            rcpt_tos=mail.rcpt_tos,
            message_id=mail.message_id,
            sha256=mail.sha256,
            replied=f"250 2.0.0 Ok: kept as {path.stem}",
            path=path,
        )
        written = os.fstat(self._record).st_size
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            try:
                self._put(descriptor, mail.data)
            finally:
                os.close(descriptor)
            line = json.dumps(_as_json(kept), ensure_ascii=False)
            self._put(self._record, line.encode() + b"\n")
        except OSError:
            # Half a mail or half a line would be read as something that was received.
            path.unlink(missing_ok=True)
            os.ftruncate(self._record, written)
            raise
        return kept

    def _put(self, descriptor: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        if self._durable:
            os.fsync(descriptor)


def _as_json(mail: Received) -> dict[str, Any]:
    return {
        "at": mail.at.isoformat(),
        "mail_from": mail.mail_from,
        "rcpt_tos": list(mail.rcpt_tos),
        "message_id": mail.message_id,
        "sha256": mail.sha256,
        "replied": mail.replied,
        "file": mail.path.name if mail.path else None,
    }


def read_record(directory: Path) -> list[Received]:
    """Return what a sink with that directory has received, in order.

    Raises:
        OSError: there is no record.

    """
    lines = (directory / RECORD).read_text(encoding="utf-8").splitlines()
    return [_from_json(json.loads(line), directory) for line in lines]


def _from_json(values: dict[str, Any], directory: Path) -> Received:
    return Received(
        at=datetime.fromisoformat(values["at"]),
        mail_from=values["mail_from"],
        rcpt_tos=tuple(values["rcpt_tos"]),
        message_id=values["message_id"],
        sha256=values["sha256"],
        replied=values["replied"],
        path=directory / values["file"],
    )


async def _serve_until_signalled(sink: Sink) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, sink.ask_to_stop)

    def ready() -> None:
        sys.stdout.write(f"ready on {sink.host}:{sink.port}\n")
        sys.stdout.flush()

    await sink.serve(ready)


def main(arguments: list[str] | None = None) -> int:
    """Run a sink in the foreground; says one line when ready, ends on SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m distributor.mail.sink", description=_ABOUT)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=2525, help="0: any free port")
    parser.add_argument("--directory", type=Path, required=True, help="where the mails go")
    parser.add_argument("--durable", action="store_true", help="sync each mail to disk")
    chosen = parser.parse_args(arguments)
    sink = Sink(
        chosen.host,
        chosen.port,
        directory=chosen.directory,
        durable=chosen.durable,
        remember=False,
    )
    try:
        asyncio.run(_serve_until_signalled(sink))
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
