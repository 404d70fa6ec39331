"""Answers in the request's own encoding, as OTLP asks: success, partial success, Status."""

from typing import Any

import orjson
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from starlette.responses import Response

from kibitz_collector.errors import CollectorError

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
_SIGNALS: dict[str, tuple[Any, str, str]] = {
    "spans": (ExportTraceServiceResponse, "rejected_spans", "rejectedSpans"),
    "logs": (ExportLogsServiceResponse, "rejected_log_records", "rejectedLogRecords"),
    "metrics": (ExportMetricsServiceResponse, "rejected_data_points", "rejectedDataPoints"),
}
# gRPC codes of google.rpc.Status.
_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 413: 8, 415: 3, 422: 3, 503: 14}


def success(signal: str, *, is_json: bool, rejected: int = 0, message: str = "") -> Response:
    """Answer 200; with a count or a message it is a partial success."""
    kind, field, json_field = _SIGNALS[signal]
    if is_json:
        partial: dict[str, str] = {"errorMessage": message} if message else {}
        if rejected:
            partial[json_field] = str(rejected)  # 64-bit numbers are text in protobuf's JSON
        body = {"partialSuccess": partial} if partial else {}
        return Response(orjson.dumps(body), media_type=JSON)
    answer = kind()
    if rejected:
        setattr(answer.partial_success, field, rejected)
    if message:
        answer.partial_success.error_message = message
    return Response(answer.SerializeToString(), media_type=PROTOBUF)


def failure(error: CollectorError, *, is_json: bool) -> Response:
    """Answer with a google.rpc.Status; in JSON beside the collector's own form of an error."""
    headers = {}
    if error.retry_after_s is not None or error.status == 503:
        headers["Retry-After"] = str(max(1, round(error.retry_after_s or 1)))
    code = _CODES.get(error.status, 2)
    if is_json:
        own = {"type": error.code, "message": error.message}
        body = orjson.dumps({"code": code, "message": error.message, "error": own})
        return Response(body, error.status, headers, JSON)
    text = error.message.encode("utf-8", "replace")
    status = b"\x08" + _varint(code) + b"\x12" + _varint(len(text)) + text
    return Response(status, error.status, headers, PROTOBUF)


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
