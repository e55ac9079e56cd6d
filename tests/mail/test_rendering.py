"""Templates: what they may see and do, and how they fail."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from distributor.core.model import Dateline, Recipient
from distributor.core.wording import Block
from distributor.errors import TemplateError
from distributor.mail.rendering import Rendered, referred, render
from distributor.mail.stationery import gathered


def rendered(folder: Path, line: str, html: str = "x", /, **context: object) -> Rendered:
    kind = folder / "note"
    kind.mkdir(exist_ok=True)
    (kind / "subject.txt.j2").write_text("{{ headline }}")
    (kind / "body.txt.j2").write_text(line)
    (kind / "body.html.j2").write_text(html)
    return render(
        "note", {"headline": "A & B", **context}, templates=referred("note", gathered(folder))
    )


def test_html_is_escaped_and_text_is_not(tmp_path: Path) -> None:
    out = rendered(tmp_path, "{{ headline }}", "<p>{{ headline }}</p>")
    assert out == Rendered("A & B", "A & B\n", "<p>A &amp; B</p>\n")


def test_empty_lines_are_never_more_than_one(tmp_path: Path) -> None:
    assert rendered(tmp_path, "\n\na\n\n\n\nb\n\n").text == "a\n\nb\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ok\n{{ missing }}", r"^note/body\.txt\.j2, line 2: 'missing' is undefined"),
        ("ok\n\n{% if %}", r"^note/body\.txt\.j2, line 3: "),
        ("{% include 'none.j2' %}", r"^note/body\.txt\.j2: there is no template none\.j2"),
        ("{{ ''.__class__ }}", r"line 1: .*unsafe"),
        ("{{ headline.__init__.__globals__ }}", r"line 1: .*unsafe"),
        ("{{ items.append(1) }}", r"line 1: .*unsafe"),
        ("{{ 1 / 0 }}", r"line 1: division by zero"),
        ("{{ headline + 1 }}", r"line 1: "),
        ("{{ config }}", "'config' is undefined"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recursion"),
    ],
)
def test_a_template_fault_names_file_and_line(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(TemplateError, match=said):
        rendered(tmp_path, line, items=["a"])


def test_a_missing_kind_is_a_fault(tmp_path: Path) -> None:
    for kind, said in (("none", "there is no template"), ("../release", "not a kind"), ("", "not")):
        with pytest.raises(TemplateError, match=said):
            render(kind, {}, templates=referred(kind, gathered(tmp_path)))


def test_a_context_holds_only_values(tmp_path: Path) -> None:
    fine = {
        "a": ["x", 1, 2.5, None, True],
        "b": {"c": Recipient("a@b.example")},
        "d": Block("bullets", ("x",)),
    }
    assert rendered(tmp_path, "{{ a[0] }}{{ b.c.address }}", **fine).text == "xa@b.example\n"
    for value in (
        datetime(2026, 1, 1, tzinfo=UTC),
        Path(),
        object(),
        [len],
        {"x": open},
        Dateline(date=datetime.now(UTC).date()),
    ):
        with pytest.raises(TemplateError, match="may not see thing"):
            rendered(tmp_path, "x", thing=value)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a < b\nc", "a &lt; b<br>\nc"),
        (
            "see https://x.example/a?b=1&c=2.",
            'see <a href="https://x.example/a?b=1&amp;c=2">https://x.example/a?b=1&amp;c=2</a>.',
        ),
        ("(https://x.example/a)", '(<a href="https://x.example/a">https://x.example/a</a>)'),
        ("write to a.b@x.example.", 'write to <a href="mailto:a.b@x.example">a.b@x.example</a>.'),
        ("javascript:alert(1)", "javascript:alert(1)"),
        (
            'https://x.example/"onclick="x',
            '<a href="https://x.example/">https://x.example/</a>&#34;onclick=&#34;x',
        ),
    ],
)
def test_addresses_in_a_text_become_links_and_nothing_else_does(
    tmp_path: Path, text: str, html: str
) -> None:
    assert rendered(tmp_path, "x", "{{ t | linked }}", t=text).html == f"{html}\n"


def test_long_texts_are_searched_for_links_in_no_time(tmp_path: Path) -> None:
    for text in ("a" * 100_000, "a@" * 50_000, "a." * 50_000, "https://" * 12_000):
        assert rendered(tmp_path, "x", "{{ t | linked }}", t=text).html


def test_text_is_wrapped_without_cutting_words_or_links(tmp_path: Path) -> None:
    link = "https://x.example/" + "a" * 90
    out = rendered(
        tmp_path, "{{ t | wrapped('- ', '  ') }}", t=f"{'word ' * 20}{link}\nnext-line"
    ).text
    lines = out.splitlines()
    assert lines[0].startswith("- word")
    assert all(line.startswith("  ") for line in lines[1:])
    assert f"  {link}" in lines
    assert lines[-1] == "  next-line"
    assert all(len(line) <= 72 for line in lines if link not in line)
