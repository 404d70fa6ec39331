"""Reads Logs the way the v5 API lists them: one File's, filtered, in numbered pages."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, false, func, or_, select
from sqlmodel import Session

from kibitz_collector.query.ast import And, Text
from kibitz_collector.records import JudgmentView, LogDetail
from kibitz_collector.store.bodies import decode_bodies
from kibitz_collector.store.filters import JUDGMENT, LOG, METADATA, compile_filter
from kibitz_collector.store.queries.judgments import views_of
from kibitz_collector.store.queries.summaries import read_summaries, select_summaries

MAX_JUDGMENT_DEPTH = 3
_CHUNK = 400
_SPREAD, _STEP = 1_000_003, 7_919  # primes: neighbours in `seq` land far apart


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedLogs:
    """Which Logs of a File to list; what is None or empty does not restrict."""

    file_id: str
    version_id: str | None = None
    id_parts: tuple[str, ...] = ()  # any of them is part of the id
    search: str | None = None  # words, all of them in the text
    metadata_search: str | None = None  # part of a key or a value, in any case
    start_ns: int | None = None
    end_ns: int | None = None
    in_trace: bool | None = None
    sample: int | None = None  # about so many of what matches, at random


def page_logs(
    session: Session, workspace_id: int, wanted: WantedLogs, *, page: int, size: int
) -> tuple[list[LogDetail], int]:
    """Return one page of Logs, whole, newest start first, and how many there are in all."""
    conditions = _conditions(workspace_id, wanted)
    connection = session.connection()
    total = int(
        connection.execute(select(func.count()).select_from(LOG).where(*conditions)).scalar_one()
    )
    order: list[ColumnElement[Any]] = [LOG.c.start_ns.desc(), LOG.c.seq.desc()]
    if wanted.sample is not None:
        # By chance, but the same on each page.
        total = min(total, wanted.sample)
        order = [(LOG.c.seq % _SPREAD) * _STEP % _SPREAD, LOG.c.seq]
    offset = (page - 1) * size
    limit = min(size, total - offset)
    if limit <= 0:
        return [], total
    statement = (
        select_summaries(with_document=True)
        .where(*conditions)
        .order_by(*order)
        .limit(limit)
        .offset(offset)
    )
    rows = connection.execute(statement).all()
    return _details(session, workspace_id, rows), total


def logs_judging(
    session: Session, workspace_id: int, log_ids: Iterable[str]
) -> dict[str, list[LogDetail]]:
    """Return the evaluator Logs about these Logs, by judged Log, oldest first.

    Of several judgments by one evaluator (or person) only that in force.
    """
    found: dict[str, list[LogDetail]] = {}
    for part in _chunks(sorted(set(log_ids))):
        statement = (
            select_summaries(with_document=True)
            .outerjoin(JUDGMENT, JUDGMENT.c.seq == LOG.c.seq)
            .where(
                LOG.c.workspace_id == workspace_id,
                LOG.c.parent_id.in_(part),
                LOG.c.kind == "evaluator",
                JUDGMENT.c.superseded_by.is_(None),
            )
            .order_by(LOG.c.start_ns, LOG.c.seq)
        )
        rows = session.connection().execute(statement).all()
        for detail in _details(session, workspace_id, rows):
            found.setdefault(detail.summary.parent_id or "", []).append(detail)
    return found


def verdicts_of(
    session: Session, workspace_id: int, evaluator_log_ids: Iterable[str]
) -> Mapping[str, JudgmentView]:
    """Return the judgment each of these evaluator Logs is."""
    return views_of(session, workspace_id, sorted(set(evaluator_log_ids)))


def trace_flows(session: Session, workspace_id: int, trace_ids: Iterable[str]) -> dict[str, str]:
    """Return the Flow that each of these traces is a run of: the File of its earliest flow Log."""
    found: dict[str, str] = {}
    for part in _chunks(sorted(set(trace_ids))):
        rows = session.connection().execute(
            select(LOG.c.trace_id, LOG.c.file_id)
            .where(
                LOG.c.workspace_id == workspace_id,
                LOG.c.trace_id.in_(part),
                LOG.c.kind == "flow",
                LOG.c.file_id.is_not(None),
            )
            .order_by(LOG.c.trace_parent_id.is_not(None), LOG.c.start_ns, LOG.c.seq)
        )
        for trace_id, file_id in rows:
            found.setdefault(trace_id, file_id)
    return found


def _conditions(workspace_id: int, wanted: WantedLogs) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [
        LOG.c.workspace_id == workspace_id,
        LOG.c.file_id == wanted.file_id,
    ]
    if wanted.version_id is not None:
        conditions.append(LOG.c.version_id == wanted.version_id)
    if wanted.id_parts:
        parts = (LOG.c.id.contains(part, autoescape=True) for part in wanted.id_parts)
        conditions.append(or_(false(), *parts))
    if wanted.start_ns is not None:
        conditions.append(LOG.c.start_ns >= wanted.start_ns)
    if wanted.end_ns is not None:
        conditions.append(LOG.c.start_ns <= wanted.end_ns)
    if wanted.search:
        words = tuple(Text(word, "prefix") for word in wanted.search.split())
        conditions.append(compile_filter(And(words), 0, workspace_id=workspace_id))
    if wanted.metadata_search:
        conditions.append(_has_metadata(wanted.metadata_search))
    if wanted.in_trace is not None:
        is_in_trace = _is_in_trace()
        conditions.append(is_in_trace if wanted.in_trace else ~is_in_trace)
    return conditions


def _has_metadata(part: str) -> ColumnElement[bool]:
    return exists(
        select(METADATA.c.seq).where(
            METADATA.c.seq == LOG.c.seq,
            or_(
                METADATA.c.value.icontains(part, autoescape=True),
                METADATA.c.key.icontains(part, autoescape=True),
            ),
        )
    )


def _is_in_trace() -> ColumnElement[bool]:
    """Flows are traces by nature; other Logs when they are below or above another one."""
    child = LOG.alias("child")
    has_children = exists(
        select(child.c.seq).where(
            child.c.workspace_id == LOG.c.workspace_id, child.c.trace_parent_id == LOG.c.id
        )
    )
    return or_(LOG.c.kind == "flow", LOG.c.trace_parent_id.is_not(None), and_(has_children))


def _details(session: Session, workspace_id: int, rows: Sequence[Any]) -> list[LogDetail]:
    summaries = read_summaries(session, workspace_id, rows)
    bodies = decode_bodies(session, workspace_id, [row.document for row in rows])
    return [
        LogDetail(summary=summary, body=body)
        for summary, body in zip(summaries, bodies, strict=True)
    ]


def _chunks(items: Sequence[Any]) -> list[Sequence[Any]]:
    return [items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK)]
