"""Every page, one line each."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from kibitz_collector.ui.pages import (
    alerts,
    docs,
    evaluations,
    health,
    log,
    login,
    logs,
    monitors,
    sessions,
)


def home(request: Request) -> Response:
    """Lead to the Logs."""
    return RedirectResponse("/logs", 307)


def favicon(request: Request) -> Response:
    """Lead browsers that ask without looking to the icon."""
    return RedirectResponse("/static/icon.svg", 301)


routes: list[BaseRoute] = [
    Route("/", home),
    Route("/favicon.ico", favicon),
    *login.routes,
    *logs.routes,
    *log.routes,
    *sessions.routes,
    *monitors.routes,
    *evaluations.routes,
    *alerts.routes,
    *health.routes,
    *docs.routes,
    Mount("/static", StaticFiles(directory=Path(__file__).parent / "static")),
]
