"""Spans of a decorated flow as OTLP/JSON, for tests that need a sender but no app."""

import secrets
import time
from typing import Any

import httpx

Span = dict[str, Any]


def flow_span(path: str, output: str, **more: str) -> Span:
    """Return one finished flow, with a trace and span id of its own."""
    now_ns = time.time_ns()
    attributes = {
        "gen_ai.operation.name": "invoke_workflow",
        "kibitz.file.path": path,
        "kibitz.file.type": "flow",
        "kibitz.log.output": f'"{output}"',
        **more,
    }
    return {
        "traceId": secrets.token_hex(16),
        "spanId": secrets.token_hex(8),
        "name": path,
        "startTimeUnixNano": str(now_ns - 1_000_000),
        "endTimeUnixNano": str(now_ns),
        "attributes": [
            {"key": key, "value": {"stringValue": value}} for key, value in attributes.items()
        ],
    }


def traces_body(spans: list[Span]) -> dict[str, Any]:
    """Return an ExportTraceServiceRequest."""
    return {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}


def send_spans(client: httpx.Client, spans: list[Span]) -> dict[str, Any]:
    """Send spans; returns the partial success, {} when all were taken."""
    response = client.post("/v1/traces", json=traces_body(spans))
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer.get("partialSuccess", {})
