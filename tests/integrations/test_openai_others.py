"""The OpenAI client, recorded: responses, embeddings and legacy completions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from kibitz_integrations.openai import instrument, uninstrument
from kibitz_integrations.openai.responses import read_request
from tests.integrations.conftest import RecordedSpans
from tests.integrations.wire.server import WireServer


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


def common(server: WireServer, operation: str) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": "openai",
        "server.address": "127.0.0.1",
        "server.port": server.port,
        "gen_ai.request.model": "hello",
        "gen_ai.input.messages": [{"role": "user", "parts": [part("hi")]}],
        "gen_ai.response.model": "hello-2026",
    }


def hello(server: WireServer, **more: Any) -> dict[str, Any]:
    """The whole span of one `hello` response."""
    said = {"role": "assistant", "parts": [part("Hello, world")], "finish_reason": "stop"}
    attributes = {
        **common(server, "chat"),
        "openai.api.type": "responses",
        "gen_ai.response.id": "resp_1",
        "openai.response.service_tier": "default",
        "gen_ai.output.messages": [said],
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 20,
        "gen_ai.usage.output_tokens": 9,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.cache_write.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 3,
        **more,
    }
    return {"name": "chat hello", "kind": 3, "parent": None, "attributes": attributes}


STREAMED = {"gen_ai.request.stream": True, "gen_ai.response.time_to_first_chunk": 0.001}


def test_response_is_a_whole_span(
    client: openai.OpenAI, openai_server: WireServer, spans: RecordedSpans
) -> None:
    reply = client.responses.create(
        model="hello", input="hi", instructions="be kind", reasoning={"effort": "low"}
    )
    assert reply.output_text == "Hello, world"
    more = {
        "gen_ai.system_instructions": [part("be kind")],
        "gen_ai.request.reasoning.level": "low",
    }
    assert spans.as_dicts() == [hello(openai_server, **more)]


async def test_async_and_streamed_responses_are_whole_spans(
    async_client: openai.AsyncOpenAI, openai_server: WireServer, spans: RecordedSpans
) -> None:
    await async_client.responses.create(model="hello", input="hi")
    stream = await async_client.responses.create(model="hello", input="hi", stream=True)
    kinds = [event.type async for event in stream]
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert spans.as_dicts() == [hello(openai_server), hello(openai_server, **STREAMED)]


def test_streamed_response_is_a_whole_span(
    client: openai.OpenAI, openai_server: WireServer, spans: RecordedSpans
) -> None:
    list(client.responses.create(model="hello", input="hi", stream=True))
    assert spans.as_dicts() == [hello(openai_server, **STREAMED)]


def test_response_stream_helper_is_a_whole_span(
    client: openai.OpenAI, openai_server: WireServer, spans: RecordedSpans
) -> None:
    with client.responses.stream(model="hello", input="hi") as stream:
        assert stream.get_final_response().output_text == "Hello, world"
    assert spans.as_dicts() == [hello(openai_server, **STREAMED)]


async def test_async_response_stream_helper_is_a_whole_span(
    async_client: openai.AsyncOpenAI, openai_server: WireServer, spans: RecordedSpans
) -> None:
    async with async_client.responses.stream(model="hello", input="hi") as stream:
        await stream.until_done()
    assert spans.as_dicts() == [hello(openai_server, **STREAMED)]


def test_response_stream_left_early_keeps_its_text(
    client: openai.OpenAI, spans: RecordedSpans
) -> None:
    with client.responses.create(model="hello", input="hi", stream=True) as stream:
        for event in stream:
            if event.type == "response.output_text.delta":
                break
    attributes = spans.only()["attributes"]
    said = {"role": "assistant", "parts": [part("Hello,")], "finish_reason": "abandoned"}
    assert attributes["gen_ai.output.messages"] == [said]
    assert attributes["gen_ai.response.id"] == "resp_1"


class City(BaseModel):
    city: str


def test_parsed_response_is_recorded_once(client: openai.OpenAI, spans: RecordedSpans) -> None:
    reply = client.responses.parse(model="json", input="hi", text_format=City)
    assert reply.output_parsed == City(city="Oslo")
    assert spans.only()["attributes"]["gen_ai.output.type"] == "json"


@pytest.mark.parametrize("is_streamed", [False, True])
def test_reasoning_and_calls_of_a_response_are_one_message(
    client: openai.OpenAI, spans: RecordedSpans, is_streamed: bool
) -> None:
    reply: Any = client.responses.create(model="tools", input="hi", stream=is_streamed)
    if is_streamed:
        list(reply)
    call = {
        "type": "tool_call",
        "id": "call_1",
        "name": "get_weather",
        "arguments": {"city": "Oslo"},
    }
    said = [{"type": "reasoning", "content": "hm"}, call]
    message = {"role": "assistant", "parts": said, "finish_reason": "tool_call"}
    assert spans.only()["attributes"]["gen_ai.output.messages"] == [message]


@pytest.mark.parametrize("is_streamed", [False, True])
def test_failed_response_is_an_error_without_an_exception(
    client: openai.OpenAI, spans: RecordedSpans, is_streamed: bool
) -> None:
    reply: Any = client.responses.create(model="failed", input="hi", stream=is_streamed)
    if is_streamed:
        list(reply)
    span = spans.only()
    assert span["error"] == "it broke"
    assert span["attributes"]["error.type"] == "server_error"
    assert span["attributes"]["gen_ai.response.finish_reasons"] == ["error"]


def test_response_error_passes_and_is_on_the_span(
    client: openai.OpenAI, spans: RecordedSpans
) -> None:
    with pytest.raises(openai.InternalServerError):
        client.responses.create(model="overloaded", input="hi")
    assert spans.only()["attributes"]["error.type"] == "openai.InternalServerError"


def test_raw_response_of_responses_is_recorded(
    client: openai.OpenAI, openai_server: WireServer, spans: RecordedSpans
) -> None:
    raw = client.responses.with_raw_response.create(model="hello", input="hi")
    assert raw.parse().output_text == "Hello, world"
    assert spans.as_dicts() == [hello(openai_server)]


def test_reading_a_response_again_is_not_a_chat() -> None:
    read = read_request({"response_id": "resp_1"})
    assert read["gen_ai.operation.name"] == "fetch_response"


def test_every_kind_of_input_item_is_read() -> None:
    items = [
        {"role": "developer", "content": "be kind"},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "see"},
                {"type": "input_image", "image_url": "data:image/gif;base64,R0lG"},
                {"type": "input_file", "file_id": "file_1"},
            ],
        },
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "not json"},
        {"type": "function_call_output", "call_id": "c", "output": "done"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
    ]
    read = read_request({"model": "m", "input": items})
    gif = {"type": "blob", "modality": "image", "mime_type": "image/gif", "content": "R0lG"}
    file = {"type": "file", "modality": "file", "mime_type": None, "file_id": "file_1"}
    call = {"type": "tool_call", "id": "c", "name": "f", "arguments": "not json"}
    search = {
        "type": "server_tool_call",
        "id": "ws_1",
        "name": "web_search",
        "server_tool_call": items[5],
    }
    assert read["gen_ai.input.messages"] == [
        {"role": "developer", "parts": [part("be kind")]},
        {"role": "user", "parts": [part("see"), gif, file]},
        {"role": "assistant", "parts": [{"type": "reasoning", "content": "hm"}, call]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c", "response": "done"}]},
        {"role": "assistant", "parts": [search]},
    ]


def test_embeddings_are_a_whole_span_without_vectors(
    client: openai.OpenAI, openai_server: WireServer, spans: RecordedSpans
) -> None:
    reply = client.embeddings.create(model="hello", input=["hi"])
    assert reply.data[0].embedding == [0.5, 0.25]
    more = {"gen_ai.usage.input_tokens": 5, "gen_ai.embeddings.dimension.count": 2}
    attributes = {**common(openai_server, "embeddings"), **more}
    assert spans.as_dicts() == [
        {"name": "embeddings hello", "kind": 3, "parent": None, "attributes": attributes}
    ]


async def test_async_embeddings_of_tokens_have_no_messages(
    async_client: openai.AsyncOpenAI, spans: RecordedSpans
) -> None:
    await async_client.embeddings.create(model="hello", input=[1, 2, 3], encoding_format="float")
    attributes = spans.only()["attributes"]
    assert "gen_ai.input.messages" not in attributes
    assert attributes["gen_ai.request.encoding_formats"] == ["float"]


@pytest.mark.parametrize("is_streamed", [False, True])
def test_legacy_completion_is_a_whole_span(
    client: openai.OpenAI, openai_server: WireServer, spans: RecordedSpans, is_streamed: bool
) -> None:
    reply: Any = client.completions.create(model="hello", prompt="hi", stream=is_streamed)
    if is_streamed:
        assert len(list(reply)) == 2
    said = {"role": "assistant", "parts": [part("Hello")], "finish_reason": "stop"}
    attributes = {
        **common(openai_server, "text_completion"),
        "gen_ai.response.id": "cmpl-1",
        "gen_ai.output.messages": [said],
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 20,
        "gen_ai.usage.output_tokens": 9,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.reasoning.output_tokens": 3,
        "gen_ai.request.stream": is_streamed,
        **(STREAMED if is_streamed else {}),
    }
    assert spans.only()["attributes"] == attributes
