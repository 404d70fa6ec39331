"""The OpenAI client, recorded: chat completions through the real library against the wire."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from openai.resources.chat.completions import AsyncCompletions, Completions
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel

from kibitz_integrations.openai import ENDPOINTS, instrument, uninstrument
from tests.integrations.conftest import RecordedSpans
from tests.integrations.wire import openai as wire
from tests.integrations.wire.server import Reply, Request, WireServer

HI: list[Any] = [{"role": "user", "content": "hi"}]


@pytest.fixture(autouse=True)
def instrumented() -> Iterator[None]:
    instrument()
    yield
    uninstrument()


@pytest.fixture
def client(openai_server: WireServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="k", base_url=f"{openai_server.url}/v1", max_retries=0) as client:
        yield client


@pytest.fixture
async def async_client(openai_server: WireServer) -> AsyncIterator[openai.AsyncOpenAI]:
    url = f"{openai_server.url}/v1"
    async with openai.AsyncOpenAI(api_key="k", base_url=url, max_retries=0) as client:
        yield client


def part(text: str) -> dict[str, str]:
    return {"type": "text", "content": text}


def hello(server: WireServer, **more: Any) -> dict[str, Any]:
    """The whole span of one `hello` call."""
    said = {"role": "assistant", "parts": [part("Hello, world")], "finish_reason": "stop"}
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "server.address": "127.0.0.1",
        "server.port": server.port,
        "gen_ai.request.model": "hello",
        "openai.api.type": "chat_completions",
        "gen_ai.input.messages": [{"role": "user", "parts": [part("hi")]}],
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.model": "hello-2026",
        "openai.response.system_fingerprint": "fp_1",
        "gen_ai.output.messages": [said],
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 20,
        "gen_ai.usage.output_tokens": 9,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.reasoning.output_tokens": 3,
        **more,
    }
    return {"name": "chat hello", "kind": 3, "parent": None, "attributes": attributes}


STREAMED = {"gen_ai.request.stream": True, "gen_ai.response.time_to_first_chunk": 0.001}
CALLS = [
    {"type": "tool_call", "id": "call_1", "name": "get_weather", "arguments": {"city": "Oslo"}},
    {"type": "tool_call", "id": "call_2", "name": "get_time", "arguments": {"zone": "CET"}},
]

# --- the seven


def test_sync_call_is_a_whole_span(
    client: openai.OpenAI, openai_server: WireServer, spans: RecordedSpans
) -> None:
    reply = client.chat.completions.create(model="hello", messages=HI, temperature=0, seed=0)
    assert reply.choices[0].message.content == "Hello, world"
    more = {"gen_ai.request.temperature": 0, "gen_ai.request.seed": 0}
    assert spans.as_dicts() == [hello(openai_server, **more)]


async def test_async_call_is_a_whole_span(
    async_client: openai.AsyncOpenAI, openai_server: WireServer, spans: RecordedSpans
) -> None:
    reply = await async_client.chat.completions.create(model="hello", messages=HI)
    assert reply.choices[0].message.content == "Hello, world"
    assert spans.as_dicts() == [hello(openai_server)]


def test_stream_is_a_whole_span_with_usage_and_the_caller_sees_no_extra_chunk(
    client: openai.OpenAI, openai_server: WireServer, spans: RecordedSpans
) -> None:
    stream = client.chat.completions.create(model="hello", messages=HI, stream=True)
    assert isinstance(stream, openai.Stream)
    chunks = list(stream)
    assert [type(chunk) for chunk in chunks] == [ChatCompletionChunk] * 5
    assert openai_server.requests[0].body["stream_options"] == {"include_usage": True}
    assert spans.as_dicts() == [hello(openai_server, **STREAMED)]


async def test_async_stream_is_a_whole_span(
    async_client: openai.AsyncOpenAI, openai_server: WireServer, spans: RecordedSpans
) -> None:
    stream = await async_client.chat.completions.create(model="hello", messages=HI, stream=True)
    assert isinstance(stream, openai.AsyncStream)
    assert len([chunk async for chunk in stream]) == 5
    assert spans.as_dicts() == [hello(openai_server, **STREAMED)]


@pytest.mark.parametrize("leave", ["close", "with", "collected"])
def test_stream_left_early_is_abandoned_with_what_was_read(
    client: openai.OpenAI, spans: RecordedSpans, leave: str
) -> None:
    stream = client.chat.completions.create(model="hello", messages=HI, stream=True)
    if leave == "with":
        with stream as opened:
            assert opened is stream
            next(opened)
            next(opened)
    else:
        for _ in zip(range(2), stream, strict=False):
            pass
        response = stream.response
        if leave == "close":
            stream.close()
        del stream
        gc.collect()
        response.close()
    attributes = spans.only()["attributes"]
    message = {"role": "assistant", "parts": [part("Hello")], "finish_reason": "abandoned"}
    assert attributes["gen_ai.output.messages"] == [message]
    assert attributes["gen_ai.response.finish_reasons"] == ["abandoned"]
    assert attributes["gen_ai.response.id"] == "chatcmpl-1"


async def test_async_stream_left_early_is_abandoned(
    async_client: openai.AsyncOpenAI, spans: RecordedSpans
) -> None:
    stream = await async_client.chat.completions.create(model="hello", messages=HI, stream=True)
    async with stream:
        async for chunk in stream:
            if chunk.choices[0].delta.content:
                break
    assert spans.only()["attributes"]["gen_ai.response.finish_reasons"] == ["abandoned"]


def test_stream_left_after_its_finish_reason_is_not_abandoned(
    client: openai.OpenAI, spans: RecordedSpans
) -> None:
    with client.chat.completions.create(model="hello", messages=HI, stream=True) as stream:
        for chunk in stream:
            if chunk.choices[0].finish_reason:
                break
    assert spans.only()["attributes"]["gen_ai.response.finish_reasons"] == ["stop"]


def test_provider_error_passes_unchanged_and_is_on_the_span(
    client: openai.OpenAI, openai_server: WireServer, spans: RecordedSpans
) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="overloaded", messages=HI)
    span = spans.only()
    assert span["error"] == str(caught.value)
    assert span["attributes"]["error.type"] == "openai.InternalServerError"
    assert span["attributes"]["gen_ai.request.model"] == "overloaded"
    assert len(openai_server.requests) == 1


async def test_async_provider_error_is_on_the_span(
    async_client: openai.AsyncOpenAI, spans: RecordedSpans
) -> None:
    with pytest.raises(openai.InternalServerError):
        await async_client.chat.completions.create(model="overloaded", messages=HI)
    assert spans.only()["attributes"]["error.type"] == "openai.InternalServerError"


def test_patched_twice_records_once(
    client: openai.OpenAI, openai_server: WireServer, spans: RecordedSpans
) -> None:
    instrument()
    client.chat.completions.create(model="hello", messages=HI)
    assert spans.as_dicts() == [hello(openai_server)]


def test_undone_is_the_very_same_attribute(client: openai.OpenAI, spans: RecordedSpans) -> None:
    uninstrument()
    before = [vars(owner)["create"] for owner in (Completions, AsyncCompletions)]
    instrument()
    assert vars(Completions)["create"] is not before[0]
    uninstrument()
    assert [vars(owner)["create"] for owner in (Completions, AsyncCompletions)] == before
    assert all(
        vars(owner)["create"] is original
        for owner, original in zip((Completions, AsyncCompletions), before, strict=True)
    )
    client.chat.completions.create(model="hello", messages=HI)
    assert spans.as_dicts() == []


# --- more of chat


def test_every_method_of_this_version_is_found() -> None:
    from kibitz.patching import is_patched

    missed = {endpoint.target for endpoint in ENDPOINTS if not is_patched(endpoint)}
    assert all(".beta." in target for target in missed)


def test_tool_calls_are_parts_with_object_arguments(
    client: openai.OpenAI, spans: RecordedSpans
) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    tool: Any = {"type": "function", "function": {"name": "get_weather", "parameters": schema}}
    asked: list[Any] = [
        *HI,
        {"role": "assistant", "content": None, "tool_calls": wire.CALLS},
        {"role": "tool", "tool_call_id": "call_1", "content": "cold"},
    ]
    client.chat.completions.create(model="tools", messages=asked, tools=[tool])
    list(client.chat.completions.create(model="tools", messages=asked, tools=[tool], stream=True))
    for span in spans.as_dicts():
        attributes = span["attributes"]
        answer = {"role": "assistant", "parts": CALLS, "finish_reason": "tool_call"}
        assert attributes["gen_ai.output.messages"] == [answer]
        assert attributes["gen_ai.response.finish_reasons"] == ["tool_call"]
        assert attributes["gen_ai.tool.definitions"] == [
            {"type": "function", "name": "get_weather", "parameters": schema}
        ]
        result = {"type": "tool_call_response", "id": "call_1", "response": "cold"}
        assert attributes["gen_ai.input.messages"][1:] == [
            {"role": "assistant", "parts": CALLS},
            {"role": "tool", "parts": [result]},
        ]


def test_an_earlier_reply_can_be_sent_again(client: openai.OpenAI, spans: RecordedSpans) -> None:
    reply = client.chat.completions.create(model="tools", messages=HI)
    again: list[Any] = [*HI, reply.choices[0].message]
    client.chat.completions.create(model="hello", messages=again)
    sent = spans.as_dicts()[1]["attributes"]["gen_ai.input.messages"]
    assert sent[1] == {"role": "assistant", "parts": CALLS}


def test_images_are_blobs_or_links(client: openai.OpenAI, spans: RecordedSpans) -> None:
    content = [
        {"type": "text", "text": "what is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0="}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    ]
    messages: list[Any] = [{"role": "user", "content": content}]
    client.chat.completions.create(model="hello", messages=messages)
    (message,) = spans.only()["attributes"]["gen_ai.input.messages"]
    png = {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "iVBORw0="}
    link = {
        "type": "uri",
        "modality": "image",
        "mime_type": None,
        "uri": "https://example.com/a.png",
    }
    assert message["parts"] == [part("what is it?"), png, link]


@pytest.mark.parametrize("is_streamed", [False, True])
def test_each_choice_is_a_message(
    client: openai.OpenAI, spans: RecordedSpans, is_streamed: bool
) -> None:
    stream: Any = client.chat.completions.create(
        model="hello", messages=HI, n=2, stop="END", frequency_penalty=0.5, stream=is_streamed
    )
    if is_streamed:
        list(stream)
    attributes = spans.only()["attributes"]
    said = {"role": "assistant", "parts": [part("Hello, world")], "finish_reason": "stop"}
    assert attributes["gen_ai.output.messages"] == [said, said]
    assert attributes["gen_ai.response.finish_reasons"] == ["stop", "stop"]
    assert attributes["gen_ai.request.choice.count"] == 2
    assert attributes["gen_ai.request.stop_sequences"] == ["END"]
    assert attributes["gen_ai.request.frequency_penalty"] == 0.5


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize(
    ("model", "parts"),
    [
        ("refusal", [{"type": "refusal", "content": "I cannot"}]),
        ("thinks", [{"type": "reasoning", "content": "hm"}, part("42")]),
    ],
)
def test_refusals_and_reasoning_are_parts(
    client: openai.OpenAI, spans: RecordedSpans, model: str, parts: Any, is_streamed: bool
) -> None:
    reply: Any = client.chat.completions.create(model=model, messages=HI, stream=is_streamed)
    if is_streamed:
        list(reply)
    (message,) = spans.only()["attributes"]["gen_ai.output.messages"]
    assert message["parts"] == parts


class City(BaseModel):
    city: str


def test_parse_is_recorded_once_as_json_output(client: openai.OpenAI, spans: RecordedSpans) -> None:
    reply = client.chat.completions.parse(model="json", messages=HI, response_format=City)
    assert reply.choices[0].message.parsed == City(city="Oslo")
    attributes = spans.only()["attributes"]
    assert attributes["gen_ai.output.type"] == "json"
    assert attributes["gen_ai.output.messages"][0]["parts"] == [part('{"city": "Oslo"}')]


@pytest.mark.parametrize("way", ["for", "until_done", "final"])
def test_stream_helper_is_recorded_however_it_is_read(
    client: openai.OpenAI, openai_server: WireServer, spans: RecordedSpans, way: str
) -> None:
    with client.chat.completions.stream(model="hello", messages=HI) as stream:
        if way == "for":
            kinds = [event.type for event in stream]
            assert kinds.count("chunk") == 5
        elif way == "until_done":
            stream.until_done()
        else:
            final = stream.get_final_completion()
            assert final.choices[0].message.content == "Hello, world"
    assert spans.as_dicts() == [hello(openai_server, **STREAMED)]


async def test_async_stream_helper_is_recorded(
    async_client: openai.AsyncOpenAI, openai_server: WireServer, spans: RecordedSpans
) -> None:
    async with async_client.chat.completions.stream(model="hello", messages=HI) as stream:
        final = await stream.get_final_completion()
    assert final.choices[0].message.content == "Hello, world"
    assert spans.as_dicts() == [hello(openai_server, **STREAMED)]


def test_stream_helper_left_early_is_abandoned(client: openai.OpenAI, spans: RecordedSpans) -> None:
    with client.chat.completions.stream(model="hello", messages=HI) as stream:
        next(stream)
    assert spans.only()["attributes"]["gen_ai.response.finish_reasons"] == ["abandoned"]


# --- raw responses


def test_raw_response_is_recorded_and_still_raw(
    client: openai.OpenAI, openai_server: WireServer, spans: RecordedSpans
) -> None:
    raw = client.chat.completions.with_raw_response.create(model="hello", messages=HI)
    assert raw.status_code == 200
    assert raw.parse().choices[0].message.content == "Hello, world"
    assert spans.as_dicts() == [hello(openai_server)]


def test_stream_parsed_from_a_raw_response_is_recorded(
    client: openai.OpenAI, openai_server: WireServer, spans: RecordedSpans
) -> None:
    raw = client.chat.completions.with_raw_response.create(model="hello", messages=HI, stream=True)
    stream = raw.parse()
    assert raw.parse() is stream
    assert len(list(stream)) == 5
    assert spans.as_dicts() == [hello(openai_server, **STREAMED)]


@pytest.mark.parametrize("way", ["parse", "json", "read", "iter_bytes", "iter_text", "iter_lines"])
def test_streaming_response_is_recorded_however_it_is_read(
    client: openai.OpenAI, openai_server: WireServer, spans: RecordedSpans, way: str
) -> None:
    create = client.chat.completions.with_streaming_response.create
    with create(model="hello", messages=HI) as raw:
        read = getattr(raw, way)()
        if way.startswith("iter"):
            list(read)
    span = spans.only()
    span["attributes"].pop("gen_ai.response.time_to_first_chunk", None)
    assert span == hello(openai_server)


async def test_async_streaming_response_is_recorded(
    async_client: openai.AsyncOpenAI, openai_server: WireServer, spans: RecordedSpans
) -> None:
    create = async_client.chat.completions.with_streaming_response.create
    async with create(model="hello", messages=HI) as raw:
        assert (await raw.parse()).choices[0].message.content == "Hello, world"
    async with create(model="hello", messages=HI, stream=True) as raw:
        lines = [line async for line in raw.iter_lines() if line]
    assert len(lines) == 6
    first, second = spans.as_dicts()
    assert first == hello(openai_server)
    assert second["attributes"]["gen_ai.output.messages"][0]["parts"] == [part("Hello, world")]


def test_streaming_response_is_not_asked_for_a_chunk_that_could_not_be_hidden(
    client: openai.OpenAI, openai_server: WireServer, spans: RecordedSpans
) -> None:
    create = client.chat.completions.with_streaming_response.create
    with create(model="hello", messages=HI, stream=True) as raw:
        list(raw.iter_lines())
    assert "stream_options" not in openai_server.requests[0].body
    assert spans.only()["attributes"]["gen_ai.response.finish_reasons"] == ["stop"]


# --- asking for usage


@pytest.mark.parametrize("wanted", [True, False])
def test_caller_who_decided_about_usage_is_obeyed(
    client: openai.OpenAI, openai_server: WireServer, spans: RecordedSpans, wanted: bool
) -> None:
    options: Any = {"include_usage": wanted}
    stream = client.chat.completions.create(
        model="hello", messages=HI, stream=True, stream_options=options
    )
    assert len(list(stream)) == 5 + wanted
    assert openai_server.requests[0].body["stream_options"] == options
    assert ("gen_ai.usage.input_tokens" in spans.only()["attributes"]) is wanted


async def test_server_that_refuses_stream_options_is_asked_again_without(
    async_client: openai.AsyncOpenAI,
    client: openai.OpenAI,
    openai_server: WireServer,
    spans: RecordedSpans,
) -> None:
    def old_server(request: Request) -> Reply:
        if "stream_options" in request.body:
            return wire.error(400, "Unrecognized request argument supplied: stream_options")
        return wire.answer(request)

    openai_server.script = old_server
    stream = await async_client.chat.completions.create(model="hello", messages=HI, stream=True)
    assert len([chunk async for chunk in stream]) == 5
    assert len(list(client.chat.completions.create(model="hello", messages=HI, stream=True))) == 5
    # Refused once, sent again without; the next call knows.
    assert ["stream_options" in r.body for r in openai_server.requests] == [True, False, False]
    assert all("error" not in span for span in spans.as_dicts())
    assert len(spans.as_dicts()) == 2


def test_stream_helper_survives_a_server_that_refuses_stream_options(
    client: openai.OpenAI, openai_server: WireServer, spans: RecordedSpans
) -> None:
    def old_server(request: Request) -> Reply:
        is_asked = "stream_options" in request.body
        return wire.error(422, "stream_options: extra fields") if is_asked else wire.answer(request)

    openai_server.script = old_server
    with client.chat.completions.stream(model="hello", messages=HI) as stream:
        stream.until_done()
    assert spans.only()["attributes"]["gen_ai.response.finish_reasons"] == ["stop"]


# --- odd callers


def test_unknown_arguments_fail_as_without_us(client: openai.OpenAI, spans: RecordedSpans) -> None:
    create: Any = client.chat.completions.create
    with pytest.raises(TypeError, match="colour"):
        create(model="hello", messages=HI, colour="red")
    assert spans.only()["attributes"]["error.type"] == "TypeError"


def test_extra_body_and_not_given_are_read(
    client: openai.OpenAI, openai_server: WireServer, spans: RecordedSpans
) -> None:
    client.chat.completions.create(
        model="hello", messages=HI, seed=openai.omit, extra_body={"top_p": 0.5, "colour": "red"}
    )
    assert openai_server.requests[0].body["colour"] == "red"
    attributes = spans.only()["attributes"]
    assert attributes["gen_ai.request.top_p"] == 0.5
    assert "gen_ai.request.seed" not in attributes


def test_messages_from_a_generator_still_reach_the_provider(
    client: openai.OpenAI, openai_server: WireServer, spans: RecordedSpans
) -> None:
    client.chat.completions.create(model="hello", messages=(message for message in HI))
    assert openai_server.requests[0].body["messages"] == HI
    assert "gen_ai.input.messages" not in spans.only()["attributes"]


def test_error_in_a_stream_keeps_what_was_read(
    client: openai.OpenAI, openai_server: WireServer, spans: RecordedSpans
) -> None:
    def broken(request: Request) -> Reply:
        reply = wire.answer(request)
        reply.events.insert(2, (None, {"error": {"message": "it broke"}}))
        return reply

    openai_server.script = broken
    with pytest.raises(openai.APIError, match="it broke"):
        list(client.chat.completions.create(model="hello", messages=HI, stream=True))
    span = spans.only()
    assert span["error"] == "it broke"
    assert span["attributes"]["gen_ai.output.messages"][0]["parts"] == [part("Hello")]


def test_chunks_of_a_slow_stream_reach_the_host_at_once(
    client: openai.OpenAI, openai_server: WireServer, spans: RecordedSpans
) -> None:
    release = threading.Event()

    def slow(request: Request) -> Reply:
        reply = wire.answer(request)
        reply.hold = 2, release
        return reply

    openai_server.script = slow
    stream = client.chat.completions.create(model="hello", messages=HI, stream=True)
    assert next(stream).choices[0].delta.content == ""
    assert next(stream).choices[0].delta.content == "Hello"
    assert spans.as_dicts() == []
    release.set()
    list(stream)
    assert spans.as_dicts() == [hello(openai_server, **STREAMED)]


def test_stream_the_server_cuts_short_has_no_finish_reason(
    client: openai.OpenAI, openai_server: WireServer, spans: RecordedSpans
) -> None:
    def cut(request: Request) -> Reply:
        reply = wire.answer(request)
        reply.break_after = 2
        return reply

    openai_server.script = cut
    assert len(list(client.chat.completions.create(model="hello", messages=HI, stream=True))) == 2
    attributes = spans.only()["attributes"]
    assert attributes["gen_ai.output.messages"][0]["parts"] == [part("Hello")]
    assert "gen_ai.response.finish_reasons" not in attributes


async def test_cancelled_call_ends_its_span(
    async_client: openai.AsyncOpenAI, openai_server: WireServer, spans: RecordedSpans
) -> None:
    arrived, release = threading.Event(), threading.Event()

    def slow(request: Request) -> Reply:
        arrived.set()
        release.wait(30)
        return wire.answer(request)

    openai_server.script = slow
    call = asyncio.create_task(async_client.chat.completions.create(model="hello", messages=HI))
    await asyncio.to_thread(arrived.wait, 30)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    release.set()
    assert spans.only()["attributes"]["error.type"] == "asyncio.exceptions.CancelledError"


async def test_concurrent_streams_do_not_mix(
    async_client: openai.AsyncOpenAI, spans: RecordedSpans
) -> None:
    async def read(model: str) -> None:
        stream = await async_client.chat.completions.create(model=model, messages=HI, stream=True)
        async for _ in stream:
            await asyncio.sleep(0)

    await asyncio.gather(*(read(model) for model in ("hello", "tools", "refusal") * 4))
    said = {
        "chat hello": [part("Hello, world")],
        "chat tools": CALLS,
        "chat refusal": [{"type": "refusal", "content": "I cannot"}],
    }
    assert len(spans.as_dicts()) == 12
    for span in spans.as_dicts():
        assert span["attributes"]["gen_ai.output.messages"][0]["parts"] == said[span["name"]]
        assert span["parent"] is None


def test_azure_is_named(openai_server: WireServer, spans: RecordedSpans) -> None:
    with openai.AzureOpenAI(
        api_key="k", azure_endpoint=openai_server.url, api_version="2024-10-21", max_retries=0
    ) as azure:
        azure.chat.completions.create(model="hello", messages=HI)
    assert openai_server.requests[0].path.startswith("/openai/deployments/hello/chat/completions")
    assert spans.as_dicts() == [hello(openai_server, **{"gen_ai.provider.name": "azure.ai.openai"})]


def test_before_init_nothing_is_recorded_or_asked_for(
    client: openai.OpenAI, openai_server: WireServer
) -> None:
    assert len(list(client.chat.completions.create(model="hello", messages=HI, stream=True))) == 5
    assert "stream_options" not in openai_server.requests[0].body
