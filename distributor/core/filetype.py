"""What a file is by what stands in it, and whether a newsroom lets it in.

A name is believed only where the content agrees. What runs when it is opened (programs, scripts,
documents with macros) is refused: mail systems of newsrooms throw the whole mail away with it.

Invariant: nothing is unpacked. Of a ZIP archive only its list of names is read.
"""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from distributor.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

#: Entries that a ZIP archive may have (reliability row 10).
ENTRIES_MAX: Final = 2_000
#: How far in a file's kind is looked for.
_START: Final = 4_096

_LINK: Final = "Put it on your web site and give a link, or send a PDF."


@dataclass(frozen=True, slots=True)
class FileType:
    """A kind of file: ``said`` is what people call it, ``suffixes`` how its names end."""

    media_type: str
    said: str
    suffixes: tuple[str, ...]


def _begins(*starts: bytes) -> Callable[[bytes], bool]:
    return lambda data: data.startswith(starts)


def _riff(form: bytes) -> Callable[[bytes], bool]:
    return lambda data: data[:4] == b"RIFF" and data[8:12] == form


def _brand(*brands: bytes) -> Callable[[bytes], bool]:
    return lambda data: data[4:8] == b"ftyp" and data[8:12] in brands


#: What a file is when it begins so; the first that fits.
_BY_START: Final[tuple[tuple[Callable[[bytes], bool], FileType], ...]] = (
    (_begins(b"%PDF-"), FileType("application/pdf", "a PDF", ("pdf",))),
    (_begins(b"\xff\xd8\xff"), FileType("image/jpeg", "a JPEG picture", ("jpg", "jpeg", "jpe"))),
    (_begins(b"\x89PNG\r\n\x1a\n"), FileType("image/png", "a PNG picture", ("png",))),
    (_begins(b"GIF87a", b"GIF89a"), FileType("image/gif", "a GIF picture", ("gif",))),
    (_begins(b"II*\0", b"MM\0*"), FileType("image/tiff", "a TIFF picture", ("tif", "tiff"))),
    (_riff(b"WEBP"), FileType("image/webp", "a WebP picture", ("webp",))),
    (
        _brand(b"heic", b"heix", b"mif1", b"msf1"),
        FileType("image/heic", "a HEIC picture", ("heic", "heif")),
    ),
    (_brand(b"qt  "), FileType("video/quicktime", "a QuickTime film", ("mov", "qt"))),
    (_brand(b"M4A "), FileType("audio/mp4", "an MPEG-4 recording", ("m4a", "mp4"))),
    (
        lambda data: data[4:8] == b"ftyp",
        FileType("video/mp4", "an MPEG-4 film", ("mp4", "m4v", "mov")),
    ),
    (_riff(b"WAVE"), FileType("audio/x-wav", "a WAV recording", ("wav",))),
    (
        _begins(b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2"),
        FileType("audio/mpeg", "an MP3 recording", ("mp3",)),
    ),
    (_begins(b"{\\rtf"), FileType("application/rtf", "a rich text", ("rtf",))),
)
_TEXTS: Final = {
    "txt": FileType("text/plain", "a plain text", ("txt", "text", "md")),
    "text": FileType("text/plain", "a plain text", ("txt", "text", "md")),
    "md": FileType("text/plain", "a plain text", ("txt", "text", "md")),
    "csv": FileType("text/csv", "a CSV table", ("csv",)),
    "ics": FileType("text/calendar", "a calendar entry", ("ics",)),
    "vcf": FileType("text/vcard", "a visiting card", ("vcf",)),
}
_TEXT_STARTS: Final = {"ics": b"BEGIN:VCALENDAR", "vcf": b"BEGIN:VCARD"}
_OOXML: Final = "application/vnd.openxmlformats-officedocument."
_PACKED: Final = {
    "word/": FileType(f"{_OOXML}wordprocessingml.document", "a Word document", ("docx",)),
    "xl/": FileType(f"{_OOXML}spreadsheetml.sheet", "an Excel table", ("xlsx",)),
    "ppt/": FileType(f"{_OOXML}presentationml.presentation", "a PowerPoint file", ("pptx",)),
}
_OPEN: Final = {
    f"application/vnd.oasis.opendocument.{kind}": FileType(
        f"application/vnd.oasis.opendocument.{kind}", f"an OpenDocument {kind}", (suffix,)
    )
    for kind, suffix in (("text", "odt"), ("spreadsheet", "ods"), ("presentation", "odp"))
}
_ZIP: Final = FileType("application/zip", "a ZIP archive", ("zip",))
_OLD_OFFICE: Final = {
    "doc": FileType("application/msword", "an old Word document", ("doc",)),
    "xls": FileType("application/vnd.ms-excel", "an old Excel table", ("xls",)),
    "ppt": FileType("application/vnd.ms-powerpoint", "an old PowerPoint file", ("ppt",)),
}

#: Programs and what else runs, by their first octets.
_PROGRAMS: Final = (
    (b"MZ", "a Windows program"),
    (b"\x7fELF", "a program"),
    (b"\xca\xfe\xba\xbe", "a program"),
    (b"\xfe\xed\xfa\xce", "a program"),
    (b"\xfe\xed\xfa\xcf", "a program"),
    (b"\xce\xfa\xed\xfe", "a program"),
    (b"\xcf\xfa\xed\xfe", "a program"),
    (b"dex\n", "a program"),
    (b"L\0\0\0\x01\x14\x02\0", "a Windows shortcut"),
    (b"#!", "a script"),
    (b"%!PS", "a PostScript program"),
)
#: Suffixes of what runs, or opens what runs: as mail systems refuse them by name alone.
_RUNS: Final = re.compile(
    r"ade|adp|apk|app|appx|bat|chm|cmd|com|cpl|dll|dmg|docm|dotm|exe|hta|htm|html|img|ins|"
    r"iso|isp|jar|js|jse|lib|lnk|mde|msc|msi|msix|msp|mst|nsh|pif|pl|potm|ppam|ppsm|pptm|"
    r"ps|ps1|py|rb|reg|scr|sct|sh|shb|svg|svgz|swf|sys|url|vb|vbe|vbs|vhd|vxd|wsc|wsf|wsh|"
    r"xhtml|xlam|xll|xlsb|xlsm|xltm|xml"
).fullmatch
#: Pages that may lie in an archive: they open in no mail program.
_PAGES: Final = (".xml", ".htm", ".html", ".svg")
_TAGS: Final = re.compile(rb"<(?:!doctype\s+html|html|script|svg|\?php)\b", re.IGNORECASE)
_MACROS: Final = re.compile(r"(?:^|/)vbaProject\.bin$|^Basic/|^Scripts/", re.IGNORECASE)
#: How a macro's folder is called inside the older documents, in UTF-16.
_OLD_MACROS: Final = "_VBA_PROJECT".encode("utf-16-le")


def file_type(name: str, data: bytes) -> FileType:
    """What ``data`` is, by its content; ``name`` must say the same.

    Raises:
        InputError: it runs when opened, is of no kind that newsrooms take, or is not what its name
            says.

    """
    suffix = name.rpartition(".")[2].lower() if "." in name else ""
    _refuse_what_runs(name, suffix, data)
    found = _found(name, suffix, data)
    if found is None:
        raise InputError(
            f"{name} is of a kind that is not known here.",
            remedy="Send a PDF, a picture, an office document or a ZIP archive, or give a link.",
        )
    if suffix not in found.suffixes:
        ends = f"ends in .{suffix}" if suffix else "has no suffix"
        raise InputError(
            f"{name} is {found.said} by its content, but its name {ends}.",
            remedy=f"Rename it so that it ends in .{found.suffixes[0]}, or choose the right file.",
        )
    return found


def _refuse_what_runs(name: str, suffix: str, data: bytes) -> None:
    what = next((said for start, said in _PROGRAMS if data.startswith(start)), None)
    if what is None and _TAGS.search(data[:_START].replace(b"\0", b"")) and data[:2] != b"PK":
        what = "a web page or a drawing that may hold scripts" if data[:5] != b"%PDF-" else None
    if what is None and _RUNS(suffix):
        what = f"of a kind (.{suffix}) that runs or may hold scripts"
    if what is not None:
        raise _refused(name, what)


def _refused(name: str, what: str) -> InputError:
    return InputError(
        f"{name} is {what}: newsrooms' mail systems refuse the whole mail with it.", remedy=_LINK
    )


def _found(name: str, suffix: str, data: bytes) -> FileType | None:
    for fits, kind in _BY_START:
        if fits(data):
            return kind
    if data.startswith(b"PK\x03\x04"):
        return _packed(name, data)
    if data.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        if _OLD_MACROS in data:
            raise _refused(name, "a document with macros")
        return _OLD_OFFICE.get(suffix, _OLD_OFFICE["doc"])
    if b"\0" not in data and data.lstrip(b"\xef\xbb\xbf").startswith(_TEXT_STARTS.get(suffix, b"")):
        return _text(_TEXTS.get(suffix), data)
    return None


def _text(kind: FileType | None, data: bytes) -> FileType | None:
    """A text that is UTF-8 says so: else its reader takes it for ASCII (RFC 2046 4.1.2)."""
    if kind is None:
        return None
    try:
        data.decode()
    except UnicodeDecodeError:
        return kind
    return replace(kind, media_type=f"{kind.media_type}; charset=utf-8")


def _packed(name: str, data: bytes) -> FileType:
    """What a ZIP archive is, by its list of names."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            locked = any(entry.flag_bits & 1 for entry in archive.infolist())
            kind = _stated(archive, names)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        raise InputError(
            f"{name} is a ZIP archive that cannot be read.", remedy="Pack it anew."
        ) from error
    if len(names) > ENTRIES_MAX:
        raise InputError(
            f"{name} holds {len(names)} files; {ENTRIES_MAX} is the most.", remedy=_LINK
        )
    if locked:
        raise _refused(name, "an archive with a password")
    if any(_MACROS.search(entry) for entry in names):
        raise _refused(name, "a document with macros")
    office = next((kind for start, kind in _PACKED.items() if _holds(names, start)), None)
    if kind in _OPEN or office is not None:
        return _OPEN.get(kind, office or _ZIP)
    for entry in names:
        if _RUNS(entry.rpartition(".")[2].lower()) and not entry.endswith(_PAGES):
            raise _refused(name, "an archive with a program or script in it")
    return _ZIP


def _holds(names: list[str], start: str) -> bool:
    return "[Content_Types].xml" in names and any(entry.startswith(start) for entry in names)


def _stated(archive: zipfile.ZipFile, names: list[str]) -> str:
    """What an OpenDocument file says that it is: its first entry, never packed (ODF 1.2 3.3)."""
    if not names or names[0] != "mimetype":
        return ""
    entry = archive.infolist()[0]
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > _START:
        return ""
    return archive.read(entry).decode("ascii", "replace").strip()
