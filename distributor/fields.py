"""What the sections of the configuration are made of: lines of text, and findings in our words."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic_core import PydanticCustomError

_CONTROL: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})


def wrong(what: str, *, key: str | None = None) -> PydanticCustomError:
    """Build a finding in our own words; ``key`` is the culprit within a whole section."""
    return PydanticCustomError("wrong", "{what}", {"what": what, "key": key})


def unprintable(value: str) -> bool:
    """Whether a character could break out of a header, a command or a log line."""
    return any(unicodedata.category(character) in _CONTROL for character in value)


def _one_line(value: str) -> str:
    if unprintable(value):
        raise wrong("holds a line break or another control character")
    return value


Line = Annotated[str, AfterValidator(_one_line)]


class Section(BaseModel):
    """A table of the file: unknown keys fail, nothing changes after loading."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False
    )
