"""Every recorded span becomes exactly the Log that was looked at and found right.

`KIBITZ_TEST_UPDATE_GOLDEN=1` writes the file anew; read the difference before committing it.
"""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
import pytest

from kibitz_collector.normalize import normalize
from kibitz_collector.receive import otlp_json
from kibitz_collector.records import RawSpan, SpanEvent

HERE = Path(__file__).parent
GOLDEN = HERE / "golden.json"
START_NS = 1_795_188_615_194_213_899


def recorded_spans() -> dict[str, RawSpan]:
    """Return every recorded span by a name of its own."""
    spans: dict[str, RawSpan] = {}
    samples = json.loads((HERE / "dialect-samples.json").read_text())
    for dialect, recording in samples["dialects"].items():
        for index, sample in enumerate(recording["spans"]):
            name = f"{dialect} {index} {sample['name']}"
            spans[name] = RawSpan(
                trace_id=f"{len(spans) + 1:032x}",
                span_id=f"{index + 1:016x}",
                parent_span_id=None,
                name=sample["name"],
                kind=sample["kind"],
                start_ns=START_NS,
                end_ns=START_NS + 1_000_000_000,
                status=sample["status"].lower(),
                attributes=sample["attributes"],
                events=[
                    SpanEvent(
                        name=e["name"], time_ns=START_NS + 5_000_000, attributes=e["attributes"]
                    )
                    for e in sample["events"]
                ],
                scope_name=sample["scope"],
            )
    samples = json.loads((HERE / "humanloop-samples.json").read_text())
    for index, sample in enumerate(samples["spans"]):
        scoped = {"scope": sample["scope"], "spans": [sample["span"]]}
        body = orjson.dumps({"resourceSpans": [{"scopeSpans": [scoped]}]})
        (span,) = otlp_json.decode_spans(body)
        assert isinstance(span, RawSpan), span
        spans[f"humanloop {index} {span.name}"] = span
    return spans


def as_golden(span: RawSpan) -> dict[str, Any]:
    """Return the Log of a span without what is copied from it unchanged."""
    log = asdict(normalize(span))
    body = log["body"]
    assert body.pop("attributes") == (span.attributes or None)
    assert body.pop("events") == ([asdict(event) for event in span.events] or None)
    body["resource"] = body["resource"] or None
    log["body"] = {key: value for key, value in body.items() if value is not None}
    plain: dict[str, Any] = json.loads(orjson.dumps(log))
    return {key: value for key, value in plain.items() if value not in (None, [], {})}


SPANS = recorded_spans()
if os.environ.get("KIBITZ_TEST_UPDATE_GOLDEN"):
    found = {name: as_golden(span) for name, span in SPANS.items()}
    GOLDEN.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


@pytest.mark.parametrize("name", SPANS)
def test_recorded_span_becomes_the_log_it_should(name: str) -> None:
    golden = json.loads(GOLDEN.read_text())
    assert as_golden(SPANS[name]) == golden[name]


def test_the_same_call_is_the_same_log_in_every_dialect() -> None:
    """Messages, tools, tokens, cost and finish reason must not depend on who recorded the call."""
    chat = [as_golden(SPANS[name]) for name in SPANS if name.split(" ", 2)[1] == "0"][:2]
    for field in ("messages", "output_message", "tools"):
        assert chat[0]["body"][field] == chat[1]["body"][field]
    for field in ("tokens", "cost_usd", "finish_reason", "model", "model_served", "provider"):
        assert chat[0][field] == chat[1][field]
    anthropic = [as_golden(span) for name, span in SPANS.items() if "claude-sonnet-5" in str(span)]
    assert len(anthropic) == 3
    for other in anthropic[1:]:
        assert other["tokens"] == anthropic[0]["tokens"]
        assert other["cost_usd"] == anthropic[0]["cost_usd"]
        assert other["body"]["messages"] == anthropic[0]["body"]["messages"]
