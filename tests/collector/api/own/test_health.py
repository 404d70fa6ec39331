"""What was lost or refused is seen, and what was refused can be tried again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from fastapi.testclient import TestClient
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from kibitz_collector.app import create_app
from kibitz_collector.config import Settings
from kibitz_collector.records import LogRecord, RawSpan, Rejected
from kibitz_collector.store import Store
from tests.e2e.otlp import flow_span, traces_body

PROCESS = "0123456789abcdef"
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    settings = Settings(
        database_url=f"sqlite:///{tmp_path / 'kibitz.db'}", evaluate=False, alert=False
    )
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        yield client


def send(client: TestClient, spans: list[Any], sequence: str, process: str = PROCESS) -> None:
    body = traces_body(spans)
    attributes = {"service.name": "shop", "host.name": "web-1"}
    body["resourceSpans"][0]["resource"] = {
        "attributes": [
            {"key": key, "value": {"stringValue": value}} for key, value in attributes.items()
        ]
    }
    headers = {"Kibitz-Process": process, "Kibitz-Sequence": sequence}
    assert client.post("/v1/traces", json=body, headers=headers).status_code == 200


def producers(client: TestClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/api/producers").json()
    return found


def test_what_a_process_produced_is_shown_beside_what_is_stored(client: TestClient) -> None:
    spans = [flow_span("a", "x") for _ in range(3)]
    send(client, spans, "1-3; count=3")
    send(client, spans, "1-3; count=3")  # its acknowledgement was lost
    send(client, [flow_span("a", "x")], "6-6; count=1")
    (found,) = producers(client)
    assert found["gaps"] == [{"first": 4, "last": 5, "missing": 2}]
    shown = ("process", "host", "service", "produced", "stored", "rejected", "missing")
    assert [found[name] for name in shown] == [PROCESS, "web-1", "shop", 6, 4, 0, 2]
    page = client.get("/health").text
    assert PROCESS in page
    assert "4\u20135" in page


def test_what_a_process_says_it_produced_shows_a_loss_at_its_end(client: TestClient) -> None:
    headers = {"Kibitz-Process": PROCESS, "Kibitz-Sequence": "1-1; count=1"}
    headers["Kibitz-Totals"] = "produced=4; sent=0; waiting=1; dropped=3; rejected=0"
    client.post("/v1/traces", json=traces_body([flow_span("a", "x")]), headers=headers)
    (found,) = producers(client)
    assert (found["produced"], found["stored"], found["missing"]) == (4, 1, 3)
    assert found["gaps"] == [{"first": 2, "last": 4, "missing": 3}]


def test_a_process_that_lost_everything_is_heard_of(client: TestClient) -> None:
    totals = "produced=3; sent=0; waiting=0; dropped=3; rejected=0"
    headers = {"Kibitz-Process": PROCESS, "Kibitz-Totals": totals}
    answer = client.post("/v1/traces", json={"resourceSpans": []}, headers=headers)
    assert answer.status_code == 200
    (found,) = producers(client)
    assert (found["produced"], found["stored"], found["missing"]) == (3, 0, 3)
    assert PROCESS in client.get("/health").text


def test_refused_spans_are_counted_as_refused_not_as_missing(client: TestClient) -> None:
    send(client, [flow_span("a", "x"), {"spanId": "no trace"}], "1-2; count=2")
    (found,) = producers(client)
    assert (found["stored"], found["rejected"], found["missing"]) == (1, 1, 0)
    assert "1 in quarantine" in client.get("/logs").text


def test_all_refused_is_still_heard_of(client: TestClient) -> None:
    send(client, [{"spanId": "no trace"}], "1-1; count=1")
    (found,) = producers(client)
    assert (found["stored"], found["rejected"]) == (0, 1)


@pytest.mark.parametrize(
    ("process", "sequence"),
    [("me", "1-2; count=2"), (PROCESS, "2-1; count=1"), (PROCESS, "1-2; count=9"), (PROCESS, "?")],
)
def test_headers_that_make_no_sense_are_left_alone(
    client: TestClient, process: str, sequence: str
) -> None:
    send(client, [flow_span("a", "x")], sequence, process)
    assert producers(client) == []


def test_a_good_day_shows_no_warning(client: TestClient) -> None:
    send(client, [flow_span("a", "x")], "1-1; count=1")
    page = client.get("/logs").text
    assert "in quarantine" not in page
    assert "missing" not in page


def raw_span() -> bytes:
    fields: dict[str, Any] = {"trace_id": TRACE, "span_id": SPAN, "parent_span_id": None}
    return orjson.dumps(RawSpan(**fields, name="raw", start_ns=1, end_ns=2))


def proto_span() -> bytes:
    span = Span(trace_id=bytes.fromhex(TRACE), span_id=bytes.fromhex(SPAN), name="proto")
    span.start_time_unix_nano, span.end_time_unix_nano = 1, 2
    return span.SerializeToString()


def log_record() -> bytes:
    return orjson.dumps(LogRecord(id="log_kept", kind="flow", name="kept", start_ns=1, end_ns=2))


@pytest.mark.parametrize(
    ("signal", "payload"),
    [
        ("span", orjson.dumps(flow_span("a", "x"))),
        ("span", raw_span()),
        ("span", proto_span()),
        ("record", log_record()),
    ],
)
def test_a_record_is_taken_out_of_quarantine_and_stored(
    client: TestClient, signal: Any, payload: bytes
) -> None:
    kept = quarantined(client, Rejected(reason="a bug of ours", payload=payload, signal=signal))
    assert (kept["reason"], kept["count"]) == ("a bug of ours", 1)
    answer = client.post(f"/api/quarantine/{kept['id']}/replay").json()
    assert answer == {"id": kept["id"], "taken": True, "reason": None}
    assert client.get("/api/quarantine").json() == []
    assert len(client.get("/api/logs", params={"include_hidden": "true"}).json()["items"]) == 1


@pytest.mark.parametrize("payload", [b"{}", b"\xff\xfe", b'{"traceId":"00"}', b"[1]"])
def test_what_is_still_wrong_stays_with_its_reason(client: TestClient, payload: bytes) -> None:
    kept = quarantined(client, Rejected(reason="no id", payload=payload))
    answer = client.post(f"/api/quarantine/{kept['id']}/replay").json()
    assert answer["taken"] is False
    assert answer["reason"]
    assert len(client.get("/api/quarantine").json()) == 1
    page = client.post("/health/replay", data={"id": str(kept["id"])})
    assert page.status_code == 422
    assert "Still refused" in page.text


def test_what_is_not_in_quarantine_is_not_found(client: TestClient) -> None:
    assert client.post("/api/quarantine/7/replay").status_code == 404
    assert client.post("/health/replay", data={"id": "x"}).status_code == 422


def quarantined(client: TestClient, rejected: Rejected) -> dict[str, Any]:
    store: Store = client.app.state.store  # type: ignore[attr-defined]
    store.quarantine(1, [rejected])
    kept: dict[str, Any] = client.get("/api/quarantine").json()[0]
    return kept
