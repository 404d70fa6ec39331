"""Chat completions of the OpenAI client: request, reply, streamed reply.

Source: API reference, chat completion object and chunk object, as of openai 3.54 (2026-11).
"""

from __future__ import annotations

from typing import Any

from kibitz import semconv as sc
from kibitz.patching import Attributes, Message, field, given, items, rename, text_part, tool_call

from ._messages import finish_reason, read_message, read_messages, read_tools

PARAMETERS = {
    "temperature": sc.REQUEST_TEMPERATURE,
    "top_p": sc.REQUEST_TOP_P,
    "max_tokens": sc.REQUEST_MAX_TOKENS,
    "max_completion_tokens": sc.REQUEST_MAX_TOKENS,
    "seed": sc.REQUEST_SEED,
    "frequency_penalty": sc.REQUEST_FREQUENCY_PENALTY,
    "presence_penalty": sc.REQUEST_PRESENCE_PENALTY,
    "n": sc.REQUEST_CHOICE_COUNT,
    "stream": sc.REQUEST_STREAM,
    "reasoning_effort": sc.REQUEST_REASONING_LEVEL,
    "service_tier": sc.REQUEST_SERVICE_TIER,
}
RESPONSE = {
    "id": sc.RESPONSE_ID,
    "model": sc.RESPONSE_MODEL,
    "service_tier": sc.SERVICE_TIER,
    "system_fingerprint": sc.SYSTEM_FINGERPRINT,
}


def read_request(kwargs: dict[str, Any]) -> Attributes:
    """Read the arguments of `create`, `parse` and `stream`."""
    told = given(kwargs)
    read = rename(told, PARAMETERS)
    read[sc.REQUEST_MODEL] = str(told.get("model", ""))
    read[sc.API_TYPE] = "chat_completions"
    read[sc.INPUT_MESSAGES] = read_messages(told.get("messages"))
    if (stop := told.get("stop")) is not None:
        read[sc.REQUEST_STOP] = [stop] if isinstance(stop, str) else list(items(stop))
    if tools := told.get("tools") or told.get("functions"):
        read[sc.TOOL_DEFINITIONS] = read_tools(tools)
    if (output := output_type(told.get("response_format"), told.get("modalities"))) is not None:
        read[sc.OUTPUT_TYPE] = output
    return read


def output_type(form: Any, modalities: Any = None) -> str | None:
    """What was asked for: `json`, `text` or `speech`; a class as format means its JSON schema."""
    if isinstance(modalities, (list, tuple)) and "audio" in modalities:
        return "speech"
    if form is None:
        return None
    if isinstance(form, type):
        return "json"
    return "text" if field(form, "type") == "text" else "json"


def read_response(reply: Any) -> Attributes:
    """Read a chat completion; one output message per choice."""
    read = rename(reply, RESPONSE)
    messages: list[Message] = []
    for choice in items(field(reply, "choices")):
        message = read_message(field(choice, "message"))
        message["finish_reason"] = finish_reason(field(choice, "finish_reason"))
        messages.append(message)
    read[sc.OUTPUT_MESSAGES] = messages
    read[sc.FINISH_REASONS] = [m["finish_reason"] for m in messages if m["finish_reason"]]
    return {**read, **read_usage(field(reply, "usage"))}


def read_usage(usage: Any) -> Attributes:
    """Read token counts; the prompt's include cached ones, the completion's include reasoning.

    Shape: {"prompt_tokens": int, "prompt_tokens_details"?: {"cached_tokens"?: int},
        "completion_tokens": int, "completion_tokens_details"?: {"reasoning_tokens"?: int}}
    """
    if usage is None:
        return {}
    prompt = field(usage, "prompt_tokens_details")
    completion = field(usage, "completion_tokens_details")
    return {
        **rename(usage, {"prompt_tokens": sc.USAGE_INPUT, "completion_tokens": sc.USAGE_OUTPUT}),
        **rename(
            prompt,
            {"cached_tokens": sc.USAGE_CACHE_READ, "cache_write_tokens": sc.USAGE_CACHE_WRITE},
        ),
        **rename(completion, {"reasoning_tokens": sc.USAGE_REASONING}),
    }


class _Choice:
    """One choice of a streamed reply, as far as it has come."""

    __slots__ = ("audio", "calls", "finish_reason", "reasoning", "refusal", "text")

    def __init__(self) -> None:
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.refusal: list[str] = []
        self.audio: list[str] = []
        self.calls: dict[int, list[Any]] = {}  # index -> [id, name, piece of arguments, ...]
        self.finish_reason: str | None = None

    def add(self, choice: Any) -> None:
        """Fold one chunk's choice in; the text of a chunk is kept, never the chunk."""
        delta = choice.delta
        if choice.finish_reason:
            self.finish_reason = choice.finish_reason
        if delta is None:
            return
        if calls := delta.tool_calls:
            for call in calls:
                self._add_call(call.index, call.id, call.function)
        if delta.content:
            self.text.append(delta.content)
        else:
            self._add_rare(delta)

    def _add_rare(self, delta: Any) -> None:
        if (legacy := field(delta, "function_call")) is not None:
            self._add_call(0, None, legacy)
        if refusal := field(delta, "refusal"):
            self.refusal.append(refusal)
        for name in ("reasoning_content", "reasoning"):  # of compatible servers
            if isinstance(reasoning := field(delta, name), str):
                self.reasoning.append(reasoning)
        if (audio := field(delta, "audio")) and (spoken := field(audio, "transcript")):
            self.audio.append(spoken)

    def _add_call(self, index: int, call_id: str | None, function: Any) -> None:
        entry = self.calls.setdefault(index, [None, None])
        entry[0] = call_id or entry[0]
        entry[1] = field(function, "name") or entry[1]
        if piece := field(function, "arguments"):
            entry.append(piece)

    def message(self) -> Message:
        """The message this choice has become."""
        parts = [
            {"type": kind, "content": "".join(pieces)}
            for kind, pieces in (("reasoning", self.reasoning), ("refusal", self.refusal))
            if pieces
        ]
        if self.text or self.audio:
            parts.append(text_part("".join(self.text or self.audio)))
        for _, (call_id, name, *pieces) in sorted(self.calls.items()):
            parts.append(tool_call(call_id, name, "".join(pieces)))
        return {
            "role": "assistant",
            "parts": parts,
            "finish_reason": finish_reason(self.finish_reason),
        }


class ChatStream:
    """Folds the chunks of a streamed chat completion, or the events of the `stream()` helper."""

    def __init__(self) -> None:
        self._choices: dict[int, _Choice] = {}
        self._head: Attributes = {}
        self._usage: Any = None

    def add(self, chunk: Any) -> None:
        """Fold one chunk in."""
        # A hundred times per reply: a chunk's own fields first, `field` for what has none.
        known = getattr(chunk, "__dict__", None) or {}
        choices = known["choices"] if "choices" in known else field(chunk, "choices")
        if choices is None:
            # The helper's events: "chunk" carries the chunk itself, the others repeat it.
            chunk = field(chunk, "chunk")
            if chunk is None:
                return
            choices = chunk.choices
            known = {}
        if not self._head:
            self._head = rename(chunk, RESPONSE)
        usage = known["usage"] if "usage" in known else field(chunk, "usage")
        if usage is not None:
            self._usage = usage
        for choice in choices or ():
            found = self._choices.get(choice.index)
            if found is None:
                found = self._choices[choice.index] = _Choice()
            found.add(choice)

    def attributes(self) -> Attributes:
        """What the reply has come to."""
        messages = [choice.message() for _, choice in sorted(self._choices.items())]
        read: Attributes = {**self._head, sc.OUTPUT_MESSAGES: messages}
        read[sc.FINISH_REASONS] = [m["finish_reason"] for m in messages if m["finish_reason"]]
        return {**read, **read_usage(self._usage)}


def ask_for_usage(kwargs: dict[str, Any]) -> dict[str, Any] | None:
    """Arguments of `create` that also ask for the usage of a stream; None if nothing is added."""
    if kwargs.get("stream") is not True:
        return None
    return with_usage(kwargs)


def with_usage(kwargs: dict[str, Any]) -> dict[str, Any] | None:
    """Arguments with `include_usage`, unless the caller said yes or no or reads raw lines."""
    told = given(kwargs)
    options = told.get("stream_options") or {}
    # A caller of with_streaming_response may read the lines: there no chunk can be hidden.
    raw = (told.get("extra_headers") or {}).get("X-Stainless-Raw-Response")
    if raw == "stream" or not isinstance(options, dict) or "include_usage" in options:
        return None
    return {**kwargs, "stream_options": {**options, "include_usage": True}}


def is_usage_chunk(chunk: Any) -> bool:
    """Whether this chunk, or event of the helper, exists only because we asked for usage."""
    choices = field(chunk, "choices")
    if choices is None:
        chunk = field(chunk, "chunk")
        choices = field(chunk, "choices")
    return choices == [] and field(chunk, "usage") is not None
