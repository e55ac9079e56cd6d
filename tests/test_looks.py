"""The house look: what can be set, what is refused, and what a mail makes of it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from distributor.app import stationery_of
from distributor.colour import CONTRAST_MIN, DARK, LIGHT, contrast, mixed, normal, readable
from distributor.config import load
from distributor.core.approval import seal_of
from distributor.core.message import merge
from distributor.errors import ConfigError
from distributor.mail.compiling import compile_message, decoded_parts
from distributor.settings import Settings
from tests.builders import a_version
from tests.golden.samples import ADVANCE, PERSONAL, PLAIN, TEMPLATES

if TYPE_CHECKING:
    from pathlib import Path

    from distributor.core.message import CompiledMessage, ReleaseContent


def loaded(folder: Path, look: str) -> Settings:
    path = folder / "config.toml"
    path.write_text(f"[look]\n{look}\n", encoding="utf-8")
    return load(path)


def compiled(folder: Path, look: str, content: ReleaseContent = PLAIN) -> CompiledMessage:
    return compile_message(content, kind="release", templates=stationery_of(loaded(folder, look)))


def parts(folder: Path, look: str, content: ReleaseContent = PLAIN) -> tuple[str, str]:
    return decoded_parts(merge(compiled(folder, look, content), PERSONAL))


def test_without_a_look_a_mail_is_what_it_was(tmp_path: Path) -> None:
    plain = compile_message(PLAIN, kind="release", templates=TEMPLATES)
    assert compiled(tmp_path, "").digest == plain.digest
    assert (Settings().look.light, Settings().look.dark) == (LIGHT, DARK)


def test_colours_and_fonts_stand_in_the_mail(tmp_path: Path) -> None:
    _, html = parts(
        tmp_path,
        'ink = "#002"\naccent = "#900000"\npaper = "#fffef8"\nground = "#dddddd"\n'
        'font = ["Source Serif 4", "serif"]\nplain_font = ["Inter", "sans-serif"]',
    )
    for shown in ("#000022", "#900000", "#fffef8", "#dddddd", "Source Serif 4", "Inter"):
        assert shown in html
    assert LIGHT.ink not in html.partition("@media")[0].partition("<body")[2]
    for ours in (LIGHT.accent, "Georgia", "Segoe UI"):
        assert ours not in html


@pytest.mark.parametrize("accent", ["#900000", "#0b4f8a", "#003300", "#000000", "#5a2a82"])
def test_links_on_a_dark_screen_are_made_light_enough(accent: str, tmp_path: Path) -> None:
    look = loaded(tmp_path, f'accent = "{accent}"').look
    assert contrast(look.dark.accent, look.dark.paper) >= CONTRAST_MIN
    assert contrast(look.light.accent, look.light.paper) >= CONTRAST_MIN
    assert look.dark.accent in parts(tmp_path, f'accent = "{accent}"')[1]


REFUSED = [
    ('ink = "red"', "look.ink", 'is not a colour such as "#1d1d1b"', "Colour of text"),
    ('ink = "#12345g"', "look.ink", "is not a colour", "Colour of text"),
    ('paper = "#fff; } body { x: url(y)"', "look.paper", "is not a colour", "stands on"),
    ('accent = "#cccccc"', "look.accent", "1.6:1, and text needs 4.5:1", "Colour of links"),
    ('quiet = "#999999"', "look.quiet", "on paper #ffffff has a contrast of 2.8:1", "small print"),
    ('paper = "#333333"', "look.ink", "on paper #333333 has a contrast", "Colour of text"),
    ('dark_accent = "#222222"', "look.dark_accent", "on dark_paper #1d1d1b", "On a dark screen"),
    ('dark_paper = "#eeeeee"', "look.dark_ink", "on dark_paper #eeeeee", "On a dark screen"),
    ('font = "Georgia, serif"', "look.font", "must be a list of names", "Fonts of the text"),
    ('font = ["Georgia"]', "look.font", "must end with a kind that every reader has", "Fonts"),
    ('font = ["x; } p {", "serif"]', "look.font", "is not the name of a font", "Fonts"),
    ("font = []", "look.font", "must end with a kind", "Fonts"),
    ('logo = "http://x.example/a.png"', "look.logo", "https://www.example.org/logo.png", "https"),
    ('logo = "javascript:alert(1)"', "look.logo", "is not an address", "https"),
    ("logo = 'https://x.example/\" onerror=\"x'", "look.logo", "is not an address", "https"),
    ('logo = "https://a:b@x.example/a.png"', "look.logo", "is not an address", "https"),
    ('logo = "https://x.example/a.png"', "look.logo_alt", "readers without pictures", "needed"),
    ("logo_width = 5000", "look.logo_width", "less than or equal to 520", "pixels"),
    ('footer = "a\\r\\nBcc: x@y.example"', "look.footer", "holds a control character", "legal"),
    ('footer = "a\\u0000b"', "look.footer", "holds a control character", "legal"),
    ('footer = "a\\u2028b"', "look.footer", "holds a control character", "legal"),
    ('footer = { German = "x" }', "look.footer", '"German" is not a language', "legal"),
    (f'footer = "{"x" * 100_000}"', "look.footer", "has 100000 characters; 1000", "legal"),
    ('footer = "x' + "\\nx" * 12 + '"', "look.footer", "more than 12 lines", "legal"),
    ('footr = "x"', "look.footr", "is not a known key", "Did you mean look.footer?"),
    ('logo_alt = "a\\nb"', "look.logo_alt", "holds a line break", "without pictures"),
]


@pytest.mark.parametrize(("line", "key", "says", "remedy"), REFUSED)
def test_what_cannot_be_is_refused_by_file_line_and_key_with_a_remedy(
    line: str, key: str, says: str, remedy: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(tmp_path, line)
    said = str(refused.value)
    assert said.startswith(f"{tmp_path}/config.toml line ")
    assert f"{key}" in said
    assert says in said
    assert remedy in (refused.value.remedy or "")
    assert len(said) < 400


def test_the_colour_that_would_do_does(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(tmp_path, 'accent = "#ff8800"')
    found = re.search(r"(#\w{6}) would do", str(refused.value))
    assert found
    assert loaded(tmp_path, f'accent = "{found[1]}"').look.accent == found[1]


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert contrast("#ffffff", "#ffffff") == 1
    assert (normal("#AbC"), normal("#A1B2C3"), normal("abc"), normal("#abcd")) == (
        "#aabbcc",
        "#a1b2c3",
        None,
        None,
    )
    assert mixed("#000000", "#ffffff", 0.5) == "#808080"
    assert readable("#0b4f8a", "#ffffff") == "#0b4f8a"


LOGO = (
    'logo = "https://www.forum.example/logo.png?v=1&w=2"\n'
    'logo_alt = "Harbour & \\"Trust\\""\nlogo_width = 120'
)


def test_statement_55_the_mail_holds_without_its_logo(tmp_path: Path) -> None:
    text, html = parts(tmp_path, LOGO, ADVANCE)
    [logo] = re.findall(r"<img [^>]*>", html)
    assert 'src="https://www.forum.example/logo.png?v=1&amp;w=2"' in logo
    assert 'alt="Harbour &amp; &quot;Trust&quot;"' in logo
    assert 'width="120"' in logo
    without = re.sub(r"<style.*?</style>|<[^>]*>", "", html.replace(logo, ""), flags=re.DOTALL)
    for part in (text, without):
        assert "EMBARGOED until 00:01 on Tuesday 1 December 2026" in part
        assert ADVANCE.draft.headline is not None
        assert ADVANCE.draft.headline in part
        assert "Harbour Trust" in part
        assert "Marian Okafor" in part
    assert "logo" not in text


FOOTER = (
    'footer = { "*" = "Harbour Trust\\n1 Quay & Co <x>, www: https://forum.example/legal", '
    'de = "Hafenstiftung, Kai 1" }'
)


@pytest.mark.parametrize(
    ("language", "shown", "hidden"),
    [("en", "1 Quay & Co <x>", "Hafen"), ("fr", "1 Quay", "Hafen"), ("de-AT", "Kai 1", "1 Quay")],
)
def test_the_footer_of_the_language_stands_in_both_parts(
    language: str, shown: str, hidden: str, tmp_path: Path
) -> None:
    text, html = parts(tmp_path, FOOTER, replace(PLAIN, language=language))
    assert shown in text
    assert hidden not in text
    assert shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in html
    assert hidden not in html
    assert text.index("Sent to" if language == "en" else "jane.doe@") < text.index(shown)


def test_i6_the_seal_binds_the_look(tmp_path: Path) -> None:
    (tmp_path / "own" / "release").mkdir(parents=True)
    (tmp_path / "own" / "release" / "body.txt.j2").write_text("{{ recipient.name | upper }}")
    (tmp_path / "own" / "release" / "body.html.j2").write_text(
        "<p style='color: {{ look.light.ink }}'>{{ recipient.name | upper }}</p>"
    )
    own = '\n[templates]\nfolder = "own"'
    for more in ("", own):
        seals = {
            seal_of(a_version(), (compiled(tmp_path, look + more).digest,))
            for look in ("", 'accent = "#900000"', LOGO, FOOTER, 'ink = "#000000"')
        }
        assert len(seals) == 5
    assert compiled(tmp_path, own).script is not None
