"""The house look as a template sees it: colours, fonts, logo and footer.

Invariant: whatever a reader must know stands in text. The logo is a picture beside the
organisation's name, never in its place (practice statement 55).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from distributor.colour import DARK, LIGHT, Palette

if TYPE_CHECKING:
    from collections.abc import Iterable

_FONT: Final = 'Georgia, "Times New Roman", serif'
_PLAIN_FONT: Final = '-apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'


@dataclass(frozen=True, slots=True)
class Logo:
    """A picture at an https address, what it says, and its width in pixels."""

    url: str
    alt: str
    width: int


@dataclass(frozen=True, slots=True)
class Look:
    """The look of one house.

    ``font`` and ``plain_font`` are as CSS writes them; ``footer`` is text by language tag, "*" that
    of every language not named.
    """

    light: Palette = LIGHT
    dark: Palette = DARK
    font: str = _FONT
    plain_font: str = _PLAIN_FONT
    logo: Logo | None = None
    footer: tuple[tuple[str, str], ...] = ()

    def values(self, language: str) -> dict[str, object]:
        """What a template may show of it, in a mail of that language."""
        return {
            "light": asdict(self.light),
            "dark": asdict(self.dark),
            "font": self.font,
            "plain_font": self.plain_font,
            "logo": asdict(self.logo) if self.logo else {"url": "", "alt": "", "width": 0},
            "footer": self._footer(language),
        }

    def _footer(self, language: str) -> list[str]:
        """By the whole tag, or its language, or the one for all (RFC 4647 3.4)."""
        footer = {tag.lower(): text for tag, text in self.footer}
        tag = language.lower()
        text = next((footer[key] for key in (tag, tag.partition("-")[0], "*") if key in footer), "")
        return [line.strip() for line in text.splitlines() if line.strip()]


#: The look of a desk that has set none.
OURS: Final = Look()


def fonts(names: Iterable[str]) -> str:
    """Names of fonts as CSS writes them; one with a blank stands in quotation marks."""
    return ", ".join(f'"{name}"' if " " in name else name for name in names)
