"""Replicate through the official package: predictions waited for, streamed, refused."""

from collections.abc import Iterator

import pytest

from kibitz_collector.providers import Connection, ProviderError, call, stream
from kibitz_collector.records import Tokens
from tests.collector.providers.asking import (
    FAR_PICTURE,
    STATUSES,
    WEATHER,
    ask,
    read,
    said,
)
from tests.collector.providers.wire import replicate as wire
from tests.integrations.wire.server import WireServer

MODEL = "meta/llama"
TOKENS = Tokens(input_uncached=20, output=9)


@pytest.fixture
def model() -> wire.Predictions:
    return wire.Predictions()


@pytest.fixture
def server(model: wire.Predictions) -> Iterator[WireServer]:
    server = WireServer(model)
    model.url = server.url
    yield server
    server.close()


def reach(server: WireServer, timeout_s: float = 20) -> Connection:
    return Connection(
        provider="replicate", api_key="r8-test", base_url=server.url, timeout_s=timeout_s
    )


def test_call_waits_for_the_prediction(server: WireServer, model: wire.Predictions) -> None:
    model.looks = 3
    reply = call(ask(MODEL), reach(server))
    assert reply.message == {"role": "assistant", "content": "Hello, world"}
    assert (reply.text, reply.finish_reason, reply.tokens) == ("Hello, world", "stop", TOKENS)
    assert reply.response_id == "p1"
    assert reply.request == {"model": MODEL, "input": {"prompt": "hi"}}
    assert [request.path for request in server.requests] == [
        "/v1/models/meta/llama/predictions",
        *["/v1/predictions/p1"] * 3,
    ]
    assert server.requests[0].headers["authorization"] == "Bearer r8-test"
    assert "r8-test" not in str(reply)


def test_every_setting_reaches_the_wire(server: WireServer) -> None:
    request = ask(
        MODEL,
        messages=[said("Be brief.", "system"), said([{"type": "text", "text": "x"}, FAR_PICTURE])],
        max_tokens=7,
        temperature=0.0,
        top_p=0.5,
        stop=["a", "b"],
        presence_penalty=0.5,
        frequency_penalty=0.25,
        seed=0,
        reasoning_effort="low",
        other={"top_k": 5},
    )
    call(request, reach(server))
    assert server.requests[0].body["input"] == {
        "prompt": "x\n",
        "system_prompt": "Be brief.",
        "image": "https://a.example/b.png",
        "max_tokens": 7,
        "temperature": 0.0,
        "top_p": 0.5,
        "stop_sequences": "a,b",
        "presence_penalty": 0.5,
        "frequency_penalty": 0.25,
        "seed": 0,
        "reasoning_effort": "low",
        "top_k": 5,
    }


def test_conversation_becomes_one_prompt(server: WireServer) -> None:
    turns = [said("hi"), said("hello", "assistant"), said("how are you?")]
    call(ask(MODEL, messages=turns), reach(server))
    prompt = server.requests[0].body["input"]["prompt"]
    assert prompt == "User: hi\n\nAssistant: hello\n\nUser: how are you?\n\nAssistant:"


def test_version_of_a_model_is_asked_as_such(server: WireServer) -> None:
    call(ask("meta/llama:abc"), reach(server))
    assert server.requests[0].path == "/v1/predictions"
    assert server.requests[0].body == {"version": "abc", "input": {"prompt": "hi"}}


def test_stream_adds_up_to_what_the_whole_call_gives(server: WireServer) -> None:
    whole = call(ask(MODEL), reach(server))
    pieces, streamed = read(stream(ask(MODEL), reach(server)))
    assert pieces == ["Hello", ", world"]
    assert (streamed.message, streamed.tokens) == (whole.message, whole.tokens)


def test_model_that_cannot_stream_is_waited_for(
    server: WireServer, model: wire.Predictions
) -> None:
    model.can_stream = False
    pieces, reply = read(stream(ask(MODEL), reach(server)))
    assert (pieces, reply.text) == (["Hello, world"], "Hello, world")


def test_stream_that_is_cut_is_completed_from_the_prediction(
    server: WireServer, model: wire.Predictions
) -> None:
    model.stream = model.stream[:1]
    pieces, reply = read(stream(ask(MODEL), reach(server)))
    assert (pieces, reply.text) == (["Hello"], "Hello, world")


def test_stream_somewhere_forbidden_is_not_read(
    server: WireServer, model: wire.Predictions
) -> None:
    model.url = "http://169.254.169.254"
    with pytest.raises(ProviderError, match="link-local"):
        list(stream(ask(MODEL), reach(server)))


def test_answer_that_is_no_text_is_json(server: WireServer, model: wire.Predictions) -> None:
    model.outcome = {"status": "succeeded", "output": {"score": 1}}
    assert call(ask(MODEL), reach(server)).text == '{"score":1}'


@pytest.mark.parametrize("is_streamed", [False, True])
def test_prediction_that_fails_is_an_error(
    server: WireServer, model: wire.Predictions, is_streamed: bool
) -> None:
    model.outcome = {"status": "failed", "error": "out of memory"}
    model.stream = [("error", "out of memory")] if is_streamed else []
    with pytest.raises(ProviderError, match="out of memory") as caught:
        _ = (
            list(stream(ask(MODEL), reach(server)))
            if is_streamed
            else call(ask(MODEL), reach(server))
        )
    assert (caught.value.type, caught.value.origin) == ("server_error", "replicate")


def test_prediction_that_takes_too_long_is_canceled(
    server: WireServer, model: wire.Predictions
) -> None:
    model.looks = 10_000
    with pytest.raises(ProviderError, match=r"did not answer within 0\.2 s") as caught:
        call(ask(MODEL), reach(server, timeout_s=0.2))
    assert caught.value.type == "timeout_error"
    assert model.canceled == ["/v1/predictions/p1/cancel"]


def test_tools_are_refused_in_words(server: WireServer) -> None:
    with pytest.raises(ProviderError, match="no tools") as caught:
        call(ask(MODEL, tools=[WEATHER]), reach(server))
    assert (caught.value.type, server.requests) == ("invalid_request_error", [])


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize(("status", "kind"), STATUSES)
def test_refusals_keep_the_providers_words(
    server: WireServer, status: int, kind: str, is_streamed: bool
) -> None:
    server.script = lambda _: wire.error(status, "no, and why")
    with pytest.raises(ProviderError) as caught:
        _ = (
            list(stream(ask(MODEL), reach(server)))
            if is_streamed
            else call(ask(MODEL), reach(server))
        )
    error = caught.value
    told = (error.type, error.code, error.message, error.origin)
    assert told == (kind, status, "no, and why", "replicate")
    assert len(server.requests) == 1  # nothing is asked twice behind the caller's back


def test_absent_provider_is_a_connection_error() -> None:
    connection = Connection(provider="replicate", api_key="k", base_url="http://127.0.0.1:1")
    with pytest.raises(ProviderError, match="cannot be reached") as caught:
        call(ask(MODEL), connection)
    assert (caught.value.type, caught.value.code) == ("connection_error", 503)
