"""Cohere: chat, whole and streamed, through version 2 of its API.

Package `cohere>=5.20`. Source: Cohere API reference, chat v2, 2026-10.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kibitz_collector.providers.failures import Failures, load, message_of
from kibitz_collector.providers.messages import forced_name, limit_of, schema_of, stops_of
from kibitz_collector.providers.network import shared_client
from kibitz_collector.providers.types import (
    Connection,
    Delta,
    ModelRequest,
    Reply,
    without_none,
)
from kibitz_collector.records import Json, Message, Tokens

_FINISH = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
}


def call(request: ModelRequest, connection: Connection) -> Reply:
    """Ask and wait; see `Provider.call`."""
    body = write_body(request)
    with _translated(connection, body):
        told = _client(connection).chat(**_arguments(body, connection))
        return read_reply(_plain(told), body)


def stream(request: ModelRequest, connection: Connection) -> Iterator[Delta | Reply]:
    """Ask and read along; see `Provider.stream`."""
    body = write_body(request)
    fold = Fold()
    with _translated(connection, body):
        for event in _client(connection).chat_stream(**_arguments(body, connection)):
            text = fold.add(_plain(event))
            if text:
                yield Delta(text=text)
    reply = read_reply(fold.whole(), body | {"stream": True})
    if reply.finish_reason is None:
        raise Failures(connection, body).broken_off("no end was told")
    yield reply


# --- requests


def write_body(request: ModelRequest) -> Json:
    """Return the JSON the API takes."""
    messages = request.messages
    if request.endpoint == "complete":
        messages = [{"role": "user", "content": request.prompt or ""}]
    tools, choice = _write_tools(request)
    return (
        without_none(
            model=request.model,
            messages=[_write_message(message) for message in messages],
            tools=tools,
            tool_choice=choice,
            response_format=_write_format(request.response_format),
            max_tokens=limit_of(request.max_tokens),
            stop_sequences=stops_of(request.stop),
            temperature=request.temperature,
            # The API takes 0.01 to 0.99 here; 1 is to cut nothing.
            p=None if request.top_p == 1 else request.top_p,
            seed=request.seed,
            frequency_penalty=request.frequency_penalty or None,
            presence_penalty=request.presence_penalty or None,
            logprobs=None if request.logprobs is None else True,
            thinking=_write_thinking(request.reasoning_effort),
        )
        | request.other
    )


def _write_tools(request: ModelRequest) -> tuple[list[Json] | None, str | None]:
    """Return tools and choice; the API cannot name one, but can be told of this one only."""
    name = forced_name(request.tool_choice)
    told = [tool for tool in request.tools if name is None or tool.get("name") == name]
    if not told:
        return None, None
    tools: list[Json] = [{"type": "function", "function": _write_function(one)} for one in told]
    if name is not None or request.tool_choice == "required":
        return tools, "REQUIRED"
    return tools, "NONE" if request.tool_choice == "none" else None


def _write_function(tool: Json) -> Json:
    parameters = tool.get("parameters") or {"type": "object", "properties": {}}
    return without_none(
        name=tool.get("name"), description=tool.get("description"), parameters=parameters
    )


def _write_format(wanted: Json | None) -> Json | None:
    if (wanted or {}).get("type") not in ("json_object", "json_schema"):
        return None
    return without_none(type="json_object", schema=schema_of(wanted))


def _write_thinking(effort: str | int | None) -> Json | None:
    if effort is None:
        return None
    if isinstance(effort, int):
        return {"type": "enabled" if effort else "disabled"} | (
            {"token_budget": effort} if effort else {}
        )
    return {"type": "disabled" if effort == "none" else "enabled"}


def _write_message(message: Message) -> Json:
    role = message.get("role")
    written: Json = {"role": "system" if role == "developer" else role}
    if message.get("content") is not None:
        written["content"] = message["content"]
    if message.get("tool_call_id") is not None:
        written["tool_call_id"] = message["tool_call_id"]
    if message.get("tool_calls"):
        written["tool_calls"] = [_write_call(tool_call) for tool_call in message["tool_calls"]]
    return written


def _write_call(tool_call: Json) -> Json:
    function = {"name": tool_call.get("name"), "arguments": tool_call.get("arguments") or "{}"}
    return {"id": tool_call.get("id"), "type": "function", "function": function}


# --- replies


def read_reply(told: Json, body: Json) -> Reply:
    """Read a chat answer."""
    said = told.get("message") or {}
    parts = said.get("content") or []
    texts = [part["text"] for part in parts if part.get("text") is not None]
    message: Message = {"role": "assistant", "content": "".join(texts) if texts else None}
    if said.get("tool_calls"):
        message["tool_calls"] = [_read_call(tool_call) for tool_call in said["tool_calls"]]
    thoughts = [part["thinking"] for part in parts if part.get("thinking")]
    thoughts += [said["tool_plan"]] if said.get("tool_plan") else []
    if thoughts:
        message["reasoning"] = "\n".join(thoughts)
    reason = told.get("finish_reason")
    return Reply(
        message=message,
        text=message["content"],
        finish_reason=_FINISH.get(reason, str(reason).lower()) if reason else None,
        tokens=_read_tokens(told.get("usage")),
        model_served=None,
        response_id=told.get("id"),
        request=body,
        response=told,
    )


def _read_call(tool_call: Json) -> Json:
    function = tool_call.get("function") or {}
    return {
        "id": str(tool_call.get("id") or ""),
        "name": str(function.get("name") or ""),
        "arguments": str(function.get("arguments") or ""),
    }


def _read_tokens(usage: Json | None) -> Tokens | None:
    counts = (usage or {}).get("tokens") or (usage or {}).get("billed_units")
    if not counts:
        return None
    given, cached = counts.get("input_tokens"), (usage or {}).get("cached_tokens")
    made = counts.get("output_tokens")
    return Tokens(
        input_uncached=None if given is None else max(0, int(given) - int(cached or 0)),
        cache_read=None if cached is None else int(cached),
        output=None if made is None else int(made),
    )


class Fold:
    """Puts the events of one streamed answer together again."""

    def __init__(self) -> None:
        self._told: Json = {}
        self._parts: dict[int, Json] = {}
        self._calls: dict[int, Json] = {}
        self._plan = ""

    def add(self, event: Json) -> str:
        """Take one event; returns what it adds to the text."""
        index = event.get("index") or 0
        delta = event.get("delta") or {}
        said = delta.get("message") or {}
        match event.get("type"):
            case "message-start":
                self._told["id"] = event.get("id")
            case "content-start" | "content-delta":
                return self._add_content(index, said.get("content") or {})
            case "tool-plan-delta":
                self._plan += said.get("tool_plan") or ""
            case "tool-call-start":
                self._calls[index] = said.get("tool_calls") or {}
            case "tool-call-delta":
                function = self._calls[index].setdefault("function", {})
                more = ((said.get("tool_calls") or {}).get("function") or {}).get("arguments")
                function["arguments"] = (function.get("arguments") or "") + (more or "")
            case "message-end":
                self._told |= {k: delta[k] for k in ("finish_reason", "usage") if delta.get(k)}
        return ""

    def whole(self) -> Json:
        """Return the answer that the events add up to."""
        message = without_none(
            role="assistant",
            content=[self._parts[index] for index in sorted(self._parts)] or None,
            tool_plan=self._plan or None,
            tool_calls=[self._calls[index] for index in sorted(self._calls)] or None,
        )
        return {**self._told, "message": message}

    def _add_content(self, index: int, content: Json) -> str:
        part = self._parts.setdefault(index, {})
        for name in ("text", "thinking"):
            if content.get(name) is not None:
                part[name] = part.get(name, "") + content[name]
        return str(content.get("text") or "")


# --- the package


@contextmanager
def _translated(connection: Connection, body: Json) -> Iterator[None]:
    failures = Failures(connection, body)
    errors = load("cohere.core.api_error", connection, extra="cohere")
    try:
        yield
    except errors.ApiError as error:
        message = message_of(error.body) or f"{connection.provider} refused with no word"
        if error.status_code is None or error.status_code < 400:
            raise failures.unknown_answer(message) from None
        raise failures.refused(error.status_code, message, error.body) from None
    except (AttributeError, TypeError, LookupError, ValueError) as error:
        raise failures.unknown_answer(error) from None
    except Exception as error:
        failure = failures.of_network(error)
        if failure is None:
            raise
        raise failure from None


def _client(connection: Connection) -> Any:
    cohere = load("cohere", connection, extra="cohere")
    return cohere.ClientV2(
        api_key=connection.api_key,
        base_url=connection.base_url,
        timeout=connection.timeout_s,
        httpx_client=shared_client(),
        log_warning_experimental_features=False,
    )


def _arguments(body: Json, connection: Connection) -> Json:
    """Return keyword arguments of the package: what it must have, the rest as it is."""
    extra = {name: value for name, value in body.items() if name not in ("model", "messages")}
    options = {
        "additional_body_parameters": extra,
        "max_retries": 0,  # one call is one request and one Log; who wants another asks again
        "timeout_in_seconds": connection.timeout_s,
    }
    return {
        "model": body["model"],
        "messages": body["messages"],
        "request_options": options,
    }


def _plain(told: Any) -> Json:
    plain: Json = told.model_dump(mode="json", by_alias=True, exclude_none=True)
    return plain
