"""Who is calling: turns a request into a `Context`, or refuses it.

Without keys the collector trusts whoever reaches loopback, so it must make sure that no web page
on the same machine does: only loopback names as Host, no foreign Origin, nothing forwarded.
"""

import ipaddress
import threading
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection, Request

from kibitz_collector.access.keys import Role, cookie_is_valid, cookie_key_id, hash_key
from kibitz_collector.config import Settings
from kibitz_collector.errors import Forbidden, Unauthorized
from kibitz_collector.normalize import UserPrices
from kibitz_collector.store import Store
from kibitz_collector.store.queries import keys as key_queries
from kibitz_collector.store.queries.keys import KeyView

COOKIE = "kibitz_session"
LAPTOP_WORKSPACE = 1
_CACHE_S = 1.0
_LOOPBACK_NAMES = {"localhost", "127.0.0.1", "[::1]"}
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


@dataclass(frozen=True, slots=True)
class Context:
    """One authenticated request: what it may see and through what."""

    settings: Settings
    store: Store
    workspace_id: int
    role: Role
    key_id: str | None  # None: a collector without keys
    prices: UserPrices


class KeyRing:
    """The keys in force, read again at most once a second; a revoked key lives that long."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._read_at = -_CACHE_S
        self._by_hash: dict[str, KeyView] = {}
        self._by_id: dict[str, KeyView] = {}

    def is_empty(self) -> bool:
        """Tell whether anybody may come in without a key."""
        self._refresh()
        return not self._by_hash

    def by_text(self, text: str) -> KeyView | None:
        """Return the key with this text."""
        self._refresh()
        return self._by_hash.get(hash_key(text))

    def by_cookie(self, cookie: str) -> KeyView | None:
        """Return the key a page cookie stands for, when the cookie is good."""
        self._refresh()
        key = self._by_id.get(cookie_key_id(cookie))
        return key if key is not None and cookie_is_valid(cookie, key.hash) else None

    def _refresh(self) -> None:
        now = time.monotonic()
        if now - self._read_at < _CACHE_S:
            return
        with self._lock:
            if now - self._read_at < _CACHE_S:
                return
            with self._store.read() as session:
                keys = key_queries.active_keys(session)
            self._by_hash = {key.hash: key for key in keys}
            self._by_id = {key.id: key for key in keys}
            self._read_at = now


def context(request: Request) -> Context:
    """Authenticate a request (also a FastAPI dependency).

    Raises: Unauthorized: keys exist and none, or a wrong one, was given. Forbidden: the request
    comes from a foreign page or through a proxy that a collector without keys cannot trust.
    """
    state = request.app.state
    ring: KeyRing = state.keys
    if ring.is_empty():
        if not is_loopback(state.settings.host):
            # The last key was revoked while others can reach us; a Host header is no proof.
            raise Unauthorized("there is no key any more; make one with `kibitz keys create`")
        refuse_strangers(request)
        return Context(state.settings, state.store, LAPTOP_WORKSPACE, "full", None, state.prices)
    key = _key_of(request, ring)
    return Context(state.settings, state.store, key.workspace_id, key.role, key.id, state.prices)


def full_context(request: Request) -> Context:
    """Like `context`, for what only a `full` key may do.

    Raises: Forbidden: the key is an `ingest` key.
    """
    caller = context(request)
    if caller.role != "full":
        raise Forbidden("this needs a key with role 'full'; this one may only send (role 'ingest')")
    return caller


def refuse_strangers(request: HTTPConnection) -> None:
    """Refuse what may come from a web page or a proxy.

    Raises: Forbidden, naming the header.
    """
    headers = request.headers
    host = headers.get("host", "")
    if _without_port(host) not in _LOOPBACK_NAMES:
        raise Forbidden(
            f"Host {host!r} is refused: a collector without keys answers only to localhost, "
            "127.0.0.1 and [::1]; make a key with `kibitz keys create` to open it"
        )
    for name in _FORWARDED:
        if name in headers:
            raise Forbidden(f"forwarded requests ({name}) need a key: `kibitz keys create`")
    refuse_foreign_page(request)


def refuse_foreign_page(request: HTTPConnection) -> None:
    """Refuse a request that a page of another site caused.

    Raises: Forbidden.
    """
    headers = request.headers
    if headers.get("sec-fetch-site") == "cross-site":
        raise Forbidden("cross-site requests are refused (Sec-Fetch-Site)")
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("host", ""):
        raise Forbidden(f"requests from origin {origin!r} are refused")


def is_loopback(host: str) -> bool:
    """Tell whether a listening address is reachable from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _key_of(request: Request, ring: KeyRing) -> KeyView:
    text = request.headers.get("x-api-key")
    if text is None:
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        text = credentials.strip() if scheme.lower() == "bearer" else None
    if text is not None:
        key = ring.by_text(text)
        if key is None:
            raise Unauthorized(
                "this key is not known here; `kibitz keys list` shows the known ones"
            )
        return key
    cookie = request.cookies.get(COOKIE)
    key = ring.by_cookie(cookie) if cookie else None
    if key is None:
        raise Unauthorized("send a key as header X-API-KEY or Authorization: Bearer")
    # A browser adds the cookie by itself, so the page that caused the request must be ours.
    if request.method not in _SAFE_METHODS:
        refuse_foreign_page(request)
    return key


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].lower()
