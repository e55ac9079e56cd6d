"""The bytes of a .txt file in any encoding -> text with ordinary line ends and blanks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from distributor.core.model import Finding
from distributor.errors import InputError
from distributor.intake.encoding import guess_encoding

if TYPE_CHECKING:
    from pathlib import Path

#: The most bytes one release text may have; the longest real ones have some 200,000.
TEXT_MAX: Final = 20_000_000

_REMEDY: Final = "Save it as plain text (UTF-8) and read that."
#: How files begin that people take for text, and what they are.
_OTHER_KINDS: Final = {
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a Word or other packed file",
    b"\xd0\xcf\x11\xe0": "an old Word or Excel file",
    b"{\\rtf": "a rich text (RTF) file",
}
_LINE_ENDS = re.compile(r"\r\n|\r(?!\n)")
_SEPARATORS = re.compile("[\x0b\x0c\x85\u2028\u2029]")
_HARD = "\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
_BLANKS = re.compile(f"[ \t]*[{_HARD}][ \t{_HARD}]*")
_JOINERS = re.compile("^[\ufeff\u200b-\u200d\u2060]+", re.MULTILINE)


def read_file(path: Path) -> bytes:
    """The bytes of a release file; its size is looked at before a byte is read.

    Raises:
        InputError: No such file, not a file, not readable, or larger than :data:`TEXT_MAX`.

    """
    try:
        if not path.is_file():
            reason = "is not a file" if path.exists() else "does not exist"
            raise InputError(f"{path} {reason}.", remedy="Give the path of a text file.")
        if path.stat().st_size > TEXT_MAX:
            raise _too_large(str(path))
        with path.open("rb") as file:
            # One byte more than allowed: the file may be growing.
            data = file.read(TEXT_MAX + 1)
    except OSError as error:
        reason = error.strerror or "it failed"
        raise InputError(
            f"{path} cannot be read: {reason}.",
            remedy="Check its permissions.",
        ) from error
    if len(data) > TEXT_MAX:
        raise _too_large(str(path))
    return data


def decode(data: bytes, *, name: str) -> tuple[str, tuple[Finding, ...]]:
    """The text in ``data``; ``name`` is what errors call the file.

    Line ends become LF; hard blanks, with the blanks around them, one ordinary blank; marks that
    join nothing at the start of a line go. A guessed encoding and odd line separators are told.

    Raises:
        InputError: Empty, binary, larger than :data:`TEXT_MAX`, or in no known encoding.

    """
    if len(data) > TEXT_MAX:
        raise _too_large(name)
    for start, kind in _OTHER_KINDS.items():
        if data.startswith(start):
            raise InputError(f"{name} is {kind}, not plain text.", remedy=_REMEDY)
    if not data.strip(b"\x00\t\n\r\x0b\x0c "):
        raise InputError(f"{name} is empty.", remedy="Choose a file with a release in it.")
    encoding, is_sure = guess_encoding(data)
    if encoding is None:
        raise InputError(f"{name} is not text in any known encoding.", remedy=_REMEDY)
    try:
        # Old DOS programs close a text with this mark.
        text = data.decode(encoding).removesuffix("\x1a")
    except UnicodeError as error:
        raise InputError(f"{name} cannot be read as {encoding}.", remedy=_REMEDY) from error
    if _is_binary(text):
        raise InputError(f"{name} is not text: it holds control bytes.", remedy=_REMEDY)
    if not text.strip("\ufeff \t\r\n\x0b\x0c\u00a0\u200b"):
        raise InputError(f"{name} is empty.", remedy="Choose a file with a release in it.")
    clean, findings = _normalised(text)
    if not is_sure:
        message = f"{name} is not UTF-8; it was read as {encoding}: check accents and quotes"
        findings.insert(0, Finding("encoding-guessed", "info", message))
    return clean, tuple(findings)


def _too_large(name: str) -> InputError:
    return InputError(
        f"{name} has more than {TEXT_MAX // 1_000_000} MB, which no release text has.",
        remedy="Choose the file with the text alone, without pictures.",
    )


def _is_binary(text: str) -> bool:
    """Whether there is a NUL, or more than one sign in fifty is a control character."""
    if "\x00" in text:
        return True
    start = text[:10_000]
    odd = sum(sign < " " and sign not in "\t\r\n\x0b\x0c" for sign in start)
    return odd * 50 > len(start)


def _normalised(text: str) -> tuple[str, list[Finding]]:
    findings: list[Finding] = []
    text = _LINE_ENDS.sub("\n", text)
    found = _SEPARATORS.search(text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        message = f"An unusual line separator (U+{ord(found[0]):04X}) was read as an end of line"
        findings.append(Finding("line-separator", "warning", message, line))
        text = _SEPARATORS.sub("\n", text)
    return _JOINERS.sub("", _BLANKS.sub(" ", text)), findings
