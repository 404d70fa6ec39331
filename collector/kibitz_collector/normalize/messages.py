"""Turns messages of any vendor into the one normal form (`records.Message`).

Shape in: OTel `{role, parts: [{type, …}], name?, finish_reason?}`, OpenAI
`{role, content, tool_calls: [{id, function: {name, arguments}}]}`, Anthropic
`{role, content: [{type: text|thinking|tool_use|tool_result|image, …}]}`, and flattened kin
`{role, content, tool_calls: [{id, name, arguments}]}`.
"""

from collections.abc import Callable
from typing import Any

from kibitz_collector.normalize import values, vocabulary
from kibitz_collector.records import Json, Message


class _Draft:
    """One message while its parts are read."""

    __slots__ = ("calls", "content", "is_foreign", "reasoning", "results")

    def __init__(self) -> None:
        self.content: list[Any] = []
        self.calls: list[Json] = []
        self.results: list[Message] = []
        self.reasoning: list[str] = []
        self.is_foreign = False  # a part that has no OpenAI form


def read_messages(raw: Any, *, default_role: str = "user") -> list[Message]:
    """Read a list of messages, JSON text of one, or a single message; [] when there is none."""
    if raw.__class__ is str:
        raw = values.parse_json(raw) if raw[:1] in "[{" else [raw]
    if isinstance(raw, dict):
        raw = raw["messages"] if isinstance(raw.get("messages"), list) else [raw]
    if not isinstance(raw, list):
        return []
    found: list[Message] = []
    for item in raw:
        if item.__class__ is list:  # LangChain: a list of conversations
            for inner in item:
                found += read_message(inner, default_role=default_role)
        else:
            found += read_message(item, default_role=default_role)
    return found


def read_message(raw: Any, *, default_role: str = "user") -> list[Message]:
    """Read one message; several come out when it carries results of several tool calls."""
    if isinstance(raw, str):
        return [{"role": default_role, "content": raw}] if raw else []
    if not isinstance(raw, dict):
        return []
    role = vocabulary.role(str(raw.get("role") or default_role))
    parts = raw.get("parts")
    if len(raw) == 2 and "role" in raw:
        said = _only_text(parts) if "parts" in raw else raw.get("content")
        if said.__class__ is str:
            return [{"role": role, "content": said}]
    draft = _Draft()
    is_listed = isinstance(parts, list)
    content = parts if is_listed else raw.get("content")
    if isinstance(content, list):
        for part in content:
            _read_part(part, draft)
    elif isinstance(content, dict):
        _read_part(content, draft)
    elif content is not None:
        draft.content.append({"type": "text", "text": str(content)})
    _read_calls(raw, draft)
    message = _finish(role, raw, draft)
    if draft.is_foreign and is_listed:
        message["parts"] = parts
    if draft.results:
        return draft.results if is_empty(message) else [*draft.results, message]
    return [message]


def _only_text(parts: Any) -> Any:
    """Return the text of the only part, as most messages have one; anything else for others."""
    if parts.__class__ is not list or len(parts) != 1 or parts[0].__class__ is not dict:
        return None
    part = parts[0]
    return part.get("content", part.get("text")) if part.get("type") == "text" else None


def read_parts(raw: Any, role: str) -> list[Message]:
    """Read a bare list of parts (or text) as one message of `role`."""
    if raw.__class__ is str:
        parsed = values.parse_json(raw) if raw[:1] in "[{" else None
        raw = [raw] if parsed is None else parsed
    if isinstance(raw, dict):
        raw = [raw]
    if not isinstance(raw, list) or not raw:
        return []
    return [m for m in read_message({"role": role, "parts": raw}) if not is_empty(m)]


def read_output(raw: Any) -> Message | None:
    """Return the last message that says something."""
    for message in reversed(read_messages(raw, default_role="assistant")):
        if not is_empty(message):
            return message
    return None


def read_finish_reason(raw: Any) -> str | None:
    """Return the finish reason written on the last output message, as sent."""
    if raw.__class__ is str:
        raw = values.parse_json(raw)
    if isinstance(raw, list) and raw and isinstance(raw[-1], dict):
        return values.text(raw[-1].get("finish_reason"))
    return None


def is_empty(message: Message) -> bool:
    """Tell whether a message says nothing."""
    return not (message.get("content") or message.get("tool_calls") or message.get("reasoning"))


def message_text(message: Message) -> str | None:
    """Return what a message says in words, without its images and calls."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        said = [p["text"] for p in content if p.__class__ is dict and p.get("type") == "text"]
        return "\n".join(said) if said else None
    return None


def read_tools(raw: Any) -> list[Json] | None:
    """Read tool definitions as `[{name, description, parameters, strict?}]`; others as sent."""
    listed = values.json_list(raw)
    if listed is None:
        return None
    found = [_read_tool(item) for item in listed]
    return [tool for tool in found if tool] or None


def _read_tool(raw: Any) -> Json:
    raw = values.json_object(raw) or {}
    inner = raw.get("function")
    if isinstance(inner, dict):
        raw = inner
    if not isinstance(raw.get("name"), str):
        return dict(raw)
    schema = raw.get("parameters", raw.get("input_schema"))
    tool: Json = {"name": raw["name"], "description": str(raw.get("description") or "")}
    schema = values.json_object(schema)
    if schema is not None:
        tool["parameters"] = schema
    if raw.get("strict") is not None:
        tool["strict"] = bool(raw["strict"])
    return tool


def _finish(role: str, raw: Json, draft: _Draft) -> Message:
    content: Any = draft.content or None
    if content is not None and len(content) == 1 and content[0].get("type") == "text":
        content = content[0]["text"]
    message: Message = {"role": role, "content": content}
    if draft.calls:
        message["tool_calls"] = draft.calls
    call_id = raw.get("tool_call_id")
    if call_id and isinstance(call_id, str):
        message["tool_call_id"] = call_id
    name = raw.get("name")
    if name and isinstance(name, str):
        message["name"] = name
    thought = raw.get("reasoning") or raw.get("reasoning_content") or raw.get("thinking")
    if isinstance(thought, str):
        draft.reasoning.append(thought)
    if draft.reasoning:
        message["reasoning"] = "\n".join(draft.reasoning)
    return message


def _read_calls(raw: Json, draft: _Draft) -> None:
    calls = raw.get("tool_calls")
    if isinstance(calls, list):
        for call in calls:
            _add_call(call, draft)
    if isinstance(raw.get("function_call"), dict) and not draft.calls:
        _add_call(raw["function_call"], draft)


def _add_call(call: Any, draft: _Draft) -> None:
    if not isinstance(call, dict):
        return
    inner = call.get("function")
    source = inner if isinstance(inner, dict) else call
    arguments = source.get("arguments", source.get("input", source.get("args")))
    identity = call.get("id") or call.get("call_id") or call.get("toolUseId")
    read: Json = {
        "id": str(identity) if identity else None,
        "name": str(source.get("name") or ""),
        "arguments": _arguments(arguments),
    }
    # The same call often stands among the parts and in `tool_calls`.
    if read["id"] is None or all(known["id"] != read["id"] for known in draft.calls):
        draft.calls.append(read)


def _arguments(raw: Any) -> str:
    if isinstance(raw, str):
        return raw
    return "{}" if raw is None else values.dumps(raw)


# --- parts: one reader per type


def _read_part(part: Any, draft: _Draft) -> None:
    if isinstance(part, str):
        draft.content.append({"type": "text", "text": part})
        return
    if not isinstance(part, dict):
        draft.is_foreign = True
        return
    kind = part.get("type")
    reader = _PARTS.get(kind) if isinstance(kind, str) else None
    if reader is None and kind is None:
        reader = next((_BARE[key] for key in part if key in _BARE), None)
    if reader is None:
        draft.content.append(part)
        draft.is_foreign = True
        return
    reader(part, draft)


def _text(part: Json, draft: _Draft) -> None:
    said = part.get("content", part.get("text"))
    if said is None:
        return
    draft.content.append(
        {"type": "text", "text": said if isinstance(said, str) else values.dumps(said)}
    )


def _reasoning(part: Json, draft: _Draft) -> None:
    thought = part.get("content") or part.get("text") or part.get("thinking")
    if isinstance(thought, str):
        draft.reasoning.append(thought)


def _call(part: Json, draft: _Draft) -> None:
    for wrapper in ("toolUse", "functionCall", "toolRequest", "function_call"):
        if isinstance(part.get(wrapper), dict):
            part = part[wrapper]
    if "ref" in part and "id" not in part:
        part = {**part, "id": part["ref"]}
    _add_call(part, draft)


def _result(part: Json, draft: _Draft) -> None:
    for wrapper in ("toolResult", "functionResponse", "toolResponse"):
        if isinstance(part.get(wrapper), dict):
            part = part[wrapper]
    said: Any = None
    for key in ("response", "content", "result", "output"):
        if part.get(key) is not None:
            said = part[key]
            break
    identity = part.get("id") or part.get("tool_use_id") or part.get("tool_call_id")
    identity = identity or part.get("call_id") or part.get("toolUseId") or part.get("ref")
    if isinstance(said, list):
        inner = _Draft()
        for piece in said:
            _read_part(piece, inner)
        said = inner.content if not inner.is_foreign else said
        said = said[0]["text"] if len(said) == 1 and _is_text(said[0]) else said
    elif said is not None and not isinstance(said, str):
        said = values.dumps(said)
    message: Message = {"role": "tool", "content": said}
    if identity:
        message["tool_call_id"] = str(identity)
    draft.results.append(message)


def _is_text(part: Any) -> bool:
    return (
        isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)
    )


def _blob(part: Json, draft: _Draft) -> None:
    mime = str(part.get("mime_type") or "application/octet-stream")
    data = part.get("content", part.get("data"))
    modality = part.get("modality") or mime.partition("/")[0]
    if modality == "image":
        url = f"data:{mime};base64,{data}"
        draft.content.append({"type": "image_url", "image_url": {"url": url}})
    elif modality == "audio":
        sound = {"data": data, "format": mime.partition("/")[2]}
        draft.content.append({"type": "input_audio", "input_audio": sound})
    else:
        file = {"file_data": f"data:{mime};base64,{data}"}
        draft.content.append({"type": "file", "file": file})


def _uri(part: Json, draft: _Draft) -> None:
    if (part.get("modality") or "image") == "image":
        draft.content.append({"type": "image_url", "image_url": {"url": part.get("uri")}})
    else:
        draft.content.append(part)
        draft.is_foreign = True


def _file(part: Json, draft: _Draft) -> None:
    if part.get("file_id"):
        draft.content.append({"type": "file", "file": {"file_id": part["file_id"]}})
    else:
        draft.content.append(part)


def _image(part: Json, draft: _Draft) -> None:
    source = part.get("source")
    if isinstance(source, dict) and source.get("type") == "base64":
        url = f"data:{source.get('media_type')};base64,{source.get('data')}"
    elif isinstance(source, dict) and source.get("url"):
        url = str(source["url"])
    elif isinstance(part.get("image_url"), str):
        url = part["image_url"]
    else:
        draft.content.append(part)
        draft.is_foreign = True
        return
    draft.content.append({"type": "image_url", "image_url": {"url": url}})


def _image_url(part: Json, draft: _Draft) -> None:
    if isinstance(part.get("image_url"), str):
        part = {"type": "image_url", "image_url": {"url": part["image_url"]}}
    draft.content.append(part)


def _as_sent(part: Json, draft: _Draft) -> None:
    draft.content.append(part)


_PARTS: dict[str, Callable[[Json, _Draft], None]] = {
    "text": _text,
    "input_text": _text,
    "output_text": _text,
    "reasoning": _reasoning,
    "thinking": _reasoning,
    "tool_call": _call,
    "tool-call": _call,
    "tool_use": _call,
    "function_call": _call,
    "tool_call_response": _result,
    "tool_result": _result,
    "tool-result": _result,
    "function_call_output": _result,
    "blob": _blob,
    "uri": _uri,
    "file": _file,
    "image": _image,
    "input_image": _image,
    "image_url": _image_url,
    "input_audio": _as_sent,
}
# Parts that name their type by their only key (Bedrock, Gemini, Genkit).
_BARE: dict[str, Callable[[Json, _Draft], None]] = {
    "text": _text,
    "toolUse": _call,
    "functionCall": _call,
    "toolRequest": _call,
    "toolResult": _result,
    "functionResponse": _result,
    "toolResponse": _result,
}
