"""Stand-ins for streams and stream managers of a client: they look the same and note what is read.

A stand-in has the class, the attributes and the methods of the real one. Methods of a helper that
read the stream themselves (`until_done`, `get_final_message`) are run on the stand-in, or what they
read would pass by.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import MethodType
from typing import TYPE_CHECKING, Any

from kibitz._guard import swallow

if TYPE_CHECKING:
    from kibitz.patching._calls import Call


class StandIn:
    """Looks like `wrapped`: class, attributes, methods. Our own names start with `_kibitz_`."""

    __slots__ = ("__weakref__", "_kibitz_call", "_kibitz_wrapped")

    def __init__(self, call: Call, wrapped: Any) -> None:
        object.__setattr__(self, "_kibitz_call", call)
        object.__setattr__(self, "_kibitz_wrapped", wrapped)

    @property
    def __class__(self) -> Any:
        return type(self._kibitz_wrapped)

    @__class__.setter
    def __class__(self, _: Any) -> None:  # the type checker wants what object has
        raise TypeError("the class of a stream cannot be changed")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_kibitz_"):  # a slot that was never filled
            raise AttributeError(name)
        return getattr(self._kibitz_wrapped, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._kibitz_wrapped, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._kibitz_wrapped, name)

    def __dir__(self) -> Any:
        return dir(self._kibitz_wrapped)

    def __repr__(self) -> str:
        return repr(self._kibitz_wrapped)


class StreamRecorder(StandIn):
    """A stream whose chunks are folded as the host reads them; base of the sync and the async one.

    The span ends when the stream is exhausted, closed, fails or is collected, once.
    """

    __slots__ = ("_kibitz_fold", "_kibitz_is_extra", "_kibitz_views")

    def __init__(self, call: Call, wrapped: Any) -> None:
        super().__init__(call, wrapped)
        endpoint = call.endpoint
        object.__setattr__(self, "_kibitz_fold", call.open_fold())
        object.__setattr__(
            self, "_kibitz_is_extra", endpoint.is_extra if call.is_extended else None
        )
        object.__setattr__(self, "_kibitz_views", {})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_kibitz_"):
            raise AttributeError(name)
        views = self._kibitz_views
        if name in views:
            return views[name]
        wrapped = self._kibitz_wrapped
        maker = self._kibitz_call.endpoint.stream_views.get(name)
        if maker is not None and hasattr(type(wrapped), maker):
            views[name] = MethodType(getattr(type(wrapped), maker), self)()
            return views[name]
        value = getattr(wrapped, name)
        if isinstance(value, MethodType) and value.__self__ is wrapped:
            return MethodType(value.__func__, self)
        return value

    def _kibitz_keep(self, chunk: Any) -> bool:
        """Note a chunk; whether the host is to see it."""
        call = self._kibitz_call
        try:
            if not call.first_ns:
                call.note_chunk()
            self._kibitz_fold.add(chunk)
            is_extra = self._kibitz_is_extra
            return is_extra is None or not is_extra(chunk)
        except Exception as error:
            swallow("folding a chunk", error)
            return True

    def _kibitz_leave(self) -> None:
        """The host reads no further."""
        self._kibitz_call.end_stream(is_abandoned=True)

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):  # __init__ did not finish
            self._kibitz_leave()


class SyncStreamRecorder(StreamRecorder):
    """A stream read with `for`."""

    __slots__ = ()

    def __iter__(self) -> SyncStreamRecorder:
        return self

    def __next__(self) -> Any:
        while True:
            try:
                chunk = self._kibitz_wrapped.__next__()
            except StopIteration:
                self._kibitz_call.end_stream()
                raise
            except BaseException as error:
                self._kibitz_call.end_stream(error)
                raise
            if self._kibitz_keep(chunk):
                return chunk

    def __enter__(self) -> Any:
        entered = self._kibitz_wrapped.__enter__()
        return self if entered is self._kibitz_wrapped else entered

    def __exit__(self, *error: Any) -> Any:
        try:
            return self._kibitz_wrapped.__exit__(*error)
        finally:
            self._kibitz_leave()

    def close(self) -> Any:
        """Close the real stream; the span ends with what was read."""
        try:
            return self._kibitz_wrapped.close()
        finally:
            self._kibitz_leave()


class AsyncStreamRecorder(StreamRecorder):
    """A stream read with `async for`."""

    __slots__ = ()

    def __aiter__(self) -> AsyncStreamRecorder:
        return self

    async def __anext__(self) -> Any:
        while True:
            try:
                chunk = await self._kibitz_wrapped.__anext__()
            except StopAsyncIteration:
                self._kibitz_call.end_stream()
                raise
            except BaseException as error:
                self._kibitz_call.end_stream(error)
                raise
            if self._kibitz_keep(chunk):
                return chunk

    async def __aenter__(self) -> Any:
        entered = await self._kibitz_wrapped.__aenter__()
        return self if entered is self._kibitz_wrapped else entered

    async def __aexit__(self, *error: Any) -> Any:
        try:
            return await self._kibitz_wrapped.__aexit__(*error)
        finally:
            self._kibitz_leave()

    async def close(self) -> Any:
        """Close the real stream; the span ends with what was read."""
        try:
            return await self._kibitz_wrapped.close()
        finally:
            self._kibitz_leave()

    async def aclose(self) -> Any:
        """Close the real stream; the span ends with what was read."""
        try:
            return await self._kibitz_wrapped.aclose()
        finally:
            self._kibitz_leave()


class _Manager(StandIn):
    """A context manager of the client that makes its request when it is entered."""

    __slots__ = ("_kibitz_remake",)

    def __init__(self, call: Call, wrapped: Any, remake: Callable[[], Any]) -> None:
        super().__init__(call, wrapped)
        object.__setattr__(self, "_kibitz_remake", remake)

    def _kibitz_enter(self, method: str) -> Any:
        call = self._kibitz_call
        enter = getattr(self._kibitz_wrapped, method)
        if not call.open():
            return enter()
        return call.run(enter, lambda: self._kibitz_enter_plain(method))

    def _kibitz_enter_plain(self, method: str) -> Any:
        object.__setattr__(self, "_kibitz_wrapped", self._kibitz_remake())
        return getattr(self._kibitz_wrapped, method)()


class SyncManager(_Manager):
    """A manager entered with `with`."""

    __slots__ = ()

    def __enter__(self) -> Any:
        return self._kibitz_enter("__enter__")

    def __exit__(self, *error: Any) -> Any:
        try:
            return self._kibitz_wrapped.__exit__(*error)
        finally:
            self._kibitz_call.end_stream(is_abandoned=True)


class AsyncManager(_Manager):
    """A manager entered with `async with`."""

    __slots__ = ()

    async def __aenter__(self) -> Any:
        return await self._kibitz_enter("__aenter__")

    async def __aexit__(self, *error: Any) -> Any:
        try:
            return await self._kibitz_wrapped.__aexit__(*error)
        finally:
            self._kibitz_call.end_stream(is_abandoned=True)
