"""Langfuse SDK 3 and newer: `langfuse.observation.*`, `langfuse.trace.*`.

Source: langfuse 5.0.4.
"""

from typing import Any

from kibitz_collector.normalize import messages, values
from kibitz_collector.normalize.reading import Reading
from kibitz_collector.records import Json, Message

NAME = "langfuse"
_INPUT = "langfuse.observation.input"
_OUTPUT = "langfuse.observation.output"
_METADATA = "langfuse.observation.metadata."
_TRACE_METADATA = "langfuse.trace.metadata."
RULES = {
    "session": ("langfuse.session.id",),
    "user": ("langfuse.user.id",),
    "environment": ("langfuse.environment",),
    "model": ("langfuse.observation.model.name",),
    "usage": ("langfuse.observation.usage_details",),
    "file_path": ("langfuse.observation.prompt.name",),
    "prompt_version": ("langfuse.observation.prompt.version",),
    "invocation": ("langfuse.observation.model.parameters",),
    "input": (_INPUT,),
    "output": (_OUTPUT,),
    "level": ("langfuse.observation.level",),
    "error_message": ("langfuse.observation.status_message",),
    "metadata": ("langfuse.observation.metadata", "langfuse.trace.metadata"),
    "tags": ("langfuse.trace.tags",),
}
KINDS = {
    "langfuse.observation.type": {
        "generation": "prompt",
        "embedding": "embedding",
        "tool": "tool",
        "agent": "agent",
        "retriever": "retriever",
        "evaluator": "evaluator",
        "guardrail": "evaluator",
        "span": "flow",
        "chain": "flow",
        "event": "flow",
    }
}
FLAT = (_METADATA, _TRACE_METADATA)


def read_input(reading: Reading) -> list[Message]:
    """Read messages out of the observation's input, when it holds some."""
    raw = _parsed(reading, _INPUT)
    if isinstance(raw, dict):
        raw = raw.get("messages")
    if isinstance(raw, list) and raw and isinstance(raw[0], dict) and "role" in raw[0]:
        return messages.read_messages(raw)
    if isinstance(raw, str) and reading.kind == "prompt":
        return messages.read_messages([raw])
    return []


def read_output(reading: Reading) -> Message | None:
    """Read the answer out of the observation's output."""
    raw = _parsed(reading, _OUTPUT)
    if reading.kind != "prompt" or raw is None:
        return None
    if isinstance(raw, dict) and "role" not in raw and "content" not in raw:
        return None
    return messages.read_output(raw)


def read_metadata(reading: Reading) -> Json | None:
    """Read flattened metadata; values are JSON text."""
    metadata: Json = {}
    for prefix in (_TRACE_METADATA, _METADATA):
        flat = reading.flat.get(prefix)
        for key, value in flat.pairs(reading.attributes) if flat else ():
            metadata[key] = values.json_value(value)
    return metadata or None


def _parsed(reading: Reading, attribute: str) -> Any:
    return values.json_value(reading.attributes.get(attribute))


MESSAGES = ((_INPUT, read_input, (_INPUT,)),)
OUTPUTS = ((_OUTPUT, read_output, (_OUTPUT,)),)
