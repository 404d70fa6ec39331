"""Reads what runs are still without, Logs of datapoints and judgments, and what could fill it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Select, and_, exists, func, select
from sqlalchemy.sql.selectable import Subquery
from sqlmodel import Session

from kibitz_collector.records import LogDetail
from kibitz_collector.store.filters import JUDGMENT, LOG
from kibitz_collector.store.queries.datapoints import (
    DATAPOINT,
    MEMBER,
    DatapointView,
    get_datapoints,
)
from kibitz_collector.store.queries.evaluations import RunView, UsedEvaluator
from kibitz_collector.store.queries.evaluations_logs import RUN_LOG, members
from kibitz_collector.store.queries.logs import read_details
from kibitz_collector.store.queries.summaries import select_summaries
from kibitz_collector.store.rows import table
from kibitz_collector.store.tables.jobs import EvaluatorState, Job

JOB, STATE = table(Job), table(EvaluatorState)
_CHUNK = 400
_CLOCKS_APART_NS = 86_400 * 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Unjudged:
    """A finished Log of a run that an Evaluator has not judged, and what became of its job."""

    log_id: str
    origin: str | None  # how it became the run's; None: it said so itself
    job_state: str | None  # None: there is no job
    job_error: str | None
    is_suspended: bool  # the Evaluator's Version

    @property
    def is_detached(self) -> bool:
        """Tell whether its job has ended only because a monitor did."""
        return self.job_state == "done" and (self.job_error or "").startswith("its monitor was ")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCounts:
    """What a run has."""

    logs: int
    open_logs: int
    by_inputs: int  # that have joined it by their inputs
    last_ns: int  # when the last one came; 0: there is none


def has_missing(session: Session, run: RunView) -> bool:
    """Tell whether a datapoint has no finished Log in a run."""
    statement = _missing(run, MEMBER.c.datapoint_id).limit(1)
    return session.connection().execute(statement).first() is not None


def missing_datapoints(session: Session, run: RunView) -> list[DatapointView]:
    """Return the datapoints that have no finished Log in a run, in their order."""
    statement = (
        _missing(run, DATAPOINT.c.id, DATAPOINT.c.content)
        .join(DATAPOINT, DATAPOINT.c.id == MEMBER.c.datapoint_id)
        .order_by(MEMBER.c.position)
    )
    rows = session.connection().execute(statement)
    return [DatapointView(id=row.id, content=orjson.loads(row.content)) for row in rows]


def _missing(run: RunView, *columns: ColumnElement[Any]) -> Select[Any]:
    member = members([run.id])
    done = (
        select(member.c.datapoint_id)
        .join(LOG, LOG.c.seq == member.c.seq)
        .where(member.c.datapoint_id.is_not(None), LOG.c.status != "incomplete")
    )
    return (
        select(*columns)
        .select_from(MEMBER)
        .where(MEMBER.c.version_id == run.dataset_version_id, MEMBER.c.datapoint_id.not_in(done))
    )


def count_run_logs(session: Session, run: RunView) -> LogCounts:
    """Count the Logs of a run."""
    member = members([run.id])
    row = (
        session.connection()
        .execute(
            select(
                func.count(),
                func.count().filter(LOG.c.status == "incomplete"),
                func.count().filter(member.c.origin == "inputs"),
                func.max(LOG.c.received_ns),
            )
            .select_from(member)
            .join(LOG, LOG.c.seq == member.c.seq)
        )
        .one()
    )
    return LogCounts(logs=row[0], open_logs=row[1], by_inputs=row[2], last_ns=row[3] or 0)


def has_unjudged(session: Session, run: RunView, evaluator: UsedEvaluator) -> bool:
    """Tell whether this Evaluator has not judged a finished Log of a run."""
    member = members([run.id])
    statement = _unjudged(run, evaluator, member, LOG.c.seq).limit(1)
    return session.connection().execute(statement).first() is not None


def unjudged_logs(
    session: Session, run: RunView, evaluator: UsedEvaluator, limit: int = 500
) -> list[Unjudged]:
    """Return finished Logs of a run that this Evaluator has not judged.

    First those that nobody has been asked about.
    """
    member = members([run.id])
    other = JOB.alias("other")
    is_its_job = and_(
        other.c.workspace_id == run.workspace_id,
        other.c.log_id == LOG.c.id,
        other.c.evaluator_version_id == evaluator.version_id,
    )
    newest = select(func.max(other.c.id)).where(is_its_job).scalar_subquery()
    state = select(STATE.c.state).where(STATE.c.version_id == evaluator.version_id)
    is_suspended = session.connection().execute(state).scalar() == "suspended"
    columns = (LOG.c.id, member.c.origin, JOB.c.state, JOB.c.last_error)
    rows = session.connection().execute(
        _unjudged(run, evaluator, member, *columns)
        .outerjoin(JOB, JOB.c.id == newest)
        .order_by(JOB.c.state.is_not(None), LOG.c.seq)
        .limit(limit)
    )
    return [
        Unjudged(
            log_id=row.id,
            origin=row.origin,
            job_state=row.state,
            job_error=row.last_error,
            is_suspended=is_suspended,
        )
        for row in rows
    ]


def _unjudged(
    run: RunView, evaluator: UsedEvaluator, member: Subquery, *columns: ColumnElement[Any]
) -> Select[Any]:
    """Select finished Logs without a judgment of this Evaluator's Version.

    Of one whose judgments come from outside, any Version's counts: who judges may have changed.
    """
    by_it = JUDGMENT.c.evaluator_version_id == evaluator.version_id
    if not evaluator.orchestrated:
        # By the judged Log, not by the Evaluator's index: it may have judged millions.
        by_it = func.coalesce(JUDGMENT.c.evaluator_id, "") == evaluator.evaluator_id
    is_judged = exists(
        select(JUDGMENT.c.seq).where(
            JUDGMENT.c.workspace_id == run.workspace_id,
            JUDGMENT.c.judged_log_id == LOG.c.id,
            by_it,
        )
    )
    return (
        select(*columns)
        .select_from(member)
        .join(LOG, LOG.c.seq == member.c.seq)
        .where(LOG.c.status != "incomplete", ~is_judged)
    )


def last_judged_ns(session: Session, run: RunView) -> int:
    """Return when a judgment of a run's Logs came last; 0: none has."""
    member = members([run.id])
    statement = (
        select(func.max(JUDGMENT.c.received_ns))
        .select_from(member)
        .join(LOG, LOG.c.seq == member.c.seq)
        .join(
            JUDGMENT,
            and_(JUDGMENT.c.workspace_id == run.workspace_id, JUDGMENT.c.judged_log_id == LOG.c.id),
        )
    )
    return session.connection().execute(statement).scalar() or 0


def loose_logs(
    session: Session, run: RunView, *, with_datapoint: bool, limit: int = 1000
) -> list[LogDetail]:
    """Return finished Logs of a run's Version that came since it began and are no run's, by start.

    `with_datapoint`: those that name a datapoint, else those that name none.
    """
    in_run = exists(
        select(RUN_LOG.c.log_id).where(
            RUN_LOG.c.workspace_id == LOG.c.workspace_id, RUN_LOG.c.log_id == LOG.c.id
        )
    )
    names_one = LOG.c.datapoint_id.is_not(None)
    statement = _of_version(run).where(
        LOG.c.start_ns >= run.created_ns - _CLOCKS_APART_NS,
        LOG.c.received_ns >= run.created_ns,
        names_one if with_datapoint else ~names_one,
        ~in_run,
    )
    return read_details(session, run.workspace_id, statement.limit(limit))


def aimless_logs(session: Session, run: RunView, limit: int = 1000) -> list[LogDetail]:
    """Return finished Logs that name a run and no datapoint, by start."""
    in_run = exists(
        select(RUN_LOG.c.log_id).where(RUN_LOG.c.run_id == run.id, RUN_LOG.c.log_id == LOG.c.id)
    )
    statement = (
        select_summaries(with_document=True)
        .where(
            LOG.c.workspace_id == run.workspace_id,
            LOG.c.run_id == run.id,
            LOG.c.datapoint_id.is_(None),
            LOG.c.parent_id.is_(None),
            LOG.c.status != "incomplete",
            ~in_run,
        )
        .order_by(LOG.c.start_ns, LOG.c.seq)
        .limit(limit)
    )
    return read_details(session, run.workspace_id, statement)


def existing_logs(session: Session, run: RunView) -> dict[str, str]:
    """Return the newest finished Log of a run's Version about each of its datapoints, by these."""
    wanted = select(MEMBER.c.datapoint_id).where(MEMBER.c.version_id == run.dataset_version_id)
    rows = session.connection().execute(
        select(LOG.c.datapoint_id, LOG.c.id)
        .where(
            *_is_of_version(run),
            LOG.c.datapoint_id.in_(wanted),
            LOG.c.status.in_(("complete", "error")),
        )
        .order_by(LOG.c.start_ns, LOG.c.seq)
    )
    return {datapoint_id: log_id for datapoint_id, log_id in rows}


def stored_logs(
    session: Session, workspace_id: int, log_ids: Sequence[str]
) -> dict[str, str | None]:
    """Return those of these Logs that there are, and the datapoint each of them names."""
    found: dict[str, str | None] = {}
    for at in range(0, len(log_ids), _CHUNK):
        rows = session.connection().execute(
            select(LOG.c.id, LOG.c.datapoint_id).where(
                LOG.c.workspace_id == workspace_id, LOG.c.id.in_(log_ids[at : at + _CHUNK])
            )
        )
        found |= {log_id: datapoint_id for log_id, datapoint_id in rows}
    return found


def targets_of(session: Session, workspace_id: int, log_ids: Sequence[str]) -> dict[str, Any]:
    """Return the datapoint that each of these Logs is about: {id, inputs, messages, target}."""
    rows = session.connection().execute(
        select(RUN_LOG.c.log_id, RUN_LOG.c.datapoint_id).where(
            RUN_LOG.c.workspace_id == workspace_id,
            RUN_LOG.c.log_id.in_(log_ids),
            RUN_LOG.c.datapoint_id.is_not(None),
        )
    )
    about = {log_id: datapoint_id for log_id, datapoint_id in rows}
    about |= {k: v for k, v in stored_logs(session, workspace_id, log_ids).items() if v}
    points = get_datapoints(session, list(about.values()))
    return {
        log_id: {"id": point.id, "inputs": {}, "messages": None, "target": None} | point.content
        for log_id, datapoint_id in about.items()
        if (point := points.get(datapoint_id)) is not None
    }


def _of_version(run: RunView) -> Select[Any]:
    return (
        select_summaries(with_document=True)
        .where(*_is_of_version(run), LOG.c.run_id.is_(None), LOG.c.status != "incomplete")
        .order_by(LOG.c.start_ns, LOG.c.seq)
    )


def _is_of_version(run: RunView) -> list[ColumnElement[bool]]:
    return [
        LOG.c.workspace_id == run.workspace_id,
        LOG.c.file_id == run.file_id,
        LOG.c.version_id == run.version_id,
    ]
