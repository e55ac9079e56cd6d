"""How the demo looks: titles, orders as typed, answers that fit, the countdown, log and mail."""

from __future__ import annotations

import math
import re
import shlex
import textwrap
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from distributor.cli.contacts import counted
from distributor.cli.output import state_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from distributor.demo.processes import Said
    from distributor.mail.sink import Received

#: The widest that lines are set, in characters: longer ones tire the eye.
_WIDEST: Final = 110
#: From this width on, in characters, the log has room for the outlets.
_ROOMY: Final = 100
#: Where the columns of an answer begin at the latest: a line that is too long goes on below them.
_COLUMNS: Final = 28
#: Lines of a mail that are shown.
_MAIL_LINES: Final = 16
_INDENT: Final = 2
_WEIGHTS: Final = {"error": "bold red", "warning": "yellow", "info": "cyan", "ok": "green"}

Part = str | tuple[str, str] | Text


class Teller:
    """Prints the demo on stdout, as wide as the terminal but never wider than is read well."""

    def __init__(self) -> None:
        """Print nothing yet."""
        self.console = Console(highlight=False)
        self.console.width = min(self.console.width, _WIDEST)
        self._chapter = 0

    @property
    def inner_width(self) -> int:
        """Characters in an answer's line."""
        return self.console.width - _INDENT

    def title(self, words: str) -> None:
        """Begin a chapter."""
        self._chapter += 1
        self.console.print()
        title = Text(f"{self._chapter}  {words}", style="bold")
        self.console.print(Rule(title, align="left", style="cyan"))

    def line(self, *parts: Part, style: str = "") -> None:
        """Print one line, indented; nothing in it is read as markup."""
        self.console.print(Padding.indent(Text.assemble(*parts, style=style), _INDENT))

    def command(self, *words: str, behind: bool = False) -> None:
        """Show a command line as one would type it."""
        line = shlex.join(words) + (" &" if behind else "")
        if len(line) + len("$ ") > self.console.width:
            # As a shell takes it, too.
            line = line.replace(" --", " \\\n    --")
        self.console.print(Text.assemble(("$ ", "cyan"), (line, "bold cyan")), soft_wrap=True)

    def answer(self, said: Said) -> None:
        """Show what an order said, its findings first."""
        for line in (*said.remarks.splitlines(), *said.answer.splitlines()):
            for part in wrapped(line, self.inner_width):
                self.line(*_weighed(part))

    def log(self, lines: Sequence[dict[str, Any]]) -> None:
        """Lines of the log as a table that fits."""
        roomy = self.console.width >= _ROOMY
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        table.add_column("ADDRESS", no_wrap=True, overflow="ellipsis")
        if roomy:
            table.add_column("OUTLET", no_wrap=True, overflow="ellipsis")
        table.add_column("STATE", no_wrap=True, min_width=len("accepted"))
        table.add_column("REPLY", no_wrap=True, overflow="ellipsis", min_width=28)
        for line in lines:
            outlet = [Text(line["outlet"])] if roomy else []
            reply = f"{line['code'] or ''} {line['reply'] or ''}".strip()
            table.add_row(Text(line["address"]), *outlet, state_text(line["state"]), Text(reply))
        self.console.print(Padding.indent(table, _INDENT))

    def mail(self, mail: Received) -> None:
        """One received mail: its file, its headers as a reader sees them, how its text begins."""
        from email import message_from_bytes, policy

        message = message_from_bytes(mail.data, policy=policy.default)
        shown = Text()
        for name in ("From", "To", "Subject", "Date", "Message-ID"):
            shown.append(f"{name}: ", style="bold").append(f"{message[name]}\n")
        body = message.get_body(("plain",))
        lines = str(body.get_content()).splitlines() if body is not None else []
        shown.append("\n" + "\n".join(lines[:_MAIL_LINES]))
        if len(lines) > _MAIL_LINES:
            shown.append(f"\n… {len(lines) - _MAIL_LINES} more lines, and the same in HTML")
        name = f"{mail.path.parent.name}/{mail.path.name}" if mail.path else ""
        self.console.print(Panel(shown, title=name, title_align="left", border_style="cyan"))


def countdown(left_s: float, total_s: float, mails: int) -> Padding:
    """The line that is watched: seconds left, a bar, and what the receiver has."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    bar = ProgressBar(total=total_s, completed=total_s - left_s, width=24)
    left = Text.assemble("The embargo lifts in ", (f"{math.ceil(left_s):>2} s", "bold yellow"))
    grid.add_row(left, bar, f"{counted(mails, 'mail')} at the receiver")
    return Padding.indent(grid, _INDENT)


def lifted(mails: int) -> Padding:
    """The same line once the embargo has lifted."""
    words = f"The embargo has lifted: {counted(mails, 'mail')} at the receiver"
    return Padding.indent(words, _INDENT)


def wrapped(line: str, width: int) -> list[str]:
    """A line of an answer in lines that fit; what goes on stands below its last column."""
    gaps = list(re.finditer(r"^ +|\S {2,}(?=\S)", line[:_COLUMNS]))
    below = gaps[-1].end() if gaps else _INDENT
    return textwrap.wrap(
        line,
        width,
        subsequent_indent=" " * below,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]


def _weighed(line: str) -> list[Part]:
    """A line of an answer; the word that weighs it stands out."""
    word = line.partition(" ")[0].rstrip(":")
    if word not in _WEIGHTS:
        return [line]
    return [(word, _WEIGHTS[word]), line[len(word) :]]
