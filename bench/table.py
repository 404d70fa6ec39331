"""Tables in Markdown, medians, and figures written to as many digits as they are worth."""

import statistics
from collections.abc import Iterable, Sequence

Cell = str | float | int | None


def median(values: Iterable[float]) -> float | None:
    """Return the median, or None of nothing."""
    found = list(values)
    return statistics.median(found) if found else None


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which this share of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def ratio(value: float | None, to: float | None) -> str | None:
    """Return "0.42x", or None if there is nothing to compare."""
    return f"{value / to:.2f}x" if value is not None and to else None


def figure(value: Cell) -> str:
    """Return a number with three significant digits, whole from a hundred on."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def render(title: str, head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """Return a Markdown table under its title."""
    lines = [f"**{title}**", "", f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(figure(cell) for cell in row)} |" for row in rows]
    return "\n".join([*lines, ""])
