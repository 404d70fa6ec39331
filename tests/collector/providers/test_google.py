"""Gemini through the official package: requests, replies, errors."""

import threading
from collections.abc import Iterator

import pytest

from kibitz_collector.providers import Connection, Delta, ProviderError, call, stream
from kibitz_collector.records import Tokens
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
from tests.collector.providers.wire import google as wire
from tests.integrations.wire.server import Reply as WireReply
from tests.integrations.wire.server import Request, WireServer

TOKENS = Tokens(input_uncached=16, cache_read=4, output=6, reasoning=3)


@pytest.fixture
def server() -> Iterator[WireServer]:
    server = WireServer(wire.answer)
    yield server
    server.close()


def reach(server: WireServer, timeout_s: float = 20) -> Connection:
    return Connection(
        provider="google", api_key="sk-test", base_url=server.url, timeout_s=timeout_s
    )


def test_call_gives_text_tokens_and_both_bodies(server: WireServer) -> None:
    reply = call(ask(), reach(server))
    assert reply.message == {"role": "assistant", "content": "Hello, world"}
    assert (reply.text, reply.finish_reason, reply.tokens) == ("Hello, world", "stop", TOKENS)
    assert (reply.model_served, reply.response_id) == ("hello-001", "resp_1")
    assert reply.response["candidates"][0]["finishReason"] == "STOP"
    (request,) = server.requests
    assert request.path == "/v1beta/models/hello:generateContent"
    assert request.headers["x-goog-api-key"] == "sk-test"
    contents = [{"role": "user", "parts": [{"text": "hi"}]}]
    assert request.body == {"contents": contents, "generationConfig": {}}
    assert reply.request == {"model": "hello", "contents": contents}
    assert "sk-test" not in str(reply)


def test_every_setting_reaches_the_wire(server: WireServer) -> None:
    request = ask(
        messages=[said("Be brief.", "system"), said("hi")],
        max_tokens=7,
        temperature=0.0,
        top_p=0.5,
        stop="a",
        presence_penalty=0.5,
        frequency_penalty=0.25,
        seed=0,
        response_format={"type": "json_schema", "json_schema": SCHEMA},
        reasoning_effort="low",
        logprobs=2,
        tools=[WEATHER],
        tool_choice="required",
        other={"safetySettings": [{"category": "X", "threshold": "BLOCK_NONE"}]},
    )
    call(request, reach(server))
    body = server.requests[0].body
    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert body["generationConfig"] == {
        "temperature": 0.0,
        "topP": 0.5,
        "maxOutputTokens": 7,
        "stopSequences": ["a"],
        "presencePenalty": 0.5,
        "frequencyPenalty": 0.25,
        "seed": 0,
        "responseMimeType": "application/json",
        "responseJsonSchema": SCHEMA,
        "responseLogprobs": True,
        "logprobs": 2,
        "thinkingConfig": {"thinkingLevel": "LOW"},
    }
    function = {
        "name": "get_weather",
        "description": "d",
        "parametersJsonSchema": {"type": "object"},
    }
    assert body["tools"] == [{"functionDeclarations": [function]}]
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "ANY"}}
    assert body["safetySettings"] == [{"category": "X", "threshold": "BLOCK_NONE"}]


def test_one_tool_may_be_forced_and_thinking_counted(server: WireServer) -> None:
    choice = {"type": "function", "function": {"name": "get_time"}}
    request = ask(tools=[WEATHER, TIME], tool_choice=choice, reasoning_effort=512)
    call(request, reach(server))
    body = server.requests[0].body
    forced = {"mode": "ANY", "allowedFunctionNames": ["get_time"]}
    assert body["toolConfig"]["functionCallingConfig"] == forced
    thinking = {"thinkingBudget": 512, "includeThoughts": True}
    assert body["generationConfig"] == {"thinkingConfig": thinking}


@pytest.mark.parametrize("model", ["hello", "tools", "thinks"])
def test_stream_adds_up_to_what_the_whole_call_gives(server: WireServer, model: str) -> None:
    whole = call(ask(model, tools=[WEATHER]), reach(server))
    pieces, streamed = read(stream(ask(model, tools=[WEATHER]), reach(server)))
    assert "".join(pieces) == (whole.text or "")
    assert streamed.message == whole.message
    assert (streamed.tokens, streamed.finish_reason) == (whole.tokens, whole.finish_reason)
    assert server.requests[-1].path == f"/v1beta/models/{model}:streamGenerateContent?alt=sse"


def test_tool_calls_come_flat_and_go_back_as_they_came(server: WireServer) -> None:
    reply = call(ask("tools", tools=[WEATHER, TIME]), reach(server))
    assert reply.finish_reason == "tool_calls"
    assert reply.message["tool_calls"] == [
        {
            "id": "fc_1",
            "name": "get_weather",
            "arguments": '{"city": "Oslo"}',
            "signature": "c2lnbmVk",
        },
        {"id": "call_kibitz_resp_1_1", "name": "get_time", "arguments": "{}"},
    ]
    answers = [
        said("sunny", "tool", tool_call_id="fc_1"),
        said("noon", "tool", tool_call_id="call_kibitz_resp_1_1"),
    ]
    call(ask(messages=[said("hi"), reply.message, *answers]), reach(server))
    _, asked, answered = server.requests[-1].body["contents"]
    assert asked == {"role": "model", "parts": [wire.SIGNED, wire.UNNAMED]}
    first = {"id": "fc_1", "name": "get_weather", "response": {"result": "sunny"}}
    second = {"name": "get_time", "response": {"result": "noon"}}
    parts = [{"functionResponse": first}, {"functionResponse": second}]
    assert answered == {"role": "user", "parts": parts}


def test_thoughts_are_kept_apart(server: WireServer) -> None:
    reply = call(ask("thinks"), reach(server))
    assert (reply.text, reply.message["reasoning"]) == ("42", "Let me think")


def test_pictures_are_sent_as_data_or_by_address(server: WireServer) -> None:
    content = [{"type": "text", "text": "what?"}, PICTURE, FAR_PICTURE]
    call(ask(messages=[said(content)]), reach(server))
    assert server.requests[0].body["contents"][0]["parts"] == [
        {"text": "what?"},
        {"inlineData": {"mimeType": "image/png", "data": DOT}},
        {"fileData": {"fileUri": "https://a.example/b.png"}},
    ]


def test_blocked_prompt_is_a_reply_without_text(server: WireServer) -> None:
    reply = call(ask("blocked"), reach(server))
    assert (reply.text, reply.finish_reason) == (None, "content_filter")


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
    assert told == (kind, status, "no, and why", "google")
    assert error.request is not None
    assert error.request["model"] == "hello"
    assert len(server.requests) == 1  # nothing is asked twice behind the caller's back


def test_absent_provider_is_a_connection_error() -> None:
    connection = Connection(provider="google", api_key="k", base_url="http://127.0.0.1:1")
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


def test_first_delta_comes_before_the_provider_has_ended(server: WireServer) -> None:
    is_read = threading.Event()

    def slowly(request: Request) -> WireReply:
        reply = wire.answer(request)
        reply.hold = (1, is_read)
        return reply

    server.script = slowly
    items = stream(ask(), reach(server))
    assert next(items) == Delta(text="Hello")
    is_read.set()
    assert read(items)[1].text == "Hello, world"


def test_answer_that_is_no_json_is_the_providers_fault(server: WireServer) -> None:
    server.script = lambda _: WireReply(raw=("text/html", b"<p>"))
    with pytest.raises(ProviderError, match="not of its API") as caught:
        call(ask(), reach(server))
    assert (caught.value.type, caught.value.origin) == ("server_error", "google")


def test_stream_that_ends_early_is_an_error_after_its_deltas(server: WireServer) -> None:
    def cut(request: Request) -> WireReply:
        reply = wire.answer(request)
        return WireReply(events=reply.events[:1])

    server.script = cut
    items = stream(ask(), reach(server))
    assert next(items) == Delta(text="Hello")
    with pytest.raises(ProviderError, match="broke off") as caught:
        list(items)
    assert caught.value.type == "connection_error"


def test_event_that_is_no_json_is_the_providers_fault(server: WireServer) -> None:
    server.script = lambda _: WireReply(events=[(None, "{not json")])
    with pytest.raises(ProviderError) as caught:
        list(stream(ask(), reach(server)))
    assert caught.value.type in ("server_error", "connection_error")
