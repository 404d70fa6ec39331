"""How each library is put onto the `openai` client, switched off and on between blocks."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Patch:
    """One library's instrumentation of the client."""

    on: Callable[[], object]
    off: Callable[[], object]
    flush: Callable[[], object]


def none(sink: str) -> Patch:
    """Nothing: shows the noise of the comparison."""
    return Patch(lambda: None, lambda: None, lambda: None)


def kibitz(sink: str) -> Patch:
    """`kibitz.instrument("openai")`."""
    import kibitz as sdk

    sdk.init(collector=sink)
    return Patch(lambda: sdk.instrument("openai"), lambda: sdk.uninstrument("openai"), sdk.flush)


def langfuse(sink: str) -> Patch:
    """`import langfuse.openai`."""
    os.environ.update(LANGFUSE_PUBLIC_KEY="pk-lf-x", LANGFUSE_SECRET_KEY="sk-lf-x")
    from langfuse import Langfuse, get_client  # type: ignore[import-not-found]

    Langfuse(public_key="pk-lf-x", secret_key="sk-lf-x", base_url=sink)

    def instrument() -> None:
        import langfuse.openai  # type: ignore[import-not-found]  # noqa: F401

    return _swapped(instrument, get_client().flush)


def openinference(sink: str) -> Patch:
    """`openinference.instrumentation.openai`."""
    from openinference.instrumentation.openai import (  # type: ignore[import-not-found]
        OpenAIInstrumentor,
    )

    provider = _provider(sink)
    return _swapped(
        lambda: OpenAIInstrumentor().instrument(tracer_provider=provider), provider.force_flush
    )


def traceloop(sink: str) -> Patch:
    """`opentelemetry.instrumentation.openai`, as traceloop-sdk installs it."""
    from opentelemetry.instrumentation.openai import (  # type: ignore[import-not-found]
        OpenAIInstrumentor,
    )

    provider = _provider(sink)
    return _swapped(
        lambda: OpenAIInstrumentor().instrument(tracer_provider=provider), provider.force_flush
    )


def _provider(sink: str) -> Any:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{sink}/v1/traces")))
    return provider


def _swapped(instrument: Callable[[], object], flush: Callable[[], object]) -> Patch:
    """Instrument once, and afterwards only exchange the patched attributes."""
    import openai
    from openai.resources.chat.completions import completions

    places: list[tuple[Any, str]] = [
        (owner, name)
        for owner in (completions.Completions, completions.AsyncCompletions)
        for name in ("create", "parse", "stream")
        if name in vars(owner)
    ]
    places += [(openai.OpenAI, "request"), (openai.AsyncOpenAI, "request")]
    before = [getattr(owner, name) for owner, name in places]
    instrument()
    after = [getattr(owner, name) for owner, name in places]
    if all(one is other for one, other in zip(before, after, strict=True)):
        raise RuntimeError("nothing was patched")

    def put(functions: list[Any]) -> None:
        for (owner, name), function in zip(places, functions, strict=True):
            setattr(owner, name, function)

    put(before)
    return Patch(lambda: put(after), lambda: put(before), flush)


LIBRARIES: dict[str, Callable[[str], Patch]] = {
    "none": none,
    "kibitz": kibitz,
    "langfuse": langfuse,
    "openinference": openinference,
    "traceloop": traceloop,
}
