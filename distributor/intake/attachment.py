"""A file from a path to an attachment: read, judged by what stands in it, and made bare.

Invariant: the path that a person gave is opened, once, to be read; no path is made of a name.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from distributor.core.address import hidden_fault, visible
from distributor.core.filename import checked_name
from distributor.core.filetype import file_type
from distributor.core.metadata import CLEANED, SHOWN, TELLING, bare
from distributor.core.model import Attachment, Finding, Picture
from distributor.core.size import GIVE_A_LINK
from distributor.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

#: The most octets of one file: more than any newsroom takes.
FILE_MAX: Final = 50_000_000
#: Characters of what a person says of a picture.
_WORDS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Words:
    """What a person says of a picture that is to be shown in the mail."""

    alt: str
    caption: str = ""
    credit: str = ""


@dataclass(frozen=True, slots=True)
class Brought:
    """A file ready to be kept: ``octets`` are what will be sent, and come to its hash."""

    attachment: Attachment
    octets: bytes = field(repr=False)
    findings: tuple[Finding, ...] = ()


def bring(path: Path, words: Words | None = None) -> Brought:
    """Read a file; with ``words`` it becomes a picture shown in the mail.

    Raises:
        InputError: it cannot be read, is empty, too large, dangerous, not what its name says, or a
            picture that no mail shows.

    """
    name = checked_name(path.name)
    data = _read(path)
    kind = file_type(name, data)
    if words is not None and kind.media_type not in SHOWN:
        raise InputError(
            f"{name} is {kind.said}, which mail programs do not show.",
            remedy="Save it as JPEG or PNG, or attach it: --attach FILE",
        )
    picture: Picture | None = None
    findings: list[Finding] = []
    if kind.media_type in SHOWN & CLEANED or words is not None:
        found = bare(data, kind.media_type, name=name)
        data = found.octets
        if found.removed:
            told = f"{name}: removed {', '.join(found.removed)}; the image itself is unchanged"
            findings.append(Finding("metadata-removed", "info", told))
        if words is not None:
            picture = Picture(
                _said(words.alt, "alt"),
                found.width,
                found.height,
                _said(words.caption, "caption"),
                _said(words.credit, "credit"),
            )
            if not picture.alt:
                raise InputError(
                    f"{name} has no text for readers who do not see it.",
                    remedy='Say what is to be seen: --alt "The ferry at the pier"',
                )
    if kind.media_type in TELLING:
        told = f"{name}: {kind.said} may hold the place it was taken; nothing was removed from it"
        findings.append(Finding("metadata-kept", "warning", told))
    digest = hashlib.sha256(data).hexdigest()
    attachment = Attachment(digest, name, kind.media_type, len(data), picture)
    return Brought(attachment, data, tuple(findings))


def _said(text: str, option: str) -> str:
    text = text.strip()
    fault = hidden_fault(text)
    if fault is None and len(text) > _WORDS_MAX:
        fault = f"has {len(text)} characters; {_WORDS_MAX} is the most"
    if fault is not None:
        raise InputError(f"--{option} “{visible(text)}” {fault}.", remedy=f"Write --{option} anew.")
    return text


def _read(path: Path) -> bytes:
    """The octets of a file; its size is looked at before one is read."""
    shown = visible(str(path), limit=200)
    try:
        if not path.is_file():
            reason = "is not a file" if path.exists() else "does not exist"
            raise InputError(f"{shown} {reason}.", remedy="Give the path of the file to attach.")
        if path.stat().st_size > FILE_MAX:
            raise _too_large(shown)
        with path.open("rb") as file:
            # One octet more than allowed: the file may be growing.
            data = file.read(FILE_MAX + 1)
    except OSError as error:
        reason = error.strerror or "it failed"
        raise InputError(
            f"{shown} cannot be read: {reason}.",
            remedy="Check that it is there, and yours to read.",
        ) from error
    if len(data) > FILE_MAX:
        raise _too_large(shown)
    if not data:
        raise InputError(f"{shown} is empty.", remedy="Choose a file with something in it.")
    return data


def _too_large(shown: str) -> InputError:
    most = FILE_MAX // 1_000_000
    return InputError(f"{shown} has more than {most} MB.", remedy=GIVE_A_LINK)
