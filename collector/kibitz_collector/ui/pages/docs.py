"""`/docs`: the REST API, drawn from its own OpenAPI document without scripts from elsewhere."""

from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kibitz_collector.access.http import context
from kibitz_collector.query.fields import FIELDS
from kibitz_collector.ui.render import page

_METHODS = ("get", "post", "put", "patch", "delete")


def docs_page(request: Request) -> Response:
    """Render every operation by group."""
    context(request)
    app: FastAPI = request.app
    document = app.openapi()
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, item in document["paths"].items():
        for method in _METHODS:
            operation = item.get(method)
            if operation is None:
                continue
            entry = {"method": method.upper(), "path": path, **operation}
            entry.setdefault("parameters", [])
            groups.setdefault((operation.get("tags") or ["other"])[0], []).append(entry)
    return page(
        request,
        "docs.html",
        section="",
        title="API",
        groups=groups,
        schemas=document.get("components", {}).get("schemas", {}),
        fields=list(FIELDS.values()),
    )


routes = [Route("/docs", docs_page)]
