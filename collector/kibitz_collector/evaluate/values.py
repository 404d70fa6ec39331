"""Whether a value is one that an Evaluator may give: its type, its options, its limits."""

from typing import Any

from kibitz_collector.evaluate.sandbox import Verdict, VerdictError, type_problem
from kibitz_collector.files.kinds.evaluator import EvaluatorSpec


def value_problem(value: Any, spec: EvaluatorSpec) -> str | None:
    """Say what is wrong with a value; None: nothing. None abstains always."""
    problem = type_problem(value, spec.return_type, spec.options)
    if problem is None and spec.return_type == "number" and value is not None:
        return spec.limits.problem(float(value))
    return problem


def within_limits(verdict: Verdict, spec: EvaluatorSpec) -> Verdict:
    """Return a verdict, as an error when its value is not one the Evaluator may give."""
    if verdict.error is not None:
        return verdict
    problem = value_problem(verdict.value, spec)
    if problem is None:
        return verdict
    return Verdict(
        error=VerdictError(type="WrongType", message=problem),
        stdout=verdict.stdout,
        duration_ms=verdict.duration_ms,
    )
