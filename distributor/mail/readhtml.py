"""HTML as a reader takes it in: what two pages must have in common to be the same."""

from __future__ import annotations

from html.parser import HTMLParser


def seen_in(html: str) -> list[object]:
    """Every tag with its attributes, every text and comment, entities resolved."""
    parser = _Events()
    parser.feed(html)
    parser.close()
    return parser.seen


class _Events(HTMLParser):
    """Keeps what it comes by."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.seen: list[object] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, tuple(attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.seen.append(tag)

    def handle_data(self, data: str) -> None:
        self.seen.append(("", data))

    def handle_comment(self, data: str) -> None:
        self.seen.append(("!", data))
