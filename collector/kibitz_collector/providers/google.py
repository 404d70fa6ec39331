"""Google's Gemini: content generation, whole and streamed, between messages and parts.

Package `google-genai>=1.51`. Source: Gemini API reference, generateContent, v1beta, 2026-10.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kibitz_collector.providers.failures import Failures, load
from kibitz_collector.providers.messages import (
    Image,
    arguments_of,
    called_names,
    forced_name,
    limit_of,
    parts_of,
    schema_of,
    split_system,
    stops_of,
    text_of,
)
from kibitz_collector.providers.network import certificates, shared_client
from kibitz_collector.providers.types import (
    Connection,
    Delta,
    ModelRequest,
    Reply,
    without_none,
)
from kibitz_collector.records import Json, Message, Tokens

# Ids of calls that the API gave none; they are not sent back.
_OWN_ID = "call_kibitz_"
_VERSION = "v1beta"
_FINISH = {"STOP": "stop", "MAX_TOKENS": "length"}
_NOT_FILTERED = {"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "OTHER", "LANGUAGE"}


def call(request: ModelRequest, connection: Connection) -> Reply:
    """Ask and wait; see `Provider.call`."""
    body = write_body(request)
    with _translated(connection, body), _open(connection) as client:
        told = client.models.generate_content(**_arguments(request, body))
        return read_reply(_plain(told), body)


def stream(request: ModelRequest, connection: Connection) -> Iterator[Delta | Reply]:
    """Ask and read along; see `Provider.stream`."""
    body = write_body(request)
    fold = Fold()
    with _translated(connection, body), _open(connection) as client:
        for chunk in client.models.generate_content_stream(**_arguments(request, body)):
            text = fold.add(_plain(chunk))
            if text:
                yield Delta(text=text)
    reply = read_reply(fold.whole(), body)
    if reply.finish_reason is None:
        raise Failures(connection, body).broken_off("no end was told")
    yield reply


# --- requests


def write_body(request: ModelRequest) -> Json:
    """Return the JSON the API takes."""
    messages = request.messages
    if request.endpoint == "complete":
        messages = [{"role": "user", "content": request.prompt or ""}]
    system, messages = split_system(messages)
    body: Json = {"model": request.model, "contents": _write_contents(messages)}
    if system is not None:
        body["systemInstruction"] = {"parts": [{"text": system}]}
    if request.tools:
        functions = [_write_function(tool) for tool in request.tools]
        body["tools"] = [{"functionDeclarations": functions}]
        if request.tool_choice is not None:
            body["toolConfig"] = {"functionCallingConfig": _write_choice(request.tool_choice)}
    settings = _write_settings(request)
    if settings:
        body["generationConfig"] = settings
    return body | request.other


def _write_settings(request: ModelRequest) -> Json:
    schema = schema_of(request.response_format)
    is_json = (request.response_format or {}).get("type") in ("json_object", "json_schema")
    return without_none(
        temperature=request.temperature,
        topP=request.top_p,
        maxOutputTokens=limit_of(request.max_tokens),
        stopSequences=stops_of(request.stop),
        presencePenalty=request.presence_penalty or None,
        frequencyPenalty=request.frequency_penalty or None,
        seed=request.seed,
        responseMimeType="application/json" if is_json else None,
        responseJsonSchema=schema,
        responseLogprobs=None if request.logprobs is None else True,
        logprobs=request.logprobs or None,
        thinkingConfig=_write_thinking(request.reasoning_effort),
    )


def _write_thinking(effort: str | int | None) -> Json | None:
    if effort is None:
        return None
    if isinstance(effort, int):
        return {"thinkingBudget": effort, "includeThoughts": effort != 0}
    return {"thinkingLevel": effort.upper()}


def _write_function(tool: Json) -> Json:
    return without_none(
        name=tool.get("name"),
        description=tool.get("description"),
        parametersJsonSchema=tool.get("parameters"),
    )


def _write_choice(choice: str | Json) -> Json:
    name = forced_name(choice)
    if name is not None:
        return {"mode": "ANY", "allowedFunctionNames": [name]}
    return {"mode": {"required": "ANY", "none": "NONE"}.get(str(choice), "AUTO")}


def _write_contents(messages: list[Message]) -> list[Json]:
    """Return turns; neighbours of one role become one: the answers of parallel tools must."""
    names = called_names(messages)
    turns: list[Json] = []
    for message in messages:
        role = "model" if message.get("role") == "assistant" else "user"
        parts = _write_parts(message, names)
        if turns and turns[-1]["role"] == role:
            turns[-1]["parts"] += parts
        elif parts:
            turns.append({"role": role, "parts": parts})
    return turns


def _write_parts(message: Message, names: dict[str, str]) -> list[Json]:
    if message.get("role") == "tool":
        call_id = str(message.get("tool_call_id") or "")
        name = str(message.get("name") or names.get(call_id) or call_id)
        answer = {"name": name, "response": {"result": text_of(message.get("content"))}}
        return [{"functionResponse": _with_id(call_id) | answer}]
    parts = [_write_part(part) for part in parts_of(message.get("content"))]
    return parts + [_write_call(tool_call) for tool_call in message.get("tool_calls") or []]


def _write_part(part: str | Image) -> Json:
    if isinstance(part, str):
        return {"text": part}
    if part.data is None:
        return {"fileData": {"fileUri": part.url}}
    return {"inlineData": {"mimeType": part.media_type, "data": part.data}}


def _write_call(tool_call: Json) -> Json:
    call_id = str(tool_call.get("id") or "")
    named = {"name": tool_call.get("name"), "args": arguments_of(tool_call)}
    written: Json = {"functionCall": _with_id(call_id) | named}
    if tool_call.get("signature"):  # newer models refuse their own calls without it
        written["thoughtSignature"] = tool_call["signature"]
    return written


def _with_id(call_id: str) -> Json:
    return {} if not call_id or call_id.startswith(_OWN_ID) else {"id": call_id}


# --- replies


def read_reply(told: Json, body: Json) -> Reply:
    """Read an answer: the first candidate of it."""
    candidate = (told.get("candidates") or [{}])[0]
    parts = (candidate.get("content") or {}).get("parts") or []
    texts = [part["text"] for part in parts if part.get("text") and not part.get("thought")]
    thoughts = [part["text"] for part in parts if part.get("text") and part.get("thought")]
    message: Message = {"role": "assistant", "content": "".join(texts) if texts else None}
    calls = [part for part in parts if part.get("functionCall")]
    if calls:
        response_id = str(told.get("responseId") or "")
        message["tool_calls"] = [
            _read_call(part, f"{_OWN_ID}{response_id}_{number}")
            for number, part in enumerate(calls)
        ]
    if thoughts:
        message["reasoning"] = "".join(thoughts)
    return Reply(
        message=message,
        text=message["content"],
        finish_reason=_read_finish(told, candidate.get("finishReason"), has_calls=bool(calls)),
        tokens=_read_tokens(told.get("usageMetadata")),
        model_served=told.get("modelVersion"),
        response_id=told.get("responseId"),
        request=body,
        response=told,
    )


def _read_call(part: Json, own_id: str) -> Json:
    called = part["functionCall"]
    read = {
        "id": str(called.get("id") or own_id),
        "name": str(called.get("name") or ""),
        "arguments": json.dumps(called.get("args") or {}),
    }
    signature = part.get("thoughtSignature")
    return read | ({"signature": signature} if signature else {})


def _read_finish(told: Json, reason: Any, *, has_calls: bool) -> str | None:
    if (told.get("promptFeedback") or {}).get("blockReason"):
        return "content_filter"
    if not isinstance(reason, str):
        return None
    if reason == "STOP" and has_calls:
        return "tool_calls"
    if reason in _FINISH:
        return _FINISH[reason]
    return reason.lower() if reason in _NOT_FILTERED else "content_filter"


def _read_tokens(usage: Json | None) -> Tokens | None:
    """Make disjoint buckets: the API counts cached in the prompt, and thoughts apart."""
    if not usage:
        return None
    prompt, cached = usage.get("promptTokenCount"), usage.get("cachedContentTokenCount")
    of_tools = usage.get("toolUsePromptTokenCount") or 0
    return Tokens(
        input_uncached=None if prompt is None else max(0, prompt + of_tools - (cached or 0)),
        cache_read=cached,
        output=usage.get("candidatesTokenCount"),
        reasoning=usage.get("thoughtsTokenCount"),
    )


class Fold:
    """Puts the chunks of one streamed answer together again."""

    def __init__(self) -> None:
        self._told: Json = {}
        self._candidate: Json = {}
        self._parts: list[Json] = []

    def add(self, chunk: Json) -> str:
        """Take one chunk; returns what it adds to the text."""
        self._told |= {k: v for k, v in chunk.items() if k != "candidates"}
        text = ""
        for candidate in (chunk.get("candidates") or [])[:1]:
            self._candidate |= {k: v for k, v in candidate.items() if k != "content"}
            for part in (candidate.get("content") or {}).get("parts") or []:
                text += self._add_part(part)
        return text

    def whole(self) -> Json:
        """Return the answer that the chunks add up to."""
        content = {"role": "model", "parts": self._parts}
        return {**self._told, "candidates": [{**self._candidate, "content": content}]}

    def _add_part(self, part: Json) -> str:
        last = self._parts[-1] if self._parts else {}
        if set(part) <= {"text", "thought"} and set(last) == set(part) and part:
            last["text"] += part["text"]
        else:
            self._parts.append(dict(part))
        return "" if part.get("thought") else str(part.get("text") or "")


# --- the package


@contextmanager
def _translated(connection: Connection, body: Json) -> Iterator[None]:
    failures = Failures(connection, body)
    errors = load("google.genai.errors", connection, extra="google")
    try:
        yield
    except errors.APIError as error:
        message = error.message or str(error)
        if not isinstance(error.code, int) or not 400 <= error.code < 600:
            raise failures.unknown_answer(message) from None
        raise failures.refused(error.code, message, error.details) from None
    except (AttributeError, TypeError, LookupError, ValueError) as error:
        raise failures.unknown_answer(error) from None
    except Exception as error:
        failure = failures.of_network(error)
        if failure is None:
            raise
        raise failure from None


@contextmanager
def _open(connection: Connection) -> Iterator[Any]:
    """Open a client: it is cheap, the pool below it is shared."""
    genai = load("google.genai", connection, extra="google")
    options = {
        "api_version": _VERSION,
        "httpx_client": shared_client(),
        # For asynchronous calls, of which there are none; else it loads certificates twice.
        "async_client_args": {"verify": certificates(), "ssl": certificates()},
        "timeout": max(1, int(connection.timeout_s * 1000)),
        # One call is one request and one Log; who wants another asks again.
        "retry_options": {"attempts": 1},
    }
    if connection.base_url is not None:
        options["base_url"] = connection.base_url
    client = genai.Client(api_key=connection.api_key, vertexai=False, http_options=options)
    try:
        yield client
    finally:
        client.close()


def _arguments(request: ModelRequest, body: Json) -> Json:
    """Return keyword arguments of the package: the body as it is, past its own conversions.

    So parameters that are newer than the installed package reach the provider all the same. The
    contents given by name are replaced by those of the body; the package insists on some.
    """
    extra = {name: value for name, value in body.items() if name != "model"}
    return {
        "model": request.model,
        "contents": "-",
        "config": {"http_options": {"extra_body": extra}},
    }


def _plain(told: Any) -> Json:
    plain: Json = told.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude={"sdk_http_response", "parsed"}
    )
    return plain
