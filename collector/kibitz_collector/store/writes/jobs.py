"""Makes evaluation jobs, in the transaction that writes the Logs they are about."""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlmodel import Session, col, select, update

from kibitz_collector.records import LogRecord
from kibitz_collector.store.bulk import keep, write_many
from kibitz_collector.store.matching import (
    CompiledMonitor,
    active_monitors,
    content_hash,
    is_sampled,
)
from kibitz_collector.store.rows import may_be_judged, table
from kibitz_collector.store.tables.counters import Counter
from kibitz_collector.store.tables.jobs import Job
from kibitz_collector.store.tables.logs import Log, Trace
from kibitz_collector.store.writes.arrivals import Arrival

JOB = table(Job)
IDLE_CURSOR = "idle_traces"
"""The counter that holds the arrival time up to which idle traces have been looked at."""
MAX_DEPTH = 3
"""Judgments of judgments of judgments are judged; no further."""
LATE_DELAY_NS = 1_000_000_000
"""Latecomers of a finished trace come in crowds: wait for the crowd, judge once."""
_TREE_KINDS = ("flow", "agent")


def enqueue_arrivals(session: Session, workspace_id: int, arrivals: Sequence[Arrival]) -> int:
    """Make the jobs these Logs call for; returns how many are new."""
    monitors = active_monitors(session, workspace_id)
    if not monitors:
        return 0
    now_ns = time.time_ns()
    wanted = [
        (arrival.record(), monitor)
        for arrival, some in _candidates(arrivals, monitors)
        for monitor in _monitors_for(session, workspace_id, arrival, some)
    ]
    counts = _trace_counts(session, workspace_id, (record for record, _ in wanted))
    rows = [
        _row(workspace_id, record, monitor, _hash(record, monitor, counts), now_ns)
        for record, monitor in wanted
    ]
    rows += _late_rows(session, workspace_id, arrivals, monitors, now_ns)
    return _insert(session, rows)


def enqueue_root(session: Session, workspace_id: int, root: LogRecord) -> int:
    """Make the jobs of a trace that was never completed, from its root as it stands."""
    wanted = [
        monitor
        for monitor in active_monitors(session, workspace_id)
        if (monitor.scope == "trace" or root.kind in _TREE_KINDS)
        and monitor.wants(root)
        and is_sampled(root.id, monitor.sample_rate)
    ]
    counts = _trace_counts(session, workspace_id, [root] if wanted else [])
    now_ns = time.time_ns()
    rows = [
        _row(workspace_id, root, monitor, _hash(root, monitor, counts), now_ns)
        for monitor in wanted
    ]
    return _insert(session, rows)


def enqueue_asked(
    session: Session,
    workspace_id: int,
    records: Sequence[LogRecord],
    *,
    evaluator_id: str,
    version_id: str,
) -> int:
    """Make the jobs that a run asks for: these Logs, judged by this evaluator version.

    What a monitor has asked for already is not asked for twice.
    """
    asked = CompiledMonitor(
        id="",
        evaluator_id=evaluator_id,
        version_id=version_id,
        file_path=None,
        matches=None,
        names_kind=True,
        scope="log",
        sample_rate=1.0,
    )
    counts = _trace_counts(session, workspace_id, records)
    now_ns = time.time_ns()
    rows = [
        _row(workspace_id, record, asked, _hash(record, asked, counts), now_ns)
        | {"monitor_id": None, "kind": "run"}
        for record in records
    ]
    return _insert(session, rows)


def ask_again(session: Session, workspace_id: int, log_ids: Sequence[str], version_id: str) -> None:
    """Let the jobs of these Logs run that ended with the monitor that had asked for them."""
    session.exec(
        update(Job)
        .where(
            col(Job.workspace_id) == workspace_id,
            col(Job.log_id).in_(log_ids),
            col(Job.evaluator_version_id) == version_id,
            col(Job.state) == "done",
            col(Job.last_error).startswith("its monitor was "),
        )
        .values(state="waiting", attempts=0, last_error=None)
    )


def move_idle_cursor(session: Session, last_received_ns: int) -> None:
    """Remember up to when idle traces have been looked at."""
    session.exec(
        update(Counter)
        .where(col(Counter.name) == IDLE_CURSOR, col(Counter.value) < last_received_ns)
        .values(value=last_received_ns)
    )


def _candidates(
    arrivals: Sequence[Arrival], monitors: Sequence[CompiledMonitor]
) -> Iterator[tuple[Arrival, Sequence[CompiledMonitor]]]:
    """Yield the Logs that are final and the monitors which may want such a Log.

    Decided once per sort of Log: there are few, and most of them are of no interest.
    """
    by_sort: dict[tuple[Any, ...], Sequence[CompiledMonitor]] = {}
    for arrival in arrivals:
        row = arrival.row
        is_child, is_judging = row["trace_parent_id"] is not None, arrival.judgment is not None
        sort = (row["kind"], row["status"], row["is_genai"], is_child, is_judging)
        some = by_sort.get(sort)
        if some is None:
            some = by_sort[sort] = [
                monitor
                for monitor in monitors
                if may_be_judged(row["status"])
                and not (monitor.scope == "trace" and is_child)
                and monitor.may_want(
                    row["kind"],
                    row["status"],
                    is_plain=arrival.is_judgment or not row["is_genai"],
                )
            ]
        if some:
            yield arrival, some


def _monitors_for(
    session: Session, workspace_id: int, arrival: Arrival, monitors: Sequence[CompiledMonitor]
) -> list[CompiledMonitor]:
    id_ = arrival.row["id"]
    wanted = [
        monitor
        for monitor in monitors
        if is_sampled(id_, monitor.sample_rate)
        and monitor.may_want_file(arrival.file)
        and monitor.wants(arrival.record())
    ]
    if not wanted or not arrival.is_judgment:
        return wanted
    judges = _judges_above(session, workspace_id, arrival)
    if len(judges) > MAX_DEPTH:
        return []
    return [monitor for monitor in wanted if monitor.evaluator_id not in judges]


def _judges_above(session: Session, workspace_id: int, arrival: Arrival) -> list[str | None]:
    """Return the Evaluators of a judgment and of the judgments it is about, downwards."""
    judges, parent = [arrival.row["file_id"]], arrival.row["parent_id"]
    while parent is not None and len(judges) <= MAX_DEPTH:
        above = session.exec(
            select(Log.file_id, Log.parent_id, Log.kind).where(
                Log.workspace_id == workspace_id, Log.id == parent
            )
        ).first()
        if above is None or above[2] != "evaluator":
            break
        judges.append(above[0])
        parent = above[1]
    return judges


def _sees_tree(record: LogRecord, monitor: CompiledMonitor) -> bool:
    return monitor.scope == "trace" or record.kind in _TREE_KINDS


def _hash(record: LogRecord, monitor: CompiledMonitor, counts: dict[str, int]) -> str:
    """Return the hash of what will be judged; of a root with its trace, how many Logs that has."""
    own = content_hash(record)
    if not _sees_tree(record, monitor) or record.trace_parent_id is not None:
        return own
    return f"{own}:{counts.get(record.trace_id or '', 0)}"


def _trace_counts(
    session: Session, workspace_id: int, records: Iterable[LogRecord]
) -> dict[str, int]:
    trace_ids = {record.trace_id for record in records if record.trace_id is not None}
    if not trace_ids:
        return {}
    statement = select(Trace.trace_id, Trace.log_count).where(
        Trace.workspace_id == workspace_id, col(Trace.trace_id).in_(trace_ids)
    )
    return dict(session.exec(statement).all())


def _late_rows(
    session: Session,
    workspace_id: int,
    arrivals: Sequence[Arrival],
    monitors: Sequence[CompiledMonitor],
    now_ns: int,
) -> list[dict[str, Any]]:
    """Judge the traces again that were finished before these Logs came."""
    rows = [arrival.row for arrival in arrivals if not arrival.is_judgment]
    late = {row["trace_id"] for row in rows}
    late -= {row["trace_id"] for row in rows if row["trace_parent_id"] is None}
    late.discard(None)
    if not late:
        return []
    finished = session.exec(
        select(Trace.root_id, Trace.log_count, Trace.trace_id).where(
            Trace.workspace_id == workspace_id,
            col(Trace.trace_id).in_(late),
            col(Trace.completed_ns).is_not(None),
            col(Trace.root_id).is_not(None),
        )
    )
    # A Log that was changed is no other Log: what it says now tells the judgments apart.
    changes = {a.row["trace_id"]: f":{content_hash(a.record())}" for a in arrivals if a.is_patch}
    counts = {
        root_id: f"{count}{changes.get(trace_id, '')}"
        for root_id, count, trace_id in finished
        if root_id is not None
    }
    if not counts:
        return []
    followed = {(monitor.id, monitor.version_id) for monitor in monitors}
    earlier = session.exec(
        select(Job)
        .where(
            Job.workspace_id == workspace_id,
            col(Job.log_id).in_(counts),
            Job.scope == "trace",
        )
        .order_by(col(Job.id))
    ).all()
    newest = {(job.monitor_id, job.evaluator_version_id, job.log_id): job for job in earlier}
    again = []
    for (monitor_id, version_id, log_id), job in newest.items():
        # A job still waiting will read the trace as it is then. What a run asked for stands.
        is_followed = monitor_id is None or (monitor_id, version_id) in followed
        if is_followed and job.state != "waiting":
            own = job.content_hash.partition(":")[0]
            row = {c: getattr(job, c) for c in _COPIED}
            row |= {"content_hash": f"{own}:{counts[log_id]}", "created_ns": now_ns}
            again.append({**row, **_FRESH, "due_ns": now_ns + LATE_DELAY_NS})
    return again


_COPIED = (
    "workspace_id",
    "kind",
    "monitor_id",
    "evaluator_id",
    "evaluator_version_id",
    "log_id",
    "scope",
    "keep_probability",
)
_FRESH: dict[str, Any] = {"state": "waiting", "attempts": 0}


def _row(
    workspace_id: int, record: LogRecord, monitor: CompiledMonitor, hashed: str, now_ns: int
) -> dict[str, Any]:
    return {
        **_FRESH,
        "workspace_id": workspace_id,
        "kind": "evaluation",
        "monitor_id": monitor.id,
        "evaluator_id": monitor.evaluator_id,
        "evaluator_version_id": monitor.version_id,
        "log_id": record.id,
        "content_hash": hashed,
        "scope": "trace" if _sees_tree(record, monitor) else "log",
        "keep_probability": record.keep_probability * monitor.sample_rate,
        "due_ns": now_ns,
        "created_ns": now_ns,
    }


def _insert(session: Session, rows: list[dict[str, Any]]) -> int:
    """Insert what is not there yet: (Log, evaluator version, content) is judged once."""
    return write_many(session.connection(), JOB, rows, keep)
