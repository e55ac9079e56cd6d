"""Files judged by what stands in them: what they are, and what no newsroom lets in."""

from __future__ import annotations

import io
import zipfile

import pytest

from distributor.core.filetype import ENTRIES_MAX, file_type
from distributor.errors import InputError
from tests.pictures import GIF, PDF, jpeg, png


def packed(*names: str, mimetype: str | None = None) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        if mimetype is not None:
            archive.writestr("mimetype", mimetype)
        for name in names:
            archive.writestr(name, b"x")
    return made.getvalue()


WORD = packed("[Content_Types].xml", "word/document.xml")
OLD = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512)
OPEN = "application/vnd.oasis.opendocument.text"


@pytest.mark.parametrize(
    ("name", "data", "media_type"),
    [
        ("a.pdf", PDF, "application/pdf"),
        ("a.JPG", jpeg(), "image/jpeg"),
        ("a.jpeg", jpeg(), "image/jpeg"),
        ("a.png", png(), "image/png"),
        ("a.gif", GIF, "image/gif"),
        ("a.tif", b"II*\0" + bytes(9), "image/tiff"),
        ("a.webp", b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        ("a.heic", b"\0\0\0\x18ftypheic", "image/heic"),
        ("a.mp4", b"\0\0\0\x18ftypisom", "video/mp4"),
        ("a.mov", b"\0\0\0\x14ftypqt  ", "video/quicktime"),
        ("a.wav", b"RIFF\0\0\0\0WAVEfmt ", "audio/x-wav"),
        ("a.mp3", b"ID3\x03" + bytes(9), "audio/mpeg"),
        ("a.rtf", b"{\\rtf1 hello}", "application/rtf"),
        ("a.txt", "Grüße".encode(), "text/plain; charset=utf-8"),
        ("a.txt", "Grüße".encode("latin-1"), "text/plain"),
        ("a.csv", b"a,b\n1,2\n", "text/csv; charset=utf-8"),
        ("a.ics", b"BEGIN:VCALENDAR\r\n", "text/calendar; charset=utf-8"),
        ("a.zip", packed("b.pdf", "data.xml"), "application/zip"),
        (
            "a.docx",
            WORD,
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ),
        ("a.odt", packed("content.xml", mimetype=OPEN), OPEN),
        ("a.doc", OLD, "application/msword"),
        ("a.xls", OLD, "application/vnd.ms-excel"),
    ],
)
def test_a_file_is_what_stands_in_it(name: str, data: bytes, media_type: str) -> None:
    assert file_type(name, data).media_type == media_type


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a.pdf", b"MZ\x90\0", "a Windows program"),
        ("a.jpg", b"\x7fELF\x02", "a program"),
        ("a.txt", b"#!/bin/sh\nrm", "a script"),
        ("a.txt", b"<html><script>", "a web page"),
        ("a.png", b"\xef\xbb\xbf<?xml?><svg onload=x>", "a web page or a drawing"),
        ("a.txt", "<HTML>".encode("utf-16"), "a web page"),
        ("a.exe", b"hello", r"of a kind \(.exe\)"),
        ("a.js", b"hello", r"of a kind \(.js\)"),
        ("a.svg", b"<svg/>", "a web page or a drawing"),
        ("a.docm", WORD, r"of a kind \(.docm\)"),
        ("a.pdf.lnk", b"hello", r"of a kind \(.lnk\)"),
        ("a.docx", packed("[Content_Types].xml", "word/vbaProject.bin"), "with macros"),
        ("a.odt", packed("Basic/script-lc.xml", mimetype=OPEN), "with macros"),
        ("a.doc", OLD + "_VBA_PROJECT".encode("utf-16-le"), "with macros"),
        ("a.zip", packed("folder/setup.EXE"), "an archive with a program"),
        ("a.zip", packed("run.js"), "an archive with a program"),
        ("a.eps", b"%!PS-Adobe-3.0", "a PostScript program"),
    ],
)
def test_what_runs_is_refused_with_the_reason(name: str, data: bytes, why: str) -> None:
    with pytest.raises(InputError, match=why) as refused:
        file_type(name, data)
    assert "give a link" in (refused.value.remedy or "")


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.pdf", jpeg(), "is a JPEG picture by its content, but its name ends in .pdf"),
        ("a.jpg", PDF, "is a PDF by its content, but its name ends in .jpg"),
        ("a.png", jpeg(), "is a JPEG picture by its content"),
        ("a", PDF, "but its name has no suffix"),
        ("a.docx", packed("b.pdf"), "is a ZIP archive by its content"),
        ("a.zip", WORD, "is a Word document by its content"),
        ("a.pdf", OLD, "is an old Word document by its content"),
        ("a.pdf", b"hello", "of a kind that is not known here"),
        ("a.xyz", b"hello", "of a kind that is not known here"),
        ("a.txt", b"a\0b", "of a kind that is not known here"),
        ("a.ics", b"hello", "of a kind that is not known here"),
        ("a.zip", b"PK\x03\x04 broken", "cannot be read"),
    ],
)
def test_a_name_that_says_something_else_is_refused(name: str, data: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said) as refused:
        file_type(name, data)
    assert refused.value.remedy


def test_row_10_an_archive_of_too_many_files_is_refused_unpacked() -> None:
    names = [f"{number}.txt" for number in range(ENTRIES_MAX + 1)]
    with pytest.raises(InputError, match="2001 files"):
        file_type("a.zip", packed(*names))


def test_an_archive_with_a_password_is_refused() -> None:
    data = bytearray(packed("b.pdf"))
    data[6] |= 1
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    with pytest.raises(InputError, match="with a password"):
        file_type("a.zip", bytes(data))
