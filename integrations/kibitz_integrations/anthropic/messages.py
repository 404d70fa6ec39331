"""Messages of the Anthropic client: request, reply, streamed reply.

Source: API reference, messages and streaming events, as of anthropic 2.12 (2026-11).
"""

from __future__ import annotations

from typing import Any

from kibitz import semconv as sc
from kibitz.patching import Attributes, Part, field, given, items, parse_json, rename

from ._blocks import read_block, read_content, read_messages, read_tools

PARAMETERS = {
    "temperature": sc.REQUEST_TEMPERATURE,
    "top_p": sc.REQUEST_TOP_P,
    "top_k": sc.REQUEST_TOP_K,
    "max_tokens": sc.REQUEST_MAX_TOKENS,
    "stream": sc.REQUEST_STREAM,
}
RESPONSE = {"id": sc.RESPONSE_ID, "model": sc.RESPONSE_MODEL}
FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_call",
    "refusal": "content_filter",
}


def read_client(resource: Any) -> Attributes:
    """Read provider and server from the resource the method is called on (`client.messages`)."""
    client = resource._client
    names = {base.__name__ for base in type(client).__mro__}
    provider = "anthropic"
    # By class name: importing the cloud clients here would load boto and google for everybody.
    if any("Bedrock" in name for name in names):
        provider = "aws.bedrock"
    elif any("Vertex" in name for name in names):
        provider = "gcp.vertex_ai"
    url = client.base_url
    attributes: Attributes = {sc.PROVIDER: provider, sc.SERVER_ADDRESS: url.host}
    if url.port is not None:
        attributes[sc.SERVER_PORT] = url.port
    return attributes


def read_request(kwargs: dict[str, Any]) -> Attributes:
    """Read the arguments of `create`, `parse` and `stream`."""
    told = given(kwargs)
    read = rename(told, PARAMETERS)
    read[sc.REQUEST_MODEL] = str(told.get("model", ""))
    read[sc.INPUT_MESSAGES] = read_messages(told.get("messages"))
    if (system := told.get("system")) is not None:
        read[sc.SYSTEM_INSTRUCTIONS] = read_content(system)
    if (stop := told.get("stop_sequences")) is not None:
        read[sc.REQUEST_STOP] = list(items(stop))
    if tools := told.get("tools"):
        read[sc.TOOL_DEFINITIONS] = read_tools(tools)
    output = told.get("output_config")
    if (effort := field(output, "effort")) is not None:
        read[sc.REQUEST_REASONING_LEVEL] = effort
    if "output_format" in told or field(output, "format") is not None:
        read[sc.OUTPUT_TYPE] = "json"
    return read


def read_response(reply: Any) -> Attributes:
    """Read a message object."""
    parts = [read_block(block) for block in items(field(reply, "content"))]
    read = rename(reply, RESPONSE)
    return {
        **read,
        **_output(parts, field(reply, "stop_reason")),
        **read_usage(field(reply, "usage")),
    }


def _output(parts: list[Part], stop_reason: str | None) -> Attributes:
    reason = FINISH_REASONS.get(stop_reason, stop_reason) if stop_reason else None
    return {
        sc.OUTPUT_MESSAGES: [{"role": "assistant", "parts": parts, "finish_reason": reason}],
        sc.FINISH_REASONS: [reason] if reason else [],
    }


def read_usage(usage: Any) -> Attributes:
    """Read token counts: on this wire input leaves the cache out, in ours it includes it.

    Shape: {"input_tokens": int, "output_tokens": int, "cache_read_input_tokens"?: int,
        "cache_creation_input_tokens"?: int, "output_tokens_details"?: {"thinking_tokens": int}}
    """
    read = rename(
        usage,
        {
            "output_tokens": sc.USAGE_OUTPUT,
            "cache_read_input_tokens": sc.USAGE_CACHE_READ,
            "cache_creation_input_tokens": sc.USAGE_CACHE_WRITE,
        },
    )
    if (fresh := field(usage, "input_tokens")) is not None:
        read[sc.USAGE_INPUT] = (
            fresh + read.get(sc.USAGE_CACHE_READ, 0) + read.get(sc.USAGE_CACHE_WRITE, 0)
        )
    if sc.USAGE_CACHE_WRITE in read:
        read[sc.USAGE_CACHE_CREATION] = read[sc.USAGE_CACHE_WRITE]
    details = field(usage, "output_tokens_details")
    read.update(rename(details, {"thinking_tokens": sc.USAGE_REASONING}))
    return read


class MessageStream:
    """Folds the events of a streamed message, or of the `stream()` helper, which repeats them."""

    def __init__(self) -> None:
        self._head: Attributes = {}
        self._usage: dict[str, Any] = {}
        self._stop_reason: str | None = None
        self._blocks: dict[int, Any] = {}
        self._pieces: dict[int, list[str]] = {}

    def add(self, event: Any) -> None:
        """Fold one event in; the text of a delta is kept, never the event."""
        kind = event.type
        if kind == "content_block_delta":
            delta = event.delta
            piece = _PIECES.get(delta.type)
            if piece is not None:
                self._pieces[event.index].append(getattr(delta, piece))
        elif kind == "content_block_start":
            self._blocks[event.index] = event.content_block
            self._pieces[event.index] = []
        elif kind == "message_start":
            self._head = rename(event.message, RESPONSE)
            self._add_usage(event.message.usage)
        elif kind == "message_delta":
            self._stop_reason = event.delta.stop_reason
            self._add_usage(event.usage)

    def _add_usage(self, usage: Any) -> None:
        # The last event repeats only some counts; what it leaves out stays as the first one said.
        for name in _COUNTS:
            if (count := field(usage, name)) is not None:
                self._usage[name] = count

    def attributes(self) -> Attributes:
        """What the reply has come to."""
        parts = [self._part(index) for index in sorted(self._blocks)]
        return {**self._head, **_output(parts, self._stop_reason), **read_usage(self._usage)}

    def _part(self, index: int) -> Part:
        part = read_block(self._blocks[index])
        if not (pieces := "".join(self._pieces[index])):
            return part
        match part["type"]:
            case "tool_call":
                part["arguments"] = parse_json(pieces)
            case "server_tool_call":
                part["server_tool_call"] = {"type": part["name"], "input": parse_json(pieces)}
            case _:
                # Not added to: the helper fills in the very block it handed out first.
                part["content"] = pieces
        return part


_PIECES = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
_COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "output_tokens_details",
)
