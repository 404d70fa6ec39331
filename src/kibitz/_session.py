"""Session, user and metadata for everything inside; crossing processes; the current Log."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, MutableMapping
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote, unquote

import orjson
from opentelemetry.context.context import Context

from kibitz import semconv as sc
from kibitz._context import get_current
from kibitz._declared import encode
from kibitz._guard import guarded
from kibitz._scope import KEY, NOTHING_CARRIED, OTEL_SPAN_KEY, Carried, Scope, enter, leave
from kibitz._serialize import snapshot

F = TypeVar("F", bound=Callable[..., Any])

_MOST_CHARS = 512  # of a session or user id


class _Entered:
    """Something that makes a scope current: `with`, `async with`, or as a decorator."""

    def __init__(self) -> None:
        self._entered: list[tuple[Scope, Context]] = []

    def scope_in(self, context: Context) -> Scope:
        """Return the scope to make current in a context."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        with guarded("entering a session"):
            context = get_current()
            scope = self.scope_in(context)
            enter(scope, context)
            self._entered.append((scope, context))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        if self._entered:
            leave(*self._entered.pop())

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        self.__exit__()

    def _again(self) -> Self:
        """Return one of its own for one call, so that concurrent calls do not share a stack."""
        copied = object.__new__(type(self))
        copied.__dict__.update(self.__dict__)
        copied._entered = []
        return copied

    def __call__(self, function: F) -> F:
        """Decorate a function: the session lasts as long as each call."""
        return _decorate(self._again, function)  # type: ignore[return-value]  # same signature


def _decorate(again: Callable[[], _Entered], function: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            with again():
                return await function(*args, **kwargs)

        return call_async
    if inspect.isasyncgenfunction(function):
        return functools.wraps(function)(_async_steps(again, function))
    if inspect.isgeneratorfunction(function):
        return functools.wraps(function)(_steps(again, function))

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with again():
            return function(*args, **kwargs)

    return call


def _steps(again: Callable[[], _Entered], function: Callable[..., Any]) -> Callable[..., Any]:
    def steps(*args: Any, **kwargs: Any) -> Any:
        generator = function(*args, **kwargs)
        step, value = generator.send, None
        while True:
            try:
                with again():
                    item = step(value)
            except StopIteration as stop:
                return stop.value
            try:
                value = yield item
                step = generator.send
            except GeneratorExit:
                with again():
                    generator.close()
                raise
            except BaseException as error:
                step, value = generator.throw, error

    return steps


def _async_steps(again: Callable[[], _Entered], function: Callable[..., Any]) -> Callable[..., Any]:
    async def steps(*args: Any, **kwargs: Any) -> Any:
        generator = function(*args, **kwargs)
        step, value = generator.asend, None
        while True:
            try:
                with again():
                    item = await step(value)
            except StopAsyncIteration:
                return
            try:
                value = yield item
                step = generator.asend
            except GeneratorExit:
                with again():
                    await generator.aclose()
                raise
            except BaseException as error:
                step, value = generator.athrow, error

    return steps


class session(_Entered):
    """Everything inside belongs to a session, a user, and has metadata.

    `with kibitz.session("chat-42", user="u1", metadata={"plan": "pro"}): ...`, also `async with`,
    also as a decorator. What is left out is kept from the session around it; metadata adds up.
    """

    def __init__(
        self,
        session_id: str | None = None,
        *,
        user: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self._session_id = _label(session_id)
        self._user = _label(user)
        self._metadata: dict[str, Any] = {}
        if metadata:
            with guarded("reading a session's metadata"):
                self._metadata = orjson.loads(snapshot(dict(metadata)).text)

    def scope_in(self, context: Context) -> Scope:
        """Return what is current, with this session's values over it."""
        around: Any = context.get(KEY)
        carried = around.carried if around is not None else NOTHING_CARRIED
        merged = carry(
            self._session_id if self._session_id is not None else carried.session_id,
            self._user if self._user is not None else carried.user,
            {**carried.metadata, **self._metadata},
        )
        if around is None:
            return Scope(0, 0, carried=merged, otel_span=context.get(OTEL_SPAN_KEY))
        scope: Scope = around.replace(carried=merged)
        return scope


def _label(value: Any) -> str | None:
    """A session or user id as text; numbers are common, other things are named by their type."""
    if value is None:
        return None
    if not isinstance(value, str):
        text = snapshot(value).text
        value = orjson.loads(text) if text[:1] == '"' else text
    return str.__str__(value)[:_MOST_CHARS]


def carry(session_id: str | None, user: str | None, metadata: dict[str, Any]) -> Carried:
    """Make what a session carries, encoded once for all spans inside."""
    encoded = encode(
        [(sc.CONVERSATION_ID, session_id), (sc.SESSION_ID, session_id), (sc.USER_ID, user)]
    )
    return Carried(session_id, user, metadata, encoded)


# --- across processes


def inject(headers: MutableMapping[str, str] | None = None) -> MutableMapping[str, str]:
    """Write into outgoing headers what the other process needs to continue this trace and session.

    Shape: {"traceparent": W3C, "tracestate": "kibitz=<span id>,…", "baggage": session and user}.
    A `traceparent` that is there stays, if it is of our trace: it is the host's own.
    """
    headers = {} if headers is None else headers
    with guarded("writing headers"):
        scope: Any = get_current().get(KEY)
        if scope is not None:
            _write_headers(scope, headers)
    return headers


def _write_headers(scope: Scope, headers: MutableMapping[str, str]) -> None:
    if scope.trace_id:
        span_id = scope.prompt.own.span_id if scope.prompt is not None else scope.span_id
        flags = "00" if scope.is_dropped else "01"
        trace_id = f"{scope.trace_id:032x}"
        if headers.get("traceparent", "").split("-")[1:2] != [trace_id]:
            headers["traceparent"] = f"00-{trace_id}-{span_id or scope.ambient_id:016x}-{flags}"
        if span_id:
            others = [each for each in _members(headers, "tracestate") if each[0] != "kibitz"]
            _join(headers, "tracestate", [("kibitz", f"{span_id:016x}"), *others])
    carried = scope.carried
    ours = [("kibitz.session", carried.session_id), ("kibitz.user", carried.user)]
    told = [(key, quote(value, safe="")) for key, value in ours if value]
    if told:
        names = {key for key, _ in ours}
        others = [each for each in _members(headers, "baggage") if each[0] not in names]
        _join(headers, "baggage", [*told, *others])


def _members(headers: Mapping[str, str], name: str) -> list[tuple[str, str]]:
    found = [each.strip().partition("=") for each in headers.get(name, "").split(",")]
    return [(key.strip(), value) for key, _, value in found if key]


def _join(headers: MutableMapping[str, str], name: str, members: list[tuple[str, str]]) -> None:
    headers[name] = ",".join(f"{key}={value}" for key, value in members)


class extract(_Entered):
    """Continue the trace and session of incoming headers: `with kibitz.extract(headers): ...`.

    Without kibitz in them only the trace id is taken: a parent that we never record is none.
    """

    def __init__(self, headers: Mapping[Any, Any]) -> None:
        super().__init__()
        self._headers: dict[str, str] = {}
        with guarded("reading headers"):
            for key, value in headers.items():
                self._headers[_text(key).lower()] = _text(value)

    def scope_in(self, context: Context) -> Scope:
        """Return a scope under the remote span."""
        trace_id, remote_id, is_sampled = _read_traceparent(self._headers.get("traceparent", ""))
        states = dict(_members(self._headers, "tracestate"))
        parent_id = _hexadecimal(states.get("kibitz", ""), 16) if trace_id else 0
        baggage = dict(_members(self._headers, "baggage"))
        around: Any = context.get(KEY)
        carried = around.carried if around is not None else NOTHING_CARRIED
        session_id, user = (
            unquote(baggage[key].partition(";")[0]) if baggage.get(key) else None
            for key in ("kibitz.session", "kibitz.user")
        )
        return Scope(
            trace_id,
            parent_id,
            carried=carry(session_id or carried.session_id, user or carried.user, carried.metadata),
            otel_span=context.get(OTEL_SPAN_KEY),
            ambient_id=0 if parent_id else remote_id,
            is_dropped=bool(parent_id) and not is_sampled,
        )


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _read_traceparent(text: str) -> tuple[int, int, bool]:
    parts = text.strip().split("-")
    if len(parts) < 4 or len(parts[0]) != 2 or parts[0] == "ff":
        return 0, 0, True
    trace_id, span_id = _hexadecimal(parts[1], 32), _hexadecimal(parts[2], 16)
    if not trace_id or not span_id:
        return 0, 0, True
    return trace_id, span_id, bool(_hexadecimal(parts[3][:2], 2) & 1)


def _hexadecimal(text: str, digits: int) -> int:
    """Read so many lower-case digits; 0 if they are not."""
    if len(text) != digits or not all(each in "0123456789abcdef" for each in text):
        return 0
    return int(text, 16)
