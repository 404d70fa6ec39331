"""Deletes Logs with all that is theirs: bodies, metadata, judgments, index entries, sums, jobs."""

import time
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Table, delete, select, update
from sqlalchemy.engine import Connection
from sqlmodel import Session

from kibitz_collector.store import dialect, search
from kibitz_collector.store.rows import Row, table
from kibitz_collector.store.tables.jobs import Job
from kibitz_collector.store.tables.logs import LogBody as LogBodyTable
from kibitz_collector.store.tables.logs import LogMetadata
from kibitz_collector.store.writes.cover import uncover
from kibitz_collector.store.writes.judgments import JUDGMENT, supersede
from kibitz_collector.store.writes.rollups import take_from_rollups, update_rollups
from kibitz_collector.store.writes.traces import TRACE, recount
from kibitz_collector.store.writes.tree import LOG, Tree, load_rows

BODY, METADATA, JOB = table(LogBodyTable), table(LogMetadata), table(Job)
_CHUNK = 400
_MAX_DEPTH = 8


def remove_logs(session: Session, workspace_id: int, log_ids: Iterable[str]) -> int:
    """Delete these Logs and the judgments of them; returns how many Logs are gone.

    Logs below them stay, as orphans; ids that are not there are left alone.
    """
    connection, now_ns = session.connection(), time.time_ns()
    dialect.lock_traces(connection, workspace_id, None, now_ns)
    rows = _with_judgments(connection, workspace_id, load_rows(connection, workspace_id, log_ids))
    if not rows:
        return 0
    ids, seqs = sorted(rows), sorted(row["seq"] for row in rows.values())
    tree = Tree()
    uncover(connection, workspace_id, tree, rows.values(), frozenset(ids))
    indexed = search.texts_of(session, seqs)
    judgments = _delete_all(connection, workspace_id, ids, seqs)
    search.forget(connection, seqs, indexed)
    changed = [node for node in tree.nodes.values() if node.is_changed]
    for node in changed:
        connection.execute(update(LOG).where(LOG.c.seq == node.row["seq"]).values(is_covered=False))
    supersede(connection, workspace_id, judgments)
    touched = [*rows.values(), *(node.row for node in changed)]
    _recount(connection, workspace_id, touched, now_ns)
    update_rollups(connection, changed)
    take_from_rollups(connection, rows.values())
    return len(rows)


def _with_judgments(
    connection: Connection, workspace_id: int, rows: dict[str, Row]
) -> dict[str, Row]:
    """Add what judges these Logs, and what judges that."""
    found = dict(rows)
    level = set(rows)
    for _depth in range(_MAX_DEPTH):
        above: dict[str, Row] = {}
        for part in _chunks(sorted(level)):
            above.update(
                (row["id"], dict(row))
                for row in connection.execute(
                    select(LOG).where(LOG.c.workspace_id == workspace_id, LOG.c.parent_id.in_(part))
                ).mappings()
            )
        level = above.keys() - found.keys()
        if not level:
            break
        found |= above
    return found


def _delete_all(
    connection: Connection, workspace_id: int, ids: Sequence[str], seqs: Sequence[int]
) -> list[Row]:
    """Delete the rows of every table; returns the judgments among them."""
    judgments: list[Row] = []
    for part in _chunks(seqs):
        found = connection.execute(select(JUDGMENT).where(JUDGMENT.c.seq.in_(part)))
        judgments += [dict(row) for row in found.mappings()]
        owned: tuple[Table, ...] = (LOG, BODY, METADATA, JUDGMENT)
        for target in owned:
            connection.execute(delete(target).where(target.c.seq.in_(part)))
    for part in _chunks(ids):
        connection.execute(
            delete(JOB).where(JOB.c.workspace_id == workspace_id, JOB.c.log_id.in_(part))
        )
        # Their children have no parent any more: the tops of what is left.
        connection.execute(
            update(LOG)
            .where(LOG.c.workspace_id == workspace_id, LOG.c.trace_parent_id.in_(part))
            .values(is_top=True)
        )
    return judgments


def _recount(connection: Connection, workspace_id: int, rows: Sequence[Row], now_ns: int) -> None:
    trace_ids = {row["trace_id"] for row in rows} - {None}
    recount(
        connection,
        workspace_id,
        trace_ids=trace_ids,
        session_ids={row["session_id"] for row in rows} - {None},
        now_ns=now_ns,
    )
    for part in _chunks(sorted(trace_ids)):
        without = select(TRACE.c.trace_id).where(
            TRACE.c.workspace_id == workspace_id,
            TRACE.c.trace_id.in_(part),
            TRACE.c.genai_count == 0,
        )
        # A trace that has lost its last GenAI Log is one of plain spans again.
        connection.execute(
            update(LOG)
            .where(
                LOG.c.workspace_id == workspace_id,
                LOG.c.trace_id.in_(without),
                LOG.c.is_genai.is_(False),
            )
            .values(is_hidden=True)
        )


def _chunks(items: Sequence[Any]) -> list[Sequence[Any]]:
    return [items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK)]
