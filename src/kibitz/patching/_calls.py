"""One recorded call of a provider: open the span, run the host's call untouched, read, end.

Every line of ours is guarded; the host's call runs outside the guards: its errors pass unchanged.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Generator
from contextvars import ContextVar
from functools import partial
from typing import Any

from kibitz import _runtime
from kibitz import semconv as sc
from kibitz._failure import Failure
from kibitz._guard import guarded, swallow
from kibitz._opening import open_span, use_span
from kibitz._spans import Span
from kibitz.patching import _raw, _streams
from kibitz.patching._endpoints import Endpoint, StreamFold, is_patched
from kibitz.patching._reading import Attributes

# The call that is running right here. A framework, the client it uses, and a method that calls
# another patched one are one request: of one operation only the outermost is recorded.
# OpenTelemetry's key for this is left alone: setting it would silence the host's own instrumentors.
_inside: ContextVar[Call | None] = ContextVar("kibitz_inside", default=None)

# Servers that refused what we asked for on top; asked once per process.
_refused: set[str] = set()
_MOST_REFUSED = 1000

_LISTS = frozenset({sc.FINISH_REASONS, sc.REQUEST_STOP, sc.REQUEST_ENCODING_FORMATS})


class inside:
    """Runs a block of the host as part of a call, with the call's span as the current one."""

    __slots__ = ("_before", "_call", "_use")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._use = use_span(call.span)

    def __enter__(self) -> None:
        self._before = _inside.get()
        _inside.set(self._call)
        self._use.__enter__()

    def __exit__(self, *error: object) -> None:
        self._use.__exit__(*error)
        # No token: a coroutine may be closed from another context, where there is nothing to undo.
        if _inside.get() is self._call:
            _inside.set(self._before)


def observe(
    endpoint: Endpoint,
    wrapped: Callable[..., Any],
    resource: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """What runs in place of a patched method."""
    outer = _inside.get()
    is_inner = outer is not None and outer.covers(endpoint.operation)
    if is_inner or not is_patched(endpoint):
        return wrapped(*args, **kwargs)
    call = Call(endpoint, resource, kwargs)
    asked = call.extended()
    if endpoint.is_manager:
        return _stand_in(call, partial(wrapped, *args), asked)
    if not call.open():
        return wrapped(*args, **kwargs)
    return call.run(partial(wrapped, *args, **asked), partial(wrapped, *args, **kwargs))


def _stand_in(call: Call, make: Callable[..., Any], asked: dict[str, Any]) -> Any:
    """Make a stream manager as part of its operation, and stand in for it until it is entered."""
    with inside(call):
        manager = make(**asked)
    is_async = hasattr(type(manager), "__aenter__")
    kind = _streams.AsyncManager if is_async else _streams.SyncManager
    return kind(call, manager, partial(make, **call.kwargs))


class Call:
    """One call from its arguments to the last chunk of its reply; ends its span exactly once."""

    __slots__ = ("_added", "_fold", "_resource", "endpoint", "first_ns", "kwargs", "span")

    def __init__(self, endpoint: Endpoint, resource: Any, kwargs: dict[str, Any]) -> None:
        self.endpoint = endpoint
        self.kwargs = kwargs
        self.span: Span | None = None
        self.first_ns = 0
        self._added: list[str] = []
        self._fold: StreamFold | None = None
        self._resource = resource

    def covers(self, operation: str) -> bool:
        """Whether a call of this operation made inside is this one again, lower down."""
        # Not when it is over: a task it started may live on, and inherited what was current.
        is_over = self.span is not None and self.span.is_ended
        return operation == self.endpoint.operation and not is_over

    # --- before

    def extended(self) -> dict[str, Any]:
        """The arguments, with what we ask for on top if this server takes it."""
        extend = self.endpoint.extend
        if extend is not None and _runtime.get() is not None:
            with guarded("asking for usage"):
                more = extend(self.kwargs)
                if more is not None and self._server() not in _refused:
                    self._added = [name for name in more if more[name] is not self.kwargs.get(name)]
                    return more
        return self.kwargs

    def open(self) -> bool:
        """Open the span with what the arguments say; False if this call is not recorded."""
        with guarded("opening a provider's span"):
            operation = self.endpoint.operation
            request = self.endpoint.read_request(self.kwargs)
            span = open_span(f"{operation} {request.get(sc.REQUEST_MODEL) or ''}".rstrip())
            if span is None:
                return False
            self.span = span
            told: Attributes = {sc.OPERATION: operation}
            if self.endpoint.is_manager:
                told[sc.REQUEST_STREAM] = True
            if self.endpoint.read_client is not None:
                with guarded("reading a client"):
                    told |= self.endpoint.read_client(self._resource)
            self.write(told | request)
        return self.span is not None

    def _server(self) -> str:
        return str(getattr(getattr(self._resource, "_client", None), "base_url", ""))

    # --- the host's call

    def run(self, attempt: Callable[[], Any], plain: Callable[[], Any]) -> Any:
        """Make the call; `plain` is the same call without anything of ours in it."""
        try:
            with inside(self):
                result = attempt()
        except BaseException as error:
            if not self._is_our_fault(error):
                self.fail(error)
                raise
        else:
            return self._receive(result, plain)
        return self.run(plain, plain)

    def _receive(self, result: Any, plain: Callable[[], Any]) -> Any:
        # Ask the result, not the function: decorated async clients look synchronous.
        if inspect.iscoroutine(result):
            return self.wait(result, plain)
        if inspect.isawaitable(result):
            return _Awaited(self, result, plain)
        return self.take(result)

    async def wait(self, awaitable: Awaitable[Any], plain: Callable[[], Any]) -> Any:
        """Await the reply and take it."""
        try:
            with inside(self):
                result = await awaitable
        except BaseException as error:
            if not self._is_our_fault(error):
                self.fail(error)
                raise
        else:
            return self.take(result)
        return await self.run(plain, plain)

    def _is_our_fault(self, error: BaseException) -> bool:
        """Whether the server refused what we added: the host's own call is still to be made."""
        if not self._added or getattr(error, "status_code", None) not in (400, 422):
            return False
        if not any(name in str(error) for name in self._added):
            return False
        if len(_refused) < _MOST_REFUSED:
            _refused.add(self._server())
        self._added = []
        return True

    # --- after

    def take(self, result: Any) -> Any:
        """Read a reply, or hand out a stand-in that reads it while the host does."""
        try:
            kind = type(result)
            if hasattr(kind, "__anext__"):
                return _streams.AsyncStreamRecorder(self, result)
            if hasattr(kind, "__next__"):
                return _streams.SyncStreamRecorder(self, result)
            if _raw.is_raw(result):
                return _raw.take(self, result)
            self.end(self.endpoint.read_response(result))
        except Exception as error:
            self.end({})
            swallow("reading a reply", error)
        return result

    @property
    def is_extended(self) -> bool:
        """Whether the provider was asked for more than the host asked for."""
        return bool(self._added)

    def open_fold(self) -> StreamFold:
        """The one fold of this call's chunks."""
        if self._fold is None:
            if self.endpoint.stream is None:
                raise TypeError(f"{self.endpoint.target} gave a stream and has no fold for it")
            self._fold = self.endpoint.stream()
        return self._fold

    def note_chunk(self) -> None:
        """Remember when the first chunk came."""
        if not self.first_ns and self.span is not None:
            self.first_ns = self.span.runtime.now_ns()

    def end_stream(self, error: BaseException | None = None, *, is_abandoned: bool = False) -> None:
        """End the span with what was read of a stream."""
        span = self.span
        if span is None or span.is_ended:
            return
        attributes: Attributes = {}
        with guarded("reading a stream"):
            attributes = self.open_fold().attributes()
            if is_abandoned:
                _mark_abandoned(attributes)
            if self.first_ns:
                attributes[sc.TIME_TO_FIRST_CHUNK_S] = (self.first_ns - span.start_ns) / 1e9
        if error is not None:
            span.fail(error)
        self.end(attributes)

    def fail(self, error: BaseException) -> None:
        """End the span with the host's error."""
        if self.span is not None:
            self.span.fail(error)
            self.span.end()

    def end(self, attributes: Attributes) -> None:
        """End the span with what the reply says; a reply may say that it failed."""
        span = self.span
        if span is None or span.is_ended:
            return
        with guarded("ending a provider's span"):
            failed = attributes.pop(sc.ERROR_TYPE, None)
            message = attributes.pop(sc.EXCEPTION_MESSAGE, None)
            if failed is not None and span.failure is None:
                span.failure = Failure(str(failed), str(message or ""), "", span.runtime.now_ns())
                span.has_more = True
            self.write(attributes)
        span.end()

    def write(self, attributes: Attributes) -> None:
        """Set attributes: lists of texts as lists, what a message is made of as JSON."""
        span = self.span
        if span is None:
            return
        plain = span.attributes if span.attributes is not None else {}
        span.attributes, span.has_more = plain, True
        for name, value in attributes.items():
            kind = type(value)
            if kind is int or kind is float or kind is bool or (kind is str and len(value) < 1000):
                plain[name] = value  # as `set` would, without asking what is known
            elif kind is not list and kind is not dict:
                span.set(name, value)
            elif value:
                if name in _LISTS and kind is list:
                    plain[name] = value[:1000]
                else:
                    span.set_json(name, value)


def _mark_abandoned(attributes: Attributes) -> None:
    """Say that a reply was left before its end, unless it had told its finish reason already."""
    messages = attributes.get(sc.OUTPUT_MESSAGES) or []
    left = [message for message in messages if not message.get("finish_reason")]
    for message in left:
        message["finish_reason"] = sc.ABANDONED
    if left or not messages:
        attributes[sc.FINISH_REASONS] = [*attributes.get(sc.FINISH_REASONS, ()), sc.ABANDONED]


class _Awaited(_streams.StandIn):
    """An awaitable that is more than a coroutine: recorded when it is awaited."""

    __slots__ = ("_kibitz_plain",)

    def __init__(self, call: Call, wrapped: Any, plain: Callable[[], Any]) -> None:
        super().__init__(call, wrapped)
        object.__setattr__(self, "_kibitz_plain", plain)

    def __await__(self) -> Generator[Any, Any, Any]:
        call: Call = self._kibitz_call
        return call.wait(self._kibitz_wrapped, self._kibitz_plain).__await__()
