"""Anthropic's wire: messages, whole and streamed; what is answered is named by the model."""

from __future__ import annotations

from typing import Any

from tests.integrations.wire.server import Reply, Request

USAGE = {
    "input_tokens": 10,
    "cache_read_input_tokens": 64,
    "cache_creation_input_tokens": 26,
    "output_tokens": 9,
}
BLOCKS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "hello": ([{"type": "text", "text": "Hello, world"}], "end_turn"),
    "json": ([{"type": "text", "text": '{"city": "Oslo"}'}], "end_turn"),
    "tools": (
        [
            {"type": "thinking", "thinking": "hm, weather", "signature": "c2ln"},
            {"type": "text", "text": "Let me look"},
            {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Oslo"}},
        ],
        "tool_use",
    ),
}


def message(model: str) -> dict[str, Any]:
    """One message object."""
    content, reason = BLOCKS[model]
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": f"{model}-2026",
        "content": content,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": USAGE,
    }


def halves(text: str) -> tuple[str, str]:
    return text[: len(text) // 2], text[len(text) // 2 :]


def block_events(index: int, block: dict[str, Any]) -> list[dict[str, Any]]:
    """Start, two deltas and stop of one block."""
    match block["type"]:
        case "text":
            empty = {**block, "text": ""}
            deltas = [{"type": "text_delta", "text": piece} for piece in halves(block["text"])]
        case "thinking":
            empty = {**block, "thinking": "", "signature": ""}
            pieces = halves(block["thinking"])
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        case _:
            empty = {**block, "input": {}}
            pieces = ("", '{"city": ', '"Oslo"}')
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return [
        {"type": "content_block_start", "index": index, "content_block": empty},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def stream(model: str) -> list[dict[str, Any]]:
    """All events of one streamed message."""
    whole = message(model)
    opened = {**whole, "content": [], "stop_reason": None, "usage": {**USAGE, "output_tokens": 1}}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": opened}, {"type": "ping"}]
    for index, block in enumerate(whole["content"]):
        events += block_events(index, block)
    delta = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    events.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 9}})
    return [*events, {"type": "message_stop"}]


def answer(request: Request) -> Reply:
    """The table, by the model."""
    model = request.body["model"]
    if model == "overloaded":
        return Reply(
            {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}, 529
        )
    if not request.body.get("stream"):
        return Reply(message(model))
    return Reply(events=[(event["type"], event) for event in stream(model)])
