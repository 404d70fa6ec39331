"""One Log in its trace: tree on the left, everything about it on the right, judgments by hand."""

from dataclasses import dataclass
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from kibitz_collector.access.http import context, full_context
from kibitz_collector.errors import CollectorError
from kibitz_collector.evaluate.feedback import give_judgment
from kibitz_collector.records import LogSummary
from kibitz_collector.store.queries import logs as log_queries
from kibitz_collector.store.queries.trees import order_tree
from kibitz_collector.ui.forms import read_form
from kibitz_collector.ui.messages import shown_messages
from kibitz_collector.ui.render import page


@dataclass(frozen=True, slots=True)
class Branch:
    """One line of the tree; `left` and `width` place its bar, in thousandths of the trace."""

    log: LogSummary
    depth: int
    is_orphan: bool
    left: int
    width: int


def log_page(request: Request) -> Response:
    """Render one Log."""
    caller = context(request)
    log_id = request.path_params["log_id"]
    with caller.store.read() as session:
        detail = log_queries.get_log(session, caller.workspace_id, log_id)
        log = detail.summary
        trace = (
            log_queries.get_trace(session, caller.workspace_id, log.trace_id)
            if log.trace_id
            else [log]
        )
        totals = (
            log_queries.trace_totals(session, caller.workspace_id, log.trace_id)
            if log.trace_id
            else None
        )
    return page(
        request,
        "log.html",
        section="logs",
        title=log.file_path or log.name,
        log=log,
        body=detail.body,
        messages=shown_messages(detail.body),
        tree=_branches(trace),
        totals=totals,
        problem=request.query_params.get("problem", ""),
    )


def _branches(trace: list[LogSummary]) -> list[Branch]:
    """Lay out a trace's Logs; judgments hang under the Log they judge, not in the tree."""
    calls = [log for log in trace if log.parent_id is None] or trace
    start = min(log.start_ns for log in calls)
    end = max(log.end_ns or log.start_ns for log in calls)
    whole = max(1, end - start)
    branches = []
    for depth, log, is_orphan in order_tree(calls):
        left = round(1000 * (log.start_ns - start) / whole)
        width = round(1000 * max(0, (log.end_ns or end) - log.start_ns) / whole)
        branches.append(
            Branch(log, depth, is_orphan, min(left, 996), max(4, min(width, 1000 - left)))
        )
    return branches


async def judge(request: Request) -> Response:
    """Take a judgment given by hand, then show the Log again."""
    caller = await run_in_threadpool(full_context, request)
    log_id = request.path_params["log_id"]
    form = await read_form(request)
    name, value = form.get("evaluator", "rating"), form.get("value", "").strip()
    target = f"/logs/{quote(log_id, safe='')}"
    try:
        await run_in_threadpool(
            give_judgment, caller.store, caller.workspace_id, log_id, name, value or None
        )
    except CollectorError as error:
        return RedirectResponse(f"{target}?problem={quote(error.message)}#judgments", 303)
    return RedirectResponse(f"{target}#judgments", 303)


routes = [
    Route("/logs/{log_id:path}/judge", judge, methods=["POST"]),
    Route("/logs/{log_id:path}", log_page),
]
