"""Bars as SVG, for a page that may be light or dark: lying bars in groups, each bar in parts, its figure at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

WIDTH: Final = 760
MARGIN, LABELS, BARS = 16, 240, 420
LINE, THICKNESS, GAP = 24, 15, 10
# The picture has a ground of its own: a page may be dark where the reader's system is light.
STYLE: Final = """
  .ground { fill: #ffffff } text { fill: #1f2328; font: 13px system-ui, sans-serif }
  .title { font-size: 15px; font-weight: 600 } .group { font-weight: 600 } .small { fill: #59636e }
  .part0 { fill: #2f6fbf } .part1 { fill: #d98324 } .part2 { fill: #8a939e } .axis { stroke: #c8ced5 }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117 } text { fill: #e6edf3 } .small { fill: #9198a1 }
    .part0 { fill: #5b9bea } .part1 { fill: #e8a052 } .part2 { fill: #77808b } .axis { stroke: #3d444d }
  }
"""


@dataclass(frozen=True)
class Bar:
    """One bar: its name, how long each of its parts is, and the figure at its end."""

    label: str
    parts: Sequence[float]
    figure: str


def draw(title: str, *, note: str, groups: Mapping[str, Sequence[Bar]], parts: Sequence[str] = ()) -> str:
    """Draw groups of bars (heading → bars), each group to a scale of its own; ``parts`` names the parts of a bar."""
    y = MARGIN + 14
    lines = [_text(MARGIN, y, title, "title"), _text(MARGIN, y + 20, note, "small")]
    y += 20
    if parts:
        y += LINE
        lines += _legend(y, parts)
    for heading, bars in groups.items():
        y += LINE + GAP
        lines.append(_text(MARGIN, y, heading, "group"))
        longest = max(sum(bar.parts) for bar in bars)
        lines.append(_axis(y + 7, y + 9 + len(bars) * LINE))
        for bar in bars:
            y += LINE
            lines += _bar(y, bar, scale=BARS / longest if longest else 0.0)
    height = y + MARGIN
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" width="{WIDTH}">'
    ground = f'<rect class="ground" width="{WIDTH}" height="{height}" rx="6"/>'
    return "\n".join([head, f"<title>{escape(title)}</title><style>{STYLE}</style>", ground, *lines, "</svg>\n"])


def _legend(y: int, parts: Sequence[str]) -> list[str]:
    lines, x = [], MARGIN
    for number, name in enumerate(parts):
        lines.append(f'<rect class="part{number}" x="{x}" y="{y - 10}" width="12" height="12"/>')
        lines.append(_text(x + 18, y, name))
        x += 40 + 8 * len(name)
    return lines


def _bar(y: int, bar: Bar, *, scale: float) -> list[str]:
    lines, x = [_text(MARGIN, y, bar.label)], float(MARGIN + LABELS)
    for number, part in enumerate(bar.parts):
        long = part * scale
        place = f'x="{x:.1f}" y="{y - THICKNESS + 3}" width="{long:.1f}" height="{THICKNESS}"'
        lines.append(f'<rect class="part{number}" {place}/>')
        x += long
    return [*lines, _text(x + 6, y, bar.figure)]


def _axis(top: int, bottom: int) -> str:
    x = MARGIN + LABELS
    return f'<line class="axis" x1="{x}" y1="{top}" x2="{x}" y2="{bottom}"/>'


def _text(x: float, y: int, words: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.0f}" y="{y}">{escape(words)}</text>'
