"""HTTP to the collector for what the app waits for: bounded, retried where harmless, fork-safe."""

from __future__ import annotations

import atexit
import os
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
from opentelemetry.context import attach, detach, get_current, set_value

from kibitz import _runtime
from kibitz._record import VERSION
from kibitz._transport import is_loopback
from kibitz.config import Settings, load
from kibitz.errors import ApiError

_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 5.0
# Keys under which OpenTelemetry's instrumentors of HTTP libraries leave a request alone: ours are
# no part of the host's traces.
_SUPPRESSED = ("suppress_instrumentation", "suppress_http_instrumentation")


# Kept, so that freeing what a forked child inherits closes no descriptor of its parent's.
_inherited: list[httpx.Client | None] = []


class Connection:
    """Requests to one collector; any thread may use it, a forked child opens its own."""

    def __init__(self, collector: str, api_key: str | None) -> None:
        self.collector = collector
        self.api_key = api_key
        self._lock = threading.Lock()
        self._client: httpx.Client | None = None
        self._pid = 0

    def get(
        self,
        path: str,
        query: dict[str, Any] | None = None,
        *,
        timeout_s: float = 30.0,
        retries: int = 2,
    ) -> Any:
        """GET what is at a path; query values of None are left out.

        Raises: ApiError.
        """
        given = {name: value for name, value in (query or {}).items() if value is not None}
        return self.request("GET", path, timeout_s=timeout_s, retries=retries, params=given)

    def post(
        self,
        path: str,
        body: Any,
        *,
        query: dict[str, Any] | None = None,
        timeout_s: float = 30.0,
        retries: int = 0,
    ) -> Any:
        """POST a body; `retries` only where twice is as good as once.

        Raises: ApiError.
        """
        given = {name: value for name, value in (query or {}).items() if value is not None}
        return self.request(
            "POST", path, timeout_s=timeout_s, retries=retries, json=body, params=given
        )

    def request(
        self, method: str, path: str, *, timeout_s: float, retries: int = 0, **given: Any
    ) -> Any:
        """Return the answer's JSON, or its text; None if it has no body.

        Raises: ApiError: the collector refuses, or there is no answer.
        """
        attempt = 0
        while True:
            try:
                return self._answer(method, path, timeout_s, given)
            except ApiError as error:
                may_pass = error.status is None or error.status in _TRANSIENT
                if attempt >= retries or not may_pass:
                    raise
            time.sleep(min(_FIRST_PAUSE_S * 2**attempt, _LONGEST_PAUSE_S))
            attempt += 1

    @contextmanager
    def stream(self, path: str, body: Any, *, query: Any, timeout_s: float) -> Iterator[Any]:
        """POST a body and give the lines of the answer as they come.

        Raises: ApiError.
        """
        client = self._open()
        request = client.build_request("POST", path, json=body, params=query, timeout=timeout_s)
        try:
            with _suppressed():  # not while the reader has the floor: it has a context of its own
                response = client.send(request, stream=True)
            with closing(response):
                if response.is_error:
                    response.read()
                    raise self._refusal(response)
                yield response.iter_lines()
        except httpx.HTTPError as error:
            raise self._silence(error) from error

    def _answer(self, method: str, path: str, timeout_s: float, given: dict[str, Any]) -> Any:
        try:
            with _suppressed():
                response = self._open().request(method, path, timeout=timeout_s, **given)
        except httpx.HTTPError as error:
            raise self._silence(error) from error
        if response.is_error:
            raise self._refusal(response)
        if not response.content:
            return None
        is_json = response.headers.get("content-type", "").startswith("application/json")
        try:
            return response.json() if is_json else response.text
        except ValueError as error:
            raise ApiError(f"{self.collector}{path} answered what is no JSON") from error

    def close(self) -> None:
        """Close what this process has open; the next request opens it again."""
        client, self._client = self._client, None
        if client is not None and self._pid == os.getpid():
            client.close()

    def _open(self) -> httpx.Client:
        client = self._client
        if self._pid == os.getpid() and client is not None:
            return client
        if self._pid != os.getpid():
            self._lock = threading.Lock()  # another thread of the parent may have held it
        with self._lock:
            if self._client is None or self._pid != os.getpid():
                _inherited.append(self._client)
                self._client = self._connect()
                self._pid = os.getpid()
            return self._client

    def _connect(self) -> httpx.Client:
        # As the sender does it: no proxies, the system's certificates.
        is_tls = urlsplit(self.collector).scheme == "https"
        headers = {"User-Agent": f"kibitz/{VERSION}"}
        if self.api_key:
            headers["X-API-KEY"] = self.api_key
        return httpx.Client(
            base_url=self.collector,
            headers=headers,
            verify=ssl.create_default_context() if is_tls else False,
            trust_env=False,
            follow_redirects=False,
        )

    def _silence(self, error: httpx.HTTPError) -> ApiError:
        host = urlsplit(self.collector).hostname or ""
        advice = "; start one with `kibitz serve`" if is_loopback(host) else ""
        what = str(error) or type(error).__name__
        return ApiError(f"no collector answers at {self.collector} ({what}){advice}")

    def _refusal(self, response: httpx.Response) -> ApiError:
        try:
            detail = response.json().get("detail") or response.json()["error"]["message"]
        except (ValueError, KeyError, TypeError, AttributeError):
            detail = response.text[:500]
        reason = _reason(detail) or response.reason_phrase
        if response.status_code in (401, 403):
            reason += "; give init(api_key=…) or KIBITZ_API_KEY a key of role full"
        return ApiError(reason, response.status_code, detail)


def _reason(detail: Any) -> str:
    """Say in one line what the contract's forms of an error say."""
    if isinstance(detail, list):
        return "; ".join(_reason(one) for one in detail)
    if isinstance(detail, dict):
        said = detail.get("msg") or detail.get("message") or detail.get("description")
        place = ".".join(str(part) for part in detail.get("loc", ()) if part != "body")
        return f"{place}: {said}" if place else str(said or detail)
    return str(detail)


@contextmanager
def _suppressed() -> Iterator[None]:
    context = get_current()
    for key in _SUPPRESSED:
        context = set_value(key, True, context)
    token = attach(context)
    try:
        yield
    finally:
        detach(token)


# --- the collector of this process

_connections: dict[tuple[str, str | None], Connection] = {}
_sidecars: dict[str, str] = {}  # where the collectors on SQLite files are


def settings_now() -> Settings:
    """Return the settings of `init()`; before it, those of the environment.

    Raises: ConfigError: a KIBITZ_* variable is wrong.
    """
    runtime = _runtime.get()
    if runtime is not None:
        return runtime.settings
    return _runtime.configured or load()


def connection_for(settings: Settings) -> Connection:
    """Return the connection to the collector these settings name."""
    collector = settings.collector
    if collector.startswith("sqlite:"):  # before init(), which says where it is
        collector = _sidecars.get(collector) or _find_sidecar(collector)
    key = (collector, settings.api_key)
    found = _connections.get(key)
    if found is None:
        found = _connections.setdefault(key, Connection(*key))
        atexit.register(found.close)
    return found


def _find_sidecar(collector: str) -> str:
    from kibitz._sidecar import find_or_start

    return _sidecars.setdefault(collector, find_or_start(collector))


def connection() -> Connection:
    """Return the connection to the collector of this process."""
    return connection_for(settings_now())
