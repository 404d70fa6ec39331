"""Evaluations, their Evaluators and runs, the Logs of a run, and what a run has yet to generate."""

from typing import Any, ClassVar

from sqlalchemy import Index

from kibitz_collector.store.tables.base import Table, big, partial_index, string


class Evaluation(Table, table=True):
    """Runs of one File that are compared with each other, and the Evaluators they are judged by."""

    __tablename__ = "evaluation"
    __table_args__: ClassVar[Any] = (
        partial_index(
            "uq_evaluation_name",
            "workspace_id",
            "file_id",
            "name",
            where="name IS NOT NULL AND file_id IS NOT NULL",
            unique=True,
        ),
        Index("ix_evaluation_file", "workspace_id", "file_id", "created_ns"),
    )

    id: str = string(primary_key=True)
    workspace_id: int
    file_id: str | None = string(default=None)
    name: str | None = string(default=None)
    created_by: str | None = string(default=None)
    created_ns: int = big()
    updated_ns: int = big()


class EvaluationEvaluator(Table, table=True):
    """An Evaluator's Version that judges the runs of an evaluation."""

    __tablename__ = "evaluation_evaluator"

    evaluation_id: str = string(primary_key=True)
    version_id: str = string(primary_key=True)
    workspace_id: int
    evaluator_id: str = string()  # a File
    orchestrated: bool = True  # judged here; else judgments come from outside
    added_ns: int = big()


class Run(Table, table=True):
    """A File's Version over a Dataset's Version; may belong to several evaluations."""

    __tablename__ = "run"
    __table_args__: ClassVar[Any] = (
        partial_index("ix_run_open", "created_ns", where="status IN ('pending', 'running')"),
    )

    id: str = string(primary_key=True)
    workspace_id: int
    file_id: str | None = string(default=None)
    version_id: str | None = string(default=None)
    dataset_id: str | None = string(default=None)  # a File
    dataset_version_id: str | None = string(default=None)
    orchestrated: bool = False  # Logs are generated here; else they come from outside
    status: str = string(default="pending")  # pending, running, completed, cancelled
    created_by: str | None = string(default=None)
    created_ns: int = big()
    updated_ns: int = big()  # when the status last changed


class EvaluationRun(Table, table=True):
    """A run's place in an evaluation."""

    __tablename__ = "evaluation_run"
    __table_args__: ClassVar[Any] = (Index("ix_evaluation_run_run", "run_id"),)

    evaluation_id: str = string(primary_key=True)
    run_id: str = string(primary_key=True)
    workspace_id: int
    is_control: bool = False  # what the others are compared with; one per evaluation
    added_ns: int = big()


class RunLog(Table, table=True):
    """A Log that became one of a run's after it was stored; others say so themselves (`run_id`)."""

    __tablename__ = "run_log"
    __table_args__: ClassVar[Any] = (Index("ix_run_log_log", "workspace_id", "log_id"),)

    run_id: str = string(primary_key=True)
    log_id: str = string(primary_key=True)
    workspace_id: int
    datapoint_id: str | None = string(default=None)
    origin: str = string()  # added, existing, datapoint (it names one), inputs (equal to one's)
    added_ns: int = big()


class RunTask(Table, table=True):
    """One datapoint for which a run generates a Log."""

    __tablename__ = "run_task"
    __table_args__: ClassVar[Any] = (
        partial_index("ix_run_task_waiting", "due_ns", where="state = 'waiting'"),
        partial_index("ix_run_task_running", "lease_until_ns", where="state = 'running'"),
    )

    run_id: str = string(primary_key=True)
    datapoint_id: str = string(primary_key=True)
    workspace_id: int
    position: int = big()
    state: str = string(default="waiting")  # waiting, running, done
    due_ns: int = big()
    lease_until_ns: int | None = big(default=None)
    claim: str | None = string(default=None)  # who has it
    attempts: int = 0
    last_error: str | None = string(default=None)
