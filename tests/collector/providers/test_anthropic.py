"""Anthropic through the official package: blocks from messages, messages from blocks."""

from typing import Any

import pytest

from kibitz_collector.providers import Delta, ModelRequest, ProviderError, Reply, call, stream
from kibitz_collector.records import Tokens
from tests.collector.providers.conftest import reach
from tests.integrations.wire.server import WireServer

TOKENS = Tokens(input_uncached=10, cache_read=64, cache_write=26, output=9)
WEATHER = {"name": "get_weather", "description": "d", "parameters": {"type": "object"}}
CALL = {"id": "toolu_1", "name": "get_weather", "arguments": '{"city": "Oslo"}'}


def ask(model: str = "hello", **more: Any) -> ModelRequest:
    messages = [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "hi"}]
    return ModelRequest(model=model, **({"messages": messages} | more))


def test_call_gives_text_tokens_and_the_common_finish_reason(anthropic_wire: WireServer) -> None:
    reply = call(ask(), reach(anthropic_wire, "anthropic"))
    assert reply.message == {"role": "assistant", "content": "Hello, world"}
    assert (reply.finish_reason, reply.tokens) == ("stop", TOKENS)
    request = anthropic_wire.requests[0]
    sent = (request.headers.get("x-api-key"), request.headers.get("authorization"))
    assert sent in (("sk-test", None), (None, "Bearer sk-test"))  # by the package's version
    assert request.body == {
        "model": "hello",
        "system": "Be brief",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        "max_tokens": 4096,
        "stream": False,
    }


@pytest.mark.parametrize("model", ["hello", "tools"])
def test_stream_adds_up_to_what_the_whole_call_gives(
    anthropic_wire: WireServer, model: str
) -> None:
    connection = reach(anthropic_wire, "anthropic")
    whole = call(ask(model, tools=[WEATHER]), connection)
    *deltas, streamed = stream(ask(model, tools=[WEATHER]), connection)
    assert isinstance(streamed, Reply)
    assert "".join(d.text for d in deltas if isinstance(d, Delta)) == whole.text
    assert (streamed.message, streamed.tokens) == (whole.message, whole.tokens)
    assert streamed.finish_reason == whole.finish_reason


def test_conversation_goes_out_as_turns_of_blocks(anthropic_wire: WireServer) -> None:
    reply = call(ask("tools", tools=[WEATHER]), reach(anthropic_wire, "anthropic"))
    assert reply.message["tool_calls"] == [CALL]
    assert reply.message["thinking"][0]["signature"] == "c2ln"
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "look"}, image]},
        reply.message,
        {"role": "tool", "content": "sunny", "tool_call_id": "toolu_1"},
        {"role": "user", "content": "and now?"},
    ]
    call(ask(messages=messages), reach(anthropic_wire, "anthropic"))
    first, said, answered = anthropic_wire.requests[-1].body["messages"]
    source = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    assert first["content"][1] == {"type": "image", "source": source}
    assert [block["type"] for block in said["content"]] == ["thinking", "text", "tool_use"]
    assert said["content"][2]["input"] == {"city": "Oslo"}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}
    assert answered == {"role": "user", "content": [result, {"type": "text", "text": "and now?"}]}


def test_settings_go_out_in_anthropics_words(anthropic_wire: WireServer) -> None:
    schema = {"type": "object"}
    request = ask(
        max_tokens=5,
        temperature=0.0,
        top_p=1,
        stop="END",
        seed=1,
        frequency_penalty=0.5,
        response_format={"type": "json_schema", "json_schema": schema},
        reasoning_effort="low",
        tools=[WEATHER],
        tool_choice={"type": "function", "function": {"name": "get_weather"}},
    )
    call(request, reach(anthropic_wire, "anthropic"))
    body = anthropic_wire.requests[0].body
    assert (body["max_tokens"], body["temperature"], body["stop_sequences"]) == (5, 0.0, ["END"])
    form = {"type": "json_schema", "schema": schema}
    assert body["output_config"] == {"effort": "low", "format": form}
    assert body["tool_choice"] == {"type": "tool", "name": "get_weather"}
    tool = {"name": "get_weather", "description": "d", "input_schema": {"type": "object"}}
    assert body["tools"] == [tool]
    assert not body.keys() & {"seed", "frequency_penalty", "top_p"}


def test_budget_for_thinking_comes_on_top_of_the_answer(anthropic_wire: WireServer) -> None:
    request = ask(reasoning_effort=2000, temperature=0.5)
    call(request, reach(anthropic_wire, "anthropic"))
    body = anthropic_wire.requests[0].body
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 2000}
    assert (body["max_tokens"], "temperature" in body) == (6096, False)


@pytest.mark.parametrize("is_streamed", [False, True])
def test_refusals_keep_the_providers_words(anthropic_wire: WireServer, is_streamed: bool) -> None:
    connection = reach(anthropic_wire, "anthropic")
    request = ask("overloaded")
    with pytest.raises(ProviderError) as caught:
        _ = list(stream(request, connection)) if is_streamed else call(request, connection)
    error = caught.value
    told = (error.type, error.code, error.message, error.origin)
    assert told == ("server_error", 529, "busy", "anthropic")
    assert len(anthropic_wire.requests) == 1
