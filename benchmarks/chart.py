"""The picture of the rates: a bar chart in SVG that reads in the light and in the dark."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WIDTH: Final = 760
_LEFT: Final = 190
_RIGHT: Final = 140
_TOP: Final = 58
_ROW: Final = 30
_BAR: Final = 18
_STYLE: Final = """\
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 15px }
.small { font-size: 11px; fill: #59636e }
.ours { fill: #1a7f5a } .anchor { fill: #6e7781 } .peer { fill: #b9792f }
.spread { stroke: #1f2328; stroke-width: 1.5 }
.goal { stroke: #b3261e; stroke-width: 1.5; stroke-dasharray: 5 4 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .small { fill: #9198a1 } .spread { stroke: #e6edf3 }
  .ours { fill: #3fb68b } .anchor { fill: #8b949e } .peer { fill: #d9a05b }
  .goal { stroke: #ff8a80 }
}
"""


def svg(rows: Sequence[Mapping[str, Any]], goals: Mapping[str, float]) -> str:
    """Bars of medians with their min–max; ``goals`` are rates to reach, by what they say."""
    if not rows:
        return ""
    highest = max([*(float(row["max"]) for row in rows), *goals.values()])
    scale = (_WIDTH - _LEFT - _RIGHT) / highest
    bottom = _TOP + _ROW * len(rows)
    height = bottom + 34
    words = ", ".join(f"{row['name']} {row['median']:,}" for row in rows)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
            f'role="img" aria-label="Mails a second: {escape(words)}">'
        ),
        f"<style>{_STYLE}</style>",
        '<text class="title" x="8" y="22">Mails a second, outcome of each recorded</text>',
        (
            '<text class="small" x="8" y="40">Median of the runs; the thin line is min – max. '
            "smtp-source sends one ready message and keeps nothing.</text>"
        ),
    ]
    for at, row in enumerate(rows):
        parts += _bar(row, _TOP + at * _ROW, scale)
    for at, (what, rate) in enumerate(goals.items()):
        x = _LEFT + rate * scale
        anchor = "end" if at % 2 else "start"
        shift = -4 if at % 2 else 4
        parts.append(f'<line class="goal" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}"/>')
        parts.append(
            f'<text class="small" x="{x + shift:.1f}" y="{bottom + 14 + 12 * (at % 2)}" '
            f'text-anchor="{anchor}">{escape(what)}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def _bar(row: Mapping[str, Any], y: float, scale: float) -> list[str]:
    name = str(row["name"])
    kind = "ours" if name.startswith("ours/") else "anchor" if name == "smtp-source" else "peer"
    middle, low, high = (float(row[key]) * scale for key in ("median", "min", "max"))
    text = y + _BAR - 4
    ratio = row["ratio_to_smtp_source"]
    shown = f"{row['median']:,}" + (f"  ({ratio:.2f} ×)" if ratio is not None else "")
    return [
        f'<text x="{_LEFT - 8}" y="{text}" text-anchor="end">{escape(name)}</text>',
        (
            f'<rect class="{kind}" x="{_LEFT}" y="{y}" width="{max(middle, 1):.1f}" '
            f'height="{_BAR}" rx="2"/>'
        ),
        (
            f'<line class="spread" x1="{_LEFT + low:.1f}" x2="{_LEFT + high:.1f}" '
            f'y1="{y + _BAR / 2}" y2="{y + _BAR / 2}"/>'
        ),
        f'<text x="{_WIDTH - 8}" y="{text}" text-anchor="end">{shown}</text>',
    ]
