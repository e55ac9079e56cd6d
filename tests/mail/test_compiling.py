"""Compiling: slots, probes, and that splicing is the same as rendering for each recipient."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distributor.core.message import SLOT_VALUES, CompiledMessage, merge
from distributor.core.model import Recipient
from distributor.core.script import PARTS
from distributor.errors import MessageError, TemplateError
from distributor.mail.chamber import chamber
from distributor.mail.compiling import (
    _context,
    _plain,
    compile_message,
    decoded_parts,
    letter_of,
    unfolded_subject,
)
from distributor.mail.parts import part_of
from distributor.mail.readhtml import seen_in
from distributor.mail.rendering import referred
from distributor.mail.stationery import gathered
from tests.golden.samples import EMBARGOED, FOREIGN, LIFT, LONG, PERSONAL, PLAIN, TEMPLATES

if TYPE_CHECKING:
    from pathlib import Path

    from distributor.core.message import ReleaseContent

shown = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=60)
recipients = st.builds(
    Recipient,
    address=st.from_regex(
        r"[a-z][a-z0-9.+]{0,20}[a-z]@[a-z]{1,20}\.example", fullmatch=True
    ).filter(lambda address: ".." not in address),
    name=shown,
    given_name=shown,
    outlet=shown,
)


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    """A copy of the shipped templates, to be spoiled."""
    folder = tmp_path / "templates"
    shutil.copytree(TEMPLATES, folder)
    return folder


def test_the_same_release_compiles_to_the_same_digest() -> None:
    first, second = (compile_message(LONG, kind="release", templates=TEMPLATES) for _ in range(2))
    assert first == second
    assert first.digest == second.digest
    other = compile_message(EMBARGOED, kind="release", templates=TEMPLATES)
    assert other.digest != first.digest


def test_what_is_stored_merges_as_what_was_compiled() -> None:
    message = compile_message(FOREIGN, kind="release", templates=TEMPLATES)
    assert merge(CompiledMessage.from_json(message.to_json()), PERSONAL) == merge(message, PERSONAL)


def test_recipient_values_stand_in_both_parts() -> None:
    message = compile_message(PLAIN, kind="release", templates=TEMPLATES)
    for part in decoded_parts(merge(message, PERSONAL)):
        assert "Sent to jane.doe@herald.example (Jane Doe, The Herald)" in part
    unknown = PERSONAL._replace(recipient=Recipient("news@herald.example"))
    assert "Sent to news@herald.example\n" in decoded_parts(merge(message, unknown))[0]
    assert "Sent to news@herald.example by" in decoded_parts(merge(message, unknown))[1]


def test_a_thousand_merged_mails_decode_to_exactly_what_rendering_each_gives(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "every-slot"
    folder.mkdir()
    kind = folder / "release"
    kind.mkdir()
    (kind / "subject.txt.j2").write_text("{{ headline }}")
    every = [f"<{{{{ recipient.{name} }}}}>|{{{{ recipient.{name} }}}}" for name in SLOT_VALUES]
    (kind / "body.txt.j2").write_text("\n".join(every) + "\n.\n{{ recipient.name }}\n.")
    (kind / "body.html.j2").write_text(
        '<p lang="{{ language }}" title="{{ recipient.name }}">'
        + "</p>\n<p>".join(line.replace("<", "").replace(">", "") for line in every)
    )
    message = compile_message(LONG, kind="release", templates=folder)
    assert message.script is None
    assert_same(message, LONG, folder)


def assert_same(message: CompiledMessage, content: ReleaseContent, folder: Path) -> None:
    """Every recipient's mail, as it is stored and sent, is what rendering it whole gives."""
    stored = CompiledMessage.from_json(message.to_json())
    letter = letter_of(stored, content.sender)
    texts = referred("release", gathered(folder))
    values = cast("dict[str, Any]", _plain(_context(content)))

    @settings(
        max_examples=300,
        suppress_health_check=[HealthCheck.too_slow],
        database=None,
        deadline=None,
    )
    @given(recipient=recipients)
    def same(recipient: Recipient) -> None:
        known = {name: value_of(recipient) for name, value_of in SLOT_VALUES.items()}
        context = {**values, "recipient": known}
        subject, text, html = (part_of("release", part, context, texts) for part in PARTS)
        data = letter.copy_for(recipient, reference="k7f3", date=LIFT)
        assert decoded_parts(data)[0] == text
        assert seen_in(decoded_parts(data)[1]) == seen_in(html)
        assert unfolded_subject(data) == subject

    same()


@pytest.mark.parametrize("content", [PLAIN, FOREIGN, LONG], ids=["plain", "foreign", "long"])
def test_the_shipped_templates_are_merged_as_they_render(content: ReleaseContent) -> None:
    message = compile_message(content, kind="release", templates=TEMPLATES)
    assert message.script is None
    assert_same(message, content, TEMPLATES)


USES = {
    "condition": "{% if recipient.name %}Dear{% endif %}",
    "negation": "{{ 'x' if not recipient.name }}",
    "default for the empty": "{{ recipient.name | default('friend', true) }}",
    "comparison": "{{ 'x' if recipient.outlet == 'BBC' }}",
    "order": "{{ 'x' if recipient.name < 'M' }}",
    "membership": "{{ 'x' if 'a' in recipient.name }}",
    "filter upper": "{{ recipient.name | upper }}",
    "filter length": "{{ recipient.name | length }}",
    "filter truncate": "{{ recipient.name | truncate(5) }}",
    "filter escape": "{{ recipient.name | e }}",
    "concatenation": "{{ 'Dear ' ~ recipient.name }}",
    "addition": "{{ recipient.name + '!' }}",
    "repetition": "{{ recipient.name * 3 }}",
    "format": "{{ '%s' | format(recipient.name) }}",
    "method": "{{ recipient.name.upper() }}",
    "slice": "{{ recipient.name[:3] }}",
    "loop": "{% for sign in recipient.name %}x{% endfor %}",
    "join": "{{ [recipient.name, recipient.outlet] | join(', ') }}",
    "wrapping": "{{ recipient.name | wrapped }}",
}


@pytest.mark.parametrize("use", USES)
def test_a_template_that_decides_by_recipient_data_is_rendered_and_its_line_told(
    use: str, templates: Path
) -> None:
    (templates / "release" / "body.txt.j2").write_text(f"First line\n{USES[use]}\n")
    message = compile_message(PLAIN, kind="release", templates=templates)
    assert message.script is not None
    [(part, reason)] = message.script.reasons
    assert part == "body.txt.j2"
    assert reason.startswith("release/body.txt.j2, line 2: recipient.")
    assert reason.endswith(f" in “{USES[use]}”")


HIDDEN_USES = {
    "a filtered block": "{% filter upper %}{{ recipient.name }}{% endfilter %}",
    "a captured block": "{% set x %}{{ recipient.name }}{% endset %}{{ x | length }}",
    "a type": "{{ 'x' if recipient.name is string }}",
    "a wrapped block": "{% filter wrapped %}"
    + "word " * 14
    + "{{ recipient.name }}{% endfilter %}",
}


@pytest.mark.parametrize("use", HIDDEN_USES)
@pytest.mark.parametrize("part", ["body.txt.j2", "body.html.j2"])
def test_what_a_value_cannot_see_the_probes_find(use: str, part: str, templates: Path) -> None:
    (templates / "release" / part).write_text(HIDDEN_USES[use])
    message = compile_message(PLAIN, kind="release", templates=templates)
    assert message.script is not None
    assert message.script.parts == (part,)


CONDITIONS = {
    "a condition in the text": {
        "body.txt.j2": "{% if recipient.name %}Dear {{ recipient.name }},{% else %}Hi,{% endif %}\n"
        "{{ headline }}\n.\nFrom us to {{ recipient.outlet | upper }}"
    },
    "a condition in the HTML": {
        "body.html.j2": "<p title='{{ recipient.name }}'>"
        "{{ recipient.given_name or 'Hello' }}, {{ recipient.outlet | length }}</p>"
    },
    "both parts and the subject": {
        "subject.txt.j2": "{{ headline }}{{ ' for ' ~ recipient.name if recipient.name | trim }}",
        "body.txt.j2": "{{ (recipient.name ~ ' ' ~ headline) | wrapped }}",
        "body.html.j2": "<p>{{ recipient.name | upper }}</p>",
    },
    "a wrapped block": {"body.txt.j2": HIDDEN_USES["a wrapped block"]},
}


@pytest.mark.parametrize("case", CONDITIONS)
def test_what_decides_by_its_recipient_is_sent_as_it_renders(case: str, templates: Path) -> None:
    for part, text in CONDITIONS[case].items():
        (templates / "release" / part).write_text(text)
    message = compile_message(PLAIN, kind="release", templates=templates)
    assert message.script is not None
    assert message.script.parts == tuple(part for part in PARTS if part in CONDITIONS[case])
    assert_same(message, PLAIN, templates)


def test_i6_what_is_rendered_is_bound_by_the_digest_and_needs_no_file(templates: Path) -> None:
    (templates / "release" / "body.txt.j2").write_text(
        "{% extends '_base/body.txt.j2' %}{% block content %}{{ recipient.name | upper }}"
        "{% endblock %}"
    )
    first = compile_message(PLAIN, kind="release", templates=templates)
    base = templates / "_base" / "body.txt.j2"
    before = base.read_text()
    base.write_text(before + "PS\n")
    second = compile_message(PLAIN, kind="release", templates=templates)
    assert second.digest != first.digest
    shutil.rmtree(templates)
    letter = letter_of(CompiledMessage.from_json(first.to_json()), PLAIN.sender)
    data = letter.copy_for(PERSONAL.recipient, reference="k7f3", date=LIFT)
    assert "JANE DOE" in decoded_parts(data)[0]
    assert "PS" not in decoded_parts(data)[0]


def test_i6_a_program_that_renders_otherwise_sends_nothing(
    templates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (templates / "release" / "body.txt.j2").write_text("{{ (recipient.name ~ '!') | wrapped }}")
    message = compile_message(PLAIN, kind="release", templates=templates)

    def otherwise(*asked: Any, **how: Any) -> str:
        return rendered(*asked, **how) + "!"

    rendered = chamber().rendered
    monkeypatch.setattr(chamber(), "rendered", otherwise)
    letter = letter_of(message, PLAIN.sender)
    with pytest.raises(MessageError, match="what they gave at approval"):
        letter.copy_for(PERSONAL.recipient, reference="k7f3", date=LIFT)


def test_a_fault_at_one_recipient_is_theirs_alone_and_repeats_no_word(templates: Path) -> None:
    (templates / "release" / "body.txt.j2").write_text(
        "one\n{{ 1 / (0 if recipient.name == 'Jane Doe' else 1) }}{{ recipient.name }}"
    )
    message = compile_message(PLAIN, kind="release", templates=templates)
    letter = letter_of(message, PLAIN.sender)
    with pytest.raises(MessageError) as refused:
        letter.copy_for(PERSONAL.recipient, reference="k7f3", date=LIFT)
    assert "body.txt.j2, line 2" in str(refused.value)
    assert "Jane" not in str(refused.value)
    assert letter.copy_for(Recipient("ann@b.example", "Ann"), reference="k7f3", date=LIFT)


def test_a_message_with_a_script_is_not_sent_without_its_renderer(templates: Path) -> None:
    (templates / "release" / "body.txt.j2").write_text("{{ recipient.name | upper }}")
    message = compile_message(PLAIN, kind="release", templates=templates)
    with pytest.raises(MessageError, match="parts of this recipient"):
        merge(message, PERSONAL)


def test_a_template_that_gives_too_much_is_refused(templates: Path) -> None:
    for text in (
        "{{ 'x' * 10000000 }}",
        "{{ 9 ** 9999999 }}",
        "{% for a in range(90000) %}{{ body }}{% endfor %}",
    ):
        (templates / "release" / "body.txt.j2").write_text(text)
        with pytest.raises(TemplateError, match=r"too large|more than a mail"):
            compile_message(PLAIN, kind="release", templates=templates)


def test_markup_that_breaks_out_of_its_value_is_still_what_the_template_says(
    templates: Path,
) -> None:
    (templates / "release" / "body.html.j2").write_text(
        "<p>{% autoescape false %}{{ recipient.name }}{% endautoescape %}</p>"
    )
    message = compile_message(PLAIN, kind="release", templates=templates)
    assert message.script is not None
    assert message.script.parts == ("body.html.j2",)


def test_a_release_without_a_headline_is_refused() -> None:
    with pytest.raises(MessageError, match="subject is empty"):
        compile_message(
            replace(PLAIN, draft=replace(PLAIN.draft, headline=None)),
            kind="release",
            templates=TEMPLATES,
        )


def test_a_release_text_cannot_pose_as_template_or_slot() -> None:
    body = "{{ recipient.address }} {% if 1 %} q0123456789abcdef00q"
    content = replace(PLAIN, draft=replace(PLAIN.draft, body=body))
    message = compile_message(content, kind="release", templates=TEMPLATES)
    assert body in decoded_parts(merge(message, PERSONAL))[0]
