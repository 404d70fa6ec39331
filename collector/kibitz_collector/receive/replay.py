"""Tries records in quarantine again: decoded as they came, through normalize into the store.

A payload is what was at hand when the record was refused: the sender's JSON or protobuf of one span
or log record, our own raw form of it, or the Log the store could not take.
"""

from typing import Any, TypeVar

import orjson
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord as OtlpLogRecord
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs, ScopeLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span
from pydantic import TypeAdapter, ValidationError

from kibitz_collector.access.http import Context
from kibitz_collector.errors import BadPayload
from kibitz_collector.receive import otlp_json, otlp_proto
from kibitz_collector.receive.accept import accept_logs, accept_spans
from kibitz_collector.records import LogRecord, RawLogRecord, RawSpan, Rejected
from kibitz_collector.store.writes import quarantine
from kibitz_collector.store.writes.quarantine import QuarantinedView

_RAW_SPAN, _RAW_LOG = TypeAdapter(RawSpan), TypeAdapter(RawLogRecord)
_LOG = TypeAdapter(LogRecord)
M = TypeVar("M", bound=Message)


def replay(caller: Context, quarantined_id: int) -> str | None:
    """Take a record out of quarantine; returns why it is still refused, None: it is stored.

    Raises: NotFound. Busy: nothing was stored, try again.
    """
    with caller.store.read() as session:
        kept = quarantine.get_quarantined(session, caller.workspace_id, quarantined_id)
    if len(kept.payload) >= quarantine.MAX_PAYLOAD_BYTES:
        return "it was too large to be kept whole"
    try:
        refusal = _take(caller, kept)
    except (BadPayload, ValidationError, DecodeError, ValueError) as error:
        return f"it cannot be read: {' '.join(str(error).split())}"[:500]
    if refusal is None:
        with caller.store.write() as session:
            quarantine.mark_replayed(session, caller.workspace_id, quarantined_id)
    return refusal


def _take(caller: Context, kept: QuarantinedView) -> str | None:
    if kept.signal == "record":
        outcome = caller.store.ingest(caller.workspace_id, [_LOG.validate_json(kept.payload)])[0]
        return outcome.error
    if kept.signal == "log":
        verdict = accept_logs(caller, _read_logs(kept.payload))
    else:
        verdict = accept_spans(caller, _read_spans(kept.payload))
    return verdict.message if verdict.rejected else None


def _read_spans(payload: bytes) -> list[RawSpan | Rejected]:
    value = _json(payload)
    if value is None:
        spans = [ResourceSpans(scope_spans=[ScopeSpans(spans=[_parse(Span(), payload)])])]
        request = ExportTraceServiceRequest(resource_spans=spans)
        return otlp_proto.decode_spans(request.SerializeToString())
    if "start_ns" in value:
        return [_RAW_SPAN.validate_python(value)]
    return otlp_json.decode_spans(_request("resourceSpans", "scopeSpans", "spans", value))


def _read_logs(payload: bytes) -> list[RawLogRecord | Rejected]:
    value = _json(payload)
    if value is None:
        records = [_parse(OtlpLogRecord(), payload)]
        logs = [ResourceLogs(scope_logs=[ScopeLogs(log_records=records)])]
        return otlp_proto.decode_logs(
            ExportLogsServiceRequest(resource_logs=logs).SerializeToString()
        )
    if "time_ns" in value:
        return [_RAW_LOG.validate_python(value)]
    return otlp_json.decode_logs(_request("resourceLogs", "scopeLogs", "logRecords", value))


def _json(payload: bytes) -> dict[str, Any] | None:
    """Return the payload if it is a JSON object; protobuf of a span never begins like one."""
    try:
        value = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, dict):
        raise BadPayload("it is JSON, but no object")
    return value


def _parse(message: M, payload: bytes) -> M:
    message.ParseFromString(payload)
    return message


def _request(resource: str, scope: str, name: str, value: dict[str, Any]) -> bytes:
    return orjson.dumps({resource: [{scope: [{name: [value]}]}]})
