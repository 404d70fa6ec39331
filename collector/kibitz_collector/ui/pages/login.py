"""The login page: a key is asked for once and becomes an HttpOnly cookie."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from kibitz_collector.access.http import COOKIE, KeyRing, refuse_foreign_page
from kibitz_collector.access.keys import COOKIE_DAYS, make_cookie
from kibitz_collector.ui.forms import read_form
from kibitz_collector.ui.render import page


def login_page(request: Request) -> Response:
    """Ask for a key."""
    return _ask(request, request.query_params.get("next", "/"), "")


async def login(request: Request) -> Response:
    """Check the key and set the cookie."""
    refuse_foreign_page(request)
    form = await read_form(request)
    target = _own_path(form.get("next", "/"))
    ring: KeyRing = request.app.state.keys
    key = await run_in_threadpool(ring.by_text, form.get("key", "").strip())
    if key is None:
        return _ask(request, target, "This key is not known here.", 401)
    if key.role != "full":
        return _ask(request, target, "This key may only send; the pages need role 'full'.", 403)
    response = RedirectResponse(target, 303)
    response.set_cookie(
        COOKIE,
        make_cookie(key.id, key.hash),
        max_age=COOKIE_DAYS * 86400,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return response


async def logout(request: Request) -> Response:
    """Forget the cookie."""
    refuse_foreign_page(request)
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE)
    return response


def _ask(request: Request, target: str, problem: str, status: int = 200) -> Response:
    return page(
        request,
        "login.html",
        status,
        section="",
        title="Key",
        next=_own_path(target),
        problem=problem,
    )


def _own_path(target: str) -> str:
    # Only a path of ours: `//host` and `\\host` would leave the site.
    is_ours = target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if is_ours and "\n" not in target and "\r" not in target else "/"


routes = [
    Route("/login", login_page, methods=["GET"]),
    Route("/login", login, methods=["POST"]),
    Route("/logout", logout, methods=["POST"]),
]
