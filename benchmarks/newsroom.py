"""The material of every benchmark: who gets the release, and what it says.

All of it is made here, the same at every run: names with and without accents, outlets of several
journalists each, and a text long enough that one mail is about 9 kB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_GIVEN: Final = (
    *("Amara", "Benoît", "Carys", "Dónal", "Elin", "Farid", "Greta", "Hywel", "Ines", "Jonas"),
    *("Katya", "Liam", "Maeve", "Noor", "Oona", "Piers", "Ruth", "Siân", "Tomas", "Yusuf"),
)
_FAMILY: Final = (
    *("Abara", "Brandt", "Conway", "Delgado", "Eastwood", "Fofana", "Grünwald", "Hartley"),
    *("Ivory", "Jansen", "Kowalski", "Llewellyn", "Marsh", "Nkemelu", "Óskarsson", "Pryce"),
    *("Quill", "Rourke", "Sato", "Thorne", "Underhill", "Vale", "Whitcombe"),
)
_PAPER: Final = ("Argus", "Chronicle", "Courier", "Echo", "Gazette", "Herald", "Mercury", "Post")
#: Journalists at one outlet, on average.
_PER_OUTLET: Final = 9

_OPENING: Final = """\
Night ferries to the western isles will run all year, the Harbour Commission says

The Harbour Commission has today announced that the night ferry from Mordale to the western \
isles, which has stopped each winter since it began, will run in all twelve months from now on.

“People on the isles do not fall ill by the calendar,” said Ines Falk, who chairs the Commission. \
“A boat that comes only in fine weather is an excursion, and they asked for a service.”
"""
_DETAIL: Final = (
    "On the {port} crossing the last boat leaves at {hour} in the evening and is met by the "
    "first bus of the morning. {share} in every hundred passengers asked last year wanted a later "
    "departure; crews, harbour pilots and the bakery that supplies all of them were asked too.\n"
)
_PORTS: Final = (
    *("Mordale", "Carrick Sound", "Sallow Point", "Inverbeg", "Lower Tarn", "Skerry", "Eastholm"),
    *("Brannoch", "Farside"),
)
#: Paragraphs of detail: with two, one mail is about 9 kB.
_DETAILS: Final = 2
_CLOSING: Final = """\
-ends –

For further information please contact:

Marian Okafor, Harbour Commission press office
Tel: 0191 498 0142
Owen Tarn, Harbour Commission press office
Tel: 0191 498 0156

About the Harbour Commission

The Harbour Commission keeps eleven harbours and forty boats. It was founded when there were \
three of each, and it answers to the people who use them.
"""


def people(count: int, start: int = 0, *, of: int | None = None) -> Iterator[tuple[str, str, str]]:
    """``count`` journalists from number ``start`` on, ``of`` so many in all: name, address, outlet.

    Number 7 of a thousand is the same in every run.
    """
    outlets = max(1, (of or count) // _PER_OUTLET)
    for number in range(start, start + count):
        given = _GIVEN[number % len(_GIVEN)]
        family = _FAMILY[number // len(_GIVEN) % len(_FAMILY)]
        outlet = number % outlets
        paper = f"{_PORTS[outlet % len(_PORTS)]} {_PAPER[outlet % len(_PAPER)]} {outlet}"
        yield f"{given} {family}", f"reader{number}@paper{outlet}.example", paper


def table(count: int, start: int = 0, *, of: int | None = None) -> bytes:
    """Those journalists as the CSV file a press office would import."""
    rows = "".join(
        f"{name},{address},{outlet}\n" for name, address, outlet in people(count, start, of=of)
    )
    return f"name,email,outlet\n{rows}".encode()


def statement() -> str:
    """The release as plain text, without an embargo: that is said when it is brought in."""
    details = "\n".join(
        _DETAIL.format(
            port=port, hour=f"{7 + number % 4}.{number % 6}5", share=31 + 7 * number % 50
        )
        for number, port in enumerate(_PORTS[:_DETAILS])
    )
    return f"{_OPENING}\n{details}\n{_CLOSING}"
