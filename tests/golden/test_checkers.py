"""Checkers that others wrote find no fault in the HTML of any kind and language, by day or night.

html-validate reads the source, axe looks at the page as Chromium shows it. What they say and we
keep all the same stands here with its reason; a reason that is no longer needed is a failure too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import pytest
from playwright.sync_api import sync_playwright

from distributor.mail.compiling import decoded_parts
from tests.golden import judges
from tests.golden.drawn import ENCLOSING, HERE, KEPT, NAMES, mail, tried
from tests.leftout import leave_out

if TYPE_CHECKING:
    from collections.abc import Mapping

    from playwright.sync_api import Browser

#: What html-validate says of a mail, word for word, and why it stays.
KEPT_SOURCE: Final = {
    f'no-deprecated-attr: Attribute "{name}" is deprecated on <{element}> element': reason
    for name, element, reason in (
        ("cellpadding", "table", "Outlook draws with Word, which pads cells unless told here"),
        ("cellspacing", "table", "Outlook draws with Word, which parts cells unless told here"),
        ("width", "table", "Word takes a table's width from here alone"),
        ("align", "td", "Word centres the sheet by this and not by its margins"),
    )
}
#: What axe says of a mail, by its rule, and why it stays.
KEPT_PAGE: Final = {
    "landmark-one-main": "the page is the mail program's own; it has the main landmark",
    "region": "so it has the regions; ours would stand among them as if they were its own",
}
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
#: Every kind and language of ours, and one that runs from right to left.
LOOKED_AT: Final = (*KEPT, ENCLOSING, "drawn 4", "test of advance", "test of drawn 4")
READ: Final = (*NAMES, ENCLOSING, *(f"test of {name}" for name in NAMES))


def html_of(name: str) -> str:
    """The HTML of a mail, or of the test mail that it makes."""
    if name == ENCLOSING:
        return decoded_parts((HERE / f"{name}.eml").read_bytes())[1]
    one = mail(name.removeprefix("test of "))
    return decoded_parts(tried(one) if name.startswith("test of ") else one.data)[1]


@pytest.fixture(scope="module")
def source_findings() -> Mapping[str, list[str]]:
    pages = {name: html_of(name) for name in READ}
    plain = pages["plain"]
    spoiled = {
        "unclosed": plain.replace("</h1>", "", 1),
        "no language": plain.replace('<html lang="en"', "<html", 1),
        "no words for a picture": plain.replace("<h1", '<img src="a.png"><h1', 1),
        "a list in a paragraph": plain.replace("<h1", "<p><ul><li>a</li></ul></p><h1", 1),
    }
    return judges.checked(pages | spoiled)


def without_place(finding: str) -> str:
    return finding.partition(" ")[2]


@pytest.mark.parametrize("name", READ)
def test_the_source_is_html_as_the_standard_has_it(
    name: str, source_findings: Mapping[str, list[str]]
) -> None:
    odd = [said for said in source_findings[name] if without_place(said) not in KEPT_SOURCE]
    assert odd == []


def test_every_exception_of_the_source_is_still_needed(
    source_findings: Mapping[str, list[str]],
) -> None:
    said = {without_place(finding) for name in NAMES for finding in source_findings[name]}
    assert set(KEPT_SOURCE) - said == set()


@pytest.mark.parametrize(
    "fault", ["unclosed", "no language", "no words for a picture", "a list in a paragraph"]
)
def test_the_source_checker_sees_a_fault(
    fault: str, source_findings: Mapping[str, list[str]]
) -> None:
    assert [said for said in source_findings[fault] if without_place(said) not in KEPT_SOURCE]


#: A mail with a fault of each sort, and the rule of axe that must see it in which scheme.
FAULTS: Final[tuple[tuple[str, Literal["light", "dark"], tuple[str, str]], ...]] = (
    ("color-contrast", "light", ("color:#45433e", "color:#aaaaaa")),
    ("color-contrast", "dark", ("color: #d9d6cd !important", "color: #333333 !important")),
    ("html-has-lang", "light", ('<html lang="en-GB"', "<html")),
    ("image-alt", "dark", ("<h1", '<img src="a.png"><h1')),
    ("link-name", "light", (">write to unsubscribe@forum.example<", "><")),
)


class Looks:
    """What axe says of pages in one browser: the rules that fail, and those it is unsure of."""

    def __init__(self, browser: Browser, script: str) -> None:
        self._browser = browser
        self._script = script

    def at(self, html: str, scheme: Literal["light", "dark"]) -> dict[str, str]:
        """Rule -> what it says of the first place."""
        context = self._browser.new_context(
            color_scheme=scheme, viewport={"width": 600, "height": 800}, offline=True
        )
        page = context.new_page()
        page.set_content(html, wait_until="load")
        page.add_script_tag(content=self._script)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations', 'incomplete']})")
        context.close()
        return {
            rule["id"]: f"{rule['nodes'][0]['html'][:100]}: {rule['nodes'][0]['failureSummary']}"
            for rule in (*found["violations"], *found["incomplete"])
        }


@pytest.fixture(scope="module")
def page_findings() -> dict[tuple[str, str], dict[str, str]]:
    """Everything axe says, asked at once: the browser's loop must not outlive this fixture."""
    script, browser_path = judges.axe(), judges.chromium()
    if browser_path is None:
        leave_out("axe: no Chromium; on Debian: apt-get install chromium")
    html = html_of("embargoed-then-lifted")
    found: dict[tuple[str, str], dict[str, str]] = {}
    with sync_playwright() as playwright:
        launched: Any = playwright.chromium.launch(
            executable_path=browser_path, args=["--no-sandbox"]
        )
        looks = Looks(launched, script)
        for scheme in SCHEMES:
            for name in LOOKED_AT:
                found[name, scheme] = looks.at(html_of(name), scheme)
        for rule, scheme, (good, bad) in FAULTS:
            assert good in html, rule
            found[f"fault {rule}", scheme] = looks.at(html.replace(good, bad), scheme)
        launched.close()
    return found


@pytest.mark.slow
@pytest.mark.timeout(400)  # the browser looks at every page within the first one
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", LOOKED_AT)
def test_statement_53_axe_finds_the_page_fit_for_everybody(
    name: str, scheme: str, page_findings: Mapping[tuple[str, str], dict[str, str]]
) -> None:
    odd = {
        rule: said for rule, said in page_findings[name, scheme].items() if rule not in KEPT_PAGE
    }
    assert odd == {}


@pytest.mark.slow
@pytest.mark.timeout(400)  # the browser looks at every page within the first one
def test_every_exception_of_the_page_is_still_needed(
    page_findings: Mapping[tuple[str, str], dict[str, str]],
) -> None:
    assert set(KEPT_PAGE) - set(page_findings["plain", "light"]) == set()


@pytest.mark.slow
@pytest.mark.timeout(400)  # the browser looks at every page within the first one
@pytest.mark.parametrize(("rule", "scheme"), [(rule, scheme) for rule, scheme, _ in FAULTS])
def test_axe_sees_a_fault(
    rule: str, scheme: str, page_findings: Mapping[tuple[str, str], dict[str, str]]
) -> None:
    assert rule in page_findings[f"fault {rule}", scheme]
