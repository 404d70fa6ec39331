"""The Anthropic client, recorded: messages through the real library against the wire."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anthropic
import pytest
from anthropic.resources.messages import AsyncMessages, Messages
from pydantic import BaseModel

from kibitz.patching import is_patched
from kibitz_integrations.anthropic import ENDPOINTS, instrument, uninstrument
from kibitz_integrations.anthropic.messages import read_request
from tests.integrations.conftest import RecordedSpans
from tests.integrations.wire import anthropic as wire
from tests.integrations.wire.server import Reply, Request, WireServer

HI: list[Any] = [{"role": "user", "content": "hi"}]


@pytest.fixture(autouse=True)
def instrumented() -> Iterator[None]:
    instrument()
    yield
    uninstrument()


@pytest.fixture
def client(anthropic_server: WireServer) -> Iterator[anthropic.Anthropic]:
    url = anthropic_server.url
    with anthropic.Anthropic(api_key="k", base_url=url, max_retries=0) as client:
        yield client


@pytest.fixture
async def async_client(anthropic_server: WireServer) -> AsyncIterator[anthropic.AsyncAnthropic]:
    url = anthropic_server.url
    async with anthropic.AsyncAnthropic(api_key="k", base_url=url, max_retries=0) as client:
        yield client


def part(text: str) -> dict[str, str]:
    return {"type": "text", "content": text}


def hello(server: WireServer, **more: Any) -> dict[str, Any]:
    """The whole span of one `hello` call."""
    said = {"role": "assistant", "parts": [part("Hello, world")], "finish_reason": "stop"}
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "server.address": "127.0.0.1",
        "server.port": server.port,
        "gen_ai.request.model": "hello",
        "gen_ai.request.max_tokens": 9,
        "gen_ai.input.messages": [{"role": "user", "parts": [part("hi")]}],
        "gen_ai.response.id": "msg_1",
        "gen_ai.response.model": "hello-2026",
        "gen_ai.output.messages": [said],
        "gen_ai.response.finish_reasons": ["stop"],
        # On the wire 10, 64 and 26 are apart.
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.cache_read.input_tokens": 64,
        "gen_ai.usage.cache_write.input_tokens": 26,
        "gen_ai.usage.cache_creation.input_tokens": 26,
        "gen_ai.usage.output_tokens": 9,
        **more,
    }
    return {"name": "chat hello", "kind": 3, "parent": None, "attributes": attributes}


STREAMED = {"gen_ai.request.stream": True, "gen_ai.response.time_to_first_chunk": 0.001}
TOOLS = [
    {"type": "reasoning", "content": "hm, weather"},
    part("Let me look"),
    {"type": "tool_call", "id": "toolu_1", "name": "get_weather", "arguments": {"city": "Oslo"}},
]

# --- the seven


def test_sync_call_is_a_whole_span(
    client: anthropic.Anthropic, anthropic_server: WireServer, spans: RecordedSpans
) -> None:
    reply = client.messages.create(
        model="hello", max_tokens=9, messages=HI, system="be kind", stop_sequences=["END"]
    )
    assert reply.content[0].type == "text"
    more = {
        "gen_ai.system_instructions": [part("be kind")],
        "gen_ai.request.stop_sequences": ["END"],
    }
    assert spans.as_dicts() == [hello(anthropic_server, **more)]


async def test_async_call_is_a_whole_span(
    async_client: anthropic.AsyncAnthropic, anthropic_server: WireServer, spans: RecordedSpans
) -> None:
    await async_client.messages.create(model="hello", max_tokens=9, messages=HI)
    assert spans.as_dicts() == [hello(anthropic_server)]


def test_stream_is_a_whole_span(
    client: anthropic.Anthropic, anthropic_server: WireServer, spans: RecordedSpans
) -> None:
    stream = client.messages.create(model="hello", max_tokens=9, messages=HI, stream=True)
    assert isinstance(stream, anthropic.Stream)
    assert next(event.type for event in stream) == "message_start"
    list(stream)
    assert spans.as_dicts() == [hello(anthropic_server, **STREAMED)]


async def test_async_stream_is_a_whole_span(
    async_client: anthropic.AsyncAnthropic, anthropic_server: WireServer, spans: RecordedSpans
) -> None:
    create = async_client.messages.create
    stream = await create(model="hello", max_tokens=9, messages=HI, stream=True)
    assert [event.type async for event in stream][-1] == "message_stop"
    assert spans.as_dicts() == [hello(anthropic_server, **STREAMED)]


@pytest.mark.parametrize("leave", ["close", "with", "collected"])
def test_stream_left_early_is_abandoned_with_what_was_read(
    client: anthropic.Anthropic, spans: RecordedSpans, leave: str
) -> None:
    stream = client.messages.create(model="hello", max_tokens=9, messages=HI, stream=True)
    for event in stream:
        if event.type == "content_block_delta":
            break
    response = stream.response
    if leave == "with":
        with stream:
            pass
    elif leave == "close":
        stream.close()
    del stream
    gc.collect()
    response.close()
    attributes = spans.only()["attributes"]
    message = {"role": "assistant", "parts": [part("Hello,")], "finish_reason": "abandoned"}
    assert attributes["gen_ai.output.messages"] == [message]
    assert attributes["gen_ai.response.finish_reasons"] == ["abandoned"]
    assert attributes["gen_ai.usage.input_tokens"] == 100


def test_provider_error_passes_unchanged_and_is_on_the_span(
    client: anthropic.Anthropic, spans: RecordedSpans
) -> None:
    with pytest.raises(anthropic.APIStatusError) as caught:
        client.messages.create(model="overloaded", max_tokens=9, messages=HI)
    span = spans.only()
    assert span["error"] == str(caught.value)
    assert span["attributes"]["error.type"].startswith("anthropic.")


def test_patched_twice_records_once(
    client: anthropic.Anthropic, anthropic_server: WireServer, spans: RecordedSpans
) -> None:
    instrument()
    client.messages.create(model="hello", max_tokens=9, messages=HI)
    assert spans.as_dicts() == [hello(anthropic_server)]


def test_undone_is_the_very_same_attribute(
    client: anthropic.Anthropic, spans: RecordedSpans
) -> None:
    uninstrument()
    before = [vars(owner)["create"] for owner in (Messages, AsyncMessages)]
    instrument()
    assert vars(Messages)["create"] is not before[0]
    uninstrument()
    assert vars(Messages)["create"] is before[0]
    assert vars(AsyncMessages)["create"] is before[1]
    client.messages.create(model="hello", max_tokens=9, messages=HI)
    assert spans.as_dicts() == []


# --- more


def test_methods_of_this_version_are_found() -> None:
    missed = {endpoint.target for endpoint in ENDPOINTS if not is_patched(endpoint)}
    assert not any(target.startswith("anthropic.resources.messages") for target in missed)
    assert "anthropic.resources.beta.messages:Messages.create" not in missed


@pytest.mark.parametrize("is_streamed", [False, True])
def test_thinking_text_and_tool_use_are_parts(
    client: anthropic.Anthropic, spans: RecordedSpans, is_streamed: bool
) -> None:
    schema: Any = {"type": "object", "properties": {"city": {"type": "string"}}}
    reply: Any = client.messages.create(
        model="tools",
        max_tokens=9,
        messages=HI,
        tools=[{"name": "get_weather", "description": "Tell it", "input_schema": schema}],
        stream=is_streamed,
    )
    if is_streamed:
        list(reply)
    attributes = spans.only()["attributes"]
    message = {"role": "assistant", "parts": TOOLS, "finish_reason": "tool_call"}
    assert attributes["gen_ai.output.messages"] == [message]
    assert attributes["gen_ai.tool.definitions"] == [
        {
            "type": "function",
            "name": "get_weather",
            "description": "Tell it",
            "parameters": schema,
        }
    ]


@pytest.mark.parametrize("way", ["for", "text", "final", "until_done"])
def test_stream_helper_is_recorded_however_it_is_read(
    client: anthropic.Anthropic, spans: RecordedSpans, way: str
) -> None:
    with client.messages.stream(model="tools", max_tokens=9, messages=HI) as stream:
        if way == "for":
            assert "text" in [event.type for event in stream]
        elif way == "text":
            assert "".join(stream.text_stream) == "Let me look"
        elif way == "final":
            assert stream.get_final_message().stop_reason == "tool_use"
        else:
            stream.until_done()
    attributes = spans.only()["attributes"]
    message = {"role": "assistant", "parts": TOOLS, "finish_reason": "tool_call"}
    assert attributes["gen_ai.output.messages"] == [message]
    assert attributes["gen_ai.request.stream"] is True
    assert attributes["gen_ai.response.time_to_first_chunk"] == 0.001


async def test_async_stream_helper_is_recorded(
    async_client: anthropic.AsyncAnthropic, anthropic_server: WireServer, spans: RecordedSpans
) -> None:
    async with async_client.messages.stream(model="hello", max_tokens=9, messages=HI) as stream:
        assert [text async for text in stream.text_stream] == ["Hello,", " world"]
    async with async_client.messages.stream(model="hello", max_tokens=9, messages=HI) as stream:
        assert await stream.get_final_text() == "Hello, world"
    assert spans.as_dicts() == [hello(anthropic_server, **STREAMED)] * 2


def test_stream_helper_left_early_is_abandoned(
    client: anthropic.Anthropic, spans: RecordedSpans
) -> None:
    with client.messages.stream(model="hello", max_tokens=9, messages=HI) as stream:
        assert next(stream.text_stream) == "Hello,"
    attributes = spans.only()["attributes"]
    assert attributes["gen_ai.response.finish_reasons"] == ["abandoned"]
    assert attributes["gen_ai.output.messages"][0]["parts"] == [part("Hello,")]


def test_beta_messages_are_recorded(
    client: anthropic.Anthropic, anthropic_server: WireServer, spans: RecordedSpans
) -> None:
    client.beta.messages.create(model="hello", max_tokens=9, messages=HI)
    assert spans.as_dicts() == [hello(anthropic_server)]


class City(BaseModel):
    city: str


def test_parse_is_recorded_once_as_json_output(
    client: anthropic.Anthropic, spans: RecordedSpans
) -> None:
    reply = client.messages.parse(model="json", max_tokens=9, messages=HI, output_format=City)
    assert reply.parsed_output == City(city="Oslo")
    assert spans.only()["attributes"]["gen_ai.output.type"] == "json"


def test_raw_responses_are_recorded(
    client: anthropic.Anthropic, anthropic_server: WireServer, spans: RecordedSpans
) -> None:
    raw = client.messages.with_raw_response.create(model="hello", max_tokens=9, messages=HI)
    assert raw.parse().id == "msg_1"
    create = client.messages.with_streaming_response.create
    with create(model="hello", max_tokens=9, messages=HI, stream=True) as streamed:
        assert len(list(streamed.iter_lines())) > 10
    with create(model="hello", max_tokens=9, messages=HI, stream=True) as streamed:
        assert len(list(streamed.parse())) == 7
    first, second, third = spans.as_dicts()
    assert first == hello(anthropic_server)
    assert second == third == hello(anthropic_server, **STREAMED)


def test_error_event_in_a_stream_keeps_what_was_read(
    client: anthropic.Anthropic, anthropic_server: WireServer, spans: RecordedSpans
) -> None:
    def broken(request: Request) -> Reply:
        reply = wire.answer(request)
        error = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
        reply.events.insert(4, ("error", error))
        return reply

    anthropic_server.script = broken
    with pytest.raises(anthropic.APIStatusError):
        list(client.messages.create(model="hello", max_tokens=9, messages=HI, stream=True))
    span = spans.only()
    assert "error.type" in span["attributes"]
    assert span["attributes"]["gen_ai.output.messages"][0]["parts"] == [part("Hello,")]


async def test_concurrent_streams_do_not_mix(
    async_client: anthropic.AsyncAnthropic, spans: RecordedSpans
) -> None:
    async def read(model: str) -> None:
        async with async_client.messages.stream(model=model, max_tokens=9, messages=HI) as stream:
            async for _ in stream:
                await asyncio.sleep(0)

    await asyncio.gather(*(read(model) for model in ("hello", "tools") * 5))
    said = {"chat hello": [part("Hello, world")], "chat tools": TOOLS}
    assert len(spans.as_dicts()) == 10
    for span in spans.as_dicts():
        assert span["attributes"]["gen_ai.output.messages"][0]["parts"] == said[span["name"]]


def test_unknown_arguments_fail_as_without_us(
    client: anthropic.Anthropic, spans: RecordedSpans
) -> None:
    create: Any = client.messages.create
    with pytest.raises(TypeError, match="colour"):
        create(model="hello", max_tokens=9, messages=HI, colour="red")
    assert spans.only()["attributes"]["error.type"] == "TypeError"


def test_every_kind_of_block_is_read() -> None:
    png = {"type": "base64", "media_type": "image/png", "data": "iVBORw0="}
    blocks = [
        {"type": "text", "text": "see"},
        {"type": "image", "source": png},
        {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
        {"type": "tool_result", "tool_use_id": "t", "content": "cold", "is_error": True},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
        {"type": "novel", "x": 1},
    ]
    read = read_request({"model": "m", "messages": [{"role": "user", "content": blocks}]})
    (message,) = read["gen_ai.input.messages"]
    blob = {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "iVBORw0="}
    pdf = "https://example.com/a.pdf"
    search = {"type": "web_search", "input": {"query": "q"}}
    found = {"type": "web_search_tool_result", "content": []}
    assert message["parts"] == [
        part("see"),
        blob,
        {"type": "uri", "modality": "file", "mime_type": None, "uri": pdf},
        {"type": "tool_call_response", "id": "t", "response": "cold", "is_error": True},
        {"type": "server_tool_call", "id": "s", "name": "web_search", "server_tool_call": search},
        {"type": "server_tool_call_response", "id": "s", "server_tool_call_response": found},
        {"type": "novel", "x": 1},
    ]
