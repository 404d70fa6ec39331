"""Compiles the dialects' tables into one look-up per attribute."""

from collections.abc import Callable
from functools import lru_cache
from types import ModuleType
from typing import Any

from kibitz_collector.normalize.dialects import (
    humanloop,
    kibitz,
    langfuse,
    openinference,
    openllmetry,
    otel,
    otel_events,
    vendors,
)
from kibitz_collector.normalize.fields import READERS, Read
from kibitz_collector.normalize.reading import Reading
from kibitz_collector.records import Message, RawSpan

# For every field but the kind the earlier dialect wins.
DIALECTS: tuple[ModuleType, ...] = (
    kibitz,
    humanloop,
    langfuse,
    otel,
    openinference,
    openllmetry,
    otel_events,
    vendors,
)
# A framework's own kind beats the operation name, which frameworks fill with whatever they have.
KIND_ORDER = (
    "kibitz.file.type",
    "humanloop.file.type",
    "langfuse.observation.type",
    "openinference.span.kind",
    "langsmith.span.kind",
    "mlflow.spanType",
    "ai.operationId",
    "genkit:metadata:subtype",
    "llm.request.type",
    "traceloop.span.kind",
    "gen_ai.operation.name",
)

MessageReader = Callable[[Reading], list[Message]]
OutputReader = Callable[[Reading], "Message | None"]
_Target = tuple[str, int, Read]


def _compile() -> dict[str, tuple[_Target, ...]]:
    table: dict[str, list[_Target]] = {}
    for place, dialect in enumerate(DIALECTS):
        for field, attributes in dialect.RULES.items():
            for index, attribute in enumerate(attributes):
                rank = place * 100 + index
                table.setdefault(attribute, []).append((field, rank, READERS[field]))
        for attribute, kinds in getattr(dialect, "KINDS", {}).items():
            rank = KIND_ORDER.index(attribute)
            table.setdefault(attribute, []).append(("kind", rank, _kind_reader(kinds)))
    return {attribute: tuple(targets) for attribute, targets in table.items()}


def _kind_reader(kinds: dict[str, str]) -> Read:
    def read(value: Any) -> str | None:
        return kinds.get(value.strip('"').lower()) if isinstance(value, str) else None

    return read


TABLE = _compile()
# Longer prefixes first: `gen_ai.prompt.variable.` before `gen_ai.prompt.`.
FLAT: tuple[str, ...] = tuple(
    sorted({p for d in DIALECTS for p in getattr(d, "FLAT", ())}, key=len, reverse=True)
)
MESSAGES: tuple[tuple[str, MessageReader], ...] = tuple(
    entry for d in DIALECTS for entry in getattr(d, "MESSAGES", ())
)
OUTPUTS: tuple[tuple[str, OutputReader], ...] = tuple(
    entry for d in DIALECTS for entry in getattr(d, "OUTPUTS", ())
)


def read(span: RawSpan) -> Reading:
    """Pass once over the attributes; the best-ranked value that says something wins each field."""
    reading = Reading(span)
    found, ranks, sources, flat = reading.found, reading.ranks, reading.sources, reading.flat
    look_up = TABLE.get
    for key, value in span.attributes.items():
        targets = look_up(key)
        if targets is None:
            place = _flat_place(key)
            if place is not None:
                flat.setdefault(place[0], []).append((place[1], value))
            continue
        for field, rank, read_value in targets:
            if field in ranks and ranks[field] < rank:
                continue
            got = read_value(value)
            if got is not None:
                found[field] = got
                ranks[field] = rank
                sources[field] = key
    return reading


@lru_cache(maxsize=4096)  # the same few keys come with every span
def _flat_place(key: str) -> tuple[str, str] | None:
    """Return the prefix of a flattened key and the rest of it."""
    if not key.startswith(FLAT):
        return None
    prefix = next(prefix for prefix in FLAT if key.startswith(prefix))
    return prefix, key[len(prefix) :]
