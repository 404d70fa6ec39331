"""What one Log adds to sums: a pure function of its row, so that differences can be added."""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from kibitz_collector.store.rows import TOKEN_COLUMNS, Row

Sums = tuple[int, ...]
"""What is added to each of `ALL_SUMS`, in that order: columns of tuples are summed in C."""

USAGE_SUMS = ("usage_count", "priced_count", "cost_nusd", *TOKEN_COLUMNS)
TRACE_SUMS = ("log_count", "genai_count", "error_count", *USAGE_SUMS)
SESSION_SUMS = (
    "log_count",
    "error_count",
    "usage_count",
    "priced_count",
    "cost_nusd",
    "tokens_total",
)
ROLLUP_SUMS = ("log_count", "error_count", "timed_count", "duration_us", *USAGE_SUMS)
ALL_SUMS = (
    *("log_count", "genai_count", "error_count", "timed_count", "duration_us"),
    *USAGE_SUMS,
    "tokens_total",
)
_NO_USAGE = (0,) * (len(USAGE_SUMS) + 1)
_HOUR_NS = 3600 * 10**9
_FUTURE_NS = 5 * 60 * 10**9
_MOST_USD = 1e6  # per Log: a wrong price must not overflow a sum


def has_usage(row: Row) -> bool:
    """Tell whether a Log brings tokens or cost of the application.

    What a judge spends is the evaluator's, not the application's.
    """
    if row["kind"] == "evaluator":
        return False
    # Spelled out: every Log comes by here, more than once.
    return (
        row["cost_usd"] is not None
        or row["tokens_input_uncached"] is not None
        or row["tokens_output"] is not None
        or row["tokens_cache_read"] is not None
        or row["tokens_cache_write"] is not None
        or row["tokens_reasoning"] is not None
    )


def contribution(row: Row) -> Sums:
    """Return what a Log adds; one above a Log with usage only repeats it and adds none."""
    duration_ms = row["duration_ms"]
    is_genai, is_error = int(row["is_genai"]), int(row["status"] == "error")
    if duration_ms is None:
        head = (1, is_genai, is_error, 0, 0)
    else:
        head = (1, is_genai, is_error, 1, round(duration_ms * 1000))
    if row["is_covered"] or not has_usage(row):
        return head + _NO_USAGE
    cost_usd, cost_nusd = row["cost_usd"], 0
    if cost_usd is not None:
        cost_nusd = round(max(-_MOST_USD, min(cost_usd, _MOST_USD)) * 1e9)
    tokens = [row[column] or 0 for column in TOKEN_COLUMNS]
    return (*head, 1, int(cost_usd is not None), cost_nusd, *tokens, sum(tokens))


def add_up(many: Sequence[Sums]) -> Sums:
    """Return the sums of sums; `many` is not empty."""
    return many[0] if len(many) == 1 else tuple(map(sum, zip(*many, strict=True)))


def picker(names: tuple[str, ...]) -> Callable[[Sums], Sums]:
    """Return what picks these sums out of all."""
    return itemgetter(*(ALL_SUMS.index(name) for name in names))


def rollup_key(row: Row) -> tuple[Any, ...]:
    """Return where in `rollup_hour` a Log belongs: (workspace, hour, kind, file, version, …)."""
    # A sender's clock may be days ahead; its hour would be on no chart.
    start_ns = min(row["start_ns"], row["received_ns"] + _FUTURE_NS)
    return (
        row["workspace_id"],
        start_ns // _HOUR_NS,
        row["kind"],
        row["file_id"] or "",
        row["version_id"] or "",
        row["environment"] or "",
        row["model"] or "",
    )


ROLLUP_KEY = ("workspace_id", "hour", "kind", "file_id", "version_id", "environment", "model")
