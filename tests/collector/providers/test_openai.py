"""OpenAI and compatible services through the official package: requests, replies, errors."""

import threading
from typing import Any

import pytest

from kibitz_collector.providers import (
    Connection,
    Delta,
    ModelRequest,
    ProviderError,
    Reply,
    call,
    stream,
)
from kibitz_collector.records import Json, Tokens
from tests.collector.providers.conftest import reach
from tests.integrations.wire import openai as wire
from tests.integrations.wire.server import Reply as WireReply
from tests.integrations.wire.server import Request, WireServer

TOKENS = Tokens(input_uncached=16, cache_read=4, output=6, reasoning=3)
WEATHER = {"name": "get_weather", "description": "d", "parameters": {"type": "object"}}


def ask(model: str = "hello", **more: Any) -> ModelRequest:
    return ModelRequest(model=model, messages=[{"role": "user", "content": "hi"}], **more)


def read(items: Any) -> tuple[list[str], Reply]:
    *deltas, reply = items
    assert isinstance(reply, Reply)
    return [delta.text for delta in deltas if isinstance(delta, Delta)], reply


def test_call_gives_text_tokens_and_both_bodies(openai_wire: WireServer) -> None:
    reply = call(ask(), reach(openai_wire))
    assert reply.message == {"role": "assistant", "content": "Hello, world"}
    assert (reply.text, reply.finish_reason, reply.tokens) == ("Hello, world", "stop", TOKENS)
    assert (reply.model_served, reply.response_id) == ("hello-2026", "chatcmpl-1")
    assert reply.request == {"model": "hello", "messages": [{"role": "user", "content": "hi"}]}
    assert reply.response["choices"][0]["message"]["content"] == "Hello, world"
    assert openai_wire.requests[0].headers["authorization"] == "Bearer sk-test"
    assert "sk-test" not in str(reply)


def test_every_setting_reaches_the_wire(openai_wire: WireServer) -> None:
    wanted: Json = {
        "max_tokens": 7,
        "temperature": 0.0,
        "top_p": 0.5,
        "stop": ["a", "b"],
        "presence_penalty": 0.0,
        "frequency_penalty": 0.25,
        "seed": 0,
        "response_format": {"type": "json_object"},
        "reasoning_effort": "low",
    }
    request = ask(
        **wanted, tools=[WEATHER], tool_choice="required", logprobs=2, other={"service_tier": "x"}
    )
    call(request, reach(openai_wire))
    body = openai_wire.requests[0].body
    assert {name: body[name] for name in wanted} == wanted
    assert body["tools"] == [{"type": "function", "function": WEATHER}]
    assert (body["tool_choice"], body["logprobs"], body["top_logprobs"]) == ("required", True, 2)
    assert body["service_tier"] == "x"


def test_no_limit_is_no_limit_and_unsaid_settings_are_not_sent(openai_wire: WireServer) -> None:
    call(ask(max_tokens=-1, tool_choice="auto"), reach(openai_wire))
    assert openai_wire.requests[0].body.keys() == {"model", "messages", "stream"}


def test_reasoning_models_get_the_limit_by_their_own_name(openai_wire: WireServer) -> None:
    openai_wire.script = lambda request: WireReply(
        wire.chat(request.body["model"], {"content": "x"})
    )
    call(ask("o3-mini", max_tokens=9), reach(openai_wire))
    call(ask("o3-mini", max_tokens=9), reach(openai_wire, "vllm"))
    own, other = (request.body for request in openai_wire.requests)
    assert (own["max_completion_tokens"], "max_tokens" in own) == (9, False)
    assert (other["max_tokens"], "max_completion_tokens" in other) == (9, False)


def test_bare_schema_is_wrapped_as_the_api_wants_it(openai_wire: WireServer) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    call(ask(response_format={"type": "json_schema", "json_schema": schema}), reach(openai_wire))
    wrapped = {"name": "response", "schema": schema}
    asked = openai_wire.requests[0].body["response_format"]
    assert asked == {"type": "json_schema", "json_schema": wrapped}


@pytest.mark.parametrize("model", ["hello", "tools", "thinks"])
def test_stream_adds_up_to_what_the_whole_call_gives(openai_wire: WireServer, model: str) -> None:
    whole = call(ask(model, tools=[WEATHER]), reach(openai_wire))
    pieces, streamed = read(stream(ask(model, tools=[WEATHER]), reach(openai_wire)))
    assert "".join(pieces) == (whole.text or "")
    assert streamed.message == whole.message
    assert streamed.tokens == whole.tokens
    assert streamed.finish_reason == whole.finish_reason
    assert streamed.request["stream_options"] == {"include_usage": True}


def test_tool_calls_come_flat_and_go_back_wrapped(openai_wire: WireServer) -> None:
    reply = call(ask("tools", tools=[WEATHER]), reach(openai_wire))
    first = {"id": "call_1", "name": "get_weather", "arguments": '{"city": "Oslo"}'}
    assert reply.message["tool_calls"][0] == first
    answer = {"role": "tool", "content": "sunny", "tool_call_id": "call_1"}
    call(ModelRequest(model="hello", messages=[reply.message, answer]), reach(openai_wire))
    said, answered = openai_wire.requests[-1].body["messages"]
    assert said["tool_calls"] == wire.CALLS
    assert answered == answer


def test_first_delta_comes_before_the_provider_has_ended(openai_wire: WireServer) -> None:
    is_read = threading.Event()

    def slowly(request: Request) -> WireReply:
        reply = wire.answer(request)
        reply.hold = (3, is_read)
        return reply

    openai_wire.script = slowly
    items = stream(ask(), reach(openai_wire))
    assert next(items) == Delta(text="Hello")
    is_read.set()
    assert read(items)[1].text == "Hello, world"


def test_completion_models_are_asked_with_a_text(openai_wire: WireServer) -> None:
    request = ModelRequest(model="hello", endpoint="complete", prompt="Say", suffix="!", logprobs=1)
    assert call(request, reach(openai_wire)).text == "Hello"
    pieces, reply = read(stream(request, reach(openai_wire)))
    assert (pieces, reply.text, reply.finish_reason) == (["Hel", "lo"], "Hello", "stop")
    body = openai_wire.requests[0].body
    assert (body["prompt"], body["suffix"], body["logprobs"]) == ("Say", "!", 1)


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (404, "not_found_error"),
        (429, "rate_limit_error"),
        (500, "server_error"),
    ],
)
def test_refusals_keep_the_providers_words(
    openai_wire: WireServer, status: int, kind: str, is_streamed: bool
) -> None:
    openai_wire.script = lambda _: wire.error(status, "no, and why")
    with pytest.raises(ProviderError) as caught:
        _ = (
            list(stream(ask(), reach(openai_wire)))
            if is_streamed
            else call(ask(), reach(openai_wire))
        )
    error = caught.value
    told = (error.type, error.code, error.message, error.origin)
    assert told == (kind, status, "no, and why", "openai")
    assert error.request is not None
    assert error.request["model"] == "hello"
    assert len(openai_wire.requests) == 1  # nothing is asked twice behind the caller's back


def test_refusal_of_a_compatible_service_is_read_too(openai_wire: WireServer) -> None:
    openai_wire.script = lambda _: WireReply({"error": "model 'x' not found"}, 404)
    with pytest.raises(ProviderError, match="model 'x' not found") as caught:
        call(ask("x"), reach(openai_wire, "ollama", api_key=None))
    assert caught.value.origin == "ollama"


def test_absent_provider_is_a_connection_error() -> None:
    connection = Connection(provider="openai", api_key="k", base_url="http://127.0.0.1:1/v1")
    with pytest.raises(ProviderError, match="cannot be reached") as caught:
        call(ask(), connection)
    assert (caught.value.type, caught.value.code) == ("connection_error", 503)


def test_silent_provider_is_a_timeout(openai_wire: WireServer) -> None:
    never = threading.Event()

    def hang(request: Request) -> WireReply:
        never.wait(10)
        return wire.answer(request)

    openai_wire.script = hang
    with pytest.raises(ProviderError, match=r"did not answer within 0\.2 s") as caught:
        call(ask(), reach(openai_wire, timeout_s=0.2))
    never.set()
    assert caught.value.type == "timeout_error"


def test_stream_that_is_cut_is_an_error_after_its_deltas(openai_wire: WireServer) -> None:
    def cut(request: Request) -> WireReply:
        reply = wire.answer(request)
        reply.events[3] = (None, "{not json")
        return reply

    openai_wire.script = cut
    items = stream(ask(), reach(openai_wire))
    assert next(items) == Delta(text="Hello")
    with pytest.raises(ProviderError) as caught:
        list(items)
    assert caught.value.type in ("server_error", "connection_error")


def test_answer_that_is_no_json_is_the_providers_fault(openai_wire: WireServer) -> None:
    openai_wire.script = lambda _: WireReply("a page")
    with pytest.raises(ProviderError, match="not of its API") as caught:
        call(ask(), reach(openai_wire))
    assert (caught.value.type, caught.value.origin) == ("server_error", "openai")


def test_missing_key_says_where_one_goes() -> None:
    with pytest.raises(ProviderError, match="PUT /api/providers/groq") as caught:
        call(ask(), Connection(provider="groq"))
    assert (caught.value.type, caught.value.origin) == ("configuration_error", "kibitz")


def test_unknown_provider_needs_only_an_address(openai_wire: WireServer) -> None:
    with pytest.raises(ProviderError, match="where is provider 'mine'"):
        call(ask(), Connection(provider="mine"))
    assert call(ask(), reach(openai_wire, "mine", api_key=None)).text == "Hello, world"


def test_azure_is_asked_at_its_deployment(openai_wire: WireServer) -> None:
    connection = reach(openai_wire, "openai_azure", base_url=openai_wire.url)
    assert call(ask(), connection).text == "Hello, world"
    request = openai_wire.requests[0]
    assert request.path.startswith("/openai/deployments/hello/chat/completions?api-version=")
    assert request.headers["api-key"] == "sk-test"
