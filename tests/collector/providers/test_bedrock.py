"""Bedrock through the official package: requests, replies, event streams, errors."""

import threading
from collections.abc import Iterator

import pytest

from kibitz_collector.providers import Connection, Delta, ProviderError, call, stream
from kibitz_collector.records import Json, Tokens
from tests.collector.providers.asking import (
    DOT,
    FAR_PICTURE,
    PICTURE,
    SCHEMA,
    STATUSES,
    TIME,
    WEATHER,
    ask,
    read,
    said,
)
from tests.collector.providers.wire import bedrock as wire
from tests.integrations.wire.server import Reply as WireReply
from tests.integrations.wire.server import Request, WireServer

TOKENS = Tokens(input_uncached=16, cache_read=4, output=9)


@pytest.fixture
def server() -> Iterator[WireServer]:
    server = WireServer(wire.answer)
    yield server
    server.close()


def reach(server: WireServer, key: str | None = "AKID:secret", timeout_s: float = 20) -> Connection:
    return Connection(provider="bedrock", api_key=key, base_url=server.url, timeout_s=timeout_s)


def test_call_gives_text_tokens_and_both_bodies(server: WireServer) -> None:
    reply = call(ask(), reach(server))
    assert reply.message == {"role": "assistant", "content": "Hello, world"}
    assert (reply.text, reply.finish_reason, reply.tokens) == ("Hello, world", "stop", TOKENS)
    assert (reply.model_served, reply.response_id) == (None, "req_1")
    assert reply.response["stopReason"] == "end_turn"
    (request,) = server.requests
    assert request.path == "/model/hello/converse"
    assert request.body == {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}
    assert reply.request == {"modelId": "hello", **request.body}
    assert "secret" not in str(reply)


def test_keys_are_signed_with_and_api_keys_are_sent(server: WireServer) -> None:
    call(ask(), reach(server, "AKID:secret:session"))
    call(ask(), reach(server, "bedrock-api-key-x"))
    signed, sent = (request.headers for request in server.requests)
    assert signed["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKID/")
    assert signed["x-amz-security-token"] == "session"
    assert sent["authorization"] == "Bearer bedrock-api-key-x"


def test_no_credentials_anywhere_is_said(
    server: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ProviderError, match=r"provider_api_keys\.bedrock") as caught:
        call(ask(), reach(server, None))
    assert (caught.value.type, server.requests) == ("authentication_error", [])


def test_every_setting_reaches_the_wire(server: WireServer) -> None:
    request = ask(
        messages=[said("Be brief.", "system"), said("hi")],
        max_tokens=7,
        temperature=0.0,
        top_p=0.5,
        stop=["a", "b"],
        seed=3,
        response_format={"type": "json_schema", "json_schema": {"schema": SCHEMA, "name": "x"}},
        reasoning_effort="low",
        tools=[WEATHER],
        tool_choice="required",
        other={"top_k": 5},
    )
    call(request, reach(server))
    body = server.requests[0].body
    assert body["system"] == [{"text": "Be brief."}]
    settings = {"maxTokens": 7, "temperature": 0.0, "topP": 0.5, "stopSequences": ["a", "b"]}
    assert body["inferenceConfig"] == settings
    tool = {"name": "get_weather", "description": "d", "inputSchema": {"json": {"type": "object"}}}
    assert body["toolConfig"] == {"tools": [{"toolSpec": tool}], "toolChoice": {"any": {}}}
    structure = {
        "name": "response",
        "schema": '{"type": "object", "properties": {"city": {"type": "string"}}}',
    }
    told = {"type": "json_schema", "structure": {"jsonSchema": structure}}
    assert body["outputConfig"] == {"textFormat": told}
    assert body["additionalModelRequestFields"] == {"top_k": 5, "reasoning_effort": "low"}


def test_choices_of_tools_are_said_in_its_words(server: WireServer) -> None:
    forced: Json = {"type": "function", "function": {"name": "get_time"}}
    for choice in (forced, "auto", "none"):
        call(ask(tools=[WEATHER, TIME], tool_choice=choice), reach(server))
    one, auto, none = (request.body for request in server.requests)
    assert one["toolConfig"]["toolChoice"] == {"tool": {"name": "get_time"}}
    assert auto["toolConfig"]["toolChoice"] == {"auto": {}}
    assert "toolConfig" not in none


def test_budget_of_thinking_goes_without_a_temperature(server: WireServer) -> None:
    call(ask(temperature=0.5, reasoning_effort=1024), reach(server))
    body = server.requests[0].body
    thinking = {"type": "enabled", "budget_tokens": 1024}
    assert body["additionalModelRequestFields"] == {"thinking": thinking}
    assert "inferenceConfig" not in body


@pytest.mark.parametrize("model", ["hello", "tools", "thinks"])
def test_stream_adds_up_to_what_the_whole_call_gives(server: WireServer, model: str) -> None:
    whole = call(ask(model, tools=[WEATHER]), reach(server))
    pieces, streamed = read(stream(ask(model, tools=[WEATHER]), reach(server)))
    assert "".join(pieces) == (whole.text or "")
    assert streamed.message == whole.message
    assert (streamed.tokens, streamed.finish_reason) == (whole.tokens, whole.finish_reason)
    assert streamed.response_id == whole.response_id
    assert server.requests[-1].path == f"/model/{model}/converse-stream"


def test_tool_calls_come_flat_and_go_back_as_blocks(server: WireServer) -> None:
    reply = call(ask("tools", tools=[WEATHER]), reach(server))
    assert reply.finish_reason == "tool_calls"
    (tool_call,) = reply.message["tool_calls"]
    assert tool_call == {"id": "tu_1", "name": "get_weather", "arguments": '{"city": "Oslo"}'}
    answer = said("sunny", "tool", tool_call_id="tu_1")
    call(ask(messages=[said("hi"), reply.message, answer]), reach(server))
    _, asked, answered = server.requests[-1].body["messages"]
    assert asked["content"] == [{"text": "I look."}, {"toolUse": wire.CALL}]
    result = {"toolUseId": "tu_1", "content": [{"text": "sunny"}]}
    assert answered == {"role": "user", "content": [{"toolResult": result}]}


def test_thoughts_come_back_signed(server: WireServer) -> None:
    reply = call(ask("thinks"), reach(server))
    assert (reply.text, reply.message["reasoning"]) == ("42", "Let me think")
    call(ask(messages=[said("hi"), reply.message, said("and?")]), reach(server))
    asked = server.requests[-1].body["messages"][1]
    assert asked["content"] == [{"reasoningContent": wire.THOUGHT}, {"text": "42"}]


def test_pictures_are_sent_as_data_and_not_fetched(server: WireServer) -> None:
    call(ask(messages=[said([PICTURE])]), reach(server))
    image = {"format": "png", "source": {"bytes": DOT}}
    assert server.requests[0].body["messages"][0]["content"] == [{"image": image}]
    with pytest.raises(ProviderError, match="data: URLs only") as caught:
        call(ask(messages=[said([FAR_PICTURE])]), reach(server))
    assert (caught.value.code, caught.value.origin) == (400, "kibitz")
    assert len(server.requests) == 1


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize(("status", "kind"), STATUSES)
def test_refusals_keep_the_providers_words(
    server: WireServer, status: int, kind: str, is_streamed: bool
) -> None:
    server.script = lambda _: wire.error(status, "no, and why")
    with pytest.raises(ProviderError) as caught:
        _ = list(stream(ask(), reach(server))) if is_streamed else call(ask(), reach(server))
    error = caught.value
    told = (error.type, error.code, error.message, error.origin)
    assert told == (kind, status, "no, and why", "bedrock")
    assert len(server.requests) == 1  # nothing is asked twice behind the caller's back


def test_error_in_the_middle_of_a_stream_comes_after_its_deltas(server: WireServer) -> None:
    name, told = wire.EVENTS["hello"][1]
    frames = wire.frame(name, told)
    frames += wire.frame("throttlingException", {"message": "slow down"}, "exception")
    server.script = lambda _: WireReply(raw=("application/vnd.amazon.eventstream", frames))
    items = stream(ask(), reach(server))
    assert next(items) == Delta(text="Hello")
    with pytest.raises(ProviderError, match="slow down") as caught:
        list(items)
    assert (caught.value.type, caught.value.code) == ("rate_limit_error", 429)


def test_stream_that_ends_early_is_an_error_after_its_deltas(server: WireServer) -> None:
    frames = b"".join(wire.frame(name, told) for name, told in wire.EVENTS["hello"][:2])
    server.script = lambda _: WireReply(raw=("application/vnd.amazon.eventstream", frames))
    items = stream(ask(), reach(server))
    assert next(items) == Delta(text="Hello")
    with pytest.raises(ProviderError, match="broke off") as caught:
        list(items)
    assert caught.value.type == "connection_error"


def test_stream_of_damaged_frames_is_an_error(server: WireServer) -> None:
    name, told = wire.EVENTS["hello"][1]
    damaged = wire.frame(name, told)[:-1] + b"x"
    server.script = lambda _: WireReply(raw=("application/vnd.amazon.eventstream", damaged))
    with pytest.raises(ProviderError, match="broke off") as caught:
        list(stream(ask(), reach(server)))
    assert caught.value.type == "connection_error"


def test_absent_provider_is_a_connection_error() -> None:
    connection = Connection(provider="bedrock", api_key="a:b", base_url="http://127.0.0.1:1")
    with pytest.raises(ProviderError, match="cannot be reached") as caught:
        call(ask(), connection)
    assert (caught.value.type, caught.value.code) == ("connection_error", 503)


def test_silent_provider_is_a_timeout(server: WireServer) -> None:
    never = threading.Event()

    def hang(request: Request) -> WireReply:
        never.wait(10)
        return wire.answer(request)

    server.script = hang
    with pytest.raises(ProviderError, match=r"did not answer within 0\.2 s") as caught:
        call(ask(), reach(server, timeout_s=0.2))
    never.set()
    assert caught.value.type == "timeout_error"
