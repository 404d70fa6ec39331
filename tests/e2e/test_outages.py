"""No collector, a killed one, a full disk: apps run on, and nothing acknowledged is lost."""

import resource
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.conftest import Served, clean_environment
from tests.e2e.otlp import flow_span, send_spans, traces_body

PROGRAM = Path(__file__).parent / "programs" / "one_flow.py"
EVALUATOR = "def evaluator(log):\n    return True\n"


def run_app(url: str, question: str, spool: Path) -> float:
    """Run the app to its end, as a user sees it; returns the seconds it took."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, PROGRAM, url, question],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=clean_environment(KIBITZ_SPOOL_DIR=str(spool)),
    )
    assert (done.returncode, done.stdout) == (0, f"{question.upper()}\n"), done.stderr
    assert "Traceback" not in done.stderr
    return time.monotonic() - began


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def stored(client: httpx.Client, query: str = "kind:flow", **more: Any) -> list[dict[str, Any]]:
    logs: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        params = {"q": query, "limit": 500} | cursor | more
        page = client.get("/api/logs", params=params).json()
        logs += page["items"]
        if page["next_cursor"] is None:
            return logs
        cursor = {"cursor": page["next_cursor"]}


def test_app_runs_without_a_collector_and_its_logs_arrive_with_the_next_process(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    port, spool = free_port(), tmp_path / "spool"
    url = f"http://127.0.0.1:{port}"
    took_s = run_app(url, "early", spool)
    assert took_s < 15  # two seconds of waiting at the exit, the rest is a busy machine
    served = serve("--port", str(port))
    assert served.url == url
    run_app(url, "late", spool)
    with served.client() as client:
        flows = stored(client, "kind:flow")
        inputs = {client.get(f"/api/logs/{log['id']}").json()["body"]["output"] for log in flows}
        tools = stored(client, "kind:tool")
    assert inputs == {"EARLY", "LATE"}
    assert {tool["trace_parent_id"] for tool in tools} == {flow["id"] for flow in flows}


def test_killed_collector_loses_nothing_acknowledged_and_judges_the_rest_after_restart(
    serve: Callable[..., Served],
) -> None:
    acknowledged: set[str] = set()
    lease = ("--job-lease-s", "2")
    served = serve(*lease)
    with served.client() as client:
        made = client.post("/api/evaluators", json={"path": "checks/any", "code": EVALUATOR})
        assert made.status_code == 201
        attached = client.post("/api/monitors", json={"evaluator": "checks/any", "on": "shop/a"})
        assert attached.status_code == 201
    for _ in range(2):
        kill_under_load(served, acknowledged)
        served = serve(*lease)
    assert len(acknowledged) >= 60
    with served.client() as client:
        ids = [log["span_id"] for log in stored(client)]
        assert len(ids) == len(set(ids))
        assert acknowledged <= set(ids)
        # Jobs the killed workers had in hand are free again when their lease is over.
        deadline = time.monotonic() + 60
        while len(stored(client, "kind:flow has:judgment")) < len(ids):
            assert time.monotonic() < deadline, client.get("/api/monitors/status").json()
            time.sleep(0.2)
        status = client.get("/api/monitors/status").json()
        assert status["dead"] == 0
    with sqlite3.connect(served.database) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()


def kill_under_load(served: Served, acknowledged: set[str]) -> None:
    """Send from four connections until enough is acknowledged, then kill; adds what was."""
    enough = threading.Event()
    before = len(acknowledged)

    def send() -> None:
        with served.client() as client:
            while True:
                spans = [flow_span("shop/a", "x" * 500) for _ in range(5)]
                try:
                    response = client.post("/v1/traces", json=traces_body(spans))
                except httpx.HTTPError:
                    return
                if response.status_code == 200:
                    acknowledged.update(span["spanId"] for span in spans)
                if len(acknowledged) - before >= 40:
                    enough.set()

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert enough.wait(60)
    served.process.kill()
    for thread in threads:
        thread.join()
    served.process.wait()


def test_two_collectors_on_one_file_share_it(serve: Callable[..., Served]) -> None:
    first, second = serve(), serve()
    assert first.database == second.database
    with first.client() as one, second.client() as other:
        for number in range(10):
            assert send_spans(one if number % 2 else other, [flow_span("shop/a", "x")]) == {}
        assert len(stored(one)) == len(stored(other)) == 10


def test_full_disk_is_a_clear_503_and_the_collector_recovers_by_itself(
    collector: Served,
) -> None:
    with collector.client() as client:
        assert send_spans(client, [flow_span("shop/a", "x")]) == {}
        # No file of the process may grow any further: what a full disk is to SQLite.
        resource.prlimit(collector.process.pid, resource.RLIMIT_FSIZE, (1024, -1))
        refused = client.post("/v1/traces", json=traces_body([flow_span("shop/a", "y" * 10_000)]))
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) >= 1
        assert "cannot be written" in refused.json()["error"]["message"]
        assert client.post("/api/keys", json={"name": "x"}).status_code == 503
        assert len(stored(client)) == 1
        page = client.get("/logs", headers={"Accept": "text/html"})
        assert page.status_code == 200
        resource.prlimit(collector.process.pid, resource.RLIMIT_FSIZE, (-1, -1))
        assert send_spans(client, [flow_span("shop/a", "y")]) == {}
        assert len(stored(client)) == 2
