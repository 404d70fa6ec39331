"""`normalize` and `normalize_log` never raise, whatever stands in a span."""

from dataclasses import replace
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kibitz import semconv as sc
from kibitz_collector.normalize import explain, join_log_records, normalize, normalize_log
from kibitz_collector.normalize.messages import read_message
from kibitz_collector.normalize.rules import FLAT, MESSAGES, OUTPUTS, TABLE, read
from kibitz_collector.records import LogRecord, RawLogRecord, RawSpan, SpanEvent
from tests.collector.normalize.spans import span

TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            "None", "null", "true", "False", "('a',)", "(", "[", "{", '""', "1e999", "-1", "0",
            "9" * 30, "٣", "NaN", '{"messages": 1}', '[{"role": 1, "parts": [{"type": []}]}]',
            '[[{"lc": 1, "id": [], "kwargs": {}}]]', '{"a": "\\u0000\\ud800"}', "[" * 100,
            '[{"content": [{"toolResult": {"content": [{"json": {}}]}}]}]', '{"type": "x"}',
        ]
    ),
)  # fmt: skip
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), TEXTS
)
PARTS = st.dictionaries(
    st.sampled_from(
        ["type", "content", "text", "id", "name", "arguments", "role", "parts", "tool_calls",
         "function", "toolUse", "toolResult", "source", "image_url", "message", "tool_call_id"]
    ),
    st.one_of(SCALARS, st.sampled_from(["text", "tool_call", "tool_result", "image", "blob"])),
    max_size=5,
)  # fmt: skip
VALUES = st.recursive(
    st.one_of(SCALARS, PARTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
AS_JSON = VALUES.map(lambda value: orjson.dumps(value).decode())
KEYS = st.one_of(
    st.sampled_from(sorted(TABLE)),
    st.sampled_from(
        ["0", "1.message.content", "0.tool_calls.0.name", "0.role", "a..b", ""]
    ).flatmap(lambda rest: st.sampled_from([prefix + rest for prefix in FLAT])),
    st.sampled_from([sc.INPUT_MESSAGES, sc.OUTPUT_MESSAGES, sc.SYSTEM_INSTRUCTIONS, "input.value"]),
    st.text(max_size=8),
)
ATTRIBUTES = st.dictionaries(KEYS, st.one_of(VALUES, AS_JSON), max_size=8)
EVENT_NAMES = st.sampled_from(
    ["exception", "gen_ai.choice", "gen_ai.user.message", "gen_ai.tool.message",
     "gen_ai.client.inference.operation.details", "gen_ai.content.prompt",
     "gen_ai.evaluation.result", "kibitz.file.register", "First Token Stream Event", "x"]
)  # fmt: skip
TIMES = st.integers(0, 2**63 - 1)
EVENTS = st.builds(SpanEvent, name=EVENT_NAMES, time_ns=TIMES, attributes=ATTRIBUTES)
SPANS = st.builds(
    RawSpan,
    trace_id=st.just("0af7651916cd43dd8448eb211c80319c"),
    span_id=st.just("b7ad6b7169203331"),
    parent_span_id=st.sampled_from([None, "00f067aa0ba902b7", "b7ad6b7169203331"]),
    name=st.text(max_size=10),
    start_ns=TIMES,
    end_ns=TIMES,
    status=st.sampled_from(["unset", "ok", "error"]),
    status_message=TEXTS,
    attributes=ATTRIBUTES,
    events=st.lists(EVENTS, max_size=3),
    resource=ATTRIBUTES,
    scope_name=st.sampled_from(["", "kibitz", "humanloop.sdk", "openinference.x"]),
    dropped_attributes_count=st.integers(0, 5),
)
RECORDS = st.builds(
    RawLogRecord,
    time_ns=TIMES,
    event_name=EVENT_NAMES,
    body=VALUES,
    trace_id=st.sampled_from([None, "0af7651916cd43dd8448eb211c80319c"]),
    span_id=st.sampled_from([None, "b7ad6b7169203331"]),
    attributes=ATTRIBUTES,
    resource=ATTRIBUTES,
)
many = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def assert_storable(log: LogRecord) -> None:
    """The store takes finite numbers and text in the narrow row."""
    for field in ("session_id", "user", "model", "provider", "finish_reason", "response_id"):
        value: Any = getattr(log, field)
        assert value is None or isinstance(value, str)
    if log.tokens is not None:
        counts = (log.tokens.input_uncached, log.tokens.output, log.tokens.reasoning)
        assert all(count is None or count >= 0 for count in counts)
    assert log.cost_usd is None or log.cost_usd >= 0
    orjson.dumps(log.body)


def assert_unnamed_find_nothing(raw: RawSpan) -> None:
    """Readers of messages are not asked where none of the attributes they name is."""
    reading = read(raw)
    reading.kind = "prompt"
    for _, read_input, looked_at in MESSAGES:
        assert not reading.may.isdisjoint(looked_at) or read_input(reading) == []
    for _, read_output, looked_at in OUTPUTS:
        assert not reading.may.isdisjoint(looked_at) or read_output(reading) is None


@many
@given(SPANS)
def test_any_span_becomes_a_log(raw: RawSpan) -> None:
    log = normalize(raw)
    assert_storable(log)
    assert explain(raw).record == log
    assert_unnamed_find_nothing(replace(raw, events=[]))


@many
@given(st.lists(RECORDS, max_size=3))
def test_any_log_record_is_read_or_passed_over(records: list[RawLogRecord]) -> None:
    found = [normalize_log(record) for record in records]
    for log in join_log_records([f for f in found if isinstance(f, LogRecord)]):
        assert_storable(log)


@many
@given(
    st.fixed_dictionaries({"role": VALUES, "parts": st.lists(PARTS, max_size=2)})
    | st.fixed_dictionaries({"role": VALUES, "content": VALUES})
)
def test_the_short_way_to_read_a_message_says_what_the_long_way_says(raw: dict[str, Any]) -> None:
    assert read_message(raw) == read_message({**raw, "name": None})


@many
@given(VALUES, VALUES)
def test_flattened_text_is_read_as_messages_with_more_to_them_are(role: Any, content: Any) -> None:
    head = "llm.input_messages.0.message."
    told = {"openinference.span.kind": "LLM", head + "role": role, head + "content": content}
    short, long = span(told), span({**told, head + "name": ""})
    assert normalize(short).body.messages == normalize(long).body.messages
