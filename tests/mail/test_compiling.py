"""Compiling: slots, probes, and that splicing is the same as rendering for each recipient."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distributor.core.message import SLOT_VALUES, CompiledMessage, merge
from distributor.core.model import Recipient
from distributor.errors import MessageError, TemplateError
from distributor.mail.compiling import _context, _events, _rendered, compile_message, decoded_parts
from tests.golden.samples import EMBARGOED, FOREIGN, LONG, PERSONAL, PLAIN, TEMPLATES

if TYPE_CHECKING:
    from pathlib import Path

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
    context = _context(LONG)

    @settings(max_examples=1_000, suppress_health_check=[HealthCheck.too_slow], database=None)
    @given(recipient=recipients)
    def same(recipient: Recipient) -> None:
        values = {name: value_of(recipient) for name, value_of in SLOT_VALUES.items()}
        whole = _rendered("release", {**context, "recipient": values}, folder)
        text, html = decoded_parts(merge(message, PERSONAL._replace(recipient=recipient)))
        assert text == whole.text
        assert _events(html) == _events(whole.html)

    same()


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
def test_a_template_that_decides_by_recipient_data_is_refused_with_its_line(
    use: str, templates: Path
) -> None:
    (templates / "release" / "body.txt.j2").write_text(f"First line\n{USES[use]}\n")
    with pytest.raises(TemplateError, match=r"^release/body\.txt\.j2, line 2: "):
        compile_message(PLAIN, kind="release", templates=templates)


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
    with pytest.raises(TemplateError, match=part.replace(".", r"\.")):
        compile_message(PLAIN, kind="release", templates=templates)


def test_markup_in_a_value_cannot_become_markup(templates: Path) -> None:
    (templates / "release" / "body.html.j2").write_text(
        "<p>{% autoescape false %}{{ recipient.name }}"
    )
    with pytest.raises(TemplateError):
        compile_message(PLAIN, kind="release", templates=templates)


def test_a_subject_with_recipient_data_is_refused(templates: Path) -> None:
    (templates / "release" / "subject.txt.j2").write_text("{{ recipient.name }}: {{ headline }}")
    with pytest.raises(TemplateError, match="the same for all"):
        compile_message(PLAIN, kind="release", templates=templates)


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
