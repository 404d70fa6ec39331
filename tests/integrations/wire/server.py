"""A local HTTP server that speaks a provider's wire from a table; one per test, on a free port."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """What the server answers: JSON, or events when there are some, or bytes of some other type.

    `hold`: the server waits for this event before sending the event of that index (a slow stream).
    `break_after`: the connection is cut after so many events.
    """

    body: Any = None
    status: int = 200
    events: list[tuple[str | None, Any]] = field(default_factory=list)
    hold: tuple[int, threading.Event] | None = None
    break_after: int | None = None
    raw: tuple[str, bytes] | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Request:
    path: str
    body: dict[str, Any]
    headers: dict[str, str]


Script = Callable[[Request], Reply]


class WireServer:
    """Answers every POST and GET by `script(request)` and keeps the requests."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[Request] = []
        wire = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(
                    self.rfile.read(int(self.headers.get("content-length") or 0)) or "{}"
                )
                request = Request(self.path, body, {k.lower(): v for k, v in self.headers.items()})
                wire.requests.append(request)
                try:
                    _answer(self, wire.script(request))
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True  # the test left the stream early

            do_GET = do_POST  # the name the library looks for

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128  # of the default five, many at once would wait for seconds

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _answer(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
    handler.send_response(reply.status)
    for name, value in reply.headers.items():
        handler.send_header(name, value)
    if not reply.events:
        kind, body = reply.raw or ("application/json", json.dumps(reply.body).encode())
        handler.send_header("content-type", kind)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
        return
    handler.send_header("content-type", "text/event-stream")
    handler.send_header("connection", "close")
    handler.end_headers()
    for frame in _frames(reply):
        handler.wfile.write(frame)
        handler.wfile.flush()
    handler.close_connection = True


def _frames(reply: Reply) -> Iterator[bytes]:
    for index, (name, data) in enumerate(reply.events):
        if reply.hold is not None and reply.hold[0] == index:
            reply.hold[1].wait(30)
        if reply.break_after == index:
            return
        text = data if isinstance(data, str) else json.dumps(data)
        yield (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()
