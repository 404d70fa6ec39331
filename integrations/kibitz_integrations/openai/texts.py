"""Embeddings and the legacy text completions of the OpenAI client.

Source: API reference, embedding and completion objects, as of openai 3.54 (2026-11).
"""

from __future__ import annotations

from typing import Any

from kibitz import semconv as sc
from kibitz.patching import Attributes, Message, field, given, items, rename, text_part

from ._messages import finish_reason
from .chat import PARAMETERS, RESPONSE, read_usage


def read_embeddings_request(kwargs: dict[str, Any]) -> Attributes:
    """Read the arguments of `embeddings.create`; token lists are no text and are left out."""
    told = given(kwargs)
    read = rename(told, {"dimensions": sc.EMBEDDING_DIMENSIONS})
    read[sc.REQUEST_MODEL] = str(told.get("model", ""))
    read[sc.INPUT_MESSAGES] = _texts("user", told.get("input"))
    if (form := told.get("encoding_format")) is not None:
        read[sc.REQUEST_ENCODING_FORMATS] = [form]
    return read


def read_embeddings_response(reply: Any) -> Attributes:
    """Read an embeddings reply: sizes and tokens, never the vectors."""
    read = rename(reply, {"model": sc.RESPONSE_MODEL})
    read.update(rename(field(reply, "usage"), {"prompt_tokens": sc.USAGE_INPUT}))
    data = items(field(reply, "data"))
    vector = field(data[0], "embedding") if data else None
    if isinstance(vector, (list, tuple)):
        read[sc.EMBEDDING_DIMENSIONS] = len(vector)
    return read


def read_completion_request(kwargs: dict[str, Any]) -> Attributes:
    """Read the arguments of the legacy `completions.create`."""
    told = given(kwargs)
    read = rename(told, PARAMETERS)
    read[sc.REQUEST_MODEL] = str(told.get("model", ""))
    read[sc.INPUT_MESSAGES] = _texts("user", told.get("prompt"))
    if (stop := told.get("stop")) is not None:
        read[sc.REQUEST_STOP] = [stop] if isinstance(stop, str) else list(items(stop))
    return read


def read_completion_response(reply: Any) -> Attributes:
    """Read a legacy completion; one output message per choice."""
    texts = [(field(c, "text"), field(c, "finish_reason")) for c in items(field(reply, "choices"))]
    return {**rename(reply, RESPONSE), **_output(texts), **read_usage(field(reply, "usage"))}


class CompletionStream:
    """Folds the chunks of a streamed legacy completion."""

    def __init__(self) -> None:
        self._head: Attributes = {}
        self._texts: dict[int, list[str]] = {}
        self._reasons: dict[int, str] = {}
        self._usage: Any = None

    def add(self, chunk: Any) -> None:
        """Fold one chunk in."""
        if not self._head:
            self._head = rename(chunk, RESPONSE)
        if (usage := chunk.usage) is not None:
            self._usage = usage
        for choice in chunk.choices:
            self._texts.setdefault(choice.index, []).append(choice.text)
            if choice.finish_reason:
                self._reasons[choice.index] = choice.finish_reason

    def attributes(self) -> Attributes:
        """What the reply has come to."""
        texts = [
            ("".join(pieces), self._reasons.get(i)) for i, pieces in sorted(self._texts.items())
        ]
        return {**self._head, **_output(texts), **read_usage(self._usage)}


def _texts(role: str, value: Any) -> list[Message]:
    texts = [value] if isinstance(value, str) else items(value)
    return [{"role": role, "parts": [text_part(text)]} for text in texts if isinstance(text, str)]


def _output(texts: list[tuple[Any, str | None]]) -> Attributes:
    messages = [
        {
            "role": "assistant",
            "parts": [text_part(text)] if text else [],
            "finish_reason": finish_reason(reason),
        }
        for text, reason in texts
    ]
    reasons = [message["finish_reason"] for message in messages if message["finish_reason"]]
    return {sc.OUTPUT_MESSAGES: messages, sc.FINISH_REASONS: reasons}
