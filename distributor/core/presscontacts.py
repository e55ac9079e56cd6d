"""Whom journalists may ring: names, numbers and addresses in the contact lines of a release."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from distributor.core.model import PressContact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from distributor.core.paragraphs import Line

#: Characters of one contact line that are read.
_LIMIT: Final = 600

_EMAIL = re.compile(r"[A-Za-z0-9._%+'-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,6}")
_NUMBER = re.compile(
    r"(?<![\w/.@-])(?:\+ ?)?\(?[0-9][0-9 ().\u2010-\u2013-]{5,22}[0-9]"
    r"(?: ?(?:ext\.?|x) ?[0-9]{1,5})?(?![\w/@])",
    re.IGNORECASE,
)
_DATE = re.compile(r"[0-9]{1,4}[.-][0-9]{1,2}[.-][0-9]{1,4}")
_FAX = re.compile(r"\bfax\b[^0-9+]{0,6}$", re.IGNORECASE)
_LEAST_DIGITS, _MOST_DIGITS = 8, 15

_HEAD = re.compile(
    r"(?:(?:media|press|news|pr|editorial|interview|journalists'?|general|all)\s){0,3}"
    r"(?:relations\s)?(?:contacts?|enquir(?:y|ies)|inquir(?:y|ies))(?:\s(?:details|information|"
    r"for (?:the )?(?:media|press|journalists|editors)|\(media\)|only|to))?\s*"
    r"(?P<end>[:.\u2013-]|$)",
    re.IGNORECASE,
)
_LEAD = re.compile(
    r"(?:for|to arrange|to interview|please|if you|journalists|interviews?|press enquiries|"
    r"media enquiries)\b",
    re.IGNORECASE,
)
_ASK = re.compile(
    r"\b(?:contact(?:ing)?|call|ring|phone|speak (?:to|with)|get in touch with|e-?mail|reach)\b"
    r"(?: (?:the|our|please))?[:,]?\s*",
    re.IGNORECASE,
)
_LABELS = re.compile(
    r"\b(?:tel(?:ephone)?|phone|ph|mobile|mob|cell|"
    r"(?<!press )(?<!media )(?<!news )office|direct|switchboard|out of hours|e-?mail|"
    r"web(?:site)?|twitter|name|fax|landline|[temwp])\s*(?:no\.?|number)?\s*[:.](?!\w)",
    re.IGNORECASE,
)
_LABELLED = re.compile(r"(?:organi[sz]ation|company)\s*:\s*(?P<name>\S.*)", re.IGNORECASE)
_WEB = re.compile(r"(?:https?://|www\.)\S{1,200}|(?<!\S)@\w{2,30}", re.IGNORECASE)
_SPLIT = re.compile(r"[|;,()\[\]<>\t]|\s[-\u2013\u2014/]\s|:\s|:$")
_EDGE = re.compile(
    r"^(?:or|and|on|at|by|via|please|call|contact|contacts|email|the|of|from|with)\b\s*|"
    r"\s*\b(?:or|and|on|at|by|via|please|call|contact|email|tel|telephone|phone|mobile|mob|ext)\.?$",
    re.IGNORECASE,
)
_TITLE = re.compile(r"^(?:(?:mr|mrs|ms|miss|dr|prof|professor|sir|dame|rev)\.?\s)", re.IGNORECASE)
_NAME_WORD = re.compile(r"(?:[^\W\d_]\.|[^\W\d_][^\W\d_'\u2019-]*(?:['\u2019-][^\W\d_]+){0,3}\.?)")
_PARTICLES = frozenset(
    {"de", "da", "del", "della", "di", "la", "le", "van", "von", "der", "den", "ter", "bin", "al"},
)
#: Words that stand in offices and organisations, never in the name of a person.
_OFFICE = frozenset(
    {
        *("press", "media", "news", "office", "officer", "team", "manager", "director", "head"),
        *("communications", "communication", "comms", "relations", "affairs", "external", "public"),
        *(
            "newsroom",
            "desk",
            "newsdesk",
            "centre",
            "center",
            "department",
            "ministry",
            "spokesman",
        ),
        *("spokesperson", "spokeswoman", "editor", "assistant", "senior", "executive", "marketing"),
        *("campaigns", "digital", "chief", "lead", "consultant", "advisor", "adviser", "vice"),
        *("president", "corporate", "account", "enquiries", "inquiries", "information", "hours"),
        *("contact", "contacts", "details", "further", "more", "please", "interviews", "notes"),
        *("editors", "website", "visit", "available", "photos", "pictures", "policy", "hotline"),
    },
)
_ORGANISATION = frozenset(
    {
        *("university", "ltd", "limited", "plc", "inc", "llc", "llp", "corp", "gmbh", "trust"),
        *("council", "institute", "institution", "association", "foundation", "charity", "group"),
        *("society", "college", "school", "hospital", "nhs", "agency", "bureau", "commission"),
        *("federation", "union", "company", "partners", "pr", "museum", "gallery", "theatre"),
        *(
            "bank",
            "service",
            "services",
            "library",
            "department",
            "ministry",
            "office",
            "authority",
            "network",
            "alliance",
            "uk",
        ),
        *("international", "national", "newsroom", "desk", "newsdesk", "centre", "center"),
    },
)


@dataclass(frozen=True, slots=True)
class ContactLines:
    """The contacts read, and the numbers beyond the first of each: (name or "", number, line)."""

    contacts: tuple[PressContact, ...]
    more_numbers: tuple[tuple[str, str, int], ...] = ()


def has_reach(text: str) -> bool:
    """Whether a line holds a telephone number or an e-mail address."""
    if "=?" in text:  # what looks like an address in there is somebody's trick
        return False
    return bool(_EMAIL.search(text[:_LIMIT]) or next(_numbers(text[:_LIMIT]), None))


def is_contact_head(text: str) -> bool:
    """Whether a line opens a contact section: "Media contacts", "For more, please contact:"."""
    head = _HEAD.match(text[:_LIMIT])
    if head and (head["end"] or head.end() == len(text)):
        return True
    if not _LEAD.match(text):
        return False
    asks = bool(_ASK.search(text[:_LIMIT]))
    return asks and (text.endswith((":", "contact")) or has_reach(text))


def read_contacts(lines: Iterable[Line]) -> ContactLines:
    """The contacts in lines that are known to hold some; an empty line parts two of them."""
    reader = _Reader()
    for line in lines:
        reader.read(line)
    reader.close()
    return ContactLines(tuple(reader.found), tuple(reader.more))


class _Reader:
    """Collects names, numbers and addresses as they come; a new name begins a new contact."""

    def __init__(self) -> None:
        self.found: list[PressContact] = []
        self.more: list[tuple[str, str, int]] = []
        self._now = PressContact()
        # A name was read on this line, and no way to reach anybody since.
        self._is_named = False

    def read(self, line: Line) -> None:
        """One line, whose parts are taken in the order in which they stand."""
        text = line.text[:_LIMIT]
        if not text:
            if self._now.phone or self._now.email:
                self.close()
            return
        labelled = _LABELLED.match(text)
        if labelled:
            self._now = replace(self._now, organisation=labelled["name"])
            return
        self._is_named = False
        for kind, part in _parts(_without_lead(text)):
            if kind == "phone":
                self._phone(part, line.number)
            elif kind == "email":
                self._email(part)
            else:
                self._words(part)

    def close(self) -> None:
        """Keep the contact under way if it is one: a name, or a way to reach somebody."""
        now = self._now
        if now.name or now.phone or now.email:
            self.found.append(now)
        self._now = PressContact()

    def _phone(self, number: str, line: int) -> None:
        self._is_named = False
        if self._now.phone:
            self.more.append((self._now.name or "", number, line))
        else:
            self._now = replace(self._now, phone=number)

    def _email(self, address: str) -> None:
        self._is_named = False
        if self._now.email and self._now.email != address:
            kept = self._now
            self.close()
            self._now = PressContact(organisation=kept.organisation)
        self._now = replace(self._now, email=address)

    def _words(self, words: str) -> None:
        name, _, employer = words.partition(" at ")
        if is_name(name) and not self._is_named:
            if self._now.name or self._now.phone or self._now.email:
                self.close()
            self._now = replace(self._now, name=name)
            self._is_named = True
            words = employer
        elif employer:
            words = employer
        if words and (employer or is_organisation(words)):
            if self._now.organisation is None:
                self._now = replace(self._now, organisation=words)
            elif self._now.phone or self._now.email:
                self.close()
                self._now = PressContact(organisation=words)


def is_name(text: str) -> bool:
    """Whether ``text`` is the name of a person: two to five capitalised words, none an office."""
    words = _TITLE.sub("", text).split()
    if not 2 <= len(words) <= 5 or len(text) > 60:  # noqa: PLR2004 - the lengths of names
        return False
    for word in words:
        bare = word.casefold().strip(".")
        if bare in _OFFICE or bare in _ORGANISATION or not _NAME_WORD.fullmatch(word):
            return False
        if not word[0].isupper() and bare not in _PARTICLES:
            return False
    return words[0][0].isupper() and words[-1][0].isupper()


def is_organisation(text: str) -> bool:
    """Whether ``text`` is the name of an organisation or one of its offices."""
    words = text.split()
    return (
        len(words) <= 8  # noqa: PLR2004 - longer is a sentence
        and text[:1].isupper()
        and any(word.casefold().strip(".") in _ORGANISATION for word in words)
        and not {"officer", "manager", "director"} & {word.casefold() for word in words}
    )


def _without_lead(text: str) -> str:
    """``text`` without "For further information please contact" and "Media contact:"."""
    head = _HEAD.match(text)
    if head:
        return text[head.end() :]
    ask = _ASK.search(text) if _LEAD.match(text) else None
    return text[ask.end() :] if ask else text


def _parts(text: str) -> Iterator[tuple[str, str]]:
    """Numbers, addresses and the words between them, in order."""
    spans = [(match.start(), match.end(), "email") for match in _EMAIL.finditer(text)]
    others = _EMAIL.sub(lambda match: "|" * len(match[0]), text)
    spans.extend((start, end, "phone") for start, end in _numbers(others))
    at = 0
    for start, end, kind in sorted(spans):
        yield from (("words", words) for words in _chunks(text[at:start]))
        if not _FAX.search(text[at:start]):
            yield kind, text[start:end].rstrip(".-")
        at = end
    yield from (("words", words) for words in _chunks(text[at:]))


def _numbers(text: str) -> Iterator[tuple[int, int]]:
    for match in _NUMBER.finditer(text):
        digits = sum(character.isdigit() for character in match[0])
        if _LEAST_DIGITS <= digits <= _MOST_DIGITS and not _DATE.fullmatch(match[0]):
            yield match.span()


def _chunks(text: str) -> Iterator[str]:
    bare = _WEB.sub("|", _LABELS.sub("|", text))
    for chunk in _SPLIT.split(bare):
        words = chunk.strip(" .:*_#\u2022\u2013-")
        shorter = _EDGE.sub("", words).strip(" .:")
        while shorter != words:
            words, shorter = shorter, _EDGE.sub("", shorter).strip(" .:")
        if words:
            yield words
