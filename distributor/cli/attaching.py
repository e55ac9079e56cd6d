"""Files that go with a release on the command line: options, and how they are shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from distributor.core.model import Attachment
    from distributor.intake.attachment import Brought

Attach = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="A file to go with each mail; may be given again."),
]
PictureFile = Annotated[
    list[Path] | None,
    typer.Option("--picture", metavar="FILE", help="A picture shown in the mail, with its --alt."),
]
Alt = Annotated[
    list[str] | None,
    typer.Option(metavar="TEXT", help="What is to be seen in the picture; one for each."),
]
Caption = Annotated[
    list[str] | None,
    typer.Option(metavar="TEXT", help="Its caption; for each picture or for none."),
]
Credit = Annotated[
    list[str] | None,
    typer.Option(metavar="TEXT", help="Who made it; for each picture or for none."),
]
Detach = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Take out the attachment or picture of that name."),
]


def brought(
    attach: list[Path] | None,
    picture: list[Path] | None,
    alt: list[str] | None,
    caption: list[str] | None,
    credit: list[str] | None,
) -> tuple[Brought, ...]:
    """Read the files of the options: pictures first, in their order.

    Raises:
        InputError: a file cannot be read or must not be sent.
        BadParameter: the texts are not as many as the pictures.

    """
    from distributor.intake.attachment import Words, bring

    pictures = picture or []
    texts = [
        _for_each(pictures, given, option)
        for given, option in ((alt, "--alt"), (caption, "--caption"), (credit, "--credit"))
    ]
    if pictures and not alt:
        msg = 'say what is to be seen in each picture: --alt "The ferry at the pier"'
        raise typer.BadParameter(msg)
    shown = [bring(path, Words(*said)) for path, *said in zip(pictures, *texts, strict=True)]
    return (*shown, *(bring(path) for path in attach or ()))


def _for_each(pictures: list[Path], given: list[str] | None, option: str) -> list[str]:
    if not given:
        return [""] * len(pictures)
    if len(given) != len(pictures):
        msg = f'{option} is given {len(given)} times for {len(pictures)} pictures; "" is for none'
        raise typer.BadParameter(msg)
    return given


def print_noticed(files: Iterable[Brought]) -> None:
    """Print what was noticed of each file."""
    from distributor.cli.output import print_findings

    for file in files:
        print_findings(file.findings)


def warn_of_size(attachments: Iterable[Attachment]) -> None:
    """Warn when newsrooms may refuse a mail with these."""
    from distributor.cli.output import print_findings
    from distributor.core.size import size_findings

    print_findings(size_findings(attachments))


def attachment_words(attachment: Attachment) -> str:
    """Name, type and size in one line."""
    from distributor.core.size import size_words

    return f"{attachment.name}, {attachment.media_type}, {size_words(attachment.size)}"


def attachments_as_json(attachments: Iterable[Attachment]) -> list[dict[str, object]]:
    """What scripts get of them; ``size`` is in octets."""
    return [
        {
            "name": each.name,
            "type": each.media_type,
            "size": each.size,
            "sha256": each.digest,
            "picture": each.picture
            and {
                "alt": each.picture.alt,
                "caption": each.picture.caption,
                "credit": each.picture.credit,
                "width": each.picture.width,
                "height": each.picture.height,
            },
        }
        for each in attachments
    ]
