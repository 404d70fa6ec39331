"""An app with someone else's instrumentation and no kibitz, in a virtual environment of its own.

Arguments: which instrumentor (genai, openinference, openllmetry), base URL of the model server.
Where spans go is said by OpenTelemetry's own environment variables.
"""

import sys

import openai
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "lookup_order",
            "description": "Find an order.",
            "parameters": {"type": "object", "properties": {"order_id": {"type": "string"}}},
        },
    }
]
SYSTEM = {"role": "system", "content": "Be brief."}


def instrument(which: str, provider: TracerProvider) -> None:
    if which == "genai":
        from opentelemetry._logs import set_logger_provider
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
        from opentelemetry.sdk._logs import LoggerProvider
        from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

        global log_provider
        log_provider = LoggerProvider()
        log_provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
        set_logger_provider(log_provider)
    elif which == "openinference":
        from openinference.instrumentation.openai import OpenAIInstrumentor
    else:
        from opentelemetry.instrumentation.openai import OpenAIInstrumentor
    OpenAIInstrumentor().instrument(tracer_provider=provider)


def main(which: str, base_url: str) -> None:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    instrument(which, provider)
    client = openai.OpenAI(api_key="test", base_url=base_url, max_retries=0)
    tracer = trace.get_tracer("shop")
    grouping = {"session.id": "chat-42", "user.id": "u1"}
    with tracer.start_as_current_span("handle", attributes=grouping):
        client.chat.completions.create(
            model="gpt-4o-mini",
            temperature=0.2,
            messages=[SYSTEM, {"role": "user", "content": "Where is order A123?"}],
            tools=TOOLS,
        )
        stream = client.chat.completions.create(
            model="gpt-4o-mini",
            messages=[SYSTEM, {"role": "user", "content": "When do you open?"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        for _ in stream:
            pass
    provider.shutdown()
    if which == "genai":
        log_provider.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
