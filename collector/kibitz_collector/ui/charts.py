"""Charts drawn on the server as SVG; colours come from the page's CSS variables.

All functions are pure and return markup with classes only: no inline style, the CSP forbids it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log10

from markupsafe import Markup, escape

HEIGHT = 120
HALF, FULL = 640, 1320  # drawn at about the size they are shown, so that text keeps its shape
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 8, 8, 18


@dataclass(frozen=True, slots=True)
class Point:
    """One bucket: its label (shown on hover), and one value per series; None draws a gap."""

    label: str
    values: tuple[float | None, ...]


def bars(
    points: Sequence[Point], names: Sequence[str], *, unit: str = "", width: int = HALF
) -> Markup:
    """Draw stacked bars, one series over the other."""
    top = nice_ceiling(max((sum(v or 0 for v in p.values) for p in points), default=0))
    step = (width - _LEFT - _RIGHT) / max(1, len(points))
    shapes = []
    for index, point in enumerate(points):
        x, base = _LEFT + index * step, 0.0
        for series, value in enumerate(point.values):
            if not value:
                continue
            y0, y1 = _y(base, 0, top), _y(base + value, 0, top)
            shapes.append(
                f'<rect class="series-{series}" x="{x + step * 0.1:.1f}" y="{y1:.1f}" '
                f'width="{max(0.8, step * 0.8):.1f}" height="{max(0.5, y0 - y1):.1f}"/>'
            )
            base += value
    return _frame(points, names, shapes, 0, top, unit, step, width)


def lines(
    points: Sequence[Point],
    names: Sequence[str],
    *,
    unit: str = "",
    low: float = 0,
    high: float | None = None,
    threshold: float | None = None,
    width: int = HALF,
) -> Markup:
    """Draw one line per series; a value of None breaks the line."""
    known = [v for p in points for v in p.values if v is not None]
    if threshold is not None:
        known.append(threshold)
    top = high if high is not None else nice_ceiling(max(known, default=0))
    step = (width - _LEFT - _RIGHT) / max(1, len(points))
    shapes = []
    if threshold is not None:
        y = _y(threshold, low, top)
        shapes.append(_rule("threshold", y, width))
    for series in range(len(names)):
        shapes += _line(points, series, low, top, step)
    return _frame(points, names, shapes, low, top, unit, step, width)


def nice_ceiling(value: float) -> float:
    """Return the next 1, 2 or 5 times a power of ten that is not below the value."""
    if value <= 0:
        return 1
    power = 10.0 ** floor(log10(value))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= value * 0.999999)


def _line(points: Sequence[Point], series: int, low: float, top: float, step: float) -> list[str]:
    runs: list[list[tuple[float, float]]] = [[]]
    for index, point in enumerate(points):
        value = point.values[series]
        if value is None:
            runs.append([])
        else:
            runs[-1].append((_LEFT + (index + 0.5) * step, _y(value, low, top)))
    shapes = []
    for run in runs:
        if len(run) > 1:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in run)
            shapes.append(f'<polyline class="line-{series}" points="{path}"/>')
        shapes += [
            f'<circle class="series-{series}" cx="{x:.1f}" cy="{y:.1f}" r="2.2"/>' for x, y in run
        ]
    return shapes


def _frame(
    points: Sequence[Point],
    names: Sequence[str],
    shapes: list[str],
    low: float,
    top: float,
    unit: str,
    step: float,
    width: int,
) -> Markup:
    y0, y1 = _y(low, low, top), _y(top, low, top)
    parts = [
        f'<svg class="chart" viewBox="0 0 {width} {HEIGHT}" role="img" '
        f'aria-label="{escape(", ".join(names))}">',
        _rule("axis", y0, width),
        _rule("grid", y1, width),
        _tick(_LEFT - 5, y1 + 7, _short(top) + unit, "tick end"),
        _tick(_LEFT - 5, y0, _short(low) + unit, "tick end"),
        *shapes,
    ]
    if points:
        parts.append(_tick(_LEFT, HEIGHT - 5, points[0].label, "tick"))
        parts.append(_tick(width - _RIGHT, HEIGHT - 5, points[-1].label, "tick end"))
    for index, point in enumerate(points):
        told = ", ".join(
            f"{name}: {_short(value)}{unit}" if value is not None else f"{name}: none"
            for name, value in zip(names, point.values, strict=True)
        )
        parts.append(
            f'<rect class="hover" x="{_LEFT + index * step:.1f}" y="{_TOP}" width="{step:.1f}" '
            f'height="{HEIGHT - _TOP - _BOTTOM}">'
            f"<title>{escape(point.label)} · {escape(told)}</title></rect>"
        )
    return Markup("".join([*parts, "</svg>"]))


def _rule(css: str, y: float, width: int) -> str:
    return f'<line class="{css}" x1="{_LEFT}" x2="{width - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'


def _tick(x: float, y: float, text: str, css: str) -> str:
    return f'<text class="{css}" x="{x}" y="{y:.1f}">{escape(text)}</text>'


def _y(value: float, low: float, top: float) -> float:
    share = 0.0 if top == low else (min(max(value, low), top) - low) / (top - low)
    return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)


def _short(value: float) -> str:
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (1e3 if letter == 'k' else limit):g}{letter}"
    return f"{value:.4g}"
