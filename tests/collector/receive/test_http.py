"""OTLP over HTTP: what is answered, what is stored, and what is put aside."""

import gzip
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
import zstandard
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from kibitz import semconv as sc
from kibitz.ids import log_id_from_hex
from kibitz_collector.access.keys import make_key
from kibitz_collector.errors import Busy
from kibitz_collector.receive.accept import Verdict, insist
from kibitz_collector.records import LogDetail
from kibitz_collector.store import Store
from kibitz_collector.store.queries import logs as log_queries
from kibitz_collector.store.writes import keys as key_writes
from kibitz_collector.store.writes import quarantine
from tests.collector.receive.bodies import START_NS, TRACE, as_json, as_protobuf, attribute, span

JSON = {"Content-Type": "application/json"}
PROTOBUF = {"Content-Type": "application/x-protobuf"}
CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 0,
    "gen_ai.input.messages": '[{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]',
    "session.id": "chat-42",
}


def stored(store: Store, number: int = 1) -> LogDetail:
    with store.read() as session:
        return log_queries.get_log(session, 1, log_id_from_hex(TRACE, f"{number:016x}"))


def put_aside(store: Store) -> list[str]:
    with store.read() as session:
        return [kept.reason for kept in quarantine.list_quarantined(session, 1)]


@pytest.mark.parametrize("encoding", ["", "gzip", "zstd"])
@pytest.mark.parametrize("kind", ["json", "protobuf"])
async def test_span_is_stored_and_answered_in_its_own_encoding(
    client: httpx.AsyncClient, store: Store, kind: str, encoding: str
) -> None:
    body = as_json(span(1, CHAT)) if kind == "json" else as_protobuf(span(1, CHAT))
    pack = {"": bytes, "gzip": gzip.compress, "zstd": zstandard.compress}[encoding]
    headers = (JSON if kind == "json" else PROTOBUF) | (
        {"Content-Encoding": encoding} if encoding else {}
    )
    response = await client.post("/v1/traces", content=pack(body), headers=headers)
    assert response.status_code == 200
    if kind == "json":
        assert response.json() == {}
        assert response.headers["content-type"] == "application/json"
    else:
        assert response.content == b""
        assert response.headers["content-type"] == "application/x-protobuf"
    log = stored(store)
    assert (log.summary.kind, log.summary.model, log.summary.session_id) == (
        "prompt",
        "gpt-4o-mini",
        "chat-42",
    )
    assert log.summary.service == "shop"
    assert log.summary.cost_usd == pytest.approx(0.00015)
    assert log.body.messages == [{"role": "user", "content": "hi"}]
    assert log.body.attributes is not None
    assert log.body.attributes["gen_ai.request.model"] == "gpt-4o-mini"


async def test_one_bad_span_among_many_is_put_aside_alone(
    client: httpx.AsyncClient, store: Store
) -> None:
    spans = [span(number) for number in range(1, 1001)]
    spans[499]["traceId"] = "0" * 32
    response = await client.post("/v1/traces", content=as_json(*spans), headers=JSON)
    assert response.status_code == 200
    partial = response.json()["partialSuccess"]
    assert partial == {"rejectedSpans": "1", "errorMessage": "traceId is all zeros"}
    assert put_aside(store) == ["traceId is all zeros"]
    assert stored(store, 1000).summary.name == "work 1000"
    again = await client.post("/v1/traces", content=as_protobuf(span(1)), headers=PROTOBUF)
    assert ExportTraceServiceResponse.FromString(again.content).partial_success.rejected_spans == 0


async def test_same_body_twice_is_one_log(client: httpx.AsyncClient, store: Store) -> None:
    for _ in range(3):
        await client.post("/v1/traces", content=as_json(span(1, CHAT)), headers=JSON)
    with store.read() as session:
        assert log_queries.list_logs(session, 1).items[0].id == stored(store).summary.id
        assert len(log_queries.list_logs(session, 1).items) == 1


async def test_start_record_then_end(client: httpx.AsyncClient, store: Store) -> None:
    started = span(1, {**CHAT, sc.RECORD: "start"}, endTimeUnixNano="0")
    await client.post("/v1/traces", content=as_json(started), headers=JSON)
    assert stored(store).summary.status == "incomplete"
    await client.post("/v1/traces", content=as_json(span(1, CHAT)), headers=JSON)
    assert stored(store).summary.status == "complete"


async def test_empty_body_is_fine(client: httpx.AsyncClient) -> None:
    for headers in (JSON, PROTOBUF):
        for path in ("/v1/traces", "/v1/logs", "/v1/metrics"):
            response = await client.post(path, content=b"", headers=headers)
            assert response.status_code == 200


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "text/plain"}, b"{}", 415),
        ({}, b"{}", 415),
        ({"Content-Type": "application/json; charset=utf-8"}, b"{}", 200),
        (JSON, b"{", 400),
        (JSON, b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
        (PROTOBUF, b"\x99" * 40, 400),
        (JSON | {"Content-Encoding": "br"}, b"x", 415),
        (JSON | {"Content-Encoding": "gzip"}, gzip.compress(b"{}")[:-3], 400),
        (JSON | {"Content-Encoding": "gzip"}, gzip.compress(b"\0" * 2**24), 413),
        (JSON | {"Content-Encoding": "zstd"}, zstandard.compress(b"\0" * 2**24), 413),
        (JSON, b" " * (2**20 + 1), 413),
    ],
)
async def test_bad_request_says_what_is_wrong(
    client: httpx.AsyncClient, headers: dict[str, str], body: bytes, status: int
) -> None:
    for path in ("/v1/traces", "/v1/logs"):
        response = await client.post(path, content=body, headers=headers)
        assert response.status_code == status, response.content
        if status != 200:
            if headers == PROTOBUF:
                assert b"protobuf" in response.content
            else:
                assert response.json()["error"]["message"] == response.json()["message"]


async def test_body_without_a_length_is_cut_at_the_cap(client: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 64 * 1024
            yield b" " * 64 * 1024
            if sent > 2**23:
                return

    response = await client.post("/v1/traces", content=endless(), headers=JSON)
    assert response.status_code == 413


async def test_metrics_are_declined_politely(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/metrics", content=b"\x0a\x00", headers=PROTOBUF)
    assert response.status_code == 200
    answer = ExportMetricsServiceResponse.FromString(response.content)
    assert "no metrics" in answer.partial_success.error_message


async def test_busy_store_says_when_to_come_again(
    client: httpx.AsyncClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.close()  # a closed store takes nothing, as one that cannot write
    response = await client.post("/v1/traces", content=as_json(span(1)), headers=JSON)
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1


def logs_body(*records: dict[str, Any]) -> bytes:
    return orjson.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": list(records)}]}]})


async def test_judgment_reaches_its_log(client: httpx.AsyncClient, store: Store) -> None:
    await client.post("/v1/traces", content=as_json(span(1, CHAT)), headers=JSON)
    record = {
        "timeUnixNano": str(START_NS),
        "eventName": sc.EVALUATION_EVENT,
        "traceId": TRACE,
        "spanId": f"{1:016x}",
        "attributes": [
            attribute(sc.EVALUATION_NAME, "rating"),
            attribute(sc.JUDGMENT_VALUE, '"good"'),
            attribute(sc.JUDGMENT_WHERE, "feedback"),
            attribute(sc.USER_ID, "u1"),
        ],
    }
    nameless = {"eventName": sc.EVALUATION_EVENT, "timeUnixNano": "1"}
    foreign = {"body": {"stringValue": "server started"}, "timeUnixNano": "1"}
    response = await client.post(
        "/v1/logs", content=logs_body(record, nameless, foreign), headers=JSON
    )
    assert response.json()["partialSuccess"]["rejectedLogRecords"] == "1"
    (judgment,) = stored(store).summary.judgments
    assert (judgment.evaluator_path, judgment.value) == ("rating", "good")
    assert (judgment.where, judgment.made_by) == ("feedback", "u1")
    assert len(put_aside(store)) == 1


def registration() -> dict[str, Any]:
    content = (
        '{"evaluator_type": "code", "code": "def f(log): return True", "return_type": "boolean"}'
    )
    return {
        "eventName": sc.FILE_REGISTER_EVENT,
        "timeUnixNano": "1",
        "attributes": [
            attribute(sc.FILE_PATH, "support/f"),
            attribute(sc.FILE_TYPE, "evaluator"),
            attribute(sc.FILE_CONTENT, content),
        ],
    }


def key_with(store: Store, role: str) -> dict[str, str]:
    key = make_key()
    with store.write() as session:
        key_writes.create_key(session, 1, name=role, role=role, key_hash=key.hash, hint=key.hint)
    return {"X-API-KEY": key.text}


async def test_only_a_full_key_registers_evaluators(
    client: httpx.AsyncClient, store: Store
) -> None:
    ingest, full = key_with(store, "ingest"), key_with(store, "full")
    body = logs_body(registration())
    refused = await client.post("/v1/logs", content=body, headers=JSON | ingest)
    assert refused.json()["partialSuccess"]["rejectedLogRecords"] == "1"
    assert "role 'full'" in refused.json()["partialSuccess"]["errorMessage"]
    taken = await client.post("/v1/logs", content=body, headers=JSON | full)
    assert taken.json() == {}
    spans = await client.post("/v1/traces", content=as_json(span(1)), headers=JSON | ingest)
    assert spans.status_code == 200
    for path in ("/v1/traces", "/v1/logs", "/v5/import/otel/v1/traces"):
        stranger = await client.post(path, content=body, headers=JSON | {"X-API-KEY": "wrong"})
        assert stranger.status_code == 401


# --- Humanloop's import


async def test_import_answers_one_id_per_span_in_order(
    client: httpx.AsyncClient, store: Store
) -> None:
    flow = span(
        3,
        {
            "humanloop.file.type": "flow",
            "humanloop.file.path": "a/b",
            "humanloop.log.id": "log_mine",
        },
        name="humanloop.flow",
    )
    body = as_json(span(1), {"traceId": "bad"}, flow)
    for path in ("/v5/import/otel/v1/traces", "/v5//import/otel/v1/traces"):
        response = await client.post(path, content=body)
        assert response.status_code == 200
        records = response.json()["records"]
        assert records[0] == log_id_from_hex(TRACE, f"{1:016x}")
        assert records[1].startswith("log_")
        assert records[2] == "log_mine"
    assert len(put_aside(store)) == 1


async def test_import_of_nothing_readable_is_a_bad_request(client: httpx.AsyncClient) -> None:
    assert (await client.post("/v5/import/otel/v1/traces", content=b"{")).status_code == 400
    empty = await client.post("/v5/import/otel/v1/traces", content=b"")
    assert (empty.status_code, empty.json()) == (200, {"records": []})


def test_busy_store_is_tried_again_until_time_is_up() -> None:
    now = 0.0
    tries = 0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    def attempt() -> Verdict:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise Busy("later")
        return Verdict(ids=["log_1"])

    assert insist(attempt, clock=lambda: now, sleep=sleep).ids == ["log_1"]
    tries = -10_000
    with pytest.raises(Busy):
        insist(attempt, clock=lambda: now, sleep=sleep)
    assert 29 < now < 32


async def test_flow_log_is_opened_and_completed_by_its_span(
    client: httpx.AsyncClient, store: Store
) -> None:
    opened = await client.post(
        "/v5/flows/log",
        json={
            "path": "support/answer",
            "flow": {"attributes": {"version": "v1"}},
            "inputs": {"question": "why"},
            "messages": None,
            "log_status": "incomplete",
            "trace_parent_id": None,
        },
    )
    assert opened.status_code == 200
    made = opened.json()
    assert made["log_status"] == "incomplete"
    flow = span(
        1,
        {
            "humanloop.file.type": "flow",
            "humanloop.file.path": "support/answer",
            "humanloop.log.id": made["id"],
            "humanloop.log.output": "because",
            "humanloop.log.log_status": "complete",
        },
        name="humanloop.flow",
    )
    await client.post("/v5/import/otel/v1/traces", content=as_json(flow))
    with store.read() as session:
        log = log_queries.get_log(session, 1, made["id"])
    assert (log.summary.status, log.summary.name) == ("complete", "answer")
    assert (log.summary.file_id, log.summary.version_id) == (made["flow_id"], made["version_id"])
    assert log.summary.trace_id == TRACE
    assert log.body.inputs == {"question": "why"}
    assert log.body.output == "because"


async def test_second_content_of_a_flow_is_a_second_version(client: httpx.AsyncClient) -> None:
    made = []
    for version in ("v1", "v2", "v1"):
        body = {"path": "a/b", "flow": {"attributes": {"version": version}}}
        made.append((await client.post("/v5/flows/log", json=body)).json())
    assert len({item["flow_id"] for item in made}) == 1
    assert made[0]["version_id"] == made[2]["version_id"] != made[1]["version_id"]
    by_id = await client.post("/v5/flows/log", json={"id": made[0]["flow_id"]})
    assert by_id.json()["flow_id"] == made[0]["flow_id"]


async def test_open_flow_log_is_completed_by_patch(client: httpx.AsyncClient) -> None:
    made = (await client.post("/v5/flows/log", json={"path": "a/b", "inputs": {"q": 1}})).json()
    url = f"/v5/flows/logs/{made['id']}"
    done = await client.patch(url, json={"output": "x", "log_status": "complete"})
    assert done.status_code == 200
    assert done.json()["log_status"] == "complete"
    assert (done.json()["inputs"], done.json()["output"]) == ({"q": 1}, "x")
    reopened = await client.patch(url, json={"log_status": "incomplete"})
    assert reopened.status_code == 409
    assert (await client.patch("/v5/flows/logs/log_none", json={})).status_code == 404


async def test_open_logs_can_be_taken_back(client: httpx.AsyncClient, store: Store) -> None:
    made = [(await client.post("/v5/flows/log", json={"path": "a/b"})).json() for _ in range(2)]
    ids = [item["id"] for item in made]
    response = await client.delete("/v5/logs", params={"id": ids})
    assert (response.status_code, response.content) == (204, b"")
    with store.read() as session:
        assert log_queries.get_logs(session, 1, ids) == {}


async def test_flow_log_without_a_flow_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.post("/v5/flows/log", json={"path": " / "})).status_code == 422
    assert (await client.post("/v5/flows/log", json={"id": "fl_none"})).status_code == 404
