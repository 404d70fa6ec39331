"""The one metric grammar, for alert rules, charts and the API: text to `Metric` and back.

    pass_rate(judgment "support/is_polite") where file:"support/answer" by model over 10m
    rate(judgment "rating" = "bad") over 1h
    error_rate(logs) where environment:production by file, model over 5m
    p95(latency) where kind:prompt over 10m
    sum(cost) by user over 30d

It lives beside the filter language, below the store, because the store computes metrics.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from typing import Literal, cast, get_args

from kibitz_collector.errors import BadQuery
from kibitz_collector.query.ast import EVERYTHING, Node
from kibitz_collector.query.parser import parse

Aggregation = Literal[
    "count", "error_rate", "pass_rate", "rate", "mean", "sum", "p50", "p90", "p95", "p99"
]
Measure = Literal[
    "logs",
    "latency",
    "ttft",
    "cost",
    "tokens",
    "tokens.input",
    "tokens.output",
    "tokens.cache_read",
    "judgment",
]
GroupField = Literal[
    "file",
    "version",
    "environment",
    "model",
    "provider",
    "session",
    "user",
    "service",
    "kind",
    "evaluator",
]

DEFAULT_WINDOW_S = 600
MIN_WINDOW_S, MAX_WINDOW_S = 1, 31 * 86_400
MAX_GROUP_FIELDS = 3
_PERCENTILES: tuple[Aggregation, ...] = ("p50", "p90", "p95", "p99")
_OF_AMOUNT: tuple[Aggregation, ...] = ("mean", "sum", *_PERCENTILES)
ALLOWED: dict[Measure, tuple[Aggregation, ...]] = {
    "logs": ("count", "error_rate"),
    "latency": ("mean", *_PERCENTILES),
    "ttft": ("mean", *_PERCENTILES),
    "cost": _OF_AMOUNT,
    "tokens": _OF_AMOUNT,
    "tokens.input": _OF_AMOUNT,
    "tokens.output": _OF_AMOUNT,
    "tokens.cache_read": _OF_AMOUNT,
    "judgment": ("pass_rate", "rate", "error_rate", "count", *_OF_AMOUNT),
}
_UNITS: dict[Measure, str] = {"latency": "ms", "ttft": "ms", "cost": "USD"}
_DURATION = re.compile(r"(\d{1,9})(s|m|h|d)")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_HEAD = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*\(")
_MEASURE = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.]*)")
_QUOTED = re.compile(r'\s*"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_KEYWORDS = ("where", "by", "over")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A number over the Logs or judgments that arrived in the last `window_s` seconds.

    `pass_rate` is the share of true, `rate` the share with `label`. Latencies are milliseconds,
    money US dollars, rates between 0 and 1.
    """

    aggregation: Aggregation
    measure: Measure = "logs"
    evaluator: str | None = None  # path of the Evaluator, `*` allowed; only with "judgment"
    label: str | None = None  # only with "rate"
    where: str = ""  # filter on Logs; with "judgment": on the judged Log
    filter: Node = field(default=EVERYTHING, compare=False)  # `where`, parsed
    group_by: tuple[GroupField, ...] = ()
    window_s: int = DEFAULT_WINDOW_S

    @property
    def is_additive(self) -> bool:
        """Tell whether nothing arriving means 0 rather than unknown."""
        return self.aggregation in ("count", "sum")

    @property
    def unit(self) -> str:
        """Return what the value is counted in: "ms", "USD", "share" or ""."""
        if self.aggregation in ("error_rate", "pass_rate", "rate"):
            return "share"
        return "" if self.aggregation == "count" else _UNITS.get(self.measure, "")


@lru_cache(maxsize=512)
def parse_metric(text: str) -> Metric:
    """Read a metric.

    Raises: BadQuery, with the position and what is possible there.
    """
    head = _HEAD.match(text)
    if head is None:
        raise BadQuery(
            "a metric starts with an aggregation and what it is of, "
            'like error_rate(logs) or pass_rate(judgment "path")',
            position=0,
        )
    aggregation = _choose(head[1].lower(), get_args(Aggregation), "aggregation", head.start(1))
    measure, evaluator, label, at = _read_argument(text, head.end())
    if aggregation not in ALLOWED[measure]:
        raise BadQuery(
            f"{aggregation}({measure}) means nothing; of {measure} there is "
            + ", ".join(ALLOWED[measure]),
            position=head.start(1),
        )
    if (aggregation == "rate") != (label is not None):
        raise BadQuery(
            'rate needs a label: rate(judgment "path" = "label"); the share of true is pass_rate'
            if aggregation == "rate"
            else f"{aggregation} takes no label; only rate does",
            position=head.start(1),
        )
    where, node, group_by, window_s = _read_clauses(text, at)
    if "evaluator" in group_by and measure != "judgment":
        raise BadQuery("only judgments can be grouped by evaluator", position=at)
    return Metric(
        aggregation=aggregation,
        measure=measure,
        evaluator=evaluator,
        label=label,
        where=where,
        filter=node,
        group_by=group_by,
        window_s=window_s,
    )


def metric_text(metric: Metric) -> str:
    """Write a metric so that `parse_metric` reads the same one."""
    argument: str = metric.measure
    if metric.measure == "judgment":
        argument += f" {_quote(metric.evaluator or '')}"
        if metric.label is not None:
            argument += f" = {_quote(metric.label)}"
    parts = [f"{metric.aggregation}({argument})"]
    if metric.where:
        # Parentheses keep a searched word "by" or "over" from being read as ours.
        is_ambiguous = any(word.lower() in _KEYWORDS for word, _ in _words(metric.where, 0))
        parts.append(f"where ({metric.where})" if is_ambiguous else f"where {metric.where}")
    if metric.group_by:
        parts.append("by " + ", ".join(metric.group_by))
    parts.append(f"over {duration_text(metric.window_s)}")
    return " ".join(parts)


def duration_text(seconds: int) -> str:
    """Write seconds in the largest unit that needs no fraction."""
    unit = next(unit for unit in "dhms" if seconds % _UNIT_S[unit] == 0)
    return f"{seconds // _UNIT_S[unit]}{unit}"


def _read_argument(text: str, at: int) -> tuple[Measure, str | None, str | None, int]:
    found = _MEASURE.match(text, at)
    if found is None:
        raise BadQuery(f"of what? one of {', '.join(get_args(Measure))}", position=at)
    measure = cast(Measure, _choose(found[1].lower(), get_args(Measure), "measure", found.start(1)))
    at, evaluator, label = found.end(), None, None
    if measure == "judgment":
        path = _QUOTED.match(text, at)
        if path is None or not path[1].strip():
            raise BadQuery('name the evaluator: judgment "path/of/evaluator"', position=at)
        evaluator, at = _ESCAPE.sub(r"\1", path[1]), path.end()
        if text[at:].lstrip().startswith("="):
            wanted = _QUOTED.match(text, text.index("=", at) + 1)
            if wanted is None:
                raise BadQuery('a label stands in quotes: = "bad"', position=at)
            label, at = _ESCAPE.sub(r"\1", wanted[1]), wanted.end()
    while at < len(text) and text[at].isspace():
        at += 1
    if at >= len(text) or text[at] != ")":
        raise BadQuery(f"a ) is missing after {measure}", position=at)
    return measure, evaluator, label, at + 1


def _read_clauses(text: str, at: int) -> tuple[str, Node, tuple[GroupField, ...], int]:
    words = list(_words(text, at))
    window_s = DEFAULT_WINDOW_S
    if words and words[-1][0].lower() == "over":
        raise BadQuery("over how long? for example: over 10m", position=words[-1][1])
    end = len(text)
    if len(words) > 1 and words[-2][0].lower() == "over":
        window_s = _read_window(*words[-1])
        end = words[-2][1]
        words = words[:-2]
    group_by: tuple[GroupField, ...] = ()
    by = next((start for word, start in reversed(words) if word.lower() == "by"), None)
    if by is not None:
        group_by = _read_groups(text[by + 2 : end], by + 2)
        end = by
    rest = text[at:end]
    if not rest.strip():
        return "", EVERYTHING, group_by, window_s
    start = at + len(rest) - len(rest.lstrip())
    if not re.match(r"where\b", rest.lstrip(), re.IGNORECASE):
        raise BadQuery("here stand: where FILTER, by FIELDS, over WINDOW", position=start)
    start += len("where")
    where = text[start:end]
    try:
        node = parse(where)
    except BadQuery as error:
        raise BadQuery(error.message, position=start + (error.position or 0)) from None
    return where.strip(), node, group_by, window_s


def _read_groups(text: str, at: int) -> tuple[GroupField, ...]:
    fields: list[GroupField] = []
    for part in text.split(","):
        name = part.strip().lower()
        if not name:
            raise BadQuery(f"by what? one of {', '.join(get_args(GroupField))}", position=at)
        chosen = _choose(name, get_args(GroupField), "field to group by", at)
        if chosen in fields:
            raise BadQuery(f"{chosen} is named twice", position=at)
        fields.append(cast(GroupField, chosen))
        at += len(part) + 1
    if len(fields) > MAX_GROUP_FIELDS:
        raise BadQuery(f"at most {MAX_GROUP_FIELDS} fields to group by", position=at)
    return tuple(fields)


def _read_window(text: str, at: int) -> int:
    found = _DURATION.fullmatch(text.lower())
    if found is None:
        raise BadQuery(f"{text!r} is no window; write 30s, 10m, 2h or 7d", position=at)
    seconds = int(found[1]) * _UNIT_S[found[2]]
    if not MIN_WINDOW_S <= seconds <= MAX_WINDOW_S:
        raise BadQuery("a window is between 1s and 31d", position=at)
    return seconds


def _words(text: str, at: int) -> Iterator[tuple[str, int]]:
    """Yield the words outside quotes and parentheses, with their positions."""
    depth, start, is_quoted = 0, None, False
    while at < len(text):
        character = text[at]
        is_plain = not is_quoted and depth == 0 and not character.isspace()
        if start is not None and (not is_plain or character in '("'):
            yield text[start:at], start
            start = None
        if character == "\\":
            start = at if is_plain and start is None else start
            at += 2
            continue
        if character == '"':
            is_quoted = not is_quoted
        elif not is_quoted and character in "()":
            depth = max(0, depth + (1 if character == "(" else -1))
        elif is_plain and start is None:
            start = at
        at += 1
    if start is not None:
        yield text[start:], start


def _choose(name: str, known: tuple[str, ...], what: str, at: int) -> str:
    if name in known:
        return name
    close = get_close_matches(name, known, 1)
    hint = f"did you mean {close[0]}?" if close else f"one of {', '.join(known)}"
    quoting = '; to search for the word "by", quote it' if what.startswith("field") else ""
    raise BadQuery(f"no {what} {name!r}; {hint}{quoting}", position=at)


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
