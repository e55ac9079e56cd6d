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
#: Words that only lead from one thing to the next, and labels.
_EMPTY: Final = frozenset(
    {
        *("or", "and", "on", "at", "by", "via", "please", "call", "contact", "contacts", "email"),
        *("the", "of", "from", "with", "to", "for", "in", "a", "an", "is", "are", "also", "can"),
        *("tel", "telephone", "phone", "mobile", "mob", "ext", "fax", "web", "website", "twitter"),
        *("more", "further", "information", "details", "visit", "e-mail", "mail", "name", "us"),
        *("media", "press", "enquiries", "inquiries", "number", "cell", "t", "m", "e", "w", "p"),
        *("notes", "editors", "ends", "our", "see", "follow", "be", "reached"),
    },
)
#: Longer ones are a sentence, and none about a person.
_ROLE_WORDS: Final = 8
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
    """The contacts read, and the numbers beyond the first of each: (name or "", number, line).

    ``left_out`` are words that went into no contact, with their line.
    """

    contacts: tuple[PressContact, ...]
    more_numbers: tuple[tuple[str, str, int], ...] = ()
    left_out: tuple[tuple[str, int], ...] = ()


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


def read_contacts(lines: Iterable[Line], *, kept: Iterable[str] = ()) -> ContactLines:
    """The contacts in lines that are known to hold some; an empty line parts two of them.

    Words that stand in a text ``kept`` elsewhere are not said again.
    """
    reader = _Reader(" ".join(" ".join(kept).split()))
    for line in lines:
        reader.read(line)
    reader.close()
    return ContactLines(tuple(reader.found), tuple(reader.more), tuple(reader.left_out))


class _Reader:
    """Collects names, numbers and addresses as they come; a new name begins a new contact."""

    def __init__(self, kept: str) -> None:
        self.found: list[PressContact] = []
        self.more: list[tuple[str, str, int]] = []
        self.left_out: list[tuple[str, int]] = []
        self._kept = kept
        self._line = 0
        self._now = PressContact()
        # A name was read on this line, and no way to reach anybody since.
        self._is_named = False

    def read(self, line: Line) -> None:
        """One line, whose parts are taken in the order in which they stand."""
        text, self._line = line.text[:_LIMIT], line.number
        if line.text[_LIMIT:].strip():
            self.left_out.append((line.text[_LIMIT:].strip(), line.number))
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
            elif kind == "other":
                self.left_out.append((part, line.number))
            else:
                self._words(part)

    def close(self) -> None:
        """Keep the contact under way if it is one: a name, or a way to reach somebody."""
        now = self._now
        if now.name or now.phone or now.email:
            self.found.append(now)
        elif now.role or now.organisation:
            self.left_out.append((now.belongs, self._line))
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
            self._beside(name)
            words = employer
        if not words:
            return
        if not employer and not is_organisation(words):
            self._beside(words)
        elif self._now.organisation is None:
            self._now = replace(self._now, organisation=words)
        elif self._now.phone or self._now.email:
            self.close()
            self._now = PressContact(organisation=words)
        elif words != self._now.organisation:
            self._beside(words)

    def _beside(self, words: str) -> None:
        """Keep what is neither name nor organisation with the contact that it stands by."""
        said = {word.strip(".").casefold() for word in words.split()}
        if said <= _EMPTY or words in self._kept:
            return
        if len(words.split()) > _ROLE_WORDS:
            self.left_out.append((words, self._line))
            return
        role = f"{self._now.role}, {words}" if self._now.role else words
        self._now = replace(self._now, role=role)


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
    """Numbers, addresses and the words between them, in order; "other" is no way to ring."""
    for web in _WEB.finditer(_EMAIL.sub("|", text)):
        yield "other", web[0].rstrip(".,;)")
    spans = [(match.start(), match.end(), "email") for match in _EMAIL.finditer(text)]
    others = _EMAIL.sub(lambda match: "|" * len(match[0]), text)
    spans.extend((start, end, "phone") for start, end in _numbers(others))
    at = 0
    for start, end, kind in sorted(spans):
        yield from (("words", words) for words in _chunks(text[at:start]))
        is_fax = _FAX.search(text[at:start])
        number = text[start:end].rstrip(".-")
        yield ("other", f"fax {number}") if is_fax else (kind, number)
        at = end
    yield from (("words", words) for words in _chunks(text[at:]))


def _numbers(text: str) -> Iterator[tuple[int, int]]:
    for match in _NUMBER.finditer(text):
        start, end = match.span()
        closed = match[0].find(")")
        if closed >= 0 and "(" not in match[0][:closed]:
            # "(weekdays 9 to 5) 020 7946 0123": what closes a bracket is no part of the number.
            start += closed + 1
            start += len(text[start:end]) - len(text[start:end].lstrip())
        number = text[start:end]
        digits = sum(character.isdigit() for character in number)
        if _LEAST_DIGITS <= digits <= _MOST_DIGITS and not _DATE.fullmatch(number):
            yield start, end


def _chunks(text: str) -> Iterator[str]:
    bare = _WEB.sub("|", _LABELS.sub("|", text))
    for chunk in _SPLIT.split(bare):
        words = chunk.strip(" .:*_#\u2022\u2013-")
        shorter = _EDGE.sub("", words).strip(" .:")
        while shorter != words:
            words, shorter = shorter, _EDGE.sub("", shorter).strip(" .:")
        if words:
            yield words
