"""Monitors, the evaluation jobs they make, and the state of each evaluator version."""

from typing import Any, ClassVar

from sqlalchemy import Index

from kibitz_collector.store.tables.base import Table, big, partial_index, real, string


class Evaluator(Table, table=True):
    """An Evaluator File that monitors may use, and the Version they follow."""

    __tablename__ = "evaluator"

    file_id: str = string(primary_key=True)
    workspace_id: int
    version_id: str = string()  # the one created or registered last


class EvaluatorState(Table, table=True):
    """How one evaluator version behaves; decides whether and when it is run."""

    __tablename__ = "evaluator_state"

    version_id: str = string(primary_key=True)
    workspace_id: int
    evaluator_id: str = string()  # a File
    state: str = string(default="active")  # active, suspended
    reason: str | None = string(default=None)  # why it is suspended
    suspended_ns: int | None = big(default=None)
    strikes: int = 0  # in a row: killed, crashed, or refused by the sandbox
    is_proven: bool = False  # has judged, and has no strike since
    asks_model: bool = False  # judges with a model, not in the sandbox: has workers of its own
    judged_count: int = big(default=0)
    error_count: int = big(default=0)
    last_error: str | None = string(default=None)
    claimed_ns: int = big(default=0)  # last time a batch was taken: whoever waits longest is next
    alone_until_ns: int = big(default=0)  # an unproven version runs in one worker at a time


class Monitor(Table, table=True):
    """An Evaluator attached to a File or to a filter."""

    __tablename__ = "monitor"
    __table_args__: ClassVar[Any] = (
        Index("ix_monitor_evaluator", "workspace_id", "evaluator_id"),
        Index("ix_monitor_file", "workspace_id", "file_path"),
    )

    id: str = string(primary_key=True)
    workspace_id: int
    evaluator_id: str = string()  # a File
    version_id: str | None = string(default=None)  # None: follows the Evaluator's newest
    environment_id: str | None = string(default=None)  # version_id is what is deployed there
    file_path: str | None = string(default=None)  # may name a File that does not exist yet
    filter: str | None = string(default=None)
    scope: str = string(default="log")  # log, trace, session
    sample_rate: float = real(default=1.0)
    is_active: bool = True
    origin: str = string(default="api")  # api; registered: by the SDK's `on=`; default: by nobody
    created_ns: int = big()
    updated_ns: int = big()


class Job(Table, table=True):
    """One Log to be judged by one evaluator version."""

    __tablename__ = "job"
    __table_args__: ClassVar[Any] = (
        Index(
            "uq_job_work",
            "workspace_id",
            "log_id",
            "evaluator_version_id",
            "content_hash",
            unique=True,
        ),
        partial_index(
            "ix_job_waiting", "evaluator_version_id", "due_ns", where="state = 'waiting'"
        ),
        partial_index("ix_job_running", "lease_until_ns", where="state = 'running'"),
        partial_index("ix_job_done", "created_ns", where="state = 'done'"),
    )

    id: int | None = big(default=None, primary_key=True)
    workspace_id: int
    kind: str = string(default="evaluation")
    monitor_id: str | None = string(default=None)
    evaluator_id: str = string()
    evaluator_version_id: str = string()
    log_id: str = string()
    content_hash: str = string()
    scope: str = string(default="log")
    keep_probability: float = real(default=1.0)
    state: str = string(default="waiting")  # waiting, running, done, dead
    due_ns: int = big()
    lease_until_ns: int | None = big(default=None)
    claim: str | None = string(default=None)  # who has it
    attempts: int = 0
    last_error: str | None = string(default=None)
    created_ns: int = big()
