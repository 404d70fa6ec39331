"""The Logs page: filter, chart, list, and its live stream."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from kibitz_collector.access.http import Context, context
from kibitz_collector.errors import BadQuery
from kibitz_collector.query import parse
from kibitz_collector.query.ast import EVERYTHING, And, Comparison, Node
from kibitz_collector.query.fields import FIELDS
from kibitz_collector.records import LogSummary, Page
from kibitz_collector.store.queries import logs as log_queries
from kibitz_collector.store.queries import series as series_queries
from kibitz_collector.ui import charts
from kibitz_collector.ui.pages.health import losses_today
from kibitz_collector.ui.render import SECURITY_HEADERS, fragment, page

_MINUTE_NS = 60_000_000_000
_RANGES = {
    "1h": ("hour", 60 * _MINUTE_NS, _MINUTE_NS),
    "24h": ("24 hours", 24 * 60 * _MINUTE_NS, 30 * _MINUTE_NS),
    "7d": ("7 days", 7 * 24 * 60 * _MINUTE_NS, 3 * 60 * _MINUTE_NS),
    "30d": ("30 days", 30 * 24 * 60 * _MINUTE_NS, 12 * 60 * _MINUTE_NS),
    # Client clocks lie: whatever says it happened in 1970 or 2100 is found here.
    "all": ("30 days", 30 * 24 * 60 * _MINUTE_NS, 12 * 60 * _MINUTE_NS),
}
_QUICK = [
    ("Errors", "status:error"),
    ("Model calls", "kind:prompt"),
    ("Tools", "kind:tool"),
    ("Slow", "latency>5s"),
    ("Judged", "has:judgment"),
]
_LIVE_POLL_S = 0.5
_LIVE_BATCH = 50


def logs_page(request: Request) -> Response:
    """Render the list."""
    caller = context(request)
    q = request.query_params.get("q", "").strip()
    chosen = request.query_params.get("range", "24h")
    range_key = chosen if chosen in _RANGES else "24h"
    view = "all" if request.query_params.get("view") == "all" else "traces"
    problem = ""
    where: Node = EVERYTHING
    try:
        where = parse(q)
    except BadQuery as error:
        problem = error.message
    values = _read(
        caller, where, request.query_params.get("cursor"), view, range_key, bool(problem)
    )
    return page(
        request,
        "logs.html",
        section="logs",
        title="Logs",
        q=q,
        view=view,
        range=range_key,
        ranges=[(key, "all" if key == "all" else label) for key, (label, _, _) in _RANGES.items()],
        range_label=_RANGES[range_key][0],
        quick=_QUICK,
        fields=[field for field in FIELDS.values()],
        problem=problem,
        losses=losses_today(caller),
        base_url=str(request.base_url).rstrip("/"),
        **values,
    )


def _read(
    caller: Context, where: Node, cursor: str | None, view: str, range_key: str, is_broken: bool
) -> dict[str, Any]:
    """Read rows and chart; a filter that does not parse shows an empty list, not everything."""
    if is_broken:
        return {
            "logs": Page[LogSummary](items=[]),
            "totals": {},
            "chart": None,
            "total": None,
            "newest_seq": 0,
        }
    _, span_ns, bucket_ns = _RANGES[range_key]
    end_ns = (time.time_ns() // bucket_ns + 1) * bucket_ns
    start_ns = end_ns - span_ns
    if range_key != "all":
        where = And((where, Comparison("started", ">=", float(start_ns))))
    with caller.store.read() as session:
        logs = log_queries.list_logs(
            session, caller.workspace_id, where=where, cursor=cursor, roots_only=view == "traces"
        )
        series = series_queries.log_series(
            session,
            caller.workspace_id,
            where,
            start_ns,
            end_ns,
            bucket_ns,
            percentiles=False,
        )
        newest = log_queries.newest_seq(session, caller.workspace_id)
        # A root's own tokens and cost are rarely known: in the list of traces it shows the sums.
        ids = [log.trace_id for log in logs.items if log.trace_id] if view == "traces" else []
        totals = log_queries.totals_of(session, caller.workspace_id, ids)
    points = [
        charts.Point(
            _label(bucket.start_ns, span_ns), (bucket.count - bucket.errors, bucket.errors)
        )
        for bucket in series
    ]
    total = sum(bucket.count for bucket in series)
    return {
        "logs": logs,
        "totals": totals,
        "chart": charts.bars(points, ("fine", "failed"), width=charts.FULL) if total else None,
        "total": total if total else None,
        "newest_seq": newest,
    }


def _label(bucket_ns: int, span_ns: int) -> str:
    pattern = "%H:%M" if span_ns <= 24 * 60 * _MINUTE_NS else "%d %b %H:%M"
    return time.strftime(pattern, time.gmtime(bucket_ns // 1_000_000_000))


async def live(request: Request) -> Response:
    """Stream rows that match the filter, as they are stored (server-sent events)."""
    caller = await run_in_threadpool(context, request)
    where = parse(request.query_params.get("q", ""))
    roots_only = request.query_params.get("view") != "all"
    try:
        after = int(request.query_params.get("after", "0"))
    except ValueError:
        after = 0
    return StreamingResponse(
        _events(request, caller, where, roots_only, after),
        media_type="text/event-stream",
        headers=SECURITY_HEADERS | {"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(
    request: Request, caller: Context, where: Node, roots_only: bool, after: int
) -> AsyncIterator[bytes]:
    yield b"retry: 2000\n\n"
    while not (request.app.state.is_stopping or await request.is_disconnected()):
        logs = await run_in_threadpool(_newer, caller, where, roots_only, after)
        for log in logs:
            after = max(after, log.seq)
            html = fragment("log_row.html", log=log)
            data = orjson.dumps({"id": log.id, "html": html})
            yield b"event: log\ndata: " + data + b"\n\n"
        if not logs:
            yield b": still here\n\n"
            await asyncio.sleep(_LIVE_POLL_S)


def _newer(caller: Context, where: Node, roots_only: bool, after: int) -> list[LogSummary]:
    with caller.store.read() as session:
        return log_queries.list_after(
            session, caller.workspace_id, after, _LIVE_BATCH, where=where, roots_only=roots_only
        )


routes = [Route("/logs", logs_page), Route("/logs/live", live)]
