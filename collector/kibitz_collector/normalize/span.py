"""`normalize(span)`: one raw span of any dialect becomes one Log record. Pure."""

from dataclasses import replace
from functools import lru_cache
from typing import Any

from kibitz import semconv as sc
from kibitz.ids import log_id_from_hex
from kibitz_collector.normalize import content, failure, filing, judging, values, vocabulary
from kibitz_collector.normalize.dialects import (
    humanloop,
    langfuse,
    openinference,
    openllmetry,
    otel_events,
)
from kibitz_collector.normalize.kinds import find_kind
from kibitz_collector.normalize.pricing import NO_PRICES, UserPrices, cost_usd
from kibitz_collector.normalize.reading import Reading
from kibitz_collector.normalize.rules import read
from kibitz_collector.normalize.tokens import read_tokens
from kibitz_collector.records import Json, Judgment, LogBody, LogError, LogRecord, Message, RawSpan

MAPPER_VERSION = 1
COST_TOLERANCE = 0.05
_EARLIEST_NS = 1_577_836_800 * 10**9  # 2020: nothing instrumented ran before
_LATEST_NS = 4_102_444_800 * 10**9  # 2100
_FIRST_TOKEN_EVENTS = frozenset(("First Token Stream Event", "gen_ai.content.completion.chunk"))
_PROMPT_COST, _OUTPUT_COST = "humanloop.log.prompt_cost", "humanloop.log.output_cost"
_COST_DETAILS = "langfuse.observation.cost_details"
_COST_PARTS = frozenset((_PROMPT_COST, _OUTPUT_COST, _COST_DETAILS))
_METADATA = frozenset((*langfuse.FLAT, humanloop.METADATA, openllmetry.ASSOCIATION))
_OPENLLMETRY_GROUPING = frozenset(("session_id", "thread_id", "chat_id", "user_id"))

# A batch names the same parent again and again, and hashing is the dearest single step.
log_id = lru_cache(maxsize=16384)(log_id_from_hex)


def normalize(span: RawSpan, *, prices: UserPrices = NO_PRICES) -> LogRecord:
    """Return the Log a span stands for; never raises, whatever the attributes hold."""
    return normalize_reading(read_span(span), prices=prices)


def read_span(span: RawSpan) -> Reading:
    """Let the tables read the span; content in `operation.details` events counts as attributes."""
    reading = read(span)
    if span.events:
        details = otel_events.merge_details(reading)
        if details:
            reading = read(replace(span, attributes={**details, **span.attributes}))
            reading.span = span
    return reading


def normalize_reading(reading: Reading, *, prices: UserPrices = NO_PRICES) -> LogRecord:
    """Work out the Log from what the tables found."""
    span, found = reading.span, reading.found
    reading.kind = kind = find_kind(reading)
    resource = span.resource
    messages = content.read_messages(reading) if kind != "span" else None
    output_message = content.read_output_message(reading) if kind != "span" else None
    error = failure.read_error(reading)
    parameters = filing.read_parameters(reading)
    finish = _find_finish(reading, output_message, parameters)
    tools = filing.read_tool_definitions(reading)
    model, served = _find_models(reading)
    provider = _find_provider(reading)
    service = _service(resource)
    tokens, is_repaired = read_tokens(reading)
    cost = cost_usd(tokens, provider, (served, model), at_ns=span.start_ns, prices=prices)
    reported = _reported_cost(reading)
    record = LogRecord(  # by position: half the time of naming all these
        found.get("log_id") or log_id(span.trace_id, span.span_id),
        kind,
        _name(reading),
        span.start_ns,
        span.end_ns or None,
        _find_trace(reading),
        span.span_id,
        _find_parent(reading),
        None,  # parent_id: an evaluator's, below
        found.get("session"),
        filing.find_file(
            reading,
            service=service,
            model=model,
            provider=provider,
            parameters=parameters,
            tools=tools,
        ),
        found.get("environment") or _environment(resource),
        service,
        _source(span),
        found.get("user") or _requested_user(reading),
        failure.find_status(reading, error, finish),
        error.type if error else None,
        provider,
        model,
        served,
        tokens,
        cost,
        reported,
        _first_token_ms(reading),
        finish,
        _response_id(reading),
        _flags(reading, cost, reported, is_repaired=is_repaired),
        _keep_probability(found.get("keep_probability")),
        MAPPER_VERSION,
        found.get("run_id"),
        found.get("datapoint_id"),
        found.get("record") == "start",
        "log_id" in found,
        kind != "span",
        _body(reading, messages, output_message, parameters, tools, error),
    )
    if kind == "evaluator":
        record.judgment = _judgment(reading, record)
    return record


def _name(reading: Reading) -> str:
    """Return the span's name; where all spans are called alike, the end of the File's path."""
    name = reading.span.name
    path: str | None = reading.found.get("file_path")
    if path and name.startswith("humanloop."):
        return path.rstrip("/").rpartition("/")[2] or name
    return name


def _body(
    reading: Reading,
    messages: list[Message] | None,
    output_message: Message | None,
    parameters: Json | None,
    tools: list[Json] | None,
    error: LogError | None,
) -> LogBody:
    span = reading.span
    events: list[Json] | None = None
    if span.events:
        events = [
            {"name": e.name, "time_ns": e.time_ns, "attributes": e.attributes} for e in span.events
        ]
    return LogBody(
        content.read_inputs(reading),
        content.read_output(reading, output_message),
        output_message,
        messages,
        parameters,
        tools,
        _metadata(reading),
        reading.found.get("tags"),
        error,
        None,  # stdout
        None,  # provider_request
        None,  # provider_response
        span.attributes or None,
        events,
        span.resource or None,
        span.scope_name or None,
    )


def _find_finish(reading: Reading, message: Message | None, parameters: Json | None) -> str | None:
    raw = reading.found.get("finish")
    finish = None if raw is None else vocabulary.finish_reason(raw)
    if parameters and parameters.get("stream"):
        reading.take("stream", True, "llm.invocation_parameters")
    if failure.is_left_early(reading, finish, has_output=message is not None):
        return sc.ABANDONED
    if message is not None and message.get("tool_calls") and finish in ("stop", None):
        return "tool_call"  # Gemini and the Responses API say "stop" for a turn that is a tool call
    return finish


def _find_models(reading: Reading) -> tuple[str | None, str | None]:
    """Return the model asked for and the one that answered."""
    found = reading.found
    either = found.get("model_any")
    asked = found.get("model")
    if not asked and "invocation" in found:
        asked = values.text(found["invocation"].get("model"))
    return asked or either, found.get("model_served") or either


def _find_provider(reading: Reading) -> str | None:
    found = reading.found
    if "provider" in found:
        return found["provider"]  # type: ignore[no-any-return]  # its reader returns text
    if reading.kind in ("prompt", "embedding") and "server" in found:
        return vocabulary.provider_of_host(found["server"])
    return None


def _find_parent(reading: Reading) -> str | None:
    named: str | None = reading.found.get("parent_log_id")
    if named is not None:
        return named
    parent = reading.span.parent_span_id
    return log_id(reading.span.trace_id, parent) if parent else None


def _find_trace(reading: Reading) -> str | None:
    """Return the trace; None: that of the Log which is named as parent, or is this one.

    Humanloop's Node SDK (its scope has no version) gives each span a trace of its own, and names
    Logs instead.
    """
    span = reading.span
    if span.parent_span_id or span.scope_version or not span.scope_name.startswith("humanloop"):
        return span.trace_id
    names_a_log = "log_id" in reading.found or "parent_log_id" in reading.found
    return None if names_a_log else span.trace_id


def _source(span: RawSpan) -> str:
    if span.scope_name.startswith("kibitz"):
        return "sdk"
    return "humanloop" if span.scope_name.startswith("humanloop") else "otlp"


def _service(resource: Json) -> str | None:
    name = values.text(resource.get(sc.SERVICE_NAME))
    return None if name is None or name.startswith("unknown_service") else name


def _environment(resource: Json) -> str | None:
    return values.text(resource.get(sc.ENVIRONMENT)) or values.text(
        resource.get("deployment.environment")
    )


def _response_id(reading: Reading) -> str | None:
    if "response_id" not in reading.found and reading.kind == "prompt":
        reading.take("response_id", openinference.read_response_id(reading), "output.value")
    return reading.found.get("response_id")


def _requested_user(reading: Reading) -> str | None:
    """Return the user named to the provider; the application's own comes first."""
    invocation = reading.found.get("invocation")
    return None if invocation is None else values.text(invocation.get("user"))


def _reported_cost(reading: Reading) -> float | None:
    cost = reading.found.get("cost_reported")
    if cost is None and not reading.may.isdisjoint(_COST_PARTS):
        attributes = reading.attributes
        parts = map(attributes.get, (_PROMPT_COST, _OUTPUT_COST))
        known = [n for n in map(values.number, parts) if n is not None]
        details = values.json_object(attributes.get(_COST_DETAILS))
        if details is not None:
            whole = values.number(details.get("total"))
            shares = [n for n in map(values.number, details.values()) if n is not None]
            known = [whole] if whole is not None else shares
        cost = sum(known) if known else None
    return None if cost is None or cost < 0 else float(cost)


def _first_token_ms(reading: Reading) -> float | None:
    found, span = reading.found, reading.span
    if "first_token_s" in found:
        elapsed = found["first_token_s"] * 1000.0
    elif "first_token_ms" in found:
        elapsed = float(found["first_token_ms"])
    elif not span.events:
        return None
    else:
        times = [e.time_ns for e in span.events if e.name in _FIRST_TOKEN_EVENTS and e.time_ns]
        if not times:
            return None
        elapsed = (min(times) - span.start_ns) / 1e6
    return elapsed if elapsed >= 0 else None


def _keep_probability(value: Any) -> float:
    return float(value) if value is not None and 0 < value <= 1 else 1.0


def _metadata(reading: Reading) -> Json | None:
    named: Json | None = reading.found.get("metadata")
    if reading.may.isdisjoint(_METADATA):
        return named and {**named}
    association = openllmetry.read_association(reading)
    if association:
        association = {k: v for k, v in association.items() if k not in _OPENLLMETRY_GROUPING}
    merged: Json = {
        **(association or {}),
        **(langfuse.read_metadata(reading) or {}),
        **(humanloop.read_metadata(reading) or {}),
        **(named or {}),
    }
    return merged or None


def _flags(
    reading: Reading, ours: float | None, told: float | None, *, is_repaired: bool
) -> list[str]:
    span = reading.span
    flags: list[str] = []
    if is_repaired:
        flags.append("usage_repaired")
    if span.dropped_attributes_count > 0:
        flags.append("attributes_dropped")
    if "truncated" in reading.found:
        flags.append("truncated")
    if not _EARLIEST_NS <= span.start_ns < _LATEST_NS or 0 < span.end_ns < span.start_ns:
        flags.append("clock_suspect")
    named = reading.attributes.get("openinference.span.kind")
    if named is not None and "guardrail" in str(named).lower():
        flags.append("guardrail")
    if (
        ours is not None
        and told is not None
        and abs(ours - told) > COST_TOLERANCE * max(ours, told)
    ):
        flags.append("cost_disagrees")
    return flags


def _judgment(reading: Reading, record: LogRecord) -> Judgment | None:
    """Return what an evaluator of ours that ran inside the app said about its surroundings."""
    attributes = reading.attributes
    judged = values.text(attributes.get(sc.JUDGED_LOG_ID))
    if judged is None and sc.FILE_TYPE in attributes:
        judged = record.trace_parent_id
    if judged is None or record.is_start or record.end_ns is None:
        return None
    record.parent_id = judged
    judgment = Judgment(
        judged_log_id=judged,
        return_type="select",
        where=judging.find_where(attributes.get(sc.JUDGMENT_WHERE), "guardrail"),
        made_by=record.user,
        is_error=record.status == "error",
        keep_probability=record.keep_probability,
    )
    if not judgment.is_error:
        judging.fill_value(judgment, record.body.output)
    return judgment
