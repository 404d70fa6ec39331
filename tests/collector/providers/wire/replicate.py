"""Replicate's wire: predictions that are made, looked at, streamed and canceled."""

from __future__ import annotations

from typing import Any

from tests.integrations.wire.server import Reply, Request

METRICS = {"predict_time": 0.5, "input_token_count": 20, "output_token_count": 9}


class Predictions:
    """Answers as a model that takes `looks` looks until it has ended."""

    def __init__(self, *, looks: int = 1, can_stream: bool = True) -> None:
        self.url = ""
        self.looks = looks
        self.can_stream = can_stream
        self.outcome: dict[str, Any] = {"status": "succeeded", "output": ["Hello", ", world"]}
        self.stream: list[tuple[str, str]] = [("output", "Hello"), ("output", ", world")]
        self.canceled: list[str] = []

    def __call__(self, request: Request) -> Reply:
        path = request.path
        if path.endswith("/cancel"):
            self.canceled.append(path)
            return Reply(self._told({"status": "canceled"}))
        if path.startswith("/stream"):
            lines = [f"event: {n}\nid: 1\ndata: {data}\n\n" for n, data in self.stream]
            lines.append("event: done\nid: 2\ndata: {}\n\n")
            return Reply(raw=("text/event-stream", "".join(lines).encode()))
        if path.startswith("/v1/predictions/"):
            self.looks -= 1
        if self.looks > 0:
            return Reply(self._told({"status": "processing"}))
        return Reply(self._told({"metrics": METRICS, **self.outcome}))

    def _told(self, more: dict[str, Any]) -> dict[str, Any]:
        urls = {"get": f"{self.url}/v1/predictions/p1"}
        if self.can_stream:
            urls["stream"] = f"{self.url}/stream/p1"
        return {
            "id": "p1",
            "model": "meta/llama",
            "version": "hidden",
            "input": {},
            "output": None,
            "logs": "",
            "error": None,
            "created_at": "2026-01-01T00:00:00Z",
            "urls": urls,
            **more,
        }


def error(status: int, message: str) -> Reply:
    return Reply({"title": "Words", "detail": message, "status": status}, status)
