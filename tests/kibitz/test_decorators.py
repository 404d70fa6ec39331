import asyncio
import functools
import inspect
import json
import traceback
from collections.abc import AsyncIterator, Iterator

import pytest

import kibitz
from kibitz import semconv as sc
from kibitz.testing import START_NS, TICK_NS, Spans, capture


def test_a_flow_is_one_whole_span(spans: Spans) -> None:
    @kibitz.flow(path="support/answer")
    def answer(question: str, *, k: int = 3) -> dict[str, str]:
        return {"answer": question.upper()}

    assert answer("hi") == {"answer": "HI"}
    assert spans.as_dicts() == [
        {
            "name": "support/answer",
            "trace_id": f"{1:032x}",
            "span_id": f"{1:016x}",
            "parent_id": None,
            "start_ns": START_NS,
            "end_ns": START_NS + TICK_NS,
            "attributes": {
                sc.FILE_PATH: "support/answer",
                sc.FILE_TYPE: "flow",
                sc.OPERATION: sc.OP_FLOW,
                sc.WORKFLOW_NAME: "support/answer",
                sc.LOG_INPUTS: '{"question":"hi","k":3}',
                sc.LOG_OUTPUT: '{"answer":"HI"}',
            },
            "events": [],
            "error": None,
        }
    ]
    (start,) = spans.starts()
    assert (start["span_id"], start["end_ns"]) == (f"{1:016x}", 0)
    assert start["attributes"][sc.RECORD] == "start"


def test_calls_nest_and_only_the_root_has_a_start_record(spans: Spans) -> None:
    @kibitz.tool
    def inner() -> None: ...

    @kibitz.flow
    def outer() -> None:
        inner()
        inner()

    outer()
    assert spans.tree() == {"outer": {"inner": {}}}
    assert [each["name"] for each in spans.as_dicts()] == ["inner", "inner", "outer"]
    assert len(spans.starts()) == 1


def test_before_init_calls_run_unrecorded() -> None:
    @kibitz.flow
    def answer() -> int:
        return 42

    assert answer() == 42
    assert kibitz.current().id == ""


def test_name_docstring_hints_and_signature_stay() -> None:
    @kibitz.flow
    async def answer(question: str, k: int = 1) -> str:
        """Answer."""
        return question

    assert answer.__name__ == "answer"
    assert answer.__doc__ == "Answer."
    assert str(inspect.signature(answer)) == "(question: str, k: int = 1) -> str"
    assert inspect.iscoroutinefunction(answer)


def test_methods_leave_the_instance_out(spans: Spans) -> None:
    class Agent:
        @kibitz.flow
        def run(self, x: int) -> int:
            return x

        @staticmethod
        @kibitz.flow(path="static_inside")
        def inside(x: int) -> int:
            return x

        @kibitz.flow(path="static_outside")
        @staticmethod
        def outside(x: int) -> int:
            return x

        @classmethod
        @kibitz.flow(path="class_inside")
        def make(cls, x: int) -> int:
            return x

        @kibitz.tool(path="class_outside")
        @classmethod
        def build(cls, x: int) -> int:
            return x

    agent = Agent()
    assert [
        agent.run(1),
        agent.inside(2),
        Agent.outside(3),
        Agent.make(4),
        Agent.build(5),  # type: ignore[operator]  # mypy does not see through classmethod objects
    ] == [1, 2, 3, 4, 5]
    found = {each["name"]: each["attributes"][sc.LOG_INPUTS] for each in spans.as_dicts()}
    assert found == {
        "Agent/run": '{"x":1}',
        "static_inside": '{"x":2}',
        "static_outside": '{"x":3}',
        "class_inside": '{"x":4}',
        "class_outside": '{"x":5}',
    }


def test_rest_arguments_are_kept_by_name(spans: Spans) -> None:
    @kibitz.flow
    def gather(a: int, /, *rest: int, b: int = 2, **more: int) -> None: ...

    gather(1, 2, 3, c=4)
    assert json.loads(spans.as_dicts()[0]["attributes"][sc.LOG_INPUTS]) == {
        "a": 1,
        "rest": [2, 3],
        "c": 4,
        "b": 2,
    }


async def test_coroutines_and_tasks_keep_their_parent(spans: Spans) -> None:
    @kibitz.tool
    async def inner(n: int) -> int:
        await asyncio.sleep(0)
        return n

    @kibitz.flow
    async def outer() -> list[int]:
        return await asyncio.gather(*(inner(n) for n in range(3)))

    assert await outer() == [0, 1, 2]
    root = spans.named("outer")
    parents = [each["parent_id"] for each in spans.as_dicts() if each["name"] == "inner"]
    assert parents == [root["span_id"]] * 3


async def test_a_function_that_returns_a_coroutine_is_followed(spans: Spans) -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 7

    @kibitz.flow
    @functools.cache
    def start() -> object:
        return work()

    assert await start() == 7  # type: ignore[misc]  # an object, to a type checker
    assert spans.named("start")["attributes"][sc.LOG_OUTPUT] == "7"


@pytest.mark.parametrize("error", [KeyError("x"), KeyboardInterrupt(), SystemExit(3)])
def test_an_exception_passes_unchanged_and_is_noted(spans: Spans, error: BaseException) -> None:
    @kibitz.flow(path="f")
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        fail()
    assert caught.value is error
    frames = traceback.extract_tb(error.__traceback__)
    assert [each.name for each in frames][-2:] == ["call", "fail"]
    span = spans.named("f")
    assert span["error"] == str(error)
    assert span["attributes"][sc.ERROR_TYPE] == type(error).__name__
    assert sc.LOG_OUTPUT not in span["attributes"]
    (event,) = span["events"]
    assert event["name"] == "exception"
    assert "in fail" in event["attributes"][sc.EXCEPTION_STACKTRACE]
    assert "kibitz/_calls.py" not in event["attributes"][sc.EXCEPTION_STACKTRACE]


def test_a_call_that_does_not_fit_the_signature_raises_python_s_own_error(spans: Spans) -> None:
    @kibitz.flow
    def one(a: int) -> None: ...

    with pytest.raises(TypeError, match="positional argument"):
        one(1, 2, 3)  # type: ignore[call-arg]
    assert spans.named("one")["attributes"][sc.ERROR_TYPE] == "TypeError"


def test_an_exception_that_cannot_be_printed_is_still_noted(spans: Spans) -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    @kibitz.flow
    def fail() -> None:
        raise Odd

    with pytest.raises(Odd):
        fail()
    assert spans.named("fail")["error"] == ""


@pytest.mark.parametrize("mode", ["metadata", "off", "redacted"])
def test_capture_is_chosen_per_path(mode: str) -> None:
    with capture(capture={"secret/*": mode, "*": "full"}) as spans:

        @kibitz.flow(path="secret/one")
        def one(text: str) -> str:
            two()
            raise ValueError(text)

        @kibitz.tool(path="two")
        def two() -> str:
            return "kept"

        with pytest.raises(ValueError, match="ana"):
            one("mail ana@example.org")
    assert json.loads(spans.named("two")["attributes"][sc.LOG_OUTPUT]) == "kept"
    if mode == "off":
        assert len(spans) == 1
        assert spans.named("two")["parent_id"] is None
        return
    span = spans.named("secret/one")
    assert span["attributes"][sc.CAPTURE] == mode
    assert "ana@" not in json.dumps(span)
    assert (sc.LOG_INPUTS in span["attributes"]) == (mode == "redacted")


def test_sampling_is_decided_once_per_trace() -> None:
    with capture(sample_rate=0.5) as spans:

        @kibitz.tool
        def inner() -> str:
            return kibitz.current().id

        @kibitz.flow
        def outer() -> tuple[str, str]:
            return kibitz.current().id, inner()

        outer()  # trace id 1: kept
        assert len(spans) == 2
        assert spans.as_dicts()[0]["attributes"][sc.KEEP_PROBABILITY] == 0.5
    with capture(sample_rate=0) as spans:
        assert outer()[0].startswith("log_")
        assert spans.payloads == []


def test_the_current_log_takes_output_inputs_metadata_and_tags(spans: Spans) -> None:
    @kibitz.flow(path="f")
    def run(secret: str) -> str:
        log = kibitz.current()
        log.set_inputs({"x": 1})
        log.set_output({"y": 2})
        log.add_metadata({"plan": "pro"}, n=1)
        log.add_tag("a")
        log.add_tag("a")
        return log.id

    log_id = run("never")
    span = spans.named("f")
    assert kibitz.ids.log_id_from_hex(span["trace_id"], span["span_id"]) == log_id
    assert (
        span["attributes"]
        | {
            sc.LOG_INPUTS: '{"x":1}',
            sc.LOG_OUTPUT: '{"y":2}',
            sc.METADATA: '{"plan":"pro","n":1}',
            sc.TAGS: ["a"],
        }
        == span["attributes"]
    )


def test_without_a_call_the_current_log_does_nothing(spans: Spans) -> None:
    log = kibitz.current()
    log.set_output(1)
    log.add_metadata({"a": 1})
    log.add_tag("t")
    assert (bool(log), log.id, log.trace_id, len(spans)) == (False, "", "", 0)


def test_a_plain_function_that_returns_a_generator_lasts_as_long_as_it(spans: Spans) -> None:
    @kibitz.flow(path="f")
    def numbers() -> Iterator[int]:
        return (n for n in range(3))

    stream = numbers()
    assert len(spans) == 0
    assert list(stream) == [0, 1, 2]
    assert spans.named("f")["attributes"][sc.LOG_OUTPUT] == "[0,1,2]"


async def test_text_of_a_stream_is_joined(spans: Spans) -> None:
    @kibitz.flow(path="f")
    async def words() -> AsyncIterator[str]:
        yield "he"
        yield "llo"

    assert [each async for each in words()] == ["he", "llo"]
    assert spans.named("f")["attributes"][sc.LOG_OUTPUT] == '"hello"'


def test_the_wrong_thing_to_decorate_is_refused() -> None:
    with pytest.raises(kibitz.ConfigError, match="goes on a function"):
        kibitz.flow("support/answer")  # type: ignore[type-var]
