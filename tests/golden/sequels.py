"""Corrections, withdrawals and follow-ups whose mails are kept as files beside this one."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Final

from distributor.core.model import Draft, WaveKind
from distributor.core.sequel import SequelContent
from distributor.mail.sequels import compared
from tests.golden.samples import EMBARGOED, FOREIGN, FRENCH, PERSONAL, SPANISH

if TYPE_CHECKING:
    from distributor.core.message import Personal, ReleaseContent

EARLIER: Final = "<3f0c9aa1b2@forum.example>"
FOLLOWING: Final = PERSONAL._replace(message_id="<b7d2q01x5c@forum.example>", thread=EARLIER)
THIRD: Final = FOLLOWING._replace(thread=f"{EARLIER} <77aa01ce4d@forum.example>")


def corrected(
    before: ReleaseContent, after: Draft, reason: str, kind: WaveKind = WaveKind.CORRECTION
) -> ReleaseContent:
    """``before`` with the text ``after``, sent the day after for this reason."""
    content = replace(before, draft=after)
    found = compared(before, content) if kind is WaveKind.CORRECTION else ()
    said = SequelContent(
        kind=kind,
        reason=reason,
        headline=before.draft.headline or "",
        on=date(2026, 12, 1),
        changes=found,
    )
    return replace(content, sequel=said)


_FERRY: Final = replace(
    EMBARGOED.draft,
    headline="Harbour ferry to run through most of the winter",
    body="The harbour ferry will run on six days a week this winter for the first time since "
    "1978.\n\n“We asked, and people said they would use it,” said Ines Falk of the Harbour Trust."
    "\n\n"
    "There is no ferry on Mondays.",
)
CORRECTION: Final = corrected(
    EMBARGOED, _FERRY, "The timetable of last winter was quoted by mistake."
)
CORRECTION_ADVANCE: Final = replace(CORRECTION, lifted=False)
WITHDRAWAL: Final = corrected(
    EMBARGOED, EMBARGOED.draft, "The vessel failed its survey.", WaveKind.WITHDRAWAL
)
WITHDRAWAL_ADVANCE: Final = replace(WITHDRAWAL, lifted=False)
FOLLOW_UP: Final = corrected(
    EMBARGOED,
    replace(
        EMBARGOED.draft,
        headline="Harbour ferry carries 900 people on its first day of winter",
        body="The harbour ferry carried 900 people on Tuesday.",
    ),
    "The passenger numbers of the first day.",
    WaveKind.FOLLOW_UP,
)
GERMAN: Final = corrected(
    FOREIGN,
    replace(
        FOREIGN.draft,
        body=FOREIGN.draft.body.replace("• Straßencafés: +12 €", "• Straßencafés: +11 €"),
        notes=(),
    ),
    "Eine Zahl war falsch übertragen.",
)
FRENCH_CORRECTION: Final = corrected(
    FRENCH,
    replace(
        FRENCH.draft, body=FRENCH.draft.body.replace("1987", "1978"), notes=(FRENCH.draft.notes[0],)
    ),
    "Une date était fausse.",
)
SPANISH_CORRECTION: Final = corrected(
    SPANISH,
    replace(SPANISH.draft, body=SPANISH.draft.body.replace("1987", "1978"), subheadline="Cada día"),
    "Una fecha era errónea.",
)

SEQUELS: Final[dict[str, tuple[ReleaseContent, Personal]]] = {
    "correction": (CORRECTION, FOLLOWING),
    "correction-advance": (CORRECTION_ADVANCE, FOLLOWING),
    "withdrawal": (WITHDRAWAL, THIRD),
    "withdrawal-advance": (WITHDRAWAL_ADVANCE, FOLLOWING),
    "follow-up": (FOLLOW_UP, THIRD),
    "correction-german": (GERMAN, FOLLOWING),
    "correction-french": (FRENCH_CORRECTION, FOLLOWING),
    "correction-spanish": (SPANISH_CORRECTION, FOLLOWING),
    "withdrawal-german": (
        corrected(FOREIGN, FOREIGN.draft, "Die Zahlen sind falsch.", WaveKind.WITHDRAWAL),
        FOLLOWING,
    ),
    "withdrawal-french": (
        corrected(FRENCH, FRENCH.draft, "Le bac est en panne.", WaveKind.WITHDRAWAL),
        FOLLOWING,
    ),
    "withdrawal-spanish": (
        corrected(SPANISH, SPANISH.draft, "La barca está averiada.", WaveKind.WITHDRAWAL),
        FOLLOWING,
    ),
    "follow-up-german": (
        corrected(
            FOREIGN,
            replace(FOREIGN.draft, headline="Jeder dritte Gast zahlt mit Karte", notes=()),
            "Die Zahlen zur Kartenzahlung.",
            WaveKind.FOLLOW_UP,
        ),
        FOLLOWING,
    ),
    "follow-up-french": (
        corrected(
            FRENCH,
            replace(FRENCH.draft, headline="Le bac transporte 900 personnes le premier jour"),
            "Les chiffres du premier jour.",
            WaveKind.FOLLOW_UP,
        ),
        FOLLOWING,
    ),
    "follow-up-spanish": (
        corrected(
            SPANISH,
            replace(SPANISH.draft, headline="La barca lleva a 900 personas el primer día"),
            "Las cifras del primer día.",
            WaveKind.FOLLOW_UP,
        ),
        FOLLOWING,
    ),
}
