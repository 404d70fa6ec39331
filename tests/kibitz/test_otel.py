"""Foreign instrumentors are recorded, and the host's own OpenTelemetry stays as it was."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler
from opentelemetry.util._once import Once

import kibitz._setup as setup
from kibitz import _otel
from kibitz._opening import open_span, use_span
from kibitz._running import Slot
from kibitz._runtime import SPAN, install
from kibitz._runtime import get as get_runtime


class Kept(list[dict[str, Any]]):
    """The spans that went to the spool, and what is said of each."""

    starts: list[dict[str, Any]]

    def __init__(self) -> None:
        self.starts = []

    def named(self, name: str) -> dict[str, Any]:
        (found,) = [span for span in self if span["name"] == name]
        return found

    def attributes(self, name: str) -> dict[str, Any]:
        return {
            item["key"]: next(iter(item["value"].values()))
            for item in self.named(name)["attributes"]
        }


@pytest.fixture
def kept(tmp_path: Path, no_outer_settings: None) -> Iterator[Kept]:
    found = Kept()
    switch_on(found, tmp_path)
    yield found
    setup.shutdown(0)


def switch_on(found: Kept, folder: Path, **settings: Any) -> None:
    setup.init("http://127.0.0.1:9", spool_dir=folder / "spool", **settings)
    runtime = get_runtime()
    assert runtime is not None
    put, note_start = runtime.put, runtime.note_start

    def keep(kind: int, payload: bytes) -> None:
        put(kind, payload)
        if kind == SPAN:
            found.extend(json.loads(payload)["spans"])

    def keep_start(head: bytes, tail: bytes, start_ns: int) -> Slot | None:
        found.starts += json.loads(head + tail)["spans"]
        return note_start(head, tail, start_ns)

    runtime.put, runtime.note_start = keep, keep_start


@pytest.fixture
def set_global(monkeypatch: pytest.MonkeyPatch) -> Callable[[Sampler], InMemorySpanExporter]:
    """Set the host's own global provider, undone after the test."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())

    def set_it(sampler: Sampler) -> InMemorySpanExporter:
        exporter = InMemorySpanExporter()
        provider = TracerProvider(sampler=ParentBased(sampler))
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
        return exporter

    return set_it


@pytest.fixture(autouse=True)
def empty_context() -> Iterator[None]:
    token = otel_context.attach(otel_context.Context())
    yield
    otel_context.detach(token)


@contextmanager
def ours(name: str) -> Iterator[None]:
    """A span of our own, current inside."""
    span = open_span(name, kind="flow")
    assert span is not None
    with use_span(span):
        yield
    span.end()


def foreign() -> trace.Tracer:
    return _otel.tracer_provider().get_tracer("some.instrumentor", "1.2")


def client(seen: list[httpx.Headers], provider: trace.TracerProvider | None = None) -> httpx.Client:
    """A real client, instrumented as hosts do it, that notes what it sends."""

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers)
        return httpx.Response(200)

    found = httpx.Client(transport=httpx.MockTransport(answer))
    HTTPXClientInstrumentor().instrument_client(found, tracer_provider=provider)
    return found


def test_a_foreign_span_is_recorded_whole(kept: Kept) -> None:
    with foreign().start_as_current_span("chat", kind=trace.SpanKind.CLIENT) as span:
        span.set_attribute("gen_ai.request.model", "m")
        span.set_attributes({"n": 1, "f": 0.5, "b": True, "l": ["a", "b"]})
        span.add_event("said", {"what": "hi"})
    (found,) = kept
    assert found["name"] == "chat"
    assert found["kind"] == 3
    assert "parentSpanId" not in found
    assert int(found["endTimeUnixNano"]) > int(found["startTimeUnixNano"]) > 0
    values = {item["key"]: item["value"] for item in found["attributes"]}
    assert values == {
        "gen_ai.request.model": {"stringValue": "m"},
        "n": {"intValue": "1"},
        "f": {"doubleValue": 0.5},
        "b": {"boolValue": True},
        "l": {"arrayValue": {"values": [{"stringValue": "a"}, {"stringValue": "b"}]}},
    }
    assert found["events"][0]["name"] == "said"
    assert [span["spanId"] for span in kept.starts] == [found["spanId"]]


def test_an_error_is_recorded_and_passes(kept: Kept) -> None:
    with pytest.raises(ValueError, match="no"), foreign().start_as_current_span("chat"):
        raise ValueError("no")
    (found,) = kept
    assert found["status"] == {"code": 2, "message": "ValueError: no"}
    assert found["events"][0]["name"] == "exception"


def test_text_no_store_takes_is_replaced(kept: Kept) -> None:
    with foreign().start_as_current_span("nul\0") as span:
        span.set_attribute("a", "x\0y")
        span.set_attribute("nan", float("nan"))
        span.set_attribute("big", 2**70)
    assert kept.attributes("nul\ufffd") == {"a": "x\ufffdy", "nan": "nan", "big": hex(2**70)}


def test_ours_and_foreign_spans_nest_in_any_order(kept: Kept) -> None:
    with (
        ours("flow"),
        foreign().start_as_current_span("chain"),
        ours("tool"),
        foreign().start_as_current_span("chat"),
    ):
        pass
    assert [span["name"] for span in kept] == ["chat", "tool", "chain", "flow"]
    assert len({span["traceId"] for span in kept}) == 1
    for inner, outer in [("chat", "tool"), ("tool", "chain"), ("chain", "flow")]:
        assert kept.named(inner)["parentSpanId"] == kept.named(outer)["spanId"]
    assert "parentSpanId" not in kept.named("flow")


@pytest.mark.parametrize("sampler", [ALWAYS_ON, ALWAYS_OFF])
@pytest.mark.parametrize("is_set_first", [True, False])
def test_the_host_traces_as_if_we_were_not_there(
    tmp_path: Path,
    set_global: Callable[[Sampler], InMemorySpanExporter],
    sampler: Sampler,
    is_set_first: bool,
) -> None:
    kept = Kept()
    exporter = set_global(sampler) if is_set_first else None
    switch_on(kept, tmp_path)
    exporter = exporter or set_global(sampler)
    host = trace.get_tracer("host")
    seen: list[httpx.Headers] = []
    try:
        with client(seen) as http, host.start_as_current_span("request") as request:
            mine = request.get_span_context()
            with ours("flow"), foreign().start_as_current_span("chat") as chat:
                assert trace.get_current_span().get_span_context() == mine
                assert chat.is_recording()
                with host.start_as_current_span("query") as query:
                    assert query.is_recording() == request.is_recording()
                http.get("http://model.test/v1")
    finally:
        setup.shutdown(0)
    (headers,) = seen
    traceparent = headers["traceparent"].split("-")
    assert traceparent[1] == f"{mine.trace_id:032x}"
    assert int(traceparent[3], 16) == mine.trace_flags
    assert mine.trace_flags.sampled == (sampler is ALWAYS_ON)
    assert traceparent[2] not in {span["spanId"] for span in kept}
    theirs = {span.name: span for span in exporter.get_finished_spans()}
    if sampler is ALWAYS_ON:
        assert theirs.keys() == {"request", "query", "GET"}
        for name in ("query", "GET"):
            parent = theirs[name].parent
            assert parent is not None
            assert parent.span_id == mine.span_id
    else:
        assert theirs == {}
    assert {span["name"] for span in kept} == {"flow", "chat"}
    assert {span["traceId"] for span in kept} == {f"{mine.trace_id:032x}"}
    assert "parentSpanId" not in kept.named("flow")
    assert kept.attributes("flow")["kibitz.ambient_parent"] == f"{mine.span_id:016x}"
    assert kept.named("chat")["parentSpanId"] == kept.named("flow")["spanId"]


def test_without_a_host_span_the_hosts_next_span_is_a_root(
    kept: Kept, set_global: Callable[[Sampler], InMemorySpanExporter]
) -> None:
    exporter = set_global(ALWAYS_ON)
    with foreign().start_as_current_span("chat"):
        with trace.get_tracer("host").start_as_current_span("query"):
            pass
        assert not trace.get_current_span().get_span_context().is_valid
    (query,) = exporter.get_finished_spans()
    assert query.parent is None
    assert len(kept) == 1


def test_a_foreign_root_under_a_host_span_keeps_its_trace_id(
    kept: Kept, set_global: Callable[[Sampler], InMemorySpanExporter]
) -> None:
    set_global(ALWAYS_OFF)
    with (
        trace.get_tracer("host").start_as_current_span("request") as request,
        foreign().start_as_current_span("chat"),
    ):
        pass
    (found,) = kept
    assert found["traceId"] == f"{request.get_span_context().trace_id:032x}"
    assert "parentSpanId" not in found
    assert kept.attributes("chat")["kibitz.ambient_parent"] == (
        f"{request.get_span_context().span_id:016x}"
    )


def test_join_makes_us_part_of_the_hosts_trace(
    tmp_path: Path, set_global: Callable[[Sampler], InMemorySpanExporter]
) -> None:
    kept = Kept()
    exporter = set_global(ALWAYS_ON)
    switch_on(kept, tmp_path, otel="join")
    with (
        foreign().start_as_current_span("chat") as chat,
        trace.get_tracer("host").start_as_current_span("query"),
    ):
        pass
    setup.shutdown(0)
    (query,) = exporter.get_finished_spans()
    assert isinstance(chat, _otel.GuestSpan)
    assert query.parent == chat.real_context


def test_a_provider_of_the_hosts_can_be_recorded_too(
    tmp_path: Path, set_global: Callable[[Sampler], InMemorySpanExporter]
) -> None:
    kept = Kept()
    exporter = set_global(ALWAYS_ON)
    switch_on(kept, tmp_path, otel_provider=trace.get_tracer_provider())
    with trace.get_tracer("host").start_as_current_span("request"):
        pass
    setup.shutdown(0)
    assert [span["name"] for span in kept] == ["request"]
    assert len(exporter.get_finished_spans()) == 1


def test_the_hosts_variables_do_not_reach_our_provider(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_otel, "_provider", None)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "1")
    monkeypatch.setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "3")
    with foreign().start_as_current_span("chat") as span:
        span.set_attributes({"one": "long text", "two": "long text"})
    assert kept.attributes("chat") == {"one": "long text", "two": "long text"}
    monkeypatch.setattr(_otel, "_provider", None)


@pytest.mark.parametrize(
    ("capture", "is_there"), [("full", True), ("metadata", False), ("redacted", True)]
)
def test_capture_decides_what_is_kept(tmp_path: Path, capture: str, is_there: bool) -> None:
    kept = Kept()
    switch_on(kept, tmp_path, capture=capture)
    with foreign().start_as_current_span("chat") as span:
        span.set_attribute("gen_ai.input.messages", '[{"role":"user"}]')
        span.set_attribute("gen_ai.request.model", "m")
        span.set_attribute("gen_ai.usage.input_tokens", 7)
        span.add_event("gen_ai.choice", {"content": "secret words"})
    setup.shutdown(0)
    found = kept.attributes("chat")
    assert found["gen_ai.request.model"] == "m"
    assert found["gen_ai.usage.input_tokens"] == "7"
    assert ("gen_ai.input.messages" in found) == is_there
    assert ("secret words" in json.dumps(kept.named("chat"))) == is_there
    assert found.get("kibitz.capture") == (None if capture == "full" else capture)


def test_capture_off_records_no_foreign_span(tmp_path: Path) -> None:
    kept = Kept()
    switch_on(kept, tmp_path, capture="off")
    with foreign().start_as_current_span("chat") as span:
        assert not span.is_recording()
    setup.shutdown(0)
    assert kept == []


def test_before_init_and_after_shutdown_nothing_is_recorded() -> None:
    install(None)
    with foreign().start_as_current_span("chat") as span:
        assert not span.is_recording()


def test_a_secret_in_a_foreign_span_does_not_reach_the_spool(kept: Kept) -> None:
    key = "sk-" + "abcdefghij" * 4 + "T3BlbkFJ" + "k" * 20
    with foreign().start_as_current_span("chat") as span:
        span.set_attribute("gen_ai.input.messages", f"my key is {key}")
    assert key not in json.dumps(kept)
