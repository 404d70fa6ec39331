"""Keeps the `trace` and `session` rows: sums by differences, first and last by comparison."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import case, delete, select
from sqlalchemy.engine import Connection

from kibitz_collector.store.bulk import is_among, overwrite, write_many
from kibitz_collector.store.contribution import SESSION_SUMS, TRACE_SUMS, Sums, contribution
from kibitz_collector.store.rows import Row, table
from kibitz_collector.store.tables.logs import SessionRow, Trace
from kibitz_collector.store.writes.tree import LOG, Node

TRACE, SESSION = table(Trace), table(SessionRow)


def load_traces(
    connection: Connection, workspace_id: int, trace_ids: Iterable[str]
) -> dict[str, Row]:
    """Return the stored `trace` rows with these ids."""
    wanted = sorted(trace_ids)
    if not wanted:
        return {}
    rows = connection.execute(
        select(TRACE).where(
            TRACE.c.workspace_id == workspace_id, is_among(connection, TRACE.c.trace_id, wanted)
        )
    ).mappings()
    return {row["trace_id"]: dict(row) for row in rows}


def fold_trace(trace: Row | None, row: Row, sums: Sums, now_ns: int) -> Row:
    """Return the trace with one more Log (or, with `sums` as a difference, a changed one)."""
    if trace is None:
        trace = {
            "workspace_id": row["workspace_id"],
            "trace_id": row["trace_id"],
            "root_id": None,
            "root_start_ns": None,
            "session_id": None,
            "session_start_ns": None,
            "start_ns": row["start_ns"],
            "end_ns": None,
            **dict.fromkeys(TRACE_SUMS, 0),
            "first_received_ns": row["received_ns"],
            "last_received_ns": row["received_ns"],
            "completed_ns": None,
        }
    for name in TRACE_SUMS:
        trace[name] += sums[name]
    start_ns = row["start_ns"]
    trace["start_ns"] = min(trace["start_ns"], start_ns)
    trace["end_ns"] = _latest(trace["end_ns"], row["end_ns"])
    trace["first_received_ns"] = min(trace["first_received_ns"], row["received_ns"])
    trace["last_received_ns"] = max(trace["last_received_ns"], row["received_ns"], now_ns)
    if row["session_id"] is not None and _is_before(
        start_ns, row["session_id"], trace["session_start_ns"], trace["session_id"]
    ):
        trace["session_start_ns"], trace["session_id"] = start_ns, row["session_id"]
    if row["trace_parent_id"] is None:
        if _is_before(start_ns, row["id"], trace["root_start_ns"], trace["root_id"]):
            trace["root_start_ns"], trace["root_id"] = start_ns, row["id"]
        if trace["root_id"] == row["id"]:
            trace["completed_ns"] = row["final_ns"]
    return trace


def update_traces(
    connection: Connection,
    workspace_id: int,
    nodes: Sequence[Node],
    traces: dict[str, Row],
    now_ns: int,
) -> set[str]:
    """Write the `trace` rows of changed Logs; returns the traces in which a GenAI Log is now first.

    `traces` holds the stored rows of all traces concerned, before this write.
    """
    before = {trace_id: trace["genai_count"] for trace_id, trace in traces.items()}
    moved = _moved(nodes, "trace_id")
    touched: dict[str, Row] = {}
    for node in nodes:
        trace_id = node.row["trace_id"]
        if trace_id is None or trace_id in moved:
            continue
        known = node.old is not None and node.old["trace_id"] == trace_id
        sums = difference(node) if known else node.added()
        trace = touched.get(trace_id) or traces.get(trace_id)
        touched[trace_id] = fold_trace(trace, node.row, sums, now_ns)
    for trace_id in sorted(moved):
        counted = recount_trace(connection, workspace_id, trace_id)
        if counted is None:
            connection.execute(
                delete(TRACE).where(
                    TRACE.c.workspace_id == workspace_id, TRACE.c.trace_id == trace_id
                )
            )
        else:
            counted["last_received_ns"] = now_ns
            touched[trace_id] = counted
    write_many(connection, TRACE, [touched[trace_id] for trace_id in sorted(touched)], overwrite)
    return {
        trace_id
        for trace_id, trace in touched.items()
        if trace["genai_count"] and before.get(trace_id) == 0
    }


def recount(
    connection: Connection,
    workspace_id: int,
    *,
    trace_ids: Iterable[str],
    session_ids: Iterable[str],
    now_ns: int,
) -> None:
    """Work `trace` and `session` rows out from their Logs, and delete those that have none."""
    for trace_id in sorted(trace_ids):
        trace = recount_trace(connection, workspace_id, trace_id)
        if trace is not None:
            write_many(connection, TRACE, [{**trace, "last_received_ns": now_ns}], overwrite)
            continue
        connection.execute(
            delete(TRACE).where(TRACE.c.workspace_id == workspace_id, TRACE.c.trace_id == trace_id)
        )
    for session_id in sorted(session_ids):
        session = recount_session(connection, workspace_id, session_id)
        if session is not None:
            write_many(connection, SESSION, [session], overwrite)
            continue
        connection.execute(
            delete(SESSION).where(
                SESSION.c.workspace_id == workspace_id, SESSION.c.id == session_id
            )
        )


def recount_trace(connection: Connection, workspace_id: int, trace_id: str) -> Row | None:
    """Work a `trace` row out from its Logs; None: there are none."""
    trace: Row | None = None
    rows = connection.execute(
        select(LOG).where(LOG.c.workspace_id == workspace_id, LOG.c.trace_id == trace_id)
    ).mappings()
    for row in rows:
        trace = fold_trace(trace, dict(row), contribution(dict(row)), 0)
    return trace


def update_sessions(
    connection: Connection, workspace_id: int, nodes: Sequence[Node], now_ns: int
) -> None:
    """Write the `session` rows of changed Logs."""
    moved = _moved(nodes, "session_id")
    changes: dict[str, Row] = {}
    for node in nodes:
        session_id = node.row["session_id"]
        if session_id is None or session_id in moved:
            continue
        known = node.old is not None and node.old["session_id"] == session_id
        sums = difference(node) if known else node.added()
        changes[session_id] = _fold_session(changes.get(session_id), node.row, sums, now_ns)
    _add(connection, [changes[session_id] for session_id in sorted(changes)])
    counted = [
        recount_session(connection, workspace_id, session_id) for session_id in sorted(moved)
    ]
    write_many(connection, SESSION, [row for row in counted if row is not None], overwrite)
    for session_id, row in zip(sorted(moved), counted, strict=True):
        if row is None:
            connection.execute(
                delete(SESSION).where(
                    SESSION.c.workspace_id == workspace_id, SESSION.c.id == session_id
                )
            )


def recount_session(connection: Connection, workspace_id: int, session_id: str) -> Row | None:
    """Work a `session` row out from its Logs; None: there are none."""
    session: Row | None = None
    rows = connection.execute(
        select(LOG).where(LOG.c.workspace_id == workspace_id, LOG.c.session_id == session_id)
    ).mappings()
    for row in rows:
        session = _fold_session(session, dict(row), contribution(dict(row)), 0)
    return session


def difference(node: Node) -> Sums:
    """Return what a changed Log adds beyond what it added before."""
    assert node.old is not None
    before, after = contribution(node.old), node.added()
    return {name: after[name] - before[name] for name in after}


def _moved(nodes: Sequence[Node], column: str) -> set[str]:
    """Return the traces or sessions that differences cannot bring up to date, to be recounted."""
    return {
        id_
        for node in nodes
        if node.old is not None and _moves(node)
        for id_ in (node.old[column], node.row[column])
        if id_ is not None
    }


def _moves(node: Node) -> bool:
    """Tell whether a change can make a first, a last or a membership wrong."""
    old, row = node.old, node.row
    assert old is not None
    return (
        old["start_ns"] != row["start_ns"]
        or (old["session_id"] is not None and old["session_id"] != row["session_id"])
        or (old["trace_id"] is not None and old["trace_id"] != row["trace_id"])
        or (old["user"] is not None and old["user"] != row["user"])
        or old["trace_parent_id"] != row["trace_parent_id"]
        or (old["end_ns"] or 0) > (row["end_ns"] or 0)
    )


def _fold_session(session: Row | None, row: Row, sums: Sums, now_ns: int) -> Row:
    last_ns = max(row["start_ns"], row["end_ns"] or 0)
    if session is None:
        session = {
            "workspace_id": row["workspace_id"],
            "id": row["session_id"],
            "user": None,
            "user_start_ns": None,
            "start_ns": row["start_ns"],
            "last_ns": last_ns,
            **dict.fromkeys(SESSION_SUMS, 0),
            "last_received_ns": row["received_ns"],
        }
    for name in SESSION_SUMS:
        session[name] += sums[name]
    session["start_ns"] = min(session["start_ns"], row["start_ns"])
    session["last_ns"] = max(session["last_ns"], last_ns)
    session["last_received_ns"] = max(session["last_received_ns"], row["received_ns"], now_ns)
    if row["user"] is not None and _is_before(
        row["start_ns"], row["user"], session["user_start_ns"], session["user"]
    ):
        session["user_start_ns"], session["user"] = row["start_ns"], row["user"]
    return session


def _add(connection: Connection, rows: list[Row]) -> None:
    """Add to `session` rows in the database itself: other processes add to the same ones."""
    write_many(connection, SESSION, rows, _add_up)


def _add_up(statement: Any, _names: tuple[str, ...]) -> Any:
    new, old = statement.excluded, SESSION.c
    is_earlier = old.user_start_ns.is_(None) | (
        new.user_start_ns.is_not(None)
        & (
            (new.user_start_ns < old.user_start_ns)
            | ((new.user_start_ns == old.user_start_ns) & (new.user < old.user))
        )
    )
    changes: dict[str, Any] = {name: old[name] + new[name] for name in SESSION_SUMS}
    changes["start_ns"] = case((new.start_ns < old.start_ns, new.start_ns), else_=old.start_ns)
    for name in ("last_ns", "last_received_ns"):
        changes[name] = case((new[name] > old[name], new[name]), else_=old[name])
    for name in ("user", "user_start_ns"):
        changes[name] = case((is_earlier, new[name]), else_=old[name])
    return statement.on_conflict_do_update(index_elements=["workspace_id", "id"], set_=changes)


def _latest(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)


def _is_before(
    start_ns: int, name: str, other_start_ns: int | None, other_name: str | None
) -> bool:
    if other_start_ns is None or other_name is None:
        return True
    return (start_ns, name) < (other_start_ns, other_name)
