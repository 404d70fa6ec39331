"""OpenInference (Arize, Phoenix): `openinference.span.kind`, flattened messages, `input.value`.

Source: openinference-semantic-conventions 0.1.42.
"""

import re
from typing import Any

from kibitz_collector.normalize import messages, values, vocabulary
from kibitz_collector.normalize.reading import Reading
from kibitz_collector.records import Json, Message

NAME = "openinference"
RULES = {
    "session": ("session.id",),
    "user": ("llm.user",),
    "provider": ("llm.provider",),
    "model": ("llm.request.model_name",),
    "model_served": ("llm.response.model_name",),
    "model_any": ("llm.model_name", "embedding.model_name", "reranker.model_name"),
    "tokens_input": ("llm.token_count.prompt",),
    "tokens_output": ("llm.token_count.completion",),
    "tokens_total": ("llm.token_count.total",),
    "tokens_cache_read": (
        "llm.token_count.prompt_details.cache_read",
        "llm.token_count.prompt_details.cache_input",
    ),
    "tokens_cache_write": ("llm.token_count.prompt_details.cache_write",),
    "tokens_reasoning": ("llm.token_count.completion_details.reasoning",),
    "cost_reported": ("llm.cost.total",),
    "finish": ("llm.finish_reason",),
    "title": ("tool.name", "agent.name"),
    "agent": ("agent.name", "agent_name"),
    "tool_description": ("tool.description",),
    "tool_schema": ("tool.json_schema", "tool.parameters"),
    "invocation": ("llm.invocation_parameters", "embedding.invocation_parameters"),
    "inputs": ("llm.prompt_template.variables",),
    "input": ("input.value", "tool.parameters"),
    "output": ("output.value",),
    "output_mime": ("output.mime_type",),
    "metadata": ("metadata",),
    "tags": ("tag.tags",),
}
KINDS = {
    "openinference.span.kind": {
        "llm": "prompt",
        "chain": "flow",
        "prompt": "flow",  # rendering of a template, not a call
        "decision": "flow",
        "tool": "tool",
        "retriever": "retriever",
        "reranker": "retriever",
        "embedding": "embedding",
        "agent": "agent",
        "guardrail": "evaluator",
        "evaluator": "evaluator",
    }
}
_INPUT = "llm.input_messages."
_OUTPUT = "llm.output_messages."
TOOLS = "llm.tools."
_EMBEDDINGS = "embedding.embeddings."
_DOCUMENTS = "retrieval.documents."
_RERANKED = "reranker.output_documents."
_RESPONSE_ID = re.compile(r'"id": ?"((?:chatcmpl-|msg_|resp_)[\w-]{1,200})"')
FLAT = (_INPUT, _OUTPUT, TOOLS, _EMBEDDINGS, _DOCUMENTS, _RERANKED)


def read_input(reading: Reading) -> list[Message]:
    """Read the flattened input messages."""
    return _read_flat(reading, _INPUT, "user")


def read_output(reading: Reading) -> Message | None:
    """Read the last flattened output message that says something."""
    found = [m for m in _read_flat(reading, _OUTPUT, "assistant") if not messages.is_empty(m)]
    return found[-1] if found else None


def read_request(reading: Reading) -> list[Message]:
    """Read the messages of the provider request that stands in `input.value`."""
    request = _object_naming(reading, "input.value", ('"messages"',))
    if request is None or not isinstance(request.get("messages"), list):
        return []
    found = messages.read_messages(request)
    if request.get("system"):
        return messages.read_parts(request["system"], "system") + found
    return found


def read_response(reading: Reading) -> Message | None:
    """Read the answer out of the provider response that stands in `output.value`."""
    response = _object_naming(reading, "output.value", ('"choices"', '"role"'))
    if response is None:
        return None
    choices = response.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[-1], dict):
        reading.take("finish", values.text(choices[-1].get("finish_reason")), "output.value")
        return messages.read_output(choices[-1].get("message"))
    if response.get("role") == "assistant":
        return messages.read_output(response)
    return None


def _object_naming(reading: Reading, attribute: str, keys: tuple[str, ...]) -> Json | None:
    """Return an object; text that names none of the keys is not parsed (a key may be escaped)."""
    raw = reading.attributes.get(attribute)
    if isinstance(raw, str) and "\\u" not in raw and not any(key in raw for key in keys):
        return None
    return values.json_object(raw)


def read_response_id(reading: Reading) -> str | None:
    """Find the provider's id of the answer; it stands only inside the response."""
    response = reading.attributes.get("output.value")
    found = _RESPONSE_ID.search(response) if isinstance(response, str) else None
    return found[1] if found else None


def read_tools(reading: Reading) -> list[Json] | None:
    """Read the flattened tool definitions."""
    listed = _as_list(reading, TOOLS)
    raw = [item["tool"].get("json_schema") for item in listed if isinstance(item.get("tool"), dict)]
    return messages.read_tools(raw)


def read_embedded(reading: Reading) -> list[Any] | None:
    """Read the texts that were embedded."""
    listed = _as_list(reading, _EMBEDDINGS)
    inner = [item["embedding"] for item in listed if isinstance(item.get("embedding"), dict)]
    return [item["text"] for item in inner if item.get("text") is not None] or None


def read_documents(reading: Reading) -> list[Any] | None:
    """Read the documents that were found."""
    listed = _as_list(reading, _DOCUMENTS) or _as_list(reading, _RERANKED)
    return [item["document"] for item in listed if item.get("document") is not None] or None


def _read_flat(reading: Reading, prefix: str, role: str) -> list[Message]:
    plain = _read_turns(reading, prefix, role)
    if plain is not None:
        return plain
    found: list[Message] = []
    for item in _as_list(reading, prefix):
        raw = item.get("message")
        if isinstance(raw, dict):
            found += messages.read_message(_plain(raw), default_role=role)
    return found


def _read_turns(reading: Reading, prefix: str, role: str) -> list[Message] | None:
    """Read messages that are text only, as most are; None for others."""
    turns = reading.flat[prefix].turns if prefix in reading.flat else None
    if turns is None:
        return None
    attributes = reading.attributes
    found: list[Message] = []
    for of_role, of_content in turns:
        named = attributes[of_role] if of_role else role
        content = attributes[of_content]
        if named.__class__ is not str or content.__class__ is not str:
            return None
        found.append({"role": vocabulary.role(named or role), "content": content})
    return found


def _plain(raw: Json) -> Json:
    """Take off the wrappers: `contents.<j>.message_content.*`, `tool_calls.<j>.tool_call.*`."""
    plain: Json = {k: raw[k] for k in ("role", "content", "name", "tool_call_id") if k in raw}
    contents = raw.get("contents")
    if isinstance(contents, list) and contents:
        plain["content"] = [_part(item) for item in contents if isinstance(item, dict)]
    calls = raw.get("tool_calls")
    if isinstance(calls, list):
        plain["tool_calls"] = [c.get("tool_call", c) for c in calls if isinstance(c, dict)]
    elif raw.get("function_call_name"):
        arguments = raw.get("function_call_arguments_json")
        plain["tool_calls"] = [{"name": raw["function_call_name"], "arguments": arguments}]
    return plain


def _part(item: Json) -> Any:
    content = item.get("message_content")
    part = dict(content) if isinstance(content, dict) else dict(item)
    call = item.get("tool_call") or part.get("tool_call")
    if isinstance(call, dict):
        function = call.get("function")
        return {
            "type": "tool_call",
            "id": call.get("id"),
            **(function if isinstance(function, dict) else {}),
        }
    image = part.get("image")
    if isinstance(image, dict):
        inner = image.get("image")
        url = inner.get("url") if isinstance(inner, dict) else image.get("url")
        return {"type": "image_url", "image_url": {"url": url}}
    return part


def _as_list(reading: Reading, prefix: str) -> list[Json]:
    listed = reading.build(prefix)
    return [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []


MESSAGES = (
    ("llm.input_messages.*", read_input, (_INPUT,)),
    ("input.value", read_request, ("input.value",)),
)
OUTPUTS = (
    ("llm.output_messages.*", read_output, (_OUTPUT,)),
    ("output.value", read_response, ("output.value",)),
)
