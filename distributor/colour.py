"""Colours as #rrggbb: how well one is read upon another, and one that is read better.

Contrast is that of WCAG 2.2, 1.4.3: (L1 + 0.05) / (L2 + 0.05) of the relative luminances; text
needs 4.5 (practice statement 53).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

#: The least contrast of text upon what it stands on.
CONTRAST_MIN: Final = 4.5
_COLOUR: Final = re.compile(r"#(?:[0-9a-f]{3}|[0-9a-f]{6})", re.IGNORECASE)
_LINEAR_BELOW: Final = 0.04045
_STEPS: Final = 100


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of a mail on one kind of screen.

    ``ink`` is text, ``soft`` a text that stands back a little, ``quiet`` small print, ``accent``
    links, ``line`` thin rules; ``paper`` what the mail stands on, ``ground`` what is around it.
    """

    ink: str
    soft: str
    quiet: str
    accent: str
    line: str
    paper: str
    ground: str


LIGHT: Final = Palette("#1d1d1b", "#45433e", "#595751", "#0b4f8a", "#cfccc4", "#ffffff", "#eceae4")
DARK: Final = Palette("#f1efe9", "#d9d6cd", "#b5b2a9", "#8ec5f5", "#45433e", "#1d1d1b", "#121211")


def palette_of(
    ours: Palette, *, ink: str, quiet: str, accent: str, paper: str, ground: str
) -> Palette:
    """A palette of chosen colours; what is not chosen is worked out from them, or is as in ours."""
    soft = ours.soft if (ink, quiet) == (ours.ink, ours.quiet) else mixed(ink, quiet, 0.6)
    line = ours.line if (ink, paper) == (ours.ink, ours.paper) else mixed(paper, ink, 0.2)
    return Palette(ink, soft, quiet, accent, line, paper, ground)


def normal(text: str) -> str | None:
    """``#RGB`` and ``#RRGGBB`` as ``#rrggbb``; None for what is no such colour."""
    if not _COLOUR.fullmatch(text):
        return None
    digits = text[1:].lower()
    return "#" + ("".join(2 * digit for digit in digits) if len(digits) == 3 else digits)  # noqa: PLR2004 - #abc


def contrast(one: str, other: str) -> float:
    """How well one colour is read upon the other: 1 (not at all) to 21."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def mixed(one: str, other: str, share: float) -> str:
    """``one`` with a ``share`` (0 to 1) of ``other``."""
    pairs = zip(_parts(one), _parts(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def readable(colour: str, paper: str) -> str:
    """``colour``, made darker or lighter by no more than it takes to be read upon ``paper``."""
    end = max(("#000000", "#ffffff"), key=lambda extreme: contrast(extreme, paper))
    steps = (mixed(colour, end, step / _STEPS) for step in range(_STEPS + 1))
    return next((step for step in steps if contrast(step, paper) >= CONTRAST_MIN), end)


def _parts(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _luminance(colour: str) -> float:
    red, green, blue = (
        part / 12.92 if part <= _LINEAR_BELOW else ((part + 0.055) / 1.055) ** 2.4
        for part in (value / 255 for value in _parts(colour))
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
