"""Filters and Logs for property tests: values collide often enough that filters match."""

from typing import Any

from hypothesis import strategies as st

from kibitz_collector.query.ast import And, Comparison, Node, Not, Or, Text
from kibitz_collector.query.fields import FIELDS, OPS
from kibitz_collector.records import FileReference, LogBody, LogError, LogRecord, Tokens

START_NS = 1_790_000_000_000_000_000
WORDS = [
    "refund",
    "Refunds",
    "order",
    "STRASSE",
    "straße",
    "東京都",
    "京都へ",
    "a-b",
    "x_y",
    "é",
    "9",
]
NAMES = [
    "a",
    "b",
    "a/b",
    "A",
    "a*b",
    "100%",
    "under_score",
    "q?[x]",
    "'; DROP",
    "é",
    'quo"te',
    "b\\c",
]
KEYS = ["plan", "a.b", "with space", "n"]
NUMBERS = [0.0, 1.0, 2.5, 1000.0, 0.01, -1.0]

names = st.sampled_from(NAMES)
optional_names = st.none() | names
texts = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)
counts = st.none() | st.sampled_from([0, 1, 5, 1000])


def comparisons(fields: list[str] | None = None) -> st.SearchStrategy[Comparison]:
    known = fields or [name for name, field in FIELDS.items() if field.type != "has"]
    return st.sampled_from(known).flatmap(_comparison)


def _comparison(name: str) -> st.SearchStrategy[Comparison]:
    field = FIELDS[name]

    def of(op: str) -> st.SearchStrategy[Comparison]:
        key = st.sampled_from(KEYS if field.type == "metadata" else NAMES)
        keys = key if field.takes_key else st.none()
        return st.builds(Comparison, st.just(name), st.just(op), _value(field, op), keys)

    return st.sampled_from(OPS[field.type]).flatmap(of)


def _value(field: Any, op: str) -> st.SearchStrategy[Any]:
    if op == "exists":
        return st.none()
    if op == "like":
        pieces = st.lists(st.sampled_from(["a", "/", "b", "e", "%", "_", "?"]), max_size=2)
        return st.tuples(pieces, pieces).map(lambda two: "".join(two[0]) + "*" + "".join(two[1]))
    if op == "contains":
        return st.sampled_from(["a", "/", "%", "_", "*", "\\", "o", "é"])
    if field.type == "choice":
        return st.sampled_from(field.choices)
    if field.type == "number":
        return st.sampled_from(NUMBERS)
    if field.type == "duration":
        return st.sampled_from([0.0, 1.0, 2.5, 1000.0])
    if field.type == "time":
        return st.integers(-2, 2).map(lambda step: START_NS + step)
    if field.type == "judgment":
        if op in ("=", "!="):
            return st.booleans() | st.sampled_from(NUMBERS) | names
        return st.sampled_from(NUMBERS)
    if field.type == "metadata":
        if op in ("=", "!="):
            return st.sampled_from(["pro", "1", "2.5", "true", "null", "[1]", "a", "1.0"])
        return st.sampled_from(NUMBERS)
    return names


def text_nodes() -> st.SearchStrategy[Text]:
    single = st.sampled_from([word for word in WORDS if word not in ("a-b", "x_y")])
    return (
        st.builds(Text, st.sampled_from(WORDS), st.just("word"))
        | st.builds(
            Text, st.sampled_from(["ref", "str", "東", "京都", "order re", "x"]), st.just("prefix")
        )
        | st.builds(Text, st.tuples(single, single).map(" ".join), st.just("phrase"))
    )


def nodes(fields: list[str] | None = None) -> st.SearchStrategy[Node]:
    leaf: st.SearchStrategy[Node] = comparisons(fields) | text_nodes()
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(lambda parts: And(tuple(parts))),
            st.lists(inner, max_size=3).map(lambda parts: Or(tuple(parts))),
            inner.map(Not),
        ),
        max_leaves=6,
    )


@st.composite
def records(draw: st.DrawFn, number: int = 0) -> LogRecord:
    status = draw(st.sampled_from(["complete", "error", "incomplete", "abandoned"]))
    kind = draw(st.sampled_from(["prompt", "tool", "flow", "evaluator"]))
    start_ns = START_NS + draw(st.integers(-2, 2))
    path = draw(st.sampled_from([name for name in NAMES if name not in ("'; DROP",)]))
    metadata = draw(
        st.none()
        | st.dictionaries(
            st.sampled_from(KEYS),
            st.sampled_from(["pro", "1", 1, 2.5, True, None, [1], "a", "é", {"x": 1}]),
            max_size=3,
        )
    )
    body = LogBody(
        inputs=draw(st.none() | texts.map(lambda text: {"question": text})),
        output=draw(st.none() | texts),
        messages=draw(
            st.none()
            | st.lists(texts.map(lambda text: {"role": "user", "content": text}), max_size=2)
        ),
        metadata=metadata,
        error=draw(st.none() | texts.map(lambda text: LogError(type="E", message=text))),
    )
    token = draw(
        st.none()
        | st.builds(
            Tokens, input_uncached=counts, cache_read=counts, output=counts, reasoning=counts
        )
    )
    return LogRecord(
        id=f"log_{number:021d}",
        kind=kind,
        name=draw(names),
        start_ns=start_ns,
        end_ns=draw(
            st.none() | st.sampled_from([0, 1_000_000, 2_500_000]).map(lambda d: start_ns + d)
        ),
        trace_id=f"{number:032x}",
        span_id=f"{number:016x}",
        session_id=draw(optional_names),
        file=FileReference(kind="prompt", path=path),
        environment=draw(optional_names),
        service=draw(optional_names),
        source=draw(optional_names),
        user=draw(optional_names),
        status=status,
        error_type=draw(optional_names) if status == "error" else None,
        provider=draw(optional_names),
        model=draw(optional_names),
        tokens=token,
        cost_usd=draw(st.none() | st.sampled_from([0.0, 0.01, 1.0, 2.5])),
        time_to_first_token_ms=draw(st.none() | st.sampled_from([0.0, 1.0, 2.5])),
        finish_reason=draw(optional_names),
        flags=draw(st.lists(st.sampled_from(["a", "b", "ab"]), max_size=2, unique=True)),
        body=body,
    )
