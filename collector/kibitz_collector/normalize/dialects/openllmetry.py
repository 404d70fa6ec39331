"""OpenLLMetry (Traceloop): `traceloop.*`, and the flattened names it wrote before OTel's.

Source: opentelemetry-semantic-conventions-ai 0.5.1; recordings of 0.40 to 0.62.
"""

from kibitz_collector.normalize import messages
from kibitz_collector.normalize.reading import Reading
from kibitz_collector.records import Json, Message

NAME = "openllmetry"
ASSOCIATION = "traceloop.association.properties."
RULES = {
    "session": (
        ASSOCIATION + "session_id",
        ASSOCIATION + "thread_id",
        ASSOCIATION + "chat_id",
        "langgraph.thread_id",
    ),
    "user": ("gen_ai.user", ASSOCIATION + "user_id"),
    "provider": ("gen_ai.system", "llm.system"),
    "tokens_total": ("llm.usage.total_tokens",),
    "tokens_cache_read": ("gen_ai.usage.cache_read_input_tokens",),
    "tokens_cache_write": ("gen_ai.usage.cache_creation_input_tokens",),
    "tokens_reasoning": ("gen_ai.usage.reasoning_tokens", "llm.usage.reasoning_tokens"),
    "file_path": ("traceloop.prompt.key",),
    "prompt_version": ("traceloop.prompt.version",),
    "title": ("traceloop.entity.name",),
    "inputs": ("traceloop.prompt.template_variables",),
    "input": ("traceloop.entity.input", "tool.arguments"),
    "output": ("traceloop.entity.output",),
    "top_k": ("llm.top_k",),
    "frequency_penalty": ("llm.frequency_penalty",),
    "presence_penalty": ("llm.presence_penalty",),
    "stop": ("llm.chat.stop_sequences",),
    "stream": ("gen_ai.is_streaming", "llm.is_streaming"),
    "reasoning_effort": ("gen_ai.request.reasoning_effort",),
    "response_format": ("gen_ai.request.structured_output_schema",),
}
KINDS = {
    "traceloop.span.kind": {"workflow": "flow", "task": "flow", "agent": "agent", "tool": "tool"},
    "llm.request.type": {
        "chat": "prompt",
        "completion": "prompt",
        "embedding": "embedding",
        "rerank": "retriever",
    },
}
_PROMPT = "gen_ai.prompt."
_COMPLETION = "gen_ai.completion."
FUNCTIONS = "llm.request.functions."
FLAT = (_PROMPT, _COMPLETION, FUNCTIONS, ASSOCIATION)


def read_input(reading: Reading) -> list[Message]:
    """Read `gen_ai.prompt.<i>.*`."""
    return messages.read_messages(_as_list(reading, _PROMPT))


def read_output(reading: Reading) -> Message | None:
    """Read `gen_ai.completion.<i>.*` and its finish reason."""
    listed = _as_list(reading, _COMPLETION)
    reading.take("finish", messages.read_finish_reason(listed), "gen_ai.completion.*")
    return messages.read_output(listed)


def read_tools(reading: Reading) -> list[Json] | None:
    """Read `llm.request.functions.<i>.*`."""
    return messages.read_tools(_as_list(reading, FUNCTIONS))


def read_association(reading: Reading) -> Json | None:
    """Read the association properties, which are metadata but for session and user."""
    flat = reading.flat.get(ASSOCIATION)
    return dict(flat.pairs(reading.attributes)) if flat else None


def _as_list(reading: Reading, prefix: str) -> list[Json]:
    listed = reading.build(prefix)
    return [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []


MESSAGES = (("gen_ai.prompt.*", read_input, (_PROMPT,)),)
OUTPUTS = (("gen_ai.completion.*", read_output, (_COMPLETION,)),)
