"""How each library records a call: a decorator for functions, coroutines and generators."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Decorate = Callable[[Callable[..., Any], str], Callable[..., Any]]


@dataclass(frozen=True, slots=True)
class Library:
    """One way to record calls."""

    decorate: Decorate  # any function, coroutine function or generator function, and a name
    flush: Callable[[], object]


def _untraced(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    return function


def bare(sink: str) -> Library:
    """No recording at all."""
    return Library(_untraced, lambda: None)


def kibitz(sink: str) -> Library:
    """Our own SDK as installed: durable write, redaction and capture at their defaults."""
    import kibitz as sdk

    sdk.init(collector=sink)
    return Library(lambda function, name: sdk.tool(path=name)(function), sdk.flush)


def otel(sink: str) -> Library:
    """The bare OpenTelemetry SDK with JSON attributes; batches go nowhere."""
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class Nowhere(SpanExporter):
        def export(self, spans: Any) -> Any:
            return SpanExportResult.SUCCESS

    return _otel(Nowhere())


def otel_http(sink: str) -> Library:
    """The bare OpenTelemetry SDK with its OTLP/HTTP exporter."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return _otel(OTLPSpanExporter(f"{sink}/v1/traces"))


def _otel(exporter: Any) -> Library:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Library(_by_hand(provider.get_tracer("bench")), provider.force_flush)


def _by_hand(tracer: Any) -> Decorate:
    """What one writes without a library: a span, inputs and output as JSON attributes."""
    import inspect

    dumps = json.dumps

    def decorate(function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(question: str) -> Any:
            with tracer.start_as_current_span(name) as span:
                span.set_attribute("input.value", dumps({"question": question}))
                result = function(question)
                span.set_attribute("output.value", dumps(result))
                return result

        async def call_async(question: str) -> Any:
            with tracer.start_as_current_span(name) as span:
                span.set_attribute("input.value", dumps({"question": question}))
                result = await function(question)
                span.set_attribute("output.value", dumps(result))
                return result

        def generate(question: str) -> Any:
            with tracer.start_as_current_span(name) as span:
                span.set_attribute("input.value", dumps({"question": question}))
                seen = []
                for piece in function(question):
                    seen.append(piece)
                    yield piece
                span.set_attribute("output.value", dumps("".join(seen)))

        if inspect.iscoroutinefunction(function):
            return call_async
        return generate if inspect.isgeneratorfunction(function) else call

    return decorate


def langfuse(sink: str) -> Library:
    """`langfuse.observe`."""
    from langfuse import Langfuse, get_client, observe  # type: ignore[import-not-found]

    os.environ.update(LANGFUSE_PUBLIC_KEY="pk-lf-x", LANGFUSE_SECRET_KEY="sk-lf-x")
    Langfuse(public_key="pk-lf-x", secret_key="sk-lf-x", base_url=sink)
    return Library(lambda function, name: observe(name=name)(function), get_client().flush)


def openinference(sink: str) -> Library:
    """`phoenix.otel`'s `tracer.chain`."""
    from phoenix.otel import register  # type: ignore[import-not-found]

    provider = register(
        endpoint=f"{sink}/v1/traces",
        batch=True,
        verbose=False,
        protocol="http/protobuf",
        set_global_tracer_provider=False,
    )
    tracer = provider.get_tracer("bench")
    return Library(lambda function, name: tracer.chain(name=name)(function), provider.force_flush)


def traceloop(sink: str) -> Library:
    """`traceloop.sdk`'s `@task`."""
    os.environ.update(TRACELOOP_TELEMETRY="false", TRACELOOP_METRICS_ENABLED="false")
    from opentelemetry import trace
    from traceloop.sdk import Traceloop  # type: ignore[import-not-found]
    from traceloop.sdk.decorators import task  # type: ignore[import-not-found]

    Traceloop.init(
        "bench",
        api_endpoint=sink,
        api_key="x",
        disable_batch=False,
        instruments=set(),
        telemetry_enabled=False,
        traceloop_sync_enabled=False,
    )
    flush = trace.get_tracer_provider().force_flush  # type: ignore[attr-defined]
    return Library(lambda function, name: task(name=name)(function), flush)


LIBRARIES: dict[str, Callable[[str], Library]] = {
    "bare": bare,
    "kibitz": kibitz,
    "otel": otel,
    "otel-http": otel_http,
    "langfuse": langfuse,
    "openinference": openinference,
    "traceloop": traceloop,
}
