"""Reads sessions: the list of conversations, one of them, and its Logs."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, func, select, tuple_
from sqlmodel import Session

from kibitz_collector.errors import NotFound
from kibitz_collector.records import LogSummary, Page, SessionSummary
from kibitz_collector.store.filters import LOG
from kibitz_collector.store.queries.cursors import read_cursor, write_cursor
from kibitz_collector.store.queries.summaries import BODY, read_summaries, select_summaries
from kibitz_collector.store.rows import table
from kibitz_collector.store.tables.logs import SessionRow, Trace

SESSION, TRACE = table(SessionRow), table(Trace)
MAX_LIMIT = 500
MAX_SESSION_LOGS = 10_000


def list_sessions(
    session: Session, workspace_id: int, *, cursor: str | None = None, limit: int = 50
) -> Page[SessionSummary]:
    """List conversations, the last active first.

    Raises: BadQuery: the cursor is not one of ours.
    """
    limit = max(1, min(limit, MAX_LIMIT))
    statement = (
        _select(workspace_id)
        .order_by(SESSION.c.last_ns.desc(), SESSION.c.id.desc())
        .limit(limit + 1)
    )
    if cursor is not None:
        last_ns, session_id = read_cursor(cursor, int, str)
        statement = statement.where(
            tuple_(SESSION.c.last_ns, SESSION.c.id) < tuple_(last_ns, session_id)
        )
    rows = session.connection().execute(statement).mappings().all()
    items = _summaries(session, rows[:limit])
    more = write_cursor(items[-1].last_ns, items[-1].id) if len(rows) > limit else None
    return Page(items=items, next_cursor=more)


def get_session(session: Session, workspace_id: int, session_id: str) -> SessionSummary:
    """Return one conversation.

    Raises: NotFound.
    """
    statement = _select(workspace_id).where(SESSION.c.id == session_id)
    rows = session.connection().execute(statement).mappings().all()
    if not rows:
        raise NotFound(f"no session {session_id!r}")
    return _summaries(session, rows)[0]


def session_logs(session: Session, workspace_id: int, session_id: str) -> list[LogSummary]:
    """Return the Logs of a conversation by start, judgments and hidden spans left out."""
    statement = (
        select_summaries()
        .where(
            LOG.c.workspace_id == workspace_id,
            LOG.c.session_id == session_id,
            LOG.c.is_hidden.is_(False),
            LOG.c.parent_id.is_(None),
        )
        .order_by(LOG.c.start_ns, LOG.c.seq)
        .limit(MAX_SESSION_LOGS)
    )
    rows = session.connection().execute(statement).all()
    return read_summaries(session, workspace_id, rows)


def _select(workspace_id: int) -> Select[Any]:
    traces = (
        select(func.count())
        .where(TRACE.c.workspace_id == workspace_id, TRACE.c.session_id == SESSION.c.id)
        .scalar_subquery()
    )
    first = (
        select(LOG.c.seq)
        .where(
            LOG.c.workspace_id == workspace_id,
            LOG.c.session_id == SESSION.c.id,
            LOG.c.is_top.is_(True),
            LOG.c.parent_id.is_(None),
        )
        .order_by(LOG.c.start_ns, LOG.c.seq)
        .limit(1)
        .scalar_subquery()
    )
    return select(SESSION, traces.label("trace_count"), first.label("first_seq")).where(
        SESSION.c.workspace_id == workspace_id
    )


def _summaries(session: Session, rows: Sequence[Any]) -> list[SessionSummary]:
    seqs = [row["first_seq"] for row in rows if row["first_seq"] is not None]
    found = session.connection().execute(
        select(BODY.c.seq, BODY.c.preview_input).where(BODY.c.seq.in_(seqs))
    )
    inputs = {seq: preview for seq, preview in found}
    return [
        SessionSummary(
            id=row["id"],
            user=row["user"],
            trace_count=row["trace_count"],
            log_count=row["log_count"],
            error_count=row["error_count"],
            cost_usd=row["cost_nusd"] / 1e9 if row["priced_count"] else None,
            tokens_total=row["tokens_total"] if row["usage_count"] else None,
            start_ns=row["start_ns"],
            last_ns=row["last_ns"],
            first_input=inputs.get(row["first_seq"], ""),
        )
        for row in rows
    ]
