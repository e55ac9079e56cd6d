"""A release from plain text: a draft and what was noticed on the way.

Invariant: bad input is a finding, never an exception; and no guess is passed off as a reading.
What cannot be placed with some certainty stays in the body or the notes, where a person sees it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from distributor.core.clause import Desk, completed
from distributor.core.embargo import find_embargo
from distributor.core.model import (
    Boilerplate,
    Dateline,
    Draft,
    EmbargoState,
    Finding,
    PressContact,
)
from distributor.core.paragraphs import (
    Block,
    Line,
    blocks,
    clean_lines,
    is_bullet,
    is_item,
    paragraphs,
    undecorated,
    width_of,
    without_mark,
)
from distributor.core.presscontacts import has_reach, is_contact_head, read_contacts
from distributor.core.sections import Outline, Part, Section, outline
from distributor.core.speech import read_quotes
from distributor.core.vocabulary import Day, Kind, plain, read_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from distributor.core.embargo import Found

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
_LABEL_JOIN = re.compile(r"\s*(?:[:|]|\s[\u2013\u2014-]\s)\s*(?P<headline>\S.*)")
_REFERENCE = re.compile(
    r"(?:ref(?:erence)?|our ref|release no|no|nr)\b[.:\s].{1,40}|"
    r"[A-Z]{2,6}[/-][0-9]{2,4}[/-][0-9]+",
    re.IGNORECASE,
)
_NAMED_FIELD = re.compile(
    r"(?:headline|title|subject|sub-?head(?:line|ing)?)\s*:\s*", re.IGNORECASE
)
#: "LONDON, 1 December 2026 (WIRE) --": a place in capitals or with a date, then a dash.
_DATELINE = re.compile(
    r"(?P<place>[A-Z][^\d()\u2013\u2014:;!?\u201c\"]{1,60}?)"
    r"(?:,?\s+(?P<date>[^()\u2013\u2014\u201c\"]{3,40}?))??\s*"
    r"(?:\((?P<wire>[^()]{1,40})\)|/(?P<slashed>[^/]{1,40})/)?\s*(?:--+|[\u2013\u2014]|\s-)\s+(?=\S)",
)
_DATE_FIRST = re.compile(
    r"(?P<date>[^()\u2013\u2014:\u201c\"]{6,40}?),?\s+(?P<place>[A-Z][A-Za-z .]{2,40}?)"
    r"\s*(?:--+|[\u2013\u2014]|\s-)\s+(?=\S)",
)
_PLACE_AND_DATE = re.compile(r"(?P<place>[A-Z][^\d:!?]{1,60}?)(?:,\s*|\s+)(?P<date>\S.{4,40})")
_PLACEHOLDER = re.compile(
    r"\bX{2,}[YZ]*\b|\bXYZ\b|\bTODO\b|\bTB[CA]\b|[Ll]orem ipsum|<insert\b|"
    r"\[(?:insert|name|date|tbc|add|quote)\b[^\]]{0,60}\]",
)
_SUBJECT_OF_PROSE = re.compile(
    r"(?:The )?(?P<name>[A-Z][\w&'\u2019.-]*(?: (?:[A-Z][\w&'\u2019.-]*|of|and|for|the|&|in)){0,7})"
    r"(?: \([A-Z]{2,10}\))? (?:is|are) (?:the|a|an|one of)\b",
)
_PRONOUNS = frozenset({"It", "This", "That", "There", "He", "She", "We", "They", "These", "Those"})


def read_release(text: str, *, received: date, zone: str) -> tuple[Draft, tuple[Finding, ...]]:
    """Take a release text apart.

    ``received`` is the day the desk got it, ``zone`` the desk's IANA zone: both only complete what
    an embargo wording leaves out, and the embargo's doubts say so. Findings are in the order of the
    text; those that concern all of it come first.

    Raises:
        EmbargoUnclear: The desk's ``zone`` is unknown. Nothing in ``text`` raises.

    """
    lines, findings = clean_lines(text)
    if not any(line.text for line in lines):
        message = "There is no text: the file is empty or holds blanks only"
        return Draft(), (Finding("empty", "error", message), *findings)
    desk = Desk(received, zone)
    found = find_embargo([line.text for line in lines], received=received, zone=zone)
    labels = [line for line in lines if line.number - 1 in found.lines]
    rest = [line for line in lines if line.number - 1 not in found.lines]
    reader = _Reader(desk, width_of(rest), findings)
    draft = reader.read(outline(blocks(rest)), found, labels)
    findings.extend(_about_embargo(found))
    findings.extend(_about_lines(lines))
    ordered = sorted(findings, key=lambda finding: finding.line or 0)
    return draft, tuple(ordered)


@dataclass(slots=True)
class _Main:
    """What the main text yields, as it is found."""

    label: str | None = None
    headline: Line | None = None
    subheadline: str | None = None
    dateline: Dateline | None = None
    contacts: list[Line] = field(default_factory=list[Line])
    body: list[str] = field(default_factory=list[str])


class _Reader:
    """Reads the parts of one text into a draft, adding findings as it goes."""

    def __init__(self, desk: Desk, width: int, findings: list[Finding]) -> None:
        self._desk = desk
        self._width = width
        self._findings = findings

    def read(self, parts: Outline, found: Found, labels: Sequence[Line]) -> Draft:
        """The draft."""
        main = self._main([s for s in parts.sections if s.part is Part.MAIN])
        label = main.label or next((line.text for line in labels if _is_label(line.text)), None)
        contact_lines = [*main.contacts, *self._contact_lines(parts.sections)]
        notes, in_notes = self._notes(parts.sections)
        contacts = self._contacts([*contact_lines, *in_notes])
        self._tell_missing(main, parts, contacts)
        return Draft(
            headline=main.headline.text if main.headline else None,
            subheadline=main.subheadline,
            label=undecorated(label) if label else None,
            embargo=found.embargo,
            dateline=main.dateline,
            body="\n\n".join(main.body),
            quotes=read_quotes(main.body),
            end_marker=parts.end_marker,
            contacts=contacts,
            notes=notes,
            boilerplate=self._boilerplate(parts.sections),
        )

    def _tell(self, code: str, message: str, line: int | None = None, *, info: bool = True) -> None:
        self._findings.append(Finding(code, "info" if info else "warning", message, line))

    def _tell_missing(
        self,
        main: _Main,
        parts: Outline,
        contacts: tuple[PressContact, ...],
    ) -> None:
        if main.headline is None:
            message = "No headline was found: put it on a line of its own before the text"
            self._findings.append(Finding("no-headline", "error", message))
        if not main.body:
            self._tell("no-body", "There is a headline but no text below it", info=False)
        if parts.end_marker is None:
            self._tell("no-end-marker", "No end marker (ENDS, ###) was found")
        if not contacts:
            self._tell("no-contact", "No press contact was found", info=False)
        for number in parts.more_markers:
            self._tell("second-end-marker", "The text is marked as ended a second time", number)

    # --- the main text ---------------------------------------------------------------------

    def _main(self, sections: Sequence[Section]) -> _Main:
        main = _Main()
        flow = [
            paragraph
            for section in sections
            for block in section.blocks
            for paragraph in paragraphs(block, self._width)
        ]
        at = 0
        while at < len(flow) and main.headline is None and self._head(flow[at], main):
            at += 1
        body = self._below_headline(flow[at:], main) if main.headline else flow[at:]
        self._first_paragraph(body, main)
        return main

    def _head(self, paragraph: Line, main: _Main) -> bool:
        """Take one paragraph above the text; False where the text has begun without a headline."""
        text = undecorated(paragraph.text)
        label = _LABEL.fullmatch(text) if main.label is None else None
        if label and _is_label(text):
            main.label = text
        elif label and (joined := _LABEL_JOIN.fullmatch(label["rest"])):
            main.label = text[: label.start("rest")]
            return self._head(Line(paragraph.number, joined["headline"]), main)
        elif main.dateline is None and (dateline := self._dateline_alone(text)):
            main.dateline = dateline
        elif has_reach(text) and len(text.split()) < 15:  # noqa: PLR2004 - a contact line
            main.contacts.append(paragraph)
        elif _REFERENCE.fullmatch(text):
            self._tell("reference", f"“{text}” was taken for a reference number", paragraph.number)
        elif not text or len(text) > _HEADLINE_LIMIT or self._dateline(text)[0]:
            return not text
        else:
            self._headline(_NAMED_FIELD.sub("", text, count=1), paragraph.number, main)
        return True

    def _headline(self, text: str, number: int, main: _Main) -> None:
        main.headline = Line(number, text)
        if len(text) > HEADLINE_LONG:
            message = f"The headline has {len(text)} characters; subjects show about 70"
            self._tell("headline-long", message, number, info=False)
        if "=?" in text:
            message = "The headline holds “=?”, which mail programs may take for encoded text"
            self._tell("encoded-word", message, number, info=False)

    def _below_headline(self, flow: Sequence[Line], main: _Main) -> Sequence[Line]:
        """Take the sub-headline and a dateline of its own; what is left is the body."""
        at = 0
        while at < len(flow):
            text = undecorated(flow[at].text)
            dateline = self._dateline_alone(text) if main.dateline is None else None
            if dateline:
                main.dateline = dateline
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

    def _first_paragraph(self, body: Sequence[Line], main: _Main) -> None:
        main.body = [paragraph.text for paragraph in body]
        if main.body and main.dateline is None:
            dateline, end = self._dateline(main.body[0])
            if dateline:
                main.dateline = dateline
                main.body[0] = main.body[0][end:]

    def _dateline(self, text: str) -> tuple[Dateline | None, int]:
        """A dateline at the beginning of a paragraph, and where the text goes on."""
        head = text[:140]
        for pattern in (_DATELINE, _DATE_FIRST):
            match = pattern.match(head)
            if match is None:
                continue
            place = match["place"].strip(" ,")
            day = self._day(match["date"] or "")
            if day is None and match["date"]:
                continue
            wired = pattern is _DATELINE and (match["wire"] or match["slashed"])
            if day or ((wired or place.isupper()) and len(place.split()) <= 5):  # noqa: PLR2004
                return Dateline(place, day), match.end()
        return None, 0

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

    # --- contacts, notes, boilerplate ------------------------------------------------------

    def _contact_lines(self, sections: Iterable[Section]) -> list[Line]:
        lines: list[Line] = []
        for section in sections:
            if section.part is Part.CONTACTS:
                lines.extend(_spaced(section.blocks))
        return lines

    def _contacts(self, lines: Sequence[Line]) -> tuple[PressContact, ...]:
        read = read_contacts(lines)
        for name, number, line in read.more_numbers:
            message = (
                f"{name or 'A contact'} has a further number, {number}: only the first is kept"
            )
            self._tell("further-number", message, line)
        return tuple(dict.fromkeys(read.contacts))

    def _notes(self, sections: Iterable[Section]) -> tuple[tuple[str, ...], list[Line]]:
        """The notes without their numbers, and the lines of those that are contacts."""
        notes: list[str] = []
        contacts: list[Line] = []
        for section in sections:
            if section.part is Part.NOTES or (
                section.part is Part.AFTER and not _is_standing(section)
            ):
                for paragraph in self._flow(section):
                    text = without_mark(paragraph.text)
                    if is_contact_head(text) and has_reach(text):
                        contacts.extend((Line(paragraph.number, text), Line(paragraph.number, "")))
                    elif text.strip(" *_-\u2013\u2014=#"):
                        notes.append(text)
        return tuple(notes), contacts

    def _boilerplate(self, sections: Iterable[Section]) -> tuple[Boilerplate, ...]:
        """One item per organisation: each "About X", and what stands unlabelled at the end."""
        items: dict[str | None, list[str]] = {}
        for section in sections:
            if section.part is Part.ABOUT:
                texts = [paragraph.text for paragraph in self._flow(section)]
                items.setdefault(section.title, []).extend(texts)
            elif section.part is Part.AFTER and _is_standing(section):
                self._standing(section, items)
        return tuple(
            Boilerplate("\n\n".join(texts), name) for name, texts in items.items() if texts
        )

    def _standing(self, section: Section, items: dict[str | None, list[str]]) -> None:
        name: str | None = None
        for index, paragraph in enumerate(self._flow(section)):
            text = without_mark(paragraph.text)
            # A list of bullets is about whoever its first one names.
            if index == 0 or not is_bullet(paragraph.text):
                name = _subject(text) or name
            items.setdefault(name, []).append(text)

    def _flow(self, section: Section) -> list[Line]:
        return [line for block in section.blocks for line in paragraphs(block, self._width)]


def _spaced(run: Iterable[Block]) -> list[Line]:
    """The lines of blocks, with an empty one after each block."""
    return [line for block in run for line in (*block, Line(block[-1].number, ""))]


def _is_standing(section: Section) -> bool:
    """Whether unlabelled text after the end describes an organisation: bullets, or "X is a …"."""
    first = section.blocks[0][0].text if section.blocks else ""
    return is_bullet(first) or _subject(without_mark(first)) is not None


def _subject(text: str) -> str | None:
    """The organisation that "CMI is the only …" is about."""
    match = _SUBJECT_OF_PROSE.match(text)
    return None if match is None or match["name"].split()[0] in _PRONOUNS else match["name"]


def _is_label(text: str) -> bool:
    match = _LABEL.fullmatch(undecorated(text))
    return bool(match) and len(text) <= 60 and not _LABEL_JOIN.fullmatch(match["rest"])  # noqa: PLR2004


def _about_embargo(found: Found) -> list[Finding]:
    embargo = found.embargo
    if embargo.state is not EmbargoState.UNCLEAR:
        return []
    code = "embargo-disagrees" if found.disagrees else "embargo-unclear"
    return [Finding(code, "warning", doubt) for doubt in embargo.doubts]


def _about_lines(lines: Sequence[Line]) -> list[Finding]:
    """Placeholders that somebody forgot, the first in each line."""
    found = ((line, _PLACEHOLDER.search(line.text[:5000])) for line in lines)
    return [
        Finding("placeholder", "warning", f"“{match[0]}” looks like a placeholder", line.number)
        for line, match in found
        if match
    ][:20]
