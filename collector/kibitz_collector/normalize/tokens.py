"""Collects what a span says about tokens, from attributes or the provider's own usage object."""

from typing import Any

from kibitz import semconv as sc
from kibitz_collector.normalize import usage, values
from kibitz_collector.normalize.reading import Reading
from kibitz_collector.records import Json, Tokens

# The vendor's own buckets (Langfuse), disjoint by definition.
_DISJOINT_READ = ("input_cached_tokens", "input_cache_read", "cache_read_input_tokens")
_DISJOINT_WRITE = (
    "input_cache_creation",
    "input_cache_creation_5m",
    "input_cache_creation_1h",
    "cache_creation_input_tokens",
)
# What makes more of two plain counts than what they say.
_MORE = frozenset(
    ("usage", "tokens_total", "tokens_cache_read", "tokens_cache_write", "tokens_reasoning")
)


def read_tokens(reading: Reading) -> tuple[Tokens | None, bool]:
    """Return the five buckets, and whether the numbers had to be repaired."""
    found = reading.found
    if reading.attributes.get(sc.OPERATION) == "fetch_response":  # nothing was computed
        zero = Tokens(input_uncached=0, cache_read=0, cache_write=0, output=0, reasoning=0)
        return zero, False
    if reading.may.isdisjoint(_MORE):
        if "tokens_input" not in found and "tokens_output" not in found:
            return None, False
        asked, said = found.get("tokens_input"), found.get("tokens_output")
        return Tokens(asked, None, None, said, None), False
    counts = usage.Counts(
        input=found.get("tokens_input"),
        output=found.get("tokens_output"),
        total=found.get("tokens_total"),
        cache_read=found.get("tokens_cache_read"),
        cache_write=found.get("tokens_cache_write"),
        reasoning=found.get("tokens_reasoning"),
    )
    if "usage" in found:
        told = values.json_object(found["usage"])
        if told is not None:
            _fill(counts, told)
    return usage.split(counts, reading.span.scope_name)


def _fill(counts: usage.Counts, told: Json) -> None:
    read = _read_usage(told)
    if counts.input is None and counts.output is None:
        counts.input, counts.output, counts.total = read.input, read.output, read.total
        counts.is_disjoint = read.is_disjoint
    counts.cache_read = read.cache_read if counts.cache_read is None else counts.cache_read
    counts.cache_write = read.cache_write if counts.cache_write is None else counts.cache_write
    counts.reasoning = read.reasoning if counts.reasoning is None else counts.reasoning


def _read_usage(told: Json) -> usage.Counts:
    """Read a usage object; its keys decide whether the numbers include each other."""
    if "prompt_tokens" in told or "completion_tokens" in told:
        return _inclusive(told, "prompt_tokens", "completion_tokens")
    if "input_tokens_details" in told or "output_tokens_details" in told:
        return _inclusive(told, "input_tokens", "output_tokens")
    if "input_tokens" in told:  # Anthropic: input without the cache, output with the thinking
        return usage.Counts(
            input=_add(told, ("input_tokens", *_DISJOINT_READ[2:], _DISJOINT_WRITE[3])),
            output=values.integer(told.get("output_tokens")),
            cache_read=values.integer(told.get("cache_read_input_tokens")),
            cache_write=values.integer(told.get("cache_creation_input_tokens")),
        )
    return usage.Counts(
        input=values.integer(told.get("input")),
        output=values.integer(told.get("output")),
        cache_read=_add(told, _DISJOINT_READ),
        cache_write=_add(told, _DISJOINT_WRITE),
        reasoning=values.integer(told.get("output_reasoning_tokens")),
        is_disjoint=True,
    )


def _inclusive(told: Json, input_key: str, output_key: str) -> usage.Counts:
    details_in, details_out = told.get(f"{input_key}_details"), told.get(f"{output_key}_details")
    return usage.Counts(
        input=values.integer(told.get(input_key)),
        output=values.integer(told.get(output_key)),
        total=values.integer(told.get("total_tokens")),
        cache_read=_inner(details_in, "cached_tokens"),
        reasoning=_inner(details_out, "reasoning_tokens"),
    )


def _inner(details: Any, key: str) -> int | None:
    return values.integer(details.get(key)) if isinstance(details, dict) else None


def _add(told: Json, keys: tuple[str, ...]) -> int | None:
    counts = [
        count for count in (values.integer(told.get(key)) for key in keys) if count is not None
    ]
    return sum(counts) if counts else None
