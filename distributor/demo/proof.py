"""Whether the demo held its promises: our log against the receiver's own record.

Invariant: pure; values in, values out.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from distributor.mail.sink import Received

#: Addresses named in one reason.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Proof:
    """What was promised and what happened.

    ``wave`` and ``log`` are as ``release show --json`` and ``log --json`` say them; ``received`` is
    the receiver's own record.
    """

    embargo: datetime
    wave: dict[str, Any]
    log: Sequence[dict[str, Any]]
    received: Sequence[Received]

    @property
    def early(self) -> list[Received]:
        """Mails that began before the embargo by the receiver's clock (I1)."""
        return [mail for mail in self.received if mail.at < self.embargo]

    @property
    def accepted(self) -> list[dict[str, Any]]:
        """Lines of the log that say accepted."""
        return [line for line in self.log if line["state"] == "accepted"]

    @property
    def odd(self) -> list[dict[str, Any]]:
        """Lines of the log that are not a plain acceptance at the first try."""
        return [line for line in self.log if line["state"] != "accepted" or line["attempts"] != 1]

    def after_ms(self, mail: Received) -> float:
        """How long after the embargo a mail began, in milliseconds."""
        return (mail.at - self.embargo).total_seconds() * 1000

    def faults(self) -> list[str]:
        """Why the demo failed; empty when every mail was accepted and none came early."""
        found = [*self._unaccepted(), *self._uncounted(), *self._mismatched()]
        if self.early:
            worst_ms = -min(self.after_ms(mail) for mail in self.early)
            found.append(
                f"{len(self.early)} mails came before the embargo, the first {worst_ms:.0f} ms"
            )
        return found

    def _unaccepted(self) -> Iterable[str]:
        if self.wave["state"] != "finished":
            yield f"the distribution is {self.wave['state']}, not finished"
        rest = [line for line in self.log if line["state"] != "accepted"]
        if rest:
            named = ", ".join(
                f"{line['address']} is {line['state']} ({line['reply'] or 'no reply'})"
                for line in rest[:_NAMED]
            )
            yield f"{len(rest)} of {len(self.log)} mails were not accepted: {named}"

    def _uncounted(self) -> Iterable[str]:
        """The log has a line for everybody in the sealed audience (I3)."""
        if not self.log:
            yield "the log is empty"
        if len(self.log) != self.wave["recipients"]:
            yield f"the log has {len(self.log)} lines for {self.wave['recipients']} recipients"

    def _mismatched(self) -> Iterable[str]:
        """Each accepted mail is at the receiver, once, and no other is (I4)."""
        there = Counter(mail.message_id or "" for mail in self.received)
        ours = {line["message_id"] for line in self.accepted}
        for number, words in (
            (len(ours - there.keys()), "mails are accepted in the log and not at the receiver"),
            (len(there.keys() - ours), "mails are at the receiver and not accepted in the log"),
            (there.total() - len(there), "mails arrived twice"),
        ):
            if number:
                yield f"{number} {words}"
