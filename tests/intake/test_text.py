from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.errors import InputError
from distributor.intake.text import TEXT_MAX, decode, read_file

LINE = "Caf\u00e9 \u201cna\u00efve\u201d \u2013 \u00a35m for \u00c9tudes"


@pytest.mark.parametrize(
    ("data", "guessed"),
    [
        (LINE.encode(), None),
        (LINE.encode("utf-8-sig"), None),
        (LINE.encode("utf-16"), None),
        (LINE.encode("utf-32"), None),
        (LINE.encode("utf-16-le"), "utf-16-le"),
        (LINE.encode("utf-16-be"), "utf-16-be"),
        (LINE.encode("cp1252"), "cp1252"),
    ],
)
def test_text_is_read_in_any_encoding_and_a_guess_is_told(data: bytes, guessed: str | None) -> None:
    text, findings = decode(data, name="a.txt")
    assert text == LINE
    told = [finding.message for finding in findings if finding.code == "encoding-guessed"]
    assert bool(told) == bool(guessed)
    if guessed:
        assert guessed in told[0]


def test_other_encodings_are_guessed_from_a_longer_text() -> None:
    greek = "Η κυβέρνηση ανακοίνωσε νέα μέτρα στήριξης για τις επιχειρήσεις. " * 20  # noqa: RUF001
    text, findings = decode(greek.encode("iso8859-7"), name="a.txt")
    assert text == greek
    assert findings[0].code == "encoding-guessed"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b" \r\n\t ", "is empty"),
        (b"\xef\xbb\xbf \n", "is empty"),
        (b"\x00" * 50, "is empty"),
        (b"%PDF-1.7 text", "is a PDF"),
        (b"PK\x03\x04word/document.xml", "Word"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "old Word"),
        (b"{\\rtf1\\ansi text}", "RTF"),
        (b"Headline\n\ntext\x00more", "holds control bytes"),
        (b"\x01\x02\x03\x04 text", "holds control bytes"),
        (b"\xff\xfeH", "cannot be read as utf-16"),
        (bytes(range(256)) * 8, ""),
        (b"x" * (TEXT_MAX + 1), "more than 20 MB"),
    ],
)
def test_what_is_no_text_is_refused_with_the_name_the_reason_and_the_remedy(
    data: bytes,
    says: str,
) -> None:
    with pytest.raises(InputError) as refused:
        decode(data, name="odd.txt")
    assert "odd.txt" in str(refused.value)
    assert says in str(refused.value)
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("a\r\nb\rc\n", "a\nb\nc\n"),
        ("recommendations\u00a0aimed", "recommendations aimed"),
        ("Trust.\u00a0 It", "Trust. It"),
        ("manage.\u201d\u00a0\n", "manage.\u201d \n"),
        ("\ufeff\u200bHeadline\n\u200dText", "Headline\nText"),
        ("Text\x1a", "Text"),
    ],
)
def test_line_ends_and_blanks_are_evened_out(typed: str, read: str) -> None:
    assert decode(typed.encode(), name="a.txt") == (read, ())


@pytest.mark.parametrize("mark", ["\x0b", "\x0c", "\x85", "\u2028", "\u2029"])
def test_odd_line_separator_ends_a_line_and_is_told(mark: str) -> None:
    text, findings = decode(f"One\nTwo{mark}Three".encode(), name="a.txt")
    assert text == "One\nTwo\nThree"
    assert [(finding.code, finding.line) for finding in findings] == [("line-separator", 2)]


@given(st.binary(max_size=300))
def test_any_bytes_are_text_or_refused(data: bytes) -> None:
    try:
        text, _ = decode(data, name="a.txt")
    except InputError:
        return
    assert "\r" not in text
    assert "\x00" not in text


def test_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "release.txt"
    path.write_bytes(b"Headline")
    assert read_file(path) == b"Headline"


def test_file_of_50_mb_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "huge.txt"
    with path.open("wb") as file:
        file.truncate(50_000_000)

    def unwanted(*_: object, **__: object) -> None:
        pytest.fail("the file was opened")

    monkeypatch.setattr(Path, "open", unwanted)
    with pytest.raises(InputError, match="more than 20 MB"):
        read_file(path)


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_file(tmp_path / "none.txt")
    with pytest.raises(InputError, match="is not a file"):
        read_file(tmp_path)


def test_file_that_may_not_be_read_says_why(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "secret.txt"
    path.write_bytes(b"x")

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(InputError, match="Permission denied") as refused:
        read_file(path)
    assert refused.value.remedy


def test_file_that_grows_while_it_is_read_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "growing.txt"
    path.write_bytes(b"x" * 50)
    monkeypatch.setattr("distributor.intake.text.TEXT_MAX", 50)
    assert len(read_file(path)) == 50
    real = Path.stat

    def smaller(self: Path, **options: bool) -> object:
        found = real(self, **options)
        return type("Stat", (), {"st_size": 10, "st_mode": found.st_mode})()

    path.write_bytes(b"x" * 51)
    monkeypatch.setattr(Path, "stat", smaller)
    with pytest.raises(InputError, match="MB"):
        read_file(path)
