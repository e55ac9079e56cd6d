"""Releases whose mails are kept as files beside this one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final

from distributor.core.message import Personal, ReleaseContent
from distributor.core.model import (
    Boilerplate,
    Dateline,
    Draft,
    PressContact,
    Recipient,
    Sender,
)
from distributor.shipped import shipped

if TYPE_CHECKING:
    from pathlib import Path

TEMPLATES: Final[Path] = shipped("templates")
LIFT: Final = datetime(2026, 12, 1, 0, 1, tzinfo=UTC)
JANE: Final = Recipient("jane.doe@herald.example", "Jane Doe", "Jane", "The Herald")
PERSONAL: Final = Personal(
    recipient=JANE,
    message_id="<9t4mq2k7f3@forum.example>",
    date=LIFT,
    delivery="9t4mq2k7f3",
    unsubscribe_mailto="mailto:unsubscribe+9t4mq2k7f3@forum.example?subject=Unsubscribe",
    list_id="press.forum.example",
)

PLAIN: Final = ReleaseContent(
    draft=Draft(
        headline="Harbour ferry to run through the winter",
        body="The harbour ferry will run every day this winter for the first time since 1987.\n\n"
        "“We asked, and people said they would use it,” said Ines Falk of the Harbour Trust.",
        contacts=(PressContact("Marian Okafor", None, "01632 960 142", "+441632960142"),),
    ),
    sender=Sender("Harbour Trust", "press@forum.example"),
)

EMBARGOED: Final = replace(
    PLAIN,
    draft=replace(
        PLAIN.draft,
        subheadline="Crossings every forty minutes from the first of December",
        label="News release",
        dateline=Dateline("Mordale", date(2026, 12, 1)),
        end_marker="-ends-",
        boilerplate=(Boilerplate("The Harbour Trust keeps the harbour open.", "Harbour Trust"),),
    ),
    sender=Sender(
        "Harbour Trust press office",
        "press@forum.example",
        "marian.okafor@forum.example",
        "Harbour Trust",
    ),
    language="en-GB",
    embargo_at=LIFT,
    zone="Europe/London",
    unsubscribe="unsubscribe@forum.example",
)

ADVANCE: Final = replace(EMBARGOED, lifted=False)

LONG: Final = replace(
    EMBARGOED,
    draft=replace(
        EMBARGOED.draft,
        headline="One in five bus routes in the county could go by spring, all nine operators "
        "warn in a survey of 214 routes",
        body="""Forty-three of the county's 214 bus routes may stop before the end of March.

The survey found that:
- rural routes are four times as likely to be cut as routes in towns
- 31 villages would be left with no weekday service at all, and for two of them the nearest stop \
would be more than nine miles away
- fares would have to rise by 140p a journey

Operators were asked three questions:

1. Which routes lose money?

2. For how long can you go on?

3. What would help?

"People plan their lives around these timetables," said Ines Falk. "You cannot ask somebody to \
take a job in Harrowgate & then take away the 7.12 <that gets them there>.

"From March there will be nothing before nine."

.Dots at the start of a line stay.
From the start of a line stays too.

Every figure is at https://forum.example/buses-2026/survey?route=all&year=2026 (no registration).

"""
        + "\n\n".join(
            f"Route {number} runs at a loss of {number * 7} pounds a day, its operator says, and "
            "would be cut unless the grant is kept; the survey gives the number of passengers on "
            "each weekday, and how far each of them would have to walk to another stop."
            for number in range(1, 31)
        ),
        notes=(
            "1. The survey was answered by all nine operators between 5 and 30 October 2026.",
            "2. The grant is 22p a litre.\n\nIt ends on 31 March 2027.",
            "3. Write to data@forum.example for the tables.",
        ),
        contacts=(
            PressContact("Marian Okafor", "Harbour Trust", "01632 960 142", "+441632960142"),
            PressContact("Duty press officer", email="press@forum.example"),
        ),
    ),
)

FOREIGN: Final = replace(
    EMBARGOED,
    draft=replace(
        EMBARGOED.draft,
        headline="Café-Preise steigen um 12 €: „Größte Überraschung“ für Gäste in Österreich ☕🥐",
        subheadline="Żółć, naïveté, Ångström",
        label="Pressemitteilung",
        language="de",
        dateline=Dateline("Zürich", date(2026, 12, 1)),
        body="„Das hätten wir nicht gedacht“, sagte Jürgen Weiß. 👩‍👩‍👧‍👦\n\n"
        "• Straßencafés: +12 €\n• Kaffeehäuser: +9 €",
        end_marker="- Ende -",
        notes=("Es gilt das gesprochene Wort.",),
        contacts=(PressContact("Zoë Müller-Lüdenscheidt", "Gäste e. V.", "+43 1 5550 100"),),
        boilerplate=(Boilerplate("Der Verein vertritt Gäste.", "Gäste e. V."),),
    ),
    sender=Sender("Pressestelle Gäste e. V.", "presse@forum.example", None, "Gäste e. V."),
    language="de-AT",
    zone="Europe/Vienna",
)
FRENCH: Final = replace(
    EMBARGOED,
    draft=replace(
        EMBARGOED.draft,
        headline="Le bac du port circulera tout l’hiver",
        subheadline="Une traversée toutes les quarante minutes à partir du 1er décembre",
        label="",
        language="fr",
        dateline=Dateline("Saint-Malo", date(2026, 12, 1)),
        body="Le bac circulera chaque jour cet hiver, pour la première fois depuis 1987.\n\n"
        "« Nous avons posé la question, et les gens ont dit oui », explique Inès Falque.",
        end_marker=None,
        notes=("Les horaires paraîtront le 15 novembre.", "Photos sur demande."),
        contacts=(PressContact("Mariane Ocre", None, "+33 1 99 00 12 34", "+33199001234"),),
        boilerplate=(Boilerplate("La Régie du port entretient le port.", "Régie du port"),),
    ),
    sender=Sender("Régie du port", "presse@forum.example", None, "Régie du port"),
    language="fr",
    zone="Europe/Paris",
)
FRENCH_ADVANCE: Final = replace(FRENCH, lifted=False)

SPANISH: Final = replace(
    EMBARGOED,
    draft=replace(
        EMBARGOED.draft,
        headline="La barca del puerto navegará todo el invierno",
        subheadline=None,
        label=None,
        language="es",
        dateline=Dateline("A Coruña", date(2026, 12, 1)),
        body="La barca navegará cada día de este invierno por primera vez desde 1987.\n\n"
        "«Preguntamos, y la gente respondió que sí», dijo Inés Falque.",
        end_marker=None,
        contacts=(
            PressContact("Mariana Ocre", None, "+34 900 555 142", email="ocre@forum.example"),
            PressContact("Guardia de prensa", email="prensa@forum.example"),
        ),
        boilerplate=(Boilerplate("La Junta cuida del puerto.", None),),
    ),
    sender=Sender("Junta del puerto", "prensa@forum.example"),
    language="es",
    embargo_at=None,
    zone=None,
)

ZOE: Final = PERSONAL._replace(
    recipient=Recipient("zoe@xn--zeitung-n2a.example", "Zoë O'Brien & Söhne", "Zoë", "Die <Welt>"),
)

GOLDEN: Final[dict[str, tuple[ReleaseContent, Personal]]] = {
    "plain": (PLAIN, PERSONAL),
    "embargoed-then-lifted": (EMBARGOED, PERSONAL),
    "advance": (ADVANCE, PERSONAL),
    "long-bulleted-quoted": (LONG, PERSONAL),
    "foreign": (FOREIGN, ZOE),
    "french": (FRENCH, PERSONAL),
    "french-advance": (FRENCH_ADVANCE, PERSONAL),
    "spanish": (SPANISH, ZOE),
}
