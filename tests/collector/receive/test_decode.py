"""Both encodings of OTLP decode to the same clean, bounded records."""

import json
import math
import time
from base64 import b64encode
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from kibitz import semconv as sc
from kibitz_collector.errors import BadPayload
from kibitz_collector.receive import otlp_json, otlp_proto
from kibitz_collector.records import RawLogRecord, RawSpan, Rejected
from tests.collector.receive.bodies import (
    START_NS,
    TRACE,
    any_value,
    as_json,
    as_protobuf,
    attribute,
    document,
    span,
)

ATTRIBUTES: dict[str, Any] = {
    "text": "héllo",
    "int": -5,
    "big": 2**62,
    "float": 0.5,
    "yes": True,
    "list": ["a", 1, 2.5, False],
    "deep": {"a": {"b": ["c"]}},
}


def one(body: bytes) -> RawSpan:
    (found,) = otlp_json.decode_spans(body)
    assert isinstance(found, RawSpan), found
    return found


def one_rejected(body: bytes) -> Rejected:
    (found,) = otlp_json.decode_spans(body)
    assert isinstance(found, Rejected), found
    return found


def test_json_and_protobuf_say_the_same() -> None:
    sent = span(
        7,
        ATTRIBUTES,
        parentSpanId="00f067aa0ba902b7",
        status={"code": 2, "message": "no"},
        traceState="a=b",
        droppedAttributesCount=3,
        events=[{"name": "e", "timeUnixNano": str(START_NS), "attributes": [attribute("k", "v")]}],
        links=[{"traceId": TRACE, "spanId": "00f067aa0ba902b7"}],
    )
    from_json = one(as_json(sent))
    for link in sent["links"]:
        link["traceId"] = b64encode(bytes.fromhex(link["traceId"])).decode()
        link["spanId"] = b64encode(bytes.fromhex(link["spanId"])).decode()
    assert [from_json] == otlp_proto.decode_spans(as_protobuf(sent))
    assert from_json.attributes == ATTRIBUTES
    assert from_json.resource == {"service.name": "shop"}
    assert (from_json.kind, from_json.status, from_json.status_message) == ("CLIENT", "error", "no")
    assert from_json.scope_name == "test"
    assert from_json.dropped_attributes_count == 3


def test_ids_may_be_base64_and_enums_names_and_times_numbers() -> None:
    sent = span(
        traceId=b64encode(bytes.fromhex(TRACE)).decode(),
        spanId=b64encode(bytes.fromhex("b7ad6b7169203331")).decode(),
        kind="SPAN_KIND_SERVER",
        status={"code": "STATUS_CODE_OK"},
        startTimeUnixNano=START_NS,
        endTimeUnixNano=float(START_NS),
    )
    found = one(as_json(sent))
    assert (found.trace_id, found.span_id) == (TRACE, "b7ad6b7169203331")
    assert (found.kind, found.status) == ("SERVER", "ok")
    assert found.start_ns == START_NS


def test_upper_case_ids_become_lower_case() -> None:
    assert one(as_json(span(traceId=TRACE.upper()))).trace_id == TRACE


def test_unknown_fields_are_ignored() -> None:
    sent = document(span(1, {"a": "b"}, flags=257, someday={"x": [1]}))
    sent["resourceSpans"][0]["scopeSpans"][0]["later"] = 1
    sent["unheard"] = "of"
    assert one(orjson.dumps(sent)).attributes == {"a": "b"}


def test_open_span_is_a_start_record() -> None:
    sent = span(1, {sc.RECORD: "start"}, endTimeUnixNano="0")
    assert one(as_json(sent)).end_ns == 0


@pytest.mark.parametrize(
    "broken",
    [
        {"traceId": "0" * 32},
        {"traceId": TRACE[:30]},
        {"traceId": None},
        {"traceId": 5},
        {"spanId": "zz"},
        {"startTimeUnixNano": "soon"},
        {"startTimeUnixNano": -1},
        {"endTimeUnixNano": str(2**64)},
        {"attributes": [{"value": {"stringValue": "no key"}}]},
        {"attributes": [{"key": 7, "value": {"stringValue": "x"}}]},
        {"attributes": [{"key": "k", "value": {"intValue": "many"}}]},
        {"attributes": "none"},
        {"events": [5]},
        {"status": "bad"},
    ],
)
def test_bad_span_is_rejected_alone(broken: dict[str, Any]) -> None:
    found = otlp_json.decode_spans(as_json(span(1), span(2) | broken, span(3)))
    assert [type(item) for item in found] == [RawSpan, Rejected, RawSpan]
    rejected = found[1]
    assert isinstance(rejected, Rejected)
    assert rejected.reason
    assert orjson.loads(rejected.payload)["name"] == "work 2"


def test_span_that_is_no_object_is_rejected_alone() -> None:
    found = otlp_json.decode_spans(as_json(span(1), 5, None, "x"))
    assert [type(item) for item in found] == [RawSpan, Rejected, Rejected, Rejected]


def test_bad_ids_in_protobuf_are_rejected_alone() -> None:
    request = ExportTraceServiceRequest.FromString(as_protobuf(span(1), span(2), span(3)))
    request.resource_spans[0].scope_spans[0].spans[1].trace_id = b"\x01" * 15
    found = otlp_proto.decode_spans(request.SerializeToString())
    assert [type(item) for item in found] == [RawSpan, Rejected, RawSpan]


@pytest.mark.parametrize("body", [b"{", b"[]", b"5", b"\xff\xfe", b'{"resourceSpans": 5}', b"nul"])
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(BadPayload):
        otlp_json.decode_spans(body)


def test_deep_nesting_is_refused_at_once() -> None:
    begun = time.perf_counter()
    with pytest.raises(BadPayload):
        otlp_json.decode_spans(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    assert time.perf_counter() - begun < 0.5


def test_random_bytes_and_bad_utf8_are_no_protobuf() -> None:
    body = as_protobuf(span(1, {"k": "MARK"}))
    for bad in (b"\x99" * 50, body.replace(b"MARK", b"\xff\xfe\xfd\xfc")):
        with pytest.raises(BadPayload):
            otlp_proto.decode_spans(bad)


@pytest.mark.parametrize("encode", [as_json, as_protobuf])
def test_nul_becomes_the_replacement_character(encode: Any) -> None:
    decode = otlp_json.decode_spans if encode is as_json else otlp_proto.decode_spans
    (found,) = decode(encode(span(1, {"k": "a\0b", "list": ["c\0"], "x\0y": "z"}, name="n\0")))
    assert isinstance(found, RawSpan)
    assert found.attributes["k"] == "a\ufffdb"
    assert found.attributes["list"] == ["c\ufffd"]
    assert found.attributes["x\ufffdy"] == "z"
    assert found.name == "n\ufffd"
    assert "k" in json.loads(found.attributes[sc.REPLACED])


def test_lone_surrogates_and_bad_utf8_in_json_are_replaced() -> None:
    body = as_json(span(1, {"k": "MARK"}))
    assert one(body.replace(b"MARK", b"\\ud800x")).attributes["k"] == "\ufffdx"
    assert "\ufffd" in one(body.replace(b"MARK", b"\xff")).attributes["k"]


def test_numbers_json_has_no_word_for_become_null_and_are_marked() -> None:
    sent = [
        {"key": "nan", "value": {"doubleValue": "NaN"}},
        {"key": "inf", "value": {"doubleValue": "-Infinity"}},
        {"key": "huge", "value": {"intValue": str(2**63)}},
        {"key": "zero", "value": {"doubleValue": -0.0}},
    ]
    found = one(as_json(span(1) | {"attributes": sent})).attributes
    assert (found["nan"], found["inf"], found["huge"]) == (None, None, str(2**63))
    assert math.copysign(1, found["zero"]) == -1
    assert json.loads(found[sc.REPLACED]) == {
        "nan": "NaN",
        "inf": "-Infinity",
        "huge": "integer beyond 64 bits",
    }
    bare = as_json(span(1, {"k": 0.25}))
    for written in (b"NaN", b"Infinity", b"1e400"):
        assert one(bare.replace(b"0.25", written)).attributes["k"] is None


def test_last_of_equal_keys_wins() -> None:
    sent = span(1) | {"attributes": [attribute("k", "first"), attribute("k", "last")]}
    assert one(as_json(sent)).attributes == {"k": "last"}
    (found,) = otlp_proto.decode_spans(as_protobuf(sent))
    assert isinstance(found, RawSpan)
    assert found.attributes == {"k": "last"}


@pytest.mark.parametrize("encode", [as_json, as_protobuf])
def test_what_is_too_large_is_cut_and_noted(encode: Any) -> None:
    decode = otlp_json.decode_spans if encode is as_json else otlp_proto.decode_spans
    many = {f"k{i}": i for i in range(10_000)}
    (found,) = decode(encode(span(1, many)))
    assert isinstance(found, RawSpan)
    assert len(found.attributes) == 2048 + 1
    assert json.loads(found.attributes[sc.TRUNCATED]) == {"(attributes)": 10_000}

    (found,) = decode(encode(span(1, {"long": "é" * (10 * 2**20), "k" * 2**20: "v"})))
    assert isinstance(found, RawSpan)
    assert len(found.attributes["long"]) == 4 * 2**20
    assert found.attributes["k" * 1024] == "v"
    notes = json.loads(found.attributes[sc.TRUNCATED])
    assert notes == {"long": 20 * 2**20, "k" * 1024: 2**20}


def test_depth_is_bounded() -> None:
    value: Any = "x"
    for _ in range(40):
        value = [value]
    found = one(as_json(span(1, {"deep": value})))
    depth, inner = 0, found.attributes["deep"]
    while isinstance(inner, list):
        depth, inner = depth + 1, inner[0]
    assert (depth, inner) == (32, "[…]")


def test_the_exception_at_the_end_survives_the_cut_of_events() -> None:
    events: list[dict[str, Any]] = [{"name": "tick"} for _ in range(5000)]
    found = one(as_json(span(1, events=[*events, {"name": "exception"}])))
    assert len(found.events) == 1024
    assert found.events[-1].name == "exception"
    assert json.loads(found.attributes[sc.TRUNCATED]) == {"(events)": 5001}


def test_log_records_in_both_encodings() -> None:
    record = {
        "timeUnixNano": "0",
        "observedTimeUnixNano": str(START_NS),
        "severityNumber": 9,
        "eventName": "e",
        "body": any_value({"a": [1, "x"]}),
        "attributes": [attribute("k", "v")],
        "traceId": TRACE,
        "spanId": "00f067aa0ba902b7",
    }
    scoped = {"scope": {"name": "s"}, "logRecords": [record]}
    resource = {"attributes": [attribute("service.name", "shop")]}
    whole = {"resourceLogs": [{"resource": resource, "scopeLogs": [scoped]}]}
    expected = RawLogRecord(
        time_ns=START_NS,
        event_name="e",
        body={"a": [1, "x"]},
        trace_id=TRACE,
        span_id="00f067aa0ba902b7",
        severity=9,
        attributes={"k": "v"},
        resource={"service.name": "shop"},
        scope_name="s",
    )
    assert otlp_json.decode_logs(orjson.dumps(whole)) == [expected]
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    group.resource.attributes.add(key="service.name").value.string_value = "shop"
    inner = group.scope_logs.add()
    inner.scope.name = "s"
    sent = inner.log_records.add(
        observed_time_unix_nano=START_NS,
        severity_number=9,
        event_name="e",
        trace_id=bytes.fromhex(TRACE),
        span_id=bytes.fromhex("00f067aa0ba902b7"),
    )
    sent.attributes.add(key="k").value.string_value = "v"
    values = sent.body.kvlist_value.values.add(key="a").value.array_value.values
    values.add(int_value=1)
    values.add(string_value="x")
    assert otlp_proto.decode_logs(request.SerializeToString()) == [expected]


JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["key", "value", "stringValue", "intValue", "doubleValue", "arrayValue", "values",
                 "kvlistValue", "traceId", "spanId", "attributes", "events", "links", "status",
                 "name", "code", "startTimeUnixNano", "kind", "body", "scope"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(JSON_VALUES, st.sampled_from(["attributes", "events", "links", "status", "name", "kind"]))
def test_any_json_is_a_span_a_rejection_or_a_bad_request(value: Any, key: str) -> None:
    for sent in ({**span(1), key: value}, value):
        body = json.dumps(document(sent)).encode()
        (found,) = otlp_json.decode_spans(body)
        assert isinstance(found, (RawSpan, Rejected))
        if isinstance(found, RawSpan):
            orjson.dumps(found)
    for whole in (value, {"resourceSpans": value}, {"resourceSpans": [value]}):
        for decode in (otlp_json.decode_spans, otlp_json.decode_logs):
            with suppress(BadPayload):
                decode(json.dumps(whole).encode())


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 400), st.integers(0, 255), st.binary(max_size=30))
def test_damaged_protobuf_is_read_or_refused(place: int, byte: int, noise: bytes) -> None:
    body = bytearray(as_protobuf(span(1, ATTRIBUTES), span(2, ATTRIBUTES)))
    body[place % len(body)] = byte
    for damaged in (bytes(body), noise, bytes(body[:place])):
        for decode in (otlp_proto.decode_spans, otlp_proto.decode_logs):
            with suppress(BadPayload):
                decode(damaged)
