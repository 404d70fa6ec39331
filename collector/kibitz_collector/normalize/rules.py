"""Compiles the dialects' tables into one look-up per attribute."""

from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where to look in a span with certain attributes; spans of one origin all have the same."""

    fields: list[tuple[str, list[tuple[str, Read]]]]  # field -> attributes, the best-ranked first
    flat: list[tuple[str, list[tuple[str, str]]]]  # prefix -> (attribute, rest of its name)


def read(span: RawSpan) -> Reading:
    """Let the tables read the attributes; the best-ranked that says something wins each field."""
    reading = Reading(span)
    found, sources, attributes = reading.found, reading.sources, span.attributes
    names = tuple(attributes)
    plan = _known_plan(names) if len(names) <= _MOST_KNOWN else _plan(names)
    for field, candidates in plan.fields:
        for name, read_value in candidates:
            got = read_value(attributes[name])
            if got is not None:
                found[field] = got
                sources[field] = name
                break
    for prefix, places in plan.flat:
        reading.flat[prefix] = [(rest, attributes[name]) for name, rest in places]
    return reading


def _plan(names: tuple[str, ...]) -> _Plan:
    ranked: dict[str, list[tuple[int, str, Read]]] = {}
    flat: dict[str, list[tuple[str, str]]] = {}
    for name in names:
        for field, rank, read_value in TABLE.get(name, ()):
            ranked.setdefault(field, []).append((rank, name, read_value))
        place = None if name in TABLE else _flat_place(name)
        if place is not None:
            flat.setdefault(place[0], []).append((name, place[1]))
    fields = [
        (field, [(name, read_value) for _, name, read_value in sorted(found, key=_rank)])
        for field, found in ranked.items()
    ]
    return _Plan(fields, list(flat.items()))


def _rank(candidate: tuple[int, str, Read]) -> int:
    return candidate[0]


_MOST_KNOWN = 64  # attributes: what is remembered stays small, whatever is sent
_known_plan = lru_cache(maxsize=256)(_plan)


@lru_cache(maxsize=4096)  # the same few keys come with every span
def _flat_place(key: str) -> tuple[str, str] | None:
    """Return the prefix of a flattened key and the rest of it."""
    if not key.startswith(FLAT):
        return None
    prefix = next(prefix for prefix in FLAT if key.startswith(prefix))
    return prefix, key[len(prefix) :]
