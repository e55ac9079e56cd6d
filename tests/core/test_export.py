from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.core.export import formula_plain, formula_safe


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_row_9_a_cell_that_a_spreadsheet_would_run_gets_an_apostrophe(start: str) -> None:
    assert formula_safe(f"{start}1+1") == f"'{start}1+1"


@pytest.mark.parametrize("text", ["", "Jane", "'quoted'", "0207 010 0851", "a=b"])
def test_row_9_other_cells_stay_as_they_are(text: str) -> None:
    assert formula_safe(text) == text


@given(st.text(alphabet="=+-@\t\r\n ab1").filter(lambda text: not text.startswith("'")))
def test_row_9_what_was_written_safely_is_read_back_as_it_was(text: str) -> None:
    assert formula_plain(formula_safe(text)) == text
    assert not formula_safe(text).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
