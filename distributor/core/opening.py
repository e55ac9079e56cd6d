"""The main text of a release: label, headline, sub-headline, dateline, and the body below them.

Invariant: every paragraph is taken for one thing only, and what is not recognised stays in the
body. What was taken for a reference number or the sender's name is told.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from distributor.core.clause import Desk, completed
from distributor.core.model import Dateline, Finding
from distributor.core.paragraphs import Line, is_item, undecorated
from distributor.core.presscontacts import has_reach, is_organisation
from distributor.core.vocabulary import Day, Kind, plain, read_words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

#: A headline longer than this is told; one longer than the second is a paragraph, characters.
HEADLINE_LONG: Final = 150
_HEADLINE_LIMIT: Final = 300

_LABEL = re.compile(
    r"(?:(?:for immediate|embargoed|strictly embargoed|joint|official|regulatory)\s){0,2}"
    r"(?:(?:press|news|media)\s(?:release|statement|notice|alert|advisory|announcement|information)|"
    r"press\s(?:note|communiqu\u00e9)|statement|news\sfrom\s[^.]{1,40})\b"
    r"(?P<rest>.*)",
    re.IGNORECASE,
)
#: "European Commission - Press release"
_LABEL_AFTER = re.compile(
    r"[^:|\u2013\u2014-]{2,40}\s?[:|\u2013\u2014-]\s?(?:press|news|media)\s(?:release|statement)",
    re.IGNORECASE,
)
_LABEL_JOIN = re.compile(r"\s*(?:[:|]|\s[\u2013\u2014-]\s)\s*(?P<headline>\S.*)")
_REFERENCE = re.compile(
    r"(?:ref(?:erence)?|our ref|release no|no|nr)\b[.:\s].{1,40}|"
    r"[A-Z]{2,6}[/-][0-9]{2,4}[/-][0-9]+",
    re.IGNORECASE,
)
_NAMED_FIELD = re.compile(
    r"(?:headline|title|subject|sub-?head(?:line|ing)?)\s*:\s*", re.IGNORECASE
)
#: "LONDON, 1 December 2026 (WIRE) --": what stands before the first dash of a paragraph.
_DATELINE = re.compile(
    r"(?P<head>[A-Z0-9][^()/:;!?\u2013\u2014\u201c\"]{1,90}?)\s*"
    r"(?:\((?P<wire>[^()]{1,40})\)|/(?P<slashed>[^/]{1,40})/)?\s*(?:--+|[\u2013\u2014]|\s-)\s+(?=\S)",
)
_PLACE_AND_DATE = re.compile(r"(?P<place>[A-Z][^\d:!?]{1,60}?)(?:,\s*|\s+)(?P<date>\S.{4,40})")


@dataclass(slots=True)
class Opening:
    """What a main text yields, as it is found; ``contacts`` are lines that stood above it."""

    label: str | None = None
    headline: Line | None = None
    subheadline: str | None = None
    dateline: Dateline | None = None
    contacts: list[Line] = field(default_factory=list[Line])
    body: list[str] = field(default_factory=list[str])


class OpeningReader:
    """Reads the paragraphs of a main text, adding findings as it goes.

    ``released`` are the lines, by number, that a release line took up: they are not among the
    paragraphs, but where they stood tells a sender's name from a headline.
    """

    def __init__(self, desk: Desk, released: frozenset[int], findings: list[Finding]) -> None:
        """Take what the desk knows, and the list that findings go to."""
        self._desk = desk
        self._released = released
        self._findings = findings

    def read(self, flow: Sequence[Line]) -> Opening:
        """The opening and the body."""
        main = Opening()
        at = 0
        while at < len(flow) and main.headline is None and self._head(flow[at], main):
            at += 1
            if main.headline and self._is_masthead(flow[at - 1 : at + 1]):
                text, number = main.headline.text, main.headline.number
                self._tell("masthead", f"“{text}” was taken for the sender's name", number)
                main.headline = None
        body = self._below_headline(flow[at:], main) if main.headline else flow[at:]
        self._first_paragraph(body, main)
        return main

    def _tell(self, code: str, message: str, line: int, *, info: bool = True) -> None:
        self._findings.append(Finding(code, "info" if info else "warning", message, line))

    def _is_masthead(self, pair: Sequence[Line]) -> bool:
        """Whether the first of two paragraphs is the sender, with a release line below it."""
        if len(pair) < 2 or not is_organisation(pair[0].text):  # noqa: PLR2004 - a pair
            return False
        return any(pair[0].number < number < pair[1].number for number in self._released)

    def _head(self, paragraph: Line, main: Opening) -> bool:
        """Take one paragraph above the text; False where the text has begun without a headline."""
        text = undecorated(paragraph.text)
        label = _LABEL.fullmatch(text) if main.label is None else None
        if main.label is None and is_label(text):
            main.label = self._without_date(text, main)
        elif label and (joined := _LABEL_JOIN.fullmatch(label["rest"])):
            main.label = text[: label.start("rest")]
            return self._head(Line(paragraph.number, joined["headline"]), main)
        elif main.dateline is None and (dateline := self._dateline_alone(text)):
            main.dateline = dateline
        elif _is_contact(text):
            main.contacts.append(paragraph)
        elif _REFERENCE.fullmatch(text):
            self._tell("reference", f"“{text}” was taken for a reference number", paragraph.number)
        elif not text or len(text) > _HEADLINE_LIMIT or self._dateline(text)[0]:
            return not text
        else:
            self._headline(_NAMED_FIELD.sub("", text, count=1), paragraph.number, main)
        return True

    def _without_date(self, label: str, main: Opening) -> str:
        """A label without the date that stands beside it."""
        match = _LABEL.fullmatch(label)
        rest = match["rest"].strip(" :,|-\u2013") if match else ""
        day = self._day(rest) if match and rest else None
        if match is None or day is None:
            return label
        main.dateline = main.dateline or Dateline(None, day)
        return label[: match.start("rest")]

    def _headline(self, text: str, number: int, main: Opening) -> None:
        main.headline = Line(number, text)
        if len(text) > HEADLINE_LONG:
            message = f"The headline has {len(text)} characters; subjects show about 70"
            self._tell("headline-long", message, number, info=False)
        if "=?" in text:
            message = "The headline holds “=?”, which mail programs may take for encoded text"
            self._tell("encoded-word", message, number, info=False)

    def _below_headline(self, flow: Sequence[Line], main: Opening) -> Sequence[Line]:
        """Take the sub-headline and a dateline of its own; what is left is the body."""
        at = 0
        while at < len(flow):
            text = undecorated(flow[at].text)
            dateline = self._dateline_alone(text) if main.dateline is None else None
            if dateline:
                main.dateline = dateline
            elif _is_contact(text):
                main.contacts.append(flow[at])
            elif main.subheadline is None and self._is_subheadline(flow, at):
                main.subheadline = _NAMED_FIELD.sub("", text, count=1)
            else:
                break
            at += 1
        return flow[at:]

    def _is_subheadline(self, flow: Sequence[Line], at: int) -> bool:
        text = undecorated(flow[at].text)
        return (
            at + 1 < len(flow)
            and len(text) <= 200  # noqa: PLR2004 - longer is a paragraph
            and len(text.split()) > 2  # noqa: PLR2004 - shorter is a cross-heading
            and text[-1:] not in set('.!?:;,\u201d"\u2019')
            and not is_item(flow[at].text)
            and not self._dateline(text)[0]
        )

    def _first_paragraph(self, body: Sequence[Line], main: Opening) -> None:
        main.body = [paragraph.text for paragraph in body]
        if main.body and (main.dateline is None or main.dateline.place is None):
            # "**London** – " is how marked-up text writes it.
            text = main.body[0].replace("**", "", 2) if main.body[0][:2] == "**" else main.body[0]
            dateline, end = self._dateline(text)
            if dateline:
                day = dateline.date or (main.dateline.date if main.dateline else None)
                main.dateline = Dateline(dateline.place, day)
                main.body[0] = text[end:]

    def _dateline(self, text: str) -> tuple[Dateline | None, int]:
        """A dateline at the beginning of a paragraph, and where the text goes on."""
        match = _DATELINE.match(text[:140])
        if match is None:
            return None, 0
        head = plain(match["head"])
        words = [word for word in read_words(head) if word.kind in {Kind.DATE, Kind.WEEKDAY}]
        days = [word for word in words if isinstance(word.value, Day) and not word.value.doubt]
        if len(days) > 1:
            return None, 0
        first, last = (words[0].start, words[-1].end) if words else (len(head), len(head))
        place = " ".join((head[:first].strip(" ,"), head[last:].strip(" ,"))).strip()
        wired = match["wire"] or match["slashed"]
        if not _is_place(place) or not (days or wired or place.isupper()):
            return None, 0
        day = days[0].value if days else None
        return Dateline(place, completed(day, self._desk) if isinstance(day, Day) else None), (
            match.end()
        )

    def _dateline_alone(self, text: str) -> Dateline | None:
        """A line that is nothing but a date, or a place and a date."""
        bare = re.sub(r"^(?:date|issued|released)\s*:\s*", "", text, flags=re.IGNORECASE)
        day = self._day(bare)
        if day:
            return Dateline(None, day)
        match = _PLACE_AND_DATE.fullmatch(bare) if len(bare) <= 100 else None  # noqa: PLR2004
        day = self._day(match["date"]) if match else None
        if match and day and len(match["place"].split()) <= 5:  # noqa: PLR2004 - a place name
            return Dateline(match["place"].strip(" ,\u2013-"), day)
        return None

    def _day(self, text: str) -> date | None:
        """The date that ``text`` is, when it is nothing else and can be no other."""
        words = [word for word in read_words(plain(text)) if word.kind is not Kind.WEEKDAY]
        if len(words) == 1 and isinstance(words[0].value, Day) and not words[0].value.doubt:
            return completed(words[0].value, self._desk)
        return None


def _is_contact(text: str) -> bool:
    return has_reach(text) and len(text.split()) < 15  # noqa: PLR2004 - longer is a paragraph


def _is_place(text: str) -> bool:
    """Whether every word could belong to the name of a place: "Stoke on Trent, Staffordshire"."""
    words = text.replace(",", " ").split()
    return 0 < len(words) <= 6 and all(  # noqa: PLR2004 - longer is a sentence
        word[0].isupper() or word in {"of", "on", "upon", "and", "de", "la", "le", "am", "sur"}
        for word in words
    )


def is_label(text: str) -> bool:
    """Whether a line says no more than what kind of text it heads: "PRESS RELEASE"."""
    bare = undecorated(text)
    if len(bare) > 60:  # noqa: PLR2004 - a label is short
        return False
    match = _LABEL.fullmatch(bare)
    return bool(_LABEL_AFTER.fullmatch(bare)) or (
        match is not None and not _LABEL_JOIN.fullmatch(match["rest"])
    )
