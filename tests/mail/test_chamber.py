"""Templates that did not come with the program: what they cannot reach, eat or stop."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from distributor.core.message import merge
from distributor.core.model import Recipient
from distributor.errors import MessageError, TemplateError
from distributor.mail.cell import MEMORY_MAX
from distributor.mail.chamber import WALL_S, Chamber, Job, chamber
from distributor.mail.compiling import compile_message, decoded_parts, letter_of
from distributor.mail.stationery import Overrun, Stationery, TemplateFault
from tests.golden.samples import LIFT, PERSONAL, PLAIN, TEMPLATES

CANARY = "canary-5d1e-Marlowe"
MARK = "/escaped-canary-5d1e"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of the desk's own, beside a configuration that no template may see."""
    folder = tmp_path / "own"
    (folder / "release").mkdir(parents=True)
    (folder / "config.toml").write_text(f'password = "{CANARY}"')
    (folder / "release" / "config.toml").write_text(f'password = "{CANARY}"')
    (tmp_path / "key.j2").write_text(CANARY)
    return folder


def text_of(own: Path, source: str, part: str = "body.txt.j2") -> str:
    """The text part of a mail whose own template says ``source``."""
    (own / "release" / part).write_text(source)
    message = compile_message(PLAIN, kind="release", templates=Stationery(TEMPLATES, own))
    render = letter_of(message, PLAIN.sender).render
    parts = render(PERSONAL.recipient) if render else {}
    return "".join(decoded_parts(merge(message, PERSONAL, parts)))


SHELL = f"touch {MARK}; cat config.toml"
ESCAPES = {
    "class of a text": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "class by subscript": "{{ ''['__class__']['__mro__'][1]['__subclasses__']() }}",
    "class by attr": "{{ '' | attr('__class__') | attr('__base__') }}",
    "class by attr in pieces": "{{ '' | attr('__cla' ~ 'ss__') | attr('__subclasses__') }}",
    "class by attr through map": "{{ [''] | map(attribute='__class__') | first }}",
    "class by groupby": "{{ ([''] | groupby('__class__') | first).grouper }}",
    "class by sort": "{{ ['b', 'a'] | sort(attribute='__class__.__name__') }}{{ 0 / 0 }}",
    "format of a text": "{{ '{0.__class__.__init__.__globals__}'.format(words) }}",
    "format by attr": "{{ ('{0.__class__.__mro__}' | attr('format'))(words) }}",
    "format by map": "{{ ['{0.__class__.__mro__}'] | map('format', words) | first }}{{ 0 / 0 }}",
    "format_map": "{{ '{x.__class__.__mro__}'.format_map({'x': words}) }}",
    "format_map stored": "{% set f = '{x.__class__}'.format_map %}{{ f({'x': words}) }}",
    "globals of a filter": "{{ headline.upper.__globals__ }}",
    "code of a macro": "{% macro m() %}{% endmacro %}{{ m.__code__ }}{{ m._func.__globals__ }}",
    "environment of a macro": "{% macro m() %}{% endmacro %}{{ m._environment }}",
    "globals of range": "{{ range.__init__.__globals__ }}",
    "globals of cycler": f"{{{{ cycler.__init__.__globals__.os.popen('{SHELL}').read() }}}}",
    "globals of joiner": f"{{{{ joiner.__init__.__globals__.os.system('{SHELL}') }}}}",
    "globals of namespace": "{{ namespace.__init__.__globals__['os'].environ }}",
    "globals of lipsum": f"{{{{ lipsum.__globals__['os'].popen('{SHELL}').read() }}}}",
    "globals of lipsum by attr": "{{ lipsum | attr('__glo' 'bals__') }}",
    "builtins": "{{ self.__init__.__globals__.__builtins__.open('config.toml').read() }}",
    "self": "{{ self._TemplateReference__context.environment }}",
    "context": "{{ self._TemplateReference__context.vars }}",
    "undefined": "{{ undefined_thing.__init__.__globals__ }}",
    "undefined by attr": "{{ (none | attr('x')).__init__.__globals__ }}",
    "loop": "{% for a in [1] %}{{ loop.__init__.__globals__ }}{% endfor %}",
    "generator frame": "{{ (body | map('upper')).gi_frame.f_globals }}",
    "generator code": "{{ (body | map('upper')).gi_code.co_filename }}",
    "traceback of a coroutine": "{{ (body | map('upper')).cr_frame }}",
    "import": "{% import 'os' as os %}{{ os.environ }}",
    "import by name": "{{ __import__('os').environ }}",
    "include of a configuration": "{% include 'config.toml' %}",
    "include beside it": "{% include 'release/config.toml' %}",
    "include above": "{% include '../key.j2' %}",
    "include by a path": "{% include '/etc/passwd' %}",
    "include by an expression": "{% include 'con' ~ 'fig.toml' %}",
    "extends by an expression": "{% extends ['/proc/self/environ'][0] %}",
    "a program's value": "{{ config }}{{ settings }}{{ environment }}",
    "a request": "{{ request.application.__globals__ }}",
    "os": f"{{{{ os.system('{SHELL}') }}}}",
    "change of a list": "{{ body.append('x') }}{{ body.clear() }}",
    "change of the words": "{{ words.update({'a': 1}) }}",
    "mutable default": "{% set words.sent_by = 'x' %}",
    "bytes": "{{ 'x'.encode().__class__ }}",
    "number": "{{ (1).__class__.__base__.__subclasses__() }}",
    "int to bytes": "{{ (1).real.__reduce_ex__(2) }}",
    "encoding that is a program": "{{ 'x'.encode('zlib_codec') }}{{ 0 / 0 }}",
    "do": "{% do words.clear() %}",
    "debug": "{% debug %}",
}


@pytest.mark.parametrize("attempt", ESCAPES)
def test_row_12_no_template_breaks_out_of_the_sandbox(
    attempt: str, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTRIBUTOR_RELAY__PASSWORD", CANARY)
    with pytest.raises(TemplateError) as refused:
        text_of(own, f"one\n{ESCAPES[attempt]}")
    said = f"{refused.value} {refused.value.remedy}"
    assert "release/body.txt.j2" in said
    assert CANARY not in said
    assert "<class" not in said
    assert not Path(MARK).exists()


def test_row_12_the_child_holds_nothing_worth_breaking_out_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DISTRIBUTOR_RELAY__PASSWORD", CANARY)
    room = Chamber()
    job = Job("note", (("note/body.txt.j2", "{{ recipient.name }}"),), "{}")
    assert room.rendered(job, "body.txt.j2", {"name": "Ann"}) == "Ann\n"
    assert room._child is not None
    process = Path(f"/proc/{room._child._process.pid}")
    environ = (process / "environ").read_bytes()
    assert CANARY.encode() not in environ
    assert b"PYTHONPATH" in environ
    limits = (process / "limits").read_text()
    assert f"Max open files            {0:<21}{0:<21}" in limits
    assert f"Max address space         {MEMORY_MAX:<21}{MEMORY_MAX:<21}" in limits
    assert f"Max file size             {0:<21}{0:<21}" in limits
    open_in_it = {os.readlink(link) for link in (process / "fd").iterdir()}  # noqa: PTH115
    assert all(target.startswith("pipe:") or target == "/dev/null" for target in open_in_it)
    room.end()


RANGES = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
GREEDY = {
    "a repeated text": "{{ 'a' * 10**9 }}",
    "a repeated list": "{{ [1] * 10**9 }}",
    "padding": "{{ 'a' | center(10**9) }}",
    "a width in a format": "{{ '%01000000000d' | format(1) }}",
    "a width in a method": "{{ '{:>1000000000}'.format(1) }}",
    "a width that grows": "{{ 'a'.ljust(2000000000) | length }}",
    "replacement": "{{ ('a' * 3000000) | replace('a', 'b' * 3000000) }}",
    "doubling": "{% set n = namespace(x='a') %}{% for a in range(99) %}{% set n.x = n.x ~ n.x %}"
    "{% endfor %}{{ n.x | length }}",
    "power": "{{ (9 ** 999) ** 999 }}",
    "nested ranges": RANGES,
    "a product of ranges": "{% for a in range(99999) %}{{ range(99999) | list | sum }}{% endfor %}",
    "a macro that calls itself": "{% macro m(n) %}{{ m(n) }}{{ m(n) }}{% endmacro %}{{ m(1) }}",
    "a word in Latin without end": "{{ lipsum(n=99999, min=9999, max=99999) }}",
    "indent": "{{ ('\n' * 3000000) | indent(3000, blank=true) }}",
    "wordwrap": "{{ ('a ' * 2000000) | wordwrap(1, wrapstring='b' * 3000) }}",
    "much output": "{% for a in range(90000) %}{{ body }}{{ body }}{{ body }}{% endfor %}",
    "blocks in blocks": "{% for a in [1] %}" * 90 + "{% endfor %}" * 90,
    "brackets in brackets": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
}


@pytest.mark.parametrize("greed", GREEDY)
@pytest.mark.parametrize("part", ["body.txt.j2", "body.html.j2"])
def test_row_13_a_greedy_template_stops_itself_alone(greed: str, part: str, own: Path) -> None:
    with pytest.raises(TemplateError) as refused:
        text_of(own, f"one\n{GREEDY[greed]}", part)
    assert str(refused.value).startswith(f"release/{part}")
    assert compile_message(PLAIN, kind="release", templates=TEMPLATES)
    (own / "release" / part).write_text("other releases go on")
    assert compile_message(PLAIN, kind="release", templates=Stationery(TEMPLATES, own))


def test_row_13_a_greedy_template_is_told_by_its_line_and_a_remedy(own: Path) -> None:
    for greed, said in (
        ("a repeated text", "line 2: the result would be too large"),
        ("padding", "line 2: it takes more memory"),
        ("nested ranges", "line 2: it takes longer than"),
    ):
        with pytest.raises(TemplateFault, match=said) as refused:
            text_of(own, f"one\n{GREEDY[greed]}")
        assert refused.value.remedy


MEASURED = """
import resource, sys
from pathlib import Path
from distributor.errors import TemplateError
from distributor.mail.compiling import compile_message
from distributor.mail.stationery import Stationery
from tests.golden.samples import PLAIN, TEMPLATES
own = Path(sys.argv[1])
for number, text in enumerate(["{{ headline }}", *sys.argv[2:]]):
    (own / "release" / "body.txt.j2").write_text(text)
    try:
        compile_message(PLAIN, kind="release", templates=Stationery(TEMPLATES, own))
    except TemplateError:
        assert number
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_row_13_the_memory_of_the_program_stays_flat(own: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", MEASURED, own, *GREEDY.values()],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    before, *after = (int(kib) for kib in run.stdout.split())
    assert len(after) == len(GREEDY)
    assert max(after) - before < 12_000, f"KiB at its height: {before}, then {after}"


def test_row_13_a_child_that_does_not_answer_is_killed_and_the_next_question_answered() -> None:
    room = Chamber()
    job = Job("note", (("note/body.txt.j2", "{{ recipient.name }}"),), "{}")
    assert room.rendered(job, "body.txt.j2", {"name": "Ann"}) == "Ann\n"
    assert room._child is not None
    room._child._process.send_signal(19)  # SIGSTOP: it stands still
    with pytest.raises(Overrun, match=r"note/body\.txt\.j2: it takes longer than 2 seconds"):
        room.rendered(job, "body.txt.j2", {"name": "Ann"})
    assert room.rendered(job, "body.txt.j2", {"name": "Ann"}) == "Ann\n"
    room.end()


def test_row_13_a_child_that_dies_is_told_of_and_followed_by_another() -> None:
    room = Chamber()
    job = Job("note", (("note/body.txt.j2", "{{ recipient.name }}"),), "{}")
    room.rendered(job, "body.txt.j2", {"name": "Ann"})
    assert room._child is not None
    room._child._process.kill()
    room._child._process.wait()
    with pytest.raises(Overrun, match="more memory"):
        room.rendered(job, "body.txt.j2", {"name": "Ann"})
    assert room.rendered(job, "body.txt.j2", {"name": "Bea"}) == "Bea\n"
    room.end()


def test_the_chamber_answers_several_threads_and_more_jobs_than_it_remembers() -> None:
    jobs = [
        Job("note", (("note/body.txt.j2", f"{n} {{{{ recipient.name }}}}"),), "{}")
        for n in range(12)
    ]
    came: list[str] = []

    def ask(job: Job) -> None:
        came.extend(chamber().rendered(job, "body.txt.j2", {"name": "Zoë"}) for _ in range(3))

    threads = [threading.Thread(target=ask, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(came) == sorted(f"{n} Zoë\n" for n in range(12) for _ in range(3))


def test_row_13_a_template_that_is_greedy_for_one_recipient_is_refused_to_that_one(
    own: Path,
) -> None:
    (own / "release" / "body.txt.j2").write_text(
        f"{{% if recipient.name == 'Jane Doe' %}}{RANGES}{{% endif %}}{{{{ recipient.name }}}}"
    )
    message = compile_message(PLAIN, kind="release", templates=Stationery(TEMPLATES, own))
    letter = letter_of(message, PLAIN.sender)
    with pytest.raises(MessageError, match="cannot be rendered for this recipient") as refused:
        letter.copy_for(PERSONAL.recipient, reference="k7f3", date=LIFT)
    assert "Jane" not in str(refused.value)
    ann = Recipient("ann@b.example", "Ann")
    assert b"Ann" in letter.copy_for(ann, reference="k7f4", date=LIFT)


def test_row_13_a_template_that_is_greedy_for_many_is_soon_not_tried_any_more(own: Path) -> None:
    (own / "release" / "body.txt.j2").write_text(
        f"{{% if recipient.name == 'Ann' %}}{RANGES}{{% endif %}}{{{{ recipient.name }}}}"
    )
    message = compile_message(PLAIN, kind="release", templates=Stationery(TEMPLATES, own))
    letter = letter_of(message, PLAIN.sender)
    began = time.monotonic()
    for number in range(50):
        ann = Recipient(f"ann{number}@b.example", "Ann")
        with pytest.raises(MessageError):
            letter.copy_for(ann, reference="k7f3", date=LIFT)
    assert time.monotonic() - began < 3 * 2 * WALL_S + 2
    with pytest.raises(MessageError, match="took too long for several recipients"):
        letter.copy_for(PERSONAL.recipient, reference="k7f3", date=LIFT)


def test_an_own_template_takes_the_place_of_ours_and_ours_fill_in(own: Path) -> None:
    out = text_of(own, "{% extends '_base/body.txt.j2' %}{% block content %}Ours.{% endblock %}")
    assert "\nOurs.\n" in out
    assert "Sent to jane.doe@herald.example" in out
    assert 'class="house plain"' in out
    shutil.rmtree(own)
    with pytest.raises(TemplateFault, match="cannot be read as a folder of templates") as refused:
        compile_message(PLAIN, kind="release", templates=Stationery(TEMPLATES, own))
    assert "[templates] folder" in str(refused.value.remedy)


def test_templates_that_are_ours_letter_by_letter_are_rendered_in_this_process(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Chamber, "rendered", asked)
    monkeypatch.setattr(Chamber, "referred", asked)
    shutil.copytree(TEMPLATES, own, dirs_exist_ok=True)
    copied = compile_message(PLAIN, kind="release", templates=Stationery(TEMPLATES, own))
    assert copied.digest == compile_message(PLAIN, kind="release", templates=TEMPLATES).digest
    with pytest.raises(AssertionError):
        text_of(own, "x")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"one\ntwo \xff\n", r"release/body\.txt\.j2, line 2: is not UTF-8"),
        (b"x" * 200_001, r"release/body\.txt\.j2: is larger than 200 kB"),
    ],
)
def test_a_file_that_is_no_template_is_named(data: bytes, said: str, own: Path) -> None:
    (own / "release" / "body.txt.j2").write_bytes(data)
    with pytest.raises(TemplateFault, match=said) as refused:
        compile_message(PLAIN, kind="release", templates=Stationery(TEMPLATES, own))
    assert refused.value.remedy
