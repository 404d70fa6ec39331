"""One kept-open HTTP connection to the collector, for the sender."""

from __future__ import annotations

import contextlib
import gzip
import os
import time
from _thread import allocate_lock
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import http.client

_LONGEST_REPLY_BYTES = 2**16
_LONGEST_RETRY_AFTER_S = 300.0


# A child that is forked while another thread imports waits for ever where it needs the same module.
_importing = allocate_lock()
_LONGEST_IMPORT_S = 2.0
_is_held = False


def load_http() -> None:
    """Import what a request needs: 15 ms, left to the sender's thread."""
    with _importing:
        import http.client  # noqa: F401

        "a".encode("idna")  # what looking up a name imports


def before_fork() -> None:
    """Let an import end, and none begin."""
    global _is_held
    _is_held = _importing.acquire(True, _LONGEST_IMPORT_S)


def after_fork() -> None:
    """In parent and child: imports may begin again."""
    if _is_held:
        _importing.release()


class Unreachable(Exception):
    """No answer came: nobody listens, the connection broke, or it took too long."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the collector said."""

    status: int
    body: bytes
    retry_after_s: float | None


class Transport:
    """Posts JSON bodies to one collector; used by one thread at a time."""

    def __init__(
        self, collector: str, api_key: str | None, *, timeout_s: float, agent: str
    ) -> None:
        self.collector = collector
        parts = urlsplit(collector)
        self._host = parts.hostname or "127.0.0.1"
        self._is_tls = parts.scheme == "https"
        self._port = parts.port or (443 if self._is_tls else 80)
        self._prefix = parts.path.rstrip("/")
        self._headers = {"Content-Type": "application/json", "User-Agent": agent}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._encodings = [None] if is_loopback(self._host) else _encodings()
        self._connection: http.client.HTTPConnection | None = None
        self._socket: tuple[int, int] | None = None
        self.timeout_s = timeout_s

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        """Send a body, compressed if the way is long.

        Raises: Unreachable: it is not known whether the body arrived.
        """
        load_http()
        while True:
            encoding = self._encodings[0]
            reply = self._post_once(path, body, headers, encoding)
            if reply.status != 415 or encoding is None:
                return reply
            del self._encodings[
                0
            ]  # this collector does not read the encoding; try the next simpler one

    def _post_once(
        self, path: str, body: bytes, headers: dict[str, str], encoding: _Encoding | None
    ) -> Reply:
        import http.client

        headers = self._headers | headers
        if encoding is not None:
            headers["Content-Encoding"] = encoding.name
            body = encoding.compress(body)
        was_open = self._connection is not None
        try:
            return self._exchange(path, body, headers)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            if not was_open or isinstance(error, TimeoutError):
                raise Unreachable(str(error) or type(error).__name__) from error
        try:  # the collector had closed the kept connection: that says nothing about it
            return self._exchange(path, body, headers)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise Unreachable(str(error) or type(error).__name__) from error

    def _exchange(self, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        if self._connection is not None and not self._is_ours():
            self.close()
        connection = self._connection
        if connection is None:
            connection = self._connection = self._connect()
            self._socket = _describe(connection)
        elif connection.sock is not None:
            connection.sock.settimeout(self.timeout_s)
        connection.request("POST", self._prefix + path, body, headers)
        response = connection.getresponse()
        text = response.read(_LONGEST_REPLY_BYTES)
        if response.will_close or not response.isclosed():
            self.close()
        return Reply(response.status, text, _retry_after_s(response.getheader("Retry-After")))

    def _connect(self) -> http.client.HTTPConnection:
        import http.client

        kind = http.client.HTTPSConnection if self._is_tls else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=self.timeout_s)
        connection.connect()
        return connection

    def _is_ours(self) -> bool:
        """Whether the descriptor is still our socket's: a host that closes all may reuse it."""
        return self._connection is not None and _describe(self._connection) == self._socket

    def close(self) -> None:
        """Close the connection; the next post opens one."""
        is_ours = self._is_ours()
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if not is_ours and connection.sock is not None:
            connection.sock.detach()
        with contextlib.suppress(OSError):
            connection.close()


def _describe(connection: http.client.HTTPConnection) -> tuple[int, int] | None:
    if connection.sock is None:
        return None
    try:
        found = os.fstat(connection.sock.fileno())
    except OSError:
        return None
    return found.st_dev, found.st_ino


def is_loopback(host: str) -> bool:
    """Whether a host name means this machine."""
    return host == "localhost" or host == "::1" or host.startswith("127.")


@dataclass(frozen=True, slots=True)
class _Encoding:
    name: str
    compress: Callable[[bytes], bytes]


def _encodings() -> list[_Encoding | None]:
    found: list[_Encoding | None] = [
        _Encoding("gzip", lambda body: gzip.compress(body, compresslevel=1)),
        None,
    ]
    with contextlib.suppress(ImportError):
        import zstandard

        found.insert(0, _Encoding("zstd", zstandard.ZstdCompressor(level=1).compress))
    return found


def _retry_after_s(value: str | None) -> float | None:
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        from email.utils import parsedate_to_datetime

        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (TypeError, ValueError):
            return None
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER_S) if seconds == seconds else None
