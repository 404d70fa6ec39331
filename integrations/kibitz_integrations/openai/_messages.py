"""Chat messages of OpenAI's wire -> `{role, parts}`; for what is sent and for what comes back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kibitz.patching import (
    Message,
    Part,
    blob_part,
    field,
    getter,
    items,
    media_part,
    text_part,
    tool_call,
    tool_result,
)

Get = Callable[[str], Any]  # asks a message for a field

FINISH_REASONS = {"tool_calls": "tool_call", "function_call": "tool_call"}


def finish_reason(reason: str | None) -> str | None:
    """The standard's word for a finish reason."""
    return None if reason is None else FINISH_REASONS.get(reason, reason)


def read_messages(messages: Any) -> list[Message]:
    """Read the `messages` argument; each may be a dict or an object of an earlier reply."""
    return [read_message(message) for message in items(messages)]


def read_message(message: Any) -> Message:
    """Read one chat message, asked or answered.

    Shape: {"role": str, "content": str | [part] | None, "tool_calls"?: [call],
        "tool_call_id"?: str, "name"?: str, "refusal"?: str, "audio"?: {...}}
    """
    get = getter(message)
    role = get("role") or "assistant"
    content = get("content")
    if role in ("tool", "function"):
        call_id = get("tool_call_id") or get("name")
        answer = content if isinstance(content, str) else read_content(content)
        return {"role": "tool", "parts": [tool_result(call_id, answer)]}
    read: Message = {
        "role": role,
        "parts": [*_spoken(get), *read_content(content), *_calls(get)],
    }
    if (name := get("name")) is not None:
        read["name"] = name
    return read


def read_content(content: Any) -> list[Part]:
    """Read a message's content: one text, or a list of parts."""
    if isinstance(content, str):
        return [text_part(content)] if content else []
    return [read_part(part) for part in items(content)]


def read_part(part: Any) -> Part:
    """Read one part of a content list; a kind we do not know is kept as it is."""
    match field(part, "type"):
        case "text" | "input_text" | "output_text":
            return text_part(field(part, "text") or "")
        case "refusal":
            return {"type": "refusal", "content": field(part, "refusal")}
        case "image_url" | "input_image":
            return _image(part)
        case "input_audio":
            audio = field(part, "input_audio")
            return blob_part("audio", f"audio/{field(audio, 'format')}", field(audio, "data"))
        case "file" | "input_file":
            return _file(field(part, "file") or part)
    return (
        part
        if isinstance(part, dict)
        else {"type": field(part, "type") or "unknown", "content": part}
    )


def _image(part: Any) -> Part:
    image = field(part, "image_url")
    url = image if isinstance(image, str) else field(image, "url")
    if isinstance(url, str):
        return media_part("image", url)
    return {
        "type": "file",
        "modality": "image",
        "mime_type": None,
        "file_id": field(part, "file_id"),
    }


def _file(file: Any) -> Part:
    data = field(file, "file_data") or field(file, "file_url")
    if isinstance(data, str):
        return media_part("file", data)
    return {
        "type": "file",
        "modality": "file",
        "mime_type": None,
        "file_id": field(file, "file_id"),
    }


def _spoken(get: Get) -> list[Part]:
    """What is neither content nor a call: reasoning of compatible servers, refusal, sound."""
    parts: list[Part] = []
    reasoning = get("reasoning_content") or get("reasoning")
    if isinstance(reasoning, str) and reasoning:
        parts.append({"type": "reasoning", "content": reasoning})
    if refusal := get("refusal"):
        parts.append({"type": "refusal", "content": refusal})
    if (audio := get("audio")) is not None:
        if transcript := field(audio, "transcript"):
            parts.append(text_part(transcript))
        if data := field(audio, "data"):
            parts.append(blob_part("audio", None, data))
        elif audio_id := field(audio, "id"):
            parts.append(
                {"type": "file", "modality": "audio", "mime_type": None, "file_id": audio_id}
            )
    return parts


def _calls(get: Get) -> list[Part]:
    calls = [_call(call) for call in items(get("tool_calls"))]
    if (legacy := get("function_call")) is not None:
        calls.append(tool_call(None, field(legacy, "name"), field(legacy, "arguments")))
    return calls


def _call(call: Any) -> Part:
    function = field(call, "function")
    if function is None and (custom := field(call, "custom")) is not None:
        return tool_call(field(call, "id"), field(custom, "name"), field(custom, "input"))
    return tool_call(field(call, "id"), field(function, "name"), field(function, "arguments"))


def read_tools(tools: Any) -> list[Any]:
    """Read tool definitions into `{type, name, description, parameters}`; hosted ones stay."""
    return [_tool(tool) for tool in items(tools)]


def _tool(tool: Any) -> Any:
    function = field(tool, "function") or field(tool, "custom") or tool
    if not isinstance(tool, dict) or not isinstance(function, dict) or "name" not in function:
        return tool
    kept = ("name", "description", "parameters", "strict", "format")
    return {
        "type": tool.get("type", "function"),
        **{key: function[key] for key in kept if function.get(key) is not None},
    }
