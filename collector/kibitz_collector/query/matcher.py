"""Matches a tree against a Log in memory, before it is stored: what monitors select by.

Equal to what the store's SQL says about the stored Log, but for what is not known yet: judgments
and the time of arrival are unknown here, and a Version only if the record names it.
"""

import operator
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import orjson

from kibitz_collector.query import values
from kibitz_collector.query.ast import And, Comparison, Node, Not, Op, Or, Text
from kibitz_collector.query.fields import FIELDS, check
from kibitz_collector.query.globs import glob_match
from kibitz_collector.query.text import body_pieces, has_tokens, index_tokens, sought
from kibitz_collector.records import LogRecord, Tokens

Predicate = Callable[[LogRecord], bool]

MAX_METADATA_KEYS = 64
MAX_METADATA_CHARACTERS = 256
_ORDER: dict[Op, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def match(node: Node, record: LogRecord) -> bool:
    """Say whether a Log matches."""
    return compile_match(node)(record)


@lru_cache(maxsize=2048)
def compile_match(node: Node) -> Predicate:
    """Turn a tree into a function; the same tree gives the same function.

    Raises: BadQuery: a comparison that means nothing.
    """
    match node:
        case And(parts):
            every = [compile_match(part) for part in parts]
            return lambda record: all(one(record) for one in every)
        case Or(parts):
            either = [compile_match(part) for part in parts]
            return lambda record: any(one(record) for one in either)
        case Not(part):
            inner = compile_match(part)
            return lambda record: not inner(record)
        case Text():
            wanted = sought(node)
            return lambda record: has_tokens(
                index_tokens(body_pieces(record.kind, record.body)), wanted
            )
        case Comparison():
            check(node)
            return _comparison(node)


def metadata_value(value: Any) -> tuple[str, float | None]:
    """Return a metadata value as filters see it: text, and the number if it is one."""
    if isinstance(value, str):
        return value[:MAX_METADATA_CHARACTERS], None
    try:
        text = orjson.dumps(value, default=str).decode()
    except TypeError:  # integers over 64 bits
        text = str(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return text[:MAX_METADATA_CHARACTERS], float(value) if is_number else None


def metadata_forms(wanted: str) -> frozenset[str]:
    """Return the texts a value may be stored as: itself, and as JSON if it is a number."""
    number = values.read_number(wanted)
    if number is None:
        return frozenset({wanted})
    whole = {str(int(number))} if number.is_integer() else set()
    return frozenset({wanted, orjson.dumps(number).decode()} | whole)


def _comparison(node: Comparison) -> Predicate:
    field = FIELDS[node.field]
    if field.type == "judgment":
        return lambda record: False
    if field.type == "metadata":
        return _metadata(node)
    if field.type == "flag":
        return _flag(node)
    if node.field == "error" and node.op == "exists":
        return lambda record: record.status == "error" or bool(record.error_type)
    read = _READ[node.field]
    holds = _holds(node)
    return lambda record: (value := read(record)) is not None and holds(value)


def _holds(node: Comparison) -> Callable[[Any], bool]:
    """Return the test of a known value."""
    wanted: Any = node.value
    match node.op:
        case "exists":
            return lambda value: True
        case "like":
            return lambda value: glob_match(wanted, value)
        case "contains":
            return lambda value: wanted in value
        case op:
            compare = _ORDER[op]
            if FIELDS[node.field].type == "time":
                # `-1h` moves with the clock, so it is worked out anew for each Log.
                return lambda value: compare(value, values.time_ns(wanted, time.time_ns()))
            return lambda value: compare(value, wanted)


def _metadata(node: Comparison) -> Predicate:
    if node.key is None:
        return lambda record: bool(record.body.metadata)
    key, wanted = node.key, node.value
    forms = metadata_forms(wanted) if isinstance(wanted, str) else frozenset()

    def holds(record: LogRecord) -> bool:
        known = dict(list((record.body.metadata or {}).items())[:MAX_METADATA_KEYS])
        if key not in known:
            return False
        text, amount = metadata_value(known[key])
        match node.op:
            case "=":
                return text in forms
            case "!=":
                return text not in forms
            case "exists" | "like" | "contains":
                return _holds(node)(text)
            case op:
                return amount is not None and _ORDER[op](amount, wanted)

    return holds


def _flag(node: Comparison) -> Predicate:
    match node.op:
        case "exists":
            return lambda record: bool(record.flags)
        case "=":
            return lambda record: node.value in record.flags
        case _:
            return lambda record: bool(record.flags) and node.value not in record.flags


def _sum(*names: str) -> Callable[[LogRecord], int | None]:
    def add(record: LogRecord) -> int | None:
        known = [
            count for name in names if (count := getattr(record.tokens, name, None)) is not None
        ]
        return sum(known) if known else None

    return add


def _duration_ms(record: LogRecord) -> float | None:
    return None if record.end_ns is None else max(0, record.end_ns - record.start_ns) / 1e6


_READ: dict[str, Callable[[LogRecord], Any]] = {
    "kind": lambda record: record.kind,
    "status": lambda record: record.status,
    "file": lambda record: record.file and record.file.path,
    "name": lambda record: record.name,
    "version": lambda record: record.file and record.file.version_id,
    "environment": lambda record: record.environment or None,
    "model": lambda record: record.model or None,
    "provider": lambda record: record.provider or None,
    "user": lambda record: record.user or None,
    "session": lambda record: record.session_id or None,
    "trace": lambda record: record.trace_id or None,
    "id": lambda record: record.id,
    "service": lambda record: record.service or None,
    "source": lambda record: record.source,
    "error": lambda record: record.error_type or None,
    "finish": lambda record: record.finish_reason or None,
    "latency": _duration_ms,
    "ttft": lambda record: record.time_to_first_token_ms,
    "cost": lambda record: record.cost_usd,
    "tokens": _sum(*Tokens.__slots__),
    "tokens.input": _sum("input_uncached", "cache_read", "cache_write"),
    "tokens.output": _sum("output", "reasoning"),
    "tokens.cache_read": _sum("cache_read"),
    "started": lambda record: record.start_ns,
    "received": lambda record: None,
}
