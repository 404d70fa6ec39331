"""What one Log adds to sums: a pure function of its row, so that differences can be added."""

from typing import Any

from kibitz_collector.store.rows import TOKEN_COLUMNS, Row

Sums = dict[str, int]

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
ALL_SUMS = tuple(dict.fromkeys((*TRACE_SUMS, *SESSION_SUMS, *ROLLUP_SUMS)))
_HOUR_NS = 3600 * 10**9
_FUTURE_NS = 5 * 60 * 10**9
_MOST_USD = 1e6  # per Log: a wrong price must not overflow a sum


def has_usage(row: Row) -> bool:
    """Tell whether a Log brings tokens or cost of the application.

    What a judge spends is the evaluator's, not the application's.
    """
    if row["kind"] == "evaluator":
        return False
    return row["cost_usd"] is not None or any(row[column] is not None for column in TOKEN_COLUMNS)


def contribution(row: Row) -> Sums:
    """Return what a Log adds; one above a Log with usage only repeats it and adds none."""
    duration_ms = row["duration_ms"]
    sums = dict.fromkeys(ALL_SUMS, 0)
    sums["log_count"] = 1
    sums["genai_count"] = int(row["is_genai"])
    sums["error_count"] = int(row["status"] == "error")
    if duration_ms is not None:
        sums["timed_count"] = 1
        sums["duration_us"] = round(duration_ms * 1000)
    if not row["is_covered"] and has_usage(row):
        sums["usage_count"] = 1
        if row["cost_usd"] is not None:
            sums["priced_count"] = 1
            sums["cost_nusd"] = round(max(-_MOST_USD, min(row["cost_usd"], _MOST_USD)) * 1e9)
        for column in TOKEN_COLUMNS:
            sums[column] = row[column] or 0
            sums["tokens_total"] += sums[column]
    return sums


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
