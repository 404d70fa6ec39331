"""Opening spans: where a new one belongs, and how it is made current and left again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.context.context import Context
from opentelemetry.trace import SpanContext

from kibitz import _record, _runtime
from kibitz._context import attach, get_current
from kibitz._declared import File, capture_of, encode_file, with_remarks
from kibitz._guard import guarded
from kibitz._record import json_text
from kibitz._runtime import Runtime
from kibitz._scope import KEY, NOTHING_CARRIED, OTEL_SPAN_KEY, Scope, enter, leave
from kibitz._spans import Span

MODEL: Final = "model"  # kind of a span that calls a model provider


def begin(
    runtime: Runtime,
    context: Context,
    scope: Scope | None,
    template: bytes,
    static: bytes,
    capture: str,
    kind: int = _record.KIND_INTERNAL,
) -> Span:
    """Open a span under what is current in `context`; the caller enters its scope and ends it."""
    span = Span()
    otel_span: Any = context.get(OTEL_SPAN_KEY)
    span.runtime = runtime
    span.context = context
    span.otel_span = otel_span
    span.span_id = runtime.new_span_id()  # before the trace id: see `_ids`
    span.template = template
    span.static = static
    span.capture = capture
    if kind != _record.KIND_INTERNAL:
        span.kind = kind
    if scope is None:
        span.carried = NOTHING_CARRIED
        _begin_trace(span, runtime, otel_span)
    else:
        span.carried = carried = scope.carried
        if carried is not NOTHING_CARRIED:
            span.has_more = True
        _join_trace(span, runtime, scope, otel_span)
    span.start_ns = runtime.now_ns()
    return span


def _join_trace(span: Span, runtime: Runtime, scope: Scope, otel_span: Any) -> None:
    """Take the place below what is current: ours, or of our private provider inside it."""
    trace_id, span.parent_id = scope.trace_id, scope.span_id
    if scope.is_dropped:
        span.is_dropped = True
    if otel_span is not scope.otel_span and runtime.is_private(otel_span):
        found: SpanContext = otel_span.real_context
        trace_id, span.parent_id = found.trace_id, found.span_id
    if not trace_id:
        _begin_trace(span, runtime, otel_span)
        return
    span.trace_id = trace_id
    if not span.parent_id and scope.ambient_id:
        span.ambient_id, span.has_more = scope.ambient_id, True


def _begin_trace(span: Span, runtime: Runtime, otel_span: Any) -> None:
    """Begin a trace: under the host's own trace id if it has one, and in the sample or not."""
    trace_id = 0
    if otel_span is None:
        pass
    elif runtime.is_private(otel_span):
        found: SpanContext = otel_span.real_context
        trace_id, span.parent_id = found.trace_id, found.span_id
    else:
        found = otel_span.get_span_context()
        if found.is_valid:
            trace_id, span.ambient_id = found.trace_id, found.span_id
            span.has_more = True
    span.trace_id = trace_id or runtime.new_trace_id()
    rate = runtime.settings.sample_rate
    if rate < 1 and not span.parent_id:
        span.is_dropped = not is_kept(span.trace_id, rate)


def is_kept(trace_id: int, sample_rate: float) -> bool:
    """Whether a trace is in the sample; every process decides alike."""
    return sample_rate >= 1 or (trace_id & (2**56 - 1)) < sample_rate * 2**56


def open_span(
    name: str,
    *,
    kind: str = MODEL,
    attributes: Mapping[str, Any] | None = None,
    file: File | None = None,
    parent: Scope | None = None,
) -> Span | None:
    """Open a span under what is current, or under `parent`; None if nothing is to be recorded.

    A span of kind "model" opened inside a `@kibitz.prompt` function becomes the prompt's Log.
    """
    runtime = _runtime.get()
    if runtime is None:
        return None
    with guarded("opening a span"):
        context = get_current()
        scope: Any = parent if parent is not None else context.get(KEY)
        if scope is not None and scope.is_dropped:
            return None
        prompt = scope.prompt if scope is not None and kind == MODEL else None
        capture = capture_of(runtime, file.path if file is not None else None)
        if capture == "off" and prompt is None:
            return None
        static = with_remarks(encode_file(file) if file is not None else b"", runtime, capture)
        otel_kind = _record.KIND_CLIENT if kind == MODEL else _record.KIND_INTERNAL
        template = _record.span_template(json_text(name), otel_kind)
        span = begin(runtime, context, scope, template, static, capture, otel_kind)
        if file is not None:
            span.path = file.path
        if prompt is not None:
            prompt.claim(span)
        for key, value in (attributes or {}).items():
            span.set(key, value)
        if kind == MODEL or not span.parent_id:
            span.note_start()
        return span
    return None


def enter_span(span: Span, context: Context) -> Context | None:
    """Make a span's scope current on top of `context`; what is current now is for `leave_span`."""
    if span.held_back is not None:
        return enter(span.held_back, context)
    return enter(span, context, span if span.runtime.is_visible() else None)


def leave_span(span: Span, context: Context, inside: Context | None) -> None:
    """Go back to `context`, if the span's scope is still the current one."""
    if get_current() is inside:
        attach(context)
    else:  # left already, or something was made current inside and not taken back
        leave(span.scope, context)


class use_span:
    """Make a span current for the duration of a `with`; the span is not ended."""

    __slots__ = ("_context", "_inside", "_span")

    def __init__(self, span: Span | None) -> None:
        self._span = span

    def __enter__(self) -> Span | None:
        span = self._span
        if span is not None:
            self._context = get_current()
            self._inside = enter_span(span, self._context)
        return span

    def __exit__(self, *_: object) -> None:
        if self._span is not None:
            leave_span(self._span, self._context, self._inside)


def current_span() -> Span | None:
    """The innermost span of ours that is open in this context, or None."""
    scope: Any = get_current().get(KEY)
    return None if scope is None else scope.span
