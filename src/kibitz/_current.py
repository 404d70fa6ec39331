"""`kibitz.current()`: the Log that is being written, for the code inside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kibitz import ids
from kibitz._context import get_current
from kibitz._guard import guarded
from kibitz._scope import KEY
from kibitz._spans import Span


class CurrentLog:
    """The Log of the innermost running call; if there is none, everything does nothing."""

    __slots__ = ("_span",)

    def __init__(self, span: Span | None) -> None:
        self._span = span

    def __bool__(self) -> bool:
        return self._span is not None

    def __repr__(self) -> str:
        return f"<kibitz Log {self.id or 'none'}>"

    @property
    def id(self) -> str:
        """The Log's id, as pages, API and `kibitz.judge` know it; empty if nothing is recorded."""
        span = self._span
        return "" if span is None else ids.log_id(span.trace_id, span.span_id)

    @property
    def trace_id(self) -> str:
        """The trace's id, 32 hexadecimal digits; empty if nothing is recorded."""
        return "" if self._span is None else f"{self._span.trace_id:032x}"

    @property
    def span_id(self) -> str:
        """The span's id, 16 hexadecimal digits; empty if nothing is recorded."""
        return "" if self._span is None else f"{self._span.span_id:016x}"

    def set_inputs(self, inputs: Any) -> None:
        """Record these as the inputs instead of the arguments."""
        span = self._open_span()
        if span is not None:
            span.set_inputs(inputs)

    def set_output(self, output: Any) -> None:
        """Record this as the output instead of the value returned."""
        span = self._open_span()
        if span is not None:
            span.set_output(output)

    def add_metadata(self, metadata: Mapping[str, Any] | None = None, **more: Any) -> None:
        """Add metadata, by which Logs can be found and grouped."""
        span = self._open_span()
        if span is not None:
            with guarded("adding metadata"):
                span.add_metadata({**(metadata or {}), **more})

    def add_tag(self, tag: str) -> None:
        """Add a tag."""
        span = self._open_span()
        if span is not None:
            span.add_tag(tag)

    def _open_span(self) -> Span | None:
        """The span to write to: in a prompt, the provider's call that has become its Log."""
        span = self._span
        return span.heir if span is not None and span.heir is not None else span


_NOTHING = CurrentLog(None)


def current() -> CurrentLog:
    """Return the Log of the innermost running call, or one that does nothing."""
    scope: Any = get_current().get(KEY)
    if scope is None:
        return _NOTHING
    span = scope.prompt.own if scope.prompt is not None else scope.span
    return _NOTHING if span is None else CurrentLog(span)
