"""Cells of a CSV file that a spreadsheet will not run as formulas (reliability row 9)."""

from __future__ import annotations

from typing import Final

#: A cell that begins so is a formula to a spreadsheet, even a telephone number in quotes.
_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def formula_safe(text: str) -> str:
    """``text`` as a CSV cell: an apostrophe goes before one that a spreadsheet would calculate.

    Telephone numbers ("+44 …") get it too: the same file opens in every spreadsheet, and reading it
    back here takes the apostrophe away again.
    """
    return f"'{text}" if text.startswith(_STARTS) else text


def formula_plain(text: str) -> str:
    """The value of a cell that :func:`formula_safe` wrote."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_STARTS) else text
