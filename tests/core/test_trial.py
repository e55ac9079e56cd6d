"""Test mails: the mark and its words, and the one case in which they may leave before the lift."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from html.parser import HTMLParser

import pytest

from distributor.core.timing import Shut
from distributor.core.trial import Mark, mark_of, shut, trial_id
from distributor.core.wording import ReleaseLine

LIFT = datetime(2026, 12, 1, 0, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
BANNER = ReleaseLine("EMBARGOED until noon <sharp>", "EMBARGOED noon: ", embargoed=True)
LIFTED = ReleaseLine("Embargo lifted at noon", "", embargoed=False)


@pytest.mark.parametrize(
    ("embargo_at", "now", "confirmed", "says"),
    [
        (LIFT, LIFT - SECOND, False, Shut.EMBARGO),
        (LIFT, LIFT - timedelta(microseconds=1), False, Shut.EMBARGO),
        (LIFT, LIFT - SECOND, True, None),
        (LIFT, LIFT, False, None),
        (LIFT, LIFT + SECOND, False, None),
        (None, LIFT, False, None),
    ],
)
def test_i1_before_the_lift_only_a_confirmed_test_mail_may_leave(
    embargo_at: datetime | None, now: datetime, *, confirmed: bool, says: Shut | None
) -> None:
    assert shut(embargo_at, now=now, confirmed=confirmed) is says


def test_instants_are_compared_in_utc_only() -> None:
    with pytest.raises(ValueError, match="UTC"):
        shut(LIFT, now=LIFT.astimezone(timezone(timedelta(hours=1))), confirmed=True)


def test_the_subject_says_test_and_while_embargoed_until_when() -> None:
    assert mark_of(BANNER, number=1, language="en", direction="ltr").on_subject("A bridge") == (
        "TEST 1: EMBARGOED noon: A bridge"
    )
    assert mark_of(LIFTED, number=1, language="en", direction="ltr").on_subject("A bridge") == (
        "TEST 1: A bridge"
    )
    # An advance copy's subject says so already.
    advance = mark_of(BANNER, number=1, language="en", direction="ltr")
    assert advance.on_subject("EMBARGOED noon: A bridge") == "TEST 1: EMBARGOED noon: A bridge"


@pytest.mark.parametrize(
    ("language", "spoken", "word"),
    [
        ("en-GB", "en-GB", "test mail"),
        ("de-AT", "de-AT", "Testmail"),
        ("fr", "fr", "essai"),
        ("es", "es", "prueba"),
        ("ar", "en", "test mail"),
    ],
)
def test_the_mark_speaks_the_releases_language_where_we_have_it(
    language: str, spoken: str, word: str
) -> None:
    direction = "rtl" if language == "ar" else "ltr"
    mark = mark_of(BANNER, number=1, language=language, direction=direction)
    assert mark.lines[0].startswith("TEST. ")
    assert word in mark.lines[0]
    assert mark.lines[1:] == (BANNER.text,)
    assert (mark.language, mark.direction) == (spoken, "ltr")
    assert mark_of(LIFTED, number=1, language=language, direction=direction).lines == mark.lines[:1]


class Shown(HTMLParser):
    """The words of a page in their order, and whether the first stand within its body."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.in_body = False
        self.first_in_body = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self.in_body = self.in_body or tag == "body"

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.first_in_body = self.first_in_body or (not self.words and self.in_body)
            self.words.append(data.strip())


@pytest.mark.parametrize(
    "html",
    [
        "<!DOCTYPE html><html><head></head><body><p>Text</p></body></html>",
        '<html><BODY style="margin:0"\nclass="x"><p>Text</p></BODY></html>',
    ],
)
def test_the_mark_is_the_first_thing_that_is_shown(html: str) -> None:
    mark = mark_of(BANNER, number=1, language="en", direction="ltr")
    shown = Shown(mark.on_html(html))
    assert shown.words == [*mark.lines, "Text"]
    assert shown.first_in_body
    assert mark.on_html(html).replace(mark.on_html(""), "") == html


def test_a_page_without_a_body_and_a_text_are_marked_at_their_head() -> None:
    mark = Mark(1, "", ("TEST. One & two", "Three"), "en", "ltr")
    assert mark.on_html("<p>Text</p>").endswith("</div><p>Text</p>")
    assert "TEST. One &amp; two<br>\nThree" in mark.on_html("<p>Text</p>")
    assert max(map(len, Mark(1, "", ("long " * 60,), "en", "ltr").on_text("").split("\n"))) <= 72
    assert mark.on_text("Text\n") == "TEST. One & two\n\nThree\n\nText\n"


def test_a_test_mails_id_is_of_a_form_of_its_own() -> None:
    assert trial_id("0a1b", "desk.example") == "<test.0a1b@desk.example>"
