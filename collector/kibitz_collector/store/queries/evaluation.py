"""Reads evaluators, monitors and the state of their jobs, for pages, API and workers."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import func
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select

from kibitz_collector.errors import Invalid, NotFound
from kibitz_collector.files.kinds.evaluator import EvaluatorSpec, read_evaluator
from kibitz_collector.records import Scope
from kibitz_collector.store import dialect
from kibitz_collector.store.rows import table
from kibitz_collector.store.tables.counters import Counter
from kibitz_collector.store.tables.files import File, Version
from kibitz_collector.store.tables.jobs import Evaluator, EvaluatorState, Job, Monitor
from kibitz_collector.store.tables.logs import Log, Trace
from kibitz_collector.store.writes.defaults import DEFAULT_ORIGIN
from kibitz_collector.store.writes.jobs import IDLE_CURSOR

JOB, STATE = table(Job), table(EvaluatorState)
_OPEN = ("waiting", "running", "dead")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatorView:
    """One Evaluator at one Version, and how that Version behaves."""

    id: str
    path: str
    version_id: str
    spec: EvaluatorSpec
    state: str = "active"  # active, suspended
    reason: str | None = None
    suspended_ns: int | None = None
    strikes: int = 0
    judged_count: int = 0
    error_count: int = 0
    last_error: str | None = None
    created_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorView:
    """One monitor as pages and the API show it."""

    id: str
    evaluator: EvaluatorView  # at the Version it uses
    is_pinned: bool  # to that Version
    file_id: str | None
    file_path: str | None
    filter: str | None
    scope: Scope
    sample_rate: float
    is_active: bool
    origin: str
    created_ns: int
    waiting: int  # jobs
    running: int
    dead: int

    @property
    def state(self) -> str:
        """Say in one word what it does: active, inactive or suspended."""
        if not self.is_active:
            return "inactive"
        return self.evaluator.state


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCounts:
    """How many jobs there are, and why they wait."""

    waiting: int  # may be run now
    later: int  # put off, or waiting for the rest of a trace
    suspended: int  # their evaluator version is suspended
    running: int
    dead: int
    oldest_due_ns: int | None  # of those that may be run now


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleTrace:
    """A trace without news whose root never completed."""

    workspace_id: int
    root_id: str
    last_received_ns: int


def get_evaluator(
    session: Session, workspace_id: int, evaluator: str, version_id: str | None = None
) -> EvaluatorView:
    """Return an Evaluator by id or path, at a Version (None: the one monitors follow).

    Raises: NotFound.
    """
    file = session.exec(
        select(File).where(
            File.workspace_id == workspace_id,
            File.kind == "evaluator",
            (col(File.id) == evaluator) | (col(File.path) == evaluator),
        )
    ).first()
    if file is None:
        raise NotFound(f"no evaluator {evaluator!r}")
    if version_id is None:
        known = session.get(Evaluator, file.id)
        version_id = known.version_id if known is not None else None
    statement = select(Version).where(Version.file_id == file.id)
    if version_id is not None:
        statement = statement.where(Version.id == version_id)
    version = session.exec(statement.order_by(col(Version.created_ns).desc())).first()
    if version is None:
        raise NotFound(f"evaluator {file.path} has no version {version_id!r}")
    return _evaluator(file, version, session.get(EvaluatorState, version.id))


def list_evaluators(session: Session, workspace_id: int) -> list[EvaluatorView]:
    """Return every Evaluator at the Version its monitors follow (else its newest), by path."""
    files = session.exec(
        select(File)
        .where(File.workspace_id == workspace_id, File.kind == "evaluator")
        .order_by(col(File.path))
    ).all()
    ids = [file.id for file in files]
    followed = dict(
        session.exec(
            select(Evaluator.file_id, Evaluator.version_id).where(col(Evaluator.file_id).in_(ids))
        ).all()
    )
    newest: dict[str, Version] = {}
    versions = select(Version).where(col(Version.file_id).in_(ids))
    for version in session.exec(versions.order_by(col(Version.created_ns))):
        if version.id == followed.get(version.file_id, version.id):
            newest[version.file_id] = version
    states = _states(session, [version.id for version in newest.values()])
    return [
        _evaluator(file, newest[file.id], states.get(newest[file.id].id))
        for file in files
        if file.id in newest
    ]


def list_monitors(session: Session, workspace_id: int) -> list[MonitorView]:
    """Return all monitors that somebody asked for, oldest first."""
    return _monitors(session, workspace_id, None)


def get_monitor(session: Session, workspace_id: int, monitor_id: str) -> MonitorView:
    """Return one monitor.

    Raises: NotFound.
    """
    found = _monitors(session, workspace_id, monitor_id)
    if not found:
        raise NotFound(f"no monitor {monitor_id!r}")
    return found[0]


def count_jobs(session: Session, workspace_id: int, now_ns: int) -> JobCounts:
    """Count the jobs that are not done."""
    is_due = (JOB.c.due_ns <= now_ns).label("is_due")
    is_suspended = (func.coalesce(STATE.c.state, "active") == "suspended").label("is_suspended")
    statement = (
        sql_select(JOB.c.state, is_due, is_suspended, func.count(), func.min(JOB.c.due_ns))
        .join(STATE, STATE.c.version_id == JOB.c.evaluator_version_id, isouter=True)
        .where(JOB.c.workspace_id == workspace_id, JOB.c.state.in_(_OPEN))
        # By label: PostgreSQL takes the same expression with another parameter for another one.
        .group_by(JOB.c.state, "is_due", "is_suspended")
    )
    counts = {"waiting": 0, "later": 0, "suspended": 0, "running": 0, "dead": 0}
    oldest = None
    for state, due, suspended, count, first_due in session.connection().execute(statement):
        name = state
        if state == "waiting":
            name = "suspended" if suspended else "waiting" if due else "later"
            if name == "waiting":
                oldest = first_due
        counts[name] += count
    return JobCounts(**counts, oldest_due_ns=oldest)


def stored_ids(session: Session, workspace_id: int, log_ids: Sequence[str]) -> set[str]:
    """Return those of these Logs that are there."""
    statement = select(Log.id).where(Log.workspace_id == workspace_id, col(Log.id).in_(log_ids))
    return set(session.exec(statement))


def idle_traces(session: Session, horizon_ns: int, limit: int = 2000) -> list[IdleTrace]:
    """Return unfinished traces without news since `horizon_ns` that were not looked at yet."""
    horizon_ns = dialect.settled_ns(session.connection(), horizon_ns)
    cursor = session.exec(select(Counter.value).where(Counter.name == IDLE_CURSOR)).one()
    statement = (
        select(Trace)
        .where(
            col(Trace.completed_ns).is_(None),
            col(Trace.root_id).is_not(None),
            col(Trace.last_received_ns) > cursor,
            col(Trace.last_received_ns) <= horizon_ns,
        )
        .order_by(col(Trace.last_received_ns))
        .limit(limit)
    )
    traces = [
        IdleTrace(
            workspace_id=trace.workspace_id,
            root_id=trace.root_id or "",
            last_received_ns=trace.last_received_ns,
        )
        for trace in session.exec(statement)
    ]
    if len(traces) < limit:
        return traces
    # The cursor stands on a time: those that share the last one with a next page wait for it.
    last = traces[-1].last_received_ns
    return [trace for trace in traces if trace.last_received_ns < last] or traces


def _monitors(session: Session, workspace_id: int, monitor_id: str | None) -> list[MonitorView]:
    statement = select(Monitor).where(Monitor.workspace_id == workspace_id)
    if monitor_id is not None:
        statement = statement.where(Monitor.id == monitor_id)
    else:
        statement = statement.where(Monitor.origin != DEFAULT_ORIGIN)
    monitors = session.exec(statement.order_by(col(Monitor.created_ns), col(Monitor.id))).all()
    evaluators = (
        {view.id: view for view in list_evaluators(session, workspace_id)} if monitors else {}
    )
    counts: dict[tuple[str | None, str], int] = {}
    for owner, state, count in session.exec(
        select(Job.monitor_id, Job.state, func.count())
        .where(Job.workspace_id == workspace_id, col(Job.state).in_(_OPEN))
        .group_by(col(Job.monitor_id), col(Job.state))
    ):
        counts[(owner, state)] = count
    paths = {monitor.file_path for monitor in monitors if monitor.file_path is not None}
    file_ids = dict(
        session.exec(
            select(File.path, File.id).where(
                File.workspace_id == workspace_id, col(File.path).in_(paths)
            )
        ).all()
    )
    views = []
    for monitor in monitors:
        if monitor.version_id is not None:
            view = get_evaluator(session, workspace_id, monitor.evaluator_id, monitor.version_id)
        else:
            view = evaluators[monitor.evaluator_id]
        views.append(
            MonitorView(
                id=monitor.id,
                evaluator=view,
                is_pinned=monitor.version_id is not None,
                file_id=file_ids.get(monitor.file_path or ""),
                file_path=monitor.file_path,
                filter=monitor.filter,
                scope="trace" if monitor.scope == "trace" else "log",
                sample_rate=monitor.sample_rate,
                is_active=monitor.is_active,
                origin=monitor.origin,
                created_ns=monitor.created_ns,
                waiting=counts.get((monitor.id, "waiting"), 0),
                running=counts.get((monitor.id, "running"), 0),
                dead=counts.get((monitor.id, "dead"), 0),
            )
        )
    return views


def _states(session: Session, version_ids: list[str]) -> dict[str, EvaluatorState]:
    statement = select(EvaluatorState).where(col(EvaluatorState.version_id).in_(version_ids))
    return {state.version_id: state for state in session.exec(statement)}


def _evaluator(file: File, version: Version, state: EvaluatorState | None) -> EvaluatorView:
    try:
        spec = read_evaluator({"evaluator_type": "external", **orjson.loads(version.content)})
    except Invalid as error:
        # Came in as a Log's File, unchecked; shown with what is wrong, never run.
        return EvaluatorView(
            id=file.id,
            path=file.path,
            version_id=version.id,
            spec=EvaluatorSpec(evaluator_type="external", return_type="boolean"),
            state="suspended",
            reason=error.message,
            created_ns=version.created_ns,
        )
    if state is None:
        return EvaluatorView(
            id=file.id,
            path=file.path,
            version_id=version.id,
            spec=spec,
            created_ns=version.created_ns,
        )
    return EvaluatorView(
        id=file.id,
        path=file.path,
        version_id=version.id,
        spec=spec,
        state=state.state,
        reason=state.reason,
        suspended_ns=state.suspended_ns,
        strikes=state.strikes,
        judged_count=state.judged_count,
        error_count=state.error_count,
        last_error=state.last_error,
        created_ns=version.created_ns,
    )
