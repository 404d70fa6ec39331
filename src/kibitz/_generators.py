"""Generators: the span is current during each step only, and ends once, whatever ends them.

Nothing is kept in the context across a `yield`: the consumer between two steps, in whatever task or
thread, never sees our span, and closing from another context has nothing to undo.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any

from opentelemetry.context import get_current
from opentelemetry.context.context import Context

from kibitz import semconv as sc
from kibitz._guard import swallow
from kibitz._scope import again, leave
from kibitz._serialize import snapshot
from kibitz._spans import Span, enter_span

_MOST_BYTES = 256 * 1024
_MOST_ITEMS = 10_000


class Ending:
    """Collects what was read and ends the span once, at the latest when it is itself collected."""

    __slots__ = ("_is_kept", "_is_text", "_left_out", "_parts", "_room", "span")

    def __init__(self, span: Span) -> None:
        self.span = span
        self._is_kept = not span.is_dropped and span.capture != "metadata"
        self._parts: list[Any] = []
        self._is_text = True
        self._room = _MOST_BYTES
        self._left_out = 0

    def add(self, item: Any) -> None:
        """Note one item that was read; copied now, bounded together."""
        try:
            if not self._is_kept:
                return
            if self._room <= 0 or len(self._parts) >= _MOST_ITEMS:
                self._left_out += 1
            elif type(item) is str and len(item) <= self._room:
                self._parts.append(item)
                self._room -= len(item) + 4
            else:
                import orjson

                text = snapshot(item, self._room).text
                self._is_text = self._is_text and type(item) is str
                self._parts.append(orjson.loads(text))
                self._room -= len(text)
        except Exception as error:
            swallow("noting what a generator gave", error)

    def end(self, error: BaseException | None = None, *, is_abandoned: bool = False) -> None:
        """End the span; only the first call counts."""
        span = self.span
        if span.is_ended:
            return
        try:
            prompt = span.scope.prompt
            if prompt is not None and prompt.is_claimed:
                span.is_ended = True
                return
            end_ns = span.runtime.now_ns()
            if span.output is None and span.capture != "metadata" and not span.is_dropped:
                parts = self._parts
                output: Any = "".join(parts) if parts and self._is_text else parts
                span.output = span.snap(sc.LOG_OUTPUT, output)
                if self._left_out:
                    span.truncated = {**(span.truncated or {}), sc.LOG_OUTPUT: self._left_out}
            if error is not None:
                span.fail(error)
            elif is_abandoned:
                span.set(sc.FINISH_REASONS, [sc.ABANDONED])
            span.end(end_ns)
        except Exception as ours:
            swallow("ending a generator's span", ours)

    def __del__(self) -> None:
        # Reached with an open span if Python drops the generator without closing it: an async one
        # whose event loop is gone, or one that was never begun.
        self.end(is_abandoned=True)


class _Inside:
    """Enters and leaves a span at each step, on whatever is current there: mostly the same."""

    __slots__ = ("_inside", "_outside", "_scope", "_span")

    def __init__(self, span: Span) -> None:
        self._span = span
        self._scope = span.scope
        self._outside: Context | None = None
        self._inside: Context | None = None

    def enter(self) -> None:
        context = get_current()
        if context is self._outside and self._inside is not None:
            again(self._inside)
        else:
            self._outside = context
            self._inside = enter_span(self._span, context)

    def leave(self) -> None:
        if self._outside is not None:
            leave(self._scope, self._outside)


def drive(span: Span, generator: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Step through a generator with the span current inside it."""
    return _drive(Ending(span), generator)


def _drive(ending: Ending, generator: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    step: Any = generator.send
    value: Any = None
    inside = _Inside(ending.span)
    while True:
        inside.enter()
        try:
            item = step(value)
        except StopIteration as stop:
            inside.leave()
            ending.end()
            return stop.value
        except BaseException as error:
            inside.leave()
            ending.end(error)
            raise
        inside.leave()
        ending.add(item)
        try:
            value = yield item
            step = generator.send
        except GeneratorExit:
            _close(ending, generator)
            raise
        except BaseException as error:
            step, value = generator.throw, error


def _close(ending: Ending, generator: Generator[Any, Any, Any]) -> None:
    context = get_current()
    enter_span(ending.span, context)
    try:
        generator.close()
    except BaseException as error:
        leave(ending.span.scope, context)
        ending.end(error)
        raise
    leave(ending.span.scope, context)
    ending.end(is_abandoned=True)


def drive_async(span: Span, generator: AsyncGenerator[Any, Any]) -> AsyncGenerator[Any, Any]:
    """Step through an async generator with the span current inside it."""
    return _drive_async(Ending(span), generator)


async def _drive_async(
    ending: Ending, generator: AsyncGenerator[Any, Any]
) -> AsyncGenerator[Any, Any]:
    step: Any = generator.asend
    value: Any = None
    inside = _Inside(ending.span)
    while True:
        inside.enter()
        try:
            item = await step(value)
        except StopAsyncIteration:
            inside.leave()
            ending.end()
            return
        except BaseException as error:
            inside.leave()
            ending.end(error)
            raise
        inside.leave()
        ending.add(item)
        try:
            value = yield item
            step = generator.asend
        except GeneratorExit:
            await _close_async(ending, generator)
            raise
        except BaseException as error:
            step, value = generator.athrow, error


async def _close_async(ending: Ending, generator: AsyncGenerator[Any, Any]) -> None:
    # If nobody can await this (the loop is gone), Python drops us at the first await; the span then
    # ends when `ending` is collected.
    context = get_current()
    enter_span(ending.span, context)
    try:
        await generator.aclose()
    except BaseException as error:
        leave(ending.span.scope, context)
        ending.end(error)
        raise
    leave(ending.span.scope, context)
    ending.end(is_abandoned=True)
