"""Reads messages as Logs hold them, for providers whose own form is another one."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kibitz_collector.records import Json, Message

_DATA_URL = re.compile(r"data:(?P<type>[\w/+.-]+);base64,(?P<data>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Image:
    """A picture: its address, or its type and content in base64."""

    url: str | None
    media_type: str | None = None
    data: str | None = None


def split_system(messages: list[Message]) -> tuple[str | None, list[Message]]:
    """Return what the system says, and the other messages."""
    texts = [text_of(m.get("content")) for m in messages if _is_system(m)]
    rest = [message for message in messages if not _is_system(message)]
    return "\n\n".join(text for text in texts if text) or None, rest


def text_of(content: Any) -> str:
    """Return the texts of a content."""
    if isinstance(content, list):
        return "\n".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def parts_of(content: Any) -> list[str | Image]:
    """Return texts and pictures of a content, in order."""
    if isinstance(content, str):
        return [content] if content else []
    parts = content if isinstance(content, list) else []
    read = [_part(part) for part in parts if isinstance(part, dict)]
    return [part for part in read if part]  # providers refuse empty texts


def arguments_of(tool_call: Json) -> Json:
    """Return the arguments of a tool call as an object, also where a model wrote something else."""
    try:
        arguments = json.loads(tool_call.get("arguments") or "{}")
    except ValueError:
        return {}
    return arguments if isinstance(arguments, dict) else {"value": arguments}


def called_names(messages: list[Message]) -> dict[str, str]:
    """Return the names of all tools called, by the id of the call."""
    calls = (call for message in messages for call in message.get("tool_calls") or [])
    return {str(call.get("id")): str(call.get("name") or "") for call in calls}


def schema_of(wanted: Json | None) -> Json | None:
    """Return the JSON schema that an answer must follow, in whichever form it was given."""
    schema = (wanted or {}).get("json_schema")
    if not isinstance(schema, dict):
        return None
    inner = schema.get("schema", schema)
    return inner if isinstance(inner, dict) else None


def stops_of(stop: str | list[str] | None) -> list[str] | None:
    """Return where an answer ends, as a list; None: nowhere."""
    return [stop] if isinstance(stop, str) and stop else list(stop or []) or None


def limit_of(max_tokens: int | None) -> int | None:
    """Return the limit of an answer; None and -1 are none."""
    return None if max_tokens in (None, -1) else max_tokens


def forced_name(choice: str | Json | None) -> str | None:
    """Return the one tool that must be called."""
    if not isinstance(choice, dict):
        return None
    function = choice.get("function")
    return str(function.get("name")) if isinstance(function, dict) else None


def _is_system(message: Message) -> bool:
    return message.get("role") in ("system", "developer")


def _part(part: Json) -> str | Image:
    if part.get("type") != "image_url":
        return str(part.get("text") or "")
    url = str((part.get("image_url") or {}).get("url") or "")
    found = _DATA_URL.match(url)
    return Image(url) if found is None else Image(None, found["type"], found["data"])


def write_turns(
    messages: list[Message], write_blocks: Callable[[Message], list[Json]]
) -> list[Json]:
    """Return turns; neighbours of one role become one: the answers of parallel tools must."""
    turns: list[Json] = []
    for message in messages:
        role = "assistant" if message.get("role") == "assistant" else "user"
        blocks = write_blocks(message)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    return turns
