"""Mistakes of a template that its source shows, without rendering it: names that nobody knows.

Rendering stops at the first mistake, and never comes to what a condition hides. This reads on.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, cast

from jinja2 import nodes

from distributor.mail.markup import active_in_source
from distributor.mail.rendering import ENVIRONMENT, parsed
from distributor.mail.stationery import TemplateFault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

#: What the language itself gives.
_GIVEN: Final = frozenset({"loop", "self", "super", "caller", "varargs", "kwargs"})
#: These may ask for a name that nobody knows.
_ASKING: Final = frozenset({"defined", "undefined"})


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong in a template, on a line counted from 1, and what to do about it."""

    line: int
    says: str
    remedy: str


def mistakes(
    name: str, templates: Mapping[str, str], known: Mapping[str, Sequence[str]]
) -> list[Mistake]:
    """What is wrong with the template of that name, in the order of its lines.

    ``known`` are the names a context holds, each with those behind its dot (none: not told).

    Raises:
        TemplateFault: it has no syntax at all; the line is named.

    """
    tree = parsed(name, templates[name])
    given = {*known, *_GIVEN, *ENVIRONMENT.globals}
    for other, text in templates.items():
        try:
            given |= set(_set_in(tree if other == name else parsed(other, text)))
        except TemplateFault:
            continue  # told of when its turn comes
    set_here = set(_set_in(tree))
    found = [
        *_unknown_names(tree, given),
        *_unknown_parts(tree, {key: value for key, value in known.items() if key not in set_here}),
        *_unknown_words(tree),
        *_unknown_templates(tree, templates),
    ]
    if name.endswith((".html.j2", ".css")):
        found += [
            Mistake(active.line, active.says, active.remedy)
            for active in active_in_source(name, templates[name])
            if not active.unknown
        ]
    return sorted(set(found), key=lambda mistake: (mistake.line, mistake.says))


def nearest(word: str, words: Iterable[str], otherwise: str) -> str:
    """What was probably meant."""
    meant = get_close_matches(word, sorted(words), n=1, cutoff=0.6)
    return f"Did you mean {meant[0]}?" if meant else otherwise


def _set_in(tree: nodes.Template) -> Iterator[str]:
    for node in tree.find_all((nodes.Name, nodes.Macro, nodes.Import, nodes.FromImport)):
        if isinstance(node, nodes.Macro) or (isinstance(node, nodes.Name) and node.ctx != "load"):
            yield node.name
        elif isinstance(node, nodes.Import):
            yield node.target
        elif isinstance(node, nodes.FromImport):
            yield from (name if isinstance(name, str) else name[1] for name in node.names)


def _unknown_names(tree: nodes.Template, given: set[str]) -> Iterator[Mistake]:
    asked = {id(test.node) for test in tree.find_all(nodes.Test) if test.name in _ASKING}
    for node in tree.find_all(nodes.Name):
        if node.ctx == "load" and node.name not in given and id(node) not in asked:
            remedy = nearest(node.name, given, "What there is: docs/operating.md, Templates.")
            yield Mistake(node.lineno, f"there is no {node.name}", remedy)


def _unknown_parts(tree: nodes.Template, known: Mapping[str, Sequence[str]]) -> Iterator[Mistake]:
    for node in tree.find_all((nodes.Getattr, nodes.Getitem)):
        owner = node.node
        if isinstance(node, nodes.Getattr):
            part: object = node.attr
        else:
            part = node.arg.value if isinstance(node.arg, nodes.Const) else None
        if not isinstance(owner, nodes.Name) or not isinstance(part, str):
            continue
        parts = known.get(owner.name, ())
        if parts and part not in parts:
            remedy = nearest(part, parts, f"There are: {', '.join(parts)}.")
            yield Mistake(node.lineno, f"{owner.name} has no {part}", remedy)


def _unknown_words(tree: nodes.Template) -> Iterator[Mistake]:
    for kind, there in (("filter", ENVIRONMENT.filters), ("test", ENVIRONMENT.tests)):
        for node in tree.find_all(nodes.Filter if kind == "filter" else nodes.Test):
            if node.name not in there:
                remedy = nearest(node.name, there, "See Jinja's list of them.")
                yield Mistake(node.lineno, f"there is no {kind} {node.name}", remedy)


def _unknown_templates(tree: nodes.Template, templates: Mapping[str, str]) -> Iterator[Mistake]:
    for node in tree.find_all((nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)):
        named = cast("nodes.Extends", node).template
        if not isinstance(named, nodes.Const):
            says = "it names another template by an expression"
            yield Mistake(node.lineno, says, "Write the other template's name out.")
        elif named.value not in templates:
            remedy = nearest(str(named.value), templates, "Name it from the folder on.")
            yield Mistake(node.lineno, f"there is no template {named.value}", remedy)
