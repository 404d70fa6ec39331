"""Reads judgments: those of given Logs, and how an Evaluator's come out over time."""

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Select, func, select
from sqlmodel import Session

from kibitz_collector.records import JudgmentView, LogBody
from kibitz_collector.store.bodies import decode_bodies
from kibitz_collector.store.filters import FILE, JUDGMENT, LOG
from kibitz_collector.store.rows import table
from kibitz_collector.store.tables.logs import LogBody as LogBodyTable

BODY = table(LogBodyTable)
_CHUNK = 500
_COLUMNS = (
    "log_id",
    "judged_log_id",
    "evaluator_id",
    "evaluator_version_id",
    "return_type",
    "number",
    "text",
    "is_error",
    "where",
    "made_by",
    "created_ns",
)


def judgments_of(
    session: Session, workspace_id: int, log_ids: Sequence[str], *, whole: bool = False
) -> dict[str, list[JudgmentView]]:
    """Return the judgments in force of each Log, oldest first; Logs without any are left out.

    Explanations are cut at 200 characters unless `whole`.
    """
    found: dict[str, list[JudgmentView]] = {}
    for start in range(0, len(log_ids), _CHUNK):
        rows = _rows(session, workspace_id, log_ids[start : start + _CHUNK])
        bodies = _bodies(session, workspace_id, rows, whole)
        for row, body in zip(rows, bodies, strict=True):
            found.setdefault(row["judged_log_id"], []).append(_view(row, body))
    return found


def views_of(
    session: Session, workspace_id: int, evaluator_log_ids: Sequence[str]
) -> dict[str, JudgmentView]:
    """Return the judgment that each of these evaluator Logs is, in force or not."""
    found: dict[str, JudgmentView] = {}
    for start in range(0, len(evaluator_log_ids), _CHUNK):
        wanted = JUDGMENT.c.log_id.in_(evaluator_log_ids[start : start + _CHUNK])
        rows = list(session.connection().execute(_select(workspace_id, wanted)).mappings())
        bodies = _bodies(session, workspace_id, rows, False)
        found |= {row["log_id"]: _view(row, body) for row, body in zip(rows, bodies, strict=True)}
    return found


def judgment_series(
    session: Session,
    workspace_id: int,
    evaluator_id: str,
    start_ns: int,
    end_ns: int,
    bucket_ns: int,
) -> list[tuple[int, int, float | None, int]]:
    """Return (bucket start, judgments, mean or None, errors) of each bucket that has any.

    The mean is that of numbers and of true (1) and false (0); abstentions and errors do not count.
    """
    bucket = ((JUDGMENT.c.created_ns - start_ns) // bucket_ns).label("bucket")
    placed = (
        select(bucket, JUDGMENT.c.number, JUDGMENT.c.is_error)
        .where(
            JUDGMENT.c.workspace_id == workspace_id,
            JUDGMENT.c.evaluator_id == evaluator_id,
            JUDGMENT.c.created_ns >= start_ns,
            JUDGMENT.c.created_ns < end_ns,
            JUDGMENT.c.superseded_by.is_(None),
        )
        .subquery()
    )
    statement = (
        select(
            placed.c.bucket,
            func.count(),
            func.avg(placed.c.number).filter(placed.c.is_error.is_(False)),
            func.count().filter(placed.c.is_error.is_(True)),
        )
        .group_by(placed.c.bucket)
        .order_by(placed.c.bucket)
    )
    return [
        (start_ns + int(index) * bucket_ns, count, mean, errors)
        for index, count, mean, errors in session.connection().execute(statement)
    ]


def _rows(session: Session, workspace_id: int, log_ids: Sequence[str]) -> list[Any]:
    if not log_ids:
        return []
    wanted = JUDGMENT.c.judged_log_id.in_(log_ids) & JUDGMENT.c.superseded_by.is_(None)
    return list(session.connection().execute(_select(workspace_id, wanted)).mappings())


def _select(workspace_id: int, wanted: ColumnElement[bool]) -> Select[Any]:
    return (
        select(
            *(JUDGMENT.c[name] for name in _COLUMNS),
            JUDGMENT.c.labels,
            FILE.c.path.label("evaluator_path"),
            LOG.c.error_type,
            BODY.c.preview_output,
            BODY.c.document,
        )
        .select_from(
            JUDGMENT.outerjoin(FILE, FILE.c.id == JUDGMENT.c.evaluator_id)
            .outerjoin(LOG, LOG.c.seq == JUDGMENT.c.seq)
            .outerjoin(BODY, BODY.c.seq == JUDGMENT.c.seq)
        )
        .where(JUDGMENT.c.workspace_id == workspace_id, wanted)
        .order_by(JUDGMENT.c.created_ns, JUDGMENT.c.seq)
    )


def _bodies(session: Session, workspace_id: int, rows: Sequence[Any], whole: bool) -> list[LogBody]:
    """Decode the bodies that say more than the narrow row: failures, and all if `whole`."""
    documents = [row["document"] if whole or row["is_error"] else None for row in rows]
    return decode_bodies(session, workspace_id, documents)


def _view(row: Any, body: LogBody) -> JudgmentView:
    labels = None if row["labels"] is None else orjson.loads(row["labels"])
    view = JudgmentView(
        **{name: row[name] for name in _COLUMNS},
        labels=labels,
        evaluator_path=row["evaluator_path"] or row["evaluator_id"],
        explanation=None,
        error=None,
    )
    if view.is_error:
        message = body.error.message if body.error is not None else None
        view.error = message or row["error_type"] or "the evaluator failed"
    said = body.output if isinstance(body.output, str) else row["preview_output"]
    if said and not _repeats(said, view):
        view.explanation = said
    return view


def _repeats(said: str, view: JudgmentView) -> bool:
    """Say whether an evaluator's output is only its verdict once more; that explains nothing."""
    try:
        value = orjson.loads(said)
    except orjson.JSONDecodeError:
        value = said
    return value in (view.value, view.number) or said == view.value
