"""Judgments that will never come: which they are, and the failed ones that stand in for them."""

from collections.abc import Sequence
from dataclasses import dataclass

from kibitz_collector.files.ids import hashed_id
from kibitz_collector.records import FileReference, Judgment, LogBody, LogError, LogRecord
from kibitz_collector.store.queries.evaluation import EvaluatorView
from kibitz_collector.store.queries.evaluations_gaps import Unjudged

LOST_IDS = (
    "no judgment came: with OpenTelemetry 1.43 or newer the Humanloop SDK cannot tell its "
    "evaluators of what a decorated function has done; pin opentelemetry-sdk<1.43, or pass "
    "evaluations.run a function without decorator"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    """One judgment that is awaited in vain."""

    evaluator: EvaluatorView
    log_id: str
    reason: str


def hopeless(evaluator: EvaluatorView, unjudged: Sequence[Unjudged]) -> list[GivenUp]:
    """Return what an Evaluator here will not judge. Pure."""
    found = []
    for one in unjudged:
        reason = _reason(one)
        if reason is not None:
            found.append(GivenUp(evaluator=evaluator, log_id=one.log_id, reason=reason))
    return found


def never_told(evaluator: EvaluatorView, unjudged: Sequence[Unjudged]) -> list[GivenUp]:
    """Return what a program will not judge, because it does not know of it. Pure.

    People look at the pages: they are waited for.
    """
    if evaluator.spec.evaluator_type == "human":
        return []
    return [
        GivenUp(evaluator=evaluator, log_id=one.log_id, reason=LOST_IDS)
        for one in unjudged
        if one.origin == "inputs"
    ]


def _reason(one: Unjudged) -> str | None:
    if one.is_suspended:
        return "the evaluator is suspended; resume it, and what waits is judged"
    if one.job_state == "dead":
        return f"it could not be judged: {one.job_error or 'too many attempts'}"
    if one.job_state == "done" and not one.is_detached:
        return "it could not be judged: the evaluator is not one that is run here"
    return None


def stand_in(one: GivenUp, now_ns: int) -> LogRecord:
    """Return the failed judgment; one that comes after all takes its place."""
    path, version_id = one.evaluator.path, one.evaluator.version_id
    return LogRecord(
        id=hashed_id("log_", "given up", one.log_id, version_id),
        is_named=True,
        kind="evaluator",
        name=path.rpartition("/")[2],
        start_ns=now_ns,
        end_ns=now_ns,
        parent_id=one.log_id,
        file=FileReference(kind="evaluator", path=path, version_id=version_id),
        source="api",
        status="error",
        error_type="NotJudged",
        body=LogBody(error=LogError(type="NotJudged", message=one.reason)),
        judgment=Judgment(
            judged_log_id=one.log_id,
            return_type=one.evaluator.spec.return_type,
            is_error=True,
            where="run",
        ),
    )
