"""Files as people attach them: what becomes of them, and what is refused with a reason."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from distributor.core.metadata import bare
from distributor.errors import InputError
from distributor.intake import attachment as intake
from distributor.intake.attachment import Words, bring
from tests.pictures import GIF, PDF, PLACE, exif, jpeg, png, segment

GEOTAGGED = jpeg(segment(0xE1, b"Exif\0\0" + exif(orientation=6, gps=True)))


def a_file(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def test_a_file_comes_as_it_is_under_its_own_hash(tmp_path: Path) -> None:
    brought = bring(a_file(tmp_path, "Plan für Zoë.pdf", PDF))
    assert brought.octets == PDF
    assert brought.findings == ()
    one = brought.attachment
    assert (one.name, one.media_type, one.size, one.picture) == (
        "Plan für Zoë.pdf",
        "application/pdf",
        len(PDF),
        None,
    )
    assert one.digest == hashlib.sha256(PDF).hexdigest()


@pytest.mark.parametrize("words", [None, Words("The pier")])
def test_where_a_picture_was_taken_goes_and_is_told(tmp_path: Path, words: Words | None) -> None:
    brought = bring(a_file(tmp_path, "pier.jpg", GEOTAGGED), words)
    assert PLACE not in brought.octets
    assert brought.attachment.digest == hashlib.sha256(brought.octets).hexdigest()
    assert brought.attachment.size == len(brought.octets)
    (finding,) = brought.findings
    assert (finding.code, finding.severity) == ("metadata-removed", "info")
    assert finding.message == (
        "pier.jpg: removed EXIF with the place it was taken (GPS); the image itself is unchanged"
    )


def test_a_picture_knows_its_size_as_it_is_seen_and_what_is_said_of_it(tmp_path: Path) -> None:
    words = Words(" The pier ", "In May.", "Zoë")
    picture = bring(a_file(tmp_path, "pier.jpg", GEOTAGGED), words).attachment.picture
    assert picture is not None
    assert (picture.width, picture.height) == (8, 16)
    assert (picture.alt, picture.caption, picture.credit) == ("The pier", "In May.", "Zoë")
    assert bring(a_file(tmp_path, "dot.gif", GIF), Words("A dot")).attachment.picture is not None


def test_of_other_pictures_it_is_told_that_nothing_was_removed(tmp_path: Path) -> None:
    brought = bring(a_file(tmp_path, "pier.tif", b"II*\0" + bytes(20)))
    (finding,) = brought.findings
    assert (finding.code, finding.severity) == ("metadata-kept", "warning")


@pytest.mark.parametrize(
    ("name", "data", "words", "why"),
    [
        ("a.pdf", b"", None, "is empty"),
        ("a.exe", b"MZ", None, "a Windows program"),
        ("a.pdf", jpeg(), None, "is a JPEG picture by its content"),
        ("a.tif", b"II*\0" + bytes(20), Words("x"), "mail programs do not show"),
        ("a.pdf", PDF, Words("x"), "mail programs do not show"),
        ("a.png", png()[:40], Words("x"), "damaged picture"),
        ("a.jpg", jpeg()[:60], None, "damaged picture"),
        ("a.png", png(), Words("  "), "no text for readers who do not see it"),
        ("a.png", png(), Words("a\nb"), "--alt .* line break"),
        ("a.png", png(), Words("a", "b\u202ec"), "--caption .* writing direction"),
        ("a.png", png(), Words("a", "", "x" * 1001), "--credit .* 1001 characters"),
        ("..\\a.pdf", PDF, None, r"The attachment name .* holds \\"),
        ("CON.pdf", PDF, None, "a device on Windows"),
        ("a\nBcc: b@c.example.pdf", PDF, None, "a line break"),
        ("a\u202efdp.exe", PDF, None, "a change of writing direction"),
    ],
)
def test_what_cannot_go_is_refused_with_a_reason_and_a_remedy(
    tmp_path: Path, name: str, data: bytes, words: Words | None, why: str
) -> None:
    with pytest.raises(InputError, match=why) as refused:
        bring(a_file(tmp_path, name, data), words)
    assert refused.value.remedy
    assert "\n" not in str(refused.value)


def test_a_name_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.pdf"
    with open(path, "wb") as file:  # noqa: PTH123 - a name that no text has
        file.write(PDF)
    with pytest.raises(InputError, match="attachment name"):
        bring(Path(os.fsdecode(path)))


@pytest.mark.parametrize(("path", "why"), [("gone.pdf", "does not exist"), (".", "name")])
def test_a_path_that_is_no_file_is_refused(tmp_path: Path, path: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        bring(tmp_path / path if path != "." else Path())
    with pytest.raises(InputError, match="is not a file"):
        bring(tmp_path)
    with pytest.raises(InputError, match="a NUL"):
        bring(tmp_path / "a\0.pdf")


def test_a_file_that_vanishes_while_it_is_read_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = a_file(tmp_path, "a.pdf", PDF)
    plain = Path.open

    def vanish(self: Path, _: str) -> object:
        self.unlink()
        return plain(self)

    monkeypatch.setattr(Path, "open", vanish)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        bring(path)


def test_a_file_of_200_mb_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "film.mp4"
    with path.open("wb") as file:
        file.truncate(200_000_000)
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("it was opened"))
    with pytest.raises(InputError, match="has more than 50 MB") as refused:
        bring(path)
    assert "link" in (refused.value.remedy or "")


def test_a_file_that_grows_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "FILE_MAX", len(PDF))
    path = a_file(tmp_path, "a.pdf", PDF)
    assert bring(path).octets == PDF

    def grown(self: Path, *_: str) -> object:
        os.truncate(self, len(PDF) + 1)
        return open(self, "rb")  # noqa: PTH123 - Path.open is what is replaced here

    monkeypatch.setattr(Path, "open", grown)
    with pytest.raises(InputError, match="has more than"):
        bring(path)


def test_what_was_brought_is_bare_already(tmp_path: Path) -> None:
    octets = bring(a_file(tmp_path, "pier.jpg", GEOTAGGED)).octets
    assert bare(octets, "image/jpeg", name="x").octets == octets
