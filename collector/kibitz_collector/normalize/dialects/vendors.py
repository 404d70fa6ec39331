"""Frameworks with a few names of their own: LangSmith, MLflow, Vercel AI SDK, Pydantic AI, Genkit.

Only what their spans cannot be understood without; everything else they send stays in the raw
attributes.
"""

from typing import Any

from kibitz_collector.normalize import messages, values
from kibitz_collector.normalize.reading import Reading
from kibitz_collector.records import Message

NAME = "vendors"
_LANGSMITH = "langsmith.metadata."
RULES = {
    "session": (
        _LANGSMITH + "session_id",
        _LANGSMITH + "thread_id",
        _LANGSMITH + "conversation_id",
        "mlflow.trace.session",
        "ai.telemetry.metadata.sessionId",
    ),
    "user": (_LANGSMITH + "user_id", "mlflow.trace.user", "ai.telemetry.metadata.userId"),
    "provider": ("ai.model.provider",),
    "model": ("ai.model.id", "mlflow.llm.model", "model_name"),
    "model_served": ("ai.response.model",),
    "response_id": ("ai.response.id",),
    "tokens_input": ("ai.usage.inputTokens", "ai.usage.promptTokens", "ai.usage.tokens"),
    "tokens_output": ("ai.usage.outputTokens", "ai.usage.completionTokens"),
    "tokens_cache_read": (
        "ai.usage.cachedInputTokens",
        "ai.usage.inputTokenDetails.cacheReadTokens",
    ),
    "tokens_cache_write": ("ai.usage.inputTokenDetails.cacheWriteTokens",),
    "tokens_reasoning": ("ai.usage.reasoningTokens", "ai.usage.outputTokenDetails.reasoningTokens"),
    "first_token_ms": ("ai.response.msToFirstChunk",),
    "finish": ("ai.response.finishReason",),
    "title": ("ai.toolCall.name", "agent_name"),
    "agent": ("agent_name",),
    "input": ("ai.toolCall.args", "tool_arguments", "mlflow.spanInputs", "ai.prompt"),
    "output": (
        "ai.toolCall.result",
        "tool_response",
        "mlflow.spanOutputs",
        "final_result",
        "ai.response.text",
        "ai.response.object",
    ),
    "tags": ("langsmith.span.tags", "ai.telemetry.metadata.tags"),
}
_RUN_TYPES = {
    "llm": "prompt",
    "chain": "flow",
    "tool": "tool",
    "retriever": "retriever",
    "embedding": "embedding",
    "prompt": "flow",
    "parser": "flow",
    "agent": "agent",
    "chat_model": "prompt",
    "reranker": "retriever",
    "evaluator": "evaluator",
    "guardrail": "evaluator",
    "task": "flow",
    "workflow": "flow",
}
KINDS = {
    "langsmith.span.kind": _RUN_TYPES,
    "mlflow.spanType": _RUN_TYPES,
    # Without `.do…` it is the wrapper that repeats the usage of the call inside.
    "ai.operationId": {
        "ai.generatetext": "agent",
        "ai.streamtext": "agent",
        "ai.generateobject": "agent",
        "ai.streamobject": "agent",
        "ai.embed": "flow",
        "ai.embedmany": "flow",
        "ai.generatetext.dogenerate": "prompt",
        "ai.streamtext.dostream": "prompt",
        "ai.generateobject.dogenerate": "prompt",
        "ai.streamobject.dostream": "prompt",
        "ai.embed.doembed": "embedding",
        "ai.embedmany.doembed": "embedding",
        "ai.toolcall": "tool",
    },
    "genkit:metadata:subtype": {
        "model": "prompt",
        "tool": "tool",
        "flow": "flow",
        "util": "agent",
        "embedder": "embedding",
        "retriever": "retriever",
        "evaluator": "evaluator",
    },
}
# A whole conversation in one attribute; LangSmith uses the `gen_ai` names for any kind of run.
_INPUTS = ("ai.prompt.messages", "pydantic_ai.all_messages", "gen_ai.prompt")


def read_input(reading: Reading) -> list[Message]:
    """Read the conversation of a model call or agent."""
    if reading.kind not in ("prompt", "agent"):
        return []
    for attribute in _INPUTS:
        raw = reading.attributes.get(attribute)
        if raw is not None:
            return messages.read_messages(_without_constructors(values.json_value(raw)))
    return []


def read_output(reading: Reading) -> Message | None:
    """Read the answer of a model call or agent."""
    if reading.kind not in ("prompt", "agent"):
        return None
    attributes = reading.attributes
    if "gen_ai.completion" in attributes:
        raw = values.json_value(attributes["gen_ai.completion"])
        return messages.read_output(_without_constructors(raw))
    text = values.text(attributes.get("ai.response.text"))
    calls = values.json_list(attributes.get("ai.response.toolCalls"))
    if text is None and calls is None:
        return None
    listed = [
        {
            "id": c.get("toolCallId"),
            "name": c.get("toolName"),
            "arguments": c.get("input", c.get("args")),
        }
        for c in calls or []
        if isinstance(c, dict)
    ]
    raw = {"role": "assistant", "content": text, "tool_calls": listed}
    return messages.read_output({**raw, "reasoning": attributes.get("ai.response.reasoning")})


def _without_constructors(raw: Any) -> Any:
    """Turn LangChain's `{"lc": 1, "id": […, "HumanMessage"], "kwargs": {…}}` into messages."""
    if isinstance(raw, dict) and isinstance(raw.get("messages"), list):
        raw = raw["messages"]
    if isinstance(raw, list):
        return [_without_constructors(item) for item in raw]
    if isinstance(raw, dict) and isinstance(raw.get("kwargs"), dict):
        kwargs = raw["kwargs"]
        names = raw.get("id")
        name = str(names[-1]) if isinstance(names, list) and names else "HumanMessage"
        role = name.removesuffix("Chunk").removesuffix("Message").lower()
        return {**kwargs, "role": kwargs.get("role") or role}
    return raw


MESSAGES = (("whole conversation", read_input, _INPUTS),)
OUTPUTS = (
    (
        "whole answer",
        read_output,
        ("gen_ai.completion", "ai.response.text", "ai.response.toolCalls"),
    ),
)
