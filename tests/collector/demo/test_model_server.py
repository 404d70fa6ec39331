"""The stand-in speaks OpenAI's wire well enough for the real client."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from kibitz_collector.demo.model_server import ModelServer

TOOLS: list[Any] = [{"type": "function", "function": {"name": "lookup_order", "parameters": {}}}]


@pytest.fixture
def client() -> Iterator[openai.OpenAI]:
    with (
        ModelServer() as server,
        openai.OpenAI(base_url=server.base_url, api_key="k", max_retries=0) as client,
    ):
        yield client


def ask(client: openai.OpenAI, text: str, **more: Any) -> Any:
    messages: list[Any] = [{"role": "user", "content": text}]
    return client.chat.completions.create(model="m", messages=messages, **more)


def test_answers_and_counts_tokens(client: openai.OpenAI) -> None:
    reply = ask(client, "How do refunds work?")
    assert "five working days" in reply.choices[0].message.content
    assert reply.usage.prompt_tokens > 0


def test_asks_for_the_tool_when_an_order_is_named(client: openai.OpenAI) -> None:
    reply = ask(client, "Where is A100?", tools=TOOLS)
    (call,) = reply.choices[0].message.tool_calls
    assert (call.function.name, call.function.arguments) == ("lookup_order", '{"order_id": "A100"}')
    assert reply.choices[0].finish_reason == "tool_calls"


def test_streams_words_and_usage_when_asked(client: openai.OpenAI) -> None:
    with ask(client, "Hi", stream=True, stream_options={"include_usage": True}) as stream:
        chunks = list(stream)
    words = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert len(words) > 5
    assert "open around the clock" in "".join(words)
    assert chunks[-1].usage.completion_tokens > 0


def test_fails_as_a_real_server_does(client: openai.OpenAI) -> None:
    with pytest.raises(openai.InternalServerError, match="overloaded"):
        ask(client, "Are you overloaded?")
