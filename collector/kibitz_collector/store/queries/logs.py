"""Reads Logs: listings, one Log, a trace, and what came after a `seq`."""

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, and_, func, or_, select, tuple_
from sqlmodel import Session

from kibitz_collector.errors import NotFound
from kibitz_collector.query.ast import EVERYTHING, And, Comparison, Node, Not, Or
from kibitz_collector.records import LogDetail, LogSummary, Page, Tokens, TraceTotals
from kibitz_collector.store import dialect
from kibitz_collector.store.bodies import decode_bodies
from kibitz_collector.store.filters import LOG, Condition, compile_filter
from kibitz_collector.store.queries.cursors import read_cursor, write_cursor
from kibitz_collector.store.queries.driven import MAX_SEQ, Driver, driver_of, read_driven
from kibitz_collector.store.queries.judgments import judgments_of
from kibitz_collector.store.queries.summaries import read_summaries, select_summaries
from kibitz_collector.store.queries.tops import stands_for_trace
from kibitz_collector.store.rows import TOKEN_COLUMNS, table
from kibitz_collector.store.tables.logs import Trace

TRACE = table(Trace)
MAX_LIMIT = 500
MAX_TRACE_LOGS = 10_000
"""Of a trace no more is read: a page or an evaluator could do nothing with it."""


def list_logs(
    session: Session,
    workspace_id: int,
    *,
    where: Node = EVERYTHING,
    cursor: str | None = None,
    limit: int = 50,
    roots_only: bool = False,
    include_hidden: bool = False,
) -> Page[LogSummary]:
    """List Logs that match, newest start first, with their judgments.

    A filter with words or a metadata value lists the newest arrival first.

    Plain spans of traces without a GenAI call are left out unless `include_hidden`; judgments too,
    unless the filter speaks of kinds, Files or ids.
    Raises: BadQuery: the cursor is not one of ours.
    """
    limit = max(1, min(limit, MAX_LIMIT))
    driver = driver_of(where)
    if driver is not None:
        return _list_driven(
            session, workspace_id, driver, where, cursor, limit, roots_only, include_hidden
        )
    conditions = [
        LOG.c.workspace_id == workspace_id,
        *_listed(workspace_id, where, roots_only, include_hidden),
    ]
    if cursor is not None:
        start_ns, seq = read_cursor(cursor, int, int)
        conditions.append(tuple_(LOG.c.start_ns, LOG.c.seq) < tuple_(start_ns, seq))
    statement = (
        select_summaries()
        .where(*conditions)
        .order_by(LOG.c.start_ns.desc(), LOG.c.seq.desc())
        .limit(limit + 1)
    )
    rows = session.connection().execute(statement).all()
    items = read_summaries(session, workspace_id, rows[:limit])
    more = write_cursor(items[-1].start_ns, items[-1].seq) if len(rows) > limit else None
    return Page(items=items, next_cursor=more)


def list_after(
    session: Session,
    workspace_id: int,
    seq: int,
    limit: int,
    *,
    where: Node = EVERYTHING,
    roots_only: bool = False,
    include_hidden: bool = False,
) -> list[LogSummary]:
    """List Logs that were stored after a `seq`, oldest first: how pages and `tail` follow.

    Up to where nothing can appear in between any more: a `seq` once passed hides nothing.
    """
    after = max(-(2**63), min(seq, 2**63 - 1))
    limit = max(1, min(limit, MAX_LIMIT))
    driver = driver_of(where)
    listed = _listed(workspace_id, where, roots_only, include_hidden, driver)
    settled = dialect.settled_seq(session.connection())
    if settled is not None:
        listed.append(LOG.c.seq <= settled)

    def page(newer: Condition) -> Select[Any]:
        return select_summaries().where(newer, _own(workspace_id), *listed)

    if driver is not None:
        rows = read_driven(session, workspace_id, driver, page, limit, after=after)
    else:
        statement = page(LOG.c.seq > after).order_by(LOG.c.seq).limit(limit)
        rows = list(session.connection().execute(statement))
    return read_summaries(session, workspace_id, rows)


def count_logs(
    session: Session,
    workspace_id: int,
    where: Node = EVERYTHING,
    *,
    roots_only: bool = False,
    include_hidden: bool = False,
) -> int:
    """Count the Logs a listing would show."""
    conditions = _listed(workspace_id, where, roots_only, include_hidden)
    own = LOG.c.workspace_id == workspace_id
    statement = select(func.count()).select_from(LOG).where(own, *conditions)
    return int(session.connection().execute(statement).scalar_one())


def newest_seq(session: Session, workspace_id: int) -> int:
    """Return the highest `seq` there is (0: no Log yet): from where to follow."""
    connection = session.connection()
    settled = dialect.settled_seq(connection)
    # Of all workspaces: one's own newest may be far back, and a look for it long.
    newest = int(connection.execute(select(func.max(LOG.c.seq))).scalar() or 0)
    return newest if settled is None else min(newest, settled)


def get_log(session: Session, workspace_id: int, log_id: str) -> LogDetail:
    """Return one Log, whole.

    Raises: NotFound.
    """
    statement = select_summaries(with_document=True).where(
        LOG.c.workspace_id == workspace_id, LOG.c.id == log_id
    )
    details = read_details(session, workspace_id, statement)
    if not details:
        raise NotFound(f"no Log {log_id!r}")
    judgments = judgments_of(session, workspace_id, [log_id], whole=True)
    details[0].summary.judgments = judgments.get(log_id, [])
    return details[0]


def get_logs(session: Session, workspace_id: int, log_ids: Sequence[str]) -> dict[str, LogDetail]:
    """Return up to some hundred Logs, whole, by id; those that are not there are left out."""
    statement = select_summaries(with_document=True).where(
        LOG.c.workspace_id == workspace_id, LOG.c.id.in_(log_ids)
    )
    details = read_details(session, workspace_id, statement)
    return {detail.summary.id: detail for detail in details}


def get_trace(session: Session, workspace_id: int, trace_id: str) -> list[LogSummary]:
    """Return the Logs of a trace by start; `trees.order_tree` makes a tree of them."""
    rows = session.connection().execute(_of_trace(select_summaries(), workspace_id, trace_id))
    return read_summaries(session, workspace_id, rows.all())


def get_trace_details(session: Session, workspace_id: int, trace_id: str) -> list[LogDetail]:
    """Return the Logs of a trace, whole, by start."""
    statement = _of_trace(select_summaries(with_document=True), workspace_id, trace_id)
    return read_details(session, workspace_id, statement)


def trace_totals(session: Session, workspace_id: int, trace_id: str) -> TraceTotals:
    """Return the sums over a trace's leaf model calls, kept while its Logs arrived.

    Raises: NotFound.
    """
    totals = totals_of(session, workspace_id, [trace_id])
    if trace_id not in totals:
        raise NotFound(f"no trace {trace_id!r}")
    return totals[trace_id]


def totals_of(
    session: Session, workspace_id: int, trace_ids: Sequence[str]
) -> dict[str, TraceTotals]:
    """Return the sums of several traces by id; those that are not there are left out."""
    statement = select(TRACE).where(
        TRACE.c.workspace_id == workspace_id, TRACE.c.trace_id.in_(trace_ids)
    )
    rows = session.connection().execute(statement).mappings()
    return {row["trace_id"]: _totals(row) for row in rows}


def _totals(row: Any) -> TraceTotals:
    counts = {column.removeprefix("tokens_"): row[column] for column in TOKEN_COLUMNS}
    return TraceTotals(
        log_count=row["log_count"],
        error_count=row["error_count"],
        cost_usd=row["cost_nusd"] / 1e9 if row["priced_count"] else None,
        tokens=Tokens(**counts) if row["usage_count"] else Tokens(),
        start_ns=row["start_ns"],
        end_ns=row["end_ns"],
    )


def _list_driven(
    session: Session,
    workspace_id: int,
    driver: Driver,
    where: Node,
    cursor: str | None,
    limit: int,
    roots_only: bool,
    include_hidden: bool,
) -> Page[LogSummary]:
    before = MAX_SEQ if cursor is None else int(read_cursor(cursor, int)[0])
    listed = _listed(workspace_id, where, roots_only, include_hidden, driver)

    def page(candidates: Condition) -> Select[Any]:
        return select_summaries().where(candidates, _own(workspace_id), *listed)

    rows = read_driven(session, workspace_id, driver, page, limit + 1, before=before)
    items = read_summaries(session, workspace_id, rows[:limit])
    return Page(items=items, next_cursor=write_cursor(items[-1].seq) if len(rows) > limit else None)


def _own(workspace_id: int) -> Condition:
    # "+ 0" keeps SQLite from going by the workspace and sorting all of it: `seq` is narrower.
    return LOG.c.workspace_id + 0 == workspace_id


def _listed(
    workspace_id: int,
    where: Node,
    roots_only: bool,
    include_hidden: bool,
    driver: Driver | None = None,
) -> list[Condition]:
    """Return the conditions of a listing, but for the workspace and what leads it."""
    conditions: list[Condition] = []
    if roots_only:
        conditions += stands_for_trace()
    if not include_hidden:
        conditions.append(LOG.c.is_hidden.is_(False))
        if not roots_only and not names_kind(where):
            conditions.append(or_(LOG.c.kind != "evaluator", LOG.c.parent_id.is_(None)))
    rest = where if driver is None else driver.rest
    conditions.append(compile_filter(rest, time.time_ns(), workspace_id=workspace_id))
    return conditions


def names_kind(node: Node) -> bool:
    """Say whether a filter speaks of kinds, Files or ids, so that judgments may be meant."""
    match node:
        case And(parts) | Or(parts):
            return any(names_kind(part) for part in parts)
        case Not(part):
            return names_kind(part)
        case Comparison(field="kind" | "file" | "id"):
            return True
        case _:
            return False


def _of_trace(statement: Select[Any], workspace_id: int, trace_id: str) -> Select[Any]:
    return (
        statement.where(and_(LOG.c.workspace_id == workspace_id, LOG.c.trace_id == trace_id))
        .order_by(LOG.c.start_ns, LOG.c.seq)
        .limit(MAX_TRACE_LOGS)
    )


def read_details(session: Session, workspace_id: int, statement: Select[Any]) -> list[LogDetail]:
    """Return the Logs that a statement of `select_summaries(with_document=True)` finds."""
    rows = session.connection().execute(statement).all()
    summaries = read_summaries(session, workspace_id, rows)
    bodies = decode_bodies(session, workspace_id, [row.document for row in rows])
    return [
        LogDetail(summary=summary, body=body)
        for summary, body in zip(summaries, bodies, strict=True)
    ]
