"""Judgments: the narrow half of evaluator Logs, which rates, charts and alerts read."""

from typing import Any, ClassVar

from sqlalchemy import Index

from kibitz_collector.store.tables.base import Table, big, real, string


class Judgment(Table, table=True):
    """One judgment; `seq` is that of its evaluator Log, whose id is `log_id`."""

    __tablename__ = "judgment"
    __table_args__: ClassVar[Any] = (
        Index("uq_judgment_log", "workspace_id", "log_id", unique=True),
        Index("ix_judgment_judged", "workspace_id", "judged_log_id"),
        Index("ix_judgment_evaluator", "workspace_id", "evaluator_id", "created_ns"),
        Index("ix_judgment_received", "workspace_id", "received_ns"),
    )

    seq: int = big(primary_key=True, sa_column_kwargs={"autoincrement": False})
    workspace_id: int
    log_id: str = string()
    judged_log_id: str = string()
    evaluator_id: str = string()  # a File
    evaluator_version_id: str | None = string(default=None)
    return_type: str = string()
    number: float | None = real(default=None)  # boolean: 1.0 / 0.0
    label: str | None = string(default=None)  # the first label
    labels: str | None = string(default=None)  # JSON list
    text: str | None = string(default=None)
    is_error: bool = False
    where: str = string()
    made_by: str | None = string(default=None)  # user
    keep_probability: float = real(default=1.0)
    superseded_by: str | None = string(default=None)  # log_id of the judgment that replaced it
    created_ns: int = big()  # the evaluator Log's start
    received_ns: int = big()  # our clock; windows of alerts
