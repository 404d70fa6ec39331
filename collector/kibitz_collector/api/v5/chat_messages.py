"""Between the contract's chat messages and ours: tool calls are flat here, nested there."""

from typing import Any

import orjson

from kibitz_collector.api.v5.models.shared import ChatMessage
from kibitz_collector.records import Message


def to_message(given: ChatMessage) -> Message:
    """Return a contract's message as it is stored."""
    message: Message = given.model_dump(exclude_none=True)
    message.setdefault("content", None)
    if given.tool_calls is not None:
        message["tool_calls"] = [
            {"id": call.id, "name": call.function.name, "arguments": call.function.arguments}
            for call in given.tool_calls
        ]
    return message


def to_chat_message(message: Message) -> ChatMessage:
    """Return a stored message, of whatever dialect, in the contract's form."""
    calls = message.get("tool_calls")
    thinking = message.get("thinking")
    return ChatMessage.model_validate(
        {
            "role": str(message.get("role") or "user"),
            "content": _content(message.get("content")),
            "name": _text(message.get("name")),
            "tool_call_id": _text(message.get("tool_call_id")),
            "tool_calls": [_nested(call) for call in calls] if isinstance(calls, list) else None,
            "thinking": thinking if isinstance(thinking, list) else None,
        }
    )


def _nested(call: Any) -> dict[str, Any]:
    call = call if isinstance(call, dict) else {}
    arguments = call.get("arguments")
    return {
        "id": str(call.get("id") or ""),
        "type": "function",
        "function": {
            "name": str(call.get("name") or ""),
            "arguments": arguments if arguments is None else _as_text(arguments),
        },
    }


def _content(content: Any) -> str | list[dict[str, Any]] | None:
    if content is None or isinstance(content, str):
        return content
    if isinstance(content, list):
        return [_part(part) for part in content]
    return _as_text(content)


def _part(part: Any) -> dict[str, Any]:
    match part:
        case {"type": "text", "text": str()} | {"type": "image_url", "image_url": {"url": str()}}:
            return dict(part)
        case {"text": str(text)}:
            return {"type": "text", "text": text}
    # The contract knows texts and images; anything else is shown as what it is.
    return {"type": "text", "text": _as_text(part)}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
