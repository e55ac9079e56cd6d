"""Mails to judge by their final bytes: the kept ones, and others drawn by chance, always the same.

What is drawn is awkward on purpose: words longer than a line, writing of all directions, text that
looks like a header, an encoded word, markup or the end of a mail.
"""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from distributor.core.final import FinalBytes
from distributor.core.message import ReleaseContent
from distributor.core.model import Boilerplate, Dateline, Draft, PressContact, Recipient, Sender
from distributor.core.trial import mark_of
from distributor.core.wording import direction
from distributor.mail.compiling import compile_message, letter_of, release_line_of
from distributor.mail.marking import Addressed, marked
from tests.golden.samples import GOLDEN, LIFT, TEMPLATES
from tests.golden.sequels import SEQUELS

HERE: Final = Path(__file__).parent
#: So many are drawn; the number is also what each is drawn by.
DRAWS: Final = 8

_PIECES: Final = (
    *("the harbour", "ferry", "Überraschung", "Żółć", "naïveté", "港の連絡船", "عبّارة الميناء"),
    *(
        "מעבורת",
        "😀👩‍👩‍👧‍👦",
        "e\u0301tude",
        "x" * 90,
        "ß" * 60,
        "=?utf-8?q?=0D=0A?=",
        "Bcc: i@e.example",
    ),
    *("<b>bold</b>", "&amp;", '"quoted"', "a\\b", "50 %", "=41", "(comment)", "a,b;c", "{{ 7 }}"),
    *("From here", ".", "..", "--", "https://forum.example/a?b=c&d=e", "tab\there", "12 €"),
)
_NAMES: Final = (
    *("Marian Okafor", "Zoë Müller-Lüdenscheidt", "O'Brien, Pat", "佐藤 花子", '"Q" <q>'),
    *("=?x?q?y?=", "Maximiliana " * 9 + "Long", ""),
)
_LANGUAGES: Final = ("en-GB", "de-AT", "fr", "es", "ar", "pl")


class Mail(NamedTuple):
    """One mail as it leaves, and what it was made of."""

    content: ReleaseContent
    recipient: Recipient
    date: datetime
    data: bytes


def _words(chance: random.Random, most: int) -> str:
    return " ".join(chance.choice(_PIECES) for _ in range(chance.randint(1, most))).strip()


def _line(chance: random.Random, most: int) -> str:
    return " ".join(_words(chance, most).split())


def _body(chance: random.Random) -> str:
    paragraphs = [_words(chance, 40) for _ in range(chance.randint(1, 6))]
    listed = [f"{sign} {_line(chance, 8)}" for sign in chance.choice(("- - -", "1. 2. 3.")).split()]
    paragraphs.insert(chance.randint(0, len(paragraphs)), "\n".join(listed))
    return "\n\n".join(paragraphs)


def drawn_content(seed: int) -> ReleaseContent:
    """A release that nobody would write and somebody will."""
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    embargoed = chance.random() < 0.7
    address = f"press{seed}@forum.example"
    draft = Draft(
        headline=_line(chance, 12),
        subheadline=chance.choice((None, _line(chance, 10))),
        label=chance.choice((None, _line(chance, 2))),
        dateline=chance.choice((None, Dateline("A Coruña", LIFT.date()))),
        body=_body(chance),
        end_marker=chance.choice((None, "- ENDS -", ".")),
        contacts=tuple(
            PressContact(
                chance.choice(_NAMES).strip() or "Duty officer",
                chance.choice((None, _line(chance, 3))),
                chance.choice((None, "01632 960 142")),
                email=chance.choice((None, address)),
            )
            for _ in range(chance.randint(0, 3))
        ),
        notes=tuple(_body(chance) for _ in range(chance.randint(0, 3))),
        boilerplate=(Boilerplate(_body(chance), chance.choice((None, _line(chance, 3)))),),
    )
    return ReleaseContent(
        draft=draft,
        sender=Sender(chance.choice(_NAMES) or "Desk", address, None, _line(chance, 3)),
        language=_LANGUAGES[seed % len(_LANGUAGES)],
        embargo_at=LIFT if embargoed else None,
        zone="Europe/London" if embargoed else None,
        lifted=chance.random() < 0.5,
        unsubscribe=address,
    )


@cache
def drawn_letter(seed: int) -> tuple[Mail, Mail]:
    """Two copies of one drawn release, for two people."""
    content = drawn_content(seed)
    letter = letter_of(
        compile_message(content, kind="release", templates=TEMPLATES), content.sender
    )
    people = (
        Recipient(
            f"first{seed}@paper.example", _NAMES[seed % len(_NAMES)].strip(), "", "The <Post>"
        ),
        Recipient("second@xn--zeitung-n2a.example", "Zoë & Co", "Zoë", _PIECES[seed].strip()),
    )
    date = datetime(2026, 2, 1, tzinfo=UTC) + timedelta(hours=seed)
    one, other = (
        Mail(
            content,
            person,
            date,
            letter.copy_for(person, reference=f"{seed:08x}{at:016x}", date=date),
        )
        for at, person in enumerate(people)
    )
    return one, other


def tried(one: Mail) -> FinalBytes:
    """The test mail that a mail makes."""
    language = one.content.language
    line = release_line_of(one.content)
    mark = mark_of(line, number=1, language=language, direction=direction(language))
    to = Addressed(Recipient("duty@forum.example", "Duty Officer"), "0a1b2c", "forum.example", LIFT)
    return marked(FinalBytes(one.data), mark, to)


def kept(name: str) -> Mail:
    """A golden mail from its file."""
    content, personal = KEPT[name]
    data = (HERE / f"{name}.eml").read_bytes()
    return Mail(content, personal.recipient, personal.date, data)


#: What the kept mails are made of.
KEPT: Final = {**GOLDEN, **SEQUELS}
#: The kept mail with attachments and pictures, which has tests of its own besides.
ENCLOSING: Final = "attachments"
#: The names of all mails; a drawn one is named by its number.
NAMES: Final = (*KEPT, *(f"drawn {seed}" for seed in range(DRAWS)))


def mail(name: str) -> Mail:
    """The mail of that name, of a drawn release its first copy."""
    if name in KEPT:
        return kept(name)
    return drawn_letter(int(name.removeprefix("drawn ")))[0]


def with_draft(content: ReleaseContent, **changes: object) -> ReleaseContent:
    """The same release with some of its text changed."""
    return replace(content, draft=replace(content.draft, **changes))  # pyright: ignore[reportArgumentType]
