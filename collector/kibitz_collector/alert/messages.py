"""What a firing says: one payload for programs and people, pure.

Shape: {"type": "alert.firing" | "alert.resolved" | "alert.test", "timestamp": ISO 8601,
"data": {"title", "text", "url", "firing_id", "rule": {"id", "name"}, "state", "reason", "group":
{field: value}, "metric", "comparison", "threshold", "value", "sample", "window_s", "min_sample",
"opened_at", "closed_at", "logs": [{"id", "url"}]}}. The outer three are Standard Webhooks'.
"""

from datetime import UTC, datetime
from typing import Any

from kibitz_collector.query.metrics import Metric, duration_text, parse_metric
from kibitz_collector.store.alerts import Event, Firing

_CLOSED = {
    "recovered": "recovered",
    "no_data": "over: nothing came for a whole window",
    "rule_changed": "over: the rule was changed",
    "rule_deleted": "over: the rule was deleted",
}
_MAX_NAME = 200


def payload(firing: Firing, event: Event, base_url: str, now_ns: int) -> dict[str, Any]:
    """Return the message of one event of a firing."""
    metric = parse_metric(firing.condition.metric)
    is_over = event == "resolved"
    value = firing.closed_value if is_over else firing.value
    sample = (firing.closed_sample or 0) if is_over else firing.sample
    group = dict(zip(metric.group_by, firing.group, strict=False))
    title = _title(firing, event, group)
    url = f"{base_url}/alerts#{firing.id}"
    logs = [{"id": log_id, "url": f"{base_url}/logs/{log_id}"} for log_id in firing.evidence]
    lines = [title, _numbers(firing, metric, value, sample)]
    if not is_over and logs:
        lines.append("For example: " + " ".join(log["url"] for log in logs))
    lines.append(f"More: {url}")
    return {
        "type": f"alert.{event}",
        "timestamp": iso(now_ns),
        "data": {
            "title": title,
            "text": "\n".join(lines),
            "url": url,
            "firing_id": firing.id,
            "rule": {"id": firing.rule_id, "name": firing.rule_name},
            "state": event,
            "reason": firing.close_reason if is_over else firing.reason,
            "group": group,
            "metric": firing.condition.metric,
            "comparison": firing.condition.comparison,
            "threshold": firing.condition.threshold,
            "value": value,
            "sample": sample,
            "window_s": metric.window_s,
            "min_sample": firing.condition.min_sample,
            "opened_at": iso(firing.opened_ns),
            "closed_at": None if firing.closed_ns is None else iso(firing.closed_ns),
            "logs": logs,
        },
    }


def test_payload(channel_name: str, base_url: str, now_ns: int) -> dict[str, Any]:
    """Return the message by which a channel is tried out."""
    title = f"kibitz: test of channel {channel_name[:_MAX_NAME]}"
    url = f"{base_url}/alerts"
    return {
        "type": "alert.test",
        "timestamp": iso(now_ns),
        "data": {"title": title, "text": f"{title}\nIt works. Alerts: {url}", "url": url},
    }


def format_value(value: float | None, unit: str) -> str:
    """Write a metric's value for people."""
    if value is None:
        return "unknown"
    if unit == "share":
        return f"{value * 100:.1f} %"
    if unit == "USD":
        return f"${value:,.4f}" if abs(value) < 1 else f"${value:,.2f}"
    if unit == "ms":
        return f"{value:,.0f} ms" if abs(value) < 10_000 else f"{value / 1000:,.1f} s"
    return f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"


def iso(time_ns: int) -> str:
    """Write a time as UTC with milliseconds."""
    moment = datetime.fromtimestamp(time_ns // 10**6 / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _title(firing: Firing, event: Event, group: dict[Any, str | None]) -> str:
    where = ", ".join(f"{field} {value or 'none'}" for field, value in group.items())
    name = " ".join(firing.rule_name.split())[:_MAX_NAME] + (f" ({where})" if where else "")
    if event == "firing":
        return f"FIRING: {name}" if firing.reason == "threshold" else f"NO DATA: {name}"
    return f"RESOLVED: {name} {_CLOSED[firing.close_reason or 'recovered']}"


def _numbers(firing: Firing, metric: Metric, value: float | None, sample: int) -> str:
    condition = firing.condition
    window = duration_text(metric.window_s)
    if firing.reason == "no_data" and value is None:
        return f"{condition.metric}: nothing came for {window}"
    threshold = format_value(condition.threshold, metric.unit)
    what = "judgments" if metric.measure == "judgment" else "Logs"
    return (
        f"{condition.metric} is {format_value(value, metric.unit)} "
        f"(rule: {condition.comparison} {threshold}) over {sample} {what} in {window}"
    )
