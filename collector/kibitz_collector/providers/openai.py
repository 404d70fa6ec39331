"""OpenAI, and every service that speaks its API: chat and text completions, whole and streamed.

Package `openai>=1.40`. Source: OpenAI API reference, chat completions and completions, 2026-10.
"""

import atexit
import functools
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kibitz_collector.providers.stainless import first_and_rest, translated
from kibitz_collector.providers.types import (
    Connection,
    Delta,
    ModelRequest,
    Reply,
    without_none,
)
from kibitz_collector.records import Json, Message, Tokens

if TYPE_CHECKING:
    import openai

# These refuse `max_tokens`; most other services know nothing else.
_REASONING = re.compile(r"(o\d|gpt-5|gpt-6)")
_OWN = ("openai", "openai_azure")
_AZURE_VERSION = "2024-10-21"
# It refuses what it does not know, and calls some things by other names.
_MISTRAL = {"seed": "random_seed"}
# Services that need no key still get one: the package refuses to send none.
_NO_KEY = "none"


def call(request: ModelRequest, connection: Connection) -> Reply:
    """Ask and wait; see `Provider.call`."""
    body = write_body(request, connection.provider)
    with translated("openai", connection, body):
        reply = _create(_client(connection), request, body, stream=False)
        return read_reply(reply.to_dict(mode="json"), body)


def stream(request: ModelRequest, connection: Connection) -> Iterator[Delta | Reply]:
    """Ask and read along; see `Provider.stream`."""
    body = write_body(request, connection.provider)
    if connection.provider != "mistral":  # which tells the usage unasked, and refuses to be asked
        body["stream_options"] = {"include_usage": True}
    fold = Fold()
    with (
        translated("openai", connection, body),
        _create(_client(connection), request, body, stream=True) as chunks,
    ):
        for chunk in chunks:
            text = fold.add(chunk.to_dict(mode="json"))
            if text:
                yield Delta(text=text)
    yield read_reply(fold.whole(), body | {"stream": True})


def embed(model: str, text: str, connection: Connection) -> list[float]:
    """Return the vector of a text; see `providers.embed`."""
    body: Json = {"model": model, "input": text, "encoding_format": "float"}
    with translated("openai", connection, body):
        reply = _client(connection).embeddings.create(**body)
        return [float(number) for number in reply.data[0].embedding]


def write_body(request: ModelRequest, provider: str) -> Json:
    """Return the JSON the API takes."""
    is_chat = request.endpoint != "complete"
    limit = request.max_tokens if request.max_tokens not in (None, -1) else None
    is_reasoning = provider in _OWN and _REASONING.match(request.model) is not None
    body = without_none(
        model=request.model,
        temperature=request.temperature,
        top_p=request.top_p,
        stop=request.stop or None,
        presence_penalty=request.presence_penalty,
        frequency_penalty=request.frequency_penalty,
        seed=request.seed,
    )
    if limit is not None:
        body["max_completion_tokens" if is_reasoning and is_chat else "max_tokens"] = limit
    body |= _write_chat(request) if is_chat else _write_completion(request)
    if provider == "mistral":
        body = {_MISTRAL.get(name, name): value for name, value in body.items()}
    return body | request.other


def _write_completion(request: ModelRequest) -> Json:
    return without_none(
        prompt=request.prompt or "", suffix=request.suffix, logprobs=request.logprobs
    )


def _write_chat(request: ModelRequest) -> Json:
    body: Json = {"messages": [_write_message(message) for message in request.messages]}
    if request.tools:
        body["tools"] = [{"type": "function", "function": _written(t)} for t in request.tools]
        if request.tool_choice is not None:
            body["tool_choice"] = request.tool_choice
    if request.response_format is not None:
        body["response_format"] = _write_format(request.response_format)
    if request.reasoning_effort is not None:
        body["reasoning_effort"] = request.reasoning_effort
    if request.logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": request.logprobs}
    return body


def _write_message(message: Message) -> Json:
    kept = ("content", "name", "tool_call_id")
    written: Json = {"role": message["role"]}
    written |= {name: message[name] for name in kept if message.get(name) is not None}
    if message.get("tool_calls"):
        written["tool_calls"] = [_write_call(tool_call) for tool_call in message["tool_calls"]]
    return written


def _write_call(tool_call: Json) -> Json:
    function = {"name": tool_call.get("name"), "arguments": tool_call.get("arguments") or "{}"}
    return {"id": tool_call.get("id"), "type": "function", "function": function}


def _written(tool: Json) -> Json:
    return {name: value for name, value in tool.items() if value is not None}


def _write_format(wanted: Json) -> Json:
    schema = wanted.get("json_schema")
    if wanted.get("type") != "json_schema" or not isinstance(schema, dict) or "schema" in schema:
        return _written(wanted)
    return {"type": "json_schema", "json_schema": {"name": "response", "schema": schema}}


# --- replies


def read_reply(told: Json, body: Json) -> Reply:
    """Read a completion object, chat or text."""
    choice = (told.get("choices") or [{}])[0]
    said = choice.get("message") or {"content": choice.get("text")}
    message: Message = {"role": said.get("role") or "assistant", "content": said.get("content")}
    if said.get("refusal") and not message["content"]:
        message["content"] = said["refusal"]
    if said.get("tool_calls"):
        message["tool_calls"] = [_read_call(tool_call) for tool_call in said["tool_calls"]]
    thought = said.get("reasoning_content") or said.get("reasoning")
    if isinstance(thought, str):
        message["reasoning"] = thought
    return Reply(
        message=message,
        text=message["content"],
        finish_reason=choice.get("finish_reason"),
        tokens=_read_tokens(told.get("usage")),
        model_served=told.get("model"),
        response_id=told.get("id"),
        request=body,
        response=told,
    )


def _read_call(tool_call: Json) -> Json:
    function = tool_call.get("function") or {}
    return {
        "id": str(tool_call.get("id") or ""),
        "name": str(function.get("name") or ""),
        "arguments": str(function.get("arguments") or ""),
    }


def _read_tokens(usage: Json | None) -> Tokens | None:
    """Make disjoint buckets: the API counts cached in prompt, and reasoning in completion."""
    if not usage:
        return None
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    details_in = usage.get("prompt_tokens_details") or {}
    details_out = usage.get("completion_tokens_details") or {}
    read, reasoning = details_in.get("cached_tokens"), details_out.get("reasoning_tokens")
    return Tokens(
        input_uncached=None if prompt is None else max(0, prompt - (read or 0)),
        cache_read=read,
        output=None if completion is None else max(0, completion - (reasoning or 0)),
        reasoning=reasoning,
    )


class Fold:
    """Puts the chunks of one streamed choice together again."""

    def __init__(self) -> None:
        self._told: Json = {}
        self._finish: str | None = None
        self._message: Message = {"role": "assistant", "content": None}
        self._calls: dict[int, Json] = {}
        self._is_text = False

    def add(self, chunk: Json) -> str:
        """Take one chunk; returns what it adds to the text."""
        self._told |= {k: v for k, v in chunk.items() if k != "choices" and v is not None}
        text = ""
        for choice in (chunk.get("choices") or [])[:1]:
            self._finish = choice.get("finish_reason") or self._finish
            if "text" in choice:
                self._is_text = True
                text += self._append("content", choice["text"])
            delta = choice.get("delta") or {}
            text += self._append("content", delta.get("content"))
            text += self._append("refusal", delta.get("refusal"))
            for name in ("reasoning_content", "reasoning"):
                self._append(name, delta.get(name))
            for piece in delta.get("tool_calls") or []:
                self._add_call(piece)
        return text

    def whole(self) -> Json:
        """Return the completion object that the chunks add up to."""
        message = dict(self._message)
        if self._calls:
            message["tool_calls"] = [self._calls[index] for index in sorted(self._calls)]
        said = {"text": message["content"] or ""} if self._is_text else {"message": message}
        choice = {"index": 0, **said, "finish_reason": self._finish}
        return {**self._told, "choices": [choice]}

    def _append(self, name: str, text: Any) -> str:
        if not isinstance(text, str):
            return ""
        self._message[name] = (self._message.get(name) or "") + text
        return text

    def _add_call(self, piece: Json) -> None:
        index = piece.get("index")
        known = self._calls.setdefault(
            index if isinstance(index, int) else len(self._calls),
            {"id": "", "type": "function", "function": {"name": "", "arguments": ""}},
        )
        known["id"] = piece.get("id") or known["id"]
        function = piece.get("function") or {}
        known["function"]["name"] = function.get("name") or known["function"]["name"]
        known["function"]["arguments"] += function.get("arguments") or ""


# --- the package


def _create(client: "openai.OpenAI", request: ModelRequest, body: Json, *, stream: bool) -> Any:
    if request.endpoint == "complete":
        complete: Any = client.completions.create
        return complete(**first_and_rest(body, "model", "prompt"), stream=stream)
    chat: Any = client.chat.completions.create
    return chat(**first_and_rest(body, "model", "messages"), stream=stream)


def _client(connection: Connection) -> "openai.OpenAI":
    import openai

    key = connection.api_key or _NO_KEY
    if connection.provider == "openai_azure":
        return openai.AzureOpenAI(
            api_key=key,
            azure_endpoint=connection.base_url or "",
            api_version=_AZURE_VERSION,
            timeout=connection.timeout_s,
            max_retries=0,
            http_client=_http_client(),
        )
    return openai.OpenAI(
        api_key=key,
        base_url=connection.base_url,
        timeout=connection.timeout_s,
        max_retries=0,  # one call is one request and one Log; who wants another asks again
        http_client=_http_client(),
    )


@functools.cache
def _http_client() -> Any:
    """Share one pool: making one loads certificates, which takes longer than many a call.

    It follows no redirect: they lead past the check of addresses.
    """
    import openai

    client = openai.DefaultHttpxClient(follow_redirects=False)
    atexit.register(client.close)
    return client
