"""``make mails``: every golden mail as a desk's screen and a phone show it, by day and by night.

    python -m tests.golden.pictures [FOLDER]

Chromium draws the HTML part alone, with no network: a mail that needed one would show it. The
pictures are looked at one by one; what was seen stands in ``docs/mails/README.md``.
"""

from __future__ import annotations

import sys
from base64 import b64encode
from email import message_from_bytes, policy
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from playwright.sync_api import sync_playwright

from distributor.mail.compiling import decoded_parts
from tests.golden.drawn import ENCLOSING, KEPT
from tests.golden.judges import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, FloatRect

HERE: Final = Path(__file__).parent
DOCS: Final = HERE.parents[1] / "docs" / "mails"
#: A mail program's reading pane, and a telephone, in CSS pixels.
WIDTHS: Final = (600, 360)
#: What is below shows nothing new, in CSS pixels.
_HEIGHT_MAX: Final = 1_200
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")


def main() -> int:
    """Draw them; 1 when there is no Chromium."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS
    browser_path = chromium()
    if browser_path is None:
        sys.stderr.write("No Chromium is installed. On Debian: apt-get install chromium\n")
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        for name in (*KEPT, ENCLOSING):
            html = _page((HERE / f"{name}.eml").read_bytes())
            for width in WIDTHS:
                for scheme in SCHEMES:
                    path = folder / f"{name}-{width}-{scheme}.png"
                    _draw(browser, html, width, scheme, path)
                    sys.stdout.write(f"{path}\n")
        browser.close()
    return 0


def _page(data: bytes) -> str:
    """The HTML of a mail, with the pictures that it shows in their places."""
    html = decoded_parts(data)[1]
    for part in message_from_bytes(data, policy=policy.default).walk():
        if name := str(part["Content-ID"] or "").strip("<>"):
            octets = b64encode(bytes(part.get_payload(decode=True) or b"")).decode("ascii")
            html = html.replace(f"cid:{name}", f"data:{part.get_content_type()};base64,{octets}")
    return html


def _draw(
    browser: Browser, html: str, width: int, scheme: Literal["light", "dark"], path: Path
) -> None:
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 800}, offline=True
    )
    page = context.new_page()
    page.set_content(html, wait_until="load")
    sideways = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
    height = min(_HEIGHT_MAX, page.evaluate("document.documentElement.scrollHeight"))
    clip: FloatRect = {"x": 0, "y": 0, "width": width, "height": height}
    page.screenshot(path=path, full_page=True, clip=clip)
    context.close()
    if sideways:
        sys.stderr.write(f"{path.name}: wider than {width} pixels\n")


if __name__ == "__main__":
    sys.exit(main())
