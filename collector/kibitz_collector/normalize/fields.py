"""The fields a rule may fill, and how a value is read for each."""

from collections.abc import Callable
from typing import Any

from kibitz_collector.normalize import values, vocabulary

Read = Callable[[Any], Any]


def _provider(value: Any) -> str | None:
    name = values.quoted_text(value)
    return None if name is None else vocabulary.provider(name)


def _finish(value: Any) -> str | None:
    reasons = values.texts(value)
    return reasons[-1] if reasons else None


# Parameters of a model call: what the v5 contract names itself, then what it keeps under `other`.
PARAMETERS = (
    "temperature",
    "top_p",
    "max_tokens",
    "stop",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "response_format",
    "reasoning_effort",
)
OTHER_PARAMETERS = ("top_k", "n", "encoding_formats", "output_type", "service_tier")
UNVERSIONED_PARAMETERS = ("stream",)  # how an answer travels is not what a prompt is
CALL_PARAMETERS = PARAMETERS + OTHER_PARAMETERS + UNVERSIONED_PARAMETERS

READERS: dict[str, Read] = {
    "session": values.quoted_text,
    "user": values.quoted_text,
    "environment": values.quoted_text,
    "provider": _provider,
    "server": values.text,
    "model": values.quoted_text,
    "model_served": values.quoted_text,
    "model_any": values.quoted_text,  # one name where two belong
    "response_id": values.text,
    "tokens_input": values.integer,
    "tokens_output": values.integer,
    "tokens_total": values.integer,
    "tokens_cache_read": values.integer,
    "tokens_cache_write": values.integer,
    "tokens_reasoning": values.integer,
    "usage": values.filled,  # the provider's or the vendor's own usage object
    "cost_reported": values.number,
    "first_token_s": values.number,
    "first_token_ms": values.number,
    "finish": _finish,
    "error_type": values.text,
    "error_message": values.text,
    "level": values.text,
    "file_path": values.text,
    "file_content": values.json_object,
    "prompt_version": values.text,
    "log_id": values.text,
    "parent_log_id": values.text,
    "run_id": values.text,
    "datapoint_id": values.text,
    "log_status": values.text,
    "record": values.text,
    "keep_probability": values.number,
    "title": values.quoted_text,  # a better name than the span's
    "tool_description": values.text,
    "tool_schema": values.json_object,
    "agent": values.text,
    "tools": values.filled,
    "invocation": values.json_object,  # all parameters in one object
    "inputs": values.json_object,  # named by the sender as inputs, whatever the kind
    "input": values.filled,  # what went in, for all but model calls
    "output": values.filled,
    "output_exact": values.filled,  # JSON text of the value itself
    "output_mime": values.text,
    "metadata": values.json_object,
    "tags": values.texts,
    "truncated": values.filled,
    **{name: values.number for name in ("temperature", "top_p", "presence_penalty")},
    **{name: values.number for name in ("frequency_penalty", "top_k")},
    **{name: values.integer for name in ("max_tokens", "n")},
    "seed": values.number,
    "stop": values.texts,
    "response_format": values.json_value,
    "reasoning_effort": values.json_value,
    "encoding_formats": values.texts,
    "output_type": values.text,
    "service_tier": values.text,
    "stream": values.flag,
}
