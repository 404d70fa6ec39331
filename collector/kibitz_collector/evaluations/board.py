"""Puts together how the runs of an evaluation came out, for the API and the pages."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from kibitz_collector.evaluations.report import Named, report_text
from kibitz_collector.evaluations.stats import Judge, RunStats, run_stats, standing_verdicts
from kibitz_collector.store import Session
from kibitz_collector.store.queries import evaluation as evaluator_queries
from kibitz_collector.store.queries import evaluations as queries
from kibitz_collector.store.queries import logs as log_queries
from kibitz_collector.store.queries.datapoints import count_datapoints
from kibitz_collector.store.queries.evaluations import EvaluationView, PlacedRun
from kibitz_collector.store.queries.evaluations_logs import (
    RunLogFact,
    VerdictFact,
    log_facts,
    verdict_facts,
)
from kibitz_collector.store.queries.files import get_files, get_versions
from kibitz_collector.store.queries.judgments import judgments_of

Fact = TypeVar("Fact", RunLogFact, VerdictFact)


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """An evaluation with its runs, the newest first, each added up."""

    evaluation: EvaluationView
    file_path: str | None
    runs: Sequence[PlacedRun]
    stats: Sequence[RunStats]
    versions: dict[str, str]  # name, or path of another File, by Version
    datasets: dict[str, str]  # path, by run
    failures: dict[str, str]  # why something failed in the newest run, by Evaluator path or "Logs"

    def report(self, url: str) -> str:
        """Return the comparison of its runs as text."""
        evaluation = self.evaluation
        named = Named(
            evaluation=evaluation.name or evaluation.id,
            file=self.file_path,
            url=url,
            versions=self.versions,
            datasets=self.datasets,
            failures=self.failures,
        )
        control = next((placed.run.id for placed in self.runs if placed.is_control), None)
        return report_text(self.stats, named, control)


def read_board(session: Session, workspace_id: int, evaluation: EvaluationView) -> Board:
    """Read and add up all runs of an evaluation."""
    runs = queries.list_runs(session, evaluation.id)
    judges = [_judge(session, workspace_id, used) for used in evaluation.evaluators]
    run_ids = [placed.run.id for placed in runs]
    logs = _by_run(log_facts(session, run_ids))
    evaluator_ids = sorted({judge.evaluator_id for judge in judges})
    verdicts = _by_run(verdict_facts(session, workspace_id, run_ids, evaluator_ids))
    newest = run_ids[0] if run_ids else ""
    return Board(
        evaluation=evaluation,
        runs=runs,
        stats=[
            run_stats(
                run_id=placed.run.id,
                version_id=placed.run.version_id,
                status=placed.run.status,
                changed_ns=placed.run.updated_ns,
                expected=_expected(session, placed),
                logs=logs.get(placed.run.id, []),
                verdicts=verdicts.get(placed.run.id, []),
                judges=judges,
            )
            for placed in runs
        ],
        failures=_failures(
            session, workspace_id, logs.get(newest, []), verdicts.get(newest, []), judges
        ),
        **_names(session, workspace_id, evaluation, runs),
    )


def _names(
    session: Session, workspace_id: int, evaluation: EvaluationView, runs: Sequence[PlacedRun]
) -> dict[str, Any]:
    """Return what the File, the Versions and the Datasets are called."""
    used = {id_ for placed in runs for id_ in (placed.run.file_id, placed.run.dataset_id) if id_}
    files = get_files(session, workspace_id, {*used, evaluation.file_id or ""})
    versions = get_versions(session, workspace_id, {placed.run.version_id or "" for placed in runs})
    paths = {
        one.id: files[one.file_id].path
        for one in versions.values()
        if one.file_id in files and one.file_id != evaluation.file_id
    }
    own = files.get(evaluation.file_id or "")
    return {
        "file_path": own.path if own else None,
        "versions": paths | {one.id: one.name for one in versions.values() if one.name},
        "datasets": {
            placed.run.id: files[placed.run.dataset_id].path
            for placed in runs
            if placed.run.dataset_id in files
        },
    }


def _by_run(facts: Iterable[Fact]) -> dict[str, list[Fact]]:
    found: dict[str, list[Fact]] = {}
    for fact in facts:
        found.setdefault(fact.run_id, []).append(fact)
    return found


def _failures(
    session: Session,
    workspace_id: int,
    logs: Sequence[RunLogFact],
    verdicts: Sequence[VerdictFact],
    judges: Sequence[Judge],
) -> dict[str, str]:
    """Return one reason for each thing that failed."""
    found: dict[str, str] = {}
    failed = next((log.log_id for log in logs if log.is_error), None)
    if failed is not None:
        detail = log_queries.get_logs(session, workspace_id, [failed])[failed]
        error = detail.body.error
        found["Logs"] = (error and (error.message or error.type)) or "error"
    standing = standing_verdicts(verdicts, judges)
    for judge in judges:
        one = next((v for v in standing[judge.version_id] if v.is_error), None)
        if one is not None:
            views = judgments_of(session, workspace_id, [one.log_id], whole=True)[one.log_id]
            told = [view.error for view in views if view.evaluator_id == judge.evaluator_id]
            found[judge.path] = next((text for text in told if text), "error")
    return found


def _judge(session: Session, workspace_id: int, used: queries.UsedEvaluator) -> Judge:
    view = evaluator_queries.get_evaluator(
        session, workspace_id, used.evaluator_id, used.version_id
    )
    return Judge(
        evaluator_id=used.evaluator_id,
        version_id=used.version_id,
        path=view.path,
        return_type=view.spec.return_type,
        options=view.spec.option_names,
        orchestrated=used.orchestrated,
    )


def _expected(session: Session, placed: PlacedRun) -> int | None:
    dataset = placed.run.dataset_version_id
    return None if dataset is None else count_datapoints(session, dataset)
