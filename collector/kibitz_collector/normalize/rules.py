"""Compiles the dialects' tables into one look-up per attribute."""

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
from kibitz_collector.normalize.fields import CALL_PARAMETERS, READERS, Read
from kibitz_collector.normalize.plan import Flat, MessageReader, OutputReader, Plan
from kibitz_collector.normalize.reading import Reading
from kibitz_collector.records import RawSpan

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
    as_written = kinds | {name.upper(): kind for name, kind in kinds.items()}

    def read(value: Any) -> str | None:
        if not isinstance(value, str):
            return None
        return as_written.get(value) or kinds.get(value.strip('"').lower())

    return read


TABLE = _compile()
# Longer prefixes first: `gen_ai.prompt.variable.` before `gen_ai.prompt.`.
FLAT: tuple[str, ...] = tuple(
    sorted({p for d in DIALECTS for p in getattr(d, "FLAT", ())}, key=len, reverse=True)
)
# (source, reader, attributes or prefixes it looks at: none of them there, nothing to read). Those
# that name none read events.
MESSAGES: tuple[tuple[str, MessageReader, tuple[str, ...]], ...] = tuple(
    entry for d in DIALECTS for entry in getattr(d, "MESSAGES", ())
)
OUTPUTS: tuple[tuple[str, OutputReader, tuple[str, ...]], ...] = tuple(
    entry for d in DIALECTS for entry in getattr(d, "OUTPUTS", ())
)


def read(span: RawSpan) -> Reading:
    """Let the tables read the attributes; the best-ranked that says something wins each field."""
    attributes = span.attributes
    names = tuple(attributes)
    plan = _known_plan(names) if len(names) <= _FEW else _plan_of_many(names)
    reading = Reading(span, plan)
    found, sources = reading.found, reading.sources
    for field, name, read_value in plan.fields:
        got = read_value(attributes[name])
        if got is None:
            del sources[field]
        else:
            found[field] = got
    for field, candidates in plan.contested:
        for name, read_value in candidates:
            got = read_value(attributes[name])
            if got is not None:
                found[field] = got
                sources[field] = name
                break
    return reading


def _plan(names: tuple[str, ...]) -> Plan:
    ranked: dict[str, list[tuple[int, str, Read]]] = {}
    flat: dict[str, list[tuple[str, str]]] = {}
    for name in names:
        for field, rank, read_value in TABLE.get(name, ()):
            ranked.setdefault(field, []).append((rank, name, read_value))
        place = None if name in TABLE else _flat_place(name)
        if place is not None:
            flat.setdefault(place[0], []).append((name, place[1]))
    sure = [(field, *found[0][1:]) for field, found in ranked.items() if len(found) == 1]
    may = frozenset((*names, *flat, *ranked))
    return Plan(
        fields=sure,
        contested=[
            (field, [(name, read_value) for _, name, read_value in sorted(found, key=_rank)])
            for field, found in ranked.items()
            if len(found) > 1
        ],
        sources={field: name for field, name, _ in sure},
        flat={prefix: Flat(tuple(places)) for prefix, places in flat.items()},
        may=may,
        parameters=tuple(name for name in CALL_PARAMETERS if name in ranked),
        messages=tuple((source, read) for source, read, of in MESSAGES if not may.isdisjoint(of)),
        outputs=tuple((source, read) for source, read, of in OUTPUTS if not may.isdisjoint(of)),
    )


def _rank(candidate: tuple[int, str, Read]) -> int:
    return candidate[0]


def _plan_of_many(names: tuple[str, ...]) -> Plan:
    return _known_long_plan(names) if len(names) <= _MANY else _plan(names)


# Attributes: what is remembered stays small, whatever is sent. A long conversation has many, and
# to plan for 83 of them takes 150 µs.
_FEW, _MANY = 64, 256
_known_plan = lru_cache(maxsize=256)(_plan)
_known_long_plan = lru_cache(maxsize=64)(_plan)


@lru_cache(maxsize=4096)  # the same few keys come with every span
def _flat_place(key: str) -> tuple[str, str] | None:
    """Return the prefix of a flattened key and the rest of it."""
    if not key.startswith(FLAT):
        return None
    prefix = next(prefix for prefix in FLAT if key.startswith(prefix))
    return prefix, key[len(prefix) :]
