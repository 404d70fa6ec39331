"""How runs came out, in the contract's form: which sums there are depends on the return type."""

import time

from kibitz_collector.api.v5.models.evaluations import (
    AnyStats,
    BooleanEvaluatorStatsResponse,
    EvaluationStats,
    NumericEvaluatorStatsResponse,
    RunStatsResponse,
    SelectEvaluatorStatsResponse,
    TextEvaluatorStatsResponse,
)
from kibitz_collector.evaluations.board import Board
from kibitz_collector.evaluations.progress import progress_text
from kibitz_collector.evaluations.stats import JudgeStats, RunStats, overall_status


def answer_stats(board: Board, url: str, *, with_progress: bool) -> EvaluationStats:
    """Return the answer for an evaluation; both texts are never null, clients print them unseen."""
    return EvaluationStats(
        run_stats=[_answer_run(run) for run in board.stats],
        progress=progress_text(board.stats) if with_progress else "",
        report=board.report(url),
        status=overall_status(board.stats, time.time_ns()),
    )


def _answer_run(run: RunStats) -> RunStatsResponse:
    return RunStatsResponse(
        run_id=run.run_id,
        version_id=run.version_id,
        batch_id=run.run_id,
        num_logs=run.logs,
        evaluator_stats=[_answer_judge(one) for one in run.judges],
        status=run.status,
    )


def _answer_judge(one: JudgeStats) -> AnyStats:
    counts = {
        "total_logs": one.total,
        "num_judgments": one.judgments,
        "num_nulls": one.nulls,
        "num_errors": one.errors,
    }
    version_id = one.judge.version_id
    match one.judge.return_type:
        case "boolean":
            return BooleanEvaluatorStatsResponse(
                evaluator_version_id=version_id,
                **counts,
                num_true=one.trues,
                num_false=one.judgments - one.trues,
            )
        case "number":
            numbers = one.numbers
            return NumericEvaluatorStatsResponse(
                evaluator_version_id=version_id,
                **counts,
                mean=numbers.mean,
                sum=numbers.sum,
                std=numbers.std,
                percentiles=dict(numbers.percentiles),
            )
        case "select" | "multi_select":
            return SelectEvaluatorStatsResponse(
                evaluator_version_id=version_id,
                **counts,
                num_judgments_per_option=dict(one.options),
            )
        case _:
            return TextEvaluatorStatsResponse(evaluator_version_id=version_id, **counts)
