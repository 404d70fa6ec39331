"""Stands between an unmodified SDK and the collector, and checks every answer that goes through."""

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from tests.conformance.contract import violations

_HOP = {"host", "connection", "content-length", "transfer-encoding", "accept-encoding"}


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer."""

    method: str
    path: str  # with its query, without `/v5`
    request: bytes
    status: int
    content_type: str
    answer: bytes

    @property
    def problems(self) -> list[str]:
        """What the contract says against the answer."""
        path = urlsplit(self.path).path.replace("//", "/")
        return violations(self.method, path, self.status, self.content_type, self.answer)


class CheckingProxy:
    """A server on a free port that hands everything on to a collector."""

    def __init__(self, collector_url: str) -> None:
        self._collector_url = collector_url
        self._client = httpx.Client(timeout=60)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.exchanges: list[Exchange] = []

    @property
    def url(self) -> str:
        """The base URL for an SDK."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v5"

    @property
    def problems(self) -> list[str]:
        """All violations so far."""
        return [problem for exchange in self.exchanges for problem in exchange.problems]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._client.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                proxy._pass_on(self)

            do_POST = do_PATCH = do_DELETE = do_PUT = do_GET

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler

    def _pass_on(self, caller: BaseHTTPRequestHandler) -> None:
        body = _read(caller)
        headers = {k: v for k, v in caller.headers.items() if k.lower() not in _HOP}
        request = self._client.build_request(
            caller.command, self._collector_url + caller.path, headers=headers, content=body
        )
        response = self._client.send(request, stream=True)
        caller.send_response(response.status_code)
        content_type = response.headers.get("content-type", "")
        if content_type:
            caller.send_header("Content-Type", content_type)
        if content_type.startswith("text/event-stream"):
            answer = _stream(caller, response)
        else:
            answer = response.read()
            if response.status_code != 204:
                caller.send_header("Content-Length", str(len(answer)))
            caller.end_headers()
            caller.wfile.write(answer)
        response.close()
        self.exchanges.append(
            Exchange(
                caller.command,
                caller.path.removeprefix("/v5"),
                body,
                response.status_code,
                content_type,
                answer,
            )
        )


def _read(caller: BaseHTTPRequestHandler) -> bytes:
    """Read a body, whole or in chunks: Node's SDK streams files."""
    if caller.headers.get("Transfer-Encoding") != "chunked":
        return caller.rfile.read(int(caller.headers.get("Content-Length") or 0))
    pieces = []
    while size := int(caller.rfile.readline(), 16):
        pieces.append(caller.rfile.read(size))
        caller.rfile.readline()
    caller.rfile.readline()
    return b"".join(pieces)


def _stream(caller: BaseHTTPRequestHandler, response: httpx.Response) -> bytes:
    """Hand on each piece as it comes."""
    caller.send_header("Transfer-Encoding", "chunked")
    caller.end_headers()
    pieces = []
    for piece in response.iter_raw():
        pieces.append(piece)
        caller.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        caller.wfile.flush()
    caller.wfile.write(b"0\r\n\r\n")
    return b"".join(pieces)
