"""An `openai` client whose transport answers at once: no network in the measurement."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import openai

from bench.samples import TEXT

MESSAGES = [
    {"role": "system", "content": TEXT[:400]},
    {"role": "user", "content": TEXT[400:1000]},
]
CHUNK_COUNT = 100
_USAGE = {"prompt_tokens": 200, "completion_tokens": 210, "total_tokens": 410}
_REPLY = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "logprobs": None,
                "message": {"role": "assistant", "content": TEXT, "refusal": None},
            }
        ],
        "usage": {**_USAGE, "prompt_tokens_details": {"cached_tokens": 0}},
    }
).encode()


def _chunk(delta: dict[str, str], finish: str | None = None, usage: Any = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [] if usage else [choice],
        "usage": usage,
    }
    return b"data: %b\n\n" % json.dumps(chunk).encode()


_CHUNKS = [
    _chunk({"role": "assistant", "content": ""}),
    *(_chunk({"content": TEXT[i * 10 : i * 10 + 10]}) for i in range(CHUNK_COUNT - 3)),
    _chunk({}, "stop"),
    _chunk({}, None, _USAGE),
    b"data: [DONE]\n\n",
]


class _Stream(httpx.SyncByteStream, httpx.AsyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        yield from _CHUNKS

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in _CHUNKS:
            yield chunk


def _answer(request: httpx.Request) -> httpx.Response:
    if b'"stream":true' in request.content:
        headers = {"content-type": "text/event-stream"}
        return httpx.Response(200, headers=headers, stream=_Stream())
    return httpx.Response(200, headers={"content-type": "application/json"}, content=_REPLY)


def make_client() -> openai.OpenAI:
    """Return a synchronous client."""
    transport = httpx.MockTransport(_answer)
    return openai.OpenAI(
        api_key="x",
        base_url="http://stub/v1",
        http_client=httpx.Client(transport=transport),
        max_retries=0,
    )


def make_async_client() -> openai.AsyncOpenAI:
    """Return an asynchronous client."""
    transport = httpx.MockTransport(_answer)
    return openai.AsyncOpenAI(
        api_key="x",
        base_url="http://stub/v1",
        http_client=httpx.AsyncClient(transport=transport),
        max_retries=0,
    )
