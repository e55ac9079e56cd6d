"""What is stored of a message's templates when some of them are rendered for each recipient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from distributor.core.model import Recipient

#: The three templates of a kind, in the order they are compiled.
SUBJECT: Final = "subject.txt.j2"
BODIES: Final = ("body.txt.j2", "body.html.j2")
PARTS: Final = (SUBJECT, *BODIES)

#: Gives the rendered parts of one recipient by name: the subject in one line, bodies whose lines
#: are parted by line feeds. Raises MessageError for a recipient whose parts cannot be rendered.
Render = Callable[[Recipient], Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """Everything that rendering needs, so that nothing outside changes what was approved (I6).

    ``templates`` are the texts by name, with every base, include and macro; ``values`` the
    release's values as JSON; ``reasons`` say for each part that is rendered why it is; ``proof`` is
    the SHA-256 of what it came to for known recipients at approval.
    """

    templates: tuple[tuple[str, str], ...]
    values: str
    reasons: tuple[tuple[str, str], ...]
    proof: str

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that are rendered for each recipient, of PARTS."""
        return tuple(part for part, _ in self.reasons)

    def to_form(self) -> dict[str, Any]:
        """What JSON can hold of it."""
        return {
            "templates": self.templates,
            "values": self.values,
            "reasons": self.reasons,
            "proof": self.proof,
        }

    @classmethod
    def from_form(cls, form: Any) -> Script:  # noqa: ANN401  # it comes from outside
        """Read what :meth:`to_form` gave; of another shape: ValueError, TypeError, KeyError."""
        script = cls(
            templates=_pairs(form["templates"]),
            values=form["values"],
            reasons=_pairs(form["reasons"]),
            proof=form["proof"],
        )
        if not script.parts or not set(script.parts) <= set(PARTS):
            raise ValueError("no such parts")
        return script


def _pairs(form: Any) -> tuple[tuple[str, str], ...]:  # noqa: ANN401
    pairs = cast("list[tuple[str, str]]", form)
    return tuple((name, text) for name, text in pairs)
