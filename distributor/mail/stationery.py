"""What a press office's mail is written on: the shipped templates, and its own in their place.

A folder of templates holds ``KIND/subject.txt.j2``, ``KIND/body.txt.j2``, ``KIND/body.html.j2`` and
``_base/…``. A file of the desk's own takes the place of the shipped one of that name, file by file.

Invariant: nothing is read from a folder but files of such names, two levels down: a template cannot
include a configuration or a key that lies beside it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Final

from distributor.errors import TemplateError
from distributor.mail.look import OURS, Look
from distributor.shipped import shipped

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: What a template may be called: a kind or ``_base``, and a file of it.
NAME: Final = re.compile(r"[a-z_][a-z0-9_-]{0,60}/[A-Za-z0-9][A-Za-z0-9_.-]{0,80}\.(?:j2|css)")
#: The texts of a kind's templates, and of all they refer to, by name.
Templates = tuple[tuple[str, str], ...]
#: The most bytes of one file, and the most files of one folder: a mail is far smaller.
FILE_MAX: Final = 200_000
FILES_MAX: Final = 200


class TemplateFault(TemplateError):
    """A template that cannot be rendered; ``place`` is its file and line."""

    def __init__(self, place: str, message: str, *, remedy: str | None = None) -> None:
        """Keep where it is apart from what is said: only the place is free of the mail's words."""
        super().__init__(f"{place}: {message}", remedy=remedy)
        self.place = place
        self.says = message


class Overrun(TemplateFault):
    """A template that takes so long, or so much, that it is ended."""


@dataclass(frozen=True, slots=True)
class Stationery:
    """``folder`` is whole; what stands in ``own`` takes the place of what is called so there.

    ``without`` are files of ``own`` that are set aside; ``look`` is the house's.
    """

    folder: Path
    own: Path | None = None
    without: frozenset[str] = frozenset()
    look: Look = OURS


def stationery(templates: Stationery | Path) -> Stationery:
    """A bare folder is stationery without anything of the desk's own."""
    return templates if isinstance(templates, Stationery) else Stationery(templates)


def gathered(templates: Stationery | Path) -> dict[str, str]:
    """Every template by its name.

    Raises:
        TemplateFault: one cannot be read; the file and, where there is one, the line are named.

    """
    paper = stationery(templates)
    paths = listed(paper.folder)
    if paper.own is not None:
        own = listed(paper.own)
        paths |= {name: path for name, path in own.items() if name not in paper.without}
    return {name: text_of(path, name) for name, path in paths.items()}


def listed(folder: Path) -> dict[str, Path]:
    """The files of a folder that can be templates, by name.

    Raises:
        TemplateFault: it is no folder, cannot be read, or holds far too many.

    """
    try:
        rooms = [room for room in sorted(folder.iterdir()) if room.is_dir()]
        files = [path for room in rooms for path in islice(sorted(room.iterdir()), 5 * FILES_MAX)]
    except OSError as error:
        why = f"cannot be read as a folder of templates: {error.strerror or error}"
        raise TemplateFault(str(folder), why, remedy=_FOLDER_REMEDY) from error
    names = {f"{path.parent.name}/{path.name}": path for path in files}
    fit = {name: path for name, path in names.items() if NAME.fullmatch(name)}
    if len(fit) > FILES_MAX:
        why = f"holds {len(fit)} templates; {FILES_MAX} are the most"
        raise TemplateFault(str(folder), why, remedy=_FOLDER_REMEDY)
    return fit


_FOLDER_REMEDY: Final = "Name the folder of your templates, and no other: [templates] folder."


def text_of(path: Path, name: str) -> str:
    """The text of one template, whose line ends become line feeds.

    Raises:
        TemplateFault: it cannot be read, is too large, or is not UTF-8.

    """
    try:
        if not path.is_file():
            raise TemplateFault(name, "is not a file", remedy="Put a plain file there.")
        with path.open("rb") as file:
            data = file.read(FILE_MAX + 1)
    except OSError as error:
        why = f"cannot be read: {error.strerror or error}"
        raise TemplateFault(name, why, remedy="Mend its permissions.") from error
    if len(data) > FILE_MAX:
        why = f"is larger than {FILE_MAX // 1000} kB"
        raise TemplateFault(name, why, remedy="A template holds no pictures: take them out.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise TemplateFault(
            f"{name}, line {line}", "is not UTF-8 text", remedy="Save it as UTF-8."
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def are_shipped(texts: Templates) -> bool:
    """Whether every one of them is, letter by letter, a template that came with the program."""
    ours = _shipped()
    return all(ours.get(name) == text for name, text in texts)


@lru_cache(maxsize=1)
def _shipped() -> Mapping[str, str]:
    return gathered(shipped("templates"))
