"""Cohere through the official package: requests, replies, errors."""

import threading
from collections.abc import Iterator

import pytest

from kibitz_collector.providers import Connection, Delta, ProviderError, call, stream
from kibitz_collector.records import Json, Tokens
from tests.collector.providers.asking import (
    PICTURE,
    SCHEMA,
    STATUSES,
    TIME,
    WEATHER,
    ask,
    read,
    said,
)
from tests.collector.providers.wire import cohere as wire
from tests.integrations.wire.server import Reply as WireReply
from tests.integrations.wire.server import Request, WireServer

TOKENS = Tokens(input_uncached=16, cache_read=4, output=9)


@pytest.fixture
def server() -> Iterator[WireServer]:
    server = WireServer(wire.answer)
    yield server
    server.close()


def reach(server: WireServer, timeout_s: float = 20) -> Connection:
    return Connection(
        provider="cohere", api_key="sk-test", base_url=server.url, timeout_s=timeout_s
    )


def test_call_gives_text_tokens_and_both_bodies(server: WireServer) -> None:
    reply = call(ask(), reach(server))
    assert reply.message == {"role": "assistant", "content": "Hello, world"}
    assert (reply.text, reply.finish_reason, reply.tokens) == ("Hello, world", "stop", TOKENS)
    assert reply.response_id == "c_1"
    assert reply.response["usage"]["tokens"]["output_tokens"] == 9
    (request,) = server.requests
    assert request.path == "/v2/chat"
    assert request.headers["authorization"] == "Bearer sk-test"
    assert reply.request == {"model": "hello", "messages": [{"role": "user", "content": "hi"}]}
    assert request.body == {**reply.request, "stream": False}
    assert "sk-test" not in str(reply)


def test_every_setting_reaches_the_wire(server: WireServer) -> None:
    request = ask(
        max_tokens=7,
        temperature=0.0,
        top_p=0.5,
        stop="a",
        presence_penalty=0.5,
        frequency_penalty=0.25,
        seed=0,
        response_format={"type": "json_schema", "json_schema": SCHEMA},
        reasoning_effort=99,
        logprobs=0,
        tools=[WEATHER],
        tool_choice="required",
        other={"safety_mode": "OFF"},
    )
    call(request, reach(server))
    body = server.requests[0].body
    wanted = {
        "max_tokens": 7,
        "temperature": 0.0,
        "p": 0.5,
        "stop_sequences": ["a"],
        "presence_penalty": 0.5,
        "frequency_penalty": 0.25,
        "seed": 0,
        "response_format": {"type": "json_object", "schema": SCHEMA},
        "thinking": {"type": "enabled", "token_budget": 99},
        "logprobs": True,
        "tools": [{"type": "function", "function": WEATHER}],
        "tool_choice": "REQUIRED",
        "safety_mode": "OFF",
    }
    assert {name: body[name] for name in wanted} == wanted


def test_one_tool_is_forced_by_telling_of_no_other(server: WireServer) -> None:
    choice: Json = {"type": "function", "function": {"name": "get_time"}}
    call(ask(tools=[WEATHER, TIME], tool_choice=choice), reach(server))
    body = server.requests[0].body
    assert body["tools"] == [{"type": "function", "function": TIME}]
    assert body["tool_choice"] == "REQUIRED"


@pytest.mark.parametrize("model", ["hello", "tools", "thinks"])
def test_stream_adds_up_to_what_the_whole_call_gives(server: WireServer, model: str) -> None:
    whole = call(ask(model, tools=[WEATHER]), reach(server))
    pieces, streamed = read(stream(ask(model, tools=[WEATHER]), reach(server)))
    assert "".join(pieces) == (whole.text or "")
    assert streamed.message == whole.message
    assert (streamed.tokens, streamed.finish_reason) == (whole.tokens, whole.finish_reason)
    assert server.requests[-1].body["stream"] is True


def test_tool_calls_come_flat_and_go_back_wrapped(server: WireServer) -> None:
    reply = call(ask("tools", tools=[WEATHER]), reach(server))
    assert (reply.finish_reason, reply.message["reasoning"]) == ("tool_calls", "I look.")
    answer = said("sunny", "tool", tool_call_id="get_weather_1")
    call(ask(messages=[said("hi"), reply.message, answer]), reach(server))
    _, asked, answered = server.requests[-1].body["messages"]
    assert asked == {"role": "assistant", "tool_calls": [wire.CALL]}
    assert answered == answer


def test_thoughts_are_kept_apart_and_pictures_sent(server: WireServer) -> None:
    reply = call(ask("thinks", messages=[said([PICTURE])]), reach(server))
    assert (reply.text, reply.message["reasoning"]) == ("42", "Let me think")
    assert server.requests[0].body["messages"][0]["content"] == [PICTURE]


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
    assert told == (kind, status, "no, and why", "cohere")
    assert len(server.requests) == 1  # nothing is asked twice behind the caller's back


def test_absent_provider_is_a_connection_error() -> None:
    connection = Connection(provider="cohere", api_key="k", base_url="http://127.0.0.1:1")
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
        reply.hold = (4, is_read)
        return reply

    server.script = slowly
    items = stream(ask(), reach(server))
    assert next(items) == Delta(text="Hello")
    is_read.set()
    assert read(items)[1].text == "Hello, world"


def test_stream_that_ends_early_is_an_error_after_its_deltas(server: WireServer) -> None:
    def cut(request: Request) -> WireReply:
        reply = wire.answer(request)
        return WireReply(events=reply.events[:3])

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
