"""Reading a desk's own templates: every mistake by file and line, before a release depends on them.

Names first, then what each source shows, then a sample release in every language for the probe
recipients. A file that fails is set aside, so that it does not hide the mistakes of the next.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from itertools import islice, product
from typing import TYPE_CHECKING, Final, Literal

from distributor.core.changes import Change, Place
from distributor.core.furniture import LANGUAGES
from distributor.core.letter import TEMPLATE
from distributor.core.message import ReleaseContent
from distributor.core.model import Boilerplate, Dateline, Draft, PressContact, Sender, WaveKind
from distributor.core.script import PARTS
from distributor.core.sequel import SEQUELS, SequelContent
from distributor.core.size import HTML_WARNING
from distributor.errors import MessageError
from distributor.mail.chamber import chamber
from distributor.mail.compiling import compile_message, context_names
from distributor.mail.grammar import nearest
from distributor.mail.stationery import NAME, Stationery, TemplateFault, gathered, listed, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: How a warning of size goes on.
_LARGE: Final = "kB of HTML; mail programs clip"
#: A folder that holds more than this is some other folder.
_FILES_MAX: Final = 1_000
#: Beside ours, one of a language that has no words of its own, and one from right to left.
_LANGUAGES: Final = (*LANGUAGES, "cy", "ar")
_SLOW: Final = (
    "Show the recipient's values alone in {{ }}: such a mail is made a hundred times faster."
)


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing about a file of the folder. ``line`` counts from 1; None is the file as a whole."""

    file: str
    line: int | None
    severity: Literal["error", "warning"]
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Size:
    """Octets of a sample's HTML, without its recipient's values."""

    kind: str
    language: str
    html: int


@dataclass(slots=True)
class Proof:
    """What was found: which files take the place of ours, which are new, what is wrong."""

    folder: str
    overrides: list[str] = field(default_factory=list[str])
    additions: list[str] = field(default_factory=list[str])
    remarks: list[Remark] = field(default_factory=list[Remark])
    sizes: list[Size] = field(default_factory=list[Size])

    @property
    def good(self) -> bool:
        """Whether a release could be approved with these templates."""
        return not any(remark.severity == "error" for remark in self.remarks)

    def tell(self, remark: Remark) -> None:
        """Add a remark, unless rendering says what is told of that line already.

        Nor where a template of ours meets a mistake that is told of the desk's own.
        """
        told = {each.line for each in self.remarks if each.file == remark.file}
        if remark.file not in (*self.overrides, *self.additions) and any(
            each.message == remark.message for each in self.remarks
        ):
            told.add(remark.line)
        if remark.line not in told and not (remark.line is None and told):
            self.remarks.append(remark)


def proofread(paper: Stationery, own: Path) -> Proof:
    """Read the templates in ``own``, which take the place of those of ``paper``.

    Raises:
        TemplateFault: it is no folder, or not one of templates.

    """
    proof = Proof(str(own))
    listed(own)
    ours = gathered(Stationery(paper.folder))
    texts = dict(ours)
    for name, path in _files(own):
        if not NAME.fullmatch(name):
            proof.tell(_stray(name, ours))
            continue
        (proof.overrides if name in ours else proof.additions).append(name)
        try:
            texts[name] = text_of(path, name)
        except TemplateFault as fault:
            proof.tell(_remark(fault, paper.folder))
    aside = _source(proof, texts, paper)
    _unasked(proof, texts, ours)
    _samples(proof, replace(paper, own=own), aside)
    proof.remarks.sort(key=lambda remark: (remark.file, remark.line or 0, remark.message))
    return proof


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every file but hidden ones, with its name from the folder on."""
    every = list(islice(folder.rglob("*"), _FILES_MAX + 1))
    if len(every) > _FILES_MAX:
        why = f"holds more than {_FILES_MAX} files: these are not templates alone"
        raise TemplateFault(str(folder), why, remedy="Name the folder of your templates.")
    for path in sorted(every):
        name = path.relative_to(folder).as_posix()
        if not path.is_dir() and not name.startswith(".") and "/." not in name:
            yield name, path


def _stray(name: str, ours: dict[str, str]) -> Remark:
    remedy = nearest(name, ours, "What there is: release/body.html.j2, _base/style.css …")
    return Remark(name, None, "error", "is not the name of a template, and is not read", remedy)


def _source(proof: Proof, texts: dict[str, str], paper: Stationery) -> set[str]:
    """What the sources show; returns the files that cannot be used at all."""
    known = context_names(_speaking(WaveKind.CORRECTION, _sample("en")))
    unread = {remark.file for remark in proof.remarks}
    aside = {name for name in [*proof.overrides, *proof.additions] if name in unread}
    for name in [*proof.overrides, *proof.additions]:
        if name in aside:
            continue
        try:
            for mistake in chamber().mistakes(name, texts, known):
                remark = Remark(name, mistake.line, "error", mistake.says, mistake.remedy)
                proof.remarks.append(remark)
        except TemplateFault as fault:
            proof.tell(_remark(fault, paper.folder))
            aside.add(name)
    return aside


def _unasked(proof: Proof, texts: dict[str, str], ours: dict[str, str]) -> None:
    """Files of the folder that nothing refers to: most likely misspelled."""
    kinds = {name.partition("/")[0] for name in ours if not name.startswith("_")}
    for name in proof.additions:
        kind, _, file = name.partition("/")
        if not name.startswith("_") and kind not in kinds:
            remedy = nearest(name, ours, f"The kinds are: {', '.join(sorted(kinds))}.")
            proof.tell(Remark(name, None, "error", f"there is no kind of mail {kind}", remedy))
        elif file not in PARTS and not any(
            f'"{name}"' in text or f"'{name}'" in text for text in texts.values()
        ):
            remedy = nearest(name, ours, "Refer to it, or take it away.")
            proof.tell(Remark(name, None, "error", "no template refers to it", remedy))


def _samples(proof: Proof, paper: Stationery, aside: set[str]) -> None:
    """Render every kind; what fails is set aside, so that the next mistake shows."""
    kinds = [path.name for path in paper.folder.iterdir() if (path / PARTS[0]).is_file()]
    # Others extend a release: what is wrong in it is told of it.
    kinds.sort(key=lambda kind: (kind != TEMPLATE, kind))
    contents = [_advance("en"), _least("en"), *(_sample(language) for language in _LANGUAGES)]
    own = {*proof.overrides, *proof.additions}
    for kind, sample in product(kinds, contents):
        if kind in SEQUELS and sample.language not in LANGUAGES:
            continue  # what such a language changes shows in a release already
        content = _speaking(kind, sample)
        while True:
            used = replace(paper, without=frozenset(aside))
            failed = _compiled(proof, used, kind, content)
            if failed is None or failed not in own - aside:
                break
            aside.add(failed)


def _compiled(proof: Proof, paper: Stationery, kind: str, content: ReleaseContent) -> str | None:
    """Compile, and tell of what is found; returns the file that it failed at."""
    try:
        message = compile_message(content, kind=kind, templates=paper)
    except TemplateFault as fault:
        remark = _remark(fault, paper.folder)
        proof.tell(remark)
        return remark.file
    except MessageError as error:
        remedy = error.remedy or "Compare the templates with ours."
        proof.tell(Remark(kind, None, "error", str(error), remedy))
        return kind
    for _, reason in message.script.reasons if message.script else ():
        place, _, says = reason.partition(": ")
        proof.tell(Remark(*_place(place), "warning", f"{says}: it is rendered for each", _SLOW))
    proof.sizes.append(Size(kind, content.language, message.html_size))
    if message.html_size > HTML_WARNING and not any(
        _LARGE in each.message for each in proof.remarks
    ):
        kilobytes = message.html_size // 1000
        says = f"a short release is {kilobytes} {_LARGE} at 102"
        remedy = f"Keep it far below {HTML_WARNING // 1000} kB."
        proof.tell(Remark(f"{kind}/{PARTS[2]}", None, "warning", says, remedy))
    return None


def _remark(fault: TemplateFault, folder: Path) -> Remark:
    file, line = _place(fault.place)
    ours = folder / file
    compare = f"Compare it with {ours}" if ours.is_file() else "See docs/operating.md, Templates."
    return Remark(file, line, "error", fault.says, fault.remedy or compare)


def _place(place: str) -> tuple[str, int | None]:
    name, _, number = place.partition(", line ")
    return name, int(number) if number.isdecimal() else None


def _sample(language: str) -> ReleaseContent:
    """A release with everything that a release may have."""
    contacts = (
        PressContact("Marian Okafor", "Harbour Trust", "01632 960 142", "+441632960142"),
        PressContact("Ines Falk", None, None, None, "ines.falk@example.org"),
    )
    draft = Draft(
        headline="Harbour ferry to run through the winter",
        subheadline="Crossings every forty minutes",
        label="News release",
        dateline=Dateline("Mordale", date(2026, 12, 1)),
        body="The ferry will run every day.\n\n• daily from six\n• free for children\n\n"
        "1. First step\n2. Second step\n\nSee https://www.example.org/ferry or write to us.",
        end_marker="-ends-",
        contacts=contacts,
        notes=("1. The ferry was built in 1987.", "2. Pictures: press@example.org"),
        boilerplate=(Boilerplate("The Trust keeps the harbour open.", "Harbour Trust"),),
    )
    return ReleaseContent(
        draft=draft,
        sender=Sender("Harbour Trust", "press@example.org", None, "Harbour Trust"),
        language=language,
        embargo_at=datetime(2026, 12, 1, 0, 1, tzinfo=UTC),
        zone="Europe/London",
        unsubscribe="press@example.org",
    )


def _speaking(kind: str, content: ReleaseContent) -> ReleaseContent:
    """The sample as a mail of that kind has it: a sequel speaks of an earlier release."""
    if kind not in SEQUELS:
        return content
    said = SequelContent(
        kind=WaveKind(kind),
        reason="A figure was wrong.",
        headline="Harbour ferry to run all winter",
        on=date(2026, 11, 30),
        changes=(Change(Place.PARAGRAPH, 1, "every day", "on six days"),),
    )
    return replace(content, sequel=said)


def _advance(language: str) -> ReleaseContent:
    return replace(_sample(language), lifted=False)


def _least(language: str) -> ReleaseContent:
    """A release with no more than it must have."""
    draft = Draft(headline="Ferry sails", body="It sails.")
    sender = Sender("Harbour Trust", "press@example.org")
    return ReleaseContent(draft=draft, sender=sender, language=language)
