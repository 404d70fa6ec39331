"""`kibitz.handler`: for serverless functions, which are frozen as soon as they have answered."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, overload

from kibitz._guard import guarded
from kibitz._setup import flush
from kibitz.errors import ConfigError

F = TypeVar("F", bound=Callable[..., Any])

_SPARE_S = 0.1  # of the platform's own time limit: for the answer itself


@overload
def handler(function: F, /) -> F: ...
@overload
def handler(*, timeout_s: float = 1.0) -> Callable[[F], F]: ...
def handler(function: Any = None, /, *, timeout_s: float = 1.0) -> Any:
    """Send what a serverless function has recorded before it returns; sync and async.

    Waits at most `timeout_s`, and less if the platform's context says that its time is nearly over
    (AWS Lambda's `get_remaining_time_in_millis`). What is not sent in time waits in the spool for
    the next call of the same instance. Put it outermost, above `@kibitz.flow`.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        if not callable(function):
            kind = type(function).__name__
            raise ConfigError(f"@kibitz.handler goes on a function, not on {kind!r}")

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                result = function(*args, **kwargs)
            except BaseException:
                _flush(timeout_s, args)
                raise
            if inspect.iscoroutine(result):  # a decorated async function may not look like one
                return _await(result, timeout_s, args)
            _flush(timeout_s, args)
            return result

        if not inspect.iscoroutinefunction(function):
            return call

        @functools.wraps(function)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            return await _await(function(*args, **kwargs), timeout_s, args)

        return call_async

    return decorate if function is None else decorate(function)


async def _await(result: Any, timeout_s: float, args: tuple[Any, ...]) -> Any:
    try:
        returned = await result
    except GeneratorExit:  # closed by its owner: nothing may be awaited any more
        raise
    except BaseException:
        await _flush_aside(timeout_s, args)
        raise
    await _flush_aside(timeout_s, args)
    return returned


async def _flush_aside(timeout_s: float, args: tuple[Any, ...]) -> None:
    """Flush on a thread: other tasks of the loop, perhaps other requests, go on meanwhile."""
    import asyncio  # 25 ms that only an app with a loop pays, and it has paid already

    await asyncio.to_thread(_flush, timeout_s, args)


def _flush(timeout_s: float, args: tuple[Any, ...]) -> None:
    with guarded("flushing before a serverless function returns"):
        flush(min([timeout_s, *_remaining_s(args)]))


def _remaining_s(args: tuple[Any, ...]) -> list[float]:
    """What the platform still gives us, if its context tells."""
    for value in args[1:2]:
        ask = getattr(value, "get_remaining_time_in_millis", None)
        if callable(ask):
            return [max(0.0, float(ask()) / 1000 - _SPARE_S)]
    return []
