"""What a camera and a picture program write into a picture, taken out without touching the image.

Whole segments are left out and everything else stays octet for octet, so no quality is lost: a
library would write the image anew. EXIF tells where and with whose camera, XMP who edited what and
when; both go, with previews of how the picture was before it was cut. Kept are colours (ICC) and
the caption, credit and author of IPTC, which newsrooms read; and the orientation, in an EXIF of
nothing else: without it an upright picture lies on its side, and turning it would write it anew.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from distributor.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What is shown inside a mail: others are not drawn everywhere.
SHOWN: Final = frozenset({"image/jpeg", "image/png", "image/gif"})
#: Of these what tells of its maker is taken out.
CLEANED: Final = frozenset({"image/jpeg", "image/png"})
#: Of these nothing is taken out, though they may tell as much.
TELLING: Final = frozenset({"image/tiff", "image/webp", "image/heic"})

_PIXELS_MAX: Final = 20_000
_EXIF: Final = b"Exif\0\0"
_XMP: Final = (b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0")
_PHOTOSHOP: Final = b"Photoshop 3.0\0"
_IPTC: Final = 0x0404
_ORIENTATION: Final = 0x0112
_GPS: Final = 0x8825
_SHORT: Final = 3
_ENTRY: Final = 12
_UPRIGHT: Final = 1
_SIDEWAYS: Final = range(2, 9)
#: Orientations in which height and width change places.
_LYING: Final = range(5, 9)
#: A marker within the coded image: not a stuffed FF, nor a restart.
_MARKER: Final = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
_SOI, _EOI, _SOS, _COMMENT, _APP1, _APP2, _APP13 = 0xD8, 0xD9, 0xDA, 0xFE, 0xE1, 0xE2, 0xED
_APPS: Final = range(0xE0, 0xF0)
#: What a reader needs: JFIF's size, the colours of ICC and of Adobe. The others are programs' own.
_NEEDED: Final = {0xE0: b"JFIF\0", 0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PNG_START: Final = b"\x89PNG\r\n\x1a\n"
_PNG_TELLS: Final = frozenset({b"tEXt", b"iTXt", b"zTXt", b"tIME", b"eXIf"})


@dataclass(frozen=True, slots=True)
class Bare:
    """A picture without what is nobody's business; ``removed`` names it, for people.

    ``width`` and ``height`` are pixels as it is shown, after turning.
    """

    octets: bytes
    removed: tuple[str, ...]
    width: int
    height: int


def bare(data: bytes, media_type: str, *, name: str) -> Bare:
    """The picture without what tells of its maker, and how large it is.

    Raises:
        InputError: it is not whole, or no picture has that size. ``name`` is what it is called.

    """
    take = {"image/jpeg": _jpeg, "image/png": _png, "image/gif": _gif}[media_type]
    try:
        found = take(data)
    except (IndexError, struct.error, ValueError) as error:
        raise InputError(
            f"{name} is a damaged picture: it cannot be read to its end.",
            remedy="Save it anew from the original.",
        ) from error
    if not (0 < found.width <= _PIXELS_MAX and 0 < found.height <= _PIXELS_MAX):
        raise InputError(
            f"{name} has {found.width} by {found.height} pixels, which no mail shows.",
            remedy="Save it smaller; 1,600 pixels across is plenty.",
        )
    return found


# --- JPEG (ITU T.81 B) ---------------------------------------------------------------------------


def _jpeg(data: bytes) -> Bare:
    kept: list[bytes] = []
    told: list[str] = []
    width = height = 0
    turned, end = _UPRIGHT, 0
    for marker, segment, end in _segments(data):  # noqa: B007 - where the image ends is told last
        body = segment[4:]
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", body, 1)
        if marker == _APP1 and body.startswith(_EXIF):
            turned = _orientation(body[len(_EXIF) :]) or turned
        stays = segment if marker not in {*_APPS, _COMMENT} else _told(marker, segment, told)
        if stays:
            kept.append(stays)
    if end < len(data):
        told.append("what stood behind the image")
    if turned in _SIDEWAYS:
        # Behind JFIF, which must be the first (JFIF 1.02), or at the start.
        at = 1 + (len(kept) > 1 and kept[1][1] == _APPS[0])
        exif = _EXIF + _only_orientation(turned)
        kept.insert(at, struct.pack(">BBH", 0xFF, _APP1, len(exif) + 2) + exif)
    if turned in _LYING:
        width, height = height, width
    return Bare(b"".join(kept), tuple(dict.fromkeys(told)), width, height)


def _segments(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Each marker, its segment and where that ends, for one image; coded data go with SOS."""
    if data[:2] != b"\xff\xd8":
        raise ValueError
    yield _SOI, data[:2], 2
    at = 2
    while True:
        start = at
        while data[at + 1] == 0xFF:  # noqa: PLR2004 - fill bytes before a marker
            at += 1
        if data[at] != 0xFF:  # noqa: PLR2004 - a marker begins so
            raise ValueError
        marker = data[at + 1]
        if marker == _EOI:
            yield marker, data[at : at + 2], at + 2
            return
        (length,) = struct.unpack_from(">H", data, at + 2)
        end = at + 2 + length
        if length < 2 or end > len(data):  # noqa: PLR2004 - it counts itself
            raise ValueError
        if marker == _SOS:
            found = _MARKER.search(data, end)
            if found is None:
                raise ValueError
            end = found.start()
        yield marker, data[at if marker in _APPS else start : end], end
        at = end


def _told(marker: int, segment: bytes, told: list[str]) -> bytes:
    """What stays of a segment that is not the image; what goes is added to ``told``."""
    body = segment[4:]
    if marker == _COMMENT:
        told.append("a comment")
    elif marker == _APP1 and body.startswith(_EXIF):
        told.append(_exif_words(body[len(_EXIF) :]))
    elif marker == _APP1 and body.startswith(_XMP):
        told.append(_xmp_words(body))
    elif marker == _APP13 and body.startswith(_PHOTOSHOP):
        iptc = _iptc(body[len(_PHOTOSHOP) :])
        if len(iptc) + len(_PHOTOSHOP) < len(body):
            told.append("Photoshop's own notes")
        inner = _PHOTOSHOP + iptc
        return struct.pack(">BBH", 0xFF, marker, len(inner) + 2) + inner if iptc else b""
    elif marker == _APP2 and body.startswith(b"MPF\0"):
        told.append("further pictures behind the first")
    elif marker in _NEEDED and body.startswith(_NEEDED[marker]):
        return segment
    else:
        told.append("notes of a program or camera")
    return b""


def _iptc(resources: bytes) -> bytes:
    """Of Photoshop's resources the one with IPTC's fields; nothing when they cannot be read."""
    at = 0
    kept = b""
    while resources[at : at + 4] == b"8BIM":
        start = at
        (kind,) = struct.unpack_from(">H", resources, at + 4)
        at += 6
        at += (resources[at] + 2) & ~1  # the name, with its length, filled up to an even number
        (length,) = struct.unpack_from(">I", resources, at)
        at += 4 + length + (length & 1)
        if kind == _IPTC:
            kept += resources[start:at]
    return kept


# --- EXIF and XMP --------------------------------------------------------------------------------


def _entries(tiff: bytes) -> dict[int, tuple[int, bytes]]:
    """The tags of the first directory (TIFF 6.0 2): type and the four octets of the value."""
    order: Literal["<", ">"] = "<" if tiff[:2] == b"II" else ">"
    try:
        (at,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, at)
        found: dict[int, tuple[int, bytes]] = {}
        for start in range(at + 2, at + 2 + count * _ENTRY, _ENTRY):
            tag, kind = struct.unpack_from(f"{order}HH", tiff, start)
            found[tag] = (kind, tiff[start + 8 : start + _ENTRY])
    except struct.error:
        return {}
    return found


def _orientation(tiff: bytes) -> int | None:
    kind, value = _entries(tiff).get(_ORIENTATION, (0, b""))
    if kind != _SHORT or len(value) < 2:  # noqa: PLR2004 - a short
        return None
    return int.from_bytes(value[:2], "little" if tiff[:2] == b"II" else "big")


def _only_orientation(turned: int) -> bytes:
    """An EXIF directory that says how the picture is turned, and nothing else."""
    return struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, _ORIENTATION, _SHORT, 1, turned, 0, 0)


def _exif_words(tiff: bytes) -> str:
    return "EXIF with the place it was taken (GPS)" if _GPS in _entries(tiff) else "EXIF"


def _xmp_words(packet: bytes) -> str:
    return "XMP with the place it was taken (GPS)" if b"GPSLatitude" in packet else "XMP"


# --- PNG (ISO 15948) -----------------------------------------------------------------------------


def _png(data: bytes) -> Bare:
    kept = [_PNG_START]
    told: list[str] = []
    turned = _UPRIGHT
    at = len(_PNG_START)
    kind = b""
    while kind != b"IEND":
        (length,) = struct.unpack_from(">I", data, at)
        kind, end = data[at + 4 : at + 8], at + 12 + length
        chunk, body = data[at:end], data[at + 8 : end - 4]
        if len(chunk) < 12 + length:
            raise ValueError
        if kind == b"eXIf":
            turned = _orientation(body) or turned
            told.append(_exif_words(body))
        elif kind in _PNG_TELLS:
            is_xmp = b"XML:com.adobe.xmp" in body[:30]
            told.append(_xmp_words(body) if is_xmp else "texts and times")
        else:
            kept.append(chunk)
        at = end
    if at < len(data):
        told.append("what stood behind the image")
    width, height = struct.unpack_from(">II", data, 16)
    if turned in _SIDEWAYS:
        kept.insert(2, _chunk(b"eXIf", _only_orientation(turned)))
    if turned in _LYING:
        width, height = height, width
    return Bare(b"".join(kept), tuple(dict.fromkeys(told)), width, height)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


# --- GIF -----------------------------------------------------------------------------------------


def _gif(data: bytes) -> Bare:
    width, height = struct.unpack_from("<HH", data, 6)
    return Bare(data, (), width, height)
