"""`kibitz.evaluate`: a function over a dataset, judged here and in the collector, kept as a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from kibitz import _runtime, _setup
from kibitz._runtime import Runtime
from kibitz.client.connection import Connection, connection_for, settings_now
from kibitz.client.datasets import Datapoint, Dataset, Given, open_dataset
from kibitz.client.judges import Judge, Judgment, judges_of
from kibitz.client.progress import Progress
from kibitz.client.results import (
    ERRORS,
    EvaluationResult,
    Limit,
    Row,
    measure,
    read_checks,
)
from kibitz.client.subjects import Execution, Subject, subject_of
from kibitz.errors import ApiError, ChecksFailed, ConfigError, KibitzError

_BATCH = 50  # judgments that are sent together
_FLUSH_S = 30.0
_POLL_S, _LONGEST_POLL_S = 0.2, 2.0
_RETRIES = 5

results: list[EvaluationResult] = []
"""Every evaluation of this process, in order: `kibitz eval` reads it."""
extra_checks: dict[str, Limit] = {}
"""Thresholds given on the command line, beside those in the program."""


def evaluate(
    function: Callable[..., Any],
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
    evaluated as itself, any other becomes a Flow at `path`. `dataset` is the path of one in the
    collector, a `pathlib.Path` of JSON lines, or a list of mappings. Evaluators are functions of
    a Log, or of a Log and the datapoint's target, and paths of Evaluators that the collector runs.
    `checks`: by Evaluator's path the least score, or a text such as "<= 0.1"; "errors" is the share
    of runs that failed. Runs of one `name` are compared with each other.
    Raises: ChecksFailed: a check is not met; its `result` has all of it. ConfigError, ApiError.
    """
    if workers < 1:
        raise ConfigError(f"workers={workers} must be at least 1")
    subject = subject_of(function, path)
    judges = judges_of(evaluators)
    limits = read_checks({**(checks or {}), **_fitting(extra_checks, judges)}, judges)
    with _recording() as runtime:
        target = connection_for(runtime.settings)
        data = open_dataset(target, dataset, f"{subject.path} dataset")
        subject.check(data.datapoints[0])
        evaluation = _Evaluation(target, runtime, subject, judges, data, timeout_s)
        with Progress(len(data.datapoints), is_shown=show) as progress:
            evaluation.run(name or data.path, workers, progress)
            measures = [
                measure(judge, evaluation.rows, evaluation.before.get(judge.version_id))
                for judge in judges
            ]
    scores = {one.path: one.score for one in measures}
    failed = sum(row.error is not None for row in evaluation.rows) / len(evaluation.rows)
    result = EvaluationResult(
        subject.path,
        data.path,
        evaluation.id,
        evaluation.run_id,
        evaluation.url,
        evaluation.rows,
        measures,
        [
            replace(check, value=failed if key == ERRORS else scores[key])
            for key, check in limits.items()
        ],
    )
    results.append(result)
    if show:
        print(result, flush=True)
    if not result.is_passed:
        unmet = [str(check) for check in result.checks if not check.is_met]
        raise ChecksFailed(f"{subject.path}: {'; '.join(unmet)}", result)
    return result


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
        self.ends_at = time.monotonic() + timeout_s
        self.timeout_s = timeout_s
        self.id = self.run_id = ""
        self.url: str | None = None
        self.before: dict[str, float | None] = {}
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
            self._begin(name)
            try:
                done = self._run_all(pool, probe, others, workers, progress)
                remote = self._wait(progress)
            except BaseException:
                self._cancel()
                raise
        self.rows = [self._row(done[datapoint.id], remote) for datapoint in self.data.datapoints]

    def _run_all(
        self,
        pool: ThreadPoolExecutor,
        probe: _Judged,
        others: Sequence[Datapoint],
        workers: int,
        progress: Progress,
    ) -> dict[str, _Judged]:
        """Run the rest, and send what is said of it; returns all by datapoint."""
        probe.execution.seal(self.run_id)
        progress.step(self.subject.path)
        done, waiting = {probe.execution.datapoint.id: probe}, [probe]
        runs = [pool.submit(self._judged_and_sealed, datapoint) for datapoint in others]
        try:
            for run in as_completed(runs):
                judged = run.result()
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
        judged.execution.seal(self.run_id)
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

    def _begin(self, name: str) -> None:
        """Make what the run belongs to, and the run."""
        file_id, version_id = self.subject.version_id(self.target)
        for judge in self.judges:
            judge.register(self.target)
        references = [judge.reference() for judge in self.judges]
        body = {"file": {"id": file_id}, "name": name, "evaluators": references}
        try:
            evaluation = self.target.post("/v5/evaluations", body)
        except ApiError as error:
            if error.status != 409:
                raise
            evaluation = self._known(file_id, name)
            missing = {"evaluators": references}
            self.target.post(f"/v5/evaluations/{evaluation['id']}/evaluators", missing, retries=2)
            self.before = _scores(self.target.get(f"/v5/evaluations/{evaluation['id']}/stats"))
        self.id, self.url = evaluation["id"], evaluation.get("url")
        run = self.target.post(
            f"/v5/evaluations/{self.id}/runs",
            {
                "dataset": {"version_id": self.data.version_id},
                "version": {"version_id": version_id},
                "orchestrated": False,
                "use_existing_logs": False,
            },
        )
        self.run_id = run["id"]

    def _known(self, file_id: str, name: str) -> dict[str, Any]:
        page = 1
        while True:
            query = {"file_id": file_id, "page": page, "size": 50}
            records = self.target.get("/v5/evaluations", query)["records"]
            for one in records:
                if one["name"] == name:
                    found: dict[str, Any] = one
                    return found
            if not records:
                raise KibitzError(f"evaluation {name!r} has vanished")
            page += 1

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
        judgment = judged.judgments[judge.path]
        execution = judged.execution
        key = f"{self.run_id}\n{execution.log_id}\n{judge.version_id}".encode()
        body = {
            "id": judge.id,
            "parent_id": execution.log_id,
            "log_id": f"log_{blake2b(key, digest_size=16).hexdigest()}",  # so that twice is once
            "run_id": self.run_id,
            "start_time": _iso(execution.end_ns),
            "end_time": _iso(judged.judged_ns),
        }
        said = {"judgment": judgment.value, "error": judgment.error}
        query = {"version_id": judge.version_id}
        try:
            self.target.post("/v5/evaluators/log", {**body, **said}, query=query, retries=_RETRIES)
        except ApiError as error:
            if error.status != 422:
                raise
            refused = Judgment(None, str(error))  # not of the type it has always returned
            judged.judgments[judge.path] = refused
            said = {"judgment": None, "error": refused.error}
            self.target.post("/v5/evaluators/log", {**body, **said}, query=query, retries=_RETRIES)

    def _wait(self, progress: Progress) -> dict[str, dict[str, Judgment]]:
        """Wait until the run is complete; return what the collector's judges said, by Log."""
        pause_s = _POLL_S
        while True:
            stats = self.target.get(f"/v5/evaluations/{self.id}/stats", retries=_RETRIES)
            (mine,) = [one for one in stats["run_stats"] if one["run_id"] == self.run_id]
            if mine["status"] == "completed":
                return self._remote_judgments()
            if mine["status"] == "cancelled":
                raise KibitzError(f"run {self.run_id} was cancelled")
            if time.monotonic() > self.ends_at:
                raise KibitzError(
                    f"run {self.run_id} was not judged within {self.timeout_s:g} s; see {self.url}"
                )
            progress.show("waiting for the collector's evaluators")
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_POLL_S)

    def _remote_judgments(self) -> dict[str, dict[str, Judgment]]:
        remote = {judge.id: judge.path for judge in self.judges if judge.function is None}
        found: dict[str, dict[str, Judgment]] = {}
        page = 1
        while remote:
            query = {"run_id": self.run_id, "page": page, "size": 100}
            records = self.target.get(f"/v5/evaluations/{self.id}/logs", query)["records"]
            if not records:
                break
            for one in records:
                found[one["log"]["id"]] = {
                    remote[log["evaluator"]["id"]]: Judgment(log.get("judgment"), log.get("error"))
                    for log in one["evaluator_logs"]
                    if log["evaluator"]["id"] in remote
                }
            page += 1
        return found

    def _row(self, judged: _Judged, remote: Mapping[str, dict[str, Judgment]]) -> Row:
        execution = judged.execution
        return Row(
            execution.datapoint.id,
            execution.log_id,
            execution.datapoint.inputs,
            execution.output,
            execution.error_text,
            {**judged.judgments, **remote.get(execution.log_id, {})},
        )

    def _cancel(self) -> None:
        path = f"/v5/evaluations/{self.id}/runs/{self.run_id}"
        with suppress(ApiError):  # what made us cancel is the news
            self.target.request("PATCH", path, timeout_s=5, json={"status": "cancelled"})


def _scores(stats: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the scores of the newest complete run, by Evaluator's Version."""
    for run in stats["run_stats"]:
        if run["status"] == "completed":
            return {one["evaluator_version_id"]: _score(one) for one in run["evaluator_stats"]}
    return {}


def _score(stats: Mapping[str, Any]) -> float | None:
    if "num_true" in stats:
        total = stats["total_logs"]
        return stats["num_true"] / total if total else None
    return stats.get("mean")


def _iso(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, UTC).isoformat()
