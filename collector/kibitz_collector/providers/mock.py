"""A provider without a model: answers from the request alone, for tests, demos and dry runs.

It repeats the last user message. `other` steers it: {"reply": str, "error": {"message", "code"}};
with tools it calls the one `tool_choice` names, or the first one when it must (`required`), as long
as the last message is not a tool's answer.
"""

from collections.abc import Iterator

import orjson

from kibitz_collector.providers.types import (
    Connection,
    Delta,
    ModelRequest,
    ProviderError,
    Reply,
    error_type,
    without_none,
)
from kibitz_collector.records import Json, Message, Tokens


def call(request: ModelRequest, connection: Connection) -> Reply:
    """Answer at once; see `Provider.call`."""
    body = without_none(
        model=request.model,
        messages=request.messages or None,
        prompt=request.prompt,
        temperature=request.temperature,
        tools=request.tools or None,
        tool_choice=request.tool_choice,
    )
    _fail_if_told(request.other, connection, body)
    name = _wanted_tool(request)
    message: Message = {"role": "assistant", "content": _text(request)}
    if name is not None:
        message["content"] = None
        message["tool_calls"] = [{"id": "call_mock", "name": name, "arguments": "{}"}]
    text = message["content"]
    return Reply(
        message=message,
        text=text,
        finish_reason="tool_calls" if name else "stop",
        tokens=Tokens(input_uncached=_count(body), output=len((text or name or "").split())),
        model_served=request.model,
        response_id=None,
        request=body,
        response={"message": message},
    )


def stream(request: ModelRequest, connection: Connection) -> Iterator[Delta | Reply]:
    """Answer word by word; see `Provider.stream`."""
    reply = call(request, connection)
    for number, word in enumerate((reply.text or "").split(" ")):
        if word or number:
            yield Delta(text=f" {word}" if number else word)
    yield reply


def _text(request: ModelRequest) -> str:
    told = request.other.get("reply")
    if isinstance(told, str):
        return told
    if request.prompt is not None:
        return request.prompt
    for message in reversed(request.messages):
        content = message.get("content")
        if message.get("role") in ("user", "tool") and isinstance(content, str):
            return content
    return ""


def _wanted_tool(request: ModelRequest) -> str | None:
    if not request.tools or (request.messages and request.messages[-1].get("role") == "tool"):
        return None
    match request.tool_choice:
        case {"function": {"name": str(name)}}:
            return name
        case "required":
            return str(request.tools[0].get("name"))
    return None


def _fail_if_told(other: Json, connection: Connection, body: Json) -> None:
    told = other.get("error")
    if not isinstance(told, dict):
        return
    code = told.get("code")
    status = code if isinstance(code, int) else 500
    raise ProviderError(
        str(told.get("message") or "told to fail"),
        type=error_type(status),
        code=status,
        origin=connection.provider,
        request=body,
    )


def _count(body: Json) -> int:
    return len(orjson.dumps(body.get("messages") or body.get("prompt") or "").split())
