"""The fields of the filter language: one table for the parser, the documentation and completion."""

from dataclasses import dataclass
from typing import Literal, get_args

from kibitz_collector.errors import BadQuery
from kibitz_collector.query.ast import Comparison, Op
from kibitz_collector.records import Kind, Status

Type = Literal[
    "text", "choice", "flag", "number", "duration", "time", "metadata", "judgment", "has"
]

_ORDER: tuple[Op, ...] = ("<", "<=", ">", ">=")
_MATCH: tuple[Op, ...] = ("=", "!=", "like", "contains", "exists")
_AMOUNT: tuple[Op, ...] = ("=", "!=", *_ORDER, "exists")
OPS: dict[Type, tuple[Op, ...]] = {
    "text": _MATCH,
    "choice": _MATCH,
    "flag": ("=", "!=", "exists"),
    "number": _AMOUNT,
    "duration": _AMOUNT,
    "time": _AMOUNT,
    "metadata": (*_MATCH, *_ORDER),
    "judgment": (*_MATCH, *_ORDER),
    "has": (),  # a way of writing `exists`: it never gets into a tree
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `unit` is that of a bare number; `choices` are all values there are."""

    name: str
    type: Type
    description: str
    unit: str = ""
    choices: tuple[str, ...] = ()
    example: str = ""

    @property
    def takes_key(self) -> bool:
        """Say whether a key follows: `metadata.<key>`, `judgment.<evaluator path>`."""
        return self.type in ("metadata", "judgment")


_TABLE = (
    Field("kind", "choice", "what was executed", choices=get_args(Kind), example="kind:prompt"),
    Field("status", "choice", "how it ended", choices=get_args(Status), example="status:error"),
    Field("file", "text", "path of the File", example='file:"support/*"'),
    Field("name", "text", "name of the span"),
    Field("version", "text", "id of the File's Version"),
    Field("environment", "text", "where it ran", example="environment:production"),
    Field("model", "text", "model asked for", example="model:gpt-4o*"),
    Field("provider", "text", "who served the model", example="provider:openai"),
    Field("user", "text", "user of the app", example="user:u1"),
    Field("session", "text", "session id", example="session:chat-42"),
    Field("trace", "text", "trace id, 32 hex characters"),
    Field("id", "text", "Log id"),
    Field("service", "text", "service that sent it"),
    Field("source", "text", "way it came: sdk, otlp, humanloop, api, evaluator, demo"),
    Field("error", "text", "type of the error", example="error:*Timeout*"),
    Field("finish", "text", "why the model stopped", example="finish:length"),
    Field("flag", "flag", "a mark the collector set", example="flag:id_collision"),
    Field("latency", "duration", "time from start to end", "ms", example="latency>2s"),
    Field("ttft", "duration", "time to the first token", "ms", example="ttft>800ms"),
    Field("cost", "number", "cost by the price table", "USD", example="cost>0.01"),
    Field("tokens", "number", "all tokens", "tokens", example="tokens>1000"),
    Field("tokens.input", "number", "tokens in, cached ones too", "tokens"),
    Field("tokens.output", "number", "tokens out, reasoning too", "tokens"),
    Field("tokens.cache_read", "number", "tokens read from a cache", "tokens"),
    Field("started", "time", "start by the sender's clock", example="started>2026-11-01"),
    Field("received", "time", "arrival by our clock", example="received>-1h"),
    Field("metadata", "metadata", "a metadata key of the Log", example="metadata.plan:pro"),
    Field(
        "judgment",
        "judgment",
        "what an Evaluator said about the Log",
        example="judgment.support/is_polite:false",
    ),
    Field(
        "has",
        "has",
        "whether a field is known at all: error, judgment, cost, session, …",
        example="has:judgment",
    ),
)
FIELDS: dict[str, Field] = {field.name: field for field in _TABLE}


def check(comparison: Comparison) -> None:
    """Make sure a comparison means something, wherever it was made.

    Raises: BadQuery: unknown field, operator or type of value, or a key too many or missing.
    """
    field = FIELDS.get(comparison.field)
    if field is None or field.type == "has":
        raise BadQuery(f"unknown field {comparison.field!r}; known: {', '.join(FIELDS)}")
    if comparison.op not in OPS[field.type]:
        allowed = ", ".join(OPS[field.type])
        raise BadQuery(f"{field.name} cannot be compared by {comparison.op!r}; allowed: {allowed}")
    if comparison.key is None and field.takes_key and comparison.op != "exists":
        raise BadQuery(f"{field.name} needs a key: {field.example}")
    if comparison.key is not None and not field.takes_key:
        raise BadQuery(f"{field.name} takes no key, not {comparison.key!r}")
    if not _fits(field, comparison):
        raise BadQuery(f"{field.name} {comparison.op} {comparison.value!r}: not a {field.type}")


def _fits(field: Field, comparison: Comparison) -> bool:
    value = comparison.value
    if comparison.op == "exists":
        return value is None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if comparison.op in ("like", "contains"):
        return isinstance(value, str)
    match field.type:
        case "number" | "duration":
            return is_number
        case "time":
            return is_number or isinstance(value, str)
        case "metadata":
            return isinstance(value, str) if comparison.op in ("=", "!=") else is_number
        case "judgment":
            return value is not None if comparison.op in ("=", "!=") else is_number
        case _:
            return isinstance(value, str)
