"""`kibitz.evaluate`: a function over a dataset, judged here and in the collector, kept as a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from queue import SimpleQueue
from typing import Any

from kibitz import _runtime, _setup
from kibitz._runtime import Runtime
from kibitz.client.connection import Connection, connection, connection_for, settings_now
from kibitz.client.datasets import Datapoint, Dataset, Given, open_dataset
from kibitz.client.judges import Judge, Judgment, judges_of
from kibitz.client.orchestrated import check_types, find_evaluated, run_there
from kibitz.client.progress import Progress
from kibitz.client.results import (
    ERRORS,
    Check,
    EvaluationResult,
    Limit,
    Row,
    measure,
    read_checks,
)
from kibitz.client.runs import Run
from kibitz.client.subjects import Execution, Subject, subject_of
from kibitz.errors import ApiError, ChecksFailed, ConfigError

_BATCH = 50  # judgments that are sent together
_FLUSH_S = 30.0

results: list[EvaluationResult] = []
"""Every evaluation of this process, in order: `kibitz eval` reads it."""
extra_checks: dict[str, Limit] = {}
"""Thresholds given on the command line, beside those in the program."""


def evaluate(
    function: Callable[..., Any] | str,
    *,
    dataset: Given,
    evaluators: Iterable[str | Callable[..., Any]],
    name: str | None = None,
    path: str | None = None,
    checks: Mapping[str, Limit] | None = None,
    workers: int = 8,
    timeout_s: float = 600.0,
    show: bool = True,
) -> EvaluationResult:
    """Run a function over a dataset, judge each output, and keep all of it as an evaluation run.

    The function is called with a datapoint's inputs by name (and `messages`); a `@kibitz.flow` is
    evaluated as itself, any other becomes a Flow at `path`. A text is the path of a Prompt, Tool or
    Agent instead, which the collector calls. `dataset` is the path of one in the
    collector, a `pathlib.Path` of JSON lines, or a list of mappings. Evaluators are functions of
    a Log, or of a Log and the datapoint's target, and paths of Evaluators that the collector runs.
    `checks`: by Evaluator's path the least score, or a text such as "<= 0.1"; "errors" is the share
    of runs that failed. Runs of one `name` are compared with each other.
    Raises: ChecksFailed: a check is not met; its `result` has all of it. ConfigError, ApiError.
    """
    if workers < 1:
        raise ConfigError(f"workers={workers} must be at least 1")
    judges = judges_of(evaluators)
    limits = read_checks({**(checks or {}), **_fitting(extra_checks, judges)}, judges)
    plan = _Plan(judges, limits, dataset, name, workers, timeout_s, show)
    if isinstance(function, str):
        result = _evaluate_there(function, plan)
    else:
        result = _evaluate_here(subject_of(function, path), plan)
    results.append(result)
    if show:
        print(result, flush=True)
    if not result.is_passed:
        unmet = [str(check) for check in result.checks if not check.is_met]
        raise ChecksFailed(f"{result.path}: {'; '.join(unmet)}", result)
    return result


@dataclass(frozen=True, slots=True)
class _Plan:
    """What was asked for, read."""

    judges: list[Judge]
    limits: dict[str, Check]
    dataset: Given
    name: str | None
    workers: int
    timeout_s: float
    is_shown: bool


def _evaluate_here(subject: Subject, plan: _Plan) -> EvaluationResult:
    with _recording() as runtime:
        target = connection_for(runtime.settings)
        data = open_dataset(target, plan.dataset, f"{subject.path} dataset")
        subject.check(data.datapoints[0])
        evaluation = _Evaluation(target, runtime, subject, plan.judges, data, plan.timeout_s)
        with Progress(len(data.datapoints), is_shown=plan.is_shown) as progress:
            evaluation.run(plan.name or data.path, plan.workers, progress)
    return _add_up(subject.path, data, evaluation.kept, evaluation.rows, plan)


def _evaluate_there(path: str, plan: _Plan) -> EvaluationResult:
    check_types(plan.judges)
    target = connection()
    evaluated = find_evaluated(target, path)
    data = open_dataset(target, plan.dataset, f"{path} dataset")
    run = Run(target, plan.judges, plan.timeout_s)
    with Progress(len(data.datapoints), is_shown=plan.is_shown) as progress:
        rows = run_there(run, evaluated, data, plan.name or data.path, plan.workers, progress)
    return _add_up(path, data, run, rows, plan)


def _add_up(path: str, data: Dataset, run: Run, rows: list[Row], plan: _Plan) -> EvaluationResult:
    measures = [measure(judge, rows, run.before.get(judge.version_id)) for judge in plan.judges]
    values: dict[str, float | None] = {one.path: one.score for one in measures}
    values[ERRORS] = sum(row.error is not None for row in rows) / len(rows)
    checks = [replace(check, value=values[key]) for key, check in plan.limits.items()]
    return EvaluationResult(
        path, data.path, run.evaluation_id, run.id, run.url, rows, measures, checks
    )


def _fitting(limits: Mapping[str, Limit], judges: Sequence[Judge]) -> dict[str, Limit]:
    known = {ERRORS, *(judge.path for judge in judges)}
    return {name: limit for name, limit in limits.items() if name in known}


@contextmanager
def _recording() -> Iterator[Runtime]:
    """Give the runtime of `init()`; without one, record for as long as this lasts."""
    runtime = _runtime.get()
    if runtime is not None:
        yield runtime
        return
    before = _runtime.configured
    settings = settings_now()
    given = {one.name: getattr(settings, one.name) for one in fields(settings)}
    _setup.init(**{**given, "enabled": True})
    runtime = _runtime.get()
    assert runtime is not None
    try:
        yield runtime
    finally:
        _setup.shutdown()
        _runtime.configured = before


@dataclass(frozen=True, slots=True)
class _Judged:
    """A run of the function, and what the app's own evaluators say of it."""

    execution: Execution
    judgments: dict[str, Judgment]
    judged_ns: int


class _Evaluation:
    """One run on its way; `rows` are in the order of the dataset when it is done."""

    def __init__(
        self,
        target: Connection,
        runtime: Runtime,
        subject: Subject,
        judges: Sequence[Judge],
        data: Dataset,
        timeout_s: float,
    ) -> None:
        self.target = target
        self.runtime = runtime
        self.subject = subject
        self.judges = judges
        self.data = data
        self.kept = Run(target, judges, timeout_s)
        self.rows: list[Row] = []

    def run(self, name: str, workers: int, progress: Progress) -> None:
        """Run, judge and send everything; then wait for the collector's own judges."""
        first, *others = self.data.datapoints
        # Always on threads of ours: the caller's may be in an event loop, as in a notebook.
        with ThreadPoolExecutor(workers, thread_name_prefix="kibitz-evaluate") as pool:
            # The first one by itself: what evaluators return decides what they are registered as.
            probe = pool.submit(self._judged, first).result()
            for judge in self.judges:
                if judge.function is not None:
                    judge.settle_type(probe.judgments[judge.path].value)
            ids = self.subject.version_id(self.target)
            self.kept.begin(name, ids, self.data.version_id, is_here=True)
            try:
                done = self._run_all(pool, probe, others, workers, progress)
                self.kept.wait(progress)
                there = self.kept.judgments_there()
            except BaseException:
                self.kept.cancel()
                raise
        self.rows = [self._row(done[datapoint.id], there) for datapoint in self.data.datapoints]

    def _run_all(
        self,
        pool: ThreadPoolExecutor,
        probe: _Judged,
        others: Sequence[Datapoint],
        workers: int,
        progress: Progress,
    ) -> dict[str, _Judged]:
        """Run the rest, and send what is said of it; returns all by datapoint."""
        probe.execution.seal(self.kept.id)
        progress.step(self.subject.path)
        done, waiting = {probe.execution.datapoint.id: probe}, [probe]
        runs: list[Future[_Judged]] = []
        # Not `as_completed`: a Ctrl-C inside it can leave a lock held that a worker then waits for.
        ended: SimpleQueue[Future[_Judged]] = SimpleQueue()
        try:
            for datapoint in others:
                runs.append(pool.submit(self._judged_and_sealed, datapoint))
                runs[-1].add_done_callback(ended.put)
            for _ in others:
                judged = ended.get().result()
                done[judged.execution.datapoint.id] = judged
                waiting.append(judged)
                progress.step(self.subject.path)
                if len(waiting) >= _BATCH:
                    self._send(waiting, workers)
                    waiting = []
        except BaseException:
            for run in runs:
                run.cancel()
            raise
        self._send(waiting, workers)
        return done

    def _judged_and_sealed(self, datapoint: Datapoint) -> _Judged:
        judged = self._judged(datapoint)
        judged.execution.seal(self.kept.id)
        return judged

    def _judged(self, datapoint: Datapoint) -> _Judged:
        execution = self.subject.execute(self.runtime, datapoint)
        log = execution.as_log(self.subject.path)
        judgments = {
            judge.path: judge.judge(log, datapoint.target)
            for judge in self.judges
            if judge.function is not None
        }
        return _Judged(execution, judgments, self.runtime.now_ns())

    def _send(self, waiting: Sequence[_Judged], workers: int) -> None:
        """Hand in judgments, once the Logs they are about have arrived."""
        result = _setup.flush(_FLUSH_S)
        if result.spooled:
            raise ApiError(
                f"{self.target.collector} has not taken the Logs within {_FLUSH_S:g} s; "
                "see `kibitz doctor`"
            )
        todo = [
            (judged, judge)
            for judged in waiting
            for judge in self.judges
            if judge.function is not None
        ]
        with ThreadPoolExecutor(workers, thread_name_prefix="kibitz-judgments") as pool:
            for _ in pool.map(lambda pair: self._post(*pair), todo):
                pass

    def _post(self, judged: _Judged, judge: Judge) -> None:
        judged.judgments[judge.path] = self.kept.post(
            judged.execution.log_id,
            judge,
            judged.judgments[judge.path],
            judged.execution.end_ns,
            judged.judged_ns,
        )

    def _row(self, judged: _Judged, there: Mapping[str, dict[str, Judgment]]) -> Row:
        execution = judged.execution
        return Row(
            execution.datapoint.id,
            execution.log_id,
            execution.datapoint.inputs,
            execution.output,
            execution.error_text,
            {**judged.judgments, **there.get(execution.log_id, {})},
        )
