"""OTLP protobuf bodies -> raw spans and log records, through `opentelemetry-proto`."""

from collections.abc import Iterable
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from kibitz_collector.errors import BadPayload
from kibitz_collector.receive.bounds import (
    MAX_EVENTS,
    MAX_LINKS,
    MAX_NAME_CHARS,
    Notes,
    clean_text,
)
from kibitz_collector.receive.otlp_attributes import read_any, read_attributes, read_encoded
from kibitz_collector.receive.otlp_json import KINDS, Status
from kibitz_collector.receive.span_messages import Request
from kibitz_collector.records import Json, RawLogRecord, RawSpan, Rejected, SpanEvent

_STATUS: tuple[Status, ...] = ("unset", "ok", "error")
_LATEST_NS = 2**63 - 1


def decode_spans(body: bytes | bytearray) -> list[RawSpan | Rejected]:
    """Read an ExportTraceServiceRequest, spans in the order they stand.

    Raises: BadPayload: not protobuf of this type (also: text that is not UTF-8).
    """
    request = _parse(Request(), body)
    found: list[RawSpan | Rejected] = []
    for group in request.resource_spans:
        resource = _resource(group.resource.attributes)
        for scoped in group.scope_spans:
            scope = scoped.scope
            name, version = scope.name, scope.version
            for span in scoped.spans:
                try:
                    found.append(_read_span(span, resource, name, version))
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
    found = read_attributes(attributes, notes)
    notes.add_to(found)
    return found


def _read_span(span: Any, resource: Json, scope_name: str, scope_version: str) -> RawSpan:
    notes = Notes()
    attributes = read_encoded(span.attributes, notes)
    name, kind = span.name or "unnamed", span.kind
    if len(name) > MAX_NAME_CHARS or "\x00" in name:
        name = clean_text(name, "(name)", notes, MAX_NAME_CHARS)
    status = span.status
    code, message = status.code, status.message
    raw = RawSpan(
        trace_id=_read_id(span.trace_id, 16, "trace_id"),
        span_id=_read_id(span.span_id, 8, "span_id"),
        parent_span_id=_optional_id(span.parent_span_id, 8),
        name=name,
        kind=KINDS[kind] if 0 <= kind < len(KINDS) else "INTERNAL",
        start_ns=_read_time(span.start_time_unix_nano, "start_time_unix_nano"),
        end_ns=_read_time(span.end_time_unix_nano, "end_time_unix_nano"),
        status=_STATUS[code] if 0 <= code < 3 else "unset",
        status_message=message and clean_text(message, "(status)", notes),
        attributes=attributes,
        events=_read_events(events, notes) if (events := span.events) else [],
        links=_read_links(links, notes) if (links := span.links) else [],
        resource=resource,
        scope_name=scope_name,
        scope_version=scope_version,
        trace_state=span.trace_state,
        dropped_attributes_count=span.dropped_attributes_count,
    )
    notes.add_to(attributes)
    return raw


def _read_record(record: Any, resource: Json, scope: Any) -> RawLogRecord:
    notes = Notes()
    attributes = read_attributes(record.attributes, notes)
    time_ns = record.time_unix_nano or record.observed_time_unix_nano
    raw = RawLogRecord(
        time_ns=_read_time(time_ns, "time_unix_nano"),
        event_name=clean_text(record.event_name, "(event)", notes, MAX_NAME_CHARS),
        body=read_any(record.body, "(body)", notes, 0),
        trace_id=_optional_id(record.trace_id, 16),
        span_id=_optional_id(record.span_id, 8),
        severity=record.severity_number,
        attributes=attributes,
        resource=resource,
        scope_name=scope.name,
    )
    notes.add_to(attributes)
    return raw


def _read_events(listed: Any, notes: Notes) -> list[SpanEvent]:
    if len(listed) > MAX_EVENTS:
        notes.cut("(events)", len(listed))
        # The exception that ended a span stands last.
        listed = [*listed[: MAX_EVENTS - 1], listed[-1]]
    found = []
    for event in listed:
        own = Notes()
        attributes = read_attributes(event.attributes, own)
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
            "attributes": read_attributes(link.attributes, notes),
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
