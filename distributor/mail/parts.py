"""One part of a mail from its template: rendered, and its styles put inline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import css_inline

from distributor.mail.rendering import render_part
from distributor.mail.stationery import TemplateFault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from distributor.mail.stationery import Templates

_INLINER: Final = css_inline.CSSInliner(
    keep_at_rules=True,  # the phone's and the dark screen's rules cannot be inlined
    load_remote_stylesheets=False,
    minify_css=True,
)


def part_of(kind: str, part: str, context: Mapping[str, object], templates: Templates) -> str:
    """Render one of the PARTS of ``kind`` as it stands in a mail.

    Raises:
        DecidesByRecipient: it does more with a RecipientValue than showing it.
        TemplateFault: it cannot be rendered.

    """
    out = render_part(kind, part, context, templates=templates)
    if not part.endswith(".html.j2"):
        return out
    try:
        return _INLINER.inline(out)
    except css_inline.InlineError as error:
        raise TemplateFault(f"{kind}/{part}", "its styles cannot be put inline") from error
