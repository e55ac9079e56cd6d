"""HTML of a mail that would do something: run, fetch, redirect, ask for input. It does not leave.

What a mail may hold is listed, and the rest refused: a list of what is dangerous is never whole.
The source of a template is read the same way, so that a fault is told by its line.

Sources: HTML Living Standard; reliability rows 14 and 15; practice statement 50.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_TAGS: Final = re.compile(
    "html|head|meta|title|style|body|table|caption|colgroup|col|thead|tbody|tfoot|tr|td|th|p|h[1-6]"
    "|a|img|ul|ol|li|dl|dt|dd|strong|em|b|i|u|s|small|sub|sup|q|cite|abbr|code|kbd|pre|blockquote"
    "|br|wbr|hr|div|span|center|font|del|ins|mark|time|bdi|bdo|address|article|section|header"
    "|footer|main|nav|figure|figcaption"
)
#: For Outlook, within conditional comments.
_OUTLOOK: Final = re.compile(r"(?:[ovw]:[a-z]+|xml)")
#: Attributes that fetch, send or run.
_ATTRIBUTES: Final = re.compile(
    "on.*|action|archive|background|classid|codebase|data|dynsrc|formaction|lowsrc|manifest|ping"
    "|poster|profile|srcdoc|srcset|xlink:href|xml:base"
)
_LINK: Final = re.compile(r"https?://|mailto:|tel:|#", re.IGNORECASE)
_PICTURE: Final = re.compile(r"https://|cid:", re.IGNORECASE)
_EQUIVALENTS: Final = frozenset({"content-type", "x-ua-compatible"})
#: Style that fetches or runs, and the sign that can hide it.
_STYLE: Final = re.compile(
    r"url\s*\(|image-set\s*\(|@import|expression\s*\(|behavior\s*:|-moz-binding|javascript:|\\",
    re.IGNORECASE,
)
#: Stands in a source where a value of the context will stand.
_VALUE: Final = "\ue000"
_CONSTRUCT: Final = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Active:
    """One thing that may not stand in a mail. ``unknown`` is a link whose start is a value."""

    what: str
    line: int
    says: str
    remedy: str
    unknown: bool = False


def active_in(html: str) -> list[Active]:
    """What may not stand in a mail, in the order it stands there."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.found


def active_in_source(name: str, source: str) -> list[Active]:
    """The same for a template, as far as its source tells; lines count from 1."""
    text = _CONSTRUCT.sub(_blank, source)
    return active_in(f"<style>{text}</style>" if name.endswith(".css") else text)


def place_of(active: Active, templates: Iterable[tuple[str, str]], otherwise: str) -> str:
    """File and line of the template that says so; ``otherwise`` when none is found to."""
    found = [
        (each.unknown, f"{name}, line {each.line}")
        for name, text in templates
        if name.endswith((".html.j2", ".css"))
        for each in active_in_source(name, text)
        if each.what == active.what
    ]
    return min(found, default=(True, otherwise))[1]


def _blank(construct: re.Match[str]) -> str:
    lines = "\n" * construct[0].count("\n")
    return f"{_VALUE}{lines}" if construct[0].startswith("{{") else f" {lines}"


class _Reader(HTMLParser):
    def __init__(self, *, outlook: bool = False, line: int = 0) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[Active] = []
        self._outlook = outlook
        self._before = line
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_style = tag == "style"
        outlook = self._outlook and _OUTLOOK.fullmatch(tag)
        if not (_TAGS.fullmatch(tag) or outlook):
            remedy = f"Take <{tag}> out: it is not for mail."
            self._tell(f"<{tag}>", f"<{tag}> would run, fetch or ask for something", remedy)
        for name, value in attrs:
            self._attribute(tag, name, value or "")

    def handle_endtag(self, tag: str) -> None:
        del tag
        self._in_style = False

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self._style(data, "<style>")

    def handle_comment(self, data: str) -> None:
        inner = _Reader(outlook=True, line=self._before + self.getpos()[0] - 1)
        inner.feed(data)
        inner.close()
        self.found += inner.found

    def handle_pi(self, data: str) -> None:
        if not self._outlook:
            self._tell("<?", f"“<?{data[:20]}” is no HTML", "Take it out.")

    def unknown_decl(self, data: str) -> None:
        if not data.startswith(("if", "endif")):
            self._tell("<![", f"“<![{data[:20]}” is no HTML", "Take it out.")

    def _attribute(self, tag: str, name: str, value: str) -> None:
        where = f"{name} of <{tag}>"
        if _ATTRIBUTES.fullmatch(name):
            remedy = f"Take {name} out: a mail runs and fetches nothing."
            self._tell(where, f"{where} would run or fetch something", remedy)
        elif name == "http-equiv" and value.strip().lower() not in _EQUIVALENTS:
            self._tell(where, f"{where} would act on its own", "Take it out.")
        elif name == "style":
            self._style(value, where)
        elif name in {"href", "src"}:
            self._address(tag, name, value)

    def _address(self, tag: str, name: str, value: str) -> None:
        """What programs skip within an address (HTML, "URL parsing") is skipped here."""
        bare = re.sub(r"[\x00-\x20\x7f-\x9f]", "", value)
        link = name == "href"
        if (_LINK if link else _PICTURE).match(bare):
            return
        schemes = "https:, http:, mailto: or tel:" if link else "https: or cid:"
        self._tell(
            f"{name} of <{tag}>",
            f"{name} of <{tag}> does not begin with {schemes}",
            f"Write the whole address there, with {schemes} before any value.",
            unknown=bare.startswith(_VALUE),
        )

    def _style(self, text: str, where: str) -> None:
        lines = text.split("\n")
        for number, line in enumerate(lines):
            for sign in _STYLE.findall(line):
                what = "a backslash" if sign == "\\" else f"“{sign}”"
                says = f"{what} in a style would fetch, run or hide something"
                self._tell(
                    f"{sign.lower()} in a style",
                    says,
                    f"Take it out of {where}; write signs themselves, in UTF-8.",
                    below=number,
                )

    def _tell(
        self, what: str, says: str, remedy: str, *, unknown: bool = False, below: int = 0
    ) -> None:
        line = self._before + self.getpos()[0] + below
        self.found.append(Active(what, line, says, remedy, unknown))
