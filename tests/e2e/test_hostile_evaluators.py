"""Hostile evaluators beside a good one: it keeps judging, they are suspended, the page says why."""

import time
from collections.abc import Callable
from html import unescape
from typing import Any

import httpx

from tests.e2e.conftest import Served
from tests.e2e.otlp import flow_span, send_spans

GOOD = """
def evaluator(log):
    return "please" in (log["output"] or "")
"""
HOSTILE = {
    "endless_loop": """
def evaluator(log):
    while True:
        pass
""",
    "file_read": """
def evaluator(log):
    return "root" in open("/etc/passwd").read()
""",
    "socket": """
import socket
def evaluator(log):
    return bool(socket.create_connection(("127.0.0.1", 4318), 1))
""",
    "fork": """
import os
def evaluator(log):
    return os.fork() >= 0
""",
    "ten_gigabytes": """
def evaluator(log):
    return len(bytearray(10 * 2**30)) > 0
""",
}
REASONS = {
    "endless_loop": "Timeout",
    "file_read": "/etc/passwd",
    "socket": "PermissionError",
    "fork": "PermissionError",
    "ten_gigabytes": "MemoryError",
}
LOGS = 12


def attach(client: httpx.Client, path: str, code: str) -> None:
    made = client.post("/api/evaluators", json={"path": path, "code": code})
    assert made.status_code == 201, made.text
    attached = client.post("/api/monitors", json={"evaluator": path, "on": "support/answer"})
    assert attached.status_code == 201, attached.text


def judgments(client: httpx.Client, query: str) -> list[dict[str, Any]]:
    params: dict[str, str | int] = {"q": f"kind:flow {query}", "limit": 100}
    items: list[dict[str, Any]] = client.get("/api/logs", params=params).json()["items"]
    return [judgment for log in items for judgment in log["judgments"]]


def test_good_evaluator_goes_on_while_hostile_ones_are_suspended(
    serve: Callable[..., Served],
) -> None:
    with serve("--evaluator-timeout-s", "1").client() as client:
        attach(client, "checks/polite", GOOD)
        for name, code in HOSTILE.items():
            attach(client, f"checks/{name}", code)
        for number in range(LOGS):
            assert send_spans(client, [flow_span("support/answer", f"please {number}")]) == {}
        wait_for_suspensions(client)
        assert len(polite(client)) == LOGS  # three seconds of endless loop held none of them up
        # What arrives now is judged by the good one alone, as if it had always been alone.
        sent_at = time.monotonic()
        assert send_spans(client, [flow_span("support/answer", "please, the last")]) == {}
        while len(polite(client)) < LOGS + 1:
            assert time.monotonic() < sent_at + 30
        assert all(judgment["value"] is True for judgment in polite(client))
        page = unescape(client.get("/monitors", headers={"Accept": "text/html"}).text)
    panels = {name: panel_of(page, f"checks/{name}") for name in (*HOSTILE, "polite")}
    assert "suspended" not in panels["polite"]
    for name, reason in REASONS.items():
        assert "3 times in a row" in panels[name], name
        assert reason in panels[name], panels[name]


def polite(client: httpx.Client) -> list[dict[str, Any]]:
    return [one for one in judgments(client, "") if one["evaluator_path"] == "checks/polite"]


def wait_for_suspensions(client: httpx.Client) -> None:
    deadline = time.monotonic() + 60
    while True:
        states = {one["path"]: one["state"] for one in client.get("/api/evaluators").json()}
        if all(states[f"checks/{name}"] == "suspended" for name in HOSTILE):
            assert states["checks/polite"] == "active"
            return
        assert time.monotonic() < deadline, states
        time.sleep(0.1)


def panel_of(page: str, path: str) -> str:
    _, _, rest = page.partition(f'<section class="panel" data-row aria-label="{path}">')
    assert rest, f"no panel of {path}"
    return rest.partition("</section>")[0].partition("<details>")[0]
