"""Templates performed: for nobody yet, for the probes, and for one recipient after the other.

What came with the program is rendered in this process; what did not, in a child of its own.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final

from distributor.core.message import SLOT_VALUES
from distributor.core.model import Recipient
from distributor.errors import MessageError, TemplateError
from distributor.mail.chamber import Job, chamber
from distributor.mail.parts import part_of
from distributor.mail.rendering import RecipientValue, referred
from distributor.mail.stationery import Overrun, TemplateFault, are_shipped, gathered

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from distributor.core.script import Script
    from distributor.mail.stationery import Stationery, Templates

#: After so many recipients that a template stood still for, it is not tried for any other.
_OVERRUNS_MAX: Final = 3
#: Empty, long, beyond ASCII, and markup: what a value must not be able to change.
PROBES: Final = (
    Recipient("a@example.com"),
    Recipient(
        f"{'l' * 64}@{'long.' * 12}example.com",
        name="Maximiliana " * 16 + "Long",
        given_name="Maximiliana" * 9,
        outlet=".The very long outlet " * 12,
    ),
    Recipient(
        "zoe@xn--zeitung-n2a.example", "Zoë Ōta-Müller", "Zoë", "Die Straßenzeitung \U0001f5de"
    ),
    Recipient("b&b@example.com", '<b>&"', "From '&amp;'", "</td>=?x?q?=0D?= = {{ 7*7 }}"),
)


def templates_of(kind: str, templates: Stationery | Path) -> Templates:
    """The templates of a kind, and all they refer to.

    Raises:
        TemplateError: one cannot be read, is broken, or names another by an expression.

    """
    texts = gathered(templates)
    if are_shipped(tuple(texts.items())):
        return referred(kind, texts)
    return chamber().referred(kind, texts)


def rendered(job: Job, part: str, recipient: Mapping[str, str], *, marked: bool = False) -> str:
    """A part of a mail. Templates that did not come with the program are not rendered in here.

    Raises:
        DecidesByRecipient: it does more with a marked value than showing it.
        TemplateFault: it cannot be rendered.

    """
    if not are_shipped(job.templates):
        return chamber().rendered(job, part, recipient, marked=marked)
    values: Mapping[str, object] = recipient
    if marked:
        values = {field: RecipientValue(field, mark) for field, mark in recipient.items()}
    context = {**json.loads(job.values), "recipient": values}
    return part_of(job.kind, part, context, job.templates)


def known(recipient: Recipient) -> dict[str, str]:
    """The values of a recipient by the names a template shows them under."""
    return {field: value_of(recipient) for field, value_of in SLOT_VALUES.items()}


def parts_for(job: Job, parts: tuple[str, ...], recipient: Recipient) -> dict[str, str]:
    """Those parts of a mail, of PARTS, as they are for one recipient; raises as rendered."""
    return {part: rendered(job, part, known(recipient)) for part in parts}


def job_of(kind: str, script: Script) -> Job:
    """What a stored script has to say to whoever renders it."""
    return Job(kind, script.templates, script.values)


def proof_of(kind: str, script: Script) -> str:
    """SHA-256 of what the rendered parts come to for the probes."""
    job = job_of(kind, script)
    came = [parts_for(job, script.parts, probe) for probe in PROBES]
    return hashlib.sha256(json.dumps(came, sort_keys=True).encode("ascii")).hexdigest()


class Performance:
    """Renders a script for one recipient after the other, as long as it does so as approved."""

    def __init__(self, kind: str, script: Script) -> None:
        """Render for the recipients of the proof: another library may render otherwise (I6)."""
        self._job = job_of(kind, script)
        self._parts = script.parts
        self._overruns = 0
        try:
            self._same = proof_of(kind, script) == script.proof
        except TemplateError:
            self._same = False

    def __call__(self, recipient: Recipient) -> dict[str, str]:
        """The parts of one recipient.

        Raises:
            MessageError: they cannot be rendered, or not as approved. No text is repeated.

        """
        if not self._same:
            raise MessageError(
                "the templates do not give what they gave at approval",
                remedy="The program was changed since. Edit the release and approve it anew.",
            )
        if self._overruns >= _OVERRUNS_MAX:
            raise MessageError(
                "the templates took too long for several recipients",
                remedy="Mend them (distributor templates check), and approve the release anew.",
            )
        try:
            return self._patiently(recipient)
        except TemplateFault as error:
            # What a template says of a fault may hold the recipient's data.
            raise MessageError(f"{error.place} cannot be rendered for this recipient") from None

    def _patiently(self, recipient: Recipient) -> dict[str, str]:
        """Try twice: a machine that stood still for a moment is not the template's fault."""
        try:
            return parts_for(self._job, self._parts, recipient)
        except Overrun:
            pass
        try:
            return parts_for(self._job, self._parts, recipient)
        except Overrun:
            self._overruns += 1
            raise
