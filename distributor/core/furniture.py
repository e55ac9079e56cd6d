"""The words around a release, in the language of the release.

What a newsdesk expects to read there: "Sperrfrist" and not a translation of "embargo", "Notes aux
rédactions" and not "Notes to editors". A language that is not here gets the English words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Furniture:
    """One language's words. What stands in braces is filled in; ``when`` is a moment in words."""

    immediate: str
    lifted: str
    embargoed: str
    embargoed_sign: str
    label: str
    ends: str
    press_contact: str
    press_contacts: str
    telephone: str
    email: str
    notes: str
    about: str
    about_us: str
    sent_to: str
    sent_by: str
    no_more: str
    write_to: str
    picture: str
    credit: str


ENGLISH: Final = Furniture(
    immediate="For immediate release",
    lifted="Embargo lifted at {when}",
    embargoed="EMBARGOED until {when}",
    embargoed_sign="EMBARGOED",
    label="Press release",
    ends="Ends",
    press_contact="Press contact",
    press_contacts="Press contacts",
    telephone="Telephone",
    email="E-mail",
    notes="Notes to editors",
    about="About {organisation}",
    about_us="About",
    sent_to="Sent to",
    sent_by="by {organisation}, because this address is on its list of journalists.",
    no_more="To get no more mail from {organisation},",
    write_to="write to {address}",
    picture="Picture",
    credit="Credit:",
)
GERMAN: Final = Furniture(
    immediate="Zur sofortigen Veröffentlichung",
    lifted="Sperrfrist abgelaufen: {when}",
    embargoed="SPERRFRIST bis {when}",
    embargoed_sign="SPERRFRIST",
    label="Pressemitteilung",
    ends="Ende",
    press_contact="Pressekontakt",
    press_contacts="Pressekontakte",
    telephone="Telefon",
    email="E-Mail",
    notes="Hinweise für die Redaktion",
    about="Über {organisation}",
    about_us="Über uns",
    sent_to="Gesendet an",
    sent_by="von {organisation}, weil diese Adresse dort im Presseverteiler steht.",
    no_more="Um keine Mitteilungen von {organisation} mehr zu bekommen,",
    write_to="schreiben Sie an {address}",
    picture="Bild",
    credit="Bildnachweis:",
)
FRENCH: Final = Furniture(
    immediate="Pour diffusion immédiate",
    lifted="Embargo levé\N{NO-BREAK SPACE}: {when}",
    embargoed="SOUS EMBARGO jusqu’au {when}",
    embargoed_sign="SOUS EMBARGO",
    label="Communiqué de presse",
    ends="Fin",
    press_contact="Contact presse",
    press_contacts="Contacts presse",
    telephone="Téléphone",
    email="E-mail",
    notes="Notes aux rédactions",
    about="À propos\N{NO-BREAK SPACE}: {organisation}",
    about_us="À propos",
    sent_to="Envoyé à",
    sent_by="par {organisation}, car cette adresse figure sur sa liste de journalistes.",
    no_more="Pour ne plus recevoir les messages de "
    "«\N{NO-BREAK SPACE}{organisation}\N{NO-BREAK SPACE}»,",
    write_to="écrivez à {address}",
    picture="Image",
    credit="Crédit\N{NO-BREAK SPACE}:",
)
SPANISH: Final = Furniture(
    immediate="Para publicación inmediata",
    lifted="Embargo levantado: {when}",
    embargoed="EMBARGADO hasta el {when}",
    embargoed_sign="EMBARGADO",
    label="Comunicado de prensa",
    ends="Fin",
    press_contact="Contacto de prensa",
    press_contacts="Contactos de prensa",
    telephone="Teléfono",
    email="Correo electrónico",
    notes="Notas para la redacción",
    about="Acerca de {organisation}",
    about_us="Acerca de nosotros",
    sent_to="Enviado a",
    sent_by="por {organisation}, porque esta dirección figura en su lista de periodistas.",
    no_more="Para no recibir más mensajes de {organisation},",
    write_to="escriba a {address}",
    picture="Imagen",
    credit="Crédito:",
)
_BY_LANGUAGE: Final = {"en": ENGLISH, "de": GERMAN, "fr": FRENCH, "es": SPANISH}
#: The languages that have words of their own.
LANGUAGES: Final = tuple(_BY_LANGUAGE)


def furniture(language: str) -> Furniture:
    """The words for a language tag (RFC 5646): those of its language, whatever the region."""
    return _BY_LANGUAGE.get(language.partition("-")[0].lower(), ENGLISH)


def has_furniture(language: str) -> bool:
    """Whether there are words of that very language."""
    return language.partition("-")[0].lower() in _BY_LANGUAGE
