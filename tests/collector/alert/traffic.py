"""What the alert tests send into a store, and a receiver of webhooks they can misuse."""

import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import Webhook

from kibitz_collector.records import FileReference, Judgment, LogRecord
from kibitz_collector.store import Store

WORKSPACE = 1
SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
S = 10**9
_numbers = iter(range(10**9))


class Clock:
    """A clock that stands still until it is moved; starts at the real time of its making."""

    def __init__(self) -> None:
        self.now_ns = time.time_ns()

    def __call__(self) -> int:
        return self.now_ns

    def go(self, seconds: float) -> None:
        self.now_ns += int(seconds * S)


def call(**fields: Any) -> LogRecord:
    """Return a model call that has just ended."""
    number = next(_numbers)
    now_ns = time.time_ns()
    latency_ms = fields.pop("latency_ms", 1000)
    values: dict[str, Any] = {
        "id": f"log_{number:021d}",
        "kind": "prompt",
        "name": "chat",
        "start_ns": now_ns - latency_ms * 10**6,
        "end_ns": now_ns,
        "trace_id": f"{number + 1:032x}",
        "file": FileReference(kind="prompt", path="support/answer"),
    }
    return LogRecord(**{**values, **fields})


def verdict(judged: LogRecord, value: bool | float | str | None, **fields: Any) -> LogRecord:
    """Return an evaluator's judgment of a Log."""
    evaluator = fields.pop("evaluator", "support/is_polite")
    judgment = Judgment(judged_log_id=judged.id, return_type="boolean", where="arrival")
    if isinstance(value, bool):
        judgment.number = float(value)
    elif isinstance(value, str):
        judgment.return_type, judgment.labels = "select", [value]
    else:
        judgment.return_type, judgment.number = "number", value
    for name, given in fields.pop("judgment", {}).items():
        setattr(judgment, name, given)
    return call(
        kind="evaluator",
        parent_id=judged.id,
        trace_id=judged.trace_id,
        file=FileReference(kind="evaluator", path=evaluator),
        judgment=judgment,
        **{"source": "evaluator", **fields},
    )


def judged(store: Store, verdicts: list[bool], **fields: Any) -> list[LogRecord]:
    """Store one call per verdict, and the verdict; returns the calls."""
    calls = [call(**fields) for _ in verdicts]
    store.ingest(WORKSPACE, calls)
    pairs = zip(calls, verdicts, strict=True)
    store.ingest(WORKSPACE, [verdict(one, value) for one, value in pairs])
    return calls


@dataclass
class Request:
    """One request a receiver got."""

    headers: dict[str, str]
    body: bytes

    @property
    def payload(self) -> Any:
        return json.loads(self.body)

    def verify(self, secret: str = SECRET) -> Any:
        """Return the payload if the signature is right."""
        return Webhook(secret).verify(self.body, self.headers)


@dataclass
class Receiver:
    """A real HTTP server on loopback; `answer(handler, number)` writes the reply."""

    answer: Callable[[BaseHTTPRequestHandler, int], None] = field(
        default=lambda handler, number: reply(handler, 204)
    )
    requests: list[Request] = field(default_factory=list)
    arrived: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Receiver":
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.requests.append(Request(headers, body))
                receiver.arrived.set()
                try:
                    receiver.answer(self, len(receiver.requests))
                except OSError:
                    self.close_connection = True  # the sender hung up

            do_GET = do_POST

            def log_message(self, format: str, *args: Any) -> None:
                """Stay quiet."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"


def reply(handler: BaseHTTPRequestHandler, status: int, **headers: str) -> None:
    """Answer with a status and nothing else."""
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


class Trap:
    """A listening socket that must never be connected to."""

    def __enter__(self) -> "Trap":
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setblocking(False)
        return self

    def __exit__(self, *exc: object) -> None:
        self._socket.close()

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    @property
    def is_touched(self) -> bool:
        try:
            connection, _ = self._socket.accept()
        except BlockingIOError:
            return False
        connection.close()
        return True
