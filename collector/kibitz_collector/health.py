"""`/healthz`, `/readyz` and `/metrics`: is it alive, can it store, what does it count."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from kibitz_collector.access.http import context
from kibitz_collector.store import Store
from kibitz_collector.store.queries import overview


async def healthz(request: Request) -> Response:
    """Answer as long as the process runs."""
    return JSONResponse({"status": "ok"})


async def readyz(request: Request) -> Response:
    """Answer 200 once the database answers, else 503 with the reason."""
    store: Store = request.app.state.store
    try:
        await run_in_threadpool(_look, store)
    except Exception as error:  # whatever the database says is the answer here
        return JSONResponse({"status": "unavailable", "reason": str(error)[:500]}, 503)
    return JSONResponse({"status": "ready"})


async def metrics(request: Request) -> Response:
    """Return counters and gauges in the Prometheus text form; needs a key where there are keys."""
    caller = await run_in_threadpool(context, request)
    counters = await run_in_threadpool(_count, caller.store)
    workers = getattr(request.app.state, "workers", None)
    lines = [
        f"# TYPE kibitz_{name} gauge\nkibitz_{name} {value}" for name, value in counters.items()
    ]
    for loop in workers.loops if workers else []:
        lines.append(f'kibitz_worker_failures_in_a_row{{worker="{loop.name}"}} {loop.failures}')
    return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")


def _look(store: Store) -> None:
    with store.read() as session:
        overview.check(session)


def _count(store: Store) -> dict[str, float]:
    with store.read() as session:
        return overview.counters(session)


routes = [
    Route("/healthz", healthz),
    Route("/readyz", readyz),
    Route("/metrics", metrics),
]
