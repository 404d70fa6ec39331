"""Responses API of the OpenAI client: request, reply, streamed reply.

Source: API reference, response object and streaming events, as of openai 3.54 (2026-11).
"""

from __future__ import annotations

from typing import Any

from kibitz import semconv as sc
from kibitz.patching import (
    Attributes,
    Message,
    Part,
    field,
    given,
    items,
    rename,
    text_part,
    tool_call,
    tool_result,
)

from ._messages import read_content, read_tools
from .chat import output_type

PARAMETERS = {
    "temperature": sc.REQUEST_TEMPERATURE,
    "top_p": sc.REQUEST_TOP_P,
    "max_output_tokens": sc.REQUEST_MAX_TOKENS,
    "stream": sc.REQUEST_STREAM,
    "previous_response_id": sc.REQUEST_PREVIOUS_RESPONSE_ID,
    "service_tier": sc.REQUEST_SERVICE_TIER,
}
RESPONSE = {"id": sc.RESPONSE_ID, "model": sc.RESPONSE_MODEL, "service_tier": sc.SERVICE_TIER}
FINAL_EVENTS = frozenset({"response.completed", "response.incomplete", "response.failed"})


def read_request(kwargs: dict[str, Any]) -> Attributes:
    """Read the arguments of `create`, `parse` and `stream`."""
    told = given(kwargs)
    read = rename(told, PARAMETERS)
    read[sc.REQUEST_MODEL] = str(told.get("model", ""))
    read[sc.API_TYPE] = "responses"
    if "response_id" in told:  # reads again what another call has paid for
        read[sc.OPERATION] = sc.OP_FETCH
    read[sc.INPUT_MESSAGES] = read_input(told.get("input"))
    if isinstance(instructions := told.get("instructions"), str):
        read[sc.SYSTEM_INSTRUCTIONS] = [text_part(instructions)]
    if tools := told.get("tools"):
        read[sc.TOOL_DEFINITIONS] = read_tools(tools)
    if (effort := field(told.get("reasoning"), "effort")) is not None:
        read[sc.REQUEST_REASONING_LEVEL] = effort
    if (conversation := told.get("conversation")) is not None:
        read[sc.CONVERSATION_ID] = (
            conversation if isinstance(conversation, str) else field(conversation, "id")
        )
    form = told.get("text_format") or field(told.get("text"), "format")
    if (output := output_type(form)) is not None:
        read[sc.OUTPUT_TYPE] = output
    return read


def read_input(given_input: Any) -> list[Message]:
    """Read the `input` argument: a text, or a list of messages, calls and their results."""
    if isinstance(given_input, str):
        return [{"role": "user", "parts": [text_part(given_input)]}]
    messages: list[Message] = []
    for item in items(given_input):
        role, parts = _item(item)
        # One turn of the model is several items here (reasoning, text, calls): one message.
        if messages and role == "assistant" and messages[-1]["role"] == "assistant":
            messages[-1]["parts"].extend(parts)
        else:
            messages.append({"role": role, "parts": parts})
    return messages


def _item(item: Any) -> tuple[str, list[Part]]:
    kind = field(item, "type") or "message"
    match kind:
        case "message":
            return field(item, "role") or "user", read_content(field(item, "content"))
        case "function_call" | "custom_tool_call":
            arguments = (
                field(item, "arguments") if kind == "function_call" else field(item, "input")
            )
            return "assistant", [tool_call(field(item, "call_id"), field(item, "name"), arguments)]
        case "function_call_output" | "custom_tool_call_output":
            answer = field(item, "output")
            answer = answer if isinstance(answer, str) else read_content(answer)
            return "tool", [tool_result(field(item, "call_id"), answer)]
        case "reasoning":
            return "assistant", _reasoning(item)
        case "item_reference":
            return "user", [{"type": kind, "id": field(item, "id")}]
    if kind.endswith("_output"):
        return "tool", [tool_result(field(item, "call_id"), field(item, "output"))]
    return "assistant", [_server_call(kind, item)]


def _reasoning(item: Any) -> list[Part]:
    told = [*items(field(item, "summary")), *items(field(item, "content"))]
    return [{"type": "reasoning", "content": field(part, "text")} for part in told]


def _server_call(kind: str, item: Any) -> Part:
    call_id = field(item, "id") or field(item, "call_id")
    name = field(item, "name") or kind.removesuffix("_call")
    return {"type": "server_tool_call", "id": call_id, "name": name, "server_tool_call": item}


def read_response(reply: Any) -> Attributes:
    """Read a response object; all it holds is one message of the assistant."""
    parts = [part for item in items(field(reply, "output")) for part in _item(item)[1]]
    reason = _finish_reason(reply, parts)
    read = rename(reply, RESPONSE)
    read[sc.OUTPUT_MESSAGES] = [{"role": "assistant", "parts": parts, "finish_reason": reason}]
    read[sc.FINISH_REASONS] = [reason] if reason else []
    if (error := field(reply, "error")) is not None:
        read[sc.ERROR_TYPE] = field(error, "code") or "error"
        read[sc.EXCEPTION_MESSAGE] = field(error, "message")
    return {**read, **read_usage(field(reply, "usage"))}


def _finish_reason(reply: Any, parts: list[Part]) -> str | None:
    match field(reply, "status"):
        case "completed":
            return "tool_call" if any(part["type"] == "tool_call" for part in parts) else "stop"
        case "incomplete":
            reason = field(field(reply, "incomplete_details"), "reason")
            return "length" if reason == "max_output_tokens" else reason
        case "failed":
            return "error"
        case "cancelled":
            return "cancelled"
    return None  # queued or in progress: its end is not known here


def read_usage(usage: Any) -> Attributes:
    """Read token counts; input includes cached, output includes reasoning."""
    if usage is None:
        return {}
    input_details = field(usage, "input_tokens_details")
    return {
        **rename(usage, {"input_tokens": sc.USAGE_INPUT, "output_tokens": sc.USAGE_OUTPUT}),
        **rename(
            input_details,
            {"cached_tokens": sc.USAGE_CACHE_READ, "cache_write_tokens": sc.USAGE_CACHE_WRITE},
        ),
        **rename(field(usage, "output_tokens_details"), {"reasoning_tokens": sc.USAGE_REASONING}),
    }


class ResponseStream:
    """Folds the events of a streamed response; the last event carries the whole reply."""

    def __init__(self) -> None:
        self._head: Attributes = {}
        self._final: Any = None
        self._text: list[str] = []
        self._items: list[Any] = []
        self._error: Attributes = {}

    def add(self, event: Any) -> None:
        """Fold one event in."""
        kind = event.type
        if kind == "response.output_text.delta":
            self._text.append(event.delta)
        elif kind in FINAL_EVENTS:
            self._final = event.response
        elif kind == "response.output_item.done":
            # Finished items replace their text so far; needed only if the end never comes.
            self._items.append(event.item)
            self._text.clear()
        elif kind == "response.created":
            self._head = rename(event.response, RESPONSE)
        elif kind == "error":
            self._error = {
                sc.ERROR_TYPE: event.code or "error",
                sc.EXCEPTION_MESSAGE: event.message,
            }

    def attributes(self) -> Attributes:
        """What the reply has come to."""
        if self._final is not None:
            return read_response(self._final)
        parts = [part for item in self._items for part in _item(item)[1]]
        if self._text:
            parts.append(text_part("".join(self._text)))
        message = {"role": "assistant", "parts": parts, "finish_reason": None}
        return {**self._head, sc.OUTPUT_MESSAGES: [message], sc.FINISH_REASONS: [], **self._error}
