"""Pure: a finished OpenTelemetry SDK span as one OTLP/JSON `scopeSpans` element."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from kibitz.semconv import AMBIENT_PARENT, RECORD

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

NO_PARENT = 1  # span id of a parent that only brings the trace id
_INT64 = 2**63
_DEEPEST = 32


def encode(span: ReadableSpan, extra: Mapping[str, Any], *, is_start: bool) -> bytes:
    """Write a span as it goes into the spool; `is_start`: a preview of one that is still open."""
    return orjson.dumps(_scope_spans(span, extra, is_start))


def _scope_spans(span: ReadableSpan, extra: Mapping[str, Any], is_start: bool) -> dict[str, Any]:
    context = span.get_span_context()
    assert context is not None
    attributes = {**(span.attributes or {}), **extra}
    if is_start:
        attributes[RECORD] = "start"
    found: dict[str, Any] = {
        "traceId": f"{context.trace_id:032x}",
        "spanId": f"{context.span_id:016x}",
        "name": clean(span.name),
        "kind": span.kind.value + 1,
        "startTimeUnixNano": str(span.start_time or 0),
        "endTimeUnixNano": "0" if is_start else str(span.end_time or 0),
        "attributes": attributes_of(attributes),
        "status": _status(span),
    }
    if span.parent is not None:
        parent = f"{span.parent.span_id:016x}"
        # The host's own span is never recorded, and NO_PARENT stands only for a trace id.
        if span.parent.span_id != NO_PARENT and attributes.get(AMBIENT_PARENT) != parent:
            found["parentSpanId"] = parent
    if span.events:
        found["events"] = [
            {
                "name": clean(event.name),
                "timeUnixNano": str(event.timestamp),
                "attributes": attributes_of(event.attributes or {}),
            }
            for event in span.events
        ]
    if span.links:
        found["links"] = [
            {
                "traceId": f"{link.context.trace_id:032x}",
                "spanId": f"{link.context.span_id:016x}",
                "attributes": attributes_of(link.attributes or {}),
            }
            for link in span.links
        ]
    scope = span.instrumentation_scope
    named = {"name": scope.name, "version": scope.version or ""} if scope else {"name": ""}
    return {"scope": named, "spans": [found]}


def _status(span: ReadableSpan) -> dict[str, Any]:
    status: dict[str, Any] = {"code": span.status.status_code.value}
    if span.status.description:
        status["message"] = clean(span.status.description)
    return status


def attributes_of(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Shape: [{"key": str, "value": {"stringValue" | "intValue" | …: …}}]."""
    return [{"key": clean(key), "value": _value(value, 0)} for key, value in attributes.items()]


def _value(value: Any, depth: int) -> dict[str, Any]:
    if isinstance(value, str):
        return {"stringValue": clean(value)}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        is_int64 = -_INT64 <= value < _INT64
        return {"intValue": str(value)} if is_int64 else {"stringValue": hex(value)}
    if isinstance(value, float):
        return {"doubleValue": value} if math.isfinite(value) else {"stringValue": str(value)}
    if isinstance(value, bytes):
        return {"stringValue": f"[{len(value)} bytes]"}
    if depth < _DEEPEST and isinstance(value, Mapping):
        pairs = [{"key": clean(str(k)), "value": _value(v, depth + 1)} for k, v in value.items()]
        return {"kvlistValue": {"values": pairs}}
    if depth < _DEEPEST and isinstance(value, Sequence):
        return {"arrayValue": {"values": [_value(item, depth + 1) for item in value]}}
    return {}


def clean(text: str) -> str:
    """Replace what no store takes: NUL and lone surrogates."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-8", "replace").decode()
    return text
