"""Releases from plain text, form by form, and what bad input comes to."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.core.draft import as_json
from distributor.core.model import (
    Boilerplate,
    Dateline,
    Draft,
    EmbargoState,
    Finding,
    PressContact,
)
from distributor.core.parse import read_release
from distributor.errors import EmbargoUnclear
from tests.core import release_texts as texts
from tests.effort import read_at_once

if TYPE_CHECKING:
    from collections.abc import Sequence

RECEIVED = date(2026, 11, 23)
LONDON = "Europe/London"


def read(text: str) -> tuple[Draft, tuple[Finding, ...]]:
    return read_release(text, received=RECEIVED, zone=LONDON)


def codes(findings: Sequence[Finding]) -> list[str]:
    return [finding.code for finding in findings]


def test_institute_form_with_a_bulleted_list_after_the_contacts() -> None:
    draft, findings = read(texts.INSTITUTE)
    assert findings == ()
    assert draft.headline == "Rural bus cuts leave pensioners stranded"
    assert draft.embargo.state is EmbargoState.NONE
    assert draft.end_marker == "-ends \u2013"
    assert draft.contacts == (
        PressContact(name="Priya Natarajan", phone="0207 946 0851"),
        PressContact(name="Tom Weller", phone="0207 946 0817"),
    )
    (item,) = draft.boilerplate
    assert item.organisation == "IRT"
    assert len(item.text.split("\n\n")) == 3
    assert "IRT" not in draft.body
    assert draft.notes == ()


def test_quotation_over_paragraphs_of_which_only_the_last_closes_is_one() -> None:
    draft, _ = read(texts.INSTITUTE)
    (quote,) = draft.quotes
    first, second, third = quote.split("\n\n")
    assert first.startswith("The review lays bare")
    assert second.startswith("It\u2019s clear")
    assert third.endswith("Yet most would use one.")
    assert "“The review" in draft.body


def test_charity_form_with_embargo_notes_and_about() -> None:
    draft, findings = read(texts.CHARITY)
    assert draft.label == "PRESS RELEASE"
    assert draft.headline == "One in five carers skips meals, charity warns"
    assert draft.subheadline == "New survey of 2,400 people finds winter pressure growing"
    assert draft.embargo.at == datetime(2026, 12, 1, 0, 1, tzinfo=UTC)
    assert draft.body.startswith("A fifth of unpaid carers")
    assert draft.body.endswith("a winter payment of £200.")
    assert draft.quotes[1] == "They should not have to choose between heating and eating."
    assert draft.end_marker == "ENDS"
    assert draft.notes == (
        "The survey of 2,400 unpaid carers was carried out online between 1 and 14 October 2026.",
        "Full results are at www.hearthandhand.example/winter.",
    )
    sam = PressContact(
        name="Sam Okafor",
        phone="020 7946 0102",
        email="press@hearthandhand.example",
        role="Senior Press Officer",
    )
    assert draft.contacts == (sam,)
    assert [item.organisation for item in draft.boilerplate] == ["Hearth & Hand"]
    assert codes(findings) == ["further-number"]
    assert "07700 900123" in findings[0].message
    assert findings[0].line == 29


def test_windows_line_ends_change_nothing() -> None:
    assert read(texts.CHARITY.replace("\n", "\r\n")) == read(texts.CHARITY)


def test_us_wire_form() -> None:
    draft, findings = read(texts.US_WIRE)
    assert findings == ()
    assert draft.embargo.state is EmbargoState.IMMEDIATE
    assert draft.headline == "Brightwater Opens First Tidal Power Plant on the Chesapeake"
    assert draft.subheadline == "Plant to supply 12,000 homes by 2028"
    assert draft.dateline == Dateline("ANNAPOLIS, Md.", date(2026, 11, 20))
    assert draft.body.startswith("Brightwater Energy today opened")
    assert draft.end_marker == "###"
    assert draft.contacts == (
        PressContact(
            name="Dana Whitfield",
            phone="(202) 555-0143",
            email="dwhitfield@brightwater.example",
        ),
    )
    assert [item.organisation for item in draft.boilerplate] == ["Brightwater Energy"]
    assert "Brightwater Energy, based in" not in draft.body


def test_commission_form_with_the_dateline_above_the_headline() -> None:
    draft, findings = read(texts.COMMISSION)
    assert draft.label == "European Commission - Press release"
    assert draft.headline == "Commission proposes simpler rules for river ferries"
    assert draft.dateline == Dateline("Brussels", date(2026, 12, 1))
    assert "River ferries carry" in draft.body
    assert [(contact.name, contact.phone) for contact in draft.contacts] == [
        ("Anna LINDQVIST", "+32 2 555 01 23"),
        ("Marco BELLINI", "+32 2 555 01 24"),
    ]
    assert draft.end_marker is None
    assert codes(findings) == ["no-end-marker", "contact-left-out"]
    assert "“IP/26/1234”" in findings[1].message


def test_university_form_with_a_masthead_and_an_embargo_in_two_zones() -> None:
    draft, findings = read(texts.UNIVERSITY)
    assert draft.embargo.at == datetime(2026, 12, 2, 16, 0, tzinfo=UTC)
    assert draft.headline is not None
    assert draft.headline.startswith("Moss remembers")
    assert draft.quotes == ("We could smell the smoke in the data.",)
    assert draft.end_marker == "- ENDS -"
    assert draft.contacts == (
        PressContact(
            name="Jo Marsh",
            organisation="University of Northmoor",
            phone="+44 (0)1632 960 001",
            email="jo.marsh@northmoor.example",
            role="Communications Officer",
        ),
    )
    assert codes(findings) == ["masthead"]


def test_contact_may_stand_first() -> None:
    draft, _ = read(texts.CONTACT_FIRST)
    assert draft.headline == "Museum Acquires Lost Notebook of Lighthouse Keeper"
    assert draft.dateline == Dateline("CEDAR POINT", None)
    assert draft.end_marker == "-30-"
    assert draft.contacts == (
        PressContact(
            name="Alex Romero",
            organisation="Cedar Point Museum",
            phone="555-201-0188",
            email="alex@cedarpoint.example",
        ),
    )
    assert draft.body.endswith("on show in March.")


def test_release_without_end_marker_or_contact_says_so() -> None:
    draft, findings = read(texts.NO_END)
    assert draft.body.endswith("Fridays and Saturdays.")
    assert draft.boilerplate == (
        Boilerplate("Westford Council serves 90,000 people.", "Westford Council"),
    )
    assert draft.quotes[0].startswith("We listened")
    assert codes(findings) == ["no-end-marker", "no-contact"]


def test_marks_of_markdown_are_read_past() -> None:
    draft, findings = read(texts.MARKDOWN)
    assert draft.headline == "Library lends its first bicycle"
    assert draft.subheadline == "Readers can borrow a bike for three weeks"
    assert draft.embargo.at == datetime(2026, 12, 1, 0, 1, tzinfo=UTC)
    assert draft.dateline == Dateline("Ashby", date(2026, 12, 1))
    assert draft.body.startswith("The town library")
    assert draft.end_marker == "**Ends.**"
    assert draft.notes[0] == "The scheme is paid for by the county."
    assert draft.contacts[0].name == "Nadia Karim"
    assert draft.contacts[0].email == "nadia.karim@ashby.example"
    assert codes(findings) == ["second-end-marker"]


def test_lines_wrapped_by_old_mail_are_joined() -> None:
    draft, _ = read(texts.OLD_MAIL)
    assert draft.label == "NEWS RELEASE"
    assert draft.embargo.state is EmbargoState.IMMEDIATE
    assert draft.headline == (
        "Harbour seals return to the Tarn estuary after an absence of more than sixty years"
    )
    assert len(draft.body.split("\n\n")) == 3
    assert "\n" not in draft.body.replace("\n\n", "")
    assert "for the first time since 1964" in draft.body
    assert draft.quotes[1] == "Now the children count them on the way to school."
    assert draft.contacts[0].organisation == "Coastal Wildlife Society"


def test_label_with_a_date_beside_it_and_a_field_name_before_the_headline() -> None:
    draft, _ = read(texts.LABELLED)
    assert draft.label == "Media release"
    assert draft.dateline == Dateline(None, date(2026, 12, 1))
    assert draft.headline == "Steel town gets its clock back"
    assert draft.body.startswith("The clock that stood")
    assert draft.end_marker == "***ENDS***"
    assert draft.contacts == (PressContact(organisation="Press office", phone="01632 960999"),)
    assert len(draft.notes) == 3


@pytest.mark.parametrize(
    "marker",
    [
        "-ends \u2013",
        "***ENDS***",
        "ENDS",
        "Ends",
        "- ENDS -",
        "# ENDS #",
        "**Ends.**",
        "- ende -",
        "/ends",
        "[ENDS]",
        "END OF RELEASE",
        "###",
        "# # #",
        "# #",
        r"\#\#\#",
        "-30-",
        "\u2013 30 \u2013",
        "“30”",
    ],
)
def test_end_marker_is_found_and_kept_as_written(marker: str) -> None:
    draft, _ = read(
        f"Headline of it\n\nThe text stands here.\n\n{marker}\n\nNotes to editors\n\nNone."
    )
    assert draft.end_marker == marker
    assert draft.body == "The text stands here."
    assert draft.notes == ("None.",)


@pytest.mark.parametrize(
    "line", ["The story ends here", "ENDS OF THE EARTH", "30", "#hashtag", "Friends"]
)
def test_line_that_only_looks_like_an_end_marker_is_none(line: str) -> None:
    draft, _ = read(f"Headline of it\n\nThe text stands here.\n\n{line}\n\nMore text is here.")
    assert draft.end_marker is None
    assert line in draft.body


@pytest.mark.parametrize(
    ("lines", "contacts"),
    [
        (
            "Contact: Jane Smith, Press Officer, Acme Trust, 020 7946 0001, j@acme.example",
            [("Jane Smith", "Acme Trust", "020 7946 0001", "j@acme.example")],
        ),
        (
            "For more information please call Jane Smith at Acme on 020 7946 0001.",
            [("Jane Smith", "Acme", "020 7946 0001", None)],
        ),
        (
            """\
Media enquiries:
Dr Ann van der Berg
Head of News
T: 020 7946 0001
E: a@acme.example
Raúl O'Neil-Cruz
T: 020 7946 0002""",
            [
                ("Dr Ann van der Berg", None, "020 7946 0001", "a@acme.example"),
                ("Raúl O'Neil-Cruz", None, "020 7946 0002", None),
            ],
        ),
        (
            "Contacts:\nAcme press office: 020 7946 0001\nHome Office newsdesk: 020 7946 0002",
            [
                (None, "Acme press office", "020 7946 0001", None),
                (None, "Home Office newsdesk", "020 7946 0002", None),
            ],
        ),
        (
            "Contact:\nName: Ann Lee\nOrganisation: Makers\nTel: 020 7946 0001\nFax 0207 946 0009",
            [("Ann Lee", "Makers", "020 7946 0001", None)],
        ),
        (
            "Contact:\nJane Smith, Press Officer at Acme\n020 7946 0001",
            [("Jane Smith", "Acme", "020 7946 0001", None)],
        ),
        (
            "Contact: Jane Smith, Acme Trust, Beta Trust, 020 7946 0001",
            [("Jane Smith", "Acme Trust", "020 7946 0001", None)],
        ),
        (
            "Contact: Jane of Acme, 020 7946 0001",
            [(None, None, "020 7946 0001", None)],
        ),
        (
            "Press contact: press@acme.example or news@acme.example",
            [(None, None, None, "press@acme.example"), (None, None, None, "news@acme.example")],
        ),
        (
            "Contact: Jane Smith, www.acme.example, 01/12/2026, 020 7946 0001 ext. 12",
            [("Jane Smith", None, "020 7946 0001 ext. 12", None)],
        ),
    ],
)
def test_contacts_are_read_in_the_usual_forms(
    lines: str,
    contacts: list[tuple[str | None, ...]],
) -> None:
    draft, _ = read(f"Headline of it\n\nThe text stands here.\n\nENDS\n\n{lines}")
    assert [(c.name, c.organisation, c.phone, c.email) for c in draft.contacts] == contacts


@pytest.mark.parametrize(
    ("top", "dateline", "label"),
    [
        ("1 December 2026\n\nHeadline of it\n\nThe text.", Dateline(None, date(2026, 12, 1)), None),
        (
            "Headline of it\n\nDate: 1 Dec 2026\n\nThe text.",
            Dateline(None, date(2026, 12, 1)),
            None,
        ),
        ("PRESS RELEASE: Headline of it\n\nThe text.", None, "PRESS RELEASE"),
        ("PRESS RELEASE\nHeadline of it\nTel 020 7946 0001\n\nThe text.", None, "PRESS RELEASE"),
        ("PRESS RELEASE\nTel 020 7946 0001\nHeadline of it\n\nThe text.", None, "PRESS RELEASE"),
        ("Headline of it\n\nOn 1 May 2026 and 2 May 2026 \u2013 The text.", None, None),
        ("Headline of it\n\nThe council \u2013 The text.", None, None),
        ("Headline of it\n\n1 May 2026, Stoke on Trent \u2013 The text.", "Stoke on Trent", None),
    ],
)
def test_opening_is_read_in_the_usual_forms(
    top: str,
    dateline: Dateline | str | None,
    label: str | None,
) -> None:
    draft, _ = read(top)
    if isinstance(dateline, str):
        dateline = Dateline(dateline, date(2026, 5, 1))
    assert (draft.headline, draft.dateline, draft.label) == ("Headline of it", dateline, label)
    assert draft.body.endswith("The text.")
    assert ("Tel" in top) == bool(draft.contacts)


def test_lines_that_only_begin_with_about_open_nothing() -> None:
    draft, _ = read("Headline of it\n\nThe text.\n\nabout time too\n\nAbout half agreed.\n\nENDS")
    assert draft.body.endswith("about time too\n\nAbout half agreed.")
    draft, _ = read("Headline of it\n\nThe text.\n\nENDS\n\nAbout us\n\nWe make things.\n\n")
    assert draft.boilerplate == (Boilerplate("We make things."),)


def test_rules_between_notes_are_no_notes() -> None:
    draft, _ = read(
        "Headline of it\n\nText.\n\nENDS\n\nNotes to editors\n\n1. One.\n\n-----\n\n2. Two."
    )
    assert draft.notes == ("One.", "Two.")


def test_contact_in_the_middle_of_the_text_does_not_end_it() -> None:
    draft, _ = read(
        "Headline of it\n\nThe first part of the text stands here.\n\n"
        "For interviews contact Jane Smith on 020 7946 0001\n\n"
        "The second part of the text goes on for a while after the contact line.\n\nENDS",
    )
    assert draft.contacts == (PressContact(name="Jane Smith", phone="020 7946 0001"),)
    assert draft.body.endswith("after the contact line.")


@pytest.mark.parametrize(
    ("line", "role", "phone"),
    [
        ("Sam Carter, press office, 020 7946 0123", "press office", "020 7946 0123"),
        ("Sam Carter, Head of Press, 020 7946 0123", "Head of Press", "020 7946 0123"),
        ("Sam Carter (weekdays 9 to 5) 020 7946 0123", "weekdays 9 to 5", "020 7946 0123"),
        ("Sam Carter 020 7946 0123 (weekdays 9 to 5)", "weekdays 9 to 5", "020 7946 0123"),
        (
            "Sam Carter, Head of Press, press office, (0)20 7946 0123",
            "Head of Press, press office",
            "(0)20 7946 0123",
        ),
        ("Sam Carter on 020 7946 0123 or", None, "020 7946 0123"),
    ],
)
def test_what_a_contact_line_says_besides_stays_with_the_contact(
    line: str, role: str | None, phone: str
) -> None:
    draft, findings = read(f"A head\n\nThe text of it.\n\nENDS\n\nMedia contact: {line}")
    assert draft.contacts == (PressContact(name="Sam Carter", phone=phone, role=role),)
    assert findings == ()
    assert as_json(draft, findings)["contacts"] == [
        {
            "name": "Sam Carter",
            "organisation": None,
            "phone": phone,
            "phone_e164": None,
            "email": None,
            "role": role,
        }
    ]


@pytest.mark.parametrize(
    ("extra", "left"),
    [
        ("Fax: 020 7946 0124", "fax 020 7946 0124"),
        ("www.acme.example", "www.acme.example"),
        ("@acme", "@acme"),
        (f"{'x' * 300} {'y' * 300}tail", "tail"),
        ("We answer, as we do on all the other days of the year", "as we do on all the other"),
    ],
)
def test_what_cannot_stand_with_a_contact_is_told_with_its_line(extra: str, left: str) -> None:
    text = f"A head\n\nThe text of it.\n\nENDS\n\nMedia contact:\nSam Carter 020 7946 0123\n{extra}"
    draft, findings = read(text)
    [contact] = draft.contacts
    told = [finding for finding in findings if finding.code == "contact-left-out"]
    kept = " ".join((contact.role or "", *draft.notes))
    assert left in kept or (
        any(left in finding.message for finding in told)
        and {(finding.severity, finding.line) for finding in told} == {("warning", 9)}
    )


def test_sentence_among_the_contacts_goes_to_the_notes() -> None:
    draft, _ = read(
        "Headline of it\n\nThe text stands here.\n\nENDS\n\nContact:\nJane Smith, 020 7946 0001\n\n"
        "Photographs of the new bridge can be had from the same address",
    )
    assert draft.notes == ("Photographs of the new bridge can be had from the same address",)


def test_two_organisations_have_a_boilerplate_each() -> None:
    draft, _ = read(
        "Headline of it\n\nThe text stands here.\n\nENDS\n\nAbout Acme\nAcme makes things.\n\n"
        "It has 40 people.\n\nAbout the Makers' Trust\n\nThe trust pays for them.",
    )
    assert draft.boilerplate == (
        Boilerplate("Acme makes things.\n\nIt has 40 people.", "Acme"),
        Boilerplate("The trust pays for them.", "Makers' Trust"),
    )


def test_embargo_lines_are_neither_headline_nor_body() -> None:
    draft, findings = read(
        "EMBARGOED UNTIL\n00:01 on Tuesday 1 December 2026\n\nHeadline of it\n\nThe text.\n\n###",
    )
    assert draft.headline == "Headline of it"
    assert draft.body == "The text."
    assert draft.embargo.state is EmbargoState.UNCLEAR
    assert "embargo-unclear" in codes(findings)


def test_two_embargoes_that_disagree_are_a_finding() -> None:
    _, findings = read(
        "FOR IMMEDIATE RELEASE\n\nHeadline of it\n\nThe text.\n\n"
        "Embargoed until 00:01 GMT 1 December 2026\n\n###",
    )
    assert "embargo-disagrees" in codes(findings)


@pytest.mark.parametrize("text", ["", " \n\t\r\n ", "\u00a0\n\ufeff"])
def test_empty_text_is_an_error(text: str) -> None:
    draft, findings = read(text)
    assert draft == Draft()
    assert findings[0].code == "empty"
    assert findings[0].severity == "error"


def test_text_without_a_headline_is_an_error_and_kept_whole() -> None:
    text = "LONDON, 1 December 2026 \u2013 " + "The minister spoke for a long time today. " * 10
    draft, findings = read(text)
    assert draft.headline is None
    assert ("no-headline", "error") in [(f.code, f.severity) for f in findings]
    assert draft.body == ("The minister spoke for a long time today. " * 10).strip()
    assert draft.dateline == Dateline("LONDON", date(2026, 12, 1))


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("Headline of it\n\nThe text\x07 rings.", "control-character", 3),
        ("Headline\u2028of it\n\nThe text.", "control-character", 1),
        ("Headline\x0bof it\n\nThe text.", "control-character", 1),
        ("Headline of it\n\nCut \ud83d off.", "lone-surrogate", 3),
        ("Headline \u202eof it\n\nThe text.", "invisible-character", 1),
        ("A =?UTF-8?Q?=0D=0A?=Bcc: x@y.example\n\nThe text stands.", "encoded-word", 1),
        ("Headline of it\n\nWe thank XXX for it.", "placeholder", 3),
        ("Headline of it\n\nWe thank [insert name] for it.", "placeholder", 3),
        ("Word " * 40 + "\n\nThe text.", "headline-long", 1),
        ("Headline alone", "no-body", None),
        ("Ref: 2026/17\n\nHeadline of it\n\nThe text.", "reference", 1),
    ],
)
def test_what_is_odd_is_told_with_its_line(text: str, code: str, line: int | None) -> None:
    draft, findings = read(text)
    assert (code, line) in [(finding.code, finding.line) for finding in findings]
    shown = json.dumps(as_json(draft, findings), ensure_ascii=False)
    assert not {"\ud83d", "\u202e", "\u2028"} & set(shown)


def test_json_has_every_key_and_the_offset_of_the_embargo_zone() -> None:
    summer = "Embargoed until 00:01 BST Thursday 1 July 2027\n\nHeadline of it\n\nText.\n\nENDS"
    shown = as_json(*read(summer))
    assert list(shown) == [
        *("headline", "subheadline", "label", "language", "embargo", "dateline", "body", "quotes"),
        *("end_marker", "contacts", "notes", "boilerplate", "findings"),
    ]
    assert shown["embargo"] == {
        "state": "embargoed",
        "at": "2027-07-01T00:01:00+01:00",
        "zone": LONDON,
        "text": "Embargoed until 00:01 BST Thursday 1 July 2027",
        "doubts": [],
    }
    assert shown["dateline"] is None
    assert shown["contacts"] == []
    full = as_json(*read(texts.COMMISSION))
    assert full["dateline"] == {"place": "Brussels", "date": "2026-12-01"}
    assert json.loads(json.dumps(full)) == full
    bare = as_json(*read(texts.NO_END))
    assert bare["embargo"] == {
        "state": "none",
        "at": None,
        "zone": None,
        "text": None,
        "doubts": [],
    }


def test_unknown_zone_of_the_desk_is_refused() -> None:
    with pytest.raises(EmbargoUnclear):
        read_release("Headline", received=RECEIVED, zone="Mars/Base")


LINES = st.sampled_from(
    [
        *(
            "",
            "",
            "ENDS",
            "###",
            "PRESS RELEASE",
            "FOR IMMEDIATE RELEASE",
            "Notes to editors",
            "1. x",
        ),
        *(
            "Contact: Ann Lee",
            "020 7946 0001",
            "About Acme",
            "• Acme is the best",
            "A headline here",
        ),
        *(
            "LONDON, 1 December 2026 \u2013 Text",
            "“Open quote",
            "close” she said",
            "Brussels, 1/13/2026",
        ),
        *(
            "Embargoed until 00:01 GMT 1 December 2026",
            "EMBARGO",
            "Word " * 30,
            "press@acme.example",
        ),
    ],
)


@given(st.text(max_size=400) | st.lists(LINES | st.text(max_size=20), max_size=25).map("\n".join))
def test_any_text_is_read_without_raising(text: str) -> None:
    draft, findings = read(text)
    json.dumps(as_json(draft, findings)).encode()
    if draft.headline is None:
        assert {"empty", "no-headline"} & set(codes(findings))
    for part in (draft.headline, draft.subheadline, draft.label, draft.end_marker):
        assert part is None or (part and "\n" not in part)


PROSE = st.lists(st.sampled_from("alpha bravo delta gamma kilo lima oscar".split()), min_size=6)  # noqa: SIM905


@given(
    st.lists(PROSE.map(lambda words: f"{' '.join(words)}.".capitalize()), min_size=2, max_size=8)
)
def test_no_paragraph_of_plain_prose_gets_lost(sentences: list[str]) -> None:
    draft, _ = read("A headline here\n\n" + "\n\n".join(sentences))
    assert draft.body.split("\n\n") == sentences


@pytest.mark.parametrize(
    "text",
    [
        "a" * 100_000,
        "1 " * 50_000,
        "\n" * 100_000,
        "“" * 100_000,
        "\u2018x" * 50_000,
        "(" * 100_000,
        "contact " * 12_500,
        "Contact: " + "a@" * 50_000,
        "Contact: " + "0 " * 50_000,
        "Headline\n\n" + "The A of " * 12_000,
        "# " * 50_000,
        "ENDS\n" * 20_000,
        "About A" + " B" * 50_000,
        "Contact: A\n" * 9_000,
        "press release " * 7_000,
        "\x00" * 100_000,
    ],
)
def test_hostile_text_of_100_000_characters_is_read_at_once(text: str) -> None:
    assert read_at_once(read, text)
