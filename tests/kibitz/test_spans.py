import json

import pytest
from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode

import kibitz
from kibitz import semconv as sc
from kibitz._declared import File
from kibitz._opening import current_span, open_span, use_span
from kibitz._spans import Span
from kibitz.testing import Spans, capture


def call_model(output: str = "hi") -> Span:
    span = open_span("chat gpt", attributes={sc.OPERATION: sc.OP_CHAT, sc.REQUEST_MODEL: "gpt"})
    assert span is not None
    with use_span(span):
        assert current_span() is span
    span.set_json(sc.OUTPUT_MESSAGES, [{"role": "assistant", "content": output}])
    span.end()
    return span


def test_without_init_there_is_no_span() -> None:
    assert open_span("chat") is None
    with use_span(None) as span:
        assert span is None


def test_a_model_call_is_a_client_span_with_a_start_record(spans: Spans) -> None:
    call_model()
    (raw,) = spans.raw()
    assert raw["kind"] == 3
    assert len(spans.starts()) == 1
    assert spans.named("chat gpt")["attributes"] == {
        sc.OPERATION: "chat",
        sc.REQUEST_MODEL: "gpt",
        sc.OUTPUT_MESSAGES: '[{"role":"assistant","content":"hi"}]',
    }


def test_it_ends_once_and_takes_nothing_afterwards(spans: Spans) -> None:
    span = call_model()
    span.set("a", 1)
    span.end()
    span.end(5)
    assert len(spans) == 1
    assert not span.is_recording()


def test_attributes_of_all_kinds(spans: Spans) -> None:
    span = open_span("s", kind="other", file=File("a/b", "agent", None))
    assert span is not None
    span.set_attributes({"t": "x", "i": 2**70, "n": 3, "f": 1.5, "b": True, "none": None})
    span.set("list", ["a", 1])
    span.set("dict", {"a": 1})
    span.set("nan", float("nan"))
    span.end()
    found = spans.named("s")["attributes"]
    assert found == {
        sc.FILE_PATH: "a/b",
        sc.FILE_TYPE: "agent",
        "t": "x",
        "i": str(2**70),
        "n": 3,
        "f": 1.5,
        "b": True,
        "list": ["a", 1],
        "dict": '{"a":1}',
        "nan": "NaN",
    }


def test_a_huge_attribute_is_cut_and_noted(spans: Spans) -> None:
    span = open_span("s")
    assert span is not None
    span.set(sc.INPUT_MESSAGES, "x" * 3_000_000)
    span.set_output(["y" * 3_000_000])
    span.end()
    (payload,) = [payload for kind, payload in spans.payloads if kind == 1]
    assert len(payload) < 2**20
    sizes = json.loads(spans.named("s")["attributes"][sc.TRUNCATED])
    assert sizes[sc.INPUT_MESSAGES] == 3_000_000
    assert sizes[sc.LOG_OUTPUT] >= 2_999_000


def test_it_serves_as_an_opentelemetry_span(spans: Spans) -> None:
    span = open_span("s")
    assert isinstance(span, trace.Span)
    with span:
        span.update_name("t")
        span.add_event("e", {"a": 1})
        span.record_exception(ValueError("seen"))
        span.set_status(Status(StatusCode.ERROR, "bad"))
        context = span.get_span_context()
    found = spans.named("t")
    assert found["error"] == "bad"
    assert [each["name"] for each in found["events"]] == ["e", "exception", "exception"]
    assert found["span_id"] == trace.format_span_id(context.span_id)
    assert context.trace_state["kibitz"] == found["span_id"]


def test_leaving_with_an_error_fails_the_span(spans: Spans) -> None:
    span = open_span("s")
    assert span is not None
    with pytest.raises(KeyError), span:
        raise KeyError("k")
    assert spans.named("s")["attributes"][sc.ERROR_TYPE] == "KeyError"


def test_a_clock_set_back_gives_no_negative_time(spans: Spans) -> None:
    span = open_span("s")
    assert span is not None
    span.end(1)
    found = spans.named("s")
    assert found["end_ns"] == found["start_ns"]


def test_ids_are_not_the_host_s_random_ones() -> None:
    import random

    from kibitz._ids import new_span_id, new_trace_id

    random.seed(42)
    first = {new_trace_id(), new_span_id()}
    random.seed(42)
    assert not first & {new_trace_id(), new_span_id()}


# --- prompts


@kibitz.prompt(path="support/reply", template="Hi {{name}}", model="gpt", temperature=0.2)
def reply(name: str, calls: int = 1) -> str:
    log_id = kibitz.current().id
    kibitz.current().add_metadata({"m": 1})
    for n in range(calls):
        call_model(str(n))
    if name == "bad":
        raise ValueError(name)
    return log_id


def test_a_model_call_inside_a_prompt_becomes_its_log(spans: Spans) -> None:
    @kibitz.flow
    def outer() -> str:
        return reply("ana")

    log_id = outer()
    assert spans.tree() == {"outer": {"chat gpt": {}}}
    span = spans.named("chat gpt")
    assert kibitz.ids.log_id_from_hex(span["trace_id"], span["span_id"]) == log_id
    assert span["attributes"] == {
        sc.FILE_PATH: "support/reply",
        sc.FILE_TYPE: "prompt",
        sc.FILE_CONTENT: '{"template":"Hi {{name}}","model":"gpt","temperature":0.2}',
        sc.PROMPT_NAME: "support/reply",
        sc.LOG_INPUTS: '{"name":"ana","calls":1}',
        sc.OPERATION: "chat",
        sc.REQUEST_MODEL: "gpt",
        sc.OUTPUT_MESSAGES: '[{"role":"assistant","content":"0"}]',
        sc.METADATA: '{"m":1}',
    }


def test_each_model_call_of_a_prompt_is_a_log_of_it(spans: Spans) -> None:
    reply("ana", calls=2)
    found = spans.as_dicts()
    assert [each["attributes"][sc.FILE_PATH] for each in found] == ["support/reply"] * 2
    assert len({each["span_id"] for each in found}) == 2
    assert len({each["trace_id"] for each in found}) == 1


@pytest.mark.parametrize("name", ["ana", "bad"])
def test_without_a_model_call_the_prompt_itself_is_the_log(spans: Spans, name: str) -> None:
    try:
        log_id = reply(name, calls=0)
    except ValueError:
        log_id = ""
    span = spans.named("support/reply")
    assert span["error"] == ("bad" if name == "bad" else None)
    assert span["attributes"].get(sc.LOG_OUTPUT) == (json.dumps(log_id) if log_id else None)
    assert len(spans) == 1


def test_a_tool_between_prompt_and_model_is_not_the_prompt(spans: Spans) -> None:
    @kibitz.tool
    def search() -> None:
        call_model("inner")

    @kibitz.prompt(path="p")
    def ask() -> None:
        search()

    ask()
    assert sc.PROMPT_NAME not in spans.named("chat gpt")["attributes"]
    assert spans.named("p")["parent_id"] is None
    assert spans.tree() == {"search": {"chat gpt": {}}, "p": {}}


def test_capture_of_the_prompt_rules_its_model_calls() -> None:
    with capture(capture={"support/*": "metadata"}) as spans:
        reply("ana")
    found = spans.named("chat gpt")["attributes"]
    assert sc.OUTPUT_MESSAGES not in found
    assert sc.LOG_INPUTS not in found
