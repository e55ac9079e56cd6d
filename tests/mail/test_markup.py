"""What may not stand in a mail's HTML, from a template or from a text."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from distributor.core.model import Boilerplate, Draft, PressContact, Recipient
from distributor.errors import TemplateError
from distributor.mail.compiling import compile_message, decoded_parts, letter_of
from distributor.mail.markup import active_in, active_in_source
from distributor.mail.stationery import Stationery
from tests.golden.samples import ADVANCE, EMBARGOED, FOREIGN, JANE, LIFT, LONG, PLAIN, TEMPLATES

if TYPE_CHECKING:
    from pathlib import Path

ACTIVE = {
    "a script": "<script>alert(1)</script>",
    "a script in capitals": "<SCRIPT SRC=//x.example></SCRIPT>",
    "a script link": '<a href="javascript:alert(1)">x</a>',
    "a script link with a tab": '<a href="java\tscript:alert(1)">x</a>',
    "a script link in entities": '<a href="&#106;avascript:alert(1)">x</a>',
    "a script link behind a blank": '<a href=" javascript:alert(1)">x</a>',
    "a data link": '<a href="data:text/html,<script>alert(1)</script>">x</a>',
    "a file": '<a href="file:///etc/passwd">x</a>',
    "a relative link": '<a href="/login">x</a>',
    "a base": '<base href="https://x.example/">',
    "a refresh": '<meta http-equiv="refresh" content="0;url=https://x.example">',
    "a form": '<form action="https://x.example"><input name="a"></form>',
    "a button": "<button formaction='https://x.example'>x</button>",
    "a frame": '<iframe src="https://x.example"></iframe>',
    "an object": '<object data="x.swf"></object>',
    "a link to a style": '<link rel="icon" href="https://x.example/a.ico">',
    "a picture of data": '<img src="data:image/png;base64,AAAA" alt="x">',
    "a picture in clear": '<img src="http://x.example/a.png" alt="x">',
    "a picture that acts": '<img src="https://x.example/a.png" alt="x" onerror="alert(1)">',
    "a picture set": '<img srcset="https://x.example/a.png 1x" alt="x">',
    "a background": '<table background="https://x.example/a.png"><tr><td>x</td></tr></table>',
    "a style that fetches": '<p style="background: url(https://x.example/a.png)">x</p>',
    "a style that imports": '<style>@import "https://x.example/a.css";</style>',
    "a style that hides": '<p style="background: u\\72l(https://x.example/a.png)">x</p>',
    "a style that runs": '<p style="width: expression(alert(1))">x</p>',
    "a drawing": "<svg onload='alert(1)'><circle r='1'/></svg>",
    "a film": '<video src="https://x.example/a.mp4"></video>',
    "an event": '<p onmouseover="alert(1)">x</p>',
    "within a comment for Outlook": "<!--[if mso]><script>alert(1)</script><![endif]-->",
}


@pytest.mark.parametrize("case", ACTIVE)
def test_row_15_what_a_template_would_do_is_refused_by_file_and_line(
    case: str, tmp_path: Path
) -> None:
    (tmp_path / "release").mkdir()
    body = tmp_path / "release" / "body.html.j2"
    body.write_text(
        "{% extends '_base/body.html.j2' %}\n{% block content %}\n"
        f"{ACTIVE[case]}\n{{% endblock %}}"
    )
    with pytest.raises(TemplateError, match=r"^release/body\.html\.j2, line 3: ") as refused:
        compile_message(PLAIN, kind="release", templates=Stationery(TEMPLATES, tmp_path))
    assert refused.value.remedy


HIDDEN = {
    "a link that is a value": '<a href="{{ headline }}">x</a>',
    "a link that is a recipient's": '<a href="{{ recipient.name }}">x</a>',
    "a tag put together": '{{ ("<scr" ~ "ipt>") | safe }}',
    "an attribute put together": "{{ ('<p on' ~ 'click=\"x\">') | safe }}",
}


@pytest.mark.parametrize("case", HIDDEN)
def test_row_15_what_only_the_finished_mail_shows_is_refused_too(case: str, tmp_path: Path) -> None:
    (tmp_path / "release").mkdir()
    (tmp_path / "release" / "body.html.j2").write_text(f"\n{HIDDEN[case]}")
    content = replace(PLAIN, draft=replace(PLAIN.draft, headline="javascript:alert(1)"))
    with pytest.raises(TemplateError, match=r"^release/body\.html\.j2"):
        compile_message(content, kind="release", templates=Stationery(TEMPLATES, tmp_path))


def test_row_15_a_style_is_told_by_its_own_line(tmp_path: Path) -> None:
    (tmp_path / "_base").mkdir()
    style = (TEMPLATES / "_base" / "style.css").read_text()
    (tmp_path / "_base" / "style.css").write_text(
        "p { margin: 0 }\n.page { background: url(https://x.example/a.png); }\n" + style
    )
    with pytest.raises(TemplateError, match=r"^_base/style\.css, line 2: “url\(” in a style"):
        compile_message(PLAIN, kind="release", templates=Stationery(TEMPLATES, tmp_path))


@pytest.mark.parametrize("content", [PLAIN, EMBARGOED, ADVANCE, FOREIGN, LONG])
def test_row_15_the_shipped_templates_hold_nothing_active(content: object) -> None:
    assert isinstance(content, type(PLAIN))
    message = compile_message(content, kind="release", templates=TEMPLATES)
    data = letter_of(message, content.sender).copy_for(JANE, reference="k7f3", date=LIFT)
    assert active_in(decoded_parts(data)[1]) == []
    for path in TEMPLATES.rglob("*.*"):
        if path.name.endswith((".html.j2", ".css")):
            found = active_in_source(path.name, path.read_text())
            assert all(each.unknown for each in found), found


class Links(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del tag
        self.found += [value or "" for name, value in attrs if name in {"href", "src"}]


TEXTS = (
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    '<base href="https://x.example/"><meta http-equiv="refresh" content="0">',
    '<form action="https://x.example"><input></form>',
    "<style>p{background:url(https://x.example)}</style>@import 'x'",
    "<img src=x onerror=alert(1)> [x](javascript:alert(1)) <javascript:alert(1)>",
    "vbscript:x file:///etc/passwd ftp://x.example mailto:javascript:alert(1)@x.example",
    'https://x.example/"onmouseover="alert(1) http://x.example/javascript:alert(1)',
)


@pytest.mark.parametrize("text", TEXTS)
def test_row_14_and_15_no_text_of_a_release_becomes_more_than_text(text: str) -> None:
    line = text.replace("\n", " ")
    draft = Draft(
        headline=line,
        subheadline=line,
        label=line,
        body=f"{text}\n\n• {text}\n• {text}",
        contacts=(PressContact(line, line, line, None, "a@x.example"),),
        notes=(text,),
        boilerplate=(Boilerplate(text, line),),
    )
    message = compile_message(replace(PLAIN, draft=draft), kind="release", templates=TEMPLATES)
    recipient = Recipient(JANE.address, line, line, line)
    data = letter_of(message, PLAIN.sender).copy_for(recipient, reference="k7f3", date=LIFT)
    html = decoded_parts(data)[1]
    assert active_in(html) == []
    links = Links(html).found
    assert links
    assert all(re.match(r"https?://|mailto:[^:]+@|tel:\+?\d*$", link) for link in links), links
