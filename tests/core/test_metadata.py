"""What goes of a picture, what stays, and that the image itself is not touched."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.core.metadata import bare
from distributor.errors import InputError
from tests.pictures import (
    GIF,
    PLACE,
    chunk,
    exif,
    jpeg,
    photoshop,
    png,
    segment,
    xmp,
)

APP1, APP2, APP13, COMMENT = 0xE1, 0xE2, 0xED, 0xFE
ICC = segment(APP2, b"ICC_PROFILE\0\x01\x01 colours")
CAPTION = b"\x1c\x02\x78\0\x0bThe harbour"


def exif_segment(**said: object) -> bytes:
    return segment(APP1, b"Exif\0\0" + exif(**said))  # type: ignore[arg-type]


TURNED = exif_segment(orientation=6, gps=True)


@pytest.mark.parametrize(
    ("extra", "removed"),
    [
        (exif_segment(), "EXIF"),
        (exif_segment(gps=True), "EXIF with the place it was taken (GPS)"),
        (exif_segment(gps=True, order=">"), "EXIF with the place it was taken (GPS)"),
        (segment(APP1, xmp()), "XMP"),
        (segment(APP1, xmp(gps=True)), "XMP with the place it was taken (GPS)"),
        (segment(APP1, b"something else by Jane Doe"), "notes of a program or camera"),
        (segment(0xE0, b"JFXX\0\x10 a small picture"), "notes of a program or camera"),
        (segment(0xEF, b"Camera of Jane Doe"), "notes of a program or camera"),
        (segment(COMMENT, b"by Jane Doe"), "a comment"),
        (segment(APP2, b"MPF\0 more"), "further pictures behind the first"),
        (segment(APP13, photoshop((0x040C, b"a small picture"))), "Photoshop's own notes"),
        (segment(APP13, b"Adobe_CM by Jane Doe"), "notes of a program or camera"),
        (b"\xff\xff\xff" + segment(COMMENT, b"after fill bytes")[1:], "a comment"),
    ],
)
def test_what_tells_of_its_maker_goes_from_a_jpeg_and_the_rest_stays(
    extra: bytes, removed: str
) -> None:
    found = bare(jpeg(extra, ICC), "image/jpeg", name="a.jpg")
    assert found.removed == (removed,)
    assert found.octets == jpeg(ICC)
    assert (found.width, found.height) == (16, 8)


def test_caption_and_credit_of_iptc_stay_in_the_file() -> None:
    both = segment(APP13, photoshop((0x0404, CAPTION), (0x040C, b"preview"), (0x0422, exif())))
    found = bare(jpeg(both), "image/jpeg", name="a.jpg")
    assert found.octets == jpeg(segment(APP13, photoshop((0x0404, CAPTION))))
    assert found.removed == ("Photoshop's own notes",)
    alone = jpeg(segment(APP13, photoshop((0x0404, CAPTION))))
    assert bare(alone, "image/jpeg", name="a.jpg").octets == alone


def test_what_stands_behind_a_picture_goes() -> None:
    hidden = jpeg(exif_segment(gps=True))
    for made, kind in ((jpeg, "image/jpeg"), (png, "image/png")):
        found = bare(made(behind=hidden), kind, name="a")
        assert found.octets == made()
        assert found.removed == ("what stood behind the image",)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_picture_stays_turned_as_it_was_and_its_size_is_that_seen(
    orientation: int, order: str
) -> None:
    told = exif(orientation=orientation, gps=True, order=order)
    size = (8, 16) if orientation > 4 else (16, 8)
    for data, kind in (
        (jpeg(segment(APP1, b"Exif\0\0" + told)), "image/jpeg"),
        (png(chunk(b"eXIf", told)), "image/png"),
    ):
        found = bare(data, kind, name="a")
        assert PLACE not in found.octets
        assert b"Jane Doe" not in found.octets
        assert struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0) in found.octets
        assert (found.width, found.height) == size
        again = bare(found.octets, kind, name="a")
        assert again.octets == found.octets


def test_jfif_stays_the_first_segment() -> None:
    found = bare(jpeg(TURNED), "image/jpeg", name="a.jpg")
    assert found.octets[2:4] == b"\xff\xe0"
    assert found.octets.index(b"Exif\0\0") == found.octets.index(b"JFIF\0") + 14 + 4


@pytest.mark.parametrize(
    ("extra", "removed"),
    [
        (chunk(b"tEXt", b"Author\0Jane Doe"), "texts and times"),
        (chunk(b"zTXt", b"Author\0Jane Doe"), "texts and times"),
        (chunk(b"tIME", bytes(7)), "texts and times"),
        (chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp()), "XMP"),
        (
            chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(gps=True)),
            "XMP with the place it was taken (GPS)",
        ),
        (chunk(b"eXIf", exif(gps=True)), "EXIF with the place it was taken (GPS)"),
    ],
)
def test_what_tells_of_its_maker_goes_from_a_png_and_the_rest_stays(
    extra: bytes, removed: str
) -> None:
    gamma = chunk(b"gAMA", bytes(4))
    found = bare(png(gamma, extra), "image/png", name="a.png")
    assert found.octets == png(gamma)
    assert found.removed == (removed,)


def test_a_clean_picture_stays_octet_for_octet() -> None:
    for data, kind in ((jpeg(ICC), "image/jpeg"), (png(), "image/png"), (GIF, "image/gif")):
        found = bare(data, kind, name="a")
        assert found.octets == data
        assert found.removed == ()


@pytest.mark.parametrize("data", [jpeg(TURNED), png()])
def test_a_picture_that_is_cut_off_is_refused(data: bytes) -> None:
    kind = "image/png" if data[:1] == b"\x89" else "image/jpeg"
    for end in range(8, len(data)):
        with pytest.raises(InputError, match="is a damaged picture"):
            bare(data[:end], kind, name="a.x")


@given(st.binary(max_size=60), st.integers(0, 120))
def test_no_octets_break_the_reader(octets: bytes, at: int) -> None:
    for data, kind in ((jpeg(TURNED), "image/jpeg"), (png(), "image/png"), (GIF, "image/gif")):
        try:
            bare(data[:at] + octets + data[at + len(octets) :], kind, name="a")
        except InputError as refused:
            assert refused.remedy  # noqa: PT017 - either way is fine


@pytest.mark.parametrize("size", [{"width": 0}, {"height": 0}, {"width": 20_001}])
def test_a_size_that_no_picture_has_is_refused(size: dict[str, int]) -> None:
    with pytest.raises(InputError, match="pixels"):
        bare(png(**size), "image/png", name="a.png")  # type: ignore[arg-type]
