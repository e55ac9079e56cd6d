"""Templates of mail: a kind and a context in; subject, text and HTML out.

The only importer of Jinja2 for mail. The sandbox is immutable, an undefined name fails, HTML is
escaped by itself, and a context holds no more than texts, numbers, collections and our own frozen
nouns: no settings, no environment, no open file.

A kind's templates are found once, with all they refer to (:func:`referred`), and rendered from
those texts: a folder that changes meanwhile changes nothing.

Invariant: no template decides by a recipient's data unseen; see :class:`RecipientValue`.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.meta import find_referenced_templates
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup, escape

from distributor.core.script import PARTS, SUBJECT
from distributor.errors import TemplateError
from distributor.mail.stationery import Overrun, TemplateFault, Templates

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from jinja2.runtime import Context

#: Plain text is pasted into articles and read in narrow panes: wrapped (statement 54).
TEXT_WIDTH: Final = 72
_KIND: Final = re.compile(r"[a-z]+(?:-[a-z]+)*")
_LINK: Final = re.compile(
    r"(?P<url>https?://[^\s<>\"“”]{1,2000}[^\s<>\"“”.,;:!?)\]'\u2019])"
    r"|(?<![A-Za-z0-9._%+-])(?P<mail>[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,63})"
    r"(?![A-Za-z0-9-])",
)
#: What the expressions of a template may raise.
_TEMPLATE_FAULTS: Final = (
    *(jinja2.TemplateError, ArithmeticError, AttributeError, LookupError),
    *(RuntimeError, SyntaxError, TypeError, ValueError),
)


#: The most characters that one template may give.
OUTPUT_MAX: Final = 4_000_000
_POWER_MAX: Final = 1_000
TOO_MUCH: Final = "it takes more memory than a mail can need"
_FORBIDDEN: Final = "A template may show its values, and choose and repeat by them; no more."
_SMALLER: Final = "Make what is repeated, padded or formatted there smaller."


class DecidesByRecipient(TemplateFault):
    """A template that does more with a recipient's value than showing it."""


class _Used(TemplateError):
    """A recipient's value is used for more than showing it."""


class OutOfTime(TemplateError):
    """It takes longer than a mail may take. Raised by whoever watches the time."""


@dataclass(frozen=True, slots=True)
class Rendered:
    r"""One mail as its templates write it; lines end in ``\\n``."""

    subject: str
    text: str
    html: str


class RecipientValue:
    """Stands for one value of a recipient who is not known yet.

    It may only be shown, alone between its braces: then its ``mark`` comes out. Whatever would
    depend on the value (a condition, a filter, a comparison, arithmetic) fails, because the message
    is compiled once for all. What cannot be seen here is found by comparing probes (compiling).
    """

    __slots__ = ("mark", "name")

    def __init__(self, name: str, mark: str) -> None:
        """Name the value for error messages; ``mark`` is letters and digits only."""
        self.name = name
        self.mark = mark

    def _fail(self, *_: object) -> NoReturn:
        raise _Used(
            f"recipient.{self.name} is used for more than showing it",
            remedy="Show it alone in {{ }}; addressed_to and known_as are ready-made choices.",
        )

    if not TYPE_CHECKING:  # the types that object promises here are what this class denies
        __bool__ = __str__ = __hash__ = __eq__ = __len__ = __format__ = _fail
    __getattr__ = __html__ = __iter__ = __lt__ = __le__ = __gt__ = __ge__ = _fail
    __contains__ = __getitem__ = __int__ = __float__ = __index__ = __call__ = _fail
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __mod__ = __rmod__ = _fail
    __truediv__ = __rtruediv__ = __floordiv__ = __pow__ = __neg__ = __pos__ = _fail


def referred(kind: str, texts: Mapping[str, str]) -> Templates:
    """The three templates of ``kind``, and every one they extend, include or import, of ``texts``.

    Raises:
        TemplateError: a template is broken, or names another by an expression.

    """
    if not _KIND.fullmatch(kind):
        raise TemplateError(f"{kind[:40]!r} is not a kind of mail")
    found: dict[str, str] = {}
    waiting = [f"{kind}/{part}" for part in PARTS]
    while waiting:
        name = waiting.pop()
        if name in found or name not in texts:
            continue  # rendering says who asked for what is not there
        found[name] = texts[name]
        tree = parsed(name, texts[name])
        for other in find_referenced_templates(tree):
            if other is None:
                raise TemplateFault(
                    f"{name}, line {_named_by_expression(tree)}",
                    "it names another template by an expression",
                    remedy="Write the other template's name out.",
                )
            waiting.append(other)
    return tuple(sorted(found.items()))


def parsed(name: str, text: str) -> nodes.Template:
    """The syntax of one template.

    Raises:
        TemplateFault: it has none; the line is named.

    """
    try:
        return ENVIRONMENT.parse(text, name)
    except jinja2.TemplateSyntaxError as error:
        raise TemplateFault(f"{name}, line {error.lineno}", str(error.message)) from error
    except RecursionError as error:
        raise TemplateFault(name, "is nested too deeply", remedy="Write it flatter.") from error


def _named_by_expression(tree: nodes.Template) -> int:
    kinds = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)
    lines = (
        node.lineno
        for node in tree.find_all(kinds)
        if not isinstance(cast("nodes.Include", node).template, nodes.Const)
    )
    return next(lines, 1)


def render(kind: str, context: Mapping[str, object], *, templates: Templates) -> Rendered:
    """Render the three templates of ``kind``; see :func:`render_part`."""
    subject, text, html = (render_part(kind, part, context, templates=templates) for part in PARTS)
    return Rendered(subject, text, html)


def render_part(
    kind: str, part: str, context: Mapping[str, object], *, templates: Templates
) -> str:
    """Render one of the PARTS of ``kind``.

    Raises:
        DecidesByRecipient: it does more with a RecipientValue than showing it.
        TemplateFault: it is missing, broken, or uses what it may not.

    """
    for name, value in context.items():
        _check_context(name, value)
    out = _render(_environment(templates), f"{kind}/{part}", context)
    if part == SUBJECT:
        return out.strip()
    if part.endswith(".html.j2"):
        return out.strip() + "\n"
    return re.sub(r"\n{3,}", "\n\n", out).strip("\n") + "\n"


def _check_context(name: str, value: object) -> None:
    if value is None or isinstance(value, str | int | float | RecipientValue):
        return
    if isinstance(value, list | tuple):
        for item in cast("list[object]", value):
            _check_context(name, item)
    elif isinstance(value, dict):
        for key, item in cast("dict[object, object]", value).items():
            _check_context(f"{name}.{key}", item)
    elif is_dataclass(value) and type(value).__module__.startswith("distributor."):
        for each in fields(value):
            _check_context(f"{name}.{each.name}", getattr(value, each.name))
    else:
        raise TemplateError(f"a template may not see {name}: it is a {type(value).__name__}")


class _Sandbox(ImmutableSandboxedEnvironment):
    """No private names, no changes, and no text beyond all measure from one expression."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401  # as Jinja2 has it
        """Refuse what would fill the memory before the output can be counted."""
        for much, times in ((left, right), (right, left)):
            if not isinstance(times, int):
                continue
            length = len(cast("list[object]", much)) if isinstance(much, str | list) else 0
            if (operator == "*" and length * times > OUTPUT_MAX) or (
                operator == "**" and abs(times) > _POWER_MAX
            ):
                raise SecurityError("the result would be too large")
        return super().call_binop(context, operator, left, right)

    def getattr(self, obj: Any, attribute: str) -> Any:  # noqa: ANN401  # as Jinja2 has it
        """A release's values come first: ``block.items`` is the items, not a method."""
        if isinstance(obj, dict) and attribute in obj:
            return cast("dict[str, Any]", obj)[attribute]
        return super().getattr(obj, attribute)


@lru_cache(maxsize=8)
def _environment(templates: Templates) -> ImmutableSandboxedEnvironment:
    return _sandbox(dict(templates))


def _sandbox(texts: Mapping[str, str]) -> ImmutableSandboxedEnvironment:
    environment = _Sandbox(
        # The name stands for the file, so that an error can say where it came up.
        loader=jinja2.FunctionLoader(
            lambda name: (texts[name], name, lambda: True) if name in texts else None
        ),
        # Nothing is worked out while a template is read, where no line of it would be named.
        optimized=False,
        undefined=jinja2.StrictUndefined,
        autoescape=_is_html,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(linked=_linked, wrapped=_wrapped)
    return environment


def _is_html(name: str | None) -> bool:
    return name is not None and name.endswith(".html.j2")


@jinja2.pass_context  # so that it is not applied to constants before anything is rendered
def _shown(_: Context, value: object) -> object:
    return value.mark if isinstance(value, RecipientValue) else value


def _linked(value: str) -> Markup:
    """HTML of a plain text: web and mail addresses become links, line feeds become breaks."""
    pieces: list[str] = []
    end = 0
    for found in _LINK.finditer(value):
        target = found["url"] or f"mailto:{found['mail']}"
        link = Markup('<a href="{}">{}</a>').format(target, found[0])
        pieces += (escape(value[end : found.start()]), link)
        end = found.end()
    pieces.append(escape(value[end:]))
    whole = "".join(pieces).replace("\n", "<br>\n")
    return Markup(whole)  # noqa: S704  # every piece was escaped above


def _wrapped(value: str, first: str = "", rest: str = "") -> str:
    """``value`` wrapped at 72; its own line feeds stay, words and links are never cut."""
    lines: list[str] = []
    for line in value.split("\n"):
        lines += textwrap.wrap(
            line,
            TEXT_WIDTH,
            initial_indent=rest if lines else first,
            subsequent_indent=rest,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(lines)


def _render(
    environment: ImmutableSandboxedEnvironment, name: str, context: Mapping[str, Any]
) -> str:
    pieces: list[str] = []
    size = 0
    try:
        for piece in environment.get_template(name).generate(context):
            pieces.append(piece)
            size += len(piece)
            if size > OUTPUT_MAX:
                raise TemplateError("it gives more than a mail can hold")  # noqa: TRY301
    except (TemplateError, MemoryError, *_TEMPLATE_FAULTS) as error:
        raise _fault_of(name, error) from error
    return "".join(pieces)


def _fault_of(name: str, error: BaseException) -> TemplateFault:
    """What stopped a template, in our words, with its file and line."""
    if isinstance(error, jinja2.TemplateSyntaxError):
        return TemplateFault(f"{error.name}, line {error.lineno}", str(error.message))
    if isinstance(error, jinja2.TemplateNotFound):
        return TemplateFault(name, f"there is no template {error.name}")
    place = _place(name, error)
    if isinstance(error, MemoryError):
        return TemplateFault(place, TOO_MUCH, remedy=_SMALLER)
    if isinstance(error, SecurityError):
        return TemplateFault(place, str(error), remedy=_FORBIDDEN)
    remedy = error.remedy if isinstance(error, TemplateError) else None
    if isinstance(error, _Used):
        return DecidesByRecipient(place, str(error), remedy=remedy)
    kind = Overrun if isinstance(error, OutOfTime) else TemplateFault
    return kind(place, str(error), remedy=remedy)


def _place(name: str, error: BaseException) -> str:
    """File and line of the innermost template frame; Jinja writes them into the traceback."""
    place = name
    step: TracebackType | None = error.__traceback__
    while step is not None:
        path = Path(step.tb_frame.f_code.co_filename)
        if path.suffix in {".j2", ".css"}:
            place = f"{path.parent.name}/{path.name}, line {step.tb_lineno}"
        step = step.tb_next
    return place


#: What parses and knows filters; it loads nothing.
ENVIRONMENT: Final = _sandbox({})
