"""Pure encoding of spans and log records as OTLP/JSON bytes, ready for the spool.

One record is one whole `scopeSpans` or `scopeLogs` element, put together from encoded pieces: what
a decorated function always says is encoded once, at decoration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from kibitz._serialize import snapshot
from kibitz.semconv import RECORD

VERSION = "0.1.0"

_SPANS = b'{"scope":{"name":"kibitz","version":"%b"},"spans":[{"traceId":"' % VERSION.encode()
_LOGS = b'{"scope":{"name":"kibitz","version":"%b"},"logRecords":[{' % VERSION.encode()
_INT64 = 2**63
_heads: dict[str, bytes] = {}
_MOST_HEADS = (
    2000  # attribute names come from code; a host that makes them up must not fill our memory
)

STATUS_ERROR = 2
KIND_INTERNAL, KIND_CLIENT = 1, 3


def json_text(value: str) -> bytes:
    """Return a string as JSON, lone surrogates replaced."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return orjson.dumps(value.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def text_attribute(key: str, value: str) -> bytes:
    """Return one attribute with a text value."""
    head = _heads.get(key)
    if head is None:
        head = b'{"key":%b,"value":{"stringValue":' % json_text(key)
        if len(_heads) < _MOST_HEADS:
            _heads[key] = head
    try:
        return head + orjson.dumps(value) + b"}}"
    except TypeError:
        return head + json_text(value) + b"}}"


def attribute(key: str, value: Any) -> bytes:
    """Return one attribute; anything that is no text, number, flag or list becomes JSON text."""
    if type(value) is str:
        return text_attribute(key, value)
    return b'{"key":%b,"value":%b}' % (json_text(key), any_value(value))


def attributes_text(values: Mapping[str, Any]) -> bytes:
    """Return several attributes joined by commas: one call of the encoder for all of them."""
    found: list[dict[str, Any]] = []
    for key, value in values.items():
        kind = type(value)
        typed: Any
        if kind is str:
            typed = {"stringValue": value}
        elif kind is bool:
            typed = {"boolValue": value}
        elif kind is int and -_INT64 <= value < _INT64:
            typed = {"intValue": str(value)}
        else:
            typed = orjson.Fragment(any_value(value))
        found.append({"key": key, "value": typed})
    try:
        return orjson.dumps(found)[1:-1]
    except TypeError:  # a lone surrogate somewhere
        return b",".join([attribute(key, value) for key, value in values.items()])


def any_value(value: Any) -> bytes:
    """Return a value in OTLP/JSON form."""
    kind = type(value)
    if kind is bool:
        return b'{"boolValue":true}' if value else b'{"boolValue":false}'
    if kind is int and -_INT64 <= value < _INT64:
        return b'{"intValue":"%d"}' % value
    if kind is float and value - value == 0:
        return b'{"doubleValue":%b}' % orjson.dumps(value)
    if kind in (list, tuple):
        return b'{"arrayValue":{"values":[%b]}}' % b",".join([any_value(item) for item in value])
    if isinstance(value, str):
        return b'{"stringValue":%b}' % json_text(str.__str__(value))
    text = snapshot(value).text
    if text[:1] == '"':  # NaN, a huge number, an enum of text: as the text itself
        text = orjson.loads(text)
    return b'{"stringValue":%b}' % json_text(text)


def event(name: str, time_ns: int, attributes: Iterable[tuple[str, Any]]) -> bytes:
    """Return one span event."""
    encoded = b",".join([attribute(key, value) for key, value in attributes])
    return b'{"name":%b,"timeUnixNano":"%d","attributes":[%b]}' % (
        json_text(name),
        time_ns,
        encoded,
    )


def span_template(name: bytes, kind: int) -> bytes:
    """Return the head of all spans of a name (as JSON) and kind, for `span_head`."""
    fixed = (
        b'%b%%032x","spanId":"%%016x%%b","name":%b,"kind":%d,'
        b'"startTimeUnixNano":"%%d","attributes":['
    )
    return fixed % (_SPANS, name.replace(b"%", b"%%"), kind)


def span_head(template: bytes, trace_id: int, span_id: int, parent_id: int, start_ns: int) -> bytes:
    """Return a `scopeSpans` element with one span, up to its attributes."""
    parent = b'","parentSpanId":"%016x' % parent_id if parent_id else b""
    return template % (trace_id, span_id, parent, start_ns)


def span_end(end_ns: int, *, events: list[bytes] | None = None, error: str | None = None) -> bytes:
    """Return what follows a span's attributes; `error` is the status message."""
    tail = b""
    if events:
        tail += b',"events":[%b]' % b",".join(events)
    if error is not None:
        tail += b',"status":{"code":%d,"message":%b}' % (STATUS_ERROR, json_text(error))
    return b'],"endTimeUnixNano":"%d"%b}]}' % (end_ns, tail)


def span_record(head: bytes, attributes: list[bytes], end: bytes) -> bytes:
    """Put a record together; the last piece of the attributes ends in a comma too many."""
    if attributes:
        attributes[-1] = attributes[-1][:-1]
    return b"".join([head, *attributes, end])


def start_tail(static: bytes) -> bytes:
    """Return what makes a head a start record, with attributes that are encoded already."""
    attributes = b"%b,%b" % (static, _START) if static else _START
    return b'%b],"endTimeUnixNano":"0"}]}' % attributes


def log_record(
    event_name: str,
    time_ns: int,
    attributes: Iterable[tuple[str, Any]],
    *,
    trace_id: int = 0,
    span_id: int = 0,
) -> bytes:
    """Return one `scopeLogs` element with one log record; attributes that are None are left out."""
    place = b""
    if trace_id and span_id:
        place = b'"traceId":"%032x","spanId":"%016x",' % (trace_id, span_id)
    encoded = [attribute(key, value) for key, value in attributes if value is not None]
    return (
        b'%b%b"timeUnixNano":"%d","observedTimeUnixNano":"%d","severityNumber":9,"eventName":%b,"attributes":[%b]}]}'
        % (_LOGS, place, time_ns, time_ns, json_text(event_name), b",".join(encoded))
    )


_START = text_attribute(RECORD, "start")
BARE_TAIL = start_tail(b"")
