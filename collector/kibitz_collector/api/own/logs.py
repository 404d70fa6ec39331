"""`/api/logs`, `/api/traces`, `/api/sessions`: what was stored, searched and read."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from kibitz_collector.access.http import Context, full_context
from kibitz_collector.api.bodies import JsonRoute
from kibitz_collector.query import parse
from kibitz_collector.records import LogDetail, LogSummary
from kibitz_collector.store.queries import logs as log_queries
from kibitz_collector.store.queries import sessions as session_queries

router = APIRouter(prefix="/api", tags=["logs"], route_class=JsonRoute)
Caller = Annotated[Context, Depends(full_context)]
Row = dict[str, Any]


class Listing(BaseModel):
    """One page, newest first."""

    items: list[Row]
    next_cursor: str | None = Field(
        description="pass it as `cursor` for the next page; null: no more"
    )


class Trace(BaseModel):
    """All Logs of a trace, whole, and its sums."""

    logs: list[Row]
    totals: Row


@router.get("/logs")
def list_logs(
    caller: Caller,
    q: Annotated[str, Query(description="filter text, as on the Logs page")] = "",
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    roots_only: bool = False,
    include_hidden: Annotated[bool, Query(description="also spans that are no GenAI call")] = False,
) -> Listing:
    """List Logs that match a filter."""
    with caller.store.read() as session:
        page = log_queries.list_logs(
            session,
            caller.workspace_id,
            where=parse(q),
            cursor=cursor,
            limit=limit,
            roots_only=roots_only,
            include_hidden=include_hidden,
        )
    return Listing(items=[summary_row(log) for log in page.items], next_cursor=page.next_cursor)


@router.get("/logs/after/{seq}")
def list_after(
    caller: Caller, seq: int, q: str = "", limit: Annotated[int, Query(ge=1, le=500)] = 100
) -> Listing:
    """List what was stored after a `seq`, oldest first: how `kibitz tail` follows."""
    with caller.store.read() as session:
        logs = log_queries.list_after(session, caller.workspace_id, seq, limit, where=parse(q))
    return Listing(items=[summary_row(log) for log in logs], next_cursor=None)


@router.get("/logs/{log_id:path}")
def get_log(caller: Caller, log_id: str) -> Row:
    """Return one Log, whole."""
    with caller.store.read() as session:
        return detail_row(log_queries.get_log(session, caller.workspace_id, log_id))


@router.get("/traces/{trace_id}")
def get_trace(caller: Caller, trace_id: str) -> Trace:
    """Return every Log of a trace, and the sums over its model calls."""
    with caller.store.read() as session:
        details = log_queries.get_trace_details(session, caller.workspace_id, trace_id)
        totals = log_queries.trace_totals(session, caller.workspace_id, trace_id)
    return Trace(logs=[detail_row(detail) for detail in details], totals=asdict(totals))


@router.get("/sessions")
def list_sessions(
    caller: Caller, cursor: str | None = None, limit: Annotated[int, Query(ge=1, le=500)] = 50
) -> Listing:
    """List conversations, the last active first."""
    with caller.store.read() as session:
        page = session_queries.list_sessions(
            session, caller.workspace_id, cursor=cursor, limit=limit
        )
    return Listing(items=[asdict(one) for one in page.items], next_cursor=page.next_cursor)


@router.get("/sessions/{session_id:path}")
def get_session(caller: Caller, session_id: str) -> Row:
    """Return one conversation and the Logs of it."""
    with caller.store.read() as session:
        found = session_queries.get_session(session, caller.workspace_id, session_id)
        logs = session_queries.session_logs(session, caller.workspace_id, session_id)
    return asdict(found) | {"logs": [summary_row(log) for log in logs]}


def summary_row(log: LogSummary) -> Row:
    """Shape a Log for JSON; judgments carry their plain value."""
    row = asdict(log)
    for shaped, judgment in zip(row["judgments"], log.judgments, strict=True):
        shaped["value"] = judgment.value
    return row


def detail_row(detail: LogDetail) -> Row:
    """Shape a whole Log for JSON: the narrow row and the body side by side."""
    return summary_row(detail.summary) | {"body": asdict(detail.body)}
