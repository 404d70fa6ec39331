"""Health: what each sending process produced and what arrived, and what is in quarantine."""

import time

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from kibitz_collector.access.http import Context, context, full_context
from kibitz_collector.errors import Invalid
from kibitz_collector.receive.replay import replay
from kibitz_collector.store.queries import producers
from kibitz_collector.store.queries.producers import Losses
from kibitz_collector.store.writes import quarantine
from kibitz_collector.ui.forms import read_form
from kibitz_collector.ui.render import page

_DAY_NS = 24 * 3600 * 10**9
_MOST = 100


def losses_today(caller: Context) -> Losses:
    """Return what was lost or refused within a day: what the other pages warn of."""
    now_ns = time.time_ns()
    with caller.store.read() as session:
        return producers.losses(session, caller.workspace_id, now_ns, now_ns - _DAY_NS)


def health_page(request: Request) -> Response:
    """Render both lists."""
    return _render(request, context(request), "")


def _render(request: Request, caller: Context, problem: str) -> Response:
    with caller.store.read() as session:
        found = producers.list_producers(session, caller.workspace_id, _MOST)
        kept = quarantine.list_quarantined(session, caller.workspace_id, limit=_MOST)
    return page(
        request,
        "health.html",
        section="health",
        title="Health",
        producers=found,
        quarantined=kept,
        problem=problem,
        status=422 if problem else 200,
    )


async def replay_one(request: Request) -> Response:
    """Try a record in quarantine again."""
    caller = await run_in_threadpool(full_context, request)
    number = (await read_form(request)).get("id", "")
    if not number.isascii() or not number.isdecimal() or len(number) > 18:
        raise Invalid("the form names no record")
    refusal = await run_in_threadpool(replay, caller, int(number))
    if refusal is None:
        return RedirectResponse("/health", 303)
    return await run_in_threadpool(_render, request, caller, f"Still refused: {refusal}")


routes = [
    Route("/health", health_page),
    Route("/health/replay", replay_one, methods=["POST"]),
]
