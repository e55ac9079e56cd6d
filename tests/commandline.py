"""The command line as a press officer types it: words in, exit code and what was printed out."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from distributor.cli.main import main
from tests.flow.press import config_text

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

#: No mail server listens there.
NOBODY = 9


class Done(NamedTuple):
    """How one command ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class CommandLine:
    """Runs ``distributor`` in this process, in a folder of its own."""

    folder: Path
    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch

    def configure(self, port: int = NOBODY, **changes: Any) -> None:
        """Write the folder's config.toml for a mail server at that port."""
        path = self.folder / "config.toml"
        path.write_text(config_text(port, **changes), encoding="utf-8")
        path.chmod(0o600)

    def run(self, *words: str) -> Done:
        """Type a command; nothing may end in a traceback."""
        self.monkeypatch.chdir(self.folder)
        self.monkeypatch.setattr(sys, "argv", ["distributor", *words])
        self.capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        captured = self.capsys.readouterr()
        return Done(code, captured.out, captured.err)

    def says(self, *words: str) -> str:
        """What a command that is carried out prints."""
        done = self.run(*words)
        assert done.code == 0, done
        return done.out

    def answers(self, *words: str) -> Any:
        """What a reading command answers to a script."""
        return json.loads(self.says(*words, "--json"))

    def refuses(self, *words: str) -> str:
        """Why an order is refused: one line on stderr, then what to do; nothing on stdout."""
        done = self.run(*words)
        assert done.code == 1, done
        assert done.out == ""
        reason, *remedy = done.err.strip().splitlines()
        assert reason.startswith("refused: ")
        assert all(line.startswith("  ") for line in remedy)
        return done.err

    def misused(self, *words: str) -> str:
        """How a command is meant to be used."""
        done = self.run(*words)
        assert done.code == 2, done
        assert "Usage:" in done.err or "Error:" in done.err
        return done.err

    def file(self, name: str, text: str | bytes) -> str:
        """A file in the folder; gives its name."""
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return name
