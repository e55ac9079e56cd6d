"""How waves are named on a command line: ``--wave KIND``, and what an answer speaks of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from distributor.core.model import WaveKind

Waves = Annotated[
    list[str] | None,
    typer.Option(
        "--wave",
        metavar="KIND",
        help="Only waves of these kinds, such as correction, or general,resend; may repeat.",
    ),
]


def kinds_of(words: Iterable[str] | None) -> frozenset[WaveKind]:
    """The kinds named, each option one or several with commas between; of None, none.

    Raises:
        typer.BadParameter: A word is no kind of wave.

    """
    from distributor.core.model import WaveKind

    found: set[WaveKind] = set()
    for word in ",".join(words).split(",") if words else ():
        try:
            found.add(WaveKind(word.strip().lower()))
        except ValueError as error:
            msg = f"{word!r} is not a kind of wave: {', '.join(WaveKind)}"
            raise typer.BadParameter(msg) from error
    return frozenset(found)


def kinds_text(kinds: Collection[WaveKind]) -> str:
    """``correction or resend``."""
    return " or ".join(sorted(kind.value for kind in kinds))


def spoken_of(ref: str, kinds: Collection[WaveKind], *, asked: Collection[WaveKind] = ()) -> str:
    """What waves of these kinds bring, as a sentence names it: ``the withdrawal of R-7``.

    ``asked`` are the kinds that the order named; without them the waves are all that still hold.
    """
    from distributor.core.model import WaveKind
    from distributor.core.sequel import SEQUELS

    if asked:
        wave = "" if set(asked) <= SEQUELS else " wave"
        return f"the {kinds_text(asked)}{wave} of {ref}"
    text = ref
    if WaveKind.WITHDRAWAL in kinds:
        text = f"the withdrawal of {ref}"
    elif WaveKind.CORRECTION in kinds:
        # Who had nothing yet gets the new text as a plain release.
        plain = WaveKind.GENERAL in kinds
        text = f"the corrected {ref}" if plain else f"the correction of {ref}"
    return f"{text} with its follow-up" if WaveKind.FOLLOW_UP in kinds else text
