"""Running a decorated call inside its span: the hot path.

Every step of ours is guarded, the host's function never is: its result and its exceptions pass as
they are.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Coroutine
from typing import Any

from kibitz import _runtime
from kibitz import semconv as sc
from kibitz._arguments import Arguments
from kibitz._context import get_current
from kibitz._declared import File, capture_of, with_remarks
from kibitz._generators import drive, drive_async
from kibitz._guard import swallow
from kibitz._opening import begin, enter_span, leave_span
from kibitz._prompts import PromptScope
from kibitz._record import KIND_INTERNAL, json_text, span_template
from kibitz._runtime import Runtime
from kibitz._scope import KEY, Scope
from kibitz._serialize import plain, snapshot
from kibitz._spans import Span


class Declaration:
    """What decorating a function has settled, once for all its calls."""

    __slots__ = (
        "_capture",
        "_declared",
        "_runtime",
        "arguments",
        "file",
        "is_prompt",
        "static",
        "template",
    )

    def __init__(self, function: Callable[..., Any], file: File, static: bytes) -> None:
        self.arguments = Arguments(function)
        self.file = file
        self._declared = self.static = static
        self.template = span_template(json_text(file.path), KIND_INTERNAL)
        self.is_prompt = file.type == "prompt"
        self._runtime: Runtime | None = None
        self._capture = "full"

    def open(self, runtime: Runtime, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Span | None:
        """Open the span of one call; None if it is not to be recorded."""
        try:
            if runtime is not self._runtime:
                self._capture = capture_of(runtime, self.file.path)
                self.static = with_remarks(self._declared, runtime, self._capture)
                self._runtime = runtime
            capture = self._capture
            if capture == "off":
                return None
            context = get_current()
            scope: Any = context.get(KEY)
            if scope is not None and scope.is_dropped:
                return None
            inputs = original_bytes = None
            if capture != "metadata":
                bound = self.arguments.bind(args, kwargs)
                inputs = plain(bound)
                if inputs is None:
                    inputs, original_bytes = snapshot(bound)
            span = begin(runtime, context, scope, self.template, self.static, capture)
            span.path = self.file.path
            span.inputs = inputs
            if original_bytes:
                span.note_cut(sc.LOG_INPUTS, original_bytes)
            if self.is_prompt:
                _hold_back(span, scope)
            elif not span.parent_id:
                span.note_start()
            return span
        except Exception as error:
            swallow("opening a call", error)
            return None


def _hold_back(span: Span, around: Scope | None) -> None:
    """Make a prompt's scope: its place is where its provider calls will be, beside each other."""
    span.held_back = Scope(
        span.trace_id,
        span.parent_id,
        span=around.span if around is not None else None,
        carried=span.carried,
        otel_span=span.otel_span,
        prompt=PromptScope(span),
        is_dropped=span.is_dropped,
        ambient_id=span.ambient_id,
    )


def finish(span: Span, result: Any) -> None:
    """End a call that returned."""
    try:
        if span.held_back is not None and _is_claimed(span):
            return
        end_ns = span.runtime.now_ns()
        if span.output is None and span.capture != "metadata" and not span.is_dropped:
            span.output = plain(result)
            if span.output is None:
                span.output = span.snap(sc.LOG_OUTPUT, result)
        span.end(end_ns)
    except Exception as error:
        swallow("ending a call", error)


def fail(span: Span, error: BaseException) -> None:
    """End a call that raised."""
    try:
        if _is_claimed(span):
            return
        span.fail(error)
        span.end()
    except Exception as ours:
        swallow("ending a call", ours)


def _is_claimed(span: Span) -> bool:
    """Whether a provider's span is already the Log of this prompt call."""
    held_back = span.held_back
    return held_back is not None and held_back.prompt is not None and held_back.prompt.is_claimed


# --- wrapping


def wrap(function: Callable[..., Any], declaration: Declaration) -> Callable[..., Any]:
    """Return the function, recorded; of the same kind, with the same signature and docstring."""
    if inspect.iscoroutinefunction(function):
        wrapped = _wrap_coroutine(function, declaration)
    elif inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        wrapped = _wrap_generator(function, declaration)
    else:
        wrapped = _wrap_plain(function, declaration)
    return functools.wraps(function)(wrapped)


def _wrap_plain(function: Callable[..., Any], declaration: Declaration) -> Callable[..., Any]:
    open_call, get_runtime = declaration.open, _runtime.get

    def call(*args: Any, **kwargs: Any) -> Any:
        runtime = get_runtime()
        span = None if runtime is None else open_call(runtime, args, kwargs)
        if span is None:
            return function(*args, **kwargs)
        context = span.context
        inside = enter_span(span, context)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            leave_span(span, context, inside)
            fail(span, error)
            raise
        leave_span(span, context, inside)
        if type(result) in _LAZY:
            return _follow(span, result)
        finish(span, result)
        return result

    return call


def _wrap_coroutine(function: Callable[..., Any], declaration: Declaration) -> Callable[..., Any]:
    open_call, get_runtime = declaration.open, _runtime.get

    async def call(*args: Any, **kwargs: Any) -> Any:
        runtime = get_runtime()
        span = None if runtime is None else open_call(runtime, args, kwargs)
        if span is None:
            return await function(*args, **kwargs)
        context = span.context
        inside = enter_span(span, context)
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            leave_span(span, context, inside)
            fail(span, error)
            raise
        leave_span(span, context, inside)
        finish(span, result)
        return result

    return call


def _wrap_generator(function: Callable[..., Any], declaration: Declaration) -> Callable[..., Any]:
    """Open at the call, where the parent is current; the first step may be elsewhere."""
    open_call, get_runtime = declaration.open, _runtime.get
    follow: Any = drive_async if inspect.isasyncgenfunction(function) else drive

    def call(*args: Any, **kwargs: Any) -> Any:
        runtime = get_runtime()
        span = None if runtime is None else open_call(runtime, args, kwargs)
        generator = function(*args, **kwargs)
        return generator if span is None else follow(span, generator)

    return call


async def _await(span: Span, coroutine: Coroutine[Any, Any, Any]) -> Any:
    context = get_current()
    inside = enter_span(span, context)
    try:
        result = await coroutine
    except BaseException as error:
        leave_span(span, context, inside)
        fail(span, error)
        raise
    leave_span(span, context, inside)
    finish(span, result)
    return result


def _follow(span: Span, result: Any) -> Any:
    """Let the span last as long as what the call returned: a coroutine or a generator."""
    if type(result) is types.CoroutineType:
        return _await(span, result)
    if type(result) is types.AsyncGeneratorType:
        return drive_async(span, result)
    return drive(span, result)


_LAZY = frozenset({types.CoroutineType, types.GeneratorType, types.AsyncGeneratorType})
