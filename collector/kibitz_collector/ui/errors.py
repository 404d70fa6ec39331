"""Error pages for people; programs get JSON."""

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from kibitz_collector.errors import CollectorError, Unauthorized
from kibitz_collector.ui.render import page

_FOR_PROGRAMS = ("/api/", "/v1/", "/v4/", "/v5/")


def ui_error(request: Request, error: CollectorError) -> Response | None:
    """Return the page for an error, or None when the caller is a program."""
    wants_page = "text/html" in request.headers.get("accept", "")
    if not wants_page or request.url.path.startswith(_FOR_PROGRAMS):
        return None
    if isinstance(error, Unauthorized):
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?next={quote(target)}", 303)
    return page(request, "error.html", error.status, section="", title="Error", error=error)
