"""Gemini's wire: the model names what is answered."""

from __future__ import annotations

from typing import Any

from tests.integrations.wire.server import Reply, Request

USAGE = {
    "promptTokenCount": 20,
    "cachedContentTokenCount": 4,
    "candidatesTokenCount": 6,
    "thoughtsTokenCount": 3,
    "totalTokenCount": 29,
}
THOUGHT = {"text": "Let me think", "thought": True}
SIGNED = {
    "functionCall": {"id": "fc_1", "name": "get_weather", "args": {"city": "Oslo"}},
    "thoughtSignature": "c2lnbmVk",
}
UNNAMED = {"functionCall": {"name": "get_time", "args": {}}}


def answer(request: Request) -> Reply:
    """`hello`, `tools`, `thinks`, `blocked`; streamed when the path says so."""
    model = request.path.split("/models/")[1].partition(":")[0]
    answers: dict[str, list[list[dict[str, Any]]]] = {
        "hello": [[{"text": "Hello"}], [{"text": ", world"}]],
        "tools": [[SIGNED], [UNNAMED]],
        "thinks": [[THOUGHT], [{"text": "42"}]],
        "blocked": [],
    }
    pieces = answers[model]
    if ":streamGenerateContent" in request.path:
        events = [_whole(model, parts, is_end=False) for parts in pieces]
        return Reply(events=[(None, event) for event in [*events, _whole(model, [], is_end=True)]])
    return Reply(_whole(model, [part for parts in pieces for part in parts], is_end=True))


def error(status: int, message: str) -> Reply:
    return Reply({"error": {"code": status, "message": message, "status": "WORDS"}}, status)


def _whole(model: str, parts: list[dict[str, Any]], *, is_end: bool) -> dict[str, Any]:
    told: dict[str, Any] = {"modelVersion": f"{model}-001", "responseId": "resp_1"}
    if model == "blocked":
        return told | {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": USAGE}
    candidate: dict[str, Any] = {"index": 0}
    if parts:
        candidate["content"] = {"role": "model", "parts": parts}
    if is_end:
        candidate["finishReason"] = "STOP"
        told["usageMetadata"] = USAGE
    return told | {"candidates": [candidate]}
