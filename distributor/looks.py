"""The house look as it can be set: colours, fonts, logo, footer, each checked when it is read."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from distributor.colour import CONTRAST_MIN, DARK, LIGHT, Palette, contrast, normal, palette_of
from distributor.colour import readable as made_readable
from distributor.fields import Line, Section, unprintable, wrong

_FONT: Final = re.compile(r"-?[A-Za-z][A-Za-z0-9 -]{0,39}")
_GENERIC: Final = ("serif", "sans-serif", "monospace", "system-ui", "ui-serif", "ui-sans-serif")
_FONTS_MAX: Final = 10
_LOGO: Final = re.compile(r"https://[A-Za-z0-9.-]{1,253}(:\d{1,5})?/[!-~]{1,500}")
_TAG: Final = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_FOOTER_MAX: Final = 1_000
_FOOTER_LINES_MAX: Final = 12


def _colour(value: str) -> str:
    colour = normal(value)
    if colour is None:
        raise wrong('is not a colour such as "#1d1d1b"')
    return colour


def _colour_or_none(value: str) -> str:
    return _colour(value) if value else ""


def _names(value: object) -> object:
    if isinstance(value, str):
        raise wrong('must be a list of names such as ["Georgia", "serif"]')
    return value


def _fonts(value: tuple[str, ...]) -> tuple[str, ...]:
    for name in value:
        if not _FONT.fullmatch(name):
            raise wrong(
                f"{name[:40]!r} is not the name of a font: letters, digits, blanks, hyphens"
            )
    if not value or value[-1] not in _GENERIC:
        raise wrong(f"must end with a kind that every reader has: {', '.join(_GENERIC)}")
    if len(value) > _FONTS_MAX:
        raise wrong(f"holds {len(value)} names; {_FONTS_MAX} are the most")
    return value


def _by_language(value: object) -> object:
    return {"*": value} if isinstance(value, str) else value


Colour = Annotated[str, AfterValidator(_colour)]
Fonts = Annotated[tuple[Line, ...], BeforeValidator(_names), AfterValidator(_fonts)]


class LookSettings(Section):
    """How mail looks: few colours, two fonts, a logo, a footer."""

    ink: Colour = Field(default=LIGHT.ink, description="Colour of text.")
    quiet: Colour = Field(default=LIGHT.quiet, description="Colour of small print.")
    accent: Colour = Field(default=LIGHT.accent, description="Colour of links.")
    paper: Colour = Field(default=LIGHT.paper, description="Colour a mail's text stands on.")
    ground: Colour = Field(default=LIGHT.ground, description="Colour around it.")
    dark_ink: Colour = Field(default=DARK.ink, description="On a dark screen: colour of text.")
    dark_quiet: Colour = Field(default=DARK.quiet, description="On a dark screen: small print.")
    dark_accent: Annotated[str, AfterValidator(_colour_or_none)] = Field(
        default="", description="On a dark screen: links; empty = accent, made light enough."
    )
    dark_paper: Colour = Field(
        default=DARK.paper, description="On a dark screen: what the text stands on."
    )
    dark_ground: Colour = Field(default=DARK.ground, description="On a dark screen: around it.")
    font: Fonts = Field(
        default=("Georgia", "Times New Roman", "serif"),
        description="Fonts of the text, the first that a reader has.",
    )
    plain_font: Fonts = Field(
        default=("-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif"),
        description="Fonts of what stands around the text.",
    )
    logo: Line = Field(default="", description="Address (https) of a picture; empty = no logo.")
    logo_alt: Line = Field(
        default="",
        max_length=200,
        description="What the logo says, for readers without pictures; needed with logo.",
    )
    logo_width: int = Field(
        default=160, ge=16, le=520, description="Width of the logo in pixels (16 to 520)."
    )
    footer: Annotated[dict[str, str], BeforeValidator(_by_language)] = Field(
        default={},
        description='Address and legal lines: one text, or by language { de = "…", "*" = "…" }.',
    )

    @field_validator("logo")
    @classmethod
    def _is_picture(cls, value: str) -> str:
        if value and (not _LOGO.fullmatch(value) or any(sign in value for sign in "\"'<>\\")):
            raise wrong("is not an address such as https://www.example.org/logo.png")
        return value

    @field_validator("footer")
    @classmethod
    def _is_footer(cls, value: dict[str, str]) -> dict[str, str]:
        for language, text in value.items():
            if language != "*" and not _TAG.fullmatch(language):
                raise wrong(f'"{language[:40]}" is not a language such as de, nor *')
            if len(text) > _FOOTER_MAX:
                raise wrong(f"has {len(text)} characters; {_FOOTER_MAX} are the most")
            if unprintable(text.replace("\n", "")):
                raise wrong("holds a control character; only line feeds may stand there")
            if text.strip().count("\n") >= _FOOTER_LINES_MAX:
                raise wrong(f"has more than {_FOOTER_LINES_MAX} lines")
        return value

    @model_validator(mode="after")
    def _has_words(self) -> LookSettings:
        if self.logo and not self.logo_alt.strip():
            raise wrong("is missing: readers without pictures see it instead", key="logo_alt")
        return self

    @model_validator(mode="after")
    def _can_be_read(self) -> LookSettings:
        for before, palette in (("", self.light), ("dark_", self.dark)):
            shown = {"ink": palette.ink, "quiet": palette.quiet, "accent": palette.accent}
            for key, colour in {**shown, "quiet ": palette.soft}.items():
                ratio = contrast(colour, palette.paper)
                if ratio < CONTRAST_MIN:
                    better = made_readable(colour, palette.paper)
                    what = (
                        f"{colour} on {before}paper {palette.paper} has a contrast of "
                        f"{ratio:.1f}:1, and text needs {CONTRAST_MIN}:1; {better} would do"
                    )
                    raise wrong(what, key=f"{before}{key.strip()}")
        return self

    @property
    def light(self) -> Palette:
        """The colours on a light screen."""
        return palette_of(
            LIGHT,
            ink=self.ink,
            quiet=self.quiet,
            accent=self.accent,
            paper=self.paper,
            ground=self.ground,
        )

    @property
    def dark(self) -> Palette:
        """The colours on a dark screen."""
        ours = (self.accent, self.dark_paper) == (LIGHT.accent, DARK.paper)
        derived = DARK.accent if ours else made_readable(self.accent, self.dark_paper)
        return palette_of(
            DARK,
            ink=self.dark_ink,
            quiet=self.dark_quiet,
            accent=self.dark_accent or derived,
            paper=self.dark_paper,
            ground=self.dark_ground,
        )
