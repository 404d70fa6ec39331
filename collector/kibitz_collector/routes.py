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
    providers,
)
from kibitz_collector.api.v5 import file_groups, flows, otel
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
    otel.router,
    flows.router,
    *file_groups.ROUTERS,
]
ROUTES: list[BaseRoute] = [*receive.routes, *health.routes, *ui.routes]


def mount(app: FastAPI) -> None:
    """Add every route to the application."""
    for router in ROUTERS:
        app.include_router(router)
    app.router.routes.extend(ROUTES)
