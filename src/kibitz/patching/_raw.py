"""Raw responses (`with_raw_response`, `with_streaming_response`): read as the host reads them.

Such a response is asked for its bytes, its lines or a parsed object. Whatever is read first tells
what the reply was; a body the client has read already is read here at once.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

import orjson

from kibitz._guard import guarded
from kibitz.patching._reading import view
from kibitz.patching._streams import StandIn

if TYPE_CHECKING:
    from kibitz.patching._calls import Call

_MOST_BYTES = 4 * 2**20  # of a body read in pieces; the rest passes unrecorded
_WHOLE = frozenset({"read", "text", "json"})
_PIECES = frozenset({"iter_bytes", "iter_text", "iter_lines"})


def is_raw(result: Any) -> bool:
    """Whether this is a raw response of a generated client."""
    return hasattr(type(result), "parse") and hasattr(result, "http_response")


def take(call: Call, response: Any) -> Any:
    """Read a response whose body is there, or stand in for it until it is read."""
    if _read_body(call, response):
        return response
    return RawRecorder(call, response)


def _read_body(call: Call, response: Any) -> bool:
    http = response.http_response
    if not http.is_closed or not hasattr(
        http, "_content"
    ):  # asking `content` of an unread body raises
        return False
    _read_text(call, http.content, is_events=_is_event_stream(http))
    return True


def _is_event_stream(http: Any) -> bool:
    return str(http.headers.get("content-type", "")).startswith("text/event-stream")


def _read_text(call: Call, body: bytes, *, is_events: bool) -> None:
    if not is_events:
        call.end(call.endpoint.read_response(view(orjson.loads(body))))
        return
    fold = call.open_fold()
    for line in body.splitlines():
        data = line.removeprefix(b"data:").strip()
        if data and line.startswith(b"data:") and data != b"[DONE]":
            fold.add(view(orjson.loads(data)))
    call.end_stream(is_abandoned=True)


class RawRecorder(StandIn):
    """A raw response that is recorded when its body is parsed, read whole, or read in pieces."""

    __slots__ = ("_kibitz_parsed", "_kibitz_pieces")

    def __init__(self, call: Call, wrapped: Any) -> None:
        super().__init__(call, wrapped)
        object.__setattr__(self, "_kibitz_parsed", {})  # the client caches what it parsed, so do we
        object.__setattr__(self, "_kibitz_pieces", bytearray())

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_kibitz_"):
            raise AttributeError(name)
        value = getattr(self._kibitz_wrapped, name)
        if name == "parse":
            return self._kibitz_after(value, self._kibitz_take)
        if name == "close":
            return self._kibitz_after(value, self._kibitz_end)
        if name in _WHOLE and callable(value):
            return self._kibitz_after(value, self._kibitz_read)
        if name in _PIECES:
            end = b"\n" if name == "iter_lines" else b""
            return lambda *args, **kwargs: self._kibitz_tee(value(*args, **kwargs), end)
        return value

    def _kibitz_after(
        self, method: Callable[..., Any], then: Callable[[Any], Any]
    ) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            result = method(*args, **kwargs)
            return wait(result) if inspect.iscoroutine(result) else then(result)

        async def wait(result: Any) -> Any:
            return then(await result)

        return called

    def _kibitz_take(self, parsed: Any) -> Any:
        known = self._kibitz_parsed
        if id(parsed) not in known:
            known[id(parsed)] = self._kibitz_call.take(parsed), parsed
        return known[id(parsed)][0]

    def _kibitz_read(self, result: Any) -> Any:
        with guarded("reading a raw response"):
            _read_body(self._kibitz_call, self._kibitz_wrapped)
        return result

    def _kibitz_tee(self, pieces: Any, end: bytes) -> Any:
        is_async = hasattr(pieces, "__anext__")
        return (self._kibitz_atee if is_async else self._kibitz_stee)(pieces, end)

    def _kibitz_stee(self, pieces: Iterator[Any], end: bytes) -> Iterator[Any]:
        for piece in pieces:
            self._kibitz_keep(piece, end)
            yield piece
        self._kibitz_end(None)

    async def _kibitz_atee(self, pieces: AsyncIterator[Any], end: bytes) -> AsyncIterator[Any]:
        async for piece in pieces:
            self._kibitz_keep(piece, end)
            yield piece
        self._kibitz_end(None)

    def _kibitz_keep(self, piece: Any, end: bytes) -> None:
        self._kibitz_call.note_chunk()
        kept = self._kibitz_pieces
        if len(kept) < _MOST_BYTES:
            kept += (piece.encode() if isinstance(piece, str) else piece) + end

    def _kibitz_end(self, result: Any) -> Any:
        """The host reads no further: read what was kept."""
        call = self._kibitz_call
        with guarded("reading a raw response"):
            if kept := bytes(self._kibitz_pieces):
                is_events = _is_event_stream(self._kibitz_wrapped.http_response)
                _read_text(call, kept, is_events=is_events)
        if call.endpoint.stream is not None:
            call.end_stream(is_abandoned=True)
        call.end({})
        return result

    def __del__(self) -> None:
        # A stream parsed out of it may live on.
        if not any(issubclass(type(kept), StandIn) for kept, _ in self._kibitz_parsed.values()):
            self._kibitz_end(None)
