"""The sender against a real socket: every way a collector can answer, or not."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kibitz import _runtime, _setup
from kibitz._running import Slot
from kibitz._runtime import LOG_RECORD, SPAN
from kibitz._setup import FlushResult, Outlet
from kibitz._transport import _encodings
from kibitz.config import load
from tests.kibitz.local_collector import (
    OK,
    Answer,
    LocalCollector,
    Request,
    always,
    hex_ids,
    local_collector,
    log_payload,
    span_payload,
    well,
)


@pytest.fixture
def collector() -> Iterator[LocalCollector]:
    with local_collector() as found:
        yield found


class Outlets:
    """Makes outlets on one spool folder, and closes them at the end."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.made: list[Outlet] = []

    def make(self, **settings: Any) -> Outlet:
        given = {"collector": self.url, "service": "svc", "spool_dir": self.folder} | settings
        outlet = Outlet(load({}, **given))
        self.made.append(outlet)
        return outlet


@pytest.fixture
def outlets(tmp_path: Path, collector: LocalCollector) -> Iterator[Outlets]:
    found = Outlets(tmp_path / "spool", collector.url)
    yield found
    collector.behave = well
    collector.released.set()
    for outlet in found.made:
        outlet.close(2.0)
        assert outlet.sender.failure is None


def put_spans(outlet: Outlet, numbers: range) -> None:
    for number in numbers:
        outlet.put(SPAN, span_payload(number))


def parked(outlet: Outlet) -> list[dict[str, Any]]:
    folder = outlet.target.directory / "rejected"
    return [json.loads(path.read_bytes()) for path in sorted(folder.glob("*"))]


def test_records_arrive_in_order_with_their_resource_and_accounting(
    collector: LocalCollector, outlets: Outlets
) -> None:
    outlet = outlets.make(api_key="secret", environment="test")
    put_spans(outlet, range(1, 1201))
    assert outlet.flush(20) == FlushResult(sent=1200, spooled=0, dropped=0, rejected=0)
    assert collector.span_ids == hex_ids(range(1, 1201))
    assert all(len(request.spans) <= 500 for request in collector.requests)
    first = collector.requests[0]
    assert first.path == "/v1/traces"
    assert first.headers["authorization"] == "Bearer secret"
    assert first.headers["kibitz-process"] == outlet.spool.process
    numbers = [request.headers["kibitz-sequence"] for request in collector.requests]
    assert numbers[0].startswith("1-")
    assert numbers[-1].split(";")[0].endswith("-1200")
    resource = first.body["resourceSpans"][0]["resource"]["attributes"]
    values = {item["key"]: item["value"] for item in resource}
    assert values["service.name"] == {"stringValue": "svc"}
    assert values["deployment.environment.name"] == {"stringValue": "test"}
    assert values.keys() >= {"host.name", "process.pid", "kibitz.install", "telemetry.sdk.name"}


def test_log_records_go_to_their_own_path(collector: LocalCollector, outlets: Outlets) -> None:
    outlet = outlets.make()
    outlet.put(SPAN, span_payload(1))
    outlet.put(LOG_RECORD, log_payload(2))
    assert outlet.flush(20).sent == 2
    assert {request.path for request in collector.stored} == {"/v1/traces", "/v1/logs"}
    assert [record["timeUnixNano"] for record in collector.log_records] == ["2"]


def test_log_records_go_first_so_that_evaluators_are_there_when_their_logs_arrive(
    collector: LocalCollector, outlets: Outlets
) -> None:
    outlet = outlets.make()
    outlet.put(SPAN, span_payload(1))
    outlet.put(LOG_RECORD, log_payload(2))
    assert outlet.flush(20) == FlushResult(2, 0, 0, 0)
    assert [request.path for request in collector.requests] == ["/v1/logs", "/v1/traces"]


def test_one_connection_is_kept_for_many_requests(
    collector: LocalCollector, outlets: Outlets
) -> None:
    outlet = outlets.make()
    for number in range(1, 20):
        outlet.put(SPAN, span_payload(number))
        outlet.flush(20)
    connection = outlet.sender._transport._connection
    assert connection is not None
    assert connection.sock is not None
    assert len(collector.requests) >= 10


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_failing_collector_is_tried_again_until_it_recovers(
    collector: LocalCollector, outlets: Outlets, status: int
) -> None:
    outlet = outlets.make()
    collector.behave = always(status)
    put_spans(outlet, range(1, 11))
    collector.wait_for(lambda: len(collector.requests) >= 2)
    collector.behave = well
    assert outlet.flush(20) == FlushResult(10, 0, 0, 0)
    assert collector.span_ids == hex_ids(range(1, 11))


def test_retry_after_is_obeyed_even_while_someone_waits_in_flush(
    collector: LocalCollector, outlets: Outlets
) -> None:
    outlet = outlets.make()
    collector.behave = always(503, Retry_After="3600")
    outlet.put(SPAN, span_payload(1))
    collector.wait_for(lambda: len(collector.requests) == 1)
    assert outlet.flush(0.5) == FlushResult(0, 1, 0, 0)
    assert len(collector.requests) == 1
    assert outlet.sender._pace.not_before - time.monotonic() < 301  # at most five minutes


def test_acknowledgements_lost_on_the_way_lose_nothing(
    collector: LocalCollector, outlets: Outlets
) -> None:
    count = 0

    def commit_then_drop(_: Request) -> Answer:
        nonlocal count
        count += 1
        return Answer(does_reset=True) if count % 3 == 1 else OK

    collector.behave = commit_then_drop
    outlet = outlets.make()
    put_spans(outlet, range(1, 2001))
    assert outlet.flush(20) == FlushResult(2000, 0, 0, 0)
    assert set(collector.span_ids) == set(hex_ids(range(1, 2001)))


def test_connections_reset_before_an_answer_are_tried_again(
    collector: LocalCollector, outlets: Outlets
) -> None:
    collector.behave = lambda _: Answer(does_reset=True, does_store=len(collector.requests) > 4)
    outlet = outlets.make()
    outlet.put(SPAN, span_payload(1))
    collector.wait_for(lambda: len(collector.requests) > 4)
    collector.behave = well
    assert outlet.flush(20).sent == 1


def test_a_hanging_collector_costs_one_timeout_and_no_record(
    collector: LocalCollector, outlets: Outlets
) -> None:
    outlet = outlets.make(request_timeout_s=0.2)
    collector.behave = collector.hang
    outlet.put(SPAN, span_payload(1))
    collector.wait_for(lambda: len(collector.requests) >= 2)
    collector.behave = well
    assert outlet.flush(20).sent == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_keeps_everything_and_says_so_once(
    collector: LocalCollector,
    outlets: Outlets,
    status: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    outlet = outlets.make(api_key="wrong")
    collector.behave = always(status)
    put_spans(outlet, range(1, 6))
    assert outlet.flush(1.0) == FlushResult(0, 5, 0, 0)
    assert len(collector.requests) >= 2
    assert [record.message for record in caplog.records].count(
        f"kibitz: {collector.url}/v1/traces answers {status}, records wait on disk: "
        "is the api_key right?"
    ) == 1
    collector.behave = well
    assert outlet.flush(20) == FlushResult(5, 0, 0, 0)


def test_a_collector_that_is_somewhere_else_costs_nothing(
    collector: LocalCollector, outlets: Outlets
) -> None:
    outlet = outlets.make()
    collector.behave = always(404)
    put_spans(outlet, range(1, 6))
    assert outlet.flush(0.5) == FlushResult(0, 5, 0, 0)
    assert parked(outlet) == []


def test_a_backend_without_log_records_still_gets_the_spans(
    collector: LocalCollector, outlets: Outlets
) -> None:
    outlet = outlets.make()
    collector.behave = lambda request: OK if request.path == "/v1/traces" else Answer(404, b"no")
    outlet.put(SPAN, span_payload(1))
    outlet.put(LOG_RECORD, log_payload(2))
    outlet.put(SPAN, span_payload(3))
    assert outlet.flush(20) == FlushResult(sent=2, spooled=0, dropped=0, rejected=1)
    assert [item["path"] for item in parked(outlet)] == ["/v1/logs"]


def test_a_body_that_is_too_large_is_halved(collector: LocalCollector, outlets: Outlets) -> None:
    outlet = outlets.make()
    collector.behave = lambda r: OK if len(r.spans) <= 30 else Answer(413, does_store=False)
    put_spans(outlet, range(1, 301))
    assert outlet.flush(20) == FlushResult(300, 0, 0, 0)
    assert sorted(collector.span_ids) == hex_ids(range(1, 301))


def test_one_poison_span_among_a_thousand_is_parked_with_twelve_requests(
    collector: LocalCollector, outlets: Outlets
) -> None:
    def dislike(request: Request) -> Answer:
        bad = any(span["name"] == "poison" for span in request.spans)
        return Answer(400, b"cannot read", does_store=False) if bad else OK

    collector.behave = always(503)
    outlet = outlets.make()
    numbers = [*range(1, 1001)]
    for number in numbers:
        outlet.put(SPAN, span_payload(number, name="poison" if number == 333 else "call"))
    collector.wait_for(lambda: len(collector.requests) > 0)
    collector.behave = dislike
    before = len(collector.requests)
    assert outlet.flush(20) == FlushResult(sent=999, spooled=0, dropped=0, rejected=1)
    # 503s that were on their way, and batches the sender had cut before all was there, come on top
    asked = [r for r in collector.requests[before:] if r.spans]
    assert len(asked) <= 12 + 2
    assert sorted(collector.span_ids) == hex_ids(range(1, 333)) + hex_ids(range(334, 1001))
    assert [
        item["body"]["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"]
        for item in parked(outlet)
    ] == ["poison"]


def test_many_poison_spans_are_all_found(collector: LocalCollector, outlets: Outlets) -> None:
    def dislike(request: Request) -> Answer:
        bad = any(span["name"] == "poison" for span in request.spans)
        return Answer(422, does_store=False) if bad else OK

    collector.behave = dislike
    outlet = outlets.make()
    poison = {1, 2, 77, 250, 251, 499, 500}
    for number in range(1, 501):
        outlet.put(SPAN, span_payload(number, name="poison" if number in poison else "call"))
    assert outlet.flush(20) == FlushResult(sent=493, spooled=0, dropped=0, rejected=7)
    assert len(collector.span_ids) == len(set(collector.span_ids)) == 493


def test_a_span_that_makes_the_collector_fail_does_not_hold_up_the_others(
    collector: LocalCollector, outlets: Outlets
) -> None:
    def crash(request: Request) -> Answer:
        bad = any(span["name"] == "poison" for span in request.spans)
        return Answer(500, does_store=False) if bad else OK

    collector.behave = crash
    outlet = outlets.make()
    for number in range(1, 9):
        outlet.put(SPAN, span_payload(number, name="poison" if number == 3 else "call"))
    assert outlet.flush(30) == FlushResult(sent=7, spooled=0, dropped=0, rejected=1)


def test_partial_success_is_counted(collector: LocalCollector, outlets: Outlets) -> None:
    body = b'{"partialSuccess":{"rejectedSpans":"2","errorMessage":"no trace id"}}'
    collector.behave = lambda _: Answer(200, body)
    outlet = outlets.make()
    put_spans(outlet, range(1, 11))
    collector.wait_for(lambda: len(collector.span_ids) == 10)
    rejected = 2 * len(collector.stored)
    assert outlet.flush(20) == FlushResult(10 - rejected, 0, 0, rejected)


def test_an_unsupported_encoding_falls_back_to_a_simpler_one(
    collector: LocalCollector, outlets: Outlets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kibitz._transport.is_loopback", lambda _: False)

    def no_zstd(request: Request) -> Answer:
        return (
            OK
            if request.headers.get("content-encoding") != "gzip"
            else Answer(415, does_store=False)
        )

    encodings = [each for each in _encodings() if each is None or each.name != "zstd"]
    monkeypatch.setattr("kibitz._transport._encodings", lambda: encodings)
    outlet = outlets.make()
    collector.behave = no_zstd
    put_spans(outlet, range(1, 4))
    assert outlet.flush(20).sent == 3
    sent = [request.headers.get("content-encoding") for request in collector.requests]
    assert sent[0] == "gzip"
    assert sent[-1] is None


def note_start(outlet: Outlet, number: int) -> Slot:
    slot = outlet.running.note(span_payload(number, name="start"), b"", number)
    assert slot is not None
    return slot


def test_a_start_record_is_sent_only_if_its_span_stays_open(
    collector: LocalCollector, outlets: Outlets
) -> None:
    outlet = outlets.make()
    ended = note_start(outlet, 1)
    note_start(outlet, 2)
    outlet.put(SPAN, span_payload(1))
    ended.empty()
    outlet.flush(20)
    collector.wait_for(lambda: len(collector.spans) == 2)
    assert sorted((span["spanId"], span["name"]) for span in collector.spans) == [
        ("0000000000000001", "call"),
        ("0000000000000002", "start"),
    ]
    assert outlet.flush(20) == FlushResult(1, 0, 0, 0)


def test_the_call_a_killed_process_was_in_is_told_by_the_next(
    collector: LocalCollector, outlets: Outlets
) -> None:
    collector.behave = always(503)
    first = outlets.make()
    ended = note_start(first, 6)
    note_start(first, 7)
    first.put(SPAN, span_payload(6))
    ended.empty()
    leave_as_if_killed(first)
    outlets.made.clear()
    collector.behave = well
    second = outlets.make()
    second.put(SPAN, span_payload(9))
    collector.wait_for(lambda: len(set(collector.span_ids)) == 3)
    assert {span["spanId"][-1]: span["name"] for span in collector.spans} == {
        "6": "call",
        "7": "start",
        "9": "call",
    }
    second.close(5)
    assert list(second.target.directory.glob("*.calls")) == []


def leave_as_if_killed(outlet: Outlet) -> None:
    outlet.sender._is_stopping = True
    while outlet.sender.is_running:
        outlet.spool.wake_sender()
    outlet.spool.finish()


def test_what_another_process_left_is_delivered_under_its_own_name(
    collector: LocalCollector, outlets: Outlets
) -> None:
    collector.behave = always(503)
    first = outlets.make(service="first")
    put_spans(first, range(1, 1001))
    first.close(5.0)  # at once, if not busy: the sender must have ended before the files are closed
    first.spool.finish()
    assert first.result() == FlushResult(0, 1000, 0, 0)
    collector.behave = well
    second = outlets.make(service="second")
    second.put(SPAN, span_payload(5000))
    collector.wait_for(lambda: len(set(collector.span_ids)) == 1001)
    names = {
        request.body["resourceSpans"][0]["resource"]["attributes"][0]["value"]["stringValue"]: len(
            request.spans
        )
        for request in collector.stored
    }
    assert names.keys() == {"first", "second"}
    assert second.flush(20) == FlushResult(1, 0, 0, 0)
    second.close(5)
    assert list(second.target.directory.glob("*.seg")) == []


def test_another_key_has_another_spool(collector: LocalCollector, outlets: Outlets) -> None:
    mine, theirs = outlets.make(api_key="mine"), outlets.make(api_key="theirs")
    assert mine.target.directory != theirs.target.directory
    assert "mine" not in str(mine.target.directory)


def test_records_over_the_age_limit_are_given_up_and_counted(
    collector: LocalCollector, outlets: Outlets
) -> None:
    collector.behave = always(503)
    outlet = outlets.make(segment_bytes=2**17)
    text = "x" * 3000
    for number in range(200):
        outlet.put(SPAN, span_payload(number + 1, text=text))
    collector.wait_for(lambda: len(collector.requests) > 0)
    for segment in outlet.spool.segments:
        segment.created_ns = 0
    assert outlet.flush(2.0).dropped > 0
    result = outlet.result()
    assert result.dropped + result.spooled == 200


def test_flush_before_init_says_nothing_was_there() -> None:
    assert _runtime.get() is None
    assert _setup.flush() == FlushResult(0, 0, 0, 0)


def test_eight_threads_lose_nothing(collector: LocalCollector, outlets: Outlets) -> None:
    outlet = outlets.make()

    def work(base: int) -> None:
        put_spans(outlet, range(base, base + 2000))

    threads = [threading.Thread(target=work, args=(1 + n * 2000,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outlet.flush(30) == FlushResult(16000, 0, 0, 0)
    assert sorted(collector.span_ids) == hex_ids(range(1, 16001))


def test_an_outage_of_errors_500_parks_nothing(collector: LocalCollector, outlets: Outlets) -> None:
    collector.behave = always(500)
    outlet = outlets.make()
    put_spans(outlet, range(1, 101))
    assert outlet.flush(4).spooled == 100  # many failures, and the batch is taken apart
    put_spans(outlet, range(101, 111))
    collector.behave = well
    assert outlet.flush(30) == FlushResult(sent=110, spooled=0, dropped=0, rejected=0)
    assert parked(outlet) == []


def test_a_lone_span_that_makes_the_collector_fail_lets_later_ones_pass(
    collector: LocalCollector, outlets: Outlets
) -> None:
    def crash(request: Request) -> Answer:
        bad = any(span["name"] == "poison" for span in request.spans)
        return Answer(500, does_store=False) if bad else OK

    collector.behave = crash
    outlet = outlets.make()
    outlet.put(SPAN, span_payload(1, name="poison"))
    assert outlet.flush(1.5).spooled == 1  # perhaps the collector is ill
    for number in range(2, 9):
        put_spans(outlet, range(number, number + 1))
        outlet.flush(1.5)
    assert set(hex_ids(range(2, 8))) <= set(collector.span_ids)
    assert outlet.flush(20) == FlushResult(sent=7, spooled=0, dropped=0, rejected=1)


def totals(request: Request) -> str:
    return request.headers["kibitz-totals"]


def test_each_request_tells_what_became_of_all_records_of_its_process(
    collector: LocalCollector, outlets: Outlets
) -> None:
    outlet = outlets.make()
    put_spans(outlet, range(1, 4))
    outlet.flush(20)
    put_spans(outlet, range(4, 6))
    outlet.flush(20)
    assert totals(collector.requests[-1]).startswith("produced=5; sent=")
    assert totals(collector.requests[-1]).endswith("dropped=0; rejected=0")


def fill_the_spool(outlet: Outlet) -> None:
    outlet.target.directory.mkdir(parents=True, exist_ok=True)
    (outlet.target.directory / "filler").write_bytes(bytes(outlet.settings.spool_max_bytes))


def test_records_that_were_dropped_are_told_with_the_next_request(
    collector: LocalCollector, outlets: Outlets
) -> None:
    outlet = outlets.make(spool_max_bytes=2**20)
    fill_the_spool(outlet)
    put_spans(outlet, range(1, 4))
    (outlet.target.directory / "filler").unlink()
    outlet.spool._rescan_at = 0.0  # seconds later
    outlet.spool.prepare()
    put_spans(outlet, range(4, 5))
    assert outlet.flush(20) == FlushResult(sent=1, spooled=0, dropped=3, rejected=0)
    assert totals(collector.requests[-1]) == (
        "produced=4; sent=0; waiting=1; dropped=3; rejected=0"
    )


def test_the_losses_of_a_dead_process_that_could_send_nothing_are_told_once(
    collector: LocalCollector, outlets: Outlets
) -> None:
    first = outlets.make(spool_max_bytes=2**20)
    fill_the_spool(first)
    put_spans(first, range(1, 4))
    leave_as_if_killed(first)
    outlets.made.clear()
    (first.target.directory / "filler").unlink()

    def told() -> list[str]:
        of_first = [
            request
            for request in collector.requests
            if request.headers["kibitz-process"] == first.spool.process
        ]
        return [totals(request) for request in of_first]

    second = outlets.make()
    put_spans(second, range(9, 10))
    collector.wait_for(lambda: bool(told()))
    second.sender._sweep_at = second.sender._adopt_at = 0.0  # it looks again
    put_spans(second, range(10, 11))
    assert second.flush(20).sent == 2
    assert told() == ["produced=3; sent=0; waiting=0; dropped=3; rejected=0"]
