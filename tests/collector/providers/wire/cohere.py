"""Cohere's wire, version 2: the model names what is answered."""

from __future__ import annotations

from typing import Any

from tests.integrations.wire.server import Reply, Request

USAGE = {
    "billed_units": {"input_tokens": 5, "output_tokens": 6},
    "tokens": {"input_tokens": 20, "output_tokens": 9},
    "cached_tokens": 4,
}
CALL = {
    "id": "get_weather_1",
    "type": "function",
    "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'},
}


def answer(request: Request) -> Reply:
    """`hello`, `tools`, `thinks`; streamed when the body says so."""
    model = request.body["model"]
    if request.body.get("stream"):
        return Reply(events=[(event["type"], event) for event in _events(model)])
    message: dict[str, Any] = {"role": "assistant", **MESSAGES[model]}
    reason = "TOOL_CALL" if model == "tools" else "COMPLETE"
    return Reply({"id": "c_1", "finish_reason": reason, "message": message, "usage": USAGE})


def error(status: int, message: str) -> Reply:
    return Reply({"id": "e_1", "message": message}, status)


MESSAGES: dict[str, dict[str, Any]] = {
    "hello": {"content": [{"type": "text", "text": "Hello, world"}]},
    "tools": {"tool_plan": "I look.", "tool_calls": [CALL]},
    "thinks": {
        "content": [
            {"type": "thinking", "thinking": "Let me think"},
            {"type": "text", "text": "42"},
        ]
    },
}


def _events(model: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = [
        {"type": "message-start", "id": "c_1", "delta": {"message": {"role": "assistant"}}}
    ]
    match model:
        case "hello":
            events += _block(0, "text", ["Hello", ", world"])
        case "thinks":
            events += _block(0, "thinking", ["Let me ", "think"])
            events += _block(1, "text", ["42"])
        case "tools":
            events += _calls()
    reason = "TOOL_CALL" if model == "tools" else "COMPLETE"
    return [
        *events,
        {"type": "message-end", "delta": {"finish_reason": reason, "usage": USAGE}},
    ]


def _block(index: int, kind: str, pieces: list[str]) -> list[dict[str, Any]]:
    def event(name: str, content: dict[str, Any]) -> dict[str, Any]:
        return {"type": name, "index": index, "delta": {"message": {"content": content}}}

    return [
        event("content-start", {"type": kind, kind: ""}),
        *(event("content-delta", {kind: piece}) for piece in pieces),
        {"type": "content-end", "index": index},
    ]


def _calls() -> list[dict[str, Any]]:
    start = {**CALL, "function": {"name": "get_weather", "arguments": ""}}

    def event(name: str, calls: dict[str, Any]) -> dict[str, Any]:
        return {"type": name, "index": 0, "delta": {"message": {"tool_calls": calls}}}

    return [
        {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "I "}}},
        {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "look."}}},
        event("tool-call-start", start),
        event("tool-call-delta", {"function": {"arguments": '{"city": '}}),
        event("tool-call-delta", {"function": {"arguments": '"Oslo"}'}}),
        {"type": "tool-call-end", "index": 0},
    ]
