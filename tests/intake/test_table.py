from __future__ import annotations

import csv
import io
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.core.export import formula_safe
from distributor.errors import InputError
from distributor.intake import table as reading
from distributor.intake.table import ContactTable, read_table


def read(
    text: str,
    written: str = "utf-8",
    *,
    mapping: dict[str, str] | None = None,
    encoding: str | None = None,
) -> ContactTable:
    return read_table(text.encode(written), mapping=mapping, encoding=encoding)


def shown(table: ContactTable) -> list[str]:
    return [row.contact.address.shown for row in table.rows]


def errors(table: ContactTable) -> list[tuple[str, int | None]]:
    return [(item.code, item.line) for item in table.findings if item.severity == "error"]


FULL = (
    "E-Mail,First name,Surname,Outlet,Job title,Phone,Beats,Language,Time zone,Note\n"
    'jane@paper.example,Jane,Doe,The Daily Paper,Health editor,+44 20 7946 0000,"Health, NHS",'
    "en,Europe/London,rings back\n"
)


def test_every_field_is_read_by_its_heading() -> None:
    table = read(FULL)
    assert table.findings == ()
    (row,) = table.rows
    assert row.line == 2
    contact = row.contact
    assert contact.address.wire == "jane@paper.example"
    assert (contact.full_name, contact.given_name, contact.family_name) == (
        "Jane Doe",
        "Jane",
        "Doe",
    )
    assert (contact.outlet, contact.role) == ("The Daily Paper", "Health editor")
    assert (contact.phone, contact.note) == ("+44 20 7946 0000", "rings back")
    assert contact.beats == ("Health", "NHS")
    assert (contact.language, contact.zone) == ("en", "Europe/London")


@pytest.mark.parametrize(
    "heading",
    ["e-mail", "Email", "E-MAIL ADDRESS", "mail", "Address", " email ", "E_Mail", "Courriel"],
)
def test_the_address_column_goes_by_many_names(heading: str) -> None:
    assert shown(read(f"Name,{heading}\nJane,jane@paper.example\n")) == ["jane@paper.example"]


@pytest.mark.parametrize(
    ("heading", "name"),
    [
        ("Vorname", "given_name"),
        ("Last Name", "family_name"),
        ("Publication", "outlet"),
        ("Media", "outlet"),
        ("Company", "outlet"),
        ("Tel.", "phone"),
        ("Mobile", "phone"),
        ("Topic", "beats"),
        ("Timezone", "zone"),
    ],
)
def test_headings_have_synonyms(heading: str, name: str) -> None:
    table = read(f"email,{heading}\njane@paper.example,x\n")
    assert (heading, name) in table.columns


# --- encodings -------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_no_part_of_the_first_heading(encoding: str) -> None:
    table = read("email,name\nzoe@paper.example,Zoë Núñez\n", encoding)
    assert table.rows[0].contact.name == "Zoë Núñez"
    assert table.findings == ()


def test_a_western_file_without_mark_is_read_and_the_guess_is_said() -> None:
    table = read(
        "E-Mail;Vorname;Nachname\njm@zeitung.example;Jürgen;Müller\nz@paper.example;Zoë;Núñez\n",
        "cp1252",
    )
    assert [row.contact.full_name for row in table.rows] == ["Jürgen Müller", "Zoë Núñez"]
    assert [(item.code, item.severity) for item in table.findings] == [
        ("encoding-guessed", "warning")
    ]


@pytest.mark.parametrize("encoding", ["cp1251", "cp932"])
def test_another_script_is_not_taken_for_western(encoding: str) -> None:
    name = {"cp1251": "Мария Иванова, Новая газета", "cp932": "山田太郎"}[encoding]
    table = read(
        f"email,name\n{''.join(f'a{n}@x.example,{name[:12]}{chr(10)}' for n in range(9))}", encoding
    )
    assert table.encoding != "cp1252"


def test_a_stated_encoding_wins_over_the_guess() -> None:
    table = read("email,name\na@x.example,Łukasz Żółć\n", "iso8859-2", encoding="iso8859-2")
    assert table.rows[0].contact.name == "Łukasz Żółć"
    assert table.findings == ()


@pytest.mark.parametrize("encoding", ["klingon", "hex", "utf-8"])
def test_an_encoding_that_does_not_fit_is_refused(encoding: str) -> None:
    with pytest.raises(InputError, match="cannot be read as"):
        read_table(b"email\n\xff\xfe\x00@x.example", encoding=encoding)


# --- separators ------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_found(separator: str) -> None:
    rows = [["email", "name", "outlet"], ["jane@paper.example", "Jane", "The Paper"]]
    table = read("\n".join(separator.join(row) for row in rows))
    assert table.separator == separator
    assert table.rows[0].contact.outlet == "The Paper"


def test_quoted_commas_are_part_of_their_cell() -> None:
    table = read('email,name,outlet\njane@paper.example,"Doe, Jane","Paper, The ""Daily"""\n')
    assert table.rows[0].contact.name == "Doe, Jane"
    assert table.rows[0].contact.outlet == 'Paper, The "Daily"'


def test_commas_in_names_do_not_win_over_the_semicolons_between_cells() -> None:
    table = read("name;email\nDoe, Jane, Dr;jane@paper.example\nRoe, Rik, Dr;rik@paper.example\n")
    assert table.separator == ";"
    assert table.rows[0].contact.name == "Doe, Jane, Dr"


def test_excels_own_separator_line_is_obeyed_and_counted() -> None:
    table = read("sep=;\r\nemail;name\r\njane@paper.example;Jane\r\n")
    assert table.rows[0].line == 3


def test_a_few_odd_rows_do_not_decide_the_separator() -> None:
    text = 'email,name\njane@paper.example,Jane\na@b.example;,"x;c@d.example;x"\n'
    table = read(text)
    assert (table.separator, shown(table)) == (",", ["jane@paper.example"])


def test_wrong_delimiter_is_refused_with_what_was_tried_and_seen() -> None:
    with pytest.raises(InputError, match="Separators tried: comma, semicolon") as caught:
        read("email~name\njane@paper.example~Jane\n")
    assert "email~name" in str(caught.value)
    assert "--map" in (caught.value.remedy or "")


def test_headings_with_another_separator_than_the_rows_lose_no_row_silently() -> None:
    table = read("email,name\njane@paper.example;Jane\nrik@paper.example;Rik\n")
    assert len(table.rows) + table.refused == table.read == 2


# --- columns ---------------------------------------------------------------------------------


def test_a_table_without_address_column_is_refused() -> None:
    with pytest.raises(InputError, match="No column of the table holds e-mail addresses"):
        read("name,outlet\nJane,The Paper\n")


def test_a_postal_address_is_no_address_column() -> None:
    with pytest.raises(InputError, match="No column"):
        read("name,address\nJane,1 High Street\n")
    assert shown(read("address,contact via\n1 High St,jane@paper.example\n")) == [
        "jane@paper.example",
    ]


def test_without_headings_the_column_that_clearly_holds_addresses_is_taken() -> None:
    table = read("Jane,jane@paper.example\nRik,rik@paper.example\n")
    assert shown(table) == ["jane@paper.example", "rik@paper.example"]
    assert [row.line for row in table.rows] == [1, 2]
    assert [item.code for item in table.findings] == ["columns-unused"]


def test_columns_without_headings_are_mapped_by_number() -> None:
    table = read("Jane,jane@paper.example\n", mapping={"1": "name"})
    assert table.rows[0].contact.name == "Jane"


def test_a_mapping_wins_over_the_heading() -> None:
    table = read(
        "email,Work e-mail,Who\na@old.example,jane@paper.example,Jane\n",
        mapping={"work E-MAIL": "address", "who": "name"},
    )
    assert shown(table) == ["jane@paper.example"]
    assert table.rows[0].contact.name == "Jane"


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"nope": "name"}, 'no column "nope"'),
        ({"email": "shoe size"}, 'no field "shoe size"'),
        ({"9": "name"}, 'no column "9"'),
    ],
)
def test_a_mapping_that_fits_nothing_is_refused(mapping: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read("email,who\njane@paper.example,Jane\n", mapping=mapping)
    assert caught.value.remedy


def test_extra_columns_are_reported_once() -> None:
    table = read("email,Twitter,Shoe size,\na@x.example,@a,4,\nb@x.example,@b,5,\n")
    (finding,) = table.findings
    assert finding.code == "columns-unused"
    assert '"Twitter", "Shoe size".' in finding.message


def test_of_two_columns_for_one_field_the_surer_heading_is_taken() -> None:
    table = read("Address,Email\nHigh Street 1,jane@paper.example\n")
    assert shown(table) == ["jane@paper.example"]


# --- rows ------------------------------------------------------------------------------------


def test_with_30_percent_bad_rows_the_rest_is_imported_and_each_bad_line_named() -> None:
    rows = [
        f"jane{n}@paper.example,Jane {n}" if n % 10 > 2 else f"jane{n} at paper,Jane {n}"
        for n in range(1000)
    ]
    table = read("email,name\n" + "\n".join(rows))
    assert (table.read, len(table.rows), table.refused) == (1000, 700, 300)
    bad = [n + 2 for n in range(1000) if n % 10 <= 2]
    assert errors(table) == [("address", line) for line in bad]


BAD_ADDRESSES = {
    "two": '"a@b.example,c@d.example"',
    "group": "a@evil.com:b@x.com",
    "crlf": '"jane@paper.example\r\nBcc: x@y.example"',
    "line break at its end": '"jane@paper.example\n"',
    "quoted": '"""jane doe""@paper.example"',
    "comment": "jane(news)@paper.example",
    "route": "@relay.example:jane@paper.example",
    "literal": "jane@[192.0.2.1]",
    "long": "x" * 65 + "@paper.example",
    "name": "Jane <jane@paper.example>",
    "empty": '""',
    "local": "jane@newsroom.local",
    "override": "jane@pa\u202eper.example",
}


@pytest.mark.parametrize("cell", BAD_ADDRESSES.values(), ids=BAD_ADDRESSES.keys())
def test_row_6_a_bad_address_is_one_finding_with_its_line_and_the_rest_is_imported(
    cell: str,
) -> None:
    table = read(f"email,name\nrik@paper.example,Rik\n{cell},Jane\nmia@paper.example,Mia\n")
    assert shown(table) == ["rik@paper.example", "mia@paper.example"]
    assert [line for _, line in errors(table)] == [3]


def test_row_1_a_header_injected_through_a_name_refuses_the_row_by_field() -> None:
    table = read('email,name\njane@paper.example,"Jane\r\nBcc: x@y.example"\n')
    assert table.rows == ()
    (finding,) = table.findings
    assert "name holds a line break (U+000" in finding.message
    assert "lines 2 to 3 are one row" in finding.message


def test_lines_are_the_files_own_when_cells_hold_line_breaks() -> None:
    table = read(
        'email,note\r\na@x.example,"one\r\ntwo\r\nthree"\r\n\r\nbad,x\r\nb@x.example,"four\r\n'
        'five"\r\nc@x.example,six\r\n',
    )
    assert [(row.line, row.contact.address.shown) for row in table.rows] == [
        (2, "a@x.example"),
        (7, "b@x.example"),
        (9, "c@x.example"),
    ]
    assert errors(table) == [("address", 6)]
    assert table.rows[0].contact.note == "one\ntwo\nthree"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end_is_one_line(end: str) -> None:
    table = read(end.join(["email", "a@x.example", "bad", "b@x.example"]))
    assert [row.line for row in table.rows] == [2, 4]
    assert errors(table) == [("address", 3)]


def test_a_quote_that_is_never_closed_costs_its_row_alone() -> None:
    rows = "".join(f"jane{n}@paper.example,Jane\n" for n in range(500))
    table = read(f'email,name\n{rows}rik@paper.example,"Rik\n{rows.replace("jane", "mia")}')
    assert len(table.rows) == 1000
    (finding,) = table.findings
    assert (finding.code, finding.line) == ("row", 502)
    assert "never closed" in finding.message


def test_text_after_a_closing_quote_costs_its_row_alone() -> None:
    table = read('email,name\na@x.example,"Jack" Smith\nb@x.example,Bob "B" Bee\n')
    assert shown(table) == ["b@x.example"]
    assert table.rows[0].contact.name == 'Bob "B" Bee'
    assert errors(table) == [("row", 2)]


def test_a_row_with_more_cells_than_headings_is_refused_rather_than_guessed() -> None:
    table = read("email,name,outlet\njane@paper.example,Doe, Jane,The Paper\n")
    assert errors(table) == [("row", 2)]


def test_short_rows_and_trailing_empty_cells_are_fine() -> None:
    table = read("email,name,outlet\njane@paper.example\nrik@paper.example,Rik,Paper,,\n")
    assert len(table.rows) == 2
    assert table.findings == ()


def test_duplicates_by_case_are_merged_into_the_first_and_reported() -> None:
    table = read(
        "email,name,outlet,beats\n"
        "Jane@Paper.Example,Jane,,Health\n"
        "rik@paper.example,Rik,Paper,\n"
        "jane@paper.example,J. Doe,The Paper,health;NHS\n",
    )
    assert shown(table) == ["Jane@Paper.Example", "rik@paper.example"]
    jane = table.rows[0].contact
    assert (jane.name, jane.outlet, jane.beats) == ("Jane", "The Paper", ("Health", "NHS"))
    assert (table.read, table.duplicates) == (3, 1)
    (finding,) = table.findings
    assert (finding.code, finding.line) == ("duplicate", 4)
    assert "line 2" in finding.message


def test_one_address_in_both_spellings_of_its_domain_is_a_duplicate() -> None:
    table = read("email\njane@bücher.example\njane@xn--bcher-kva.example\n")
    assert table.duplicates == 1


def test_an_unknown_language_or_zone_is_left_empty_and_said_once() -> None:
    table = read(
        "email,language,zone\na@x.example,English,GB time\nb@x.example,English,Europe/Paris\n"
    )
    assert len(table.rows) == 2
    assert [row.contact.zone for row in table.rows] == ["", "Europe/Paris"]
    assert [(item.code, item.severity) for item in table.findings] == [
        ("language-ignored", "warning"),
        ("zone-ignored", "warning"),
    ]
    assert "2 rows" in table.findings[0].message


def test_row_9_what_was_exported_safely_is_read_back() -> None:
    cells = ["jane@paper.example", formula_safe("+44 20 7946 0000")]
    table = read(f"email,phone\n{','.join(cells)}\n")
    assert table.rows[0].contact.phone == "+44 20 7946 0000"


# --- files that are no tables ----------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b" \r\n\t\n"])
def test_an_empty_file_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="empty"):
        read_table(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\x7fELF\2\1\1" + b"\0" * 40,
        b"PK\x03\x04" + b"\0" * 40,
        b"\xd0\xcf\x11\xe0\xa1\xb1",
        b"%PDF-1.7\n",
        bytes(range(256)) * 8,
    ],
)
def test_a_binary_file_is_refused_with_what_to_do(data: bytes) -> None:
    with pytest.raises(InputError) as caught:
        read_table(data)
    assert "CSV" in (caught.value.remedy or "")


def test_a_table_beyond_the_limit_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "TABLE_MAX", 1000)
    with pytest.raises(InputError, match="has more than"):
        read_table(b"email\n" + b"a@x.example\n" * 100)


def test_headings_alone_are_a_table_of_nobody() -> None:
    table = read("email,name\n")
    assert table.rows == ()
    assert [item.code for item in table.findings] == ["table-empty"]


def test_one_nul_is_the_fault_of_its_row() -> None:
    table = read("email,name\na@x.example,Ann\0a\nb@x.example,Bob\n" + "c@x.example,Cy\n" * 20)
    assert errors(table) == [("contact", 2)]


CELL = st.text(alphabet='ab@.,;"\n\r\t| é\u202e=', max_size=12)


@given(st.lists(st.tuples(CELL, CELL), max_size=8), st.sampled_from(",;\t|"))
def test_every_row_becomes_a_contact_a_duplicate_or_a_finding(
    rows: list[tuple[str, str]], separator: str
) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=separator)
    writer.writerows([["email", "name"], ["jane@paper.example", "Jane"], *rows])
    table = read(out.getvalue())
    assert len(table.rows) + table.duplicates + table.refused == table.read
    assert len(errors(table)) == table.refused
    assert "jane@paper.example" in shown(table)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_table_or_refused(data: bytes) -> None:
    with suppress(InputError):
        table = read_table(data)
        assert len(table.rows) + table.duplicates + table.refused == table.read
