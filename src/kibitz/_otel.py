"""The private OpenTelemetry provider for instrumentors not ours, and how to be a guest.

What such an instrumentor opens is put by it into OpenTelemetry's current-span slot, where the
host's own sampler and propagators would find it. So it gets a `GuestSpan`: it records into our
spool, but where the host has an SDK of its own, its context *is* the host's current one. The host's
next span gets the parent, and its next request the `traceparent`, that they would have without us.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import INVALID_SPAN_CONTEXT, NonRecordingSpan, SpanContext
from opentelemetry.util._decorator import _agnosticcontextmanager

from kibitz import _runtime
from kibitz._foreign import NO_PARENT, encode
from kibitz._guard import swallow
from kibitz._ids import new_span_id, new_trace_id
from kibitz._opening import is_kept
from kibitz._record import BARE_TAIL, json_text, span_head, span_template
from kibitz._runtime import SPAN, Runtime
from kibitz._scope import KEY, Carried, Scope
from kibitz._serialize import snapshot
from kibitz.semconv import (
    AMBIENT_PARENT,
    CAPTURE,
    CONVERSATION_ID,
    KEEP_PROBABILITY,
    METADATA,
    SESSION_ID,
    USER_ID,
)

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

    from kibitz._running import Slot

_KEPT_TEXTS = (  # with capture="metadata": who and how, never what was said
    "gen_ai.request.",
    "gen_ai.response.",
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.system",
    "gen_ai.agent.name",
    "gen_ai.tool.name",
    "gen_ai.tool.call.id",
    "gen_ai.conversation.id",
    "llm.model_name",
    "llm.provider",
    "openinference.span.kind",
    "traceloop.span.kind",
    "traceloop.entity.name",
    "session.id",
    "user.id",
    "error.type",
    "exception.type",
    "kibitz.",
)
_CONTENT_TEXTS = (
    "gen_ai.system_instructions",
    "kibitz.log.",
    "kibitz.metadata",
    "kibitz.file.content",
)


def is_host_using_sdk() -> bool:
    """Whether the app itself has a global provider, set before or after `init()`."""
    return trace._TRACER_PROVIDER is not None or _is_provider_configured()


def _is_provider_configured() -> bool:
    return "OTEL_PYTHON_TRACER_PROVIDER" in os.environ


def visibility(mode: str) -> Callable[[], bool]:
    """Make the question whether the host's OpenTelemetry may see our spans as its current one.

    Asked at each span, because the host may set its provider after `init()`.
    """
    if mode != "auto":
        return lambda: mode == "join"
    if _is_provider_configured():  # looked up once: a name that is not in os.environ costs 1 µs
        return lambda: False
    return lambda: trace._TRACER_PROVIDER is None


class GuestSpan(trace.Span):
    """A span of a foreign instrumentor: ours to record, invisible to the host's own tracing."""

    def __init__(self, real: trace.Span, host: SpanContext) -> None:
        self._real = real
        self._host = host

    @property
    def real_context(self) -> SpanContext:
        """Under which ids it is recorded."""
        return self._real.get_span_context()

    @property
    def host_context(self) -> SpanContext:
        """The host's span around it; invalid if there is none."""
        return self._host

    def get_span_context(self) -> SpanContext:
        """What others see: the host's own current span, unless there is no tracing but ours."""
        runtime = _runtime.get()
        is_visible = not is_host_using_sdk() if runtime is None else runtime.is_visible()
        return self.real_context if is_visible else self._host

    def end(self, end_time: int | None = None) -> None:
        """End it."""
        self._real.end(end_time)

    def set_attributes(self, attributes: Any) -> None:
        """Set several attributes."""
        self._real.set_attributes(attributes)

    def set_attribute(self, key: str, value: Any) -> None:
        """Set one attribute."""
        self._real.set_attribute(key, value)

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        """Add an event."""
        self._real.add_event(name, attributes, timestamp)

    def add_link(self, context: SpanContext, attributes: Any = None) -> None:
        """Add a link."""
        self._real.add_link(context, attributes)

    def update_name(self, name: str) -> None:
        """Rename it."""
        self._real.update_name(name)

    def is_recording(self) -> bool:
        """Whether it still takes attributes."""
        return self._real.is_recording()

    def set_status(self, status: Any, description: str | None = None) -> None:
        """Set the status."""
        self._real.set_status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Any = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Add an exception event."""
        self._real.record_exception(exception, attributes, timestamp, escaped)

    def __getattr__(self, name: str) -> Any:
        # Instrumentors read SDK attributes such as `attributes` and `start_time`.
        if name == "_real":  # a copy that is only being made
            raise AttributeError(name)
        return getattr(self._real, name)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a new span belongs: all ids 0 if it is a root of a new trace."""

    trace_id: int
    parent_id: int  # of a span we record
    ambient_id: int  # of one we do not
    host: SpanContext  # the host's innermost span; invalid if there is none
    scope: Scope | None


def place_in(context: otel_context.Context) -> Place:
    """Find the innermost span we record in a context, be it ours or a foreign instrumentor's."""
    slot = trace.get_current_span(context)
    scope: Scope | None = context.get(KEY)  # type: ignore[assignment]  # only we set this key
    host = host_of(slot, scope)
    if isinstance(slot, GuestSpan) and (scope is None or scope.otel_span is not slot):
        real = slot.real_context
        return Place(real.trace_id, real.span_id, 0, host, scope)
    if scope is not None and scope.trace_id:
        return Place(scope.trace_id, scope.span_id, scope.ambient_id, host, scope)
    return Place(host.trace_id, 0, host.span_id, host, scope)


def host_of(slot: trace.Span, scope: Scope | None) -> SpanContext:
    """What the host itself has opened, behind what is ours; invalid if nothing."""
    if isinstance(slot, GuestSpan):
        return slot.host_context
    if scope is not None and scope.span is not None and slot is scope.span:
        around = scope.otel_span
        if around is None or around is slot:
            return INVALID_SPAN_CONTEXT
        return around.host_context if isinstance(around, GuestSpan) else around.get_span_context()
    return slot.get_span_context()


def is_private(span: object) -> bool:
    """Whether an OpenTelemetry span is one of the private provider; its ids are `real_context`."""
    return isinstance(span, GuestSpan)


class _Tracer(trace.Tracer):
    """Opens guest spans under the innermost span that we record."""

    def __init__(self, sdk: trace.Tracer) -> None:
        self._sdk = sdk

    def start_span(
        self,
        name: str,
        context: otel_context.Context | None = None,
        kind: trace.SpanKind = trace.SpanKind.INTERNAL,
        attributes: Any = None,
        links: Any = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> trace.Span:
        """Open a span."""
        around = otel_context.get_current() if context is None else context
        place = place_in(around)
        if place.scope is not None and place.scope.is_dropped:
            return GuestSpan(NonRecordingSpan(INVALID_SPAN_CONTEXT), place.host)
        if place.ambient_id and not place.parent_id:
            # Its trace id helps to find the two together; as a parent it would never arrive.
            attributes = {**(attributes or {}), AMBIENT_PARENT: f"{place.ambient_id:016x}"}
        real = self._sdk.start_span(
            name,
            _under(place, around),
            kind,
            attributes,
            links,
            start_time,
            record_exception,
            set_status_on_exception,
        )
        if place.scope is not None and real.is_recording():
            real.set_attributes(_carried(place.scope.carried))
        return GuestSpan(real, place.host)

    @_agnosticcontextmanager
    def start_as_current_span(
        self,
        name: str,
        context: otel_context.Context | None = None,
        kind: trace.SpanKind = trace.SpanKind.INTERNAL,
        attributes: Any = None,
        links: Any = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> Iterator[trace.Span]:
        """Open a span and make it current."""
        span = self.start_span(name, context, kind, attributes, links, start_time)
        with trace.use_span(
            span, end_on_exit, record_exception, set_status_on_exception
        ) as current:
            yield current


def _under(place: Place, context: otel_context.Context) -> otel_context.Context:
    if not place.trace_id:
        return trace.set_span_in_context(trace.INVALID_SPAN, context)
    span_id = place.parent_id or place.ambient_id or NO_PARENT
    over = SpanContext(place.trace_id, span_id, is_remote=False, trace_flags=trace.TraceFlags(1))
    return trace.set_span_in_context(NonRecordingSpan(over), context)


def _carried(carried: Carried) -> dict[str, str]:
    found = {
        CONVERSATION_ID: carried.session_id,
        SESSION_ID: carried.session_id,
        USER_ID: carried.user,
    }
    if carried.metadata:
        found[METADATA] = snapshot(carried.metadata).text
    return {key: value for key, value in found.items() if value is not None}


class Provider(trace.TracerProvider):
    """What `kibitz.tracer_provider()` gives to foreign instrumentors."""

    def __init__(self) -> None:
        self._sdk = _make_sdk_provider()

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Any = None,
    ) -> trace.Tracer:
        """Return a tracer whose spans go to the spool."""
        return _Tracer(
            self._sdk.get_tracer(
                instrumenting_module_name, instrumenting_library_version, schema_url, attributes
            )
        )


_provider: Provider | None = None
_making = threading.Lock()


def tracer_provider() -> trace.TracerProvider:
    """Return the private provider, for `SomeInstrumentor().instrument(tracer_provider=…)`.

    It may be asked for before `init()`; what ends while kibitz is off is not recorded.
    """
    global _provider
    with _making:
        if _provider is None:
            _provider = Provider()
        return _provider


def record_also(provider: Any) -> None:
    """Record the spans of a provider of the host's (`init(otel_provider=…)`) as well."""
    if getattr(provider, "_kibitz_records", False):
        return
    provider.add_span_processor(_make_processor())
    provider._kibitz_records = True


def _make_sdk_provider() -> TracerProvider:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanLimits, TracerProvider

    # All given, so that the host's OTEL_* variables, meant for its own tracing, do not reach ours.
    limits = SpanLimits(
        max_span_attributes=2048,
        max_events=2048,
        max_links=512,
        max_event_attributes=256,
        max_link_attributes=256,
        max_attribute_length=2**20,
        max_span_attribute_length=2**20,
    )
    provider = TracerProvider(
        sampler=_make_sampler(),
        resource=Resource.get_empty(),
        shutdown_on_exit=False,
        id_generator=_make_id_generator(),
        span_limits=limits,
    )
    provider.add_span_processor(_make_processor())
    return provider


def _make_sampler() -> Any:
    from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult

    class KibitzSampler(Sampler):
        def should_sample(
            self,
            parent_context: otel_context.Context | None,
            trace_id: int,
            name: str,
            kind: Any = None,
            attributes: Any = None,
            links: Any = None,
            trace_state: Any = None,
        ) -> SamplingResult:
            runtime = _runtime.get()
            if runtime is None or _capture(runtime) == "off":
                return SamplingResult(Decision.DROP)
            kept = is_kept(trace_id, runtime.settings.sample_rate)
            # The SDK drops attributes that a sampler does not repeat.
            return (
                SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)
                if kept
                else SamplingResult(Decision.DROP)
            )

        def get_description(self) -> str:
            return "KibitzSampler"

    return KibitzSampler()


def _make_id_generator() -> Any:
    from opentelemetry.sdk.trace.id_generator import IdGenerator

    class KibitzIds(IdGenerator):
        def generate_span_id(self) -> int:
            return new_span_id()

        def generate_trace_id(self) -> int:
            new_span_id()  # looks for a fork
            return new_trace_id()

    return KibitzIds()


def _make_processor() -> Any:
    from opentelemetry.sdk.trace import SpanProcessor

    class KibitzProcessor(SpanProcessor):
        def __init__(self) -> None:
            self.slots: dict[int, Slot] = {}  # of the spans that are noted as running

        def on_start(self, span: Any, parent_context: otel_context.Context | None = None) -> None:
            _guarded(_record_start, span, self.slots)

        def on_end(self, span: ReadableSpan) -> None:
            _guarded(_record_end, span, self.slots)

    return KibitzProcessor()


def _guarded(
    step: Callable[[Runtime, Any, dict[int, Slot]], None], span: Any, slots: dict[int, Slot]
) -> None:
    runtime = _runtime.get()
    if runtime is None:
        return
    try:
        step(runtime, span, slots)
    except Exception as error:
        swallow("recording a foreign span", error)


def _record_start(runtime: Runtime, span: Any, slots: dict[int, Slot]) -> None:
    if runtime.settings.sample_rate < 1:
        span.set_attribute(KEEP_PROBABILITY, runtime.settings.sample_rate)
    if span.parent is None or AMBIENT_PARENT in span.attributes:
        payload, is_strict = _encoded(runtime, span, is_start=True)
        slot = runtime.note_scrubbed((payload, _bare_start(span)), span.start_time, is_strict)
        if slot is not None:
            slots[span.get_span_context().span_id] = slot


def _bare_start(span: Any) -> bytes:
    """A root's start record without any attribute, for when they are too long."""
    template = span_template(json_text(span.name), span.kind.value + 1)
    context = span.get_span_context()
    return span_head(template, context.trace_id, context.span_id, 0, span.start_time) + BARE_TAIL


def _record_end(runtime: Runtime, span: Any, slots: dict[int, Slot]) -> None:
    runtime.emit(SPAN, *_encoded(runtime, span, is_start=False))
    slot = slots.pop(span.get_span_context().span_id, None)
    if slot is not None:
        slot.empty()


def _capture(runtime: Runtime) -> str:
    capture = runtime.settings.capture
    return capture if isinstance(capture, str) else capture.get("*", "full")


def _encoded(runtime: Runtime, span: ReadableSpan, *, is_start: bool) -> tuple[bytes, bool]:
    """Write a span, and say whether it is to be redacted strictly."""
    capture = _capture(runtime)
    extra = {} if capture == "full" else {CAPTURE: capture}
    if capture == "metadata":
        span = _without_content(span)
    return encode(span, extra, is_start=is_start), capture == "redacted"


def _without_content(span: ReadableSpan) -> ReadableSpan:
    """A copy of a span that says who and how, never what was said."""
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.trace import Status

    return ReadableSpan(
        name=span.name,
        context=span.get_span_context(),
        parent=span.parent,
        attributes=_without_texts(span.attributes or {}),
        events=[
            Event(event.name, _without_texts(event.attributes or {}), event.timestamp)
            for event in span.events
        ],
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _without_texts(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in attributes.items()
        if isinstance(value, bool | int | float)
        or (key.startswith(_KEPT_TEXTS) and not key.startswith(_CONTENT_TEXTS))
    }
