"""OTLP/JSON bodies -> raw spans and log records; unknown fields are ignored, as the standard asks.

Shape: {"resourceSpans": [{"resource": {"attributes": […]}, "scopeSpans": [{"scope": {"name"},
"spans": [{"traceId", "spanId", "parentSpanId", "name", "kind", "startTimeUnixNano", …}]}]}]}. Ids
are hex as the standard says, or base64 as protobuf's own JSON writes them; enums are numbers or
names; 64-bit numbers are text or numbers.
"""

import json
import math
from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import Any, Literal

import orjson

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
    clean_int,
    clean_text,
)
from kibitz_collector.records import Json, RawLogRecord, RawSpan, Rejected, SpanEvent

KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
_LATEST_NS = 2**63 - 1
Status = Literal["unset", "ok", "error"]
_STATUS: dict[Any, Status] = {
    1: "ok",
    2: "error",
    "STATUS_CODE_OK": "ok",
    "STATUS_CODE_ERROR": "error",
}


def decode_spans(body: bytes | bytearray) -> list[RawSpan | Rejected]:
    """Read an ExportTraceServiceRequest, spans in the order they stand.

    Raises: BadPayload: not JSON, or not of this shape.
    """
    document, dirty = parse(body)
    found: list[RawSpan | Rejected] = []
    for resource, scope, span in _walk(document, "resourceSpans", "scopeSpans", "spans", dirty):
        try:
            found.append(_read_span(span, resource, scope, dirty=dirty))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            found.append(Rejected(reason=_reason(error), payload=_payload(span), signal="span"))
    return found


def decode_logs(body: bytes | bytearray) -> list[RawLogRecord | Rejected]:
    """Read an ExportLogsServiceRequest, log records in the order they stand.

    Raises: BadPayload: not JSON, or not of this shape.
    """
    document, dirty = parse(body)
    found: list[RawLogRecord | Rejected] = []
    for resource, scope, record in _walk(
        document, "resourceLogs", "scopeLogs", "logRecords", dirty
    ):
        try:
            found.append(_read_record(record, resource, scope))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            found.append(Rejected(reason=_reason(error), payload=_payload(record), signal="log"))
    return found


def parse(body: bytes | bytearray) -> tuple[Json, bool]:
    """Parse a body; also tell whether its texts need a look (NUL, surrogates, odd numbers).

    Raises: BadPayload.
    """
    try:
        document = orjson.loads(body)
        dirty = b"\\u0000" in body
    except orjson.JSONDecodeError as error:
        document, dirty = _parse_leniently(body, str(error)), True
    if not isinstance(document, dict):
        raise BadPayload("the body must be a JSON object")
    return document, dirty


def _parse_leniently(body: bytes | bytearray, problem: str) -> Any:
    """Parse what orjson refuses and real senders write: NaN, 1e400, lone surrogates, bad UTF-8."""
    try:
        return json.loads(body.decode("utf-8", "replace"), strict=False, parse_int=_parse_int)
    except RecursionError:
        raise BadPayload("the JSON is nested too deep") from None
    except ValueError:
        raise BadPayload(f"the body is not JSON: {problem}") from None


def _parse_int(digits: str) -> int | str:
    return int(digits) if len(digits) < 100 else digits


def _walk(
    document: Json, outer: str, inner: str, leaf: str, dirty: bool
) -> Iterator[tuple[Json, Json, Any]]:
    """Yield every record with its resource's attributes and its scope."""
    for group in _list(document, outer):
        resource = _attributes_of(_dict(group, outer).get("resource"), dirty=dirty)
        for scoped in _list(group, inner):
            scope = _dict(scoped, inner).get("scope") or {}
            for record in _list(scoped, leaf):
                yield resource, scope if isinstance(scope, dict) else {}, record


def _list(document: Json, key: str) -> list[Any]:
    listed = document.get(key)
    if listed is None:
        return []
    if not isinstance(listed, list):
        raise BadPayload(f"{key} must be a list")
    return listed


def _dict(value: Any, name: str) -> Json:
    if not isinstance(value, dict):
        raise BadPayload(f"each of {name} must be an object")
    return value


def _attributes_of(resource: Any, *, dirty: bool) -> Json:
    if not isinstance(resource, dict):
        return {}
    try:
        notes = Notes()
        attributes = read_attributes(resource.get("attributes"), notes, dirty=dirty)
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}
    notes.add_to(attributes)
    return attributes


def _read_span(span: Json, resource: Json, scope: Json, *, dirty: bool) -> RawSpan:
    notes = Notes()
    attributes = read_attributes(span.get("attributes"), notes, dirty=dirty)
    status = span.get("status") or {}
    events = span.get("events")
    links = span.get("links")
    parent = span.get("parentSpanId")
    raw = RawSpan(
        trace_id=read_id(span.get("traceId"), 16, "traceId"),
        span_id=read_id(span.get("spanId"), 8, "spanId"),
        parent_span_id=_optional_id(parent, 8) if parent else None,
        name=clean_text(str(span.get("name") or "unnamed"), "(name)", notes, MAX_NAME_CHARS),
        kind=_read_kind(span.get("kind")),
        start_ns=read_time(span.get("startTimeUnixNano"), "startTimeUnixNano"),
        end_ns=read_time(span.get("endTimeUnixNano"), "endTimeUnixNano"),
        status=_STATUS.get(status.get("code"), "unset"),
        status_message=clean_text(str(status.get("message") or ""), "(status)", notes),
        attributes=attributes,
        events=_read_events(events, notes, dirty=dirty) if events else [],
        links=_read_links(links, notes) if links else [],
        resource=resource,
        scope_name=str(scope.get("name") or ""),
        scope_version=str(scope.get("version") or ""),
        trace_state=str(span.get("traceState") or ""),
        dropped_attributes_count=_count(span.get("droppedAttributesCount")),
    )
    notes.add_to(attributes)
    return raw


def _read_record(record: Json, resource: Json, scope: Json) -> RawLogRecord:
    notes = Notes()
    attributes = read_attributes(record.get("attributes"), notes, dirty=True)
    seen = read_time(record.get("timeUnixNano"), "timeUnixNano")
    body = record.get("body")
    raw = RawLogRecord(
        time_ns=seen or read_time(record.get("observedTimeUnixNano"), "observedTimeUnixNano"),
        event_name=clean_text(str(record.get("eventName") or ""), "(event)", notes, MAX_NAME_CHARS),
        body=_read_any(body, "(body)", notes, 0) if body is not None else None,
        trace_id=_optional_id(record.get("traceId"), 16),
        span_id=_optional_id(record.get("spanId"), 8),
        severity=_count(record.get("severityNumber")),
        attributes=attributes,
        resource=resource,
        scope_name=str(scope.get("name") or ""),
    )
    notes.add_to(attributes)
    return raw


def read_attributes(listed: Any, notes: Notes, *, dirty: bool) -> Json:
    """Read `[{"key", "value": AnyValue}]`; of equal keys the last wins.

    Raises: ValueError and kin: not of this shape.
    """
    if not listed:
        return {}
    if len(listed) > MAX_ATTRIBUTES:
        notes.cut("(attributes)", len(listed))
        listed = listed[:MAX_ATTRIBUTES]
    found: Json = {}
    for item in listed:
        key = item["key"]
        value = item.get("value")
        if value.__class__ is dict and not dirty:
            # The common case first: one short clean text per attribute.
            text = value.get("stringValue")
            if text.__class__ is str and len(text) <= MAX_TEXT_CHARS and len(key) <= MAX_KEY_CHARS:
                found[key] = text
                continue
        if key.__class__ is not str:
            raise ValueError(f"attribute key {str(key)[:100]!r} is not text")
        key = clean_text(key, key[:MAX_KEY_CHARS], notes, MAX_KEY_CHARS)
        found[key] = _read_any(value, key, notes, 0)
    return found


def _read_any(value: Any, key: str, notes: Notes, depth: int) -> Any:
    if not value:
        return None
    for kind, content in value.items():
        reader = _ANY.get(kind)
        if reader is not None:
            return reader(content, key, notes, depth)
    return None


def _read_text(value: Any, key: str, notes: Notes, _depth: int) -> Any:
    return clean_text(value if isinstance(value, str) else str(value), key, notes)


def _read_bool(value: Any, _key: str, _notes: Notes, _depth: int) -> bool:
    return value is True or value == "true"


def _read_int(value: Any, key: str, notes: Notes, _depth: int) -> int | str:
    if isinstance(value, str) and len(value) > 100:
        return clean_text(value, key, notes)
    return clean_int(int(value), key, notes)


def _read_double(value: Any, key: str, notes: Notes, _depth: int) -> float | None:
    return clean_float(float(value), key, notes)


def _read_array(value: Any, key: str, notes: Notes, depth: int) -> Any:
    if depth >= MAX_DEPTH:
        notes.cut(key, len(_payload(value)))
        return "[…]"
    return [_read_any(item, key, notes, depth + 1) for item in value.get("values") or ()]


def _read_kvlist(value: Any, key: str, notes: Notes, depth: int) -> Any:
    if depth >= MAX_DEPTH:
        notes.cut(key, len(_payload(value)))
        return "{…}"
    return {
        clean_text(str(item["key"]), key, notes, MAX_KEY_CHARS): _read_any(
            item.get("value"), key, notes, depth + 1
        )
        for item in value.get("values") or ()
    }


_ANY: dict[str, Callable[[Any, str, Notes, int], Any]] = {
    "stringValue": _read_text,
    "boolValue": _read_bool,
    "intValue": _read_int,
    "doubleValue": _read_double,
    "arrayValue": _read_array,
    "kvlistValue": _read_kvlist,
    "bytesValue": _read_text,  # stays base64
}


def _read_events(listed: list[Json], notes: Notes, *, dirty: bool) -> list[SpanEvent]:
    if len(listed) > MAX_EVENTS:
        notes.cut("(events)", len(listed))
        # The exception that ended a span stands last.
        listed = [*listed[: MAX_EVENTS - 1], listed[-1]]
    found = []
    for event in listed:
        own = Notes()
        attributes = read_attributes(event.get("attributes"), own, dirty=dirty)
        own.add_to(attributes)
        name = clean_text(str(event.get("name") or ""), "(event)", notes, MAX_NAME_CHARS)
        time_ns = read_time(event.get("timeUnixNano"), "event timeUnixNano")
        found.append(SpanEvent(name=name, time_ns=time_ns, attributes=attributes))
    return found


def _read_links(listed: list[Json], notes: Notes) -> list[Json]:
    if len(listed) > MAX_LINKS:
        notes.cut("(links)", len(listed))
    return [
        {
            "trace_id": _optional_id(link.get("traceId"), 16),
            "span_id": _optional_id(link.get("spanId"), 8),
            "attributes": read_attributes(link.get("attributes"), notes, dirty=True),
        }
        for link in listed[:MAX_LINKS]
    ]


def read_id(value: Any, size: int, name: str) -> str:
    """Return an id as lower-case hex.

    Raises: ValueError: absent, malformed or all zeros.
    """
    try:
        raw = bytes.fromhex(value) if len(value) == 2 * size else b64decode(value, validate=True)
    except (ValueError, TypeError):
        raw = b""
    if len(raw) != size:
        raise ValueError(f"{name} {str(value)[:64]!r} must be {2 * size} hex digits")
    if not any(raw):
        raise ValueError(f"{name} is all zeros")
    return raw.hex()


def _optional_id(value: Any, size: int) -> str | None:
    try:
        return read_id(value, size, "id") if value else None
    except ValueError:
        return None


def read_time(value: Any, name: str) -> int:
    """Return UTC nanoseconds; 0 when absent.

    Raises: ValueError: not a number, negative or beyond 64 bits.
    """
    if value is None:
        return 0
    if value.__class__ is float and not math.isfinite(value):
        raise ValueError(f"{name} is not a time")
    try:
        time_ns = int(value)
    except (ValueError, TypeError):
        raise ValueError(f"{name} {str(value)[:64]!r} is not a number") from None
    if not 0 <= time_ns <= _LATEST_NS:
        raise ValueError(f"{name} {time_ns} is out of range")
    return time_ns


def _read_kind(value: Any) -> str:
    if value.__class__ is int:
        return KINDS[value] if 0 <= value < len(KINDS) else "INTERNAL"
    if isinstance(value, str):
        name = value.removeprefix("SPAN_KIND_")
        return name if name in KINDS else "INTERNAL"
    return "INTERNAL"


def _count(value: Any) -> int:
    return value if value.__class__ is int and 0 <= value < 2**31 else 0


def _reason(error: Exception) -> str:
    if isinstance(error, ValueError):
        return str(error)
    return f"not of the OTLP shape: {type(error).__name__}: {error}"


def _payload(record: Any) -> bytes:
    try:
        return orjson.dumps(record)
    except (TypeError, ValueError):
        return json.dumps(record, default=str).encode("utf-8", "backslashreplace")
