from __future__ import annotations

import pytest

from distributor.core.contact import name_key, text_fault


@pytest.mark.parametrize(
    ("one", "other"),
    [("Health ", "health"), ("The  Daily\tPaper", "the daily paper"), ("STRASSE", "straße")],
)
def test_names_that_differ_in_case_and_spaces_are_one(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("name", "Jane\r\nBcc: x@y.example", "name holds a line break (U+000D)"),
        ("outlet", "The\u202ePaper", "outlet holds a change of writing direction"),
        ("given_name", "Ja\u200bne", "given name holds a sign without width"),
        ("name", "x" * 201, "name has 201 characters; 200 fit"),
        ("note", "one\r\n", "note holds a line break"),
        ("beat", "x" * 101, "beat has 101 characters"),
    ],
)
def test_row_1_a_bad_text_is_refused_by_field_and_reason(
    field: str, value: str, words: str
) -> None:
    fault = text_fault(field, value)
    assert fault is not None
    assert fault.startswith(words)


def test_a_good_text_has_no_fault() -> None:
    assert text_fault("name", "Zoë O\u2019Hara-Núñez") is None
    assert text_fault("note", "rings back\nafter lunch") is None
