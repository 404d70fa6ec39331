"""Every route of the collector, one line per group."""

from fastapi import APIRouter, FastAPI
from starlette.routing import BaseRoute

from kibitz_collector import health
from kibitz_collector.api.own import (
    alerts,
    channels,
    environments,
    evaluators,
    judgments,
    keys,
    logs,
    monitors,
    producers,
    providers,
    quarantine,
)
from kibitz_collector.api.v5 import (
    agent_calls,
    agent_logs,
    evaluation_runs,
    evaluations,
    evaluator_logs,
    file_groups,
    flow_logs,
    otel,
    prompt_calls,
    prompt_logs,
    tool_calls,
    tool_logs,
)
from kibitz_collector.api.v5 import logs as v5_logs
from kibitz_collector.receive import http as receive
from kibitz_collector.ui import routes as ui

ROUTERS: list[APIRouter] = [
    logs.router,
    judgments.router,
    evaluators.router,
    monitors.router,
    alerts.router,
    channels.router,
    keys.router,
    environments.router,
    providers.router,
    producers.router,
    quarantine.router,
    otel.router,
    prompt_logs.router,
    tool_logs.router,
    flow_logs.router,
    agent_logs.router,
    evaluator_logs.router,
    v5_logs.router,
    prompt_calls.router,
    tool_calls.router,
    agent_calls.router,
    evaluations.router,
    evaluation_runs.router,
    *file_groups.ROUTERS,
]
ROUTES: list[BaseRoute] = [*receive.routes, *health.routes, *ui.routes]


def mount(app: FastAPI) -> None:
    """Add every route to the application: what must be fast first, for they are asked in order."""
    app.router.routes.extend(ROUTES)
    for router in ROUTERS:
        # Not `include_router`: it makes every route anew when the first request comes, for 0.3 s.
        app.router.routes.extend(router.routes)
