"""A release from plain text: a draft and what was noticed on the way.

Invariant: bad input is a finding, never an exception; and no guess is passed off as a reading.
What cannot be placed with some certainty stays in the body or the notes, where a person sees it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from distributor.core.clause import Desk
from distributor.core.embargo import find_embargo
from distributor.core.model import (
    Boilerplate,
    Draft,
    EmbargoState,
    Finding,
    PressContact,
)
from distributor.core.opening import Opening, OpeningReader, is_label
from distributor.core.paragraphs import (
    Block,
    Line,
    blocks,
    clean_lines,
    is_bullet,
    paragraphs,
    undecorated,
    width_of,
    without_mark,
)
from distributor.core.presscontacts import (
    has_reach,
    is_contact_head,
    read_contacts,
)
from distributor.core.sections import Outline, Part, Section, outline
from distributor.core.speech import read_quotes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from distributor.core.agreement import Said
    from distributor.core.embargo import Found

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


def said_in(text: str, *, received: date, zone: str) -> tuple[Said, ...]:
    """What a release text says of its embargo, as far as it says it; see :func:`read_release`."""
    lines, _ = clean_lines(text)
    return find_embargo([line.text for line in lines], received=received, zone=zone).said


class _Reader:
    """Reads the parts of one text into a draft, adding findings as it goes."""

    def __init__(self, desk: Desk, width: int, findings: list[Finding]) -> None:
        self._desk = desk
        self._width = width
        self._findings = findings

    def read(self, parts: Outline, found: Found, labels: Sequence[Line]) -> Draft:
        """The draft."""
        released = frozenset(line.number for line in labels)
        flow = [line for s in parts.sections if s.part is Part.MAIN for line in self._flow(s)]
        main = OpeningReader(self._desk, released, self._findings).read(flow)
        label = main.label or next((line.text for line in labels if is_label(line.text)), None)
        contact_lines = [*main.contacts, *self._contact_lines(parts.sections)]
        notes, in_notes = self._notes(parts.sections)
        contacts = self._contacts([*contact_lines, *in_notes], notes)
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
        main: Opening,
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

    # --- contacts, notes, boilerplate ------------------------------------------------------

    def _contact_lines(self, sections: Iterable[Section]) -> list[Line]:
        lines: list[Line] = []
        for section in sections:
            if section.part is Part.CONTACTS:
                lines.extend(_spaced(section.blocks))
        return lines

    def _contacts(self, lines: Sequence[Line], notes: Sequence[str]) -> tuple[PressContact, ...]:
        read = read_contacts(lines, kept=notes)
        for name, number, line in read.more_numbers:
            message = (
                f"{name or 'A contact'} has a further number, {number}: only the first is kept"
            )
            self._tell("further-number", message, line)
        for words, line in dict.fromkeys(read.left_out):
            message = f"“{words}” stands with the press contacts and is left out of the mail"
            self._tell("contact-left-out", message, line, info=False)
        return _each_once(read.contacts)

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
            elif section.part is Part.CONTACTS:
                notes.extend(text for text in map(_sentence, self._flow(section)) if text)
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


def _each_once(contacts: Iterable[PressContact]) -> tuple[PressContact, ...]:
    """Contacts that stand in the text twice, once, with all that is said of them."""
    roles: dict[PressContact, dict[str, None]] = {}
    for contact in contacts:
        known = roles.setdefault(replace(contact, role=None), {})
        known.update(dict.fromkeys([contact.role] if contact.role else []))
    return tuple(replace(contact, role=", ".join(said) or None) for contact, said in roles.items())


def _spaced(run: Iterable[Block]) -> list[Line]:
    """The lines of blocks, with an empty one after each block."""
    return [line for block in run for line in (*block, Line(block[-1].number, ""))]


def _sentence(paragraph: Line) -> str | None:
    """A paragraph among contacts that is no contact: it must not get lost."""
    text = paragraph.text
    if len(text.split()) < 8 or has_reach(text) or is_contact_head(text):  # noqa: PLR2004
        return None
    return text


def _is_standing(section: Section) -> bool:
    """Whether unlabelled text after the end describes an organisation: bullets, or "X is a …"."""
    first = section.blocks[0][0].text if section.blocks else ""
    return is_bullet(first) or _subject(without_mark(first)) is not None


def _subject(text: str) -> str | None:
    """The organisation that "CMI is the only …" is about."""
    match = _SUBJECT_OF_PROSE.match(text)
    return None if match is None or match["name"].split()[0] in _PRONOUNS else match["name"]


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
