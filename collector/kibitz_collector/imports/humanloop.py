"""Imports a Humanloop export: Files first, then their Logs, then evaluations; again is harmless."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast, get_args

from kibitz_collector.api.v5.log_targets import Target
from kibitz_collector.errors import CollectorError, Conflict, Invalid
from kibitz_collector.files.kinds.evaluator import read_evaluator
from kibitz_collector.imports.contents import (
    file_of,
    made_by,
    text,
    time_of,
    version_of,
)
from kibitz_collector.imports.export import (
    Problem,
    entries,
    read_lines,
    read_list,
    read_object,
)
from kibitz_collector.imports.logs import all_logs, kind_of_log, record_of
from kibitz_collector.normalize import UserPrices
from kibitz_collector.records import Json, LogRecord
from kibitz_collector.store import Session, Store
from kibitz_collector.store.queries import evaluations as evaluation_queries
from kibitz_collector.store.queries import files as file_queries
from kibitz_collector.store.queries.evaluations import RunStatus
from kibitz_collector.store.queries.files import VersionView
from kibitz_collector.store.queries.imports import known_logs
from kibitz_collector.store.writes import imports as writes
from kibitz_collector.store.writes.deployments import deploy
from kibitz_collector.store.writes.evaluation import follow_version
from kibitz_collector.store.writes.evaluations_runs import add_run_logs

_BATCH = 200
_OPEN: tuple[RunStatus, ...] = ("pending", "running")

_MALFORMED = (AttributeError, KeyError, TypeError, ValueError)
"""What reading something of another form than an export's ends in."""

Step = Callable[[str, int], None]
"""Told what is being done, and how many of three steps for each File have been."""


@dataclass(slots=True)
class Report:
    """What an import did: counts of what is new and of what was there, and what went wrong."""

    new: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)

    def count(self, what: str, is_new: bool) -> None:
        """Count one thing."""
        (self.new if is_new else self.known)[what] += 1


class Import:
    """One import into one workspace."""

    def __init__(self, store: Store, workspace_id: int, prices: UserPrices, step: Step) -> None:
        self._store = store
        self._workspace_id = workspace_id
        self._prices = prices
        self._step = step
        self._targets: dict[str, Target | Conflict] = {}  # by Version
        self.report = Report()

    def run(self, folders: Iterable[Path]) -> Report:
        """Import exported Files; what is broken is noted, and the rest goes on."""
        places = list(folders)
        for folder in places:
            self._guard(folder / "file.json", self._import_file, folder)
            self._step(f"files {folder.name}", 1)
        for folder in places:
            self._guard(folder / "file.json", self._import_monitors, folder)
        for folder in places:
            self._import_logs(folder / "logs")
            self._step(f"logs {folder.name}", 1)
        for folder in places:
            for place in entries(folder / "evaluations"):
                self._guard(place / "evaluation.json", self._import_evaluation, place)
            self._step(f"evaluations {folder.name}", 1)
        return self.report

    def _guard(self, place: object, do: Callable[..., None], *given: object) -> None:
        """Do something; note why, if it fails."""
        try:
            do(*given)
        except CollectorError as error:
            self.report.problems.append(Problem(str(place), error.message))
        except _MALFORMED as error:
            reason = f"not as the export tool writes it ({type(error).__name__}: {error})"
            self.report.problems.append(Problem(str(place), reason))

    # --- Files

    def _import_file(self, folder: Path) -> None:
        file = file_of(read_object(folder / "file.json"))
        with self._store.write() as session:
            self.report.count("files", writes.place_file(session, self._workspace_id, file))
        for path in entries(folder / "versions"):
            self._guard(path, self._import_version, path, folder)
        self._guard(folder / "deployments.json", self._import_deployments, folder, file.id)
        if file.kind == "evaluator":
            self._let_judge(file.id)

    def _import_version(self, path: Path, folder: Path) -> None:
        answer = read_object(path)
        datapoints: list[Json] = []
        for _place, item in read_lines(folder / "datapoints" / path.name):
            if isinstance(item, Problem):
                self.report.problems.append(item)
            else:
                datapoints.append(item)
        version = version_of(answer, datapoints)
        with self._store.write() as session:
            for one in answer.get("environments") or []:
                self._place_environment(session, one)
            is_new = writes.place_version(session, self._workspace_id, version)
        self.report.count("versions", is_new)
        self.report.new["datapoints"] += len(datapoints) if is_new else 0

    def _import_deployments(self, folder: Path, file_id: str) -> None:
        for one in read_list(folder / "deployments.json"):
            with self._store.write() as session:
                said = {key: one.get(f"environment_{key}") for key in ("id", "name", "tag")}
                environment = self._place_environment(session, said)
                # What has been deployed here since is not taken back.
                is_new = not writes.is_deployed(session, file_id, environment)
                if is_new:
                    version = text(one, "version_id")
                    file_queries.get_version(session, self._workspace_id, version)
                    deploy(session, self._workspace_id, file_id, environment, version)
            self.report.count("deployments", is_new)

    def _place_environment(self, session: Session, answer: Json) -> str:
        return writes.place_environment(
            session,
            self._workspace_id,
            text(answer, "id"),
            text(answer, "name"),
            created_ns=time_of(answer, "created_at") or time.time_ns(),
            tag=str(answer.get("tag")),
        )

    def _import_monitors(self, folder: Path) -> None:
        """Attach Evaluators as they were; those that would be run here wait to be switched on."""
        answer = read_object(folder / "file.json")
        for place, one in enumerate(answer.get("evaluators") or []):
            reference = one["version_reference"]
            is_followed = reference["type"] == "environment"
            evaluator = self._target(reference["file" if is_followed else "version"])
            with self._store.write() as session:
                environment = None
                if is_followed:
                    environment = self._place_environment(session, reference["environment"])
                monitor = writes.ImportedMonitor(
                    evaluator_id=evaluator.file_id,
                    version_id=evaluator.version_id,
                    environment_id=environment,
                    file_path=file_queries.get_file(
                        session, self._workspace_id, text(answer, "id")
                    ).path,
                    is_active=one.get("state") == "active" and not _is_run_here(evaluator),
                    created_ns=time_of(one, "created_at") + place,  # shown in this order
                )
                is_new = writes.place_monitor(session, self._workspace_id, monitor)
            self.report.count("monitors", is_new)

    def _let_judge(self, file_id: str) -> None:
        """Make an Evaluator that runs here one that monitors can use."""
        with self._store.write() as session:
            used = file_queries.get_file(session, self._workspace_id, file_id).version_id
            if used is None:
                return
            version = file_queries.get_version(session, self._workspace_id, used)
            if _is_run_here(version):
                follow_version(session, self._workspace_id, file_id, used)

    def _target(self, answer: Json) -> Target:
        """Return the File and Version a Log or run is about, made if the export has only this.

        Raises: Invalid, Conflict.
        """
        version_id = text(answer, "version_id")
        known = self._targets.get(version_id)
        if known is None:
            try:
                with self._store.write() as session:
                    known = self._place(session, answer, version_id)
            except Conflict as error:  # for each of its Logs, but looked up once
                known = error
            self._targets[version_id] = known
        if isinstance(known, Conflict):
            raise known
        return known

    def _place(self, session: Session, answer: Json, version_id: str) -> Target:
        workspace_id = self._workspace_id
        found = file_queries.get_versions(session, workspace_id, [version_id]).get(version_id)
        if found is None:
            writes.place_file(session, workspace_id, file_of(answer))
            writes.place_version(session, workspace_id, version_of(answer))
            found = file_queries.get_version(session, workspace_id, version_id)
        file = file_queries.get_file(session, workspace_id, found.file_id)
        return Target(file_id=file.id, version_id=version_id, path=file.path, content=found.content)

    # --- Logs

    def _import_logs(self, folder: Path) -> None:
        waiting: dict[str, LogRecord] = {}
        for place, item in read_lines(folder, is_reversed=True):
            if isinstance(item, Problem):
                self.report.problems.append(item)
                continue
            self._take(waiting, place, item)
            if len(waiting) >= _BATCH:
                self._store_logs(waiting, folder)
        self._store_logs(waiting, folder)

    def _take(self, waiting: dict[str, LogRecord], place: str, answer: Json) -> None:
        """Make records of a Log and of what is nested in it."""

        def make(one: Json) -> None:
            target = self._target(one[kind_of_log(one)])
            record, left_out = record_of(one, target, self._prices)
            if left_out:
                self.report.problems.append(Problem(place, f"{record.id}: {left_out}"))
            waiting.setdefault(record.id, record)

        for one in all_logs(answer):
            self._guard(place, make, one)

    def _store_logs(self, waiting: dict[str, LogRecord], place: object) -> None:
        if not waiting:
            return
        with self._store.read() as session:
            known = known_logs(session, self._workspace_id, waiting.keys())
        records = [record for log_id, record in waiting.items() if log_id not in known]
        waiting.clear()
        self.report.known["logs"] += len(known)
        if records:
            for outcome in self._store.ingest(self._workspace_id, records):
                if outcome.error is not None:
                    self.report.problems.append(
                        Problem(str(place), f"{outcome.log_id}: {outcome.error}")
                    )
                else:
                    self.report.count("logs", outcome.is_new)
        self._step(f"logs {place}", 0)

    # --- evaluations

    def _import_evaluation(self, folder: Path) -> None:
        answer = read_object(folder / "evaluation.json")
        evaluators = []
        for one in answer.get("evaluators") or []:
            target = self._target(one["version"])
            orchestrated = one.get("orchestrated") is not False
            evaluators.append((target.file_id, target.version_id, orchestrated))
        evaluation = writes.ImportedEvaluation(
            id=text(answer, "id"),
            file_id=answer.get("file_id"),
            name=answer.get("name"),
            created_by=made_by(answer),
            created_ns=time_of(answer, "created_at"),
            updated_ns=time_of(answer, "updated_at", "created_at"),
            evaluators=evaluators,
        )
        with self._store.write() as session:
            is_new = writes.place_evaluation(session, self._workspace_id, evaluation)
        self.report.count("evaluations", is_new)
        for path in entries(folder / "runs"):
            self._guard(path, self._import_run, path, evaluation.id)
        self._import_run_logs(folder / "logs")

    def _import_run(self, path: Path, evaluation_id: str) -> None:
        answer = read_object(path)
        version, dataset = (self._ids(answer.get(name)) for name in ("version", "dataset"))
        orchestrated = answer.get("orchestrated") is True
        status = answer.get("status")
        if status not in get_args(RunStatus):
            raise Invalid(f"status {status!r} is none of a run's")
        if orchestrated and status in _OPEN:
            status = "cancelled"  # whoever would have finished it is gone
        run = writes.ImportedRun(
            id=text(answer, "id"),
            version=version,
            dataset=dataset,
            orchestrated=orchestrated,
            status=cast(RunStatus, status),
            is_control=answer.get("control") is True,
            created_by=made_by(answer),
            created_ns=time_of(answer, "created_at"),
            added_ns=time_of(answer, "added_at", "created_at"),
        )
        with self._store.write() as session:
            is_new = writes.place_run(session, self._workspace_id, evaluation_id, run)
        self.report.count("runs", is_new)

    def _ids(self, answer: Json | None) -> tuple[str, str] | None:
        if answer is None:
            return None
        target = self._target(answer)
        return target.file_id, target.version_id

    def _import_run_logs(self, folder: Path) -> None:
        waiting: dict[str, LogRecord] = {}
        members: dict[str, dict[str, str | None]] = {}
        for place, item in read_lines(folder, is_reversed=True):
            if isinstance(item, Problem):
                self.report.problems.append(item)
                continue
            log = item.get("log")
            if not isinstance(log, dict):
                self.report.problems.append(Problem(place, "log is missing"))
                continue
            datapoint = item.get("datapoint") or {}
            run_id, log_id = item.get("run_id"), log.get("id")
            if isinstance(run_id, str) and isinstance(log_id, str):
                members.setdefault(run_id, {})[log_id] = datapoint.get("id")
            self._take(waiting, place, log)
            for judgment in item.get("evaluator_logs") or []:
                if isinstance(judgment, dict):
                    self._take(waiting, place, {"parent_id": log_id, **judgment})
            if len(waiting) >= _BATCH:
                self._store_logs(waiting, folder)
        self._store_logs(waiting, folder)
        for run_id, logs in members.items():
            self._guard(folder, self._join, run_id, logs)

    def _join(self, run_id: str, logs: dict[str, str | None]) -> None:
        with self._store.write() as session:
            run = evaluation_queries.get_run(session, self._workspace_id, run_id)
            add_run_logs(session, run, logs, "added", time.time_ns())


def _is_run_here(version: Target | VersionView) -> bool:
    try:
        return read_evaluator(version.content).is_run_here
    except Invalid:
        return False
