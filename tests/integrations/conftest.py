"""For integrations: spans in memory with fixed ids and a ticking clock, and wire servers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from kibitz import _guard, _runtime
from kibitz.config import load
from tests.integrations.wire import anthropic as anthropic_wire
from tests.integrations.wire import openai as openai_wire
from tests.integrations.wire.server import WireServer


class RecordedSpans:
    """What was recorded, as plain dicts; content attributes are decoded from their JSON."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []

    def put(self, kind: int, payload: bytes) -> None:
        if kind == _runtime.SPAN:
            self.payloads.append(payload)

    def as_dicts(self) -> list[dict[str, Any]]:
        return [_plain(json.loads(payload)["spans"][0]) for payload in self.payloads]

    def only(self) -> dict[str, Any]:
        (span,) = self.as_dicts()
        return span


def _plain(span: dict[str, Any]) -> dict[str, Any]:
    plain = {
        "name": span["name"],
        "kind": span["kind"],
        "parent": span.get("parentSpanId"),
        "attributes": {a["key"]: _value(a["value"], a["key"]) for a in span["attributes"]},
    }
    if "status" in span:
        plain["error"] = span["status"]["message"]
        event = {a["key"]: _value(a["value"]) for a in span["events"][-1]["attributes"]}
        event.pop("exception.stacktrace", None)
        plain["exception"] = event
    return plain


def _value(value: dict[str, Any], name: str = "") -> Any:
    ((kind, held),) = value.items()
    if kind == "intValue":
        return int(held)
    if kind == "arrayValue":
        return [_value(item) for item in held["values"]]
    if name.startswith("gen_ai.") and isinstance(held, str) and held.startswith(("[", "{")):
        return json.loads(held)
    return held


@pytest.fixture
def spans() -> Iterator[RecordedSpans]:
    recorded = RecordedSpans()
    ids, ticks = count(1), count(10**18, 10**6)
    _guard.set_strict(True)
    _runtime.install(
        _runtime.Runtime(
            settings=load({}, service="tests"),
            put=recorded.put,
            new_trace_id=lambda: next(ids),
            new_span_id=lambda: next(ids),
            now_ns=lambda: next(ticks),
        )
    )
    yield recorded
    _runtime.uninstall()
    _guard.set_strict(False)


@pytest.fixture
def openai_server() -> Iterator[WireServer]:
    server = WireServer(openai_wire.answer)
    yield server
    server.close()


@pytest.fixture
def anthropic_server() -> Iterator[WireServer]:
    server = WireServer(anthropic_wire.answer)
    yield server
    server.close()
