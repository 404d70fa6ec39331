"""Generators: the span is current during each step only, and ends once, whatever ends them.

Nothing is kept in the context across a `yield`: the consumer between two steps, in whatever task or
thread, never sees our span, and closing from another context has nothing to undo.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any

import orjson

from kibitz import semconv as sc
from kibitz._context import attach, get_current
from kibitz._garbage import collecting
from kibitz._guard import swallow
from kibitz._opening import enter_span, leave_span
from kibitz._serialize import plain, snapshot
from kibitz._spans import Span

_MOST_BYTES = 256 * 1024
_ITEM_BYTES = 24  # what one more costs, however short: at most 11,000


class Ending:
    """Collects what was read and ends the span once, at the latest when it is itself collected."""

    __slots__ = ("_is_text", "_left_out", "parts", "room", "span")

    def __init__(self, span: Span) -> None:
        self.span = span
        self.parts: list[Any] = []
        self._is_text = True
        self.room = 0 if span.capture == "metadata" or span.is_dropped else _MOST_BYTES
        self._left_out = 0

    def add(self, item: Any, room: int) -> int:
        """Note what is no short text; copied now, bounded together. Returns the room left."""
        if room <= 0:
            self._left_out += 1
            return room
        try:
            text = snapshot(item, room).text
            self._is_text = self._is_text and type(item) is str
            self.parts.append(orjson.loads(text))
            return room - len(text) - _ITEM_BYTES
        except Exception as error:
            swallow("noting what a generator gave", error)
            return room

    def end(self, error: BaseException | None = None, *, is_abandoned: bool = False) -> None:
        """End the span; only the first call counts."""
        span = self.span
        if span.is_ended:
            return
        try:
            held_back = span.held_back
            prompt = None if held_back is None else held_back.prompt
            if prompt is not None and prompt.is_claimed:
                span.is_ended = True
                return
            end_ns = span.runtime.now_ns()
            if span.output is None and span.capture != "metadata" and not span.is_dropped:
                parts = self.parts
                output: Any = "".join(parts) if parts and self._is_text else parts
                text = plain(output)
                span.output = span.snap(sc.LOG_OUTPUT, output) if text is None else text
                if self._left_out:
                    span.note_cut(sc.LOG_OUTPUT, self._left_out)
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
        if not self.span.is_ended:
            self.end(is_abandoned=True)


def drive(span: Span, generator: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Step through a generator with the span current inside it."""
    return _drive(Ending(span), generator)


def _drive(ending: Ending, generator: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    span, keep, room = ending.span, ending.parts.append, ending.room
    send: Any = generator.send
    step = send
    value = outside = inside = None
    while True:
        context = get_current()
        if context is outside and inside is not None and not collecting:
            attach(inside)  # as at the step before: nearly always
        else:
            outside, inside = context, enter_span(span, context)
        try:
            item = step(value)
        except StopIteration as stop:
            leave_span(span, outside, inside)
            ending.end()
            return stop.value
        except BaseException as error:
            leave_span(span, outside, inside)
            ending.end(error)
            raise
        if get_current() is inside:
            attach(outside)
        else:
            leave_span(span, outside, inside)
        if type(item) is str and (size := len(item)) < room:
            keep(item)
            room -= size + _ITEM_BYTES
        else:
            room = ending.add(item, room)
        try:
            value = yield item
            step = send
        except GeneratorExit:
            _close(ending, generator)
            raise
        except BaseException as error:
            step, value = generator.throw, error


def _close(ending: Ending, generator: Generator[Any, Any, Any]) -> None:
    span, context = ending.span, get_current()
    inside = enter_span(span, context)
    try:
        generator.close()
    except BaseException as error:
        leave_span(span, context, inside)
        ending.end(error)
        raise
    leave_span(span, context, inside)
    ending.end(is_abandoned=True)


def drive_async(span: Span, generator: AsyncGenerator[Any, Any]) -> AsyncGenerator[Any, Any]:
    """Step through an async generator with the span current inside it."""
    return _drive_async(Ending(span), generator)


async def _drive_async(
    ending: Ending, generator: AsyncGenerator[Any, Any]
) -> AsyncGenerator[Any, Any]:
    span, keep, room = ending.span, ending.parts.append, ending.room
    send: Any = generator.asend
    step = send
    value = outside = inside = None
    while True:
        context = get_current()
        if context is outside and inside is not None and not collecting:
            attach(inside)
        else:
            outside, inside = context, enter_span(span, context)
        try:
            item = await step(value)
        except StopAsyncIteration:
            leave_span(span, outside, inside)
            ending.end()
            return
        except BaseException as error:
            leave_span(span, outside, inside)
            ending.end(error)
            raise
        if get_current() is inside:
            attach(outside)
        else:
            leave_span(span, outside, inside)
        if type(item) is str and (size := len(item)) < room:
            keep(item)
            room -= size + _ITEM_BYTES
        else:
            room = ending.add(item, room)
        try:
            value = yield item
            step = send
        except GeneratorExit:
            await _close_async(ending, generator)
            raise
        except BaseException as error:
            step, value = generator.athrow, error


async def _close_async(ending: Ending, generator: AsyncGenerator[Any, Any]) -> None:
    # If nobody can await this (the loop is gone), Python drops us at the first await; the span then
    # ends when `ending` is collected.
    span, context = ending.span, get_current()
    inside = enter_span(span, context)
    try:
        await generator.aclose()
    except BaseException as error:
        leave_span(span, context, inside)
        ending.end(error)
        raise
    leave_span(span, context, inside)
    ending.end(is_abandoned=True)
