"""Sequels: versions that speak of an earlier one to those who have it.

A correction, a withdrawal ("kill") and a follow-up each begin with a verb that a newsdesk knows,
say which release of which date they are about and why, and what is to be done. The words are those
of the release's language, as the agencies of that language write them; other languages have the
English ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from distributor.core.changes import Place
from distributor.core.model import WaveKind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from distributor.core.changes import Change

#: Changes that a mail lists; of more it says only how many more there are.
CHANGES_SHOWN: Final = 12
#: Kinds of wave whose mail speaks of an earlier one.
SEQUELS: Final = frozenset({WaveKind.CORRECTION, WaveKind.WITHDRAWAL, WaveKind.FOLLOW_UP})
#: Those after which the earlier text must not be used: nothing of it is sent any more.
REPLACING: Final = frozenset({WaveKind.CORRECTION, WaveKind.WITHDRAWAL})


@dataclass(frozen=True, slots=True, kw_only=True)
class SequelContent:
    """What a sequel says of the version before it: its ``headline`` and the day it went out."""

    kind: WaveKind
    reason: str
    headline: str
    on: date
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class KindWords:
    """One kind's words: the verb before the headline, which release it is about, and what to do."""

    verb: str
    about: str
    to_do: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SequelWords:
    """One language's words. What stands in braces is filled in."""

    kinds: Mapping[WaveKind, KindWords]
    withdrawn: str
    what_changed: str
    changed: str
    added: str
    removed: str
    more: str
    text: str
    ask: str
    places: Mapping[Place, str]


_ENGLISH: Final = SequelWords(
    kinds={
        WaveKind.CORRECTION: KindWords(
            "CORRECTION: ",
            "This corrects our release of {on}, “{headline}”.",
            "Please use the text below and no other.",
            "Why: {reason}",
        ),
        WaveKind.WITHDRAWAL: KindWords(
            "WITHDRAWAL: ",
            "We withdraw our release of {on}, “{headline}”.",
            "Do not use it, nor anything taken from it. If you have published it, please take it "
            "back.",
            "Why: {reason}",
        ),
        WaveKind.FOLLOW_UP: KindWords(
            "FOLLOW-UP: ",
            "This follows our release of {on}, “{headline}”, which still holds.",
            "",
            "What is new: {reason}",
        ),
    },
    withdrawn="WITHDRAWN: not for use",
    what_changed="What changed",
    changed="{where}: “{old}” now reads “{new}”",
    added="{where}, new: “{new}”",
    removed="{where}, taken out: “{old}”",
    more="and {number} more",
    text="The text in full",
    ask="Questions: {address}",
    places={
        Place.EMBARGO: "Embargo",
        Place.LABEL: "Line above the headline",
        Place.HEADLINE: "Headline",
        Place.SUBHEADLINE: "Subheadline",
        Place.DATELINE: "Dateline",
        Place.PARAGRAPH: "Paragraph",
        Place.CONTACT: "Press contact",
        Place.NOTE: "Note to editors",
        Place.ABOUT: "About us",
    },
)
_GERMAN: Final = SequelWords(
    kinds={
        WaveKind.CORRECTION: KindWords(
            "KORREKTUR: ",
            "Wir berichtigen unsere Mitteilung vom {on}, „{headline}“.",
            "Bitte verwenden Sie nur noch die folgende Fassung.",
            "Grund: {reason}",
        ),
        WaveKind.WITHDRAWAL: KindWords(
            "ZURÜCKGEZOGEN: ",
            "Unsere Mitteilung vom {on} ist zurückgezogen: „{headline}“.",
            "Bitte verwenden Sie weder sie noch etwas daraus. Falls Sie sie veröffentlicht haben, "
            "nehmen Sie die Veröffentlichung bitte zurück.",
            "Grund: {reason}",
        ),
        WaveKind.FOLLOW_UP: KindWords(
            "ERGÄNZUNG: ",
            "Wir ergänzen unsere Mitteilung vom {on}, „{headline}“, die weiterhin gilt.",
            "",
            "Neu ist: {reason}",
        ),
    },
    withdrawn="ZURÜCKGEZOGEN: nicht verwenden",
    what_changed="Was geändert wurde",
    changed="{where}: Statt „{old}“ heißt es jetzt „{new}“",
    added="{where}, neu: „{new}“",
    removed="{where}, gestrichen: „{old}“",
    more="und {number} weitere",
    text="Der vollständige Text",
    ask="Rückfragen: {address}",
    places={
        Place.EMBARGO: "Sperrfrist",
        Place.LABEL: "Zeile über der Überschrift",
        Place.HEADLINE: "Überschrift",
        Place.SUBHEADLINE: "Unterzeile",
        Place.DATELINE: "Ort und Datum",
        Place.PARAGRAPH: "Absatz",
        Place.CONTACT: "Pressekontakt",
        Place.NOTE: "Hinweis für die Redaktion",
        Place.ABOUT: "Über uns",
    },
)
_FRENCH: Final = SequelWords(
    kinds={
        WaveKind.CORRECTION: KindWords(
            "RECTIFICATIF\N{NO-BREAK SPACE}: ",
            "Ce message rectifie notre communiqué du {on}, "
            "«\N{NO-BREAK SPACE}{headline}\N{NO-BREAK SPACE}».",
            "Merci d’utiliser uniquement le texte ci-dessous.",
            "Motif\N{NO-BREAK SPACE}: {reason}",
        ),
        WaveKind.WITHDRAWAL: KindWords(
            "ANNULATION\N{NO-BREAK SPACE}: ",
            "Nous retirons notre communiqué du {on}, "
            "«\N{NO-BREAK SPACE}{headline}\N{NO-BREAK SPACE}».",
            "Merci de ne plus l’utiliser, ni rien qui en soit tiré. Si vous l’avez publié, merci "
            "de le retirer.",
            "Motif\N{NO-BREAK SPACE}: {reason}",
        ),
        WaveKind.FOLLOW_UP: KindWords(
            "COMPLÉMENT\N{NO-BREAK SPACE}: ",
            "Ce message complète notre communiqué du {on}, "
            "«\N{NO-BREAK SPACE}{headline}\N{NO-BREAK SPACE}», qui reste valable.",
            "",
            "Élément nouveau\N{NO-BREAK SPACE}: {reason}",
        ),
    },
    withdrawn="ANNULÉ\N{NO-BREAK SPACE}: ne pas utiliser",
    what_changed="Ce qui change",
    changed="{where}\N{NO-BREAK SPACE}: au lieu de «\N{NO-BREAK SPACE}{old}\N{NO-BREAK SPACE}», "
    "lire «\N{NO-BREAK SPACE}{new}\N{NO-BREAK SPACE}»",
    added="{where}, ajout\N{NO-BREAK SPACE}: «\N{NO-BREAK SPACE}{new}\N{NO-BREAK SPACE}»",
    removed="{where}, suppression\N{NO-BREAK SPACE}: «\N{NO-BREAK SPACE}{old}\N{NO-BREAK SPACE}»",
    more="et {number} de plus",
    text="Le texte intégral",
    ask="Questions\N{NO-BREAK SPACE}: {address}",
    places={
        Place.EMBARGO: "Embargo",
        Place.LABEL: "Ligne au-dessus du titre",
        Place.HEADLINE: "Titre",
        Place.SUBHEADLINE: "Sous-titre",
        Place.DATELINE: "Lieu et date",
        Place.PARAGRAPH: "Paragraphe",
        Place.CONTACT: "Contact presse",
        Place.NOTE: "Note aux rédactions",
        Place.ABOUT: "À propos",
    },
)
_SPANISH: Final = SequelWords(
    kinds={
        WaveKind.CORRECTION: KindWords(
            "CORRECCIÓN: ",
            "Este mensaje corrige nuestro comunicado del {on}, «{headline}».",
            "Le rogamos que use solo el texto que sigue.",
            "Motivo: {reason}",
        ),
        WaveKind.WITHDRAWAL: KindWords(
            "ANULACIÓN: ",
            "Retiramos nuestro comunicado del {on}, «{headline}».",
            "Le rogamos que no lo use, ni nada tomado de él. Si lo ha publicado, le rogamos que lo "
            "retire.",
            "Motivo: {reason}",
        ),
        WaveKind.FOLLOW_UP: KindWords(
            "AMPLIACIÓN: ",
            "Este mensaje amplía nuestro comunicado del {on}, «{headline}», que sigue siendo "
            "válido.",
            "",
            "Novedad: {reason}",
        ),
    },
    withdrawn="ANULADO: no usar",
    what_changed="Qué cambia",
    changed="{where}: donde decía «{old}» dice ahora «{new}»",
    added="{where}, nuevo: «{new}»",
    removed="{where}, suprimido: «{old}»",
    more="y {number} más",
    text="El texto completo",
    ask="Preguntas: {address}",
    places={
        Place.EMBARGO: "Embargo",
        Place.LABEL: "Línea sobre el titular",
        Place.HEADLINE: "Titular",
        Place.SUBHEADLINE: "Subtítulo",
        Place.DATELINE: "Lugar y fecha",
        Place.PARAGRAPH: "Párrafo",
        Place.CONTACT: "Contacto de prensa",
        Place.NOTE: "Nota para la redacción",
        Place.ABOUT: "Acerca de nosotros",
    },
)
_BY_LANGUAGE: Final = {"en": _ENGLISH, "de": _GERMAN, "fr": _FRENCH, "es": _SPANISH}


def sequel_words(language: str) -> SequelWords:
    """The words for a language tag (RFC 5646): those of its language, whatever the region."""
    return _BY_LANGUAGE.get(language.partition("-")[0].lower(), _ENGLISH)


def in_words(changes: tuple[Change, ...], words: SequelWords) -> list[str]:
    """Each change as one line of a mail; of very many, how many more there are."""
    lines = [_line(change, words) for change in changes[:CHANGES_SHOWN]]
    if len(changes) > CHANGES_SHOWN:
        lines.append(words.more.format(number=len(changes) - CHANGES_SHOWN))
    return lines


def _line(change: Change, words: SequelWords) -> str:
    where = words.places[change.place]
    if change.number is not None:
        where = f"{where} {change.number}"
    form = words.changed if change.old and change.new else words.added
    if not change.new:
        form = words.removed
    return form.format(where=where, old=change.old, new=change.new)
