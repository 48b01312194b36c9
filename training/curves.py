"""Training curves as pictures: plain SVG, which a browser and a code host show as it is.

Knows points and axes; does not know what they mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 30, 50, 50
COLOURS = ("#1f6feb", "#d1242f", "#1a7f37", "#9a6700")
TICKS = 5
MAX_POINTS = 400  # of one line; more cannot be seen

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """One curve. Points that are not finite are left out."""

    name: str
    points: Sequence[Point]


def draw(title: str, x_name: str, y_name: str, lines: Sequence[Line]) -> str:
    """An SVG picture of some curves over one pair of linear axes.

    A line with many points is drawn through the means of groups of them.
    """
    shown = [Line(one.name, thinned(one.points)) for one in lines]
    points = [point for one in shown for point in one.points] or [(0.0, 0.0), (1.0, 1.0)]
    x_low, x_high = _bounds([x for x, _ in points])
    y_low, y_high = _bounds([y for _, y in points])

    def place(point: Point) -> Point:
        x = LEFT + (point[0] - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)
        y = HEIGHT - BOTTOM - (point[1] - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)
        return x, y

    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'aria-label="{escape(title)}" font-family="sans-serif" font-size="12">'
        ),
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="20" font-size="15" fill="#1f2328">{escape(title)}</text>',
        f'<text x="{WIDTH / 2:.0f}" y="{HEIGHT - 10}" fill="#59636e">{escape(x_name)}</text>',
        (
            f'<text x="{WIDTH - RIGHT}" y="37" text-anchor="end" fill="#59636e">'
            f"{escape(y_name)}</text>"
        ),
    ]
    for number in range(TICKS + 1):
        part = number / TICKS
        x, y = place((x_low + part * (x_high - x_low), y_low + part * (y_high - y_low)))
        parts.append(
            f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#d1d9e0" fill="none"/>'
            f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="#59636e">'
            f"{_short(y_low + part * (y_high - y_low))}</text>"
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle" fill="#59636e">'
            f"{_short(x_low + part * (x_high - x_low))}</text>"
        )
    for number, one in enumerate(shown):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, one.points))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        x = LEFT + 180 * number
        parts.append(
            f'<rect x="{x}" y="30" width="12" height="4" fill="{colour}"/>'
            f'<text x="{x + 18}" y="37" fill="#1f2328">{escape(one.name)}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def thinned(points: Sequence[Point]) -> list[Point]:
    """The finite points, or the means of so many groups of neighbours as can be seen."""
    finite = [one for one in points if math.isfinite(one[0]) and math.isfinite(one[1])]
    size = -(-len(finite) // MAX_POINTS) or 1
    groups = [finite[start : start + size] for start in range(0, len(finite), size)]
    return [
        (sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group))
        for group in groups
    ]


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    least = max(1e-9, 1e-9 * max(abs(low), abs(high)))  # what can be told apart on an axis
    if high - low > least:
        return low, high
    half = max(0.5, 1e-6 * abs(low))
    return low - half, high + half


def _short(value: float) -> str:
    if abs(value) >= 1e6:
        return f"{value / 1e6:.3g}M"
    return f"{value / 1e3:.3g}k" if abs(value) >= 1e3 else f"{value:.3g}"
