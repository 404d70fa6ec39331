"""`kibitz.call`: lets the collector call a Prompt, Agent or Tool, whole or streamed."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self, overload

import orjson

from kibitz._current import current
from kibitz._scope import current_scope
from kibitz.client.connection import Connection, connection
from kibitz.errors import ApiError, KibitzError

_CALLABLE = ("prompt", "agent", "tool")
_ERRORS = ("error", "agent_generation_error")


@dataclass(frozen=True, slots=True)
class CallResult:
    """What a call came to; `answer` is the whole answer of the v5 API."""

    output: str | None
    log_id: str
    version_id: str
    output_message: dict[str, Any] | None = None
    is_complete: bool = True  # False: an Agent waits for results of tools that the app has
    answer: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def __str__(self) -> str:
        return self.output or ""


class CallStream:
    """The pieces of an answer as they come; leave it early by `close`, or by leaving a `with`."""

    def __init__(self, events: Generator[dict[str, Any], None, None]) -> None:
        self._events = events
        self.log_id: str | None = None
        self.version_id: str | None = None
        self.event: dict[str, Any] = {}  # the latest, whole
        self.output = ""  # what has come so far

    def __iter__(self) -> Iterator[str]:
        """Give the texts; what is no text is in `event` meanwhile.

        Raises: ApiError: the call fails on the way.
        """
        with closing(self._events) as events:
            for event in events:
                text = self._take(event)
                if text:
                    yield text

    def _take(self, event: dict[str, Any]) -> str:
        payload = event.get("payload") or {}
        is_agent = "type" in event and "message" in event
        told = payload if is_agent else event
        self.event = event
        self.log_id = event.get("log_id") or event.get("id") or self.log_id
        self.version_id = told.get("version_id") or self.version_id
        failed = event.get("type") in _ERRORS if is_agent else bool(event.get("error"))
        if failed:
            raise ApiError(str(event.get("error") or event.get("message")), 200, event)
        is_text = not is_agent or event["type"] == "agent_update"
        text = (told.get("output") or "") if is_text else ""
        self.output += text
        return str(text)

    def close(self) -> None:
        """End the call; the collector keeps what has come so far."""
        self._events.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


@overload
def call(
    path: str,
    *,
    inputs: Mapping[str, Any] | None = ...,
    messages: Sequence[Mapping[str, Any]] | None = ...,
    environment: str | None = ...,
    version_id: str | None = ...,
    stream: Literal[False] = ...,
    timeout_s: float = ...,
    **more: Any,
) -> CallResult: ...
@overload
def call(
    path: str,
    *,
    inputs: Mapping[str, Any] | None = ...,
    messages: Sequence[Mapping[str, Any]] | None = ...,
    environment: str | None = ...,
    version_id: str | None = ...,
    stream: Literal[True],
    timeout_s: float = ...,
    **more: Any,
) -> CallStream: ...
def call(
    path: str,
    *,
    inputs: Mapping[str, Any] | None = None,
    messages: Sequence[Mapping[str, Any]] | None = None,
    environment: str | None = None,
    version_id: str | None = None,
    stream: bool = False,
    timeout_s: float = 120.0,
    **more: Any,
) -> CallResult | CallStream:
    """Call the Prompt, Agent or Tool at a path; its Log nests under what is running.

    It is the Version deployed to `environment`, else to the default one, unless `version_id` says
    otherwise. `more` goes into the v5 request as it is: metadata=, tool_choice=, save=, log_id=, …
    `timeout_s` is for each wait: for the answer, or for the next piece of a stream.
    Raises: ApiError: the call is refused or fails, or no collector is there.
    """
    source = connection()
    body = _body(path, inputs, messages, more)
    query = {"environment": environment, "version_id": version_id}
    given = {name: value for name, value in query.items() if value is not None}
    kind = _kind_of(source, path)
    if stream:
        if kind == "tool":
            raise KibitzError(f"{path!r} is a Tool, and its answer comes whole: leave out stream=")
        return CallStream(_events(source, kind, body, given, timeout_s))
    try:
        answer = source.post(f"/v5/{kind}s/call", body, query=given, timeout_s=timeout_s)
    except ApiError as error:
        if error.status == 404:  # it may have become a File of another type
            _kinds.pop((source.collector, path), None)
        raise
    return _result(kind, answer)


def _body(
    path: str,
    inputs: Mapping[str, Any] | None,
    messages: Sequence[Mapping[str, Any]] | None,
    more: Mapping[str, Any],
) -> dict[str, Any]:
    body: dict[str, Any] = {"path": path, "inputs": dict(inputs or {})}
    if messages is not None:
        body["messages"] = [dict(message) for message in messages]
    scope = current_scope()
    if scope is not None and scope.carried.user:
        body["user"] = scope.carried.user
    parent = current().id
    if parent and scope is not None and not scope.is_dropped:
        body["trace_parent_id"] = parent
    return body | dict(more)


_kinds: dict[tuple[str, str], str] = {}


def _kind_of(source: Connection, path: str) -> str:
    """Return what type of File is at a path; asked once for each."""
    key = (source.collector, path)
    known = _kinds.get(key)
    if known is None:
        answer = source.post("/v5/files/retrieve-by-path", {"path": path}, retries=1)
        known = str(answer["type"])
        if known not in _CALLABLE:
            raise KibitzError(f"{path!r} is a File of type {known}, which cannot be called")
        _kinds[key] = known
    return known


def _result(kind: str, answer: dict[str, Any]) -> CallResult:
    sample = answer["logs"][0] if kind == "prompt" else answer
    if sample.get("error"):
        raise ApiError(str(sample["error"]), 200, answer)
    is_waiting = answer.get("log_status") == "incomplete"
    message = answer.get("previous_agent_message") if is_waiting else sample.get("output_message")
    return CallResult(
        output=sample.get("output"),
        log_id=str(answer.get("log_id") or answer["id"]),
        version_id=str(answer[kind]["version_id"]),
        output_message=message,
        is_complete=not is_waiting,
        answer=answer,
    )


def _events(
    source: Connection, kind: str, body: Any, query: dict[str, Any], timeout_s: float
) -> Generator[dict[str, Any], None, None]:
    """Read the events: one JSON object on each `data:` line, `[DONE]` at the end."""
    path, asked = f"/v5/{kind}s/call", {**body, "stream": True}
    with source.stream(path, asked, query=query, timeout_s=timeout_s) as lines:
        for line in lines:
            _, _, data = line.partition("data: ")
            if data == "[DONE]":
                return
            if data:
                yield orjson.loads(data)
    raise ApiError(f"{source.collector} ended the answer in the midst of it")
