"""Makes OTLP request bodies for the tests of this room."""

from base64 import b64encode
from typing import Any

import orjson
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

TRACE = "0af7651916cd43dd8448eb211c80319c"
START_NS = 1_795_188_615_000_000_000


def attribute(key: str, value: Any) -> dict[str, Any]:
    return {"key": key, "value": any_value(value)}


def any_value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [any_value(item) for item in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": [attribute(k, v) for k, v in value.items()]}}
    return {"stringValue": value}


def span(number: int = 1, attributes: dict[str, Any] | None = None, **given: Any) -> dict[str, Any]:
    fields = {
        "traceId": TRACE,
        "spanId": f"{number:016x}",
        "name": f"work {number}",
        "kind": 3,
        "startTimeUnixNano": str(START_NS),
        "endTimeUnixNano": str(START_NS + 10**9),
        "attributes": [attribute(k, v) for k, v in (attributes or {}).items()],
    }
    return {**fields, **given}


def document(*spans: Any, service: str = "shop", scope: str = "test") -> dict[str, Any]:
    resource = {"attributes": [attribute("service.name", service)]}
    scoped = {"scope": {"name": scope}, "spans": list(spans)}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [scoped]}]}


def as_json(*spans: Any, **given: Any) -> bytes:
    return orjson.dumps(document(*spans, **given))


def as_protobuf(*spans: Any, **given: Any) -> bytes:
    """Write the same request as protobuf; protobuf's own JSON wants base64 ids."""
    whole = document(*spans, **given)
    for item in whole["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        for key in ("traceId", "spanId", "parentSpanId"):
            if key in item:
                item[key] = _base64(item[key])
    request = json_format.ParseDict(whole, ExportTraceServiceRequest())
    return bytes(request.SerializeToString())


def _base64(hexadecimal: str) -> str:
    return b64encode(bytes.fromhex(hexadecimal)).decode()
