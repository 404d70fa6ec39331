"""Reads `log` rows with the names and short texts that go with them into `LogSummary`."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, select
from sqlmodel import Session

from kibitz_collector.records import LogSummary, Tokens
from kibitz_collector.store.filters import FILE, LOG
from kibitz_collector.store.queries.judgments import judgments_of
from kibitz_collector.store.rows import TOKEN_COLUMNS, split_flags, table
from kibitz_collector.store.tables.logs import LogBody as LogBodyTable

BODY = table(LogBodyTable)
_PLAIN = (
    "id",
    "seq",
    "kind",
    "name",
    "trace_id",
    "span_id",
    "trace_parent_id",
    "parent_id",
    "session_id",
    "file_id",
    "version_id",
    "environment",
    "service",
    "source",
    "user",
    "start_ns",
    "end_ns",
    "duration_ms",
    "status",
    "error_type",
    "provider",
    "model",
    "model_served",
    "cost_usd",
    "cost_reported_usd",
    "time_to_first_token_ms",
    "finish_reason",
    "response_id",
    "keep_probability",
    "received_ns",
    "run_id",
    "datapoint_id",
)


def select_summaries(*, with_document: bool = False) -> Select[Any]:
    """Select what a summary is made of; the caller says which rows and in what order."""
    columns = [LOG.c[name] for name in (*_PLAIN, "flags", *TOKEN_COLUMNS)]
    body = [BODY.c.preview_input, BODY.c.preview_output]
    if with_document:
        body.append(BODY.c.document)
    return select(*columns, FILE.c.path.label("file_path"), *body).select_from(
        LOG.outerjoin(FILE, FILE.c.id == LOG.c.file_id).outerjoin(BODY, BODY.c.seq == LOG.c.seq)
    )


def read_summaries(session: Session, workspace_id: int, rows: Sequence[Any]) -> list[LogSummary]:
    """Turn rows of `select_summaries` into summaries, with their judgments."""
    summaries = [_summary(row._mapping) for row in rows]
    judgments = judgments_of(session, workspace_id, [summary.id for summary in summaries])
    for summary in summaries:
        summary.judgments = judgments.get(summary.id, [])
    return summaries


def _summary(row: Any) -> LogSummary:
    return LogSummary(
        **{name: row[name] for name in _PLAIN},
        file_path=row["file_path"],
        tokens=Tokens(**{column.removeprefix("tokens_"): row[column] for column in TOKEN_COLUMNS}),
        flags=split_flags(row["flags"]),
        preview_input=row["preview_input"] or "",
        preview_output=row["preview_output"] or "",
    )
