"""What an evaluation came to: rows, the measure of each Evaluator, checks, and a table of them."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kibitz.client.judges import Judge, Judgment
from kibitz.errors import ConfigError

ERRORS = "errors"
"""The name under which `checks` may limit the share of runs that failed."""
_CHECK = re.compile(r"\s*(>=|<=|==|>|<)\s*([-+0-9.eE]+)\s*\Z")
_SLACK = 1e-9  # of a sum of floats
Limit = float | int | str


@dataclass(frozen=True, slots=True)
class Row:
    """One datapoint: what the function gave, and what was said of it, by Evaluator's path."""

    datapoint_id: str
    log_id: str
    inputs: dict[str, Any]
    output: Any
    error: str | None
    judgments: dict[str, Judgment]


@dataclass(frozen=True, slots=True)
class Measure:
    """How one Evaluator judged all rows.

    `score` is the share of true of all rows for flags, the mean for numbers, else None.
    """

    path: str
    return_type: str
    score: float | None
    judged: int
    errors: int
    counts: dict[str, int] = field(default_factory=dict)  # of options and texts
    before: float | None = None  # the score of the run before this one

    @property
    def delta(self) -> float | None:
        """How much better, or worse, than the run before."""
        if self.score is None or self.before is None:
            return None
        return self.score - self.before


@dataclass(frozen=True, slots=True)
class Check:
    """One threshold and how the measure stands to it."""

    name: str
    operator: str
    limit: float
    value: float | None

    @property
    def is_met(self) -> bool:
        """Whether the measure is as good as asked for; one that does not exist is not."""
        value = self.value
        if value is None:
            return False
        is_equal = math.isclose(value, self.limit, rel_tol=_SLACK, abs_tol=_SLACK)
        match self.operator:
            case ">=":
                return is_equal or value > self.limit
            case "<=":
                return is_equal or value < self.limit
            case ">":
                return not is_equal and value > self.limit
            case "<":
                return not is_equal and value < self.limit
        return is_equal

    def __str__(self) -> str:
        value = "no score" if self.value is None else f"{self.value:.4g}"
        return f"{self.name} is {value}, asked for {self.operator} {self.limit:g}"


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """All of one run; `str()` is the table."""

    path: str
    dataset: str
    evaluation_id: str
    run_id: str
    url: str | None
    rows: list[Row]
    measures: list[Measure]
    checks: list[Check]

    @property
    def error_rate(self) -> float:
        """The share of rows for which the function failed."""
        return sum(row.error is not None for row in self.rows) / len(self.rows)

    @property
    def is_passed(self) -> bool:
        """Whether every check is met."""
        return all(check.is_met for check in self.checks)

    def score(self, path: str) -> float | None:
        """Return the score of one Evaluator."""
        return next(one.score for one in self.measures if one.path == path)

    def __str__(self) -> str:
        return table(self)

    def as_dict(self) -> dict[str, Any]:
        """Return the sums as JSON values, for a file that CI keeps."""
        return {
            "path": self.path,
            "dataset": self.dataset,
            "evaluation_id": self.evaluation_id,
            "run_id": self.run_id,
            "url": self.url,
            "rows": len(self.rows),
            "error_rate": self.error_rate,
            "is_passed": self.is_passed,
            "measures": [
                {
                    "path": one.path,
                    "return_type": one.return_type,
                    "score": one.score,
                    "judged": one.judged,
                    "errors": one.errors,
                    "counts": one.counts,
                    "before": one.before,
                }
                for one in self.measures
            ],
            "checks": [
                {
                    "name": one.name,
                    "operator": one.operator,
                    "limit": one.limit,
                    "value": one.value,
                    "is_met": one.is_met,
                }
                for one in self.checks
            ],
        }


def read_checks(checks: Mapping[str, Limit] | None, judges: Sequence[Judge]) -> dict[str, Check]:
    """Read thresholds: a number is the least that will do, a text such as "<= 0.1" says it all.

    Raises: ConfigError: one cannot be read, or names no Evaluator.
    """
    known = [judge.path for judge in judges]
    found = {}
    for name, limit in (checks or {}).items():
        if name not in known and name != ERRORS:
            raise ConfigError(
                f"checks has {name!r}, which no evaluator is called; there are "
                + ", ".join([*known, ERRORS])
            )
        default = "<=" if name == ERRORS else ">="
        text = limit if isinstance(limit, str) else f"{default} {limit}"
        match = _CHECK.match(text)
        try:
            if match is None or isinstance(limit, bool):
                raise ValueError
            found[name] = Check(name, match[1], float(match[2]), None)
        except ValueError:
            raise ConfigError(
                f'checks[{name!r}] is {limit!r}; write a number, or a text such as ">= 0.9"'
            ) from None
    return found


def measure(judge: Judge, rows: Sequence[Row], before: float | None) -> Measure:
    """Add up what one Evaluator said."""
    said = [row.judgments[judge.path] for row in rows if judge.path in row.judgments]
    values = [one.value for one in said if one.error is None and one.value is not None]
    errors = sum(one.error is not None for one in said)
    score: float | None = None
    counts: Counter[str] = Counter()
    match judge.return_type:
        case "boolean":
            score = sum(value is True for value in values) / len(rows)
        case "number":
            numbers = [value for value in values if isinstance(value, (int, float))]
            score = math.fsum(numbers) / len(numbers) if numbers else None
        case "select":
            counts.update(map(str, values))
        case "multi_select":
            counts.update(str(one) for value in values for one in value)
    return Measure(
        judge.path, judge.return_type or "", score, len(values), errors, dict(counts), before
    )


def table(result: EvaluationResult) -> str:
    """Write the result for a terminal; ASCII, because the logs of CI are read too."""
    failed = sum(row.error is not None for row in result.rows)
    lines = [f"{result.path} over {result.dataset}: {len(result.rows)} rows, {failed} failed"]
    checks = {check.name: check for check in result.checks}
    width = max([9, *(len(one.path) for one in result.measures)])
    lines.append(f"  {'evaluator':<{width}}  {'score':>8}  {'before':>8}  judged  errors  check")
    for one in result.measures:
        lines.append(
            f"  {one.path:<{width}}  {_number(one.score):>8}  {_number(one.before):>8}  "
            f"{one.judged:>6}  {one.errors:>6}  {_mark(checks.get(one.path))}".rstrip()
        )
        if one.counts:
            parts = sorted(one.counts.items(), key=lambda pair: -pair[1])[:10]
            lines.append(f"  {'':<{width}}  {', '.join(f'{name}: {n}' for name, n in parts)}")
    if ERRORS in checks:
        mark = _mark(checks[ERRORS])
        lines.append(f"  {ERRORS:<{width}}  {_number(result.error_rate):>8}{'':<28}{mark}")
    for row in [row for row in result.rows if row.error is not None][:3]:
        lines.append(f"  failed: {row.log_id}  {(row.error or '')[:100]}")
    for path, text in _judge_errors(result)[:3]:
        lines.append(f"  {path} failed: {text[:100]}")
    if result.url:
        lines.append(f"  {result.url}")
    return "\n".join(lines)


def _judge_errors(result: EvaluationResult) -> list[tuple[str, str]]:
    found = {
        (path, one.error): None
        for row in result.rows
        for path, one in row.judgments.items()
        if one.error is not None
    }
    return list(found)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _mark(check: Check | None) -> str:
    if check is None:
        return ""
    return f"{check.operator} {check.limit:g} {'ok' if check.is_met else 'FAILED'}"
