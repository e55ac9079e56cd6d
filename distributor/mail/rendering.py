"""Templates of mail: a kind and a context in; subject, text and HTML out.

The only importer of Jinja2 for mail. The sandbox is immutable, an undefined name fails, HTML is
escaped by itself, and a context holds no more than texts, numbers, collections and our own frozen
nouns: no settings, no environment, no open file.

Invariant: a template cannot decide anything by a recipient's data; see :class:`RecipientValue`.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup, escape

from distributor.errors import TemplateError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

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
    *(RuntimeError, TypeError, ValueError),
)


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
        raise TemplateError(
            f"recipient.{self.name} is used for more than showing it",
            remedy="Show it alone in {{ }}; addressed_to and known_as are ready-made choices.",
        )

    if not TYPE_CHECKING:  # the types that object promises here are what this class denies
        __bool__ = __str__ = __hash__ = __eq__ = __len__ = __format__ = _fail
    __html__ = __iter__ = __lt__ = __le__ = __gt__ = __ge__ = _fail
    __contains__ = __getitem__ = __int__ = __float__ = __index__ = __call__ = _fail
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __mod__ = __rmod__ = _fail
    __truediv__ = __rtruediv__ = __floordiv__ = __pow__ = __neg__ = __pos__ = _fail


def render(kind: str, context: Mapping[str, object], *, templates: Path) -> Rendered:
    """Render ``templates/<kind>/{subject.txt,body.txt,body.html}.j2``.

    Raises:
        TemplateError: a template is missing, broken, or uses what it may not; the message begins
            with its file and line.

    """
    if not _KIND.fullmatch(kind):
        raise TemplateError(f"{kind[:40]!r} is not a kind of mail")
    for name, value in context.items():
        _check_context(name, value)
    environment = _environment(templates)
    text = _render(environment, f"{kind}/body.txt.j2", context)
    return Rendered(
        subject=_render(environment, f"{kind}/subject.txt.j2", context).strip(),
        text=re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n",
        html=_render(environment, f"{kind}/body.html.j2", context).strip() + "\n",
    )


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


@lru_cache(maxsize=8)
def _environment(templates: Path) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader(templates),
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


def _shown(value: object) -> object:
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
    try:
        return environment.get_template(name).render(context)
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(f"{error.name}, line {error.lineno}: {error.message}") from error
    except jinja2.TemplateNotFound as error:
        raise TemplateError(f"{name}: there is no template {error.name}") from error
    except TemplateError as error:
        raise TemplateError(f"{_place(name, error)}: {error}", remedy=error.remedy) from error
    except _TEMPLATE_FAULTS as error:
        raise TemplateError(f"{_place(name, error)}: {error}") from error


def _place(name: str, error: BaseException) -> str:
    """File and line of the innermost template frame; Jinja writes them into the traceback."""
    place = name
    step: TracebackType | None = error.__traceback__
    while step is not None:
        path = Path(step.tb_frame.f_code.co_filename)
        if path.suffix == ".j2":
            place = f"{path.parent.name}/{path.name}, line {step.tb_lineno}"
        step = step.tb_next
    return place
