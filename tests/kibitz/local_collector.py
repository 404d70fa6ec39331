"""A collector on a real socket whose answers a test decides: for everything that sends."""

import gzip
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    size: int

    @property
    def spans(self) -> list[dict[str, Any]]:
        found = self.body.get("resourceSpans", [])
        return [
            span
            for resource in found
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]

    @property
    def log_records(self) -> list[dict[str, Any]]:
        return [
            record
            for resource in self.body.get("resourceLogs", [])
            for scope in resource["scopeLogs"]
            for record in scope["logRecords"]
        ]

    @property
    def span_ids(self) -> list[str]:
        return [span["spanId"] for span in self.spans]

    @property
    def pid(self) -> int:
        resource = (self.body.get("resourceSpans") or self.body["resourceLogs"])[0]["resource"]
        values = {item["key"]: item["value"] for item in resource["attributes"]}
        return int(values["process.pid"]["intValue"])


@dataclass
class Answer:
    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    does_store: bool = True
    does_reset: bool = False  # close the connection instead of answering


OK = Answer()
Behaviour = Callable[[Request], Answer]


def always(status: int, **headers: str) -> Behaviour:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: Answer(status, headers=named, does_store=False)


def well(_: Request) -> Answer:
    return OK


class LocalCollector:
    """Keeps what it took; `behave` decides each answer."""

    def __init__(self) -> None:
        self.behave: Behaviour = well
        self.requests: list[Request] = []
        self.stored: list[Request] = []
        self.changed = threading.Condition()
        self.released = threading.Event()  # lets hanging requests go at the end
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def hang(self, _: Request) -> Answer:
        self.released.wait(60)
        return Answer(does_store=False, does_reset=True)

    @property
    def span_ids(self) -> list[str]:
        with self.changed:
            return [span_id for request in self.stored for span_id in request.span_ids]

    @property
    def spans(self) -> list[dict[str, Any]]:
        with self.changed:
            return [span for request in self.stored for span in request.spans]

    @property
    def log_records(self) -> list[dict[str, Any]]:
        with self.changed:
            return [record for request in self.stored for record in request.log_records]

    def wait_for(self, is_there: Callable[[], bool], timeout_s: float = 20.0) -> None:
        """Wait until something that arrives makes it true."""
        with self.changed:
            assert self.changed.wait_for(is_there, timeout_s), f"{len(self.requests)} requests came"

    def take(self, request: Request) -> Answer:
        with self.changed:
            self.requests.append(request)
            self.changed.notify_all()
        answer = self.behave(request)
        if answer.does_store:
            with self.changed:
                self.stored.append(request)
                self.changed.notify_all()
        return answer

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                text = gzip.decompress(raw) if self.headers["Content-Encoding"] == "gzip" else raw
                headers = {name.lower(): value for name, value in self.headers.items()}
                answer = collector.take(Request(self.path, headers, json.loads(text), len(raw)))
                if answer.does_reset:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_: object) -> None:
                return

        return Handler


@contextmanager
def local_collector() -> Iterator[LocalCollector]:
    collector = LocalCollector()
    try:
        yield collector
    finally:
        collector.close()


def span_payload(number: int, *, text: str = "", trace: int = 1, name: str = "call") -> bytes:
    """One `scopeSpans` element as the way in writes it."""
    attributes = [{"key": "text", "value": {"stringValue": text}}] if text else []
    span = {
        "traceId": f"{trace:032x}",
        "spanId": f"{number:016x}",
        "name": name,
        "kind": 1,
        "startTimeUnixNano": "1",
        "endTimeUnixNano": "2",
        "attributes": attributes,
    }
    return json.dumps(
        {"scope": {"name": "kibitz"}, "spans": [span]}, separators=(",", ":")
    ).encode()


def log_payload(number: int) -> bytes:
    """One `scopeLogs` element as the way in writes it."""
    record = {"eventName": "gen_ai.evaluation.result", "timeUnixNano": str(number)}
    return json.dumps({"scope": {"name": "kibitz"}, "logRecords": [record]}).encode()


def hex_ids(numbers: range) -> list[str]:
    return [f"{number:016x}" for number in numbers]
