"""A webhook receiver on loopback that checks signatures: where the demo's alert arrives."""

import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError


@dataclass(frozen=True, slots=True)
class Received:
    """One delivery."""

    id: str
    is_signed: bool
    body: dict[str, Any]


class WebhookReceiver:
    """The receiver on a free port; use as a context manager."""

    def __init__(self, secret: str) -> None:
        self.received: list[Received] = []
        self.arrived = threading.Event()
        receiver, checker = self, Webhook(secret)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                receiver._take(checker, {k.lower(): v for k, v in self.headers.items()}, data)
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Stay quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Where to send."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/hook"

    def __enter__(self) -> "WebhookReceiver":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _take(self, checker: Webhook, headers: dict[str, str], data: bytes) -> None:
        try:
            checker.verify(data, headers)
            is_signed = True
        except WebhookVerificationError:
            is_signed = False
        body = json.loads(data)
        self.received.append(Received(headers.get("webhook-id", ""), is_signed, body))
        self.arrived.set()
