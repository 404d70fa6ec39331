"""Reads the Logs of runs and how they were judged.

A Log is one of a run's when it says so itself (`run_id`) or when it was added to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from sqlalchemy import and_, func, or_, select
from sqlalchemy.sql.selectable import Subquery
from sqlmodel import Session

from kibitz_collector.records import LogDetail, ReturnType
from kibitz_collector.store.bulk import is_among
from kibitz_collector.store.filters import JUDGMENT, LOG, total
from kibitz_collector.store.queries.datapoints import DatapointView, get_datapoints
from kibitz_collector.store.queries.evaluations import RUN
from kibitz_collector.store.queries.logs import TRACE, read_details
from kibitz_collector.store.queries.summaries import select_summaries
from kibitz_collector.store.rows import TOKEN_COLUMNS, table
from kibitz_collector.store.tables.evaluations import RunLog

RUN_LOG = table(RunLog)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLogFact:
    """One Log of a run, as far as statistics need it; a root's cost and tokens are its trace's."""

    run_id: str
    log_id: str
    is_final: bool
    is_error: bool
    duration_ms: float | None
    cost_usd: float | None
    tokens: int | None
    received_ns: int


class VerdictFact(NamedTuple):
    """One judgment of a Log of a run; with neither number, labels nor text it abstains.

    A tuple: there may be 40,000 of them, and making data classes took half as long again.
    """

    run_id: str
    log_id: str  # the judged one
    evaluator_id: str
    evaluator_version_id: str | None
    made_by: str | None
    return_type: ReturnType
    number: float | None
    labels: list[str] | None
    has_text: bool
    is_error: bool
    created_ns: int
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEntry:
    """One Log of a run, whole, and the datapoint it is about."""

    run_id: str
    detail: LogDetail
    datapoint: DatapointView | None


def members(run_ids: Sequence[str]) -> Subquery:
    """Select `run_id`, `seq`, `datapoint_id` and `origin` of the Logs of runs, each Log once.

    Judgments may name a run too, but are no Logs of it, unless it is a run of their Evaluator.
    """
    is_own = or_(LOG.c.kind != "evaluator", LOG.c.file_id == RUN.c.file_id)
    told = (
        select(
            LOG.c.run_id,
            LOG.c.seq,
            func.coalesce(LOG.c.datapoint_id, RUN_LOG.c.datapoint_id).label("datapoint_id"),
            RUN_LOG.c.origin,
        )
        .join(RUN, and_(RUN.c.id == LOG.c.run_id, RUN.c.workspace_id == LOG.c.workspace_id))
        .outerjoin(RUN_LOG, and_(RUN_LOG.c.run_id == LOG.c.run_id, RUN_LOG.c.log_id == LOG.c.id))
        .where(LOG.c.run_id.in_(run_ids), RUN.c.id.in_(run_ids), is_own)
    )
    added = (
        select(
            RUN_LOG.c.run_id,
            LOG.c.seq,
            func.coalesce(LOG.c.datapoint_id, RUN_LOG.c.datapoint_id).label("datapoint_id"),
            RUN_LOG.c.origin,
        )
        .join(LOG, and_(LOG.c.workspace_id == RUN_LOG.c.workspace_id, LOG.c.id == RUN_LOG.c.log_id))
        .where(
            RUN_LOG.c.run_id.in_(run_ids),
            or_(LOG.c.run_id.is_(None), LOG.c.run_id != RUN_LOG.c.run_id),
        )
    )
    return told.union_all(added).subquery("member")


def added_to(session: Session, workspace_id: int, log_ids: Sequence[str]) -> dict[str, list[str]]:
    """Return the runs that these Logs were added to, by Log, the first one first."""
    found: dict[str, list[str]] = {}
    connection = session.connection()
    rows = connection.execute(
        select(RUN_LOG.c.log_id, RUN_LOG.c.run_id)
        .where(
            RUN_LOG.c.workspace_id == workspace_id,
            is_among(connection, RUN_LOG.c.log_id, list(log_ids)),
        )
        .order_by(RUN_LOG.c.added_ns, RUN_LOG.c.run_id)
    )
    for log_id, run_id in rows:
        found.setdefault(log_id, []).append(run_id)
    return found


def log_facts(session: Session, run_ids: Sequence[str]) -> list[RunLogFact]:
    """Return the Logs of runs."""
    member = members(run_ids)
    is_root = and_(LOG.c.trace_parent_id.is_(None), TRACE.c.trace_id.is_not(None))
    statement = (
        select(
            member.c.run_id,
            LOG.c.id,
            LOG.c.status,
            LOG.c.duration_ms,
            LOG.c.cost_usd,
            LOG.c.received_ns,
            is_root.label("is_root"),
            total(*TOKEN_COLUMNS).label("own_tokens"),
            *(TRACE.c[name] for name in TOKEN_COLUMNS),
            TRACE.c.cost_nusd,
            TRACE.c.priced_count,
            TRACE.c.usage_count,
        )
        .join(LOG, LOG.c.seq == member.c.seq)
        .outerjoin(
            TRACE,
            and_(TRACE.c.workspace_id == LOG.c.workspace_id, TRACE.c.trace_id == LOG.c.trace_id),
        )
    )
    return [_log_fact(row) for row in session.connection().execute(statement)]


def verdict_facts(
    session: Session, workspace_id: int, run_ids: Sequence[str], evaluator_ids: Sequence[str]
) -> list[VerdictFact]:
    """Return all judgments that these Evaluators made of the Logs of runs, in force or not."""
    member = members(run_ids)
    statement = (
        select(
            member.c.run_id,
            JUDGMENT.c.judged_log_id,
            JUDGMENT.c.evaluator_id,
            JUDGMENT.c.evaluator_version_id,
            JUDGMENT.c.made_by,
            JUDGMENT.c.return_type,
            JUDGMENT.c.number,
            JUDGMENT.c.labels,
            JUDGMENT.c.text.is_not(None).label("has_text"),
            JUDGMENT.c.is_error,
            JUDGMENT.c.created_ns,
            JUDGMENT.c.seq,
        )
        .select_from(member)
        .join(LOG, LOG.c.seq == member.c.seq)
        .join(
            JUDGMENT,
            and_(JUDGMENT.c.workspace_id == workspace_id, JUDGMENT.c.judged_log_id == LOG.c.id),
        )
        # By the judged Log, not by the Evaluator's index: it may have judged millions.
        .where(func.coalesce(JUDGMENT.c.evaluator_id, "").in_(evaluator_ids))
    )
    return [_verdict(row) for row in session.connection().execute(statement)]


def page_entries(
    session: Session, workspace_id: int, run_ids: Sequence[str], *, page: int, size: int
) -> tuple[list[RunEntry], int]:
    """Return one page of the Logs of runs, newest run and newest Log first, and how many in all."""
    member = members(run_ids)
    connection = session.connection()
    total: int = connection.execute(select(func.count()).select_from(member)).scalar_one()
    if (page - 1) * size >= total or size == 0:
        return [], total
    places = connection.execute(
        select(member.c.run_id, member.c.seq, member.c.datapoint_id)
        .join(RUN, RUN.c.id == member.c.run_id)
        .order_by(RUN.c.created_ns.desc(), RUN.c.id, member.c.seq.desc())
        .limit(size)
        .offset((page - 1) * size)
    ).all()
    wanted = sorted({place.seq for place in places})
    statement = select_summaries(with_document=True).where(is_among(connection, LOG.c.seq, wanted))
    details = {one.summary.seq: one for one in read_details(session, workspace_id, statement)}
    points = get_datapoints(session, [place.datapoint_id for place in places])
    entries = [
        RunEntry(
            run_id=place.run_id,
            detail=details[place.seq],
            datapoint=points.get(place.datapoint_id),
        )
        for place in places
        if place.seq in details
    ]
    return entries, total


def _log_fact(row: Any) -> RunLogFact:
    cost, tokens = row.cost_usd, row.own_tokens
    if row.is_root and row.usage_count:
        cost = row.cost_nusd / 1e9 if row.priced_count else None
        tokens = sum(getattr(row, name) for name in TOKEN_COLUMNS)
    return RunLogFact(
        run_id=row.run_id,
        log_id=row.id,
        is_final=row.status != "incomplete",
        is_error=row.status == "error",
        duration_ms=row.duration_ms,
        cost_usd=cost,
        tokens=tokens,
        received_ns=row.received_ns,
    )


def _verdict(row: Any) -> VerdictFact:
    fact = VerdictFact._make(row)
    if row.labels is None:
        return fact
    return fact._replace(labels=orjson.loads(row.labels))
