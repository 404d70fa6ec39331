"""The collector as one ASGI application: routes, error bodies, and the workers of this process."""

import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from kibitz_collector import routes, workers
from kibitz_collector.access.http import KeyRing
from kibitz_collector.api.openapi import DocumentedApp
from kibitz_collector.config import Settings
from kibitz_collector.errors import CollectorError
from kibitz_collector.store import Store, open_store
from kibitz_collector.ui.errors import ui_error

log = logging.getLogger("kibitz.collector")


def create_app(settings: Settings, store: Store | None = None) -> FastAPI:
    """Build the application; workers start and stop with its lifespan.

    Raises: SetupError: the database cannot be used.
    """
    own_store = store is None
    opened = store or open_store(
        settings.database_url,
        match_monitors=settings.match_monitors,
        max_pending_bytes=settings.max_pending_bytes,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        running = workers.start(settings, opened, app.state.prices)
        app.state.workers = running
        app.state.sandbox = running.sandbox
        try:
            yield
        finally:
            await run_in_threadpool(running.stop, settings.grace_s)
            if own_store:
                await run_in_threadpool(opened.close)

    app = DocumentedApp(
        title="kibitz",
        version=version("kibitz"),
        lifespan=lifespan,
        docs_url=None,  # FastAPI's page loads scripts from a CDN; ours works air-gapped
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.state.settings = settings
    app.state.store = opened
    app.state.keys = KeyRing(opened)
    app.state.prices = workers.own_prices(settings)
    app.state.is_stopping = False
    app.state.workers = None
    app.state.sandbox = None  # until the lifespan has started one
    routes.mount(app)
    app.add_exception_handler(CollectorError, _collector_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected_error)
    app.add_middleware(_SoundAddress)
    return app


def stop_soon(app: FastAPI) -> None:
    """Ask streams and workers to end; returns at once. The lifespan's end waits for them."""
    app.state.is_stopping = True
    app.state.store.hurry()
    if app.state.workers is not None:
        app.state.workers.request_stop(app.state.settings.grace_s)


class _SoundAddress:
    """Collapses repeated slashes: a base URL with a trailing one is no reason to lose data.

    Refuses NUL in addresses: nothing is called so, and PostgreSQL cannot even be asked.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["path"]
            if "\0" in path or b"%00" in scope["query_string"] or b"\0" in scope["query_string"]:
                message = "the address has a NUL character (%00) in it; take it out"
                refusal = JSONResponse(error_body(path, "bad_payload", message), 400)
                await refusal(scope, receive, send)
                return
            while "//" in path:
                path = path.replace("//", "/")
            if path != scope["path"]:
                scope = {**scope, "path": path}
        await self._app(scope, receive, send)


def error_body(path: str, code: str, message: str) -> dict[str, Any]:
    """Return an error body: the one form of ours, or that of the contract a path belongs to."""
    if re.match(r"/+v[45](/|$)", path):
        return {"detail": message}
    return {"error": {"type": code, "message": message}}


async def _collector_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, CollectorError)
    page = ui_error(request, error)
    if page is not None:
        return page
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    body = error_body(request.url.path, error.code, error.message)
    return JSONResponse(body, error.status, headers)


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    where = "; ".join(
        f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
        for problem in error.errors()[:10]
    )
    return JSONResponse(error_body(request.url.path, "invalid", where), 422)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http")
    path = request.url.path
    message = f"{request.method} {path}: {error.detail}"
    headers = error.headers
    if error.status_code == 405:
        headers = {**(headers or {}), "Allow": ", ".join(_allowed(request))}
    return JSONResponse(error_body(path, code, message), error.status_code, headers)


def _allowed(request: Request) -> list[str]:
    """Return all methods of an address; Starlette names those of its first route only."""
    routes = request.app.router.routes
    return [
        method
        for method in ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes
        )
    ]


async def _unexpected_error(request: Request, error: Exception) -> Response:
    # Starlette logs the traceback and re-raises to the server after this answer was sent.
    body = error_body(request.url.path, "internal", "the collector failed; see its log")
    return JSONResponse(body, 500)
