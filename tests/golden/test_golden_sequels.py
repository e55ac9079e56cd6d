"""Corrections, withdrawals and follow-ups, octet for octet, and what a newsdesk finds in them."""

from __future__ import annotations

import os
import re
from email import message_from_bytes, policy
from html import unescape
from pathlib import Path

import pytest

from distributor.core.message import check_final, header_names, merge
from distributor.mail.compiling import compile_message, decoded_parts, subject_of
from tests.golden.samples import TEMPLATES
from tests.golden.sequels import EARLIER, SEQUELS, THIRD
from tests.golden.test_golden_release import ENGLISH_WORDS

HERE = Path(__file__).parent
NBSP = "\N{NO-BREAK SPACE}"


def parts(name: str) -> tuple[str, str]:
    """Text without its line breaks, and HTML as a reader sees it."""
    text, html = decoded_parts((HERE / f"{name}.eml").read_bytes())
    shown = re.sub(r"<style.*?</style>|<[^>]*>", " ", html, flags=re.DOTALL)
    return " ".join(text.split()), " ".join(unescape(shown).split())


def subject(name: str) -> str:
    return subject_of((HERE / f"{name}.eml").read_bytes())


@pytest.mark.parametrize("name", SEQUELS)
def test_the_mail_is_the_one_that_is_kept(name: str) -> None:
    content, personal = SEQUELS[name]
    assert content.sequel is not None
    message = compile_message(content, kind=content.sequel.kind, templates=TEMPLATES)
    assert message.script is None
    data = merge(message, personal)
    check_final(data, headers=header_names(message, personal), recipient=personal.recipient.address)
    file = HERE / f"{name}.eml"
    if os.environ.get("GOLDEN_UPDATE") == "1":
        file.write_bytes(data)
    assert file.read_bytes() == data


@pytest.mark.parametrize("name", SEQUELS)
def test_a_kept_mail_threads_to_the_earlier_one_and_parses_without_a_defect(name: str) -> None:
    _, personal = SEQUELS[name]
    mail = message_from_bytes((HERE / f"{name}.eml").read_bytes(), policy=policy.default)
    assert not mail.defects
    assert personal.thread is not None
    chain = personal.thread.split()
    assert mail["References"].split() == chain
    assert mail["In-Reply-To"] == chain[-1]
    assert chain[0] == EARLIER
    assert mail["Message-ID"] not in chain


def test_references_carry_the_chain_when_there_were_several() -> None:
    raw = (HERE / "withdrawal.eml").read_bytes()
    first, second = (THIRD.thread or "").split()
    assert f"In-Reply-To: {second}\r\nReferences: {first}\r\n {second}\r\n".encode() in raw


def test_the_subject_begins_with_the_verb_in_its_language() -> None:
    headline = "Le bac du port circulera tout l’hiver"
    assert subject("correction") == "CORRECTION: Harbour ferry to run through most of the winter"
    assert subject("withdrawal") == "WITHDRAWAL: Harbour ferry to run through the winter"
    assert subject("follow-up").startswith("FOLLOW-UP: Harbour ferry carries")
    assert subject("correction-german").startswith("KORREKTUR: Café-Preise")
    assert subject("withdrawal-german").startswith("ZURÜCKGEZOGEN: Café-Preise")
    assert subject("correction-french") == f"RECTIFICATIF{NBSP}: {headline}"
    assert subject("withdrawal-french") == f"ANNULATION{NBSP}: {headline}"
    assert subject("correction-spanish").startswith("CORRECCIÓN: La barca")
    assert subject("withdrawal-spanish").startswith("ANULACIÓN: La barca")
    assert subject("follow-up-german").startswith("ERGÄNZUNG: Jeder dritte")
    assert subject("follow-up-french").startswith(f"COMPLÉMENT{NBSP}: Le bac transporte")
    assert subject("follow-up-spanish").startswith("AMPLIACIÓN: La barca lleva")


def test_before_the_lift_the_embargo_stays_first() -> None:
    for name, verb in (("correction-advance", "CORRECTION"), ("withdrawal-advance", "WITHDRAWAL")):
        assert subject(name).startswith(f"EMBARGOED 00:01 Tue 1 Dec: {verb}: Harbour ferry")
        for part in parts(name):
            assert re.match(r"(EMBARGOED .* winter )?EMBARGOED until 00:01 on Tuesday", part)


CHANGED = (
    "Headline: “… to run through the winter” now reads “… to run through most of the winter”",
    (
        "Paragraph 1: “… ferry will run every day this winter for …” now reads “… ferry will run "
        "on six days a week this winter for …”"
    ),
    "Paragraph 1: “… first time since 1987.” now reads “… first time since 1978.”",
    "Paragraph 3, new: “There is no ferry on Mondays.”",
)


def test_a_correction_says_what_changed_and_why_before_the_text_in_full() -> None:
    content, _ = SEQUELS["correction"]
    for part in parts("correction"):
        said = part.index(
            "This corrects our release of 1 December 2026, “Harbour ferry to run "
            "through the winter”."
        )
        why = part.index("Why: The timetable of last winter was quoted by mistake.")
        changed = [part.index(words) for words in CHANGED]
        full = part.index("The harbour ferry will run on six days a week")
        assert [said, why, *changed, full] == sorted([said, why, *changed, full])
        for paragraph in content.draft.body.split("\n\n"):
            assert " ".join(paragraph.split()) in part


def test_a_withdrawal_says_which_and_why_and_who_to_ask_and_repeats_nothing() -> None:
    content, _ = SEQUELS["withdrawal"]
    for part in parts("withdrawal"):
        assert "WITHDRAWN: not for use" in part
        assert "We withdraw our release of 1 December 2026, “Harbour ferry to run" in part
        assert "Do not use it, nor anything taken from it." in part
        assert "Why: The vessel failed its survey." in part
        assert "Questions: marian.okafor@forum.example" in part
        assert "01632 960 142" in part
        assert "lifted" not in part
        for paragraph in content.draft.body.split("\n\n"):
            assert paragraph[:30] not in part
        assert (content.draft.subheadline or "-") not in part


def test_a_follow_up_says_what_is_new_and_that_the_earlier_one_holds() -> None:
    for part in parts("follow-up"):
        assert "This follows our release of 1 December 2026" in part
        assert "which still holds." in part
        assert "What is new: The passenger numbers of the first day." in part
        assert "Paragraph" not in part


def test_what_changed_is_said_in_the_language_of_the_release() -> None:
    said = {
        "correction-german": (
            "vom 1. Dezember 2026",
            "es jetzt „Straßencafés: +11 €",
            "Hinweis für die Redaktion 1, gestrichen: „Es gilt das gesprochene Wort.“",
        ),
        "correction-french": (
            "du 1er décembre 2026",
            "lire « … première fois depuis 1978. »",
            "Note aux rédactions 2, suppression : « Photos sur demande. »",
        ),
        "correction-spanish": (
            "del 1 de diciembre de 2026",
            "dice ahora «… primera vez desde 1978.»",
            "Subtítulo, nuevo: «Cada día»",
        ),
    }
    for name, words in said.items():
        for part in parts(name):
            for each in words:
                assert each in part.replace(NBSP, " ")


@pytest.mark.parametrize(
    "name", [name for name in SEQUELS if name.endswith(("german", "french", "spanish"))]
)
def test_a_mail_speaks_one_language(name: str) -> None:
    english = (*ENGLISH_WORDS, "CORRECTION", "WITHDRAWAL", "corrects", "withdraw", "Why", "reads")
    for part in parts(name):
        for words in english:
            assert not re.search(rf"\b{words}\b", part)
