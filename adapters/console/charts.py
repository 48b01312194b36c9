"""Charts as SVG, drawn here: small, sharp at any size, readable without a script.

Knows rectangles and scales. Every text that goes into a chart is escaped here.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

WIDTH = 1040  # of a card as wide as the page; text keeps its size
HALF = 520
LEFT, BOTTOM, TOP = 34, 22, 8


def stacked(
    rows: Sequence[tuple[str, Sequence[int], str]],
    names: Sequence[str],
    *,
    width: int = WIDTH,
    height: int = 200,
) -> Markup:
    """Columns side by side: (label, one value per name, link). Colours are `s-<name>`."""
    if not rows:
        return Markup("")
    most = nice(max(sum(values) for _, values, _ in rows))
    room = height - BOTTOM - TOP
    step = (width - LEFT) / len(rows)
    parts = [_open(width, height, f"{len(rows)} columns"), _grid(width, most, room)]
    every = max(1, -(-len(rows) * 64 // (width - LEFT)))  # a label takes 64 units
    for at, (label, values, link) in enumerate(rows):
        x = LEFT + at * step
        y = float(TOP + room)
        parts.append(f'<a href="{escape(link)}">')
        told = ", ".join(f"{value} {name}" for value, name in zip(values, names, strict=True))
        for value, name in zip(values, names, strict=True):
            size = room * value / most
            y -= size
            parts.append(
                f'<rect class="s-{escape(name)}" x="{x + step * 0.12:.1f}" y="{y:.1f}" '
                f'width="{step * 0.76:.1f}" height="{size:.1f}" rx="1.5">'
                f"<title>{escape(label)}: {escape(told)}</title></rect>"
            )
        parts.append("</a>")
        if at % every == 0:
            middle = x + step / 2
            parts.append(
                f'<text x="{middle:.1f}" y="{height - 6}" text-anchor="middle">'
                f"{escape(label[5:])}</text>"
            )
    return Markup("".join(parts) + "</svg>")  # noqa: S704 - numbers and escaped texts


def bars(rows: Sequence[tuple[str, int, str]], colour: str = "answered") -> Markup:
    """Bars below each other: (label, value, link)."""
    if not rows:
        return Markup("")
    most = max(1, *(value for _, value, _ in rows))
    line = 30
    parts = [_open(HALF, line * len(rows) + 4, f"{len(rows)} bars")]
    for at, (label, value, link) in enumerate(rows):
        y = at * line
        size = (HALF - 250) * value / most
        parts.append(
            f'<a href="{escape(link)}"><text class="label" x="0" y="{y + 20}">'
            f"{escape(_short(label))}</text>"
            f'<rect class="s-{escape(colour)}" x="190" y="{y + 8}" width="{max(size, 2):.1f}" '
            f'height="16" rx="3"/><text x="{198 + max(size, 2):.1f}" y="{y + 20}">{value:,}</text>'
            "</a>"
        )
    return Markup("".join(parts) + "</svg>")  # noqa: S704 - numbers and escaped texts


def nice(most: int) -> int:
    """The next round number, for the top of a scale."""
    size = 1
    while True:
        for factor in (1, 2, 4, 5, 8):
            if factor * size >= most:
                return max(factor * size, 4)
        size *= 10


def _open(width: int, height: int, told: str) -> str:
    return f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{told}">'


def _grid(width: int, most: int, room: int) -> str:
    parts = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = TOP + room * (1 - share)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{width}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{most * share:g}</text>'
        )
    return "".join(parts)


def _short(text: str) -> str:
    return text if len(text) <= 27 else f"{text[:26]}…"
