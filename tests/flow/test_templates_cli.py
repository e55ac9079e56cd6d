"""``distributor templates check``: a folder of own templates, read by somebody who mends it."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from distributor.shipped import shipped
from tests.commandline import CommandLine

if TYPE_CHECKING:
    from pathlib import Path

OURS = shipped("templates")
FRAME = "{% extends '_base/body.html.j2' %}\n{% block content %}\n"


@pytest.fixture
def desk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    """A desk with a folder for templates."""
    (tmp_path / "own" / "release").mkdir(parents=True)
    (tmp_path / "own" / "_base").mkdir()
    return CommandLine(tmp_path, capsys, monkeypatch)


def write(desk: CommandLine, files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        path = desk.folder / "own" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def checked(desk: CommandLine) -> tuple[int, dict[str, Any]]:
    done = desk.run("templates", "check", "own", "--json")
    return done.code, json.loads(done.out)


def told(found: dict[str, Any]) -> list[tuple[str, int | None, str]]:
    return [(each["file"], each["line"], each["message"]) for each in found["remarks"]]


#: A file, what stands in it, the line told, what is said, and the remedy.
TEN_AND_MORE = [
    (
        "release/subject.txt.j2",
        "{{ release_line.subject_prefx }}{{ headline }}",
        1,
        "release_line has no subject_prefx",
        "Did you mean subject_prefix?",
    ),
    ("release/body.txt.j2", "one\n{{ headlin }}\n", 2, "there is no headlin", "headline?"),
    ("release/body.txt.j2", "{{ body | uper }}", 3, "there is no filter uper", "upper?"),
    (
        "release/body.html.j2",
        FRAME + '<a href="javascript:x">x</a>\n',
        3,
        "href of <a> does not begin with https:",
        "Write the whole address",
    ),
    (
        "release/body.html.j2",
        "{% include '_base/footr.html.j2' %}\n",
        4,
        "there is no template _base/footr.html.j2",
        "Did you mean _base/body.html.j2?",
    ),
    ("release/body.html.j2", "<form>{% endblock %}", 5, "<form> would run", "Take <form> out"),
    ("_base/body.html.j2", "<html>\n{% if label %}\n\nx", 3, "'endif'", "Compare it with /"),
    (
        "_base/body.txt.j2",
        "one\ntwo\n{{ 'a' | center(10**9) }}{% block content %}{% endblock %}",
        3,
        "it takes more memory",
        "smaller",
    ),
    (
        "_base/style.css",
        "p { margin: 0; }\n.page { background: url(https://x.example/p.png); }",
        2,
        "“url(” in a style",
        "Take it out",
    ),
    ("_base/blocks.txt.j2", b"one\n\xff", 2, "is not UTF-8", "Save it as UTF-8"),
    ("_base/blocks.html.j2", "x" * 200_001, None, "is larger than 200 kB", "pictures"),
    ("_base/stile.css", "p { margin: 0; }", None, "no template refers to it", "_base/style.css?"),
    ("relase/body.txt.j2", "x", None, "there is no kind of mail relase", "release/body.txt.j2?"),
    ("release/body.html", "x", None, "is not the name of a template", "release/body.html.j2?"),
    ("release/bdy.txt.j2", "x", None, "no template refers to it", "release/body.txt.j2?"),
]


def test_fifteen_mistakes_are_each_named_by_file_and_line_with_a_remedy(desk: CommandLine) -> None:
    files: dict[str, str | bytes] = {}
    for name, content, *_ in TEN_AND_MORE:
        before = files.get(name)
        files[name] = (
            before + content if isinstance(before, str) and isinstance(content, str) else content
        )
    write(desk, files)
    code, found = checked(desk)
    assert code == 1
    assert not found["good"]
    for file, _, line, says, remedy in TEN_AND_MORE:
        [remark] = [
            each
            for each in found["remarks"]
            if (each["file"], each["line"]) == (file, line) and says in each["message"]
        ]
        assert remark["severity"] == "error"
        assert remedy in remark["remedy"]
    assert len(found["remarks"]) == len(TEN_AND_MORE)
    said = desk.run("templates", "check", "own")
    assert said.code == 1
    assert said.out.endswith("15 mistakes.\n")
    assert "release/body.txt.j2, line 2: there is no headlin" in said.out


def test_a_good_folder_is_told_to_be_good_with_what_it_overrides_and_its_size(
    desk: CommandLine,
) -> None:
    write(
        desk,
        {
            "release/body.html.j2": FRAME + "{% include '_base/sign.html.j2' %}\n{% endblock %}",
            "_base/sign.html.j2": "<p>{{ organisation }}</p>",
            ".DS_Store": b"\0",
        },
    )
    code, found = checked(desk)
    assert (code, found["good"], found["remarks"]) == (0, True, [])
    assert found["overrides"] == ["release/body.html.j2"]
    assert found["additions"] == ["_base/sign.html.j2"]
    assert {size["language"] for size in found["sizes"]} >= {"en", "de", "fr", "es", "cy"}
    assert all(1_000 < size["html"] < 80_000 for size in found["sizes"])
    desk.configure(templates__folder="own")
    said = desk.says("templates", "check")
    assert said.endswith("No mistakes.\n")
    assert "release/body.html.j2" in said


def test_our_own_templates_have_no_mistake(desk: CommandLine) -> None:
    shutil.copytree(OURS, desk.folder / "own", dirs_exist_ok=True)
    code, found = checked(desk)
    assert (code, found["remarks"]) == (0, [])
    assert "_base/style.css" in found["overrides"]


def test_what_costs_time_or_room_is_a_warning(desk: CommandLine) -> None:
    write(
        desk,
        {
            "release/body.txt.j2": "one\n{{ recipient.name | upper }}",
            "release/body.html.j2": FRAME + "<p>words of it</p>\n" * 2_200 + "{% endblock %}",
        },
    )
    code, found = checked(desk)
    assert code == 0
    assert [(file, line) for file, line, _ in told(found)] == [
        ("release/body.html.j2", None),
        ("release/body.txt.j2", 2),
    ]
    size, slow = found["remarks"]
    assert "kB of HTML; mail programs clip" in size["message"]
    assert "rendered for each" in slow["message"]


def test_a_mistake_that_only_rendering_shows_is_found_behind_another(desk: CommandLine) -> None:
    write(
        desk,
        {
            "_base/blocks.html.j2": "{% macro flow(a, b='') %}\n{{ 1 / 0 }}\n{% endmacro %}",
            "release/body.txt.j2": "one\n\n{{ contacts[0].nme }}",
            "release/subject.txt.j2": "{{ headline }}{{ body[9].kind }}",
        },
    )
    code, found = checked(desk)
    assert code == 1
    places = [(file, line) for file, line, _ in told(found)]
    assert places == [
        ("_base/blocks.html.j2", 2),
        ("release/body.txt.j2", 3),
        ("release/subject.txt.j2", 1),
    ]


@pytest.mark.parametrize("folder", ["none", "own/release/file"])
def test_what_is_no_folder_of_templates_is_said(folder: str, desk: CommandLine) -> None:
    (desk.folder / "own" / "release" / "file").write_text("x")
    done = desk.run("templates", "check", folder)
    assert done.code == 1
    assert "cannot be read as a folder of templates" in done.err


def test_without_a_folder_there_is_nothing_to_check(desk: CommandLine) -> None:
    desk.configure()
    done = desk.run("templates", "check")
    assert done.code == 1
    assert "[templates] folder" in done.err


def test_the_help_of_templates_check_shows_an_example(desk: CommandLine) -> None:
    assert "Example: distributor templates check ./templates" in desk.says(
        "templates", "check", "--help"
    )


@pytest.mark.parametrize("kind", ["correction", "withdrawal", "follow-up"])
def test_a_template_of_a_sequel_is_tried_with_an_earlier_release_to_speak_of(
    desk: CommandLine, kind: str
) -> None:
    write(desk, {f"{kind}/subject.txt.j2": "{{ verb }}{{ sequel.label }}: {{ headline }}"})
    code, found = checked(desk)
    assert (code, found["remarks"]) == (0, [])
    write(desk, {f"{kind}/subject.txt.j2": "{{ sequel.lable }}"})
    code, found = checked(desk)
    assert code == 1
    [(file, line, _)] = told(found)
    assert (file, line) == (f"{kind}/subject.txt.j2", 1)


def test_doctor_tells_of_a_mistake_in_own_templates(desk: CommandLine) -> None:
    desk.configure(templates__folder="own")
    write(desk, {"release/body.txt.j2": "{{ headlin }}"})
    done = desk.run("doctor", "--json")
    [said] = [each for each in json.loads(done.out) if each["name"] == "templates"]
    assert said["verdict"] == "error"
    assert "release/body.txt.j2: there is no headlin" in said["says"]
