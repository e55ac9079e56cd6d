"""The job with aiosmtplib, EmailMessage and Jinja2: ten connections, one mail built per recipient.

Usage: python aiosmtplib_job.py FOLDER PORT. Outcomes are committed in groups every 200 ms, as ours.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiosmtplib
from jinja2 import Environment, StrictUndefined

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONNECTIONS: Final = 10
_GROUP_S: Final = 0.2
_PAGE: Final = 2_000
_SENDER: Final = "press@harbours.example"


class Job:
    """Rows in, mails out, outcomes back."""

    def __init__(self, folder: Path, port: int) -> None:
        """Compile the templates and open the database."""
        self._port = port
        plain = Environment(undefined=StrictUndefined, autoescape=False)  # noqa: S701 - plain text
        marked = Environment(undefined=StrictUndefined, autoescape=True)
        self._subject = (folder / "subject.txt").read_text(encoding="utf-8")
        self._text = plain.from_string((folder / "text.txt").read_text(encoding="utf-8"))
        self._html = marked.from_string((folder / "body.html").read_text(encoding="utf-8"))
        self._database = sqlite3.connect(folder / "job.db")
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._rows = self._read()
        self._settled: list[tuple[str, str, int]] = []

    def _read(self) -> Iterator[tuple[int, str, str, str]]:
        last = 0
        while page := self._database.execute(
            "SELECT id, name, address, outlet FROM recipients WHERE id > ? ORDER BY id LIMIT ?",
            (last, _PAGE),
        ).fetchall():
            yield from page
            last = page[-1][0]

    def _message(self, row: tuple[int, str, str, str]) -> EmailMessage:
        number, name, address, outlet = row
        values = {"name": name, "address": address, "outlet": outlet}
        message = EmailMessage()
        message["From"] = f"Harbour Commission <{_SENDER}>"
        message["To"] = f"{name} <{address}>"
        message["Subject"] = self._subject
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain="harbours.example")
        message["List-Id"] = "<releases.harbours.example>"
        message["List-Unsubscribe"] = f"<mailto:{_SENDER}?subject=unsubscribe%20{number}>"
        message.set_content(self._text.render(values))
        message.add_alternative(self._html.render(values), subtype="html")
        return message

    async def _send(self) -> None:
        async with aiosmtplib.SMTP(
            hostname="127.0.0.1", port=self._port, use_tls=False, start_tls=False
        ) as client:
            for row in self._rows:
                _, reply = await client.send_message(
                    self._message(row), sender=_SENDER, recipients=[row[2]]
                )
                self._settled.append(("accepted", reply, row[0]))

    def _record(self) -> None:
        settled, self._settled = self._settled, []
        with self._database:
            self._database.executemany(
                "UPDATE recipients SET state = ?, reply = ? WHERE id = ?", settled
            )

    async def _keep_recording(self) -> None:
        while True:
            await asyncio.sleep(_GROUP_S)
            self._record()

    async def run(self) -> None:
        """Send every row."""
        recording = asyncio.create_task(self._keep_recording())
        await asyncio.gather(*(self._send() for _ in range(_CONNECTIONS)))
        recording.cancel()
        self._record()
        self._database.close()


if __name__ == "__main__":
    asyncio.run(Job(Path(sys.argv[1]), int(sys.argv[2])).run())
