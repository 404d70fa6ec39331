"""Keeps the `trace` and `session` rows: sums by differences, first and last by comparison."""

from collections.abc import Iterable, Sequence
from operator import sub
from typing import Any

from sqlalchemy import Select, case, delete, select
from sqlalchemy.engine import Connection

from kibitz_collector.store.bulk import is_among, overwrite, write_many, write_tuples
from kibitz_collector.store.contribution import (
    SESSION_SUMS,
    TRACE_SUMS,
    Sums,
    add_up,
    contribution,
    picker,
)
from kibitz_collector.store.rows import Row, table
from kibitz_collector.store.tables.logs import SessionRow, Trace
from kibitz_collector.store.writes.tree import LOG, Node

TRACE, SESSION = table(Trace), table(SessionRow)
_pick_trace, _pick_session = picker(TRACE_SUMS), picker(SESSION_SUMS)


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


def fold_trace(trace: Row | None, rows: Sequence[Row], added: Sequence[Sums], now_ns: int) -> Row:
    """Return the trace with more Logs: what each adds (or, of a changed one, the difference)."""
    first = rows[0]
    if trace is None:
        trace = {
            "workspace_id": first["workspace_id"],
            "trace_id": first["trace_id"],
            "root_id": None,
            "root_start_ns": None,
            "session_id": None,
            "session_start_ns": None,
            "start_ns": first["start_ns"],
            "end_ns": None,
            **dict.fromkeys(TRACE_SUMS, 0),
            "first_received_ns": first["received_ns"],
            "last_received_ns": first["received_ns"],
            "completed_ns": None,
        }
    for name, amount in zip(TRACE_SUMS, _pick_trace(add_up(added)), strict=True):
        trace[name] += amount
    trace["start_ns"] = min(trace["start_ns"], *[row["start_ns"] for row in rows])
    ends = [row["end_ns"] for row in (trace, *rows) if row["end_ns"] is not None]
    trace["end_ns"] = max(ends, default=None)
    received = [row["received_ns"] for row in rows]
    trace["first_received_ns"] = min(trace["first_received_ns"], *received)
    trace["last_received_ns"] = max(trace["last_received_ns"], *received, now_ns)
    trace["session_start_ns"], trace["session_id"] = _first(
        (trace["session_start_ns"], trace["session_id"]),
        [(row["start_ns"], row["session_id"]) for row in rows if row["session_id"] is not None],
    )
    for row in rows:
        if row["trace_parent_id"] is None:
            _fold_root(trace, row)
    return trace


def _fold_root(trace: Row, row: Row) -> None:
    start_ns, id_ = _first(
        (trace["root_start_ns"], trace["root_id"]), [(row["start_ns"], row["id"])]
    )
    trace["root_start_ns"], trace["root_id"] = start_ns, id_
    if id_ == row["id"]:
        trace["completed_ns"] = row["final_ns"]


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
    for trace_id, (rows, added) in _group(nodes, "trace_id", moved).items():
        touched[trace_id] = fold_trace(traces.get(trace_id), rows, added, now_ns)
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
    rows = _read(
        connection,
        select(LOG).where(LOG.c.workspace_id == workspace_id, LOG.c.trace_id == trace_id),
    )
    return fold_trace(None, rows, [contribution(row) for row in rows], 0) if rows else None


def update_sessions(
    connection: Connection, workspace_id: int, nodes: Sequence[Node], now_ns: int
) -> None:
    """Write the `session` rows of changed Logs."""
    moved = _moved(nodes, "session_id")
    groups = _group(nodes, "session_id", moved)
    # Added in the database itself: other processes add to the same ones.
    changes = [_sum_session(*groups[session_id], now_ns) for session_id in sorted(groups)]
    write_tuples(connection, SESSION, _SESSION_COLUMNS, changes, _add_up)
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
    rows = _read(
        connection,
        select(LOG).where(LOG.c.workspace_id == workspace_id, LOG.c.session_id == session_id),
    )
    if not rows:
        return None
    sums = _sum_session(rows, [contribution(row) for row in rows], 0)
    return dict(zip(_SESSION_COLUMNS, sums, strict=True))


def difference(node: Node) -> Sums:
    """Return what a changed Log adds beyond what it added before."""
    assert node.old is not None
    return tuple(map(sub, node.added(), contribution(node.old)))


def _group(
    nodes: Iterable[Node], column: str, left_out: set[str]
) -> dict[str, tuple[list[Row], list[Sums]]]:
    """Return by trace or session the rows of these Logs and what each adds to it."""
    groups: dict[str, tuple[list[Row], list[Sums]]] = {}
    for node in nodes:
        row, old = node.row, node.old
        id_ = row[column]
        if id_ is None or id_ in left_out:
            continue
        if id_ not in groups:
            groups[id_] = ([], [])
        rows, added = groups[id_]
        rows.append(row)
        is_known = old is not None and old[column] == id_
        added.append(difference(node) if is_known else node.added())
    return groups


def _read(connection: Connection, statement: Select[Any]) -> list[Row]:
    return [dict(row) for row in connection.execute(statement).mappings()]


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


def _sum_session(rows: Sequence[Row], added: Sequence[Sums], now_ns: int) -> tuple[Any, ...]:
    """Return what these Logs add to the row of their session, by `_SESSION_COLUMNS`."""
    first = rows[0]
    starts = [row["start_ns"] for row in rows]
    user_start_ns, user = _first(
        (None, None), [(row["start_ns"], row["user"]) for row in rows if row["user"] is not None]
    )
    return (
        first["workspace_id"],
        first["session_id"],
        user,
        user_start_ns,
        min(starts),
        max(*starts, *[row["end_ns"] or 0 for row in rows]),
        *_pick_session(add_up(added)),
        max(now_ns, *[row["received_ns"] for row in rows]),
    )


_SESSION_COLUMNS = (
    *("workspace_id", "id", "user", "user_start_ns", "start_ns", "last_ns"),
    *SESSION_SUMS,
    "last_received_ns",
)


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


def _first(
    known: tuple[int | None, str | None], more: Sequence[tuple[int, str]]
) -> tuple[int | None, str | None]:
    """Return the earliest (start, name); at one time the name decides."""
    start_ns, name = known
    if start_ns is None or name is None:
        return min(more) if more else known
    return min([(start_ns, name), *more])
