"""`normalize`: the rules that recordings of many producers taught."""

import json
from typing import Any

import pytest

from kibitz import semconv as sc
from kibitz_collector.normalize import Rates, normalize
from kibitz_collector.records import LogError, SpanEvent, Tokens
from tests.collector.normalize.spans import SPAN, START_NS, TRACE, span

CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
}


def event(name: str, attributes: dict[str, Any] | None = None, after_ms: int = 0) -> SpanEvent:
    return SpanEvent(name=name, time_ns=START_NS + after_ms * 10**6, attributes=attributes or {})


def test_log_id_is_the_agreed_function_of_trace_and_span_id() -> None:
    log = normalize(span(parent_span_id="00f067aa0ba902b7"))
    assert log.id == "log_KY3PwdnVJCIaKZKfhHVqZ"
    assert log.trace_parent_id is not None
    assert log.trace_parent_id.startswith("log_")
    assert (log.trace_id, log.span_id) == (TRACE, SPAN)


def test_span_of_our_own_sdk_is_read_whole() -> None:
    log = normalize(
        span(
            {
                sc.OPERATION: "execute_tool",
                sc.TOOL_NAME: "lookup",
                sc.FILE_PATH: "support/lookup",
                sc.FILE_TYPE: "tool",
                sc.FILE_CONTENT: json.dumps({"function": {"name": "lookup"}}),
                sc.LOG_INPUTS: '{"order": 7, "deep": {"a": [1, null]}}',
                sc.LOG_OUTPUT: '"shipped"',
                sc.CONVERSATION_ID: "chat-42",
                sc.SESSION_ID: "chat-42",
                sc.USER_ID: "u1",
                sc.METADATA: '{"plan": "pro"}',
                sc.TAGS: ["a", "b"],
                sc.KEEP_PROBABILITY: 0.25,
                sc.TRUNCATED: '{"kibitz.log.inputs": 99999}',
            },
            resource={sc.SERVICE_NAME: "support", sc.ENVIRONMENT: "staging"},
            scope_name="kibitz",
        )
    )
    assert log.kind == "tool"
    assert log.file is not None
    assert (log.file.path, log.file.is_derived) == ("support/lookup", False)
    assert log.file.content == {"function": {"name": "lookup"}}
    assert log.body.inputs == {"order": 7, "deep": {"a": [1, None]}}
    assert log.body.output == "shipped"
    assert (log.session_id, log.user) == ("chat-42", "u1")
    assert (log.service, log.environment, log.source) == ("support", "staging", "sdk")
    assert log.body.metadata == {"plan": "pro"}
    assert log.body.tags == ["a", "b"]
    assert log.keep_probability == 0.25
    assert log.flags == ["truncated"]


def test_declared_prompt_version_is_what_was_declared_whatever_the_call_passed() -> None:
    content = {"template": [{"role": "system", "content": "hi"}], "temperature": 0.5}
    log = normalize(
        span(
            {
                **CHAT,
                "gen_ai.request.max_tokens": 100,
                "gen_ai.request.top_k": 3,
                "gen_ai.request.stream": True,
                sc.FILE_PATH: "support/reply",
                sc.FILE_TYPE: "prompt",
                sc.FILE_CONTENT: json.dumps(content),
            }
        )
    )
    assert log.file is not None
    assert log.file.content == {
        "model": "gpt-4o-mini",
        "provider": "openai",
        **content,
    }


def test_start_record_is_incomplete_and_marked() -> None:
    log = normalize(span({sc.RECORD: "start"}, end_ns=0))
    assert (log.status, log.is_start, log.end_ns) == ("incomplete", True, None)


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({"gen_ai.operation.name": "embeddings", "langsmith.span.kind": "retriever"}, "retriever"),
        ({"gen_ai.operation.name": "invoke_agent", "traceloop.span.kind": "workflow"}, "flow"),
        ({"gen_ai.operation.name": "execute_task", "traceloop.span.kind": "task"}, "flow"),
        ({"openinference.span.kind": "PROMPT"}, "flow"),
        ({"openinference.span.kind": "GUARDRAIL"}, "evaluator"),
        ({"openinference.span.kind": "UNKNOWN", **CHAT}, "prompt"),
        ({"ai.operationId": "ai.generateText", "gen_ai.usage.input_tokens": 5}, "agent"),
        ({"ai.operationId": "ai.generateText.doGenerate"}, "prompt"),
        ({"mlflow.spanType": '"CHAT_MODEL"'}, "prompt"),
        ({"langfuse.observation.type": "generation"}, "prompt"),
        ({"llm.request.type": "rerank", "gen_ai.request.model": "r"}, "retriever"),
        (
            {"agent_name": "a", "model_name": "gpt-4o", "gen_ai.usage.input_tokens": 5},
            "agent",
        ),
        ({"gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 5}, "prompt"),
        ({"gen_ai.request.model": "text-embedding-3", "gen_ai.usage.input_tokens": 5}, "embedding"),
        ({"mcp.method.name": "tools/call"}, "tool"),
        ({"db.system": "chroma"}, "retriever"),
        ({"http.request.method": "GET"}, "span"),
    ],
)
def test_kind(attributes: dict[str, Any], kind: str) -> None:
    log = normalize(span(attributes))
    assert log.kind == kind
    assert log.is_genai is (kind != "span")


def test_framework_is_not_shown_as_provider() -> None:
    log = normalize(span({**CHAT, "gen_ai.provider.name": "langchain", "gen_ai.system": "OpenAI"}))
    assert log.provider == "openai"


def test_provider_is_guessed_from_the_address_last() -> None:
    attributes = {"gen_ai.operation.name": "chat", "server.address": "me.openai.azure.com"}
    assert normalize(span(attributes)).provider == "azure.ai.openai"


def test_file_is_derived_from_service_and_name() -> None:
    log = normalize(span(CHAT, name="chat org/model", resource={sc.SERVICE_NAME: "shop"}))
    assert log.file is not None
    assert (log.file.path, log.file.is_derived) == ("shop/chat org-model", True)


def test_path_tricks_do_not_leave_the_root() -> None:
    log = normalize(span({**CHAT, sc.PROMPT_NAME: "/../a/./..//b\\..\\c"}))
    assert log.file is not None
    assert log.file.path == "a/b/c"


def test_tokens_of_an_exclusive_sender_are_told_by_its_scope() -> None:
    usage = {
        "gen_ai.usage.input_tokens": 500,
        "gen_ai.usage.output_tokens": 50,
        "gen_ai.usage.cache_read.input_tokens": 64,
        "gen_ai.usage.cache_creation.input_tokens": 26,
    }
    exclusive = normalize(
        span({**CHAT, **usage}, scope_name="opentelemetry.instrumentation.bedrock")
    )
    inclusive = normalize(span({**CHAT, **usage}))
    assert exclusive.tokens == Tokens(
        input_uncached=500, cache_read=64, cache_write=26, output=50, reasoning=None
    )
    assert exclusive.flags == ["usage_repaired"]
    assert inclusive.tokens is not None
    assert inclusive.tokens.input_uncached == 410


def test_more_cache_than_input_is_repaired() -> None:
    usage = {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.cache_read.input_tokens": 90}
    log = normalize(span({**CHAT, **usage}))
    assert log.tokens == Tokens(input_uncached=10, cache_read=90)
    assert "usage_repaired" in log.flags


def test_what_a_total_holds_beyond_input_and_output_is_reasoning() -> None:
    usage = {
        "gen_ai.usage.input_tokens": "100",
        "gen_ai.usage.output_tokens": 18.0,
        "gen_ai.usage.total_tokens": 150,
    }
    log = normalize(span({**CHAT, **usage}))
    assert log.tokens == Tokens(input_uncached=100, output=18, reasoning=32)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "prompt_tokens_details": {"cached_tokens": 64},
                "completion_tokens_details": {"reasoning_tokens": 32},
            },
            Tokens(input_uncached=36, cache_read=64, output=18, reasoning=32),
        ),
        (
            {"input": 36, "input_cached_tokens": 64, "output": 18, "output_reasoning_tokens": 32},
            Tokens(input_uncached=36, cache_read=64, output=18, reasoning=32),
        ),
    ],
)
def test_keys_of_langfuse_usage_decide_what_includes_what(
    usage: dict[str, Any], expected: Tokens
) -> None:
    log = normalize(
        span(
            {
                "langfuse.observation.type": "generation",
                "langfuse.observation.usage_details": json.dumps(usage),
            }
        )
    )
    assert log.tokens == expected


def test_fetching_a_stored_response_costs_nothing() -> None:
    log = normalize(
        span({**CHAT, "gen_ai.operation.name": "fetch_response", "gen_ai.usage.input_tokens": 9})
    )
    assert log.tokens == Tokens(
        input_uncached=0, cache_read=0, cache_write=0, output=0, reasoning=0
    )
    assert log.cost_usd == 0


def test_unknown_model_has_no_cost_and_own_prices_win() -> None:
    usage = {"gen_ai.usage.input_tokens": 1_000_000, "gen_ai.usage.output_tokens": 0}
    attributes = {**CHAT, **usage, "gen_ai.request.model": "house-model"}
    assert normalize(span(attributes)).cost_usd is None
    prices = {"house-model": Rates(input=2.0, output=8.0)}
    assert normalize(span(attributes), prices=prices).cost_usd == 2.0


def test_reported_cost_is_kept_and_a_disagreement_flagged() -> None:
    usage = {"gen_ai.usage.input_tokens": 1_000_000, "gen_ai.usage.output_tokens": 0}
    log = normalize(span({**CHAT, **usage, "gen_ai.usage.cost": 9.0}))
    assert log.cost_reported_usd == 9.0
    assert log.cost_usd == pytest.approx(0.15)
    assert "cost_disagrees" in log.flags


def test_exception_event_on_a_span_that_ended_well_is_no_error() -> None:
    raised = event("exception", {"exception.type": "CancelledError"})
    assert normalize(span(CHAT, status="ok", events=[raised])).status == "complete"
    failed = normalize(span(CHAT, events=[raised]))
    assert (failed.status, failed.error_type) == ("error", "CancelledError")


def test_error_message_is_the_short_one() -> None:
    traceback = "Traceback (most recent call last):\n  File x\nValueError: bad order"
    raised = event(
        "exception",
        {
            "exception.type": "ValueError",
            "exception.message": "bad order",
            "exception.stacktrace": traceback,
        },
    )
    log = normalize(span(CHAT, status="error", status_message=traceback, events=[raised]))
    expected = LogError(type="ValueError", message="bad order", traceback=traceback)
    assert log.body.error == expected
    without_event = normalize(span(CHAT, status="error", status_message=traceback))
    assert without_event.body.error == LogError(
        type=None, message="ValueError: bad order", traceback=traceback
    )


def test_error_type_alone_is_an_error() -> None:
    log = normalize(span({**CHAT, "error.type": "RateLimitError"}))
    assert (log.status, log.error_type) == ("error", "RateLimitError")


def test_langfuse_level_error_is_an_error() -> None:
    log = normalize(
        span(
            {
                "langfuse.observation.type": "span",
                "langfuse.observation.level": "ERROR",
                "langfuse.observation.status_message": "no",
            }
        )
    )
    assert log.body.error == LogError(message="no")
    warned = {"langfuse.observation.level": "WARNING", "langfuse.observation.status_message": "no"}
    assert normalize(span(warned)).status == "complete"


def test_tool_call_in_the_output_beats_the_reason_stop() -> None:
    answer = [{"role": "assistant", "parts": [{"type": "tool_call", "name": "f", "id": "1"}]}]
    log = normalize(
        span({**CHAT, sc.FINISH_REASONS: ["STOP"], sc.OUTPUT_MESSAGES: json.dumps(answer)})
    )
    assert log.finish_reason == "tool_call"


def test_empty_output_message_falls_to_the_next_dialect() -> None:
    log = normalize(
        span(
            {
                **CHAT,
                sc.OUTPUT_MESSAGES: '[{"role": "assistant", "parts": []}]',
                "gen_ai.completion.0.role": "assistant",
                "gen_ai.completion.0.function_call.name": "f",
                "gen_ai.completion.0.function_call.arguments": '{"a": 1}',
            }
        )
    )
    assert log.body.output_message == {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": None, "name": "f", "arguments": '{"a": 1}'}],
    }


def test_flattened_indexes_sort_as_numbers_and_may_have_holes() -> None:
    keys = [11, 2, 0, 10]
    flat = {f"llm.input_messages.{i}.message.content": f"m{i}" for i in keys}
    log = normalize(span({"openinference.span.kind": "LLM", **flat}))
    assert log.body.messages is not None
    assert [m["content"] for m in log.body.messages] == ["m0", "m2", "m10", "m11"]


def test_content_in_several_details_events_is_merged() -> None:
    details = "gen_ai.client.inference.operation.details"
    asked = [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
    said = [{"role": "assistant", "parts": [{"type": "text", "content": "ho"}]}]
    log = normalize(
        span(
            CHAT,
            events=[
                event(details, {sc.INPUT_MESSAGES: asked}),
                event(details, {sc.OUTPUT_MESSAGES: said}),
            ],
        )
    )
    assert log.body.messages == [{"role": "user", "content": "hi"}]
    assert log.body.output == "ho"
    assert log.body.attributes == CHAT


def test_old_message_events_on_a_span_are_read() -> None:
    blocks = '[{"text": "hi"}, {"toolUse": {"toolUseId": "t", "name": "f", "input": {}}}]'
    log = normalize(
        span(
            CHAT,
            events=[
                event("gen_ai.system.message", {"content": "be brief"}),
                event("gen_ai.user.message", {"content": "hi"}),
                event("gen_ai.choice", {"finish_reason": "tool_use", "message": blocks}),
            ],
        )
    )
    assert log.body.messages == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hi"},
    ]
    assert log.body.output_message == {
        "role": "assistant",
        "content": "hi",
        "tool_calls": [{"id": "t", "name": "f", "arguments": "{}"}],
    }
    assert log.finish_reason == "tool_call"


def test_bare_text_system_instructions_stand_in_front() -> None:
    asked = [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
    log = normalize(
        span({**CHAT, sc.SYSTEM_INSTRUCTIONS: "be brief", sc.INPUT_MESSAGES: json.dumps(asked)})
    )
    assert log.body.messages == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hi"},
    ]


def test_schema_in_tool_parameters_is_not_taken_for_arguments() -> None:
    schema = {"type": "object", "properties": {"q": {"type": "string"}}}
    tool = {"openinference.span.kind": "TOOL", "tool.name": "search"}
    told = normalize(span({**tool, "tool.parameters": json.dumps(schema)}))
    assert told.body.inputs is None
    assert told.file is not None
    assert told.file.content["function"]["parameters"] == schema
    called = normalize(span({**tool, "tool.parameters": '{"q": "x"}'}))
    assert called.body.inputs == {"q": "x"}


def test_printed_object_is_not_shown_as_output() -> None:
    chain = {"openinference.span.kind": "CHAIN"}
    printed = {**chain, "output.value": "<groq.Stream object at 0x7f00deadbeef>"}
    assert normalize(span(printed)).body.output is None


def test_association_properties_group_and_describe() -> None:
    prefix = "traceloop.association.properties."
    log = normalize(
        span(
            {**CHAT, prefix + "session_id": "s1", prefix + "user_id": "u1", prefix + "plan": "pro"}
        )
    )
    assert (log.session_id, log.user) == ("s1", "u1")
    assert log.body.metadata == {"plan": "pro"}


def test_time_to_first_token_in_each_form() -> None:
    forms: list[tuple[dict[str, Any], list[SpanEvent]]] = [
        ({"gen_ai.response.time_to_first_chunk": 0.25}, []),
        ({"gen_ai.server.time_to_first_token": 250}, []),
        ({}, [event("First Token Stream Event", after_ms=250)]),
        ({}, [event("gen_ai.content.completion.chunk", after_ms=ms) for ms in (250, 300)]),
    ]
    for attributes, events in forms:
        log = normalize(span({**CHAT, **attributes}, events=events))
        assert log.time_to_first_token_ms == 250


def test_odd_clocks_and_lost_attributes_are_flagged() -> None:
    backwards = span(CHAT, end_ns=START_NS - 1, dropped_attributes_count=3)
    assert normalize(backwards).flags == ["attributes_dropped", "clock_suspect"]
    assert normalize(span(CHAT, start_ns=0)).flags == ["clock_suspect"]


def test_guardrail_of_ours_judges_the_log_around_it() -> None:
    log = normalize(
        span(
            {sc.FILE_TYPE: "evaluator", sc.FILE_PATH: "support/is_polite", sc.LOG_OUTPUT: "false"},
            parent_span_id="00f067aa0ba902b7",
            scope_name="kibitz",
        )
    )
    assert log.judgment is not None
    assert log.parent_id == log.judgment.judged_log_id == log.trace_parent_id
    assert (log.judgment.return_type, log.judgment.number) == ("boolean", 0.0)
    assert log.judgment.where == "guardrail"
