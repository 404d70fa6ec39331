"""For integrations: what was recorded, whole and readable; and servers that speak the wires."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from kibitz import _guard
from kibitz.testing import Spans, capture
from tests.integrations.wire import anthropic as anthropic_wire
from tests.integrations.wire import openai as openai_wire
from tests.integrations.wire.server import WireServer


class RecordedSpans:
    """The finished spans, without ids and times, with content decoded from its JSON."""

    def __init__(self, spans: Spans) -> None:
        self.spans = spans

    def as_dicts(self) -> list[dict[str, Any]]:
        kinds = [record["kind"] for record in self.spans.raw()]
        found = zip(kinds, self.spans.as_dicts(), strict=True)
        return [{"kind": kind, **_plain(span)} for kind, span in found]

    def only(self) -> dict[str, Any]:
        (span,) = self.as_dicts()
        return span


def _plain(span: dict[str, Any]) -> dict[str, Any]:
    plain = {
        "name": span["name"],
        "parent": span["parent_id"],
        "attributes": {name: _decoded(name, held) for name, held in span["attributes"].items()},
    }
    return plain if span["error"] is None else {**plain, "error": span["error"]}


def _decoded(name: str, held: Any) -> Any:
    is_json = isinstance(held, str) and held.startswith(("[", "{"))
    return json.loads(held) if is_json and name.startswith("gen_ai.") else held


@pytest.fixture
def spans() -> Iterator[RecordedSpans]:
    _guard.set_strict(True)
    with capture() as recorded:
        yield RecordedSpans(recorded)
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
