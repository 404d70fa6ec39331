"""Logs: the narrow row lists and charts read, the body apart, metadata keys, traces, sessions."""

from typing import Any, ClassVar

from sqlalchemy import Index
from sqlmodel import Field

from kibitz_collector.store.tables.base import Table, big, blob, partial_index, real, string


class Log(Table, table=True):
    """One Log without what is large. `seq` is the order of arrival, the same for its whole life."""

    __tablename__ = "log"
    __table_args__: ClassVar[Any] = (
        Index("uq_log_id", "workspace_id", "id", unique=True),
        Index("ix_log_start", "workspace_id", "start_ns", "seq"),
        Index("ix_log_trace", "workspace_id", "trace_id", "start_ns"),
        Index("ix_log_file", "workspace_id", "file_id", "start_ns"),
        partial_index(
            "ix_log_parent", "workspace_id", "trace_parent_id", where="trace_parent_id IS NOT NULL"
        ),
        partial_index("ix_log_top", "workspace_id", "start_ns", "seq", where="is_top IS TRUE"),
        partial_index(
            "ix_log_session",
            "workspace_id",
            "session_id",
            "start_ns",
            where="session_id IS NOT NULL",
        ),
        partial_index(
            "ix_log_model", "workspace_id", "model", "start_ns", where="model IS NOT NULL"
        ),
        partial_index(
            "ix_log_user", "workspace_id", "user", "start_ns", where='"user" IS NOT NULL'
        ),
        partial_index(
            "ix_log_judged", "workspace_id", "parent_id", "start_ns", where="parent_id IS NOT NULL"
        ),
        partial_index("ix_log_error", "workspace_id", "start_ns", where="status = 'error'"),
        partial_index("ix_log_final", "workspace_id", "final_ns", where="final_ns IS NOT NULL"),
        partial_index(
            "ix_log_waiting",
            "workspace_id",
            "trace_parent_id",
            where="trace_id IS NULL AND trace_parent_id IS NOT NULL",
        ),
        partial_index("ix_log_run", "workspace_id", "run_id", where="run_id IS NOT NULL"),
    )

    seq: int = big(primary_key=True, sa_column_kwargs={"autoincrement": False})
    workspace_id: int
    id: str = string()
    kind: str = string()
    name: str = string()
    trace_id: str | None = string(default=None)  # None: its parent has not arrived
    span_id: str | None = string(default=None)
    trace_parent_id: str | None = string(default=None)
    parent_id: str | None = string(default=None)
    session_id: str | None = string(default=None)  # its own, or inherited down the trace
    user: str | None = string(default=None)  # its own, or inherited down the trace
    file_id: str | None = string(default=None)
    version_id: str | None = string(default=None)
    environment: str | None = string(default=None)
    service: str | None = string(default=None)
    source: str | None = string(default=None)
    start_ns: int = big()
    end_ns: int | None = big(default=None)
    duration_ms: float | None = real(default=None)
    status: str = string()
    error_type: str | None = string(default=None)
    provider: str | None = string(default=None)
    model: str | None = string(default=None)
    model_served: str | None = string(default=None)
    tokens_input_uncached: int | None = big(default=None)
    tokens_cache_read: int | None = big(default=None)
    tokens_cache_write: int | None = big(default=None)
    tokens_output: int | None = big(default=None)
    tokens_reasoning: int | None = big(default=None)
    cost_usd: float | None = real(default=None)
    cost_reported_usd: float | None = real(default=None)
    time_to_first_token_ms: float | None = real(default=None)
    finish_reason: str | None = string(default=None)
    response_id: str | None = string(default=None)
    flags: str = string(default="")  # "|one|two|" or ""; see `store.rows.join_flags`
    keep_probability: float = real(default=1.0)
    mapper_version: int = 0
    run_id: str | None = string(default=None)
    datapoint_id: str | None = string(default=None)
    received_ns: int = big()  # our clock, first arrival
    final_ns: int | None = big(default=None)  # our clock, when it was complete; None: incomplete
    is_genai: bool = True
    is_hidden: bool = False  # a plain span in a trace without any GenAI Log
    is_start: bool = False  # only its start record (or another partial record) has arrived
    is_covered: bool = False  # a Log below it has tokens or cost: its own are not added up
    is_top: bool = True  # it has no parent, or its parent is not here
    inherits: int = 0  # bits: 1 trace id, 2 session, 4 user came from the parent
    weak: str | None = string(default=None)  # JSON list: what only partial records have said


class LogBody(Table, table=True):
    """What is large about a Log, one compressed document; absent when nothing was to be saved."""

    __tablename__ = "log_body"

    seq: int = big(primary_key=True, sa_column_kwargs={"autoincrement": False})
    preview_input: str = string(default="")  # at most 200 characters
    preview_output: str = string(default="")
    document: bytes = blob()  # read with `store.bodies.decode_bodies`


class LogMetadata(Table, table=True):
    """One top-level metadata key of one Log, for filters; long values are cut at 256 characters."""

    __tablename__ = "log_metadata"
    __table_args__: ClassVar[Any] = (
        Index("ix_log_metadata_value", "workspace_id", "key", "value", "seq"),
        {"sqlite_with_rowid": False},  # one tree instead of two
    )

    seq: int = big(primary_key=True, sa_column_kwargs={"autoincrement": False})
    key: str = string(primary_key=True)
    workspace_id: int
    value: str = string()  # text as it is; true, false, null and numbers as in JSON
    number: float | None = real(default=None)  # when it is a number


class Trace(Table, table=True):
    """One trace: sums over its leaf Logs with usage, kept as Logs arrive."""

    __tablename__ = "trace"
    __table_args__: ClassVar[Any] = (
        partial_index(
            "ix_trace_open", "workspace_id", "last_received_ns", where="completed_ns IS NULL"
        ),
        partial_index(
            "ix_trace_session", "workspace_id", "session_id", where="session_id IS NOT NULL"
        ),
    )

    workspace_id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    trace_id: str = string(primary_key=True)
    root_id: str | None = string(default=None)  # id of its first Log without a parent
    root_start_ns: int | None = big(default=None)  # that Log's start
    session_id: str | None = string(default=None)  # of the first Log that has one
    session_start_ns: int | None = big(default=None)  # that Log's start
    start_ns: int = big()
    end_ns: int | None = big(default=None)  # latest end known
    log_count: int = big(default=0)
    genai_count: int = big(default=0)
    error_count: int = big(default=0)
    usage_count: int = big(default=0)  # leaf Logs with tokens or cost
    priced_count: int = big(default=0)  # those whose cost is known
    cost_nusd: int = big(default=0)  # in 1e-9 US dollars: sums of integers do not drift
    tokens_input_uncached: int = big(default=0)
    tokens_cache_read: int = big(default=0)
    tokens_cache_write: int = big(default=0)
    tokens_output: int = big(default=0)
    tokens_reasoning: int = big(default=0)
    first_received_ns: int = big()
    last_received_ns: int = big()  # any new or changed Log; idle time is counted from here
    completed_ns: int | None = big(default=None)  # our clock, when the root was complete


class SessionRow(Table, table=True):
    """One conversation: sums over the leaf Logs with usage that belong to it."""

    __tablename__ = "session"
    __table_args__: ClassVar[Any] = (Index("ix_session_last", "workspace_id", "last_ns"),)

    workspace_id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    id: str = string(primary_key=True)
    user: str | None = string(default=None)  # of the first Log that has one
    user_start_ns: int | None = big(default=None)  # that Log's start
    start_ns: int = big()
    last_ns: int = big()  # latest start or end of a Log
    log_count: int = big(default=0)
    error_count: int = big(default=0)
    usage_count: int = big(default=0)
    priced_count: int = big(default=0)
    cost_nusd: int = big(default=0)
    tokens_total: int = big(default=0)
    last_received_ns: int = big()
