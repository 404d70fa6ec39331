"""Content in events: one per message (up to semconv 1.36), or one with everything.

The same payloads come as span events and as log records; both use `read_event`.
"""

from typing import Any

from kibitz_collector.normalize import messages, values
from kibitz_collector.normalize.reading import Reading
from kibitz_collector.records import Json, Message

NAME = "otel events"
DETAILS = "gen_ai.client.inference.operation.details"
CHOICE = "gen_ai.choice"
ROLES = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
_CONTENT = {
    "gen_ai.content.prompt": "gen_ai.prompt",
    "gen_ai.content.completion": "gen_ai.completion",
}
RULES: dict[str, tuple[str, ...]] = {}


def merge_details(reading: Reading) -> Json:
    """Return the attributes of all `operation.details` events; some senders write one each."""
    merged: Json = {}
    for event in reading.span.events:
        if event.name == DETAILS:
            merged.update(event.attributes)
    return merged


def read_event(name: str, payload: Json) -> list[Message]:
    """Read the message of a per-message event (not of a choice)."""
    raw = dict(payload)
    raw["role"] = raw.get("role") or ROLES[name]
    content = raw.get("content")
    if isinstance(content, str) and content[:1] == "[":
        raw["content"] = values.json_list(content) or content
    if raw["role"] == "tool" and "id" in raw:
        raw.setdefault("tool_call_id", raw["id"])
    raw["tool_calls"] = values.json_list(raw.get("tool_calls"))
    return messages.read_message(raw)


def read_choice(payload: Json) -> tuple[Message | None, str | None]:
    """Read the message and the finish reason of a `gen_ai.choice` event."""
    message = payload.get("message")
    raw: Any = values.json_value(message)
    if isinstance(raw, dict):
        raw = {"role": "assistant", **raw, "tool_calls": values.json_list(raw.get("tool_calls"))}
    elif raw is None:
        raw = {**payload, "role": "assistant"}
        raw["tool_calls"] = values.json_list(raw.get("tool_calls"))
    elif isinstance(raw, list):
        raw = {"role": "assistant", "content": raw}
    return messages.read_output(raw), values.text(payload.get("finish_reason"))


def read_input(reading: Reading) -> list[Message]:
    """Read the span events that carry one input message each, in order."""
    found: list[Message] = []
    for event in reading.span.events:
        if event.name in ROLES:
            found += read_event(event.name, event.attributes)
    return found


def read_output(reading: Reading) -> Message | None:
    """Read the last `gen_ai.choice` span event."""
    for event in reversed(reading.span.events):
        if event.name == CHOICE:
            message, reason = read_choice(event.attributes)
            reading.take("finish", reason, CHOICE)
            if message is not None:
                return message
    return None


def read_prompt_content(reading: Reading) -> list[Message]:
    """Read the `gen_ai.content.prompt` event (Spring AI, OpenLIT)."""
    return messages.read_messages(_content(reading, "gen_ai.content.prompt"))


def read_completion_content(reading: Reading) -> Message | None:
    """Read the `gen_ai.content.completion` event."""
    return messages.read_output(_content(reading, "gen_ai.content.completion"))


def _content(reading: Reading, name: str) -> Any:
    for event in reading.span.events:
        if event.name == name:
            return event.attributes.get(_CONTENT[name])
    return None


MESSAGES = (
    ("event gen_ai.*.message", read_input, ()),
    ("event gen_ai.content.prompt", read_prompt_content, ()),
)
OUTPUTS = (
    ("event gen_ai.choice", read_output, ()),
    ("event gen_ai.content.completion", read_completion_content, ()),
)
