"""Tiny pictures made by code, with whatever metadata a test wants in them."""

from __future__ import annotations

import struct
import zlib
from base64 import b64decode
from typing import Final

#: A grey square of 16 by 16 pixels as JPEG, baseline, without any metadata: nothing but JFIF.
_TABLE: Final = bytes([1]) * 64
PLACE: Final = b"51.5007N"


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def exif(*, orientation: int | None = None, gps: bool = False, order: str = "<") -> bytes:
    """An EXIF block of one directory, with a camera's name to be found."""
    tags: list[tuple[int, int, int, bytes]] = []
    if orientation is not None:
        tags.append((0x0112, 3, 1, struct.pack(f"{order}HH", orientation, 0)))
    if gps:
        tags.append((0x8825, 4, 1, struct.pack(f"{order}I", 8 + 2 + 12 * 2 + 4)))
    made = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(tags))
    for tag, kind, count, value in tags:
        made += struct.pack(f"{order}HHI", tag, kind, count) + value
    return made + bytes(4) + PLACE + b"Camera of Jane Doe"


def xmp(*, gps: bool = False) -> bytes:
    place = b"<exif:GPSLatitude>51,30N</exif:GPSLatitude>" if gps else b""
    return b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>by Jane Doe" + place + b"</x:xmpmeta>"


def photoshop(*resources: tuple[int, bytes]) -> bytes:
    made = b"Photoshop 3.0\0"
    for kind, body in resources:
        made += b"8BIM" + struct.pack(">H", kind) + b"\0\0" + struct.pack(">I", len(body)) + body
        made += bytes(len(body) & 1)
    return made


def jpeg(*extra: bytes, width: int = 16, height: int = 8, behind: bytes = b"") -> bytes:
    """A grey JPEG (ITU T.81): one component, every coefficient zero; ``extra`` segments follow."""
    dc = bytes([1, *([0] * 15), 0])
    ac = bytes([1, *([0] * 15), 0])
    blocks = -(-width // 8) * -(-height // 8)
    bits = "00" * blocks
    bits += "1" * (-len(bits) % 8)
    coded = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
    return b"".join(
        (
            b"\xff\xd8",
            segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"),
            *extra,
            segment(0xDB, bytes(1) + _TABLE),
            segment(0xC0, struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\0"),
            segment(0xC4, b"\0" + dc),
            segment(0xC4, b"\x10" + ac),
            segment(0xDA, b"\x01\x01\0\0\x3f\0"),
            coded.replace(b"\xff", b"\xff\0"),
            b"\xff\xd9",
            behind,
        )
    )


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(*extra: bytes, width: int = 16, height: int = 8, behind: bytes = b"") -> bytes:
    """A red PNG; ``extra`` chunks stand before the image."""
    rows = b"".join(b"\0" + b"\xc8\x1e\x1e" * width for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", head),
            *extra,
            chunk(b"IDAT", zlib.compress(rows, 9)),
            chunk(b"IEND", b""),
            behind,
        )
    )


#: The smallest GIF there is, one white dot.
GIF: Final = b64decode("R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs=")
PDF: Final = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
)
