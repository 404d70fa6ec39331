"""Monitors: each evaluator with its chart, where it is attached, and how it behaves."""

import time
from dataclasses import dataclass
from typing import get_args
from urllib.parse import quote

from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from kibitz_collector.access.http import Context, context, full_context
from kibitz_collector.errors import CollectorError, Invalid
from kibitz_collector.evaluate.sandbox import Sandbox
from kibitz_collector.evaluate.source import check_evaluator
from kibitz_collector.records import ReturnType
from kibitz_collector.store.queries import evaluation, judgments
from kibitz_collector.store.queries.evaluation import EvaluatorView, MonitorView
from kibitz_collector.store.writes import evaluation as writes
from kibitz_collector.ui import charts
from kibitz_collector.ui.forms import read_form
from kibitz_collector.ui.render import page

_HOUR_NS = 3_600_000_000_000
_RANGES = {
    "1h": ("hour", _HOUR_NS, _HOUR_NS // 60),
    "24h": ("24 hours", 24 * _HOUR_NS, _HOUR_NS // 2),
    "7d": ("7 days", 7 * 24 * _HOUR_NS, 4 * _HOUR_NS),
}
_EXAMPLE = '''def evaluator(log):
    """Tell whether the answer is polite."""
    return "please" in (log["output"] or "").lower()
'''


_EMPTY = {"path": "", "code": _EXAMPLE, "return_type": "boolean", "options": "", "on": ""}


@dataclass(frozen=True, slots=True)
class Card:
    """One evaluator as the page draws it."""

    evaluator: EvaluatorView
    monitors: list[MonitorView]
    chart: Markup | None
    count: int
    mean: float | None
    errors: int


def monitors_page(request: Request) -> Response:
    """Render every evaluator."""
    return _render(request, context(request), _EMPTY, request.query_params.get("problem", ""))


def _render(
    request: Request, caller: Context, draft: dict[str, str], problem: str, status: int = 200
) -> Response:
    chosen = request.query_params.get("range", "24h")
    range_key = chosen if chosen in _RANGES else "24h"
    now_ns = time.time_ns()
    with caller.store.read() as session:
        evaluators = evaluation.list_evaluators(session, caller.workspace_id)
        monitors = evaluation.list_monitors(session, caller.workspace_id)
        jobs = evaluation.count_jobs(session, caller.workspace_id, now_ns)
    cards = [
        _card(caller, one, [m for m in monitors if m.evaluator.id == one.id], now_ns, range_key)
        for one in evaluators
    ]
    cards.sort(key=lambda card: (not card.monitors, card.count == 0))  # then by path, as they come
    return page(
        request,
        "monitors.html",
        status,
        section="monitors",
        title="Monitors",
        cards=cards,
        jobs=jobs,
        range=range_key,
        ranges=[(key, label) for key, (label, _, _) in _RANGES.items()],
        sandbox=request.app.state.sandbox,
        return_types=get_args(ReturnType),
        problem=problem,
        draft=draft,
    )


def _card(
    caller: Context,
    evaluator: EvaluatorView,
    monitors: list[MonitorView],
    now_ns: int,
    range_key: str,
) -> Card:
    _, span_ns, bucket_ns = _RANGES[range_key]
    with caller.store.read() as session:
        series = judgments.judgment_series(
            session, caller.workspace_id, evaluator.id, now_ns - span_ns, now_ns, bucket_ns
        )
    count = sum(judged for _, judged, _, _ in series)
    known = [(mean, judged - failed) for _, judged, mean, failed in series if mean is not None]
    weight = sum(judged for _, judged in known)
    mean = sum(value * judged for value, judged in known) / weight if weight else None
    errors = sum(failed for _, _, _, failed in series)
    chart = None
    if count:
        is_rate = evaluator.spec.return_type == "boolean"
        pattern = "%H:%M" if span_ns <= 24 * _HOUR_NS else "%d %b %H:%M"
        found = {start: (judged, value) for start, judged, value, _ in series}
        points = []
        for start in range(now_ns - span_ns, now_ns, bucket_ns):
            judged, value = found.get(start, (0, None))
            label = time.strftime(pattern, time.gmtime(start // 10**9))
            points.append(charts.Point(label, (value if weight else float(judged),)))
        name = ("pass rate" if is_rate else "mean") if weight else "judgments"
        chart = charts.lines(points, (name,), high=1 if is_rate else None)
    return Card(evaluator, monitors, chart, count, mean, errors)


async def create(request: Request) -> Response:
    """Save an evaluator from the form and attach it; what is refused stays in the form."""
    caller = await run_in_threadpool(full_context, request)
    draft = _EMPTY | await read_form(request)
    try:
        await run_in_threadpool(_save, caller, draft, request.app.state.sandbox)
    except CollectorError as error:
        return await run_in_threadpool(_render, request, caller, draft, error.message, error.status)
    return RedirectResponse("/monitors", 303)


def _save(caller: Context, draft: dict[str, str], sandbox: Sandbox | None) -> None:
    content = {
        "evaluator_type": "code",
        "code": draft["code"],
        "return_type": draft["return_type"],
        "options": [one.strip() for one in draft["options"].split(",") if one.strip()] or None,
    }
    check_evaluator(content, sandbox)
    with caller.store.write() as session:
        file_id, _ = writes.save_evaluator(
            session, caller.workspace_id, draft["path"].strip(), content
        )
        if draft["on"].strip():
            path, filter_text = writes.read_target(
                session, caller.workspace_id, draft["on"].strip()
            )
            writes.attach_monitor(
                session,
                caller.workspace_id,
                evaluator_id=file_id,
                file_path=path,
                filter_text=filter_text,
            )


async def change(request: Request) -> Response:
    """Switch a monitor on or off, detach it, or let a suspended evaluator run again."""
    caller = await run_in_threadpool(full_context, request)
    form = await read_form(request)
    try:
        await run_in_threadpool(_change, caller, form.get("action", ""), form.get("id", ""))
    except CollectorError as error:
        return RedirectResponse(f"/monitors?problem={quote(error.message)}", 303)
    return RedirectResponse("/monitors", 303)


def _change(caller: Context, action: str, subject: str) -> None:
    with caller.store.write() as session:
        match action:
            case "on" | "off":
                writes.set_monitor_active(
                    session, caller.workspace_id, subject, is_active=action == "on"
                )
            case "detach":
                writes.detach_monitor(session, caller.workspace_id, subject)
            case "resume":
                writes.resume_evaluator(session, caller.workspace_id, subject)
            case _:
                raise Invalid(f"no action {action!r}; known: on, off, detach, resume")
    caller.store.announce("jobs")


routes = [
    Route("/monitors", monitors_page, methods=["GET"]),
    Route("/monitors", create, methods=["POST"]),
    Route("/monitors/change", change, methods=["POST"]),
]
