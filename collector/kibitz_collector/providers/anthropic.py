"""Anthropic: messages, whole and streamed, between the OpenAI form of messages and blocks.

Package `anthropic>=0.40`. Source: Anthropic API reference, messages, 2026-10.
"""

import atexit
import functools
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kibitz_collector.providers.messages import (
    Image,
    arguments_of,
    parts_of,
    schema_of,
    split_system,
    stops_of,
    text_of,
    write_turns,
)
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
    import anthropic

# The API insists on a limit; this is the most that every model takes.
_DEFAULT_MAX_TOKENS = 4096
_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def call(request: ModelRequest, connection: Connection) -> Reply:
    """Ask and wait; see `Provider.call`."""
    body = write_body(request)
    with translated("anthropic", connection, body):
        reply = _create(_client(connection), body, stream=False)
        return read_reply(reply.to_dict(mode="json"), body)


def stream(request: ModelRequest, connection: Connection) -> Iterator[Delta | Reply]:
    """Ask and read along; see `Provider.stream`."""
    body = write_body(request)
    fold = Fold()
    with (
        translated("anthropic", connection, body),
        _create(_client(connection), body, stream=True) as events,
    ):
        for event in events:
            text = fold.add(event.to_dict(mode="json"))
            if text:
                yield Delta(text=text)
    yield read_reply(fold.whole(), body | {"stream": True})


# --- requests


def write_body(request: ModelRequest) -> Json:
    """Return the JSON the API takes; what it has no word for (seed, penalties) is left out."""
    messages = request.messages
    if request.endpoint == "complete":
        messages = [{"role": "user", "content": request.prompt or ""}]
    system, messages = split_system(messages)
    body = without_none(
        model=request.model,
        system=system,
        messages=write_turns(messages, _write_blocks),
        max_tokens=_limit(request),
        # The API's own defaults; newer models refuse the two together.
        temperature=None if request.temperature == 1 else request.temperature,
        top_p=None if request.top_p == 1 else request.top_p,
        stop_sequences=stops_of(request.stop),
        output_config=_write_output(request),
    )
    if isinstance(request.reasoning_effort, int):
        body["thinking"] = {"type": "enabled", "budget_tokens": request.reasoning_effort}
        body.pop("temperature", None)  # refused beside thinking
    if request.tools:
        body["tools"] = [_write_tool(tool) for tool in request.tools]
        if request.tool_choice is not None:
            body["tool_choice"] = _write_choice(request.tool_choice)
    return body | request.other


def _limit(request: ModelRequest) -> int:
    if request.max_tokens not in (None, -1):
        return int(request.max_tokens or 0)
    budget = request.reasoning_effort
    return _DEFAULT_MAX_TOKENS + (budget if isinstance(budget, int) else 0)


def _write_output(request: ModelRequest) -> Json | None:
    output: Json = {}
    if isinstance(request.reasoning_effort, str):
        output["effort"] = request.reasoning_effort
    schema = schema_of(request.response_format)
    if schema is not None:
        output["format"] = {"type": "json_schema", "schema": schema}
    return output or None


def _write_tool(tool: Json) -> Json:
    return without_none(
        name=tool.get("name"),
        description=tool.get("description"),
        strict=tool.get("strict") or None,
        input_schema=tool.get("parameters") or {"type": "object", "properties": {}},
    )


def _write_choice(choice: str | Json) -> Json:
    if isinstance(choice, dict):
        return {"type": "tool", "name": (choice.get("function") or {}).get("name")}
    return {"type": "any" if choice == "required" else choice}


def _write_blocks(message: Message) -> list[Json]:
    if message.get("role") == "tool":
        said = text_of(message.get("content"))
        return [
            {"type": "tool_result", "tool_use_id": message.get("tool_call_id"), "content": said}
        ]
    blocks: list[Json] = list(message.get("thinking") or [])
    blocks += [_write_part(part) for part in parts_of(message.get("content"))]
    blocks += [_write_call(tool_call) for tool_call in message.get("tool_calls") or []]
    return blocks


def _write_part(part: str | Image) -> Json:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if part.data is None:
        return {"type": "image", "source": {"type": "url", "url": part.url}}
    source = {"type": "base64", "media_type": part.media_type, "data": part.data}
    return {"type": "image", "source": source}


def _write_call(tool_call: Json) -> Json:
    return {
        "type": "tool_use",
        "id": tool_call.get("id"),
        "name": tool_call.get("name"),
        "input": arguments_of(tool_call),
    }


# --- replies


def read_reply(told: Json, body: Json) -> Reply:
    """Read a message object."""
    blocks = told.get("content") or []
    texts = [block.get("text") or "" for block in blocks if block.get("type") == "text"]
    message: Message = {"role": "assistant", "content": "".join(texts) if texts else None}
    calls = [_read_call(block) for block in blocks if block.get("type") == "tool_use"]
    if calls:
        message["tool_calls"] = calls
    thinking = [b for b in blocks if b.get("type") in ("thinking", "redacted_thinking")]
    if thinking:
        message["thinking"] = thinking
        thoughts = [block["thinking"] for block in thinking if block.get("thinking")]
        message |= {"reasoning": "\n".join(thoughts)} if thoughts else {}
    reason = told.get("stop_reason")
    return Reply(
        message=message,
        text=message["content"],
        finish_reason=_FINISH.get(reason, reason) if reason else None,
        tokens=_read_tokens(told.get("usage")),
        model_served=told.get("model"),
        response_id=told.get("id"),
        request=body,
        response=told,
    )


def _read_call(block: Json) -> Json:
    return {
        "id": block.get("id") or "",
        "name": block.get("name") or "",
        "arguments": json.dumps(block.get("input") or {}),
    }


def _read_tokens(usage: Json | None) -> Tokens | None:
    if not usage:
        return None
    return Tokens(
        input_uncached=usage.get("input_tokens"),
        cache_read=usage.get("cache_read_input_tokens"),
        cache_write=usage.get("cache_creation_input_tokens"),
        output=usage.get("output_tokens"),  # thinking is inside, its share is not said
    )


class Fold:
    """Puts the events of one streamed message together again."""

    def __init__(self) -> None:
        self._told: Json = {}
        self._blocks: dict[int, Json] = {}
        self._arguments: dict[int, str] = {}

    def add(self, event: Json) -> str:
        """Take one event; returns what it adds to the text."""
        match event.get("type"):
            case "message_start":
                self._told = dict(event["message"])
            case "content_block_start":
                self._blocks[event["index"]] = dict(event["content_block"])
                return str(event["content_block"].get("text") or "")
            case "content_block_delta":
                return self._add_delta(event["index"], event["delta"])
            case "message_delta":
                self._told |= {k: v for k, v in event["delta"].items() if v is not None}
                usage = {k: v for k, v in (event.get("usage") or {}).items() if v is not None}
                self._told["usage"] = {**(self._told.get("usage") or {}), **usage}
        return ""

    def whole(self) -> Json:
        """Return the message object that the events add up to."""
        for index, text in self._arguments.items():
            try:
                self._blocks[index]["input"] = json.loads(text or "{}")
            except ValueError:  # cut off by the token limit
                self._blocks[index]["input"] = {}
        return {**self._told, "content": [self._blocks[index] for index in sorted(self._blocks)]}

    def _add_delta(self, index: int, delta: Json) -> str:
        block = self._blocks.setdefault(index, {"type": "text", "text": ""})
        match delta.get("type"):
            case "text_delta":
                block["text"] = (block.get("text") or "") + delta["text"]
                return str(delta["text"])
            case "thinking_delta":
                block["thinking"] = (block.get("thinking") or "") + delta["thinking"]
            case "signature_delta":
                block["signature"] = (block.get("signature") or "") + delta["signature"]
            case "input_json_delta":
                self._arguments[index] = self._arguments.get(index, "") + delta["partial_json"]
        return ""


# --- the package


def _create(client: "anthropic.Anthropic", body: Json, *, stream: bool) -> Any:
    create: Any = client.messages.create
    return create(**first_and_rest(body, "model", "messages", "max_tokens"), stream=stream)


def _client(connection: Connection) -> "anthropic.Anthropic":
    import anthropic

    return anthropic.Anthropic(
        api_key=connection.api_key,
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
    import anthropic

    client = anthropic.DefaultHttpxClient(follow_redirects=False)
    atexit.register(client.close)
    return client
