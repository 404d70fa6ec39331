"""Bedrock's wire: Converse in JSON, ConverseStream as AWS event-stream frames.

Source: Amazon Bedrock API reference; "Event stream encoding" of Amazon Transcribe's guide.
"""

from __future__ import annotations

import json
import struct
from binascii import crc32
from typing import Any
from urllib.parse import unquote

from tests.integrations.wire.server import Reply, Request

USAGE = {"inputTokens": 16, "outputTokens": 9, "totalTokens": 29, "cacheReadInputTokens": 4}
CALL = {"toolUseId": "tu_1", "name": "get_weather", "input": {"city": "Oslo"}}
THOUGHT = {"reasoningText": {"text": "Let me think", "signature": "sig"}}


def answer(request: Request) -> Reply:
    """`hello`, `tools`, `thinks`; streamed when the path says so."""
    _, _, model, way = unquote(request.path).split("/")
    if way == "converse-stream":
        frames = b"".join(frame(name, told) for name, told in EVENTS[model])
        return Reply(raw=("application/vnd.amazon.eventstream", frames), headers=_ID)
    content, reason = BLOCKS[model]
    message = {"role": "assistant", "content": content}
    told = {"output": {"message": message}, "stopReason": reason, "usage": USAGE}
    return Reply(told | {"metrics": {"latencyMs": 7}}, headers=_ID)


def error(status: int, message: str) -> Reply:
    return Reply({"message": message}, status, headers={"x-amzn-ErrorType": "WordsException"})


def frame(name: str, told: dict[str, Any], kind: str = "event") -> bytes:
    """Write one message of an event stream."""
    type_header = ":exception-type" if kind == "exception" else ":event-type"
    pairs = {type_header: name, ":content-type": "application/json", ":message-type": kind}
    headers = b"".join(_header(key, value) for key, value in pairs.items())
    payload = json.dumps(told).encode()
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack("!I", crc32(prelude)) + headers + payload
    return message + struct.pack("!I", crc32(message))


def _header(name: str, value: str) -> bytes:
    text = value.encode()
    return bytes([len(name)]) + name.encode() + b"\x07" + struct.pack("!H", len(text)) + text


def _delta(index: int, delta: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "contentBlockDelta", {"contentBlockIndex": index, "delta": delta}


def _end(reason: str) -> list[tuple[str, dict[str, Any]]]:
    return [
        ("messageStop", {"stopReason": reason}),
        ("metadata", {"usage": USAGE, "metrics": {"latencyMs": 7}}),
    ]


_ID = {"x-amzn-RequestId": "req_1"}
_START = ("messageStart", {"role": "assistant"})
BLOCKS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "hello": ([{"text": "Hello, world"}], "end_turn"),
    "tools": ([{"text": "I look."}, {"toolUse": CALL}], "tool_use"),
    "thinks": ([{"reasoningContent": THOUGHT}, {"text": "42"}], "end_turn"),
}
EVENTS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "hello": [
        _START,
        _delta(0, {"text": "Hello"}),
        _delta(0, {"text": ", world"}),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        *_end("end_turn"),
    ],
    "tools": [
        _START,
        _delta(0, {"text": "I look."}),
        (
            "contentBlockStart",
            {
                "contentBlockIndex": 1,
                "start": {"toolUse": {"toolUseId": "tu_1", "name": "get_weather"}},
            },
        ),
        _delta(1, {"toolUse": {"input": '{"city": '}}),
        _delta(1, {"toolUse": {"input": '"Oslo"}'}}),
        *_end("tool_use"),
    ],
    "thinks": [
        _START,
        _delta(0, {"reasoningContent": {"text": "Let me "}}),
        _delta(0, {"reasoningContent": {"text": "think"}}),
        _delta(0, {"reasoningContent": {"signature": "sig"}}),
        _delta(1, {"text": "42"}),
        *_end("end_turn"),
    ],
}
