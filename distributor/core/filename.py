"""The name of an attachment: what it may hold, and how a mail writes it.

Invariant: a name is for show. Nothing here or behind it opens a file by it; what is refused would
do harm in the newsroom that saves it (reliability rows 1 and 23).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final
from urllib.parse import quote

from distributor.core.address import hidden_fault, visible
from distributor.errors import InputError

#: Characters; more than any list of attachments shows, and as much as old systems can save.
NAME_MAX: Final = 120

_REMEDY: Final = "Rename the file and attach it again."
#: What names a folder, a drive or a stream, or cannot be saved on Windows.
_NO_NAME: Final = re.compile(r"[/\\:*?<>|]")
#: Names that Windows takes for a device, whatever the suffix.
_DEVICES: Final = re.compile(r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?", re.IGNORECASE)
#: What may stand between quotation marks as it is, and be read back by everybody.
_PLAIN: Final = re.compile(r"[A-Za-z0-9!#$&+,;=@^_`{}~()\[\]' .-]+")


def checked_name(name: str) -> str:
    """The name in its composed form (NFC), fit to be shown and saved.

    Raises:
        InputError: it holds what cannot be seen, names a folder or a device, or is too long.

    """
    name = unicodedata.normalize("NFC", name)
    reason = hidden_fault(name) or _fault(name)
    if reason is not None:
        raise InputError(f"The attachment name “{visible(name)}” {reason}.", remedy=_REMEDY)
    return name


def _fault(name: str) -> str | None:
    if not name.strip().strip("."):
        return "is empty"
    found = _NO_NAME.search(name)
    if found:
        return f"holds {found[0]}, which no file can be saved with everywhere"
    if _DEVICES.fullmatch(name):
        return "is that of a device on Windows"
    if name != name.strip() or name[-1] == ".":
        return "begins with a blank, or ends in a blank or a dot"
    if len(name) > NAME_MAX:
        return f"has {len(name)} characters; {NAME_MAX} is the most"
    return None


def ascii_name(name: str) -> str:
    """A stand-in of plain letters for programs that know no others."""
    plain = "".join(map(_plain, name))
    return " ".join(plain.split()) or "attachment"


def _plain(sign: str) -> str:
    """The letter without its accents; "_" for one of another script."""
    bare = unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode("ascii")
    return bare if _PLAIN.fullmatch(bare) else "_"


def disposition_of(name: str) -> str:
    """The parameter ``filename`` of Content-Disposition (RFC 2183 2.3).

    A name of other letters is written as RFC 2231 4 has it, and only so: where both forms stand in
    one header, readers disagree which of them counts. The stand-in is ``name`` of Content-Type.
    """
    if _PLAIN.fullmatch(name) and "  " not in name:
        return f'filename="{name}"'
    return f"filename*=UTF-8''{quote(name, safe='')}"
