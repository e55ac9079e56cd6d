"""Release notices: the sentences of a text that say when it may be published.

A trade embargo in a headline is none; a press embargo spoken of without a time is a mention.
Whatever says embargo about the text itself is a notice, readable or not: the reader holds what it
cannot read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from distributor.core.vocabulary import LIMIT, Kind, plain, read_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class NoticeKind(StrEnum):
    """What a sentence does to the release."""

    IMMEDIATE = "immediate"
    STATEMENT = "statement"
    MENTION = "mention"


@dataclass(frozen=True, slots=True)
class Notice:
    """One sentence about the release time.

    ``text`` is the sentence as typed, ``wording`` what follows its opening words, ``line`` counts
    from 0. ``whole``: the line says nothing else. ``negated``: a "not" or "unless" stands before.
    """

    kind: NoticeKind
    text: str
    wording: str
    line: int
    whole: bool = True
    negated: bool = False


#: Notices read in one text. No release has ten; a text with more than this is held anyway.
_MOST = 50
_KEYWORDS = ("embargo", "sperrfrist", "release", "publi", "broadcast", "hold", "not for", "use")
_DECORATION = ' \t\u00a0*#>_-\u2013\u2014~=|\u2022\u00b7"\u201c([{\ufeff'
#: The end of a sentence. Not after a.m., U.S. or a shortened weekday or month.
_SENTENCE_END = re.compile(
    r"(?<![AaPp]\.[Mm])(?<!U\.S)(?<!\b[A-Z][a-z][a-z])(?<!\b(?:Tues|Thur|Sept))[.;!?][*_]{0,2}\s"
    r"(?=[A-Z\u201c\"(*])",
)
#: What may stand in a wording without changing it: a reference number, and where it will appear.
_HARMLESS = re.compile(r"\b[A-Z]{3,6}-[0-9]{2}-[0-9]{3,5}\b|(?<=published )online\b")
_NEGATION = re.compile(r"\b(?:not|no longer|never|unless|except|isn't|aren't|if)\b", re.IGNORECASE)
_TODAY = re.compile(r"\b(?:today|tonight|tomorrow|noon|midnight)\b", re.IGNORECASE)
_PRESS = re.compile(
    r"\b(?:journalists?|reporters?|media|press|newsrooms?|news ?desks?|releases?|cop(?:y|ies)|"
    r"publi(?:cation|sh|shed)|briefings?|manuscripts?|broadcast(?:ers)?|this (?:report|study|paper|"
    r"document|material|information|content))\b",
    re.IGNORECASE,
)
_TRADE = re.compile(
    r"\b(?:arms|trade|oil|gas|weapons?|exports?|imports?|economic|grain|wheat|beef|fish|food|travel|"
    r"fuel|energy|sanctions|total|us|u\.s\.|eu|un|uk|american|russian?|cuban?|iran(?:ian)?|iraqi?|"
    r"chin(?:a|ese)|israeli?|arab|western|soviet) $",
    re.IGNORECASE,
)


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


_LABEL = r"(?:(?:press|news|media) (?:release|statement|notice)[ :,|-]{0,3})?"
_AT_ONCE = r"(?:immediate(?:ly)?|now|at once|(?:up)?on receipt)\b"
_IMMEDIATE = (
    _pattern(rf"^{_LABEL}(?:for )?immediate (?:release|publication|use|distribution|broadcast)\b"),
    _pattern(
        rf"^{_LABEL}(?:for )?(?:release|publication|use|broadcast)(?: date| time)?[ :-]{{1,3}}"
        rf"{_AT_ONCE}",
    ),
    _pattern(
        r"^embargo(?:ed)?(?: until| till| date| time)?[ :-]{1,3}(?:for )?"
        r"(?:immediate(?:ly)?\b(?: release\b)?|"
        r"(?:none|nil|n/a|no|no embargo|not applicable)[ .!*]*$)",
    ),
    _pattern(r"^(?:no embargo|not embargoed|not under embargo)[ .!*]*$"),
    # The one form that also stands beside something else on its line, in capitals.
    re.compile(r"(?<!NOT )\bFOR IMMEDIATE RELEASE\b"),
)
_OPENING = _pattern(
    r"^(?:(?:please note|note|important|strict(?:ly)?|absolute(?:ly)?|press|news|media|under|full|"
    r"a|this is|this release is|release|statement)[ :,|-]{1,3}){0,5}embargo(?:ed)?\b|^sperrfrist\b",
)
_BOUND = _pattern(
    r"^(?:until|till|til|before|lifts|ends|expires|date|time|notice|release|prior to)\b"
)
_BOUND_IF_TIMED = _pattern(r"^(?:on|against|of|over|to|in|from|by) ")
_UNTIL = _pattern(
    r"\bembargo(?:ed)?(?: (?:for|from) (?:release|publication|broadcast|use)[a-z ,]{0,30}?)?"
    r" (?:until|till|til|before|prior to)\b",
)
_SOMEWHERE = _pattern(
    r"\b(?:under (?:an? )?(?:strict |press |news |full )?embargo|embargo(?:ed)?)"
    r"(?: (?:lifts|ends|expires|time|date|is|will lift|will be lifted|until|for|at))?\b",
)
_OTHERWISE = (
    _pattern(r"^(?:strictly )?not for immediate (?:release|publication)\b"),
    _pattern(
        r"\bnot (?:to be |for )(?:release|publication|publish|broadcast|use|distribut|quot)"
        r"[a-z ,/&]{0,60}?\b(?:before|until|till|prior to)\b",
    ),
    _pattern(
        r"^(?:please )?(?:do not|don't|no) (?:publish|release|use|broadcast|publication|distribut)"
        r"[a-z ,/&]{0,60}?\b(?:before|until|till|prior to)\b",
    ),
    _pattern(r"^(?:please )?hold(?: for release| release)?(?: until| till|[:-])"),
    _pattern(r"^(?:please )?hold for release\b"),
)
_DATED = (
    _pattern(
        rf"^{_LABEL}for (?:release|publication|use|broadcast)"
        r"(?: on| at| after| from| until| not before|[ ]?[:-])?",
    ),
    _pattern(r"^release(?: date| time| on| at|[ ]?:)"),
)


def find_notices(lines: Sequence[str]) -> tuple[Notice, ...]:
    """Every notice of a text, in order."""
    found: list[Notice] = []
    for number, line in enumerate(lines):
        lowered = line.casefold()
        if any(word in lowered for word in _KEYWORDS):
            found.extend(_of_line(line, number))
        if len(found) >= _MOST:
            break
    return tuple(found)


def is_timed(wording: str) -> bool:
    """Whether a wording names a date, a time of day or a weekday."""
    kinds = {word.kind for word in read_words(plain(wording))}
    return bool(kinds & {Kind.DATE, Kind.TIME, Kind.WEEKDAY}) or bool(_TODAY.search(wording))


def _of_line(line: str, number: int) -> list[Notice]:
    sentences = list(_sentences(line))
    noticed = [(sentence, tuple(_classify(sentence))) for sentence in sentences]
    whole = all(kinds for _, kinds in noticed)
    return [
        Notice(kind, sentence.strip(), _HARMLESS.sub(" ", wording), number, whole, negated)
        for sentence, kinds in noticed
        for kind, wording, negated in kinds
    ]


def _sentences(line: str) -> Iterator[str]:
    start = 0
    for end in _SENTENCE_END.finditer(line):
        yield line[start : end.end()]
        start = end.end()
    yield line[start:]


def _classify(sentence: str) -> Iterator[tuple[NoticeKind, str, bool]]:
    """What a sentence says: kind, the wording after its opening words, and whether negated."""
    at = sentence.casefold().find("embargo")
    start = max(0, at - LIMIT // 4)
    text = plain(sentence[start:].lstrip(_DECORATION)).lstrip(_DECORATION)
    for pattern in _IMMEDIATE:
        match = pattern.search(text)
        if match:
            rest = text[match.end() :]
            yield NoticeKind.IMMEDIATE, rest, False
            if "embargo" in rest.casefold():
                yield from _classify_embargo(rest.lstrip(" :,.;|/-"))
            return
    if at >= 0 or "sperrfrist" in sentence.casefold():
        yield from _classify_embargo(text)
    else:
        yield from _classify_other(text)


def _classify_other(text: str) -> Iterator[tuple[NoticeKind, str, bool]]:
    if _after_not_before(text) != text:
        yield NoticeKind.STATEMENT, _after_not_before(text), False
        return
    for pattern in _DATED:
        match = pattern.search(text)
        rest = text[match.end() :] if match else ""
        # "For release in the UK" and "Released by the Agency" are no notices: the time must follow.
        words = read_words(rest)
        if words and words[0].kind not in {Kind.UNKNOWN, Kind.FILLER} and is_timed(rest):
            yield NoticeKind.STATEMENT, rest, False
            return


def _classify_embargo(text: str) -> Iterator[tuple[NoticeKind, str, bool]]:
    opening = _OPENING.match(text)
    if opening:
        rest = text[opening.end() :]
        kind = _judge_opening(text, rest)
        if kind is not None:
            yield kind, _after_not_before(rest), False
        return
    for pattern in (_UNTIL, _SOMEWHERE):
        match = pattern.search(text)
        if match is None or _is_trade(text[: match.start()], text[match.end() :]):
            continue
        rest = text[match.end() :]
        negated = bool(_NEGATION.search(text[: match.start()]))
        if pattern is _UNTIL or is_timed(rest):
            yield NoticeKind.STATEMENT, rest, negated
            return
        if _PRESS.search(text):
            yield NoticeKind.MENTION, rest, negated
            return
    if _after_not_before(text) != text:
        yield NoticeKind.STATEMENT, _after_not_before(text), False


def _after_not_before(text: str) -> str:
    """What follows "not for publication before"; all of ``text`` where that does not stand."""
    for pattern in _OTHERWISE:
        match = pattern.search(text)
        if match:
            return text[match.end() :]
    return text


def _judge_opening(text: str, rest: str) -> NoticeKind | None:
    """What a sentence that begins with the word embargo is."""
    stripped = rest.strip()
    if not stripped.strip(_DECORATION + ".!:)]") or re.match(
        r"[:,(|/.)]|-(?! ?[a-z]+ing\b)", stripped
    ):
        return NoticeKind.STATEMENT
    if _BOUND.match(stripped):
        return NoticeKind.STATEMENT
    if _BOUND_IF_TIMED.match(stripped):
        first = read_words(stripped.partition(" ")[2])
        timed = bool(first) and first[0].kind not in {Kind.UNKNOWN, Kind.FILLER}
        return NoticeKind.STATEMENT if timed or _TODAY.search(stripped) else None
    if is_timed(stripped) or any(character.isdigit() for character in stripped):
        return NoticeKind.STATEMENT
    return NoticeKind.MENTION if _PRESS.search(text) else None


def _is_trade(before: str, after: str) -> bool:
    if _TRADE.search(before):
        return True
    on = re.match(r" ?(?:on|against|of) ", after)
    return bool(on) and not is_timed(after[: LIMIT // 8])
