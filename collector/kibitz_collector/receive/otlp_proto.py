"""OTLP protobuf bodies -> raw spans and log records, through `opentelemetry-proto`."""

from base64 import b64encode
from collections.abc import Iterable
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from kibitz_collector.errors import BadPayload
from kibitz_collector.receive.bounds import (
    MAX_ATTRIBUTES,
    MAX_DEPTH,
    MAX_EVENTS,
    MAX_KEY_CHARS,
    MAX_LINKS,
    MAX_NAME_CHARS,
    MAX_TEXT_CHARS,
    Notes,
    clean_float,
    clean_text,
)
from kibitz_collector.receive.otlp_json import KINDS, Status
from kibitz_collector.records import Json, RawLogRecord, RawSpan, Rejected, SpanEvent

_STATUS: tuple[Status, ...] = ("unset", "ok", "error")
_LATEST_NS = 2**63 - 1


def decode_spans(body: bytes | bytearray) -> list[RawSpan | Rejected]:
    """Read an ExportTraceServiceRequest, spans in the order they stand.

    Raises: BadPayload: not protobuf of this type (also: text that is not UTF-8).
    """
    request = _parse(ExportTraceServiceRequest(), body)
    found: list[RawSpan | Rejected] = []
    for group in request.resource_spans:
        resource = _resource(group.resource.attributes)
        for scoped in group.scope_spans:
            for span in scoped.spans:
                try:
                    found.append(_read_span(span, resource, scoped.scope))
                except ValueError as error:
                    payload = span.SerializeToString()
                    found.append(Rejected(reason=str(error), payload=payload, signal="span"))
    return found


def decode_logs(body: bytes | bytearray) -> list[RawLogRecord | Rejected]:
    """Read an ExportLogsServiceRequest, log records in the order they stand.

    Raises: BadPayload: not protobuf of this type.
    """
    request = _parse(ExportLogsServiceRequest(), body)
    found: list[RawLogRecord | Rejected] = []
    for group in request.resource_logs:
        resource = _resource(group.resource.attributes)
        for scoped in group.scope_logs:
            for record in scoped.log_records:
                try:
                    found.append(_read_record(record, resource, scoped.scope))
                except ValueError as error:
                    payload = record.SerializeToString()
                    found.append(Rejected(reason=str(error), payload=payload, signal="log"))
    return found


def _parse(request: Any, body: bytes | bytearray) -> Any:
    try:
        request.ParseFromString(bytes(body))
    except (DecodeError, ValueError, RecursionError) as error:
        raise BadPayload(f"the body is not OTLP protobuf: {error}") from None
    return request


def _resource(attributes: Iterable[Any]) -> Json:
    notes = Notes()
    found = _read_attributes(attributes, notes)
    notes.add_to(found)
    return found


def _read_span(span: Any, resource: Json, scope: Any) -> RawSpan:
    notes = Notes()
    attributes = _read_attributes(span.attributes, notes)
    status = span.status
    raw = RawSpan(
        trace_id=_read_id(span.trace_id, 16, "trace_id"),
        span_id=_read_id(span.span_id, 8, "span_id"),
        parent_span_id=_optional_id(span.parent_span_id, 8),
        name=clean_text(span.name or "unnamed", "(name)", notes, MAX_NAME_CHARS),
        kind=KINDS[span.kind] if 0 <= span.kind < len(KINDS) else "INTERNAL",
        start_ns=_read_time(span.start_time_unix_nano, "start_time_unix_nano"),
        end_ns=_read_time(span.end_time_unix_nano, "end_time_unix_nano"),
        status=_STATUS[status.code] if 0 <= status.code < 3 else "unset",
        status_message=clean_text(status.message, "(status)", notes),
        attributes=attributes,
        events=_read_events(span.events, notes) if span.events else [],
        links=_read_links(span.links, notes) if span.links else [],
        resource=resource,
        scope_name=scope.name,
        scope_version=scope.version,
        trace_state=span.trace_state,
        dropped_attributes_count=span.dropped_attributes_count,
    )
    notes.add_to(attributes)
    return raw


def _read_record(record: Any, resource: Json, scope: Any) -> RawLogRecord:
    notes = Notes()
    attributes = _read_attributes(record.attributes, notes)
    time_ns = record.time_unix_nano or record.observed_time_unix_nano
    raw = RawLogRecord(
        time_ns=_read_time(time_ns, "time_unix_nano"),
        event_name=clean_text(record.event_name, "(event)", notes, MAX_NAME_CHARS),
        body=_read_any(record.body, "(body)", notes, 0),
        trace_id=_optional_id(record.trace_id, 16),
        span_id=_optional_id(record.span_id, 8),
        severity=record.severity_number,
        attributes=attributes,
        resource=resource,
        scope_name=scope.name,
    )
    notes.add_to(attributes)
    return raw


def _read_attributes(listed: Any, notes: Notes) -> Json:
    """Read key-value pairs; of equal keys the last wins."""
    if len(listed) > MAX_ATTRIBUTES:
        notes.cut("(attributes)", len(listed))
        listed = listed[:MAX_ATTRIBUTES]
    found: Json = {}
    for item in listed:
        key = item.key
        value = item.value
        text = value.string_value  # "" too where the value is no text
        is_small = text and len(text) <= MAX_TEXT_CHARS and len(key) <= MAX_KEY_CHARS
        if is_small and "\x00" not in text and "\x00" not in key:
            found[key] = text  # almost every attribute ends here
            continue
        key = clean_text(key, key[:MAX_KEY_CHARS], notes, MAX_KEY_CHARS)
        found[key] = _read_any(value, key, notes, 0)
    return found


def _read_any(value: Any, key: str, notes: Notes, depth: int) -> Any:
    match value.WhichOneof("value"):
        case "string_value":
            return clean_text(value.string_value, key, notes)
        case "int_value":
            return value.int_value
        case "double_value":
            return clean_float(value.double_value, key, notes)
        case "bool_value":
            return value.bool_value
        case "bytes_value":
            return clean_text(b64encode(value.bytes_value).decode(), key, notes)
        case "array_value":
            if depth >= MAX_DEPTH:
                notes.cut(key, value.ByteSize())
                return "[…]"
            return [_read_any(item, key, notes, depth + 1) for item in value.array_value.values]
        case "kvlist_value":
            if depth >= MAX_DEPTH:
                notes.cut(key, value.ByteSize())
                return "{…}"
            return {
                clean_text(item.key, key, notes, MAX_KEY_CHARS): _read_any(
                    item.value, key, notes, depth + 1
                )
                for item in value.kvlist_value.values
            }
        case _:
            return None


def _read_events(listed: Any, notes: Notes) -> list[SpanEvent]:
    if len(listed) > MAX_EVENTS:
        notes.cut("(events)", len(listed))
        # The exception that ended a span stands last.
        listed = [*listed[: MAX_EVENTS - 1], listed[-1]]
    found = []
    for event in listed:
        own = Notes()
        attributes = _read_attributes(event.attributes, own)
        own.add_to(attributes)
        name = clean_text(event.name, "(event)", notes, MAX_NAME_CHARS)
        time_ns = _read_time(event.time_unix_nano, "event time_unix_nano")
        found.append(SpanEvent(name=name, time_ns=time_ns, attributes=attributes))
    return found


def _read_links(listed: Any, notes: Notes) -> list[Json]:
    if len(listed) > MAX_LINKS:
        notes.cut("(links)", len(listed))
    return [
        {
            "trace_id": _optional_id(link.trace_id, 16),
            "span_id": _optional_id(link.span_id, 8),
            "attributes": _read_attributes(link.attributes, notes),
        }
        for link in listed[:MAX_LINKS]
    ]


def _read_id(value: bytes, size: int, name: str) -> str:
    if len(value) != size:
        raise ValueError(f"{name} has {len(value)} bytes, must have {size}")
    if not any(value):
        raise ValueError(f"{name} is all zeros")
    return value.hex()


def _optional_id(value: bytes, size: int) -> str | None:
    return value.hex() if len(value) == size and any(value) else None


def _read_time(value: int, name: str) -> int:
    if value > _LATEST_NS:
        raise ValueError(f"{name} {value} is out of range")
    return value
