"""A workspace with something to evaluate, on each kind of database."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from kibitz_collector.calls import ToolOutcome
from kibitz_collector.config import Settings
from kibitz_collector.evaluations.tending import RunTender
from kibitz_collector.evaluations.worker import RunWorker
from kibitz_collector.files.ids import random_id
from kibitz_collector.normalize import NO_PRICES
from kibitz_collector.records import (
    FileKind,
    FileReference,
    FileRegistration,
    Json,
    Judgment,
    LogBody,
    LogRecord,
)
from kibitz_collector.store import Store
from kibitz_collector.store.queries import evaluations as queries
from kibitz_collector.store.queries.datapoints import DatapointView, list_datapoints
from kibitz_collector.store.queries.evaluations import RunView
from kibitz_collector.store.queries.evaluations_logs import RunEntry, page_entries
from kibitz_collector.store.writes import evaluations as writes
from kibitz_collector.store.writes import evaluations_runs as run_writes
from kibitz_collector.store.writes.datasets import change_dataset
from kibitz_collector.store.writes.evaluations import ChosenEvaluator
from kibitz_collector.store.writes.versions import FileChange

WORKSPACE = 1
SECOND = 1_000_000_000


class Clock:
    """Our own time: begins now, and moves when it is told to."""

    def __init__(self) -> None:
        self.now_ns = time.time_ns()

    def __call__(self) -> int:
        return self.now_ns

    def pass_s(self, seconds: float) -> None:
        self.now_ns += int(seconds * SECOND)


def run_tool(
    source: str, name: str | None, inputs: Json, variables: Mapping[str, str]
) -> ToolOutcome:
    """Stands for the sandbox, which has tests of its own: the Tool says what it was given."""
    return ToolOutcome(output=f"{name} {sorted(inputs.items())}")


@dataclass
class World:
    """Makes what evaluations need."""

    store: Store
    clock: Clock

    def file(self, kind: FileKind, path: str, **content: Any) -> tuple[str, str]:
        registration = FileRegistration(kind=kind, path=path, content=content)
        return self.store.register_file(WORKSPACE, registration)

    def prompt(self, **content: Any) -> tuple[str, str]:
        template = [{"role": "user", "content": "{{q}}"}]
        return self.file(
            "prompt", "p", **{"model": "m", "provider": "mock", "template": template, **content}
        )

    def dataset(self, *points: Json) -> tuple[str, str]:
        change = FileChange(kind="dataset", path="points")
        with self.store.write() as session:
            return change_dataset(session, WORKSPACE, change, points, time.time_ns())

    def points(self, dataset: tuple[str, str]) -> list[DatapointView]:
        with self.store.read() as session:
            return list_datapoints(session, dataset[1])

    def evaluator(self, path: str = "exact", **content: Any) -> ChosenEvaluator:
        spec = {"evaluator_type": "external", "return_type": "boolean", **content}
        ids = self.file("evaluator", path, **spec)
        is_here = spec["evaluator_type"] == "code"
        return ChosenEvaluator(evaluator_id=ids[0], version_id=ids[1], orchestrated=is_here)

    def evaluation(self, *evaluators: ChosenEvaluator) -> str:
        with self.store.write() as session:
            return writes.create_evaluation(
                session,
                WORKSPACE,
                file_id=None,
                name=None,
                evaluators=evaluators,
                made_by=None,
                now_ns=time.time_ns(),
            )

    def run(
        self,
        evaluation: str,
        version: tuple[str, str] | None,
        dataset: tuple[str, str] | None,
        **more: Any,
    ) -> str:
        said: dict[str, Any] = {"orchestrated": False, "use_existing_logs": False, **more}
        with self.store.write() as session:
            run_id = run_writes.create_run(
                session,
                WORKSPACE,
                version=version,
                dataset=dataset,
                made_by=None,
                now_ns=self.clock(),
                **said,
            )
            writes.place_run(session, WORKSPACE, evaluation, run_id, self.clock())
        return run_id

    def log(self, kind: FileKind, path: str, version: tuple[str, str], **more: Any) -> str:
        log_id = more.pop("id", None) or random_id("log_")
        inputs, output = more.pop("inputs", {"q": "1"}), more.pop("output", "1")
        said: dict[str, Any] = {
            "kind": kind,
            "name": path,
            "start_ns": self.clock(),
            "end_ns": self.clock(),
            "status": "complete",
            "body": LogBody(inputs=inputs, output=output, messages=more.pop("messages", None)),
            **more,
        }
        reference = FileReference(kind=kind, path=path, version_id=version[1])
        record = LogRecord(id=log_id, is_named=True, file=reference, **said)
        (outcome,) = self.store.ingest(WORKSPACE, [record])
        assert outcome.error is None
        return log_id

    def judge(self, path: str, used: ChosenEvaluator, log_id: str, value: bool | None) -> None:
        judgment = Judgment(
            judged_log_id=log_id,
            return_type="boolean",
            number=None if value is None else float(value),
        )
        version = (used.evaluator_id, used.version_id)
        self.log("evaluator", path, version, parent_id=log_id, judgment=judgment)

    def tend(self) -> None:
        RunTender(self.store, self.clock).run_once()

    def worker(self, **settings: Any) -> RunWorker:
        return RunWorker(self.store, Settings(**settings), NO_PRICES, run_tool, self.clock)

    def work(self, **settings: Any) -> int:
        worker, calls = self.worker(**settings), 0
        while worker.run_once():
            calls += 1
        return calls

    def status(self, run_id: str) -> str:
        return self.view(run_id).status

    def view(self, run_id: str) -> RunView:
        with self.store.read() as session:
            return queries.get_run(session, WORKSPACE, run_id)

    def entries(self, run_id: str) -> list[RunEntry]:
        with self.store.read() as session:
            return page_entries(session, WORKSPACE, [run_id], page=1, size=100)[0]


@pytest.fixture
def world(store: Store) -> World:
    return World(store, Clock())
