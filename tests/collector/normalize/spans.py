"""Makes raw spans for the tests of this room."""

from typing import Any

from kibitz_collector.records import RawLogRecord, RawSpan

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
START_NS = 1_795_188_615_000_000_000


def span(attributes: dict[str, Any] | None = None, **given: Any) -> RawSpan:
    fields: dict[str, Any] = {
        "trace_id": TRACE,
        "span_id": SPAN,
        "parent_span_id": None,
        "name": "work",
        "start_ns": START_NS,
        "end_ns": START_NS + 10**9,
        "attributes": attributes or {},
    }
    return RawSpan(**{**fields, **given})


def log_record(
    event_name: str, attributes: dict[str, Any] | None = None, **given: Any
) -> RawLogRecord:
    fields: dict[str, Any] = {
        "time_ns": START_NS,
        "event_name": event_name,
        "body": None,
        "trace_id": TRACE,
        "span_id": SPAN,
        "attributes": attributes or {},
    }
    return RawLogRecord(**{**fields, **given})
